/**
 * How a hop's own configuration spells a change, for the products whose words are known. A product is recognised by the hop's name
 * (catalogue.ts, readers/). Pure.
 */
import { formatDuration } from "../config/duration.ts";
import type { Hop, HopTcpKeepalive } from "./hop.ts";

export type Setting =
  | "keepalive"
  | "user-timeout"
  | "idle-timeout"
  | "response-timeout"
  | "ping-interval"
  | "client-side-keepalive"
  | "client-side-user-timeout"
  | "server-side-keepalive"
  | "server-side-user-timeout"
  | "client-idle-timeout"
  | "server-idle-timeout"
  | "session-timeout"
  | "upstream-idle-timeout"
  | "half-closed-timeout"
  | "established-timeout";

/** What a change is called in sentences; the name of the hop goes where % is. */
export const SETTING_NAMES: Readonly<Record<Setting, string>> = {
  keepalive: "so_keepalive of %",
  "user-timeout": "tcp_user_timeout of %",
  "idle-timeout": "idle time-out of %",
  "response-timeout": "response time-out of %",
  "ping-interval": "heartbeat of %",
  "client-side-keepalive": "so_keepalive of % towards the client",
  "client-side-user-timeout": "tcp_user_timeout of % towards the client",
  "server-side-keepalive": "so_keepalive of % towards the server",
  "server-side-user-timeout": "tcp_user_timeout of % towards the server",
  "client-idle-timeout": "client idle time-out of %",
  "server-idle-timeout": "server idle time-out of %",
  "session-timeout": "idle time-out of %'s sessions",
  "upstream-idle-timeout": "idle time-out of %'s connections to the server",
  "half-closed-timeout": "half-closed time-out of %",
  "established-timeout": "idle time-out of %",
};

interface Value {
  readonly ms: number;
  /** Durations with their unit, as nginx, HAProxy and Holdfast write them. */
  readonly duration: string;
  readonly seconds: number;
  readonly idle: number;
  readonly interval: number;
  readonly count: number;
}

type Spelling = (value: Value) => string;
type Spellings = Partial<Readonly<Record<Setting, Spelling>>>;

const sysctlKeepalive: Spelling = ({ idle, interval, count }) =>
  `sysctl -w net.ipv4.tcp_keepalive_time=${idle} net.ipv4.tcp_keepalive_intvl=${interval} net.ipv4.tcp_keepalive_probes=${count}`;
const soKeepalive: Spelling = ({ idle, interval, count }) => `${idle}s:${interval}s:${count}`;

const NGINX: Spellings = {
  "client-side-keepalive": (value) => `listen … so_keepalive=${soKeepalive(value)};`,
  "server-side-keepalive": (value) => `proxy_socket_keepalive on;  # and ${sysctlKeepalive(value)}`,
  // nginx has no directive for TCP_USER_TIMEOUT; what it accepts inherits from the listening socket.
  "client-side-user-timeout": ({ duration }) => `holdfast enable listen:… --tcp-user-timeout ${duration}`,
  "server-side-user-timeout": ({ duration }) =>
    `# nginx has no directive for it; live connections: holdfast enable process:nginx --tcp-user-timeout ${duration}`,
};
const NGINX_HTTP: Spellings = {
  ...NGINX,
  "client-idle-timeout": ({ duration }) => `keepalive_timeout ${duration};`,
  "response-timeout": ({ duration }) => `proxy_read_timeout ${duration};`,
  "upstream-idle-timeout": ({ duration }) => `upstream … { keepalive_timeout ${duration}; }`,
};
const NGINX_STREAM: Spellings = {
  ...NGINX,
  "session-timeout": ({ duration }) => `proxy_timeout ${duration};`,
  "half-closed-timeout": () => "proxy_half_close on;  # proxy_timeout is the limit then",
};

/** haproxy 2.3 has the intervals; configuration.txt §4.2. Its longest unit is the day, and it takes one unit only. */
const haproxyDuration = ({ ms }: Value): string => (ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`);
const haproxyKeepalive = (side: "cli" | "srv"): Spelling => {
  const lines = ({ idle, interval, count }: Value) => [
    `option ${side}tcpka`,
    `${side}tcpka-idle ${idle}s`,
    `${side}tcpka-intvl ${interval}s`,
    `${side}tcpka-cnt ${count}`,
  ];
  return (value) => lines(value).join("\n");
};
const HAPROXY: Spellings = {
  "client-side-keepalive": haproxyKeepalive("cli"),
  "server-side-keepalive": haproxyKeepalive("srv"),
  "client-side-user-timeout": (value) => `bind … tcp-ut ${haproxyDuration(value)}`,
  "server-side-user-timeout": (value) => `server … tcp-ut ${haproxyDuration(value)}`,
  "server-idle-timeout": (value) => `timeout server ${haproxyDuration(value)}`,
  "half-closed-timeout": (value) => `timeout client-fin ${haproxyDuration(value)}`,
};
const HAPROXY_HTTP: Spellings = {
  ...HAPROXY,
  "client-idle-timeout": (value) => `timeout http-keep-alive ${haproxyDuration(value)}`,
  "response-timeout": (value) => `timeout server ${haproxyDuration(value)}`,
  "upstream-idle-timeout": (value) => `server … pool-purge-delay ${haproxyDuration(value)}`,
};
const HAPROXY_TCP: Spellings = {
  ...HAPROXY,
  "client-idle-timeout": (value) => `timeout client ${haproxyDuration(value)}`,
  // One value for both sides once data flows in both directions.
  "session-timeout": (value) => `timeout tunnel ${haproxyDuration(value)}`,
};

const HOLDFAST: Spellings = {
  "client-side-keepalive": (value) => `listeners: { …: { so_keepalive: ${soKeepalive(value)} } }`,
  "server-side-keepalive": (value) => `pools: { …: { so_keepalive: ${soKeepalive(value)} } }`,
  "client-side-user-timeout": ({ duration }) => `listeners: { …: { tcp_user_timeout: ${duration} } }`,
  "server-side-user-timeout": ({ duration }) => `pools: { …: { tcp_user_timeout: ${duration} } }`,
  "client-idle-timeout": ({ duration }) => `listeners: { …: { http: { keepalive_timeout: ${duration} } } }`,
  "response-timeout": ({ duration }) => `pools: { …: { read_timeout: ${duration} } }`,
  "upstream-idle-timeout": ({ duration }) => `pools: { …: { keepalive_timeout: ${duration} } }`,
  "session-timeout": ({ duration }) => `listeners: { …: { tcp: { idle_timeout: ${duration} } } }`,
  "half-closed-timeout": ({ duration }) => `listeners: { …: { tcp: { half_close_timeout: ${duration} } } }`,
};

const envoyKeepalive: Spelling = ({ idle, interval, count }) =>
  `tcp_keepalive: { keepalive_time: ${idle}, keepalive_interval: ${interval}, keepalive_probes: ${count} }`;
const ENVOY: Spellings = {
  "client-side-keepalive": envoyKeepalive,
  "server-side-keepalive": (value) => `upstream_connection_options: { ${envoyKeepalive(value)} }`,
  "session-timeout": ({ seconds }) => `idle_timeout: ${seconds}s`,
  "client-idle-timeout": ({ seconds }) => `common_http_protocol_options: { idle_timeout: ${seconds}s }`,
  "upstream-idle-timeout": ({ seconds }) => `common_http_protocol_options: { idle_timeout: ${seconds}s }`,
  "response-timeout": ({ seconds }) => `route: { timeout: ${seconds}s }`,
};

const AWS_ALB: Spellings = {
  "response-timeout": ({ seconds }) => `idle_timeout.timeout_seconds=${seconds}`,
  "client-idle-timeout": ({ seconds }) => `idle_timeout.timeout_seconds=${seconds}`,
  "upstream-idle-timeout": ({ seconds }) => `idle_timeout.timeout_seconds=${seconds}`,
};

const NODE: Spellings = {
  keepalive: (value) => `setTcpKeepalive(socket, "${soKeepalive(value)}");  // from "holdfast/tcp"`,
  "user-timeout": ({ ms }) => `setTcpKeepalive(socket, …, { userTimeoutMs: ${ms} });  // from "holdfast/tcp"`,
  "idle-timeout": ({ ms }) => `server.keepAliveTimeout = ${ms};`,
  "response-timeout": ({ ms }) => `request.setTimeout(${ms});`,
};

const LIBPQ: Spellings = {
  keepalive: ({ idle, interval, count }) =>
    `keepalives=1 keepalives_idle=${idle} keepalives_interval=${interval} keepalives_count=${count}`,
  "user-timeout": ({ ms }) => `tcp_user_timeout=${ms}`,
};
const POSTGRES: Spellings = {
  keepalive: ({ idle, interval, count }) =>
    `tcp_keepalives_idle = ${idle}\ntcp_keepalives_interval = ${interval}\ntcp_keepalives_count = ${count}`,
  "user-timeout": ({ ms }) => `tcp_user_timeout = ${ms}`,
};
const GO: Spellings = {
  keepalive: ({ idle, interval, count }) =>
    `net.KeepAliveConfig{Enable: true, Idle: ${idle} * time.Second, Interval: ${interval} * time.Second, Count: ${count}}`,
};

/** Works on any program, running or not: every end point whose own words are not known. */
const ANY_END_POINT: Spellings = {
  keepalive: (value) => `holdfast enable … --so-keepalive ${soKeepalive(value)}`,
  "user-timeout": (value) => `holdfast enable … --tcp-user-timeout ${value.duration}`,
};

const BOXES: readonly (readonly [RegExp, Spellings])[] = [
  [
    /^(lvs|ipvs|kube-proxy-ipvs)/,
    {
      "established-timeout": ({ seconds }) => `ipvsadm --set ${seconds} 0 0`,
      "half-closed-timeout": ({ seconds }) => `ipvsadm --set 0 ${seconds} 0`,
    },
  ],
  [
    /^conntrack/,
    {
      "established-timeout": ({ seconds }) =>
        `sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=${seconds}`,
    },
  ],
  [/^aws-(nlb|gwlb)/, { "established-timeout": ({ seconds }) => `tcp.idle_timeout.seconds=${seconds}` }],
  [/^ec2-security-group/, { "established-timeout": ({ seconds }) => `TcpEstablishedTimeout=${seconds}` }],
  [
    /^(azure|aks)/,
    { "established-timeout": ({ seconds }) => `idleTimeoutInMinutes: ${Math.ceil(seconds / 60)}` },
  ],
  [/^f5/, { "established-timeout": ({ seconds }) => `idle-timeout ${seconds}` }],
  [/^cisco-asa/, { "established-timeout": ({ seconds }) => `timeout conn ${clock(seconds)}` }],
];

/** net.ipv4.tcp_keepalive_time */
const KERNEL_IDLE_MS = 7_200_000;

function clock(seconds: number): string {
  const two = (count: number): string => String(Math.floor(count)).padStart(2, "0");
  return `${Math.floor(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
}

function spellingsOf(hop: Hop): Spellings {
  const { name } = hop;
  if (hop.kind === "packet-box") return BOXES.find(([pattern]) => pattern.test(name))?.[1] ?? {};
  if (hop.kind === "proxy") {
    if (/nginx/.test(name)) return hop.protocol === "http" ? NGINX_HTTP : NGINX_STREAM;
    if (/haproxy/.test(name)) return hop.protocol === "http" ? HAPROXY_HTTP : HAPROXY_TCP;
    if (/holdfast/.test(name)) return HOLDFAST;
    if (/^aws-alb/.test(name)) return AWS_ALB;
    return /envoy|istio|contour/.test(name) ? ENVOY : {};
  }
  if (/^node/.test(name)) return { ...ANY_END_POINT, ...NODE };
  if (/^(libpq|psql)/.test(name)) return { ...ANY_END_POINT, ...LIBPQ };
  if (/^postgres(ql)?$/.test(name)) return { ...ANY_END_POINT, ...POSTGRES };
  if (/^go\b/.test(name)) return { ...ANY_END_POINT, ...GO };
  // It has asked for probes and taken the kernel's times: those are one sysctl for all of them.
  const takesKernelTimes = hop.tcp.keepalive?.idleMs === KERNEL_IDLE_MS;
  return takesKernelTimes ? { ...ANY_END_POINT, keepalive: sysctlKeepalive } : ANY_END_POINT;
}

export function directiveFor(
  hop: Hop,
  setting: Setting,
  valueMs: number | undefined,
  keepalive: HopTcpKeepalive | undefined,
): string | undefined {
  const spelling = spellingsOf(hop)[setting];
  const ms = valueMs ?? 0;
  return spelling?.({
    ms,
    duration: formatDuration(ms),
    seconds: Math.ceil(ms / 1000),
    idle: (keepalive?.idleMs ?? 0) / 1000,
    interval: (keepalive?.intervalMs ?? 0) / 1000,
    count: keepalive?.probeCount ?? 0,
  });
}
