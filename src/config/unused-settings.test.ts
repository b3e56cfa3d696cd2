/** Tests of TCP listeners, heartbeats and queues in the file: what they mean, what is refused, what deserves a warning. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { loaded, refusals } from "./load-fixtures.ts";

/** `listener` and `pool` are more keys, `tcp` is the value of `tcp:`. */
function file(options: { listener?: string; tcp?: string; pool?: string; top?: string }): string {
  const {
    listener = "backlog: 4096",
    tcp = "pg",
    pool = "balance: least_conn",
    top = "workers: 1",
  } = options;
  return `${top}
listeners:
  db:
    bind: 127.0.0.1:5432
    ${listener}
    tcp: ${tcp}
pools:
  pg:
    ${pool}
    servers: [127.0.0.1:5433]
`;
}

test("loadConfig() reads a TCP listener and fills in its defaults", () => {
  const { config, warnings } = loaded(file({}));
  assert.deepEqual(warnings, []);
  const defaults = {
    pool: "pg",
    idleTimeoutMs: 600_000,
    onIdle: "close",
    halfCloseTimeoutMs: 60_000,
    maxConnections: 0,
  };
  assert.deepEqual(config.listeners[0]!.tcp, defaults);
  assert.equal(config.listeners[0]!.http, undefined);
  const written = file({
    listener: "proxy_protocol: accept",
    tcp: "{ pool: pg, idle_timeout: 90s, on_idle: reset, half_close_timeout: 0, max_connections: 9 }",
    pool: "{ balance: never_queue, send_proxy: v2, queue: 5, queue_timeout: 1s, on_down: reset, servers: [{ address: 127.0.0.1:5433, max_conns: 1 }] }",
  }).replace(/pg:\n {4}(.*)\n.*\n/, "pg: $1\n");
  const second = loaded(written);
  assert.deepEqual(second.warnings, []);
  const [listener] = second.config.listeners;
  assert.deepEqual(listener!.tcp, {
    pool: "pg",
    idleTimeoutMs: 90_000,
    onIdle: "reset",
    halfCloseTimeoutMs: 0,
    maxConnections: 9,
  });
  assert.equal(listener!.proxyProtocol, "accept");
  const { balance, sendProxy, queueMax, queueTimeoutMs, onDown } = second.config.pools[0]!;
  assert.deepEqual(
    [balance, sendProxy, queueMax, queueTimeoutMs, onDown],
    [{ kind: "never_queue" }, "v2", 5, 1000, "reset"],
  );
});

test("loadConfig() lets HTTP and TCP listeners share a pool", () => {
  const web = "listeners:\n  web: { bind: 127.0.0.1:80, http: { routes: [{ pool: pg }] } }\n";
  const text = file({ pool: "read_timeout: 5s" }).replace("listeners:\n", web);
  assert.deepEqual(loaded(text).warnings, []);
});

/** The first diagnostics, without "f:". */
const REFUSED: [options: Parameters<typeof file>[0], ...expected: string[]][] = [
  [
    { listener: "http: { routes: [{ pool: pg }] }" },
    "6:5: error: listeners.db.tcp: this listener speaks HTTP already: it has http and tcp\n  hint: keep one of them, or make two listeners with an address each",
  ],
  [
    { tcp: "pq" },
    '6:10: error: listeners.db.tcp: there is no pool "pq"\n  hint: did you mean pg?',
    "8:3: warning: pools.pg: no listener uses this pool\n  hint: add a route to it or name it in a tcp listener, or remove it",
  ],
  [
    { tcp: "{ pool: pg, routes: [{ pool: pg }] }" },
    "6:22: error: listeners.db.tcp.routes: a TCP listener has no routes: it relays bytes and reads none of them\n  hint: write pool: NAME; to choose by host or path, use http",
  ],
  [
    { tcp: "{ pool: pg, max_body_size: 1m }" },
    "6:22: error: listeners.db.tcp.max_body_size: is a key of HTTP listeners: a TCP listener relays bytes and reads none of them\n  hint: remove it, or write http in place of tcp",
  ],
  [
    { tcp: "{ pool: pg, keepalive_timeout: 75s }" },
    "6:22: error: listeners.db.tcp.keepalive_timeout: a TCP listener knows no requests between which a connection could be idle\n  hint: the session clock is idle_timeout; the kernel's probes are so_keepalive of the listener",
  ],
  [
    { tcp: "{ pool: pg, proxy_timeout: 1m }" },
    "6:22: error: listeners.db.tcp.proxy_timeout: unknown key\n  hint: here it is called idle_timeout",
  ],
  [
    { tcp: "{ pool: pg, on_idle: rst }" },
    '6:31: error: listeners.db.tcp.on_idle: "rst" is not one of close, reset, silent\n  hint: write close or reset or silent',
  ],
  [
    { listener: "accept-proxy: true" },
    "5:5: error: listeners.db.accept-proxy: unknown key\n  hint: here it is called proxy_protocol",
  ],
  [
    { listener: "mode: tcp" },
    "5:5: error: listeners.db.mode: unknown key\n  hint: the protocol is a key: http or tcp, with its settings below it",
  ],
  [
    { listener: "idle_timeout: 1m" },
    "5:5: error: listeners.db.idle_timeout: unknown key\n  hint: it belongs in listeners.NAME.tcp.idle_timeout",
  ],
  [
    { pool: "balance: { hash: uri }" },
    "9:14: error: pools.pg.balance: hash: uri looks at requests, and listener db relays TCP without reading it\n  hint: write {hash: source}, or give TCP a pool of its own",
  ],
  [
    { pool: "balance: wlc" },
    '9:14: error: pools.pg.balance: "wlc" is not a way to balance\n  hint: here it is called least_conn (weights count by themselves)',
  ],
  [
    { pool: "lvs_sched: rr" },
    "9:5: error: pools.pg.lvs_sched: unknown key\n  hint: here it is called balance",
  ],
  [
    { pool: "sorry_server: 127.0.0.1:1" },
    "9:5: error: pools.pg.sorry_server: unknown key\n  hint: write it under servers: { address: …, backup: true }",
  ],
  [{ pool: "maxqueue: 10" }, "9:5: error: pools.pg.maxqueue: unknown key\n  hint: here it is called queue"],
  [
    { pool: "timeout queue: 5s" },
    "9:5: error: pools.pg.timeout queue: unknown key\n  hint: here it is called queue_timeout",
  ],
  [
    { pool: "send-proxy-v2: on" },
    "9:5: error: pools.pg.send-proxy-v2: unknown key\n  hint: here it is called send_proxy",
  ],
  [
    { pool: "on-marked-down: shutdown-sessions" },
    "9:5: error: pools.pg.on-marked-down: unknown key\n  hint: here it is called on_down",
  ],
  [
    { pool: "idle_timeout: 90s" },
    "9:5: error: pools.pg.idle_timeout: unknown key\n  hint: for TCP sessions it belongs in tcp of the listener; idle connections to servers have keepalive_timeout",
  ],
  [
    { pool: "send_proxy: true" },
    "9:17: error: pools.pg.send_proxy: true is not one of off, v1, v2\n  hint: write off or v1 or v2",
  ],
  [
    { top: "heartbeats: { bind: 127.0.0.1:5432 }" },
    "4:11: error: listeners.db.bind: 127.0.0.1:5432 is taken",
  ],
];

for (const [options, ...expected] of REFUSED) {
  test(`loadConfig() explains ${JSON.stringify(options)}`, () => {
    const found = refusals(file(options)).map((text) => text.replace(/^f:/, ""));
    if (expected[0]!.endsWith("is taken")) assert.match(found.join("\n"), /is taken: it overlaps with/);
    else assert.deepEqual(found, expected);
  });
}

const BECAUSE = "the kernel answers probes by itself, and only payload refreshes idle_timeout";

const WARNED: [options: Parameters<typeof file>[0], ...expected: string[]][] = [
  [
    { listener: "so_keepalive: 60s:10s:6" },
    `5:19: warning: listeners.db.so_keepalive: the probes find dead clients but do not keep a quiet session: ${BECAUSE}; it ends after 10m, the default\n  hint: write idle_timeout: 10m if that is meant, a longer one, or 0 for never`,
  ],
  [
    { listener: "so_keepalive: 60s:10s:6", tcp: "{ pool: pg, idle_timeout: 90s, on_idle: reset }" },
    `5:19: warning: listeners.db.so_keepalive: the probes do nothing here: they would find a dead client after 2m, when idle_timeout (1m30s) has ended the session; and they do not keep a quiet session: ${BECAUSE}\n  hint: make idle + interval × count less than 1m30s, or idle_timeout longer`,
  ],
  [{ listener: "so_keepalive: 60s:10s:6", tcp: "{ pool: pg, idle_timeout: 10m }" }],
  [{ listener: "so_keepalive: 60s:10s:6", tcp: "{ pool: pg, idle_timeout: 0 }" }],
  [{ listener: "so_keepalive: off", tcp: "{ pool: pg, idle_timeout: 90s }" }],
  [{ tcp: "{ pool: pg, idle_timeout: 30s }" }],
  [
    { tcp: "{ pool: pg, on_idle: silent }" },
    "6:31: warning: listeners.db.tcp.on_idle: forgets idle sessions without a word: the end that does not speak first keeps a dead connection for ever\n  hint: this is for reproducing faults of other balancers; in production write close or reset",
  ],
  [
    { tcp: "{ pool: pg, idle_timeout: 0, on_idle: reset }" },
    "6:48: warning: listeners.db.tcp.on_idle: has no effect: idle_timeout is 0, no session is ever idle for too long\n  hint: give idle_timeout a duration, or remove it",
  ],
  [
    { pool: "read_timeout: 5s" },
    "9:19: warning: pools.pg.read_timeout: has no effect: only TCP uses this pool (listener db)\n  hint: the clock of a TCP session is idle_timeout of the listener",
  ],
  [
    { pool: "next_upstream: { tries: 3, non_idempotent: never }" },
    "9:48: warning: pools.pg.next_upstream.non_idempotent: has no effect: only TCP uses this pool (listener db)\n  hint: remove it",
  ],
  [
    { pool: "queue: 10" },
    "9:12: warning: pools.pg.queue: nothing ever waits: no server of the pool has max_conns\n  hint: give the servers max_conns, or remove it",
  ],
  [
    { pool: "queue_timeout: 1s" },
    "9:20: warning: pools.pg.queue_timeout: has no effect: queue is 0, nothing waits\n  hint: write queue: 100, or remove it",
  ],
  [
    { pool: "health: { tcp, timeout: 2s }" },
    "9:29: warning: pools.pg.health.timeout: 2s is not below interval (2s): the next check waits for a server that hangs, so such a server is checked less often than it seems\n  hint: write 1s or less, or make interval longer",
  ],
  [
    { pool: "health: { tcp, fast_interval: 3s }" },
    "9:35: warning: pools.pg.health.fast_interval: 3s is slower than interval (2s)\n  hint: make it shorter than interval, or remove it",
  ],
  [
    { pool: "health: { https: /h }" },
    "9:22: warning: pools.pg.health.https: without host the certificate is verified against the server's address, which certificates seldom name\n  hint: add host: NAME, the name in the certificate, or verify: false",
  ],
  [
    { pool: "health: { heartbeat: { path: /b, progress_deadline: 2s } }" },
    "9:57: warning: pools.pg.health.heartbeat.progress_deadline: 2s is not above interval (2s): the counter is read once per interval, and each reading would have to differ\n  hint: write several intervals, or 0 to leave the counter alone",
  ],
  [
    {
      top: "heartbeats: { bind: 127.0.0.1:9902 }",
      pool: "health: { heartbeat: told, interval: 1s, fall: 3 }",
    },
    "9:42: warning: pools.pg.health.interval: has no effect: with heartbeat: told nobody is asked\n  hint: the patience of a told heartbeat is its deadline",
    "9:52: warning: pools.pg.health.fall: has no effect: with heartbeat: told nobody is asked\n  hint: the patience of a told heartbeat is its deadline",
  ],
  [
    { top: "heartbeats: { bind: 9902 }", pool: "health: { heartbeat: told }" },
    "1:21: warning: heartbeats.bind: takes beats from everywhere: whoever reaches this port can keep a dead server up\n  hint: bind it to an address that only the servers reach",
  ],
  [
    { top: "heartbeats: { bind: 127.0.0.1:9902 }" },
    "1:13: warning: heartbeats: no pool listens to beats\n  hint: add health: { heartbeat: told } to a pool, or remove it",
  ],
];

for (const [options, ...expected] of WARNED) {
  test(`loadConfig() ${expected.length === 0 ? "accepts" : "warns of"} ${JSON.stringify(options)}`, () => {
    const { warnings } = loaded(file(options));
    assert.deepEqual(
      warnings.map((text) => text.replace(/^f:/, "")),
      expected,
    );
  });
}

test("findUnusedSettings() warns of keys that an HTTP pool cannot use", () => {
  const text = `listeners: { web: { bind: 127.0.0.1:80, http: { routes: [{ pool: app }] } } }
pools:
  app: { on_down: reset, send_proxy: v1, keepalive: 8, servers: [127.0.0.1:81] }
`;
  assert.deepEqual(loaded(text).warnings, [
    "f:3:19: warning: pools.app.on_down: has no effect: no TCP listener uses this pool\n  hint: remove it: requests in progress are tried again by next_upstream",
    "f:3:53: warning: pools.app.keepalive: no connection is kept: send_proxy: v1 names one client at the start of each, so none can carry another's requests\n  hint: remove it; X-Forwarded-For, which every request carries, needs no send_proxy",
  ]);
});
