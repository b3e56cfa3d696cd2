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
  vrrp_script: {
    message: "unknown key",
    hint: "write it under track: { checks: … } of each router that uses it",
  },
  vrrp_sync_group: { message: "unknown key", hint: "write sync_group: NAME in each router of the group" },
  ...explainedRouterKeys(),
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

/** keepalived's words that are no other name of a key here. */
function explainedRouterKeys(): Record<string, Explanation> {
  const say = (message: string, hint: string): Explanation => ({ message, hint });
  const noState = say(
    "routers have no initial state here: the highest priority is active",
    "remove it; to stay backup after a restart write preempt: false",
  );
  const notify = say(
    "unknown key",
    "write notify: /path/to/program; it is told the router, both states and the cause",
  );
  const announce = (key: string) => say("unknown key", `write announce: { ${key}: … }`);
  const track = (what: string) => say("unknown key", `write track: { ${what} }`);
  const keys: Record<string, Explanation> = {
    state: noState,
    initial_state: noState,
    nopreempt: say("unknown key", "write preempt: false"),
    preempt_delay: say("unknown key", "write preempt: { delay: … }"),
    no_accept: say("unknown key", "write accept_mode: false"),
    auth_type: say("unknown key", "write auth: { pass: PASSWORD } (version 2; AH is not supported)"),
    auth_pass: say("unknown key", "write auth: { pass: PASSWORD } (version 2)"),
    auth_hmac: say("keepalived's HMAC is not supported yet", "remove it here and on the peers"),
    v3_checksum_as_v2: say("unknown key", "true is checksum: rfc9568, false is checksum: pseudo-header"),
    track_interface: track("interfaces: [eth1]"),
    track_script: track("checks: { NAME: { exec: /path/to/program } }"),
    vrrp_script: track("checks: { NAME: { exec: /path/to/program } }"),
    track_process: track("checks: { NAME: { exec: [pidof, PROGRAM] } }"),
    track_file: say(
      "files are not tracked yet",
      "write track: { checks: { NAME: { exec: [test, -e, FILE] } } }",
    ),
    track_bfd: say("BFD is not supported yet", "a shorter advert_interval notices a failure as early"),
    dont_track_primary: say("the router's own interface is always tracked", "remove it"),
    virtual_routes: say("routes do not move with the addresses yet", "let notify: set them"),
    virtual_rules: say("rules do not move with the addresses yet", "let notify: set them"),
    garp_master_delay: announce("delay"),
    garp_master_repeat: announce("repeat"),
    garp_master_refresh: announce("refresh"),
    garp_interval: announce("repeat_interval"),
    gna_interval: announce("repeat_interval"),
    down_timer_adverts: say("always 3, as RFC 9568 has it", "remove it, and on the peers too"),
  };
  for (const name of ["notify_master", "notify_backup", "notify_fault", "notify_stop", "notify_fifo"]) {
    keys[name] = notify;
  }
  return Object.fromEntries(
    Object.entries(keys).map(([name, words]) => [`virtual_routers.*.${name}`, words]),
  );
}

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
  // virtual routers
  vrrp_instance: "virtual_routers",
  virtual_router_id: "id",
  vrid: "id",
  vrrp_version: "version",
  advert_int: "advert_interval",
  advertisement_interval: "advert_interval",
  virtual_ipaddress: "addresses",
  virtual_ipaddresses: "addresses",
  vip: "addresses",
  vips: "addresses",
  virtual_ipaddress_excluded: "extra_addresses",
  unicast_src_ip: "source_address",
  mcast_src_ip: "source_address",
  unicast_peer: "unicast_peers",
  authentication: "auth",
  accept: "accept_mode",
  script: "exec",
  quorum: "below",
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
