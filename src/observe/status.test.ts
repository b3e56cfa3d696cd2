/** Tests of status.ts and latency-quantile.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { gatewayConfig, poolConfig, serverConfig } from "../testing/gateway-config.ts";
import { closeCauseIndex } from "./close-cause.ts";
import {
  CounterLayout,
  LATENCY_BUCKET_COUNT,
  ListenerSlot,
  latencyBucket,
  ServerSlot,
  WorkerSlot,
} from "./counter-layout.ts";
import { CounterLedger } from "./counter-ledger.ts";
import type { GatewayFacts, HealthFacts, ServerFacts } from "./gateway-facts.ts";
import { latencyQuantileMs } from "./latency-quantile.ts";
import { statusDocument } from "./status.ts";

const FACTS: GatewayFacts = {
  version: "1",
  pid: 1,
  configFile: "f.yaml",
  nowMs: 1_000,
  startedAtMs: 0,
  phase: "running",
  phases: [],
  generation: 1,
  workers: [],
  respawns: 0,
  reloadsOk: 1,
  reloadsFailed: 0,
  lastReload: { atMs: 0, ok: true, lines: ["x"] },
  servers: [],
  routers: [],
  routerProcess: undefined,
};

test("statusDocument() gives ratios, quantiles and the causes that happened, most frequent first", () => {
  const config = gatewayConfig();
  const layout = new CounterLayout(config);
  const counters = new Float64Array(layout.slotCount);
  const base = layout.listenerBase(0);
  counters[WorkerSlot.descriptorsInUse] = 12;
  counters[base + ListenerSlot.requests] = 10;
  counters[base + ListenerSlot.reusedRequests] = 9;
  counters[base + ListenerSlot.latency + latencyBucket(3 * 1000)] = 10;
  counters[base + ListenerSlot.latencySumMs] = 30;
  counters[base + ListenerSlot.closes + closeCauseIndex("peer-fin")] = 1;
  counters[base + ListenerSlot.closes + closeCauseIndex("idle-timeout")] = 2;
  counters[layout.serverBase(0, 0) + ServerSlot.passedOver] = 1;
  const worker = {
    index: 0,
    pid: 77,
    generation: 1,
    state: "running",
    startedAtMs: 500,
    residentBytes: undefined,
  } as const;
  const status = statusDocument({
    facts: { ...FACTS, workers: [worker] },
    config,
    counters: new CounterLedger().total(config, [{ workerIndex: 0, config, counters }]),
    workerBlocks: new Map([[77, counters]]),
    addresses: new Map([["web", [{ family: "inet6", host: "::1", port: 81 }]]]),
  });
  assert.equal(status.workers[0]!.descriptorsInUse, 12);
  assert.equal(status.workers[0]!.uptimeMs, 500);
  const [listener] = status.listeners;
  assert.deepEqual(listener!.addresses, ["[::1]:81"]);
  assert.equal(listener!.reuseRatio, 0.9);
  assert.deepEqual(listener!.latency, { meanMs: 3, p50Ms: 3.75, p99Ms: 4.975 });
  assert.deepEqual(listener!.closes, [
    { side: "gateway", cause: "idle-timeout", count: 2 },
    { side: "client", cause: "peer-fin", count: 1 },
  ]);
  const [server] = status.pools[0]!.servers;
  assert.equal(server!.state, "passed-over");
  assert.equal(server!.reuseRatio, null);
  assert.equal(server!.idleLimitMs, null);
  assert.equal(server!.latency.p99Ms, null);
  assert.deepEqual(status.reloads.last, { at: "1970-01-01T00:00:00.000Z", ok: true, lines: ["x"] });
});

test("latencyQuantileMs() interpolates within a bucket and stops at the last bound", () => {
  const block = new Float64Array(17);
  assert.equal(latencyQuantileMs(block, 0, 0, 0.5), undefined);
  block[latencyBucket(0.2 * 1000)] = 1;
  block[latencyBucket(75 * 1000)] = 1;
  assert.equal(latencyQuantileMs(block, 0, 1e9, 0.5), 0.5);
  assert.equal(latencyQuantileMs(block, 0, 1e9, 0.75), 75);
  block[latencyBucket(1e9 * 1000)] = 100;
  assert.equal(latencyQuantileMs(block, 0, 1e12, 0.99), 60_000);
});

test("latencyQuantileMs() never reports more than the sum of the latencies allows", () => {
  const block = new Float64Array(LATENCY_BUCKET_COUNT);
  block[latencyBucket(5_010 * 1000)] = 1;
  assert.equal(latencyQuantileMs(block, 0, 5_010, 1), 5_010);
  block[latencyBucket(2_000 * 1000)] = 1;
  assert.equal(latencyQuantileMs(block, 0, 7_010, 1), 6_010, "the other one took a second or more");
});

test("statusDocument() gives each server the state that matters most: the order, then the checks, then max_fails", () => {
  const config = gatewayConfig({ pools: [poolConfig({ servers: [serverConfig({ name: "a:1" })] })] });
  const layout = new CounterLayout(config);
  const passedOver = new Float64Array(layout.slotCount);
  passedOver[layout.serverBase(0, 0) + ServerSlot.passedOver] = 1;
  const health: HealthFacts = {
    check: "http",
    state: "up",
    reason: "answered 200 (2 checks in a row)",
    sinceMs: 2_000,
    stateSinceMs: 6_000,
    checks: 9,
    checksFailed: 1,
    timesUp: 1,
    timesDown: 1,
    trafficFailures: 0,
    lastCheck: { ok: false, reason: "answered 503", durationMs: 2, atMs: 9_000 },
    certificateExpiresAtMs: undefined,
  };
  const stateOf = (server: Partial<ServerFacts>, counters = new Float64Array(layout.slotCount)) => {
    const fact: ServerFacts = {
      pool: "web",
      server: "a:1",
      admin: "up",
      adminSinceMs: undefined,
      weight: 3,
      health: undefined,
      ...server,
    };
    const { state, reason, sinceMs } = statusDocument({
      facts: { ...FACTS, nowMs: 10_000, servers: [fact] },
      config,
      counters: new CounterLedger().total(config, [{ workerIndex: 0, config, counters }]),
      workerBlocks: new Map(),
      addresses: new Map(),
    }).pools[0]!.servers[0]!;
    return [state, reason, sinceMs];
  };
  assert.deepEqual(stateOf({}), ["up", null, null]);
  assert.deepEqual(stateOf({}, passedOver), [
    "passed-over",
    "max_fails failures in at least one worker",
    null,
  ]);
  assert.deepEqual(stateOf({ health }), ["up", "answered 200 (2 checks in a row)", 8_000]);
  const goingDown: HealthFacts = { ...health, state: "going-down" };
  assert.deepEqual(stateOf({ health: goingDown }, passedOver), ["going-down", "answered 503", 4_000]);
  const down: HealthFacts = { ...health, state: "down", reason: "answered 503 (3 failed checks in a row)" };
  assert.deepEqual(stateOf({ health: down }), ["down", "answered 503 (3 failed checks in a row)", 4_000]);
  const order = { admin: "drain", adminSinceMs: 9_500, health: down } as const;
  assert.deepEqual(stateOf(order, passedOver), ["drain", "the operator's order", 500]);
});
