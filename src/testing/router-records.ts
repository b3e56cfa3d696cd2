/** Transition records and facts of virtual routers for tests; override what the test is about. */
import type { RouterFacts } from "../daemon/router-messages.ts";
import { NO_ROUTER_COUNTERS } from "../observe/router-ledger.ts";
import type { TransitionRecord } from "../vrrp/state.ts";

export function transitionRecord(overrides: Partial<TransitionRecord> = {}): TransitionRecord {
  return {
    router: "edge",
    atUnixMs: 1_700_000_000_000,
    from: "backup",
    to: "active",
    cause: "silence",
    detail: "no advertisement for 361 ms",
    priority: 100,
    lastAdvertisement: { source: "10.0.0.1", priority: 150, ageMs: 361.0004 },
    loopLagMs: 0.2,
    addressesAfterMs: 1.2,
    announcedAfterMs: 2.5,
    ...overrides,
  };
}

export function routerFacts(overrides: Partial<RouterFacts> = {}): RouterFacts {
  return {
    name: "edge",
    state: "active",
    inStateMs: 1_000,
    priority: 100,
    isInMaintenance: false,
    isHandingOver: false,
    faults: [],
    addresses: [{ address: "192.0.2.10/24", isInstalled: true }],
    sourceAddress: "192.0.2.1",
    peer: { address: "192.0.2.2", priority: 50, ageMs: 40 },
    trackers: [{ key: "gateway", isUp: true, weight: 0, detail: "2 of 2 workers answer" }],
    counters: NO_ROUTER_COUNTERS,
    ...overrides,
  };
}
