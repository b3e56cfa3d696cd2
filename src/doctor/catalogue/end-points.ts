/**
 * Catalogue: what runtimes, libraries and servers do with their sockets when nobody tells them otherwise. Data of ../catalogue.ts.
 * Node's values were measured on Node 20.20.2 (getsockopt of the running process).
 */
import type { CatalogueEntry, Knob } from "../catalogue-entry.ts";

type EndPoint = Omit<CatalogueEntry, "group" | "kind">;

/** libuv sets 1 s and 10 with whatever delay it is given: src/unix/tcp.c, uv__tcp_keepalive. */
const nodeKnobs: Readonly<Record<string, Knob>> = {
  keepAliveTimeout: { fields: ["idle_timeout"], unit: "ms" },
  keepAliveInitialDelay: { fields: ["keepalive_idle"], unit: "ms" },
  keepAliveMsecs: { fields: ["keepalive_idle"], unit: "ms" },
  keepAlive: { fields: ["so_keepalive"] },
};
const NODE_MEASURED = "measured on Node 20.20.2";

const NODE: readonly EndPoint[] = [
  {
    name: "node-http",
    title: "Node.js: http.globalAgent; http.createServer()",
    roles: "both",
    defaults: { so_keepalive: "1s:1s:10", idle_timeout: "5s" },
    serverDefaults: { so_keepalive: "off", idle_timeout: "5s" },
    knobs: nodeKnobs,
    source: {
      text: `${NODE_MEASURED}: agent probes every second, server.keepAliveTimeout 5 s`,
      url: "https://nodejs.org/docs/latest-v20.x/api/http.html",
    },
    clientNote: "a probe per second on every idle socket; 11 s of packet loss kill it",
  },
  {
    name: "node-https",
    title: "Node.js: https.globalAgent; https.createServer()",
    roles: "both",
    defaults: { so_keepalive: "off", idle_timeout: "5s" },
    serverDefaults: { so_keepalive: "off", idle_timeout: "5s" },
    knobs: nodeKnobs,
    source: {
      text: `${NODE_MEASURED}: no keepalive while a request is in flight (node #47137, #62003)`,
      url: "https://github.com/nodejs/node/issues/62003",
    },
    clientNote: "no keepalive while a request is in flight, whatever the agent was told",
  },
  {
    name: "node-fetch",
    title: "Node.js: fetch(), undici",
    roles: "client",
    defaults: { so_keepalive: "60s:1s:10", idle_timeout: "4s", response_timeout: "5m" },
    knobs: { ...nodeKnobs, headersTimeout: { fields: ["response_timeout"], unit: "ms" } },
    source: {
      text: `${NODE_MEASURED}: keepalive 60 s, 1 s, 10; undici: keepAliveTimeout 4 s, headersTimeout 300 s`,
      url: "https://undici.nodejs.org/#/docs/api/Client",
    },
  },
  {
    name: "node-net",
    title: "Node.js: net.connect(), net.createServer()",
    roles: "both",
    defaults: { so_keepalive: "off" },
    knobs: nodeKnobs,
    source: {
      text: `${NODE_MEASURED}: off; setKeepAlive(true) without a delay is 7200 s`,
      url: "https://nodejs.org/docs/latest-v20.x/api/net.html",
    },
  },
];

const RUNTIMES: readonly EndPoint[] = [
  {
    name: "go",
    title: "Go net.Dial(), net.Listen(), http.Server",
    roles: "both",
    defaults: { so_keepalive: "15s:15s:9" },
    knobs: {
      IdleTimeout: { fields: ["idle_timeout"] },
      KeepAlive: { fields: ["keepalive_idle"] },
    },
    source: {
      text: "Go net.KeepAliveConfig: 15 s, 15 s, 9 (golang #62254)",
      url: "https://pkg.go.dev/net#KeepAliveConfig",
    },
  },
  {
    name: "go-http",
    title: "Go http.DefaultTransport",
    roles: "client",
    defaults: { so_keepalive: "30s:15s:9", idle_timeout: "90s" },
    knobs: {
      IdleConnTimeout: { fields: ["idle_timeout"] },
      ResponseHeaderTimeout: { fields: ["response_timeout"] },
      KeepAlive: { fields: ["keepalive_idle"] },
    },
    source: {
      text: "Go net/http/transport.go: Dialer KeepAlive 30 s, IdleConnTimeout 90 s; interval 15 s since Go 1.23, 30 s before",
      url: "https://github.com/golang/go/blob/master/src/net/http/transport.go",
    },
  },
  {
    name: "java",
    title: "Java sockets",
    roles: "both",
    defaults: { so_keepalive: "off" },
    knobs: { SO_TIMEOUT: { fields: ["response_timeout"], unit: "ms" } },
    source: {
      text: "SO_KEEPALIVE is off; TCP_KEEPIDLE and the others since Java 11 (ExtendedSocketOptions)",
      isUnverified: true,
    },
  },
  {
    name: "python",
    title: "Python sockets, requests, urllib3, httpx",
    roles: "both",
    defaults: { so_keepalive: "off" },
    source: {
      text: "off; httpx sets none (httpx #2975)",
      url: "https://github.com/encode/httpx/discussions/2975",
    },
  },
  {
    name: "curl",
    title: "curl, libcurl",
    roles: "client",
    defaults: { so_keepalive: "60s:60s:9", idle_timeout: "118s" },
    knobs: {
      "keepalive-time": { fields: ["keepalive_idle", "keepalive_interval"] },
      "max-time": { fields: ["response_timeout"] },
    },
    source: {
      text: "libcurl documentation: TCP_KEEPIDLE 60 s, TCP_KEEPINTVL 60 s, TCP_KEEPCNT 9, MAXAGE_CONN 118 s; the curl program asks for probes, libcurl does not by itself",
      url: "https://curl.se/libcurl/c/CURLOPT_MAXAGE_CONN.html",
    },
  },
  {
    name: "browser",
    title: "Web browser",
    roles: "client",
    defaults: { so_keepalive: "45s:45s:9", idle_timeout: "5m", response_timeout: "5m" },
    source: { text: "Chromium: probes after 45 s, idle sockets 300 s", isUnverified: true },
  },
  {
    name: "websocket",
    title: "WebSocket client or server without pings",
    roles: "both",
    defaults: { so_keepalive: "off" },
    source: { text: "no automatic ping in ws; browsers cannot send one", isUnverified: true },
  },
  {
    name: "ssh",
    title: "OpenSSH client and server",
    roles: "both",
    defaults: { so_keepalive: "on" },
    knobs: {
      TCPKeepAlive: { fields: ["so_keepalive"], words: { yes: "on", no: "off" } },
      ServerAliveInterval: { fields: ["ping_interval"], words: { "0": "never" } },
      ClientAliveInterval: { fields: ["ping_interval"], words: { "0": "never" } },
    },
    source: {
      text: "ssh_config(5): TCPKeepAlive yes (the system's 2 h), ServerAliveInterval 0",
      url: "https://man.openbsd.org/ssh_config#TCPKeepAlive",
    },
  },
  {
    name: "grpc",
    title: "gRPC core",
    roles: "both",
    defaults: { so_keepalive: "off" },
    serverDefaults: { so_keepalive: "off", ping_interval: "2h" },
    knobs: { GRPC_ARG_KEEPALIVE_TIME_MS: { fields: ["ping_interval"], unit: "ms" } },
    source: {
      text: "gRPC keepalive guide: client off, server 2 h; pings more often than every 5 min are punished (too_many_pings)",
      url: "https://github.com/grpc/grpc/blob/master/doc/keepalive.md",
    },
  },
  {
    name: "k8s-client-go",
    title: "Kubernetes client-go, kubelet, kubectl",
    roles: "client",
    defaults: { so_keepalive: "30s:30s:9", ping_interval: "30s" },
    source: {
      text: "HTTP/2 PING after 30 s without a frame, 15 s for the answer (kubernetes #95981); its kernel probes are from memory",
      url: "https://github.com/kubernetes/kubernetes/pull/95981",
      isUnverified: true,
    },
  },
];

/** SO_KEEPALIVE parts under the names that PostgreSQL and libpq have for them. */
const postgresKnobs: Readonly<Record<string, Knob>> = {
  tcp_keepalives_idle: { fields: ["keepalive_idle"] },
  tcp_keepalives_interval: { fields: ["keepalive_interval"] },
  tcp_keepalives_count: { fields: ["keepalive_count"] },
  tcp_user_timeout: { fields: ["tcp_user_timeout"], unit: "ms" },
  idle_session_timeout: { fields: ["idle_timeout"], unit: "ms", words: { "0": "never" } },
  statement_timeout: { fields: ["response_timeout"], unit: "ms", words: { "0": "never" } },
};

const DATABASES: readonly EndPoint[] = [
  {
    name: "postgres",
    title: "PostgreSQL server",
    roles: "server",
    defaults: { so_keepalive: "on" },
    knobs: postgresKnobs,
    source: {
      text: "PostgreSQL documentation: tcp_keepalives_* 0 = the system's values",
      url: "https://www.postgresql.org/docs/current/runtime-config-connection.html",
    },
  },
  {
    name: "libpq",
    title: "libpq, psql",
    roles: "client",
    defaults: { so_keepalive: "on" },
    knobs: {
      keepalives: { fields: ["so_keepalive"], words: { "1": "on", "0": "off" } },
      keepalives_idle: { fields: ["keepalive_idle"] },
      keepalives_interval: { fields: ["keepalive_interval"] },
      keepalives_count: { fields: ["keepalive_count"] },
      tcp_user_timeout: { fields: ["tcp_user_timeout"], unit: "ms" },
    },
    source: {
      text: "PostgreSQL documentation, libpq: keepalives 1, the system's values",
      url: "https://www.postgresql.org/docs/current/libpq-connect.html",
    },
  },
  {
    name: "pgjdbc",
    title: "PostgreSQL JDBC driver",
    roles: "client",
    defaults: { so_keepalive: "off" },
    knobs: {
      tcpKeepAlive: { fields: ["so_keepalive"] },
      socketTimeout: { fields: ["response_timeout"], words: { "0": "never" } },
    },
    source: {
      text: "pgjdbc: tcpKeepAlive false, socketTimeout 0 (pgjdbc #1143, #1508)",
      url: "https://github.com/pgjdbc/pgjdbc/issues/1508",
    },
  },
  {
    name: "pgx",
    title: "pgx (Go)",
    roles: "client",
    defaults: { so_keepalive: "5m:5m:9" },
    source: {
      text: "dialer's KeepAlive 5 min (pgx #1992); its interval is from memory",
      url: "https://github.com/jackc/pgx/issues/1992",
      isUnverified: true,
    },
  },
  {
    name: "node-postgres",
    title: "node-postgres (pg)",
    roles: "client",
    defaults: { so_keepalive: "off" },
    knobs: {
      ...nodeKnobs,
      keepAliveInitialDelayMillis: { fields: ["keepalive_idle"], unit: "ms" },
      query_timeout: { fields: ["response_timeout"], unit: "ms" },
    },
    source: {
      text: "keepAlive false (node-postgres #2362)",
      url: "https://github.com/brianc/node-postgres/issues/2362",
    },
  },
  {
    name: "porsager-postgres",
    title: "postgres.js",
    roles: "client",
    defaults: { so_keepalive: "60s:1s:10" },
    knobs: { keep_alive: { fields: ["keepalive_idle"] } },
    source: {
      text: "keep_alive 60 s; of no use while a query is in flight (postgres #1089)",
      url: "https://github.com/porsager/postgres/issues/1089",
      isUnverified: true,
    },
  },
  {
    name: "mysql",
    title: "MySQL server",
    roles: "server",
    defaults: { so_keepalive: "on", idle_timeout: "28800s" },
    knobs: { wait_timeout: { fields: ["idle_timeout"] } },
    source: {
      text: "MySQL documentation: wait_timeout 28800 s; SO_KEEPALIVE is switched on in sql_connect.cc",
      url: "https://dev.mysql.com/doc/refman/8.4/en/server-system-variables.html#sysvar_wait_timeout",
    },
  },
  {
    name: "mysql-connector-j",
    title: "MySQL Connector/J",
    roles: "client",
    defaults: { so_keepalive: "on" },
    knobs: { socketTimeout: { fields: ["response_timeout"], unit: "ms", words: { "0": "never" } } },
    source: {
      text: "tcpKeepAlive true, the system's 2 h (HikariCP #514)",
      url: "https://github.com/brettwooldridge/HikariCP/issues/514",
    },
  },
  {
    name: "mongodb-driver",
    title: "MongoDB drivers",
    roles: "client",
    defaults: { so_keepalive: "300s:10s:9" },
    source: {
      text: "driver specification: 300 s, 10 s, 9 (DRIVERS-383)",
      url: "https://jira.mongodb.org/browse/DRIVERS-383",
    },
  },
  {
    name: "redis",
    title: "Redis server",
    roles: "server",
    defaults: { so_keepalive: "300s:100s:3" },
    knobs: {
      "tcp-keepalive": { fields: ["keepalive_idle"] },
      timeout: { fields: ["idle_timeout"], words: { "0": "never" } },
    },
    source: {
      text: "measured on Redis 7.0.15: tcp-keepalive 300, probes every third of it; timeout 0",
      url: "https://redis.io/docs/latest/develop/reference/clients/#tcp-keepalive",
    },
  },
  {
    name: "lettuce",
    title: "Lettuce, Redis client, since February 2026",
    roles: "client",
    defaults: { so_keepalive: "13s:13s:3" },
    source: {
      text: "lettuce #3675: 13 s, 13 s, 3; older versions: off",
      url: "https://github.com/redis/lettuce/pull/3675",
    },
  },
  {
    name: "redis-py",
    title: "redis-py",
    roles: "client",
    defaults: { so_keepalive: "off" },
    knobs: { socket_timeout: { fields: ["response_timeout"] } },
    source: {
      text: "socket_keepalive False (redis-py #722)",
      url: "https://github.com/redis/redis-py/issues/722",
    },
  },
  {
    name: "kafka",
    title: "Kafka client and broker",
    roles: "both",
    defaults: { so_keepalive: "on", idle_timeout: "9m" },
    serverDefaults: { so_keepalive: "on", idle_timeout: "10m" },
    knobs: { "connections.max.idle.ms": { fields: ["idle_timeout"], unit: "ms" } },
    source: { text: "connections.max.idle.ms: client 9 min, broker 10 min", isUnverified: true },
  },
  {
    name: "rabbitmq",
    title: "RabbitMQ with AMQP heartbeats",
    roles: "both",
    defaults: { so_keepalive: "off", ping_interval: "30s" },
    knobs: { heartbeat: { fields: ["ping_interval"] } },
    source: {
      text: "RabbitMQ documentation: heartbeat 60 s, sent every 30 s",
      url: "https://www.rabbitmq.com/docs/heartbeats",
    },
  },
];

const PLAIN: readonly EndPoint[] = [
  {
    name: "client",
    title: "A client that sets nothing",
    roles: "client",
    defaults: { so_keepalive: "off" },
    source: {
      text: "SO_KEEPALIVE is off unless the program asks for it: tcp(7)",
      url: "https://man7.org/linux/man-pages/man7/tcp.7.html",
    },
  },
  {
    name: "server",
    title: "A server that sets nothing",
    roles: "server",
    defaults: { so_keepalive: "off" },
    source: {
      text: "SO_KEEPALIVE is off unless the program asks for it: tcp(7)",
      url: "https://man7.org/linux/man-pages/man7/tcp.7.html",
    },
  },
];

export const END_POINTS: readonly CatalogueEntry[] = [...PLAIN, ...NODE, ...RUNTIMES, ...DATABASES].map(
  (entry) => ({ ...entry, group: "end points", kind: "end-point" }) as const,
);
