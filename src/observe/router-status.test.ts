import assert from "node:assert/strict";
import { test } from "node:test";
import { virtualRouterConfig } from "../testing/gateway-config.ts";
import { routerFacts, transitionRecord } from "../testing/router-records.ts";
import { NO_ROUTER_COUNTERS } from "./router-ledger.ts";
import { ROUTER_FAMILIES } from "./router-metrics.ts";
import {
  type RouterProcessStatus,
  type RouterStatus,
  type RouterStatusInput,
  routerStatus,
} from "./router-status.ts";
import { transitionLine } from "./transition-log.ts";

const NOW = Date.parse("2026-01-01T00:00:10Z");

function status(overrides: Partial<RouterStatusInput> = {}): RouterStatus {
  return routerStatus({
    config: virtualRouterConfig(),
    isInMaintenance: false,
    facts: routerFacts(),
    reportAgeMs: 500,
    processState: "running",
    counters: NO_ROUTER_COUNTERS,
    transitions: [],
    lastTransition: undefined,
    nowUnixMs: NOW,
    ...overrides,
  });
}

test("routerStatus() ages what the last report said", () => {
  const { state, sinceMs, since, peer } = status();
  assert.deepEqual([state, sinceMs, since], ["active", 1_500, "2026-01-01T00:00:08.500Z"]);
  assert.equal(peer?.ageMs, 540);
});

test("routerStatus() never says active on the word of a process that is silent, starting or gone", () => {
  for (const processState of ["silent", "starting", "not-running"] as const) {
    const { state, reason, addresses, priority, sinceMs } = status({ processState });
    assert.equal(state, "unknown");
    assert.match(reason!, /router process/);
    assert.deepEqual(addresses, [{ address: "192.0.2.10/24", isInstalled: null }]);
    assert.deepEqual([priority, sinceMs], [null, null]);
  }
  assert.equal(status({ facts: undefined }).state, "unknown");
});

const PROCESS: RouterProcessStatus = {
  pid: 1,
  state: "running",
  heartbeatAgeMs: 250,
  restarts: 3,
  loopLagMsMax: 1.5,
  unknownIdCount: 5,
  scheduling: null,
  notifications: { waiting: 1, succeeded: 2, failed: 3, dropped: 4 },
};

function samples(
  name: string,
  router: RouterStatus,
  routerProcess: RouterProcessStatus | undefined = PROCESS,
) {
  const family = ROUTER_FAMILIES.find((it) => it.name === name)!;
  assert.equal(family.source.kind, "facts");
  const facts = { routers: [router], routerProcess } as never;
  return family.source.kind === "facts" ? family.source.read(facts) : [];
}

test("metrics: one gauge per state, exactly one of them 1, `unknown` included", () => {
  for (const [router, expected] of [
    [status(), "active"],
    [status({ processState: "silent" }), "unknown"],
  ] as const) {
    const ones = samples("holdfast_router_state", router).filter(({ value }) => value === 1);
    assert.deepEqual(ones, [{ labels: { router: "edge", state: expected }, value: 1 }]);
  }
  assert.equal(samples("holdfast_router_state", status()).length, 5);
});

test("metrics: transitions carry from, to and cause, trackers their key, the process its restarts", () => {
  const transitions = [{ from: "backup", to: "active", cause: "silence", count: 7 }] as const;
  assert.deepEqual(samples("holdfast_router_transitions_total", status({ transitions })), [
    { labels: { router: "edge", from: "backup", to: "active", cause: "silence" }, value: 7 },
  ]);
  assert.deepEqual(samples("holdfast_router_tracker_up", status()), [
    { labels: { router: "edge", tracker: "gateway" }, value: 1 },
  ]);
  assert.deepEqual(samples("holdfast_router_process_restarts_total", status()), [{ value: 3 }]);
  assert.deepEqual(samples("holdfast_router_process_unknown_ids_total", status()), [{ value: 5 }]);
  assert.equal(samples("holdfast_router_priority", status({ processState: "silent" })).length, 0);
});

test("transitionLine() has every field of the record, flat; a fault is a warning", () => {
  const { level, message, fields } = transitionLine(transitionRecord());
  assert.equal(level, "info");
  assert.equal(message, "router edge: backup → active (silence): no advertisement for 361 ms");
  assert.deepEqual(fields, {
    router: "edge",
    from: "backup",
    to: "active",
    cause: "silence",
    priority: 100,
    at: "2023-11-14T22:13:20.000Z",
    loopLagMs: 0.2,
    lastAdvertisementFrom: "10.0.0.1",
    lastAdvertisementPriority: 150,
    lastAdvertisementAgeMs: 361,
    addressesAfterMs: 1.2,
    announcedAfterMs: 2.5,
  });
  const fault = transitionRecord({ to: "fault", lastAdvertisement: null, addressesAfterMs: null });
  assert.equal(transitionLine(fault).level, "warn");
  assert.equal("addressesAfterMs" in transitionLine(fault).fields, false);
});
