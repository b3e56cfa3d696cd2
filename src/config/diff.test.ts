/** Tests of diff.ts: which sockets a reload keeps, and the lines people read. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAddress } from "./address.ts";
import { diffConfig } from "./diff.ts";
import { loadConfig } from "./load.ts";
import type { GatewayConfig } from "./types.ts";

const BEFORE = `workers: 2
listeners:
  web:
    bind: ["127.0.0.1:80", "127.0.0.1:81"]
    so_keepalive: 60s:10s:6
    http: { keepalive_timeout: 75s, routes: [{ pool: app }] }
  old: { bind: 127.0.0.1:90, http: { routes: [{ pool: app }] } }
pools:
  app:
    balance: { hash: uri }
    servers: [10.0.0.1:80, 10.0.0.2:80]
  same: { servers: [10.0.0.9:80] }
`;

function config(text: string): GatewayConfig {
  const host = {
    processors: 1,
    isRoot: true,
    tcpKeepaliveDefaults: { idleSeconds: 7200, intervalSeconds: 75, probeCount: 9 },
  };
  const result = loadConfig(text, "f.yaml", host);
  assert.ok(result.ok);
  return result.config;
}

test("diffConfig() finds nothing between equal configurations", () => {
  const plan = diffConfig(config(BEFORE), structuredClone(config(BEFORE)));
  assert.equal(plan.hasChanges, false);
  assert.deepEqual(plan.summary, []);
  assert.deepEqual(plan.listeners, { kept: ["web", "old"], added: [], removed: [], changed: [] });
  assert.deepEqual(plan.pools.kept, ["app", "same"]);
  assert.equal(plan.sockets.kept.length, 3);
});

test("diffConfig() plans sockets by address and describes every change in the words of the file", () => {
  const after = BEFORE.replace("workers: 2", "workers: 3\nadmin: unix:/a")
    .replace('"127.0.0.1:81"', '"127.0.0.1:82"')
    .replace("60s:10s:6", "off")
    .replace(
      "75s, routes: [{ pool: app }]",
      "60s, max_body_size: 1m, routes: [{ pool: app }, { pool: app, path: /a }]",
    )
    .replace("  old: { bind: 127.0.0.1:90", "  new: { bind: 127.0.0.1:81")
    .replace("{ hash: uri }", "least_conn\n    next_upstream: { tries: 3 }")
    .replace("[10.0.0.1:80, 10.0.0.2:80]", "[{ address: 10.0.0.1:80, weight: 2 }, 10.0.0.3:80]")
    .replace("  same:", "  renamed:");
  const plan = diffConfig(config(BEFORE), config(after));
  assert.deepEqual(plan.summary, [
    "workers 2 → 3",
    "admin (none) → unix:/a",
    "listener web: bind 127.0.0.1:80, 127.0.0.1:81 → 127.0.0.1:80, 127.0.0.1:82",
    "listener web: so_keepalive 1m:10s:6 → off",
    "listener web: http.keepalive_timeout 1m15s → 1m",
    "listener web: http.max_body_size 0 → 1m",
    "listener web: http.routes changed",
    "listener old: removed",
    "listener new: added",
    "pool app: balance hash: uri → least_conn",
    "pool app: next_upstream.tries 2 → 3",
    "pool app: server 10.0.0.1:80: weight 1 → 2",
    "pool app: server 10.0.0.2:80: removed",
    "pool app: server 10.0.0.3:80: added",
    "pool same: removed",
    "pool renamed: added",
  ]);
  assert.deepEqual(plan.listeners, { kept: [], added: ["new"], removed: ["old"], changed: ["web"] });
  assert.deepEqual(plan.pools, { kept: [], added: ["renamed"], removed: ["same"], changed: ["app"] });
  const { kept, opened, closed } = plan.sockets;
  assert.deepEqual(
    kept.map(formatAddress),
    ["127.0.0.1:80", "127.0.0.1:81"],
    "81 moved to another listener and stays open",
  );
  assert.deepEqual(opened.map(formatAddress), ["127.0.0.1:82"]);
  assert.deepEqual(closed.map(formatAddress), ["127.0.0.1:90"]);
});

test("diffConfig() notices another order of servers", () => {
  const after = BEFORE.replace("[10.0.0.1:80, 10.0.0.2:80]", "[10.0.0.2:80, 10.0.0.1:80]");
  assert.deepEqual(diffConfig(config(BEFORE), config(after)).summary, ["pool app: servers in another order"]);
});

test("diffConfig() describes another protocol and another check, and never a password", () => {
  const text = BEFORE.replace("  same: { ", '  same: { health: { redis: { password: "old" } }, ');
  const after = text
    .replace('password: "old"', 'password: "secret"')
    .replace(
      "old: { bind: 127.0.0.1:90, http: { routes: [{ pool: app }] } }",
      "old: { bind: 127.0.0.1:90, tcp: same }",
    )
    .replace("    balance: { hash: uri }", "    health: { http: /healthz }\n    queue: 5");
  const { summary } = diffConfig(config(text), config(after));
  assert.deepEqual(summary, [
    "listener old: http removed",
    "listener old: tcp added",
    "pool app: balance hash: uri → round_robin",
    "pool app: queue 0 → 5",
    "pool app: health (none) → http GET /healthz",
    "pool same: health redis, with other settings",
  ]);
  const slower = after.replace("{ http: /healthz }", "{ heartbeat: /beat, interval: 10s }");
  assert.deepEqual(diffConfig(config(after), config(slower)).summary, [
    "pool app: health http GET /healthz → heartbeat /beat",
    "pool app: health.interval 2s → 10s",
    "pool app: health.fast_interval 1s → 5s",
  ]);
});
