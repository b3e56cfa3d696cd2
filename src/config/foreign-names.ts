/**
 * What people coming from elsewhere write (nginx, HAProxy, keepalived, LVS), and what this version does not do yet:
 * the words for a helpful refusal. Pure tables. Used by unknown-keys.ts for keys and by schema.ts for values.
 */

interface Explanation {
  readonly message: string;
  readonly hint: string;
}

const SORRY_SERVER: Explanation = {
  message: "unknown key",
  hint: "write it under servers: { address: …, backup: true }",
};
const FORWARDING: Explanation = {
  message: "connections are relayed here, not forwarded by the kernel",
  hint: "remove it; send_proxy: v2 tells the servers who the client is",
};
const KIND_OF_CHECK: Explanation = {
  message: "unknown key",
  hint: "the kind is a key: health: { http: { path: /healthz }, interval: 2s }",
};

/** Keys that get words of their own, by the path of their section (names and indexes as `*`). */
export const EXPLAINED_KEYS: Readonly<Record<string, Explanation>> = {
  "listeners.*.redis": {
    message: "Redis listeners are not supported yet",
    hint: "use tcp: it relays Redis connections as they are",
  },
  "listeners.*.tls": { message: "TLS is not supported yet", hint: "terminate TLS in front of this listener" },
  "listeners.*.mode": {
    message: "unknown key",
    hint: "the protocol is a key: http or tcp, with its settings below it",
  },
  virtual_routers: {
    message: "virtual routers are not supported yet",
    hint: "remove it; keepalived can hold the virtual IP in the meantime",
  },
  "listeners.*.tcp.routes": {
    message: "a TCP listener has no routes: it relays bytes and reads none of them",
    hint: "write pool: NAME; to choose by host or path, use http",
  },
  "listeners.*.tcp.keepalive_timeout": {
    message: "a TCP listener knows no requests between which a connection could be idle",
    hint: "the session clock is idle_timeout; the kernel's probes are so_keepalive of the listener",
  },
  "listeners.*.tcp.maxconn": { message: "unknown key", hint: "here it is called max_connections" },
  "listeners.*.http.pool": {
    message: "an HTTP listener chooses the pool by routes",
    hint: "write routes: [{ pool: NAME }]",
  },
  "pools.*.idle_timeout": {
    message: "unknown key",
    hint: "for TCP sessions it belongs in tcp of the listener; idle connections to servers have keepalive_timeout",
  },
  "pools.*.sorry_server": SORRY_SERVER,
  "pools.*.sorry_servers": SORRY_SERVER,
  "pools.*.persistence_timeout": {
    message: "unknown key",
    hint: "write balance: {hash: source}: a client keeps its server, and nothing has to be remembered",
  },
  "pools.*.lb_kind": FORWARDING,
  "pools.*.lvs_method": FORWARDING,
  "pools.*.health.http.verify": {
    message: "there is no certificate without TLS",
    hint: "write https in place of http, or remove it",
  },
  "pools.*.health.kind": KIND_OF_CHECK,
  "pools.*.health.type": KIND_OF_CHECK,
  "pools.*.health.check": KIND_OF_CHECK,
};

/** Names of keys elsewhere, in lower case and with `_` for `-`, and what they are called here. */
export const FOREIGN_KEYS: Readonly<Record<string, string>> = {
  // processes, listeners, pools
  worker_processes: "workers",
  nbthread: "workers",
  worker_shutdown_timeout: "drain_timeout",
  upstream: "pools",
  upstreams: "pools",
  backends: "pools",
  backend: "pools",
  frontends: "listeners",
  frontend: "listeners",
  virtual_server: "listeners",
  listen: "bind",
  address: "bind",
  server: "servers",
  real_server: "servers",
  // HTTP
  client_max_body_size: "max_body_size",
  large_client_header_buffers: "max_header_size",
  client_header_buffer_size: "max_header_size",
  proxy_connect_timeout: "connect_timeout",
  proxy_read_timeout: "read_timeout",
  proxy_send_timeout: "send_timeout",
  proxy_socket_keepalive: "so_keepalive",
  proxy_next_upstream: "next_upstream",
  proxy_next_upstream_tries: "tries",
  proxy_next_upstream_timeout: "timeout",
  proxy_bind: "source_address",
  proxy_pass: "pool",
  server_name: "host",
  location: "path",
  locations: "routes",
  idle_timeout: "keepalive_timeout",
  tcp_keepalive: "so_keepalive",
  tcpka: "so_keepalive",
  maxconn: "max_conns",
  slowstart: "slow_start",
  // TCP sessions
  stream: "tcp",
  default_backend: "pool",
  proxy_timeout: "idle_timeout",
  timeout_client: "idle_timeout",
  timeout_server: "idle_timeout",
  timeout_tunnel: "idle_timeout",
  timeout_client_fin: "half_close_timeout",
  timeout_server_fin: "half_close_timeout",
  proxy_half_close: "half_close_timeout",
  max_conns: "max_connections",
  accept_proxy: "proxy_protocol",
  // balancing
  lvs_sched: "balance",
  lb_algo: "balance",
  scheduler: "balance",
  uthreshold: "max_conns",
  maxqueue: "queue",
  timeout_queue: "queue_timeout",
  proxy_protocol: "send_proxy",
  send_proxy_v2: "send_proxy",
  on_marked_down: "on_down",
  // health checks
  check: "health",
  healthcheck: "health",
  health_check: "health",
  health_checks: "health",
  httpchk: "health",
  option_httpchk: "health",
  tcp_check: "tcp",
  http_get: "http",
  ssl_get: "https",
  misc_check: "exec",
  misc_path: "exec",
  redis_check: "redis",
  external_check: "exec",
  agent_check: "heartbeat",
  delay_loop: "interval",
  inter: "interval",
  fastinter: "fast_interval",
  delay_before_retry: "fast_interval",
  timeout_check: "timeout",
  connect_timeout: "timeout",
  misc_timeout: "timeout",
  retry: "fall",
  unhealthy_threshold: "fall",
  healthy_threshold: "rise",
  init_state: "initial",
  connect_port: "port",
  virtualhost: "host",
  status_code: "status",
  uri: "path",
  url: "path",
  string: "body_contains",
  rstring: "body_matches",
  regex: "body_matches",
};

/** Names of balancing algorithms in LVS, HAProxy and nginx, and what to write here. */
export const FOREIGN_BALANCES: Readonly<Record<string, string>> = {
  rr: "round_robin",
  wrr: "round_robin (weights count by themselves)",
  roundrobin: "round_robin",
  "static-rr": "round_robin",
  lc: "least_conn",
  wlc: "least_conn (weights count by themselves)",
  leastconn: "least_conn",
  sed: "shortest_expected_delay",
  nq: "never_queue",
  sh: "{hash: source}",
  mh: "{hash: source}",
  dh: "{hash: source}",
  source: "{hash: source}",
  ip_hash: "{hash: source}",
  maglev: "{hash: source}",
  uri: "{hash: uri}",
};
