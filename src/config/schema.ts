/**
 * Every key of the configuration file: its type, range, default and meaning. This is the only place where they are
 * written; the loader, docs/reference/config.md and the JSON Schema all come from here. Names are nginx's wherever it
 * has the directive. Called by load.ts, json-schema.ts and tools/generate-docs.ts.
 */
import { parseSoKeepalive, SO_KEEPALIVE_HINT, type TcpKeepalive } from "../tcp/so-keepalive.ts";
import { parseBindAddress, parseCidr, parseIpAddress, parseServerAddress } from "./address.ts";
import { FOREIGN_BALANCES } from "./foreign-names.ts";
import { healthSection } from "./health-section.ts";
import { type Parsed, parsed, quoted, refused } from "./parsed.ts";
import {
  absent,
  boolean,
  duration,
  durationOr,
  integer,
  integerOr,
  list,
  named,
  oneOf,
  optional,
  orNone,
  parseName,
  required,
  section,
  shortened,
  size,
  text,
  type ValueKind,
  value,
} from "./schema-kit.ts";
import type { Balance } from "./types.ts";
import { virtualRouterSection } from "./virtual-router-section.ts";

/** The default on both legs: a dead peer is released two minutes after its last sign of life. */
export const DEFAULT_SO_KEEPALIVE = "60s:10s:6";

const REQUESTS_MAX = 1_000_000_000;
const USER_TIMEOUT = duration({ maxMs: 24 * 86_400_000 });
const ONE_MS = { minMs: 1 };

const soKeepalive: ValueKind<TcpKeepalive> = value({
  type: "so_keepalive",
  range: "`on`, `off` or `[idle]:[interval]:[count]`; times 1s to 32767s, count 1 to 127",
  parse: (input) => {
    if (typeof input === "string") return parseSoKeepalive(input);
    if (typeof input === "boolean")
      return refused(`${input} is not on or off`, `write ${input ? "on" : "off"}`);
    return refused(`${quoted(input)} is not on, off or [idle]:[interval]:[count]`, SO_KEEPALIVE_HINT);
  },
  jsonSchema: {
    type: "string",
    pattern: "^(on|off|[^:]*:[^:]*:[0-9]*)$",
    examples: ["on", "off", "60s:10s:6", "30m::10"],
  },
});

const bindAddress = text("address", parseBindAddress, { type: ["string", "integer"] });

const SO_KEEPALIVE_DOC = {
  meaning:
    "TCP keepalive, the kernel's probes on an idle connection. A part that is left out is the system's default; `off` turns the probes off.",
  alike: "nginx `listen … so_keepalive=`, HAProxy `tcpka` (both off by default)",
};
const TCP_USER_TIMEOUT_DOC = {
  meaning:
    "TCP_USER_TIMEOUT: how long sent data may stay unacknowledged. The kernel then ignores the count of `so_keepalive`; keep it a little below idle + interval × count. 0 leaves it to the kernel (about 15 minutes).",
  alike: "HAProxy `tcp-ut`",
};

const httpSection = section({
  keepalive_timeout: optional(duration(), "75s", {
    meaning: "How long an idle persistent connection is kept. 0: every connection carries one request.",
    alike: "nginx `keepalive_timeout`, HAProxy `timeout http-keep-alive`",
  }),
  keepalive_header: absent(duration({ minMs: 1000 }), {
    meaning:
      "Send `Keep-Alive: timeout=N` with this N (whole seconds), so that clients let go first. Must be below keepalive_timeout. Left out: not sent.",
    alike: "nginx, second argument of `keepalive_timeout`",
  }),
  keepalive_requests: optional(integer(0, REQUESTS_MAX), 1000, {
    meaning: "Requests on one connection before the gateway announces its end. 0: unlimited.",
    alike: "nginx `keepalive_requests`",
  }),
  keepalive_time: optional(duration(), "1h", {
    meaning: "Age of a connection after which the next response announces its end. 0: unlimited.",
    alike: "nginx `keepalive_time`",
  }),
  client_header_timeout: optional(duration(ONE_MS), "60s", {
    meaning: "How long a client may take to send a complete request head. Then 408.",
    alike: "nginx `client_header_timeout`, HAProxy `timeout http-request`",
  }),
  client_body_timeout: optional(duration(ONE_MS), "60s", {
    meaning: "How long a client may pause while it sends a body. Then 408.",
    alike: "nginx `client_body_timeout`",
  }),
  send_timeout: optional(duration(ONE_MS), "60s", {
    meaning: "How long a client may read nothing while there is something to send.",
    alike: "nginx `send_timeout`",
  }),
  tunnel_timeout: optional(duration(ONE_MS), "1h", {
    meaning: "How long an upgraded connection (WebSocket) may be silent in both directions.",
    alike: "HAProxy `timeout tunnel`",
  }),
  lingering_time: optional(duration(), "30s", {
    meaning: "How long, in all, a client that is still sending is read after its final response.",
    alike: "nginx `lingering_time`",
  }),
  lingering_timeout: optional(duration(), "5s", {
    meaning: "The longest pause within lingering_time.",
    alike: "nginx `lingering_timeout`",
  }),
  max_header_size: optional(size({ minBytes: 1024, maxBytes: 64 * 1024 }), "16k", {
    meaning: "Largest request or response head. Then 431 (414 for the request line).",
    alike: "nginx `large_client_header_buffers`, HAProxy `tune.bufsize`",
  }),
  max_body_size: optional(size(), 0, {
    meaning: "Largest request body. Then 413. 0: unlimited.",
    alike: "nginx `client_max_body_size`",
  }),
  via: optional(boolean(), true, { meaning: "Send `Via` on forwarded requests (RFC 9110 §7.6.3)." }),
  trusted_proxies: optional(
    list(text("address range", parseCidr), {
      type: "list of address ranges",
      entriesMin: 0,
      mayBeSingle: true,
    }),
    [],
    {
      meaning: "Clients whose X-Forwarded-Proto and X-Forwarded-Host are believed.",
      alike: "nginx `set_real_ip_from`",
    },
  ),
  routes: required(
    list(
      section({
        host: absent(text("host name", parseRouteHost), {
          meaning:
            "Host of the request, without port; `*.example.org` is any subdomain. Left out: every host.",
          alike: "nginx `server_name`",
        }),
        path: optional(text("path prefix", parseRoutePath), "/", {
          meaning:
            "Prefix of the path, up to the end of a segment: `/v1` is not `/v10`. The longest one wins within a host.",
          alike: "nginx `location`",
        }),
        pool: required(text("name of a pool", parseName), {
          meaning: "Where the requests go.",
          alike: "nginx `proxy_pass`, HAProxy `use_backend`",
        }),
      }),
      { type: "list of routes", entriesMin: 1 },
    ),
    { meaning: "Which request goes to which pool." },
  ),
});

const tcpSection = section({
  pool: required(text("name of a pool", parseName), {
    meaning: "Where the sessions go.",
    alike: "nginx stream `proxy_pass`, HAProxy `default_backend`",
  }),
  idle_timeout: optional(duration(), "10m", {
    meaning:
      "A session without payload in either direction for so long ends as on_idle says. Only payload counts: TCP keepalive probes are answered by the kernel and do not refresh it. 0: never.",
    alike: "nginx stream `proxy_timeout`, HAProxy `timeout client` and `timeout server`, `ipvsadm --set`",
  }),
  on_idle: optional(oneOf(["close", "reset", "silent"]), "close", {
    meaning:
      "What ends an idle session: `close` sends FIN to both ends, `reset` RST to both, `silent` nothing: the session is forgotten, whoever speaks next gets RST, the other end learns nothing. `silent` is for reproducing faults.",
    alike: "nginx and HAProxy close; LVS and F5 forget",
  }),
  half_close_timeout: optional(duration(), "60s", {
    meaning:
      "How long a session lives on without payload after one side has ended. 0: as long as idle_timeout allows.",
    alike: "nginx stream `proxy_half_close`, HAProxy `timeout client-fin`, LVS CLOSE_WAIT (60s)",
  }),
  max_connections: optional(integer(0, 10_000_000), 0, {
    meaning: "Sessions at the same time, per worker; accepting pauses while there are as many. 0: unlimited.",
    alike: "HAProxy `maxconn`, nginx `limit_conn`",
  }),
});

export const HTTP_KEYS: readonly string[] = Object.keys(httpSection.keys!);
export const TCP_KEYS: readonly string[] = Object.keys(tcpSection.keys!);

const listenerSection = section(
  {
    bind: required(
      list(bindAddress, { type: "address or list of addresses", entriesMin: 1, mayBeSingle: true }),
      {
        meaning:
          "Where to listen: `0.0.0.0:8080`, `[::]:8080`, `unix:/path`, or a port alone for every IPv4 address. `[::]` takes IPv6 only.",
        alike: "nginx `listen`, HAProxy `bind`",
      },
    ),
    backlog: optional(integer(1, 65_535), 4096, {
      meaning: "Length of the kernel's accept queue; the kernel caps it at net.core.somaxconn.",
      alike: "nginx `listen … backlog=`",
    }),
    so_keepalive: optional(soKeepalive, DEFAULT_SO_KEEPALIVE, SO_KEEPALIVE_DOC),
    tcp_user_timeout: optional(USER_TIMEOUT, 0, TCP_USER_TIMEOUT_DOC),
    proxy_protocol: optional(oneOf(["off", "accept"]), "off", {
      meaning:
        "`accept`: every connection must begin with a PROXY protocol header, version 1 or 2, and its address is the client's. Whoever reaches the listener can then claim any address.",
      alike: "HAProxy `accept-proxy`, nginx `listen … proxy_protocol`",
    }),
    http: absent(httpSection, {
      meaning: "The listener speaks HTTP/1.1. Exactly one of http and tcp.",
      alike: "HAProxy `mode http`",
    }),
    tcp: absent(shortened(tcpSection, "pool"), {
      meaning: "The listener relays TCP sessions. A pool's name alone is enough: `tcp: pg`.",
      alike: "nginx `stream`, HAProxy `mode tcp`, keepalived `virtual_server`",
    }),
  },
  { jsonSchema: { oneOf: [{ required: ["http"] }, { required: ["tcp"] }] } },
);

const serverSection = section({
  address: required(text("address", parseServerAddress), {
    meaning:
      "`10.0.0.12:80`, `app.internal:8080`, `[2001:db8::1]:80` or `unix:/path`. A name with several addresses becomes several servers.",
    alike: "nginx `server`",
  }),
  weight: optional(integer(1, 65_535), 1, {
    meaning: "Share of the requests and sessions.",
    alike: "nginx `weight=`, HAProxy and keepalived `weight`",
  }),
  max_fails: optional(integer(0, 1_000_000), 1, {
    meaning: "Failures within fail_timeout after which the server is passed over for fail_timeout. 0: never.",
    alike: "nginx `max_fails=`",
  }),
  fail_timeout: optional(duration(ONE_MS), "10s", {
    meaning: "See max_fails.",
    alike: "nginx `fail_timeout=`",
  }),
  max_conns: optional(integer(0, 1_000_000), 0, {
    meaning: "Connections in use at once, per worker; with `queue` of the pool more wait. 0: unlimited.",
    alike: "nginx `max_conns=`, HAProxy `maxconn`, keepalived `uthreshold`",
  }),
  slow_start: optional(duration(), 0, {
    meaning: "Time over which a server that came back gets its full share. 0: at once.",
    alike: "nginx `slow_start=`, HAProxy `slowstart`",
  }),
  backup: optional(boolean(), false, {
    meaning: "Used only while every server that is not a backup is unavailable.",
    alike: "nginx and HAProxy `backup`, keepalived `sorry_server`",
  }),
});

const nextUpstreamSection = section({
  tries: optional(integer(1, 100), 2, {
    meaning: "Servers or connections tried for one request, the first included.",
    alike: "nginx `proxy_next_upstream_tries`, HAProxy `retries`",
  }),
  timeout: optional(duration(), "10s", {
    meaning:
      "No new try begins later than this after the first; keep it above connect_timeout. 0: unlimited.",
    alike: "nginx `proxy_next_upstream_timeout`",
  }),
  non_idempotent: optional(oneOf(["provable", "never"]), "provable", {
    meaning:
      "When a POST or PATCH may be sent again: `provable`: when the kernel shows that the server never received it; `never`.",
    alike: "nginx `proxy_next_upstream non_idempotent`",
  }),
});

const poolSection = section({
  balance: optional(balanceKind(), "round_robin", {
    meaning:
      'How a server is chosen; all know weights. `{ hash: source }`, `{ hash: uri }` and `{ hash: "header:NAME" }` are consistent; the last two need HTTP.',
    alike:
      "LVS `lvs_sched`: rr, wrr are `round_robin`; lc, wlc `least_conn`; sed `shortest_expected_delay`; nq `never_queue`; sh, mh `hash: source`. nginx `least_conn`, `random`, `hash … consistent`; HAProxy `balance`",
  }),
  so_keepalive: optional(soKeepalive, DEFAULT_SO_KEEPALIVE, {
    ...SO_KEEPALIVE_DOC,
    alike: "nginx `proxy_socket_keepalive`, HAProxy `srvtcpka` (both off by default)",
  }),
  tcp_user_timeout: optional(USER_TIMEOUT, 0, TCP_USER_TIMEOUT_DOC),
  connect_timeout: optional(duration(ONE_MS), "5s", {
    meaning: "How long a server may take to accept a connection.",
    alike: "nginx `proxy_connect_timeout`, HAProxy `timeout connect`",
  }),
  read_timeout: optional(duration(ONE_MS), "60s", {
    meaning: "How long a server may pause before and within its response. Then 504.",
    alike: "nginx `proxy_read_timeout`, HAProxy `timeout server`",
  }),
  send_timeout: optional(duration(ONE_MS), "60s", {
    meaning: "How long a server may read nothing while there is something to send.",
    alike: "nginx `proxy_send_timeout`",
  }),
  keepalive: optional(integer(0, 1_000_000), 64, {
    meaning: "Idle persistent connections kept per worker, over all servers of the pool. 0: none.",
    alike: "nginx `keepalive` (upstream)",
  }),
  keepalive_timeout: optional(durationOr("auto", ONE_MS), "auto", {
    meaning:
      "How long an idle connection is kept. `auto` learns each server's own timeout (its Keep-Alive header, the FINs it sent) and lets go first.",
    alike: "nginx `keepalive_timeout` (upstream)",
  }),
  keepalive_requests: optional(integer(0, REQUESTS_MAX), 1000, {
    meaning: "Requests on one connection before it is closed. 0: unlimited.",
    alike: "nginx `keepalive_requests` (upstream)",
  }),
  keepalive_time: optional(duration(), "1h", {
    meaning: "Age after which a connection takes no further request. 0: unlimited.",
    alike: "nginx `keepalive_time` (upstream)",
  }),
  source_address: absent(text("IP address", parseIpAddress), {
    meaning: "Local address of the connections to the servers. Left out: the kernel chooses.",
    alike: "nginx `proxy_bind`, HAProxy `source`",
  }),
  next_upstream: optional(
    nextUpstreamSection,
    {},
    {
      meaning: "When and how often a request is sent again.",
      alike: "nginx `proxy_next_upstream`, HAProxy `retry-on`",
    },
  ),
  replay_buffer_size: optional(size({ maxBytes: 16 * 1024 * 1024 }), "64k", {
    meaning:
      "How much of a request body is kept so that the request can be sent again. A longer one is sent once.",
  }),
  send_proxy: optional(oneOf(["off", "v1", "v2"]), "off", {
    meaning:
      "Begin every connection to a server with a PROXY protocol header that names the client. Such a connection belongs to one client: requests of HTTP listeners then open one each, and none is kept.",
    alike: "HAProxy `send-proxy`, `send-proxy-v2`; nginx stream `proxy_protocol`",
  }),
  queue: optional(integer(0, 1_000_000), 0, {
    meaning: "Requests and sessions that may wait, per worker, while every server is at max_conns. 0: none.",
    alike: "HAProxy `maxqueue`, nginx `queue`",
  }),
  queue_timeout: optional(duration(ONE_MS), "5s", {
    meaning: "How long one waits in the queue. Then 503, or the end of the session.",
    alike: "HAProxy `timeout queue`, nginx `queue … timeout=`",
  }),
  on_down: optional(oneOf(["keep", "reset"]), "keep", {
    meaning:
      "What becomes of a server's TCP sessions when it goes down: `keep` lets them go on, `reset` sends RST to the clients, which then come back to another server.",
    alike: "HAProxy `on-marked-down shutdown-sessions`, LVS `expire_nodest_conn`",
  }),
  health: absent(healthSection, {
    meaning:
      "A check of every server, at intervals. Left out: live traffic alone tells (`max_fails`, `fail_timeout` of a server).",
    alike: "HAProxy `check`, nginx plus `health_check`, keepalived's checkers",
  }),
  servers: required(list(shortened(serverSection, "address"), { type: "list of servers", entriesMin: 1 }), {
    meaning: "Each an address, or a map with the address and more.",
  }),
});

const accessLogSection = section({
  path: required(text("path", parseLogPath), {
    meaning: "File that lines are appended to. SIGUSR1 opens it anew.",
    alike: "nginx `access_log`",
  }),
  format: optional(oneOf(["json", "combined"]), "json", {
    meaning: "`combined` is the format of nginx and Apache, with the connection's facts after it.",
    alike: "nginx `log_format`",
  }),
});

/** What references.ts asks for: a gateway needs listeners and pools, or routers. */
const UNLESS_ROUTERS = "**required** unless there are virtual_routers";

/** The whole file. */
export const gatewaySection = section(
  {
    workers: optional(integerOr("auto", 1, 1024), "auto", {
      meaning: "Worker processes. `auto`: one per usable processor.",
      alike: "nginx `worker_processes`, HAProxy `nbthread`",
    }),
    user: absent(text("user name", parseUser), {
      meaning:
        "Workers, and the router process but for two capabilities, switch to this user when they are started as root. Left out: they stay who they are.",
      alike: "nginx and HAProxy `user`",
    }),
    admin: absent(bindAddress, {
      meaning:
        "Where the admin API listens: `unix:/run/holdfast.sock` or `127.0.0.1:9901`. Left out: nowhere.",
      alike: "HAProxy `stats socket`",
    }),
    drain_timeout: optional(duration(), "30s", {
      meaning: "How long connections may take to finish after a stop or reload.",
      alike: "nginx `worker_shutdown_timeout`, HAProxy `hard-stop-after`",
    }),
    access_log: absent(accessLogSection, { meaning: "Log of requests. Left out: none." }),
    heartbeats: absent(
      section({
        bind: required(bindAddress, {
          meaning:
            "Where applications push their beats: HTTP PUT over TCP, and datagrams over UDP on the same port; `unix:/path` takes HTTP alone. Whoever reaches it can keep a server up.",
        }),
      }),
      { meaning: "Receiver of heartbeats for pools with `health: { heartbeat: told }`. Left out: none." },
    ),
    listeners: orNone(named(listenerSection), {
      meaning: "What the gateway listens to, by name.",
      alike: "nginx `server`, HAProxy `frontend`",
      defaultText: UNLESS_ROUTERS,
    }),
    pools: orNone(named(poolSection), {
      meaning: "Groups of servers, by name.",
      alike: "nginx `upstream`, HAProxy `backend`",
      defaultText: UNLESS_ROUTERS,
    }),
    virtual_routers: orNone(named(virtualRouterSection), {
      meaning:
        "Addresses that this gateway shares with others over VRRP, by name. With them alone, without listeners, no worker is started.",
      alike: "keepalived `vrrp_instance`",
      defaultText: "none",
    }),
    state_dir: absent(text("path", parseStateDir), {
      meaning:
        "Directory for what must survive a restart: the maintenance of virtual routers. Left out: it is forgotten.",
    }),
  },
  { jsonSchema: { anyOf: [{ required: ["listeners", "pools"] }, { required: ["virtual_routers"] }] } },
);

export type RawGateway = typeof gatewaySection extends ValueKind<infer Output> ? Output : never;

function balanceKind(): ValueKind<Balance> {
  const words = ["round_robin", "least_conn", "random", "shortest_expected_delay", "never_queue"] as const;
  const hint = `write ${words.join(", ")}, {hash: source}, {hash: uri} or {hash: "header:X-User"}`;
  const parse = (input: unknown): Parsed<Balance> => {
    const word = words.find((candidate) => candidate === input);
    if (word !== undefined) return parsed({ kind: word });
    if (typeof input === "string" && Object.hasOwn(FOREIGN_BALANCES, input.toLowerCase()))
      return refused(
        `${quoted(input)} is not a way to balance`,
        `here it is called ${FOREIGN_BALANCES[input.toLowerCase()]!}`,
      );
    if (!isMap(input)) return refused(`${quoted(input)} is not a way to balance`, hint);
    const hash = input.hash;
    if (Object.keys(input).join() !== "hash" || typeof hash !== "string") {
      return refused("the map must hold one key, hash", hint);
    }
    if (hash === "source" || hash === "uri") return parsed({ kind: "hash", key: hash });
    const header = /^header:([!#$%&'*+.^_`|~0-9A-Za-z-]+)$/.exec(hash)?.[1];
    if (header === undefined) return refused(`hash: ${quoted(hash)} is not source, uri or header:NAME`, hint);
    return parsed({ kind: "hash", key: "header", header });
  };
  return value({
    type: `${words.map((word) => `\`${word}\``).join(", ")} or \`{ hash: KEY }\``,
    parse,
    jsonSchema: {
      anyOf: [
        { enum: words },
        {
          type: "object",
          additionalProperties: false,
          required: ["hash"],
          properties: { hash: { type: "string", pattern: "^(source|uri|header:.+)$" } },
        },
      ],
    },
  });
}

function isMap(input: unknown): input is Record<string, unknown> {
  return typeof input === "object" && input !== null && !Array.isArray(input);
}

function parseRouteHost(input: unknown): Parsed<string> {
  const host = typeof input === "string" ? input.toLowerCase() : "";
  if (host === "*") return refused('"*" is not needed', "leave host out: the route then matches every host");
  if (/:\d+$/.test(host))
    return refused(`${quoted(input)} has a port`, "write the host alone: the port of Host is not compared");
  const bare = host.startsWith("*.") ? host.slice(2) : host;
  if (/^([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])$/.test(bare)) return parsed(host);
  return refused(`${quoted(input)} is not a host`, "write api.example.org or *.example.org");
}

function parseRoutePath(input: unknown): Parsed<string> {
  if (typeof input !== "string" || !input.startsWith("/")) {
    return refused(`${quoted(input)} is not a path`, "a path begins with /");
  }
  return /^[!-~]+$/.test(input) && !/[?#]/.test(input)
    ? parsed(input)
    : refused(
        `${quoted(input)} has characters that a path cannot have`,
        "write the prefix as it is sent, percent-encoded and without a query",
      );
}

function parseLogPath(input: unknown): Parsed<string> {
  if (typeof input === "string" && input.startsWith("/")) return parsed(input);
  return refused(`${quoted(input)} is not an absolute path`, "write /var/log/holdfast/access.log");
}

function parseStateDir(input: unknown): Parsed<string> {
  if (typeof input === "string" && input.startsWith("/")) return parsed(input);
  return refused(`${quoted(input)} is not an absolute path`, "write /var/lib/holdfast");
}

function parseUser(input: unknown): Parsed<string> {
  if (typeof input === "string" && /^[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?$/.test(input)) return parsed(input);
  return refused(`${quoted(input)} is not a user name`, "write a name from /etc/passwd, such as nobody");
}
