/** Tests of load.ts: defaults, what the file means, and the text and place of every kind of problem. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDiagnostic } from "./diagnostics.ts";
import type { HostFacts } from "./lint.ts";
import { loadConfig } from "./load.ts";
import type { GatewayConfig } from "./types.ts";

const HOST: HostFacts = {
  processors: 3,
  isRoot: false,
  tcpKeepaliveDefaults: { idleSeconds: 7200, intervalSeconds: 75, probeCount: 9 },
};

const MINIMAL = `listeners:
  web:
    bind: 127.0.0.1:8080
    http:
      routes: [{ pool: app }]
pools:
  app:
    servers: [127.0.0.1:3000]
`;

function load(text: string, host = HOST): { config: GatewayConfig; warnings: string[] } {
  const result = loadConfig(text, "f.yaml", host);
  assert.ok(result.ok, result.ok ? "" : result.diagnostics.map(formatDiagnostic).join("\n"));
  return { config: result.config, warnings: result.warnings.map(formatDiagnostic) };
}

/** Every diagnostic as it is printed. */
function problems(text: string): string[] {
  const result = loadConfig(text, "f.yaml", HOST);
  assert.equal(result.ok, false, "the file was accepted");
  return result.ok ? [] : result.diagnostics.map(formatDiagnostic);
}

/** MINIMAL with more keys in one of its sections. */
function withKeys(section: "top" | "listener" | "http" | "pool", lines: string): string {
  const anchors = { top: /^/, listener: / {4}bind.*\n/, http: / {4}http:\n/, pool: / {2}app:\n/ };
  const indent = { top: "", listener: "    ", http: "      ", pool: "    " }[section];
  const text = lines.split("\n").map((line) => `${indent}${line}\n`);
  return MINIMAL.replace(anchors[section], (match) => match + text.join(""));
}

test("loadConfig() fills in every default (nginx's where it has one)", () => {
  const { config, warnings } = load(MINIMAL);
  const soKeepalive = { enabled: true, idleSeconds: 60, intervalSeconds: 10, probeCount: 6 };
  assert.deepEqual(warnings, []);
  assert.deepEqual(config, {
    virtualRouters: [],
    stateDir: undefined,
    workers: 3,
    user: undefined,
    admin: undefined,
    drainTimeoutMs: 30_000,
    accessLog: undefined,
    heartbeats: undefined,
    listeners: [
      {
        name: "web",
        bind: [{ family: "inet", host: "127.0.0.1", port: 8080 }],
        backlog: 4096,
        tcpKeepalive: soKeepalive,
        tcpUserTimeoutMs: 0,
        proxyProtocol: "off",
        tcp: undefined,
        http: {
          keepaliveTimeoutMs: 75_000,
          keepaliveHeaderSeconds: undefined,
          keepaliveRequests: 1000,
          keepaliveTimeMs: 3_600_000,
          clientHeaderTimeoutMs: 60_000,
          clientBodyTimeoutMs: 60_000,
          sendTimeoutMs: 60_000,
          tunnelTimeoutMs: 3_600_000,
          lingeringTimeMs: 30_000,
          lingeringTimeoutMs: 5000,
          maxHeaderBytes: 16_384,
          maxBodyBytes: 0,
          via: true,
          trustedProxies: [],
          routes: [{ host: undefined, path: "/", pool: "app" }],
        },
      },
    ],
    pools: [
      {
        name: "app",
        balance: { kind: "round_robin" },
        tcpKeepalive: soKeepalive,
        tcpUserTimeoutMs: 0,
        connectTimeoutMs: 5000,
        readTimeoutMs: 60_000,
        sendTimeoutMs: 60_000,
        keepalive: 64,
        keepaliveTimeoutMs: "auto",
        keepaliveRequests: 1000,
        keepaliveTimeMs: 3_600_000,
        sourceAddress: undefined,
        nextUpstream: { tries: 2, timeoutMs: 10_000, nonIdempotent: "provable" },
        replayBytesMax: 65_536,
        sendProxy: "off",
        queueMax: 0,
        queueTimeoutMs: 5000,
        onDown: "keep",
        health: undefined,
        servers: [
          {
            name: "127.0.0.1:3000",
            address: { family: "inet", host: "127.0.0.1", port: 3000 },
            weight: 1,
            maxFails: 1,
            failTimeoutMs: 10_000,
            maxConns: 0,
            slowStartMs: 0,
            backup: false,
          },
        ],
      },
    ],
  });
  assert.deepEqual(structuredClone(config), config, "plain values only: the workers get it as JSON");
});

test("loadConfig() reads every form of a value", () => {
  const { config } = load(`workers: 2
user: nobody
admin: unix:/run/holdfast.sock
access_log: { path: /var/log/access.log, format: combined }
listeners:
  web:
    bind: ["*:80", "[::]:80"]
    so_keepalive: off
    http:
      keepalive_timeout: 30
      keepalive_header: 20s
      max_body_size: 1m
      via: on
      trusted_proxies: 10.0.0.0/8
      routes: [{ host: "*.Example.org", path: /v1/, pool: app }]
pools:
  app:
    balance: { hash: "header:X-User" }
    keepalive_timeout: 4s
    source_address: 0::1
    servers: [unix:/run/app.sock, { address: "app.internal:80", weight: 3, backup: true }, { address: "10.0.0.3:80", backup: off }]
`);
  const [listener] = config.listeners;
  const [pool] = config.pools;
  assert.equal(config.user, "nobody");
  assert.deepEqual(config.admin, { family: "unix", path: "/run/holdfast.sock" });
  assert.deepEqual(config.accessLog, { path: "/var/log/access.log", format: "combined" });
  assert.equal(listener!.bind.length, 2);
  assert.equal(listener!.tcpKeepalive.enabled, false);
  assert.equal(listener!.http?.keepaliveTimeoutMs, 30_000);
  assert.equal(listener!.http?.keepaliveHeaderSeconds, 20);
  assert.equal(listener!.http?.via, true);
  assert.deepEqual(listener!.http?.trustedProxies, ["10.0.0.0/8"]);
  assert.deepEqual(listener!.http?.routes, [{ host: "*.example.org", path: "/v1/", pool: "app" }]);
  assert.deepEqual(pool!.balance, { kind: "hash", key: "header", header: "X-User" });
  assert.equal(pool!.keepaliveTimeoutMs, 4000);
  assert.equal(pool!.sourceAddress, "::1");
  assert.deepEqual(
    pool!.servers.map(({ name, weight, backup }) => [name, weight, backup]),
    [
      ["unix:/run/app.sock", 1, false],
      ["app.internal:80", 3, true],
      ["10.0.0.3:80", 1, false],
    ],
  );
});

test("loadConfig() knows anchors and merge keys, and still finds the line", () => {
  const text = `${MINIMAL.replace("  app:", "  app: &base")}  other:\n    <<: *base\n    weight: 1\n`;
  assert.deepEqual(problems(text), [
    "f.yaml:9:3: warning: pools.other: no listener uses this pool\n  hint: add a route to it or name it in a tcp listener, or remove it",
    "f.yaml:11:5: error: pools.other.weight: unknown key\n  hint: it belongs in pools.NAME.servers[].weight",
  ]);
});

test("loadConfig() reports all problems of a file at once, in its order", () => {
  const found = problems(`workerz: 4
drain_timeout: 75x
listeners:
  web:
    bind: 0.0.0.0:8080
    so_keepalive: 0s::200
    http:
      keepalive_timeout: 75s
      keepalive_timeout: 80s
      routes: [{ pool: wep }]
pools:
  web: { servers: [] }
`);
  assert.deepEqual(
    found.map((text) => text.split("\n")[0]),
    [
      "f.yaml:1:1: error: workerz: unknown key",
      'f.yaml:2:16: error: drain_timeout: "75x" is not a duration',
      'f.yaml:6:19: error: listeners.web.so_keepalive: "0s::200": the idle time "0s" is out of range: the kernel allows 1s to 32767s',
      'f.yaml:9:7: error: "keepalive_timeout" is written twice in this map',
      'f.yaml:10:24: error: listeners.web.http.routes[0].pool: there is no pool "wep"',
      "f.yaml:12:3: warning: pools.web: no listener uses this pool",
      "f.yaml:12:19: error: pools.web.servers: must not be empty",
    ],
  );
});

/** One wrong line each, in one section of the minimal file. */
const ONE_PROBLEM: [section: "top" | "listener" | "http" | "pool", line: string, expected: string][] = [
  ["top", "workerz: 4", "f.yaml:1:1: error: workerz: unknown key\n  hint: did you mean workers?"],
  ["top", "usre: nobody", "f.yaml:1:1: error: usre: unknown key\n  hint: did you mean user?"],
  [
    "top",
    "worker_processes: 4",
    "f.yaml:1:1: error: worker_processes: unknown key\n  hint: here it is called workers",
  ],
  [
    "top",
    "zzz: 1",
    "f.yaml:1:1: error: zzz: unknown key\n  hint: keys here: workers, user, admin, drain_timeout, access_log, heartbeats, listeners, pools, virtual_routers, state_dir",
  ],
  [
    "top",
    "keepalive_requests: 1",
    "f.yaml:1:1: error: keepalive_requests: unknown key\n  hint: it belongs in listeners.NAME.http.keepalive_requests or pools.NAME.keepalive_requests",
  ],
  ["top", "workers: 0", "f.yaml:1:10: error: workers: 0 is neither auto nor a whole number from 1 to 1024"],
  [
    "top",
    "access_log: on",
    'f.yaml:1:13: error: access_log: must be a map of keys, not "on"\n  hint: keys: path, format',
  ],
  [
    "top",
    "access_log: {path: a.log}",
    'f.yaml:1:20: error: access_log.path: "a.log" is not an absolute path\n  hint: write /var/log/holdfast/access.log',
  ],
  [
    "top",
    "user: 'a b'",
    'f.yaml:1:7: error: user: "a b" is not a user name\n  hint: write a name from /etc/passwd, such as nobody',
  ],
  [
    "listener",
    "so_keepalive: true",
    "f.yaml:4:19: error: listeners.web.so_keepalive: true is not on or off\n  hint: write on",
  ],
  [
    "listener",
    "so_keepalive: :10s:",
    'f.yaml:4:19: error: not valid YAML: Nested mappings are not allowed in compact mappings\n  hint: YAML takes the last colon for a key: put the value in quotes, so_keepalive: ":10s:"',
  ],
  [
    "listener",
    "backlog: many",
    'f.yaml:4:14: error: listeners.web.backlog: "many" is not a whole number\n  hint: allowed is 1 to 65535',
  ],
  [
    "listener",
    "redis: {}",
    "f.yaml:4:5: error: listeners.web.redis: Redis listeners are not supported yet\n  hint: use tcp: it relays Redis connections as they are",
  ],
  [
    "http",
    "keepalive_timeout:",
    "f.yaml:5:25: error: listeners.web.http.keepalive_timeout: an empty value is not a duration\n  hint: write a duration such as 500ms, 75s, 30m or 1h30m; a bare number is seconds",
  ],
  [
    "http",
    "max_header_size: 1g",
    'f.yaml:5:24: error: listeners.web.http.max_header_size: "1g" is out of range: allowed is 1k to 64k',
  ],
  [
    "http",
    "send_timeout: 0",
    "f.yaml:5:21: error: listeners.web.http.send_timeout: 0 is out of range: allowed is 1ms to 24d",
  ],
  [
    "http",
    "via: maybe",
    'f.yaml:5:12: error: listeners.web.http.via: "maybe" is not a boolean\n  hint: write true or false',
  ],
  [
    "http",
    "client_max_body_size: 1m",
    "f.yaml:5:7: error: listeners.web.http.client_max_body_size: unknown key\n  hint: here it is called max_body_size",
  ],
  [
    "http",
    "keepalive_header: 80s",
    "f.yaml:5:25: error: listeners.web.http.keepalive_header: 1m20s promises more than keepalive_timeout (1m15s) keeps\n  hint: write less than 1m15s, so that clients let go first",
  ],
  [
    "http",
    "keepalive_header: 1500ms",
    "f.yaml:5:25: error: listeners.web.http.keepalive_header: 1s500ms is not whole seconds\n  hint: Keep-Alive: timeout= counts in seconds",
  ],
  [
    "pool",
    "balance: hash",
    'f.yaml:8:14: error: pools.app.balance: "hash" is not a way to balance\n  hint: write round_robin, least_conn, random, shortest_expected_delay, never_queue, {hash: source}, {hash: uri} or {hash: "header:X-User"}',
  ],
  [
    "pool",
    "balance: hash: source",
    "f.yaml:8:14: error: not valid YAML: Nested mappings are not allowed in compact mappings\n  hint: write balance: {hash: source}",
  ],
  [
    "pool",
    "next_upstream: {tries: 0}",
    "f.yaml:8:28: error: pools.app.next_upstream.tries: 0 is out of range: allowed is 1 to 100",
  ],
  [
    "pool",
    "next_upstream: {non_idempotent: always}",
    'f.yaml:8:37: error: pools.app.next_upstream.non_idempotent: "always" is not one of provable, never\n  hint: write provable or never',
  ],
];

for (const [section, line, expected] of ONE_PROBLEM) {
  test(`loadConfig() explains "${line}" in ${section}`, () => {
    assert.deepEqual(problems(withKeys(section, line)), [expected]);
  });
}

/** The whole minimal file with one replacement. */
const REPLACED: [from: string | RegExp, to: string, expected: string[]][] = [
  [
    "    bind: 127.0.0.1:8080\n",
    "",
    [
      "f.yaml:3:5: error: listeners.web.bind: is missing\n  hint: add bind (address or list of addresses): Where to listen: `0.0.0.0:8080`, `[::]:8080`, `unix:/path`, or a port alone for every IPv4 address. `[::]` takes IPv6 only.",
    ],
  ],
  [
    "127.0.0.1:8080",
    "[::]:8080",
    [
      'f.yaml:3:15: error: not valid YAML: Unexpected scalar at node end\n  hint: put IPv6 addresses in quotes: "[::]:8080"',
    ],
  ],
  [
    "127.0.0.1:8080",
    "*:8080",
    [
      'f.yaml:3:11: error: *:8080 refers to an anchor (&:8080) that is not in the file\n  hint: to write a star, use quotes: "*:8080"',
    ],
  ],
  [
    "127.0.0.1:8080",
    '["*:80", "127.0.0.1:80"]',
    [
      "f.yaml:3:20: error: listeners.web.bind[1]: 127.0.0.1:80 is taken: it overlaps with 0.0.0.0:80 of listener web (line 3)\n  hint: two sockets cannot listen on one address; give one of them another port, or route by host in one listener",
    ],
  ],
  [
    "127.0.0.1:8080",
    "example.org:80",
    [
      'f.yaml:3:11: error: listeners.web.bind: "example.org:80": a name cannot be bound, only an address of this machine\n  hint: write ADDRESS:PORT such as 0.0.0.0:8080, 127.0.0.1:8080 or [::]:8080, a port alone, or unix:/path',
    ],
  ],
  [
    "[{ pool: app }]",
    "[{ pool: app }, { pool: app, path: / }]",
    [
      "f.yaml:5:31: error: listeners.web.http.routes[1]: matches the same host and path as the route at line 5\n  hint: remove one of the two, or give it another host or path",
    ],
  ],
  [
    "[{ pool: app }]",
    "[{ pool: ap }, { pool: app, path: /a }]",
    [
      'f.yaml:5:24: error: listeners.web.http.routes[0].pool: there is no pool "ap"\n  hint: did you mean app?',
    ],
  ],
  [
    "[{ pool: app }]",
    "[{ pool: app, host: 'a:80' }]",
    [
      'f.yaml:5:35: error: listeners.web.http.routes[0].host: "a:80" has a port\n  hint: write the host alone: the port of Host is not compared',
    ],
  ],
  [
    "[{ pool: app }]",
    "[{ pool: app, path: v1 }]",
    [
      'f.yaml:5:35: error: listeners.web.http.routes[0].path: "v1" is not a path\n  hint: a path begins with /',
    ],
  ],
  [
    / {4}http:\n.*\n/,
    "",
    [
      "f.yaml:3:5: error: listeners.web: does not say what it speaks: http or tcp is missing\n  hint: add http: { routes: [{ pool: NAME }] } or tcp: { pool: NAME }",
      "f.yaml:5:3: warning: pools.app: no listener uses this pool\n  hint: add a route to it or name it in a tcp listener, or remove it",
    ],
  ],
  [
    "[127.0.0.1:3000]",
    "127.0.0.1:3000",
    [
      'f.yaml:8:14: error: pools.app.servers: must be a list, not "127.0.0.1:3000"\n  hint: write each entry on a line of its own, after "- "',
    ],
  ],
  [
    "[127.0.0.1:3000]",
    "[{ address: 127.0.0.1:3000, weight: 70000 }]",
    ["f.yaml:8:50: error: pools.app.servers[0].weight: 70000 is out of range: allowed is 1 to 65535"],
  ],
  [
    "[127.0.0.1:3000]",
    "[{ address: 127.0.0.1:3000, bakup: true }]",
    ["f.yaml:8:42: error: pools.app.servers[0].bakup: unknown key\n  hint: did you mean backup?"],
  ],
  [
    "[127.0.0.1:3000]",
    "[{ address: 127.0.0.1:3000, backup: true }]",
    [
      "f.yaml:8:14: error: pools.app.servers: every server is a backup\n  hint: a backup stands in for others: make at least one server no backup",
    ],
  ],
  [
    "[127.0.0.1:3000]",
    "[127.0.0.300:3000]",
    [
      'f.yaml:8:15: error: pools.app.servers[0]: "127.0.0.300:3000": 127.0.0.300 is not an IPv4 address\n  hint: write HOST:PORT such as 10.0.0.11:80, app.internal:8080 or [2001:db8::1]:80, or unix:/path',
    ],
  ],
  [
    /^listeners:.*$/s,
    "",
    ["f.yaml:1:1: error: the file is empty\n  hint: examples/minimal.yaml is a good start"],
  ],
  [
    /^listeners:.*$/s,
    "a: b\n---\nc: d\n",
    ["f.yaml:2:1: error: not valid YAML: a second document begins here (---); the file must hold one"],
  ],
];

for (const [from, to, expected] of REPLACED) {
  test(`loadConfig() explains ${JSON.stringify(to || String(from))} for ${JSON.stringify(String(from))}`, () => {
    assert.deepEqual(problems(MINIMAL.replace(from, to)), expected);
  });
}

test("loadConfig() refuses names that cannot be labels or are no keys of their own", () => {
  for (const name of ['"a b"', "constructor", "__proto__"]) {
    const [first] = problems(MINIMAL.replaceAll("app", name));
    assert.match(first!, /is not a name\n {2}hint: a name has 1 to 64 letters, digits, _, - and dots$/, name);
  }
});

test("loadConfig() finds two listeners and the admin server on one address", () => {
  const other = "  two: { bind: 8080, http: { routes: [{ pool: app }] } }\npools:";
  const found = problems(`admin: 127.0.0.1:8080\n${MINIMAL.replace("pools:", other)}`);
  assert.deepEqual(
    found.map((text) => text.split("\n")[0]),
    [
      "f.yaml:1:8: error: admin: 127.0.0.1:8080 is taken: it overlaps with 127.0.0.1:8080 of listener web (line 4)",
      "f.yaml:7:16: error: listeners.two.bind: 0.0.0.0:8080 is taken: it overlaps with 127.0.0.1:8080 of listener web (line 4)",
    ],
  );
});

test("loadConfig() survives aliases that expand without end", () => {
  const levels = ["a", "b", "c", "d", "e", "f"].map((name, index, names) => {
    const item = index === 0 ? "x" : `*${names[index - 1]}`;
    return `${name}: &${name} [${new Array(9).fill(item).join(", ")}]\n`;
  });
  assert.match(problems(levels.join(""))[0]!, /cannot be read: Excessive alias count/);
});

/** Valid, but worth a word. */
const WARNED: [section: "top" | "listener" | "http" | "pool", lines: string, expected: string][] = [
  [
    "top",
    "user: nobody",
    "f.yaml:1:7: warning: user: has no effect: only root can switch to another user\n  hint: start as root, or remove it",
  ],
  [
    "listener",
    "so_keepalive: 60s:10s:6\ntcp_user_timeout: 30s",
    "f.yaml:5:23: warning: listeners.web.tcp_user_timeout: 30s is at or below so_keepalive's idle time of 1m: the kernel ignores the count of 6, and ONE lost probe kills the connection, after 1m10s\n  hint: write 1m55s (a little below 2m), or change so_keepalive",
  ],
  [
    "http",
    "keepalive_header: 75s",
    "f.yaml:5:25: warning: listeners.web.http.keepalive_header: equals keepalive_timeout (1m15s): client and gateway close at the same moment, and requests are lost\n  hint: make it a few seconds less, so that clients let go first",
  ],
  [
    "pool",
    "keepalive: 0",
    "f.yaml:8:16: warning: pools.app.keepalive: no connection is kept: every request opens one and leaves a TIME_WAIT behind\n  hint: write keepalive: 64, the number of idle connections per worker",
  ],
  [
    "pool",
    "keepalive_timeout: 5m",
    "f.yaml:8:24: warning: pools.app.keepalive_timeout: 5m is longer than most servers keep an idle connection (Node 5s, Apache 5s, Tomcat 20s, nginx 75s); they would close first\n  hint: write auto, or less than the server's own timeout",
  ],
  [
    "pool",
    "next_upstream: { timeout: 2s }",
    "f.yaml:8:31: warning: pools.app.next_upstream.timeout: 2s is less than connect_timeout (5s): when a server does not answer, the time for a second try is over\n  hint: make it longer than connect_timeout, or connect_timeout shorter",
  ],
];

for (const [section, lines, expected] of WARNED) {
  test(`loadConfig() warns of "${lines.replaceAll("\n", ", ")}"`, () => {
    assert.deepEqual(load(withKeys(section, lines)).warnings, [expected]);
  });
}

test("loadConfig() warns of late probes only where something lies on the way", () => {
  const text = withKeys("pool", "so_keepalive: on");
  assert.deepEqual(load(text).warnings, []);
  const remote = load(text.replace("127.0.0.1:3000", "10.0.0.1:80")).warnings;
  assert.match(
    remote[0]!,
    /^f\.yaml:8:19: warning: pools\.app\.so_keepalive: the first probe comes only after 2h/,
  );
  const tuned = { ...HOST, tcpKeepaliveDefaults: { ...HOST.tcpKeepaliveDefaults, idleSeconds: 60 } };
  assert.deepEqual(load(text.replace("127.0.0.1:3000", "10.0.0.1:80"), tuned).warnings, []);
});

test("loadConfig() warns of a server written twice", () => {
  const { warnings } = load(MINIMAL.replace("[127.0.0.1:3000]", "[127.0.0.1:3000, 127.0.0.1:3000]"));
  assert.deepEqual(warnings, [
    "f.yaml:8:31: warning: pools.app.servers[1]: 127.0.0.1:3000 is in this pool already (line 8)\n  hint: use weight to give one server more requests",
  ]);
});
