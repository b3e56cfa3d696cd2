/** Tests of router-table.ts: what the table shows of each state, what is pointed at, and the sentences of the history. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RouterProcessStatus, RouterStatus } from "../observe/router-status.ts";
import type { TransitionRecord } from "../vrrp/state.ts";
import { exitStatusOf } from "./router.ts";
import { formatRouters, formatRouterTroubles, formatTransition } from "./router-table.ts";

const RECORD: TransitionRecord = {
  router: "edge",
  atUnixMs: Date.UTC(2026, 10, 22, 0, 3, 4, 123),
  from: "backup",
  to: "active",
  cause: "silence",
  detail: "no advertisement for 3609 ms",
  priority: 100,
  lastAdvertisement: { source: "10.0.0.2", priority: 150, ageMs: 3609 },
  loopLagMs: 0.2,
  addressesAfterMs: 1.25,
  announcedAfterMs: 1.5,
};

const ROUTER: RouterStatus = {
  name: "edge",
  interface: "eth0",
  id: 51,
  version: 3,
  family: "inet",
  advertIntervalMs: 1000,
  configuredPriority: 100,
  syncGroup: null,
  state: "active",
  reason: null,
  since: "2026-11-22T00:03:04.123Z",
  sinceMs: 65_000,
  priority: 100,
  isInMaintenance: false,
  isHandingOver: false,
  faults: [],
  addresses: [
    { address: "192.0.2.10/24", isInstalled: true },
    { address: "192.0.2.11/24", isInstalled: true },
  ],
  sourceAddress: "10.0.0.1",
  peer: { address: "10.0.0.2", priority: 150, ageMs: 68_609 },
  trackers: [],
  counters: {
    advertisementsSent: 65,
    advertisementsReceived: 12,
    advertisementsDiscarded: {},
    sendErrors: 0,
    becameActive: 1,
    conflictsSeen: 0,
    duplicateAddressesSeen: 0,
    stallsNoticed: 0,
    addressesRestored: 0,
    announcementsSent: 20,
    leaseRenewals: 30,
  },
  transitions: [],
  lastTransition: RECORD,
};

function table(router: Partial<RouterStatus>): string[] {
  const document = { process: null, routers: [{ ...ROUTER, ...router }], history: [RECORD] };
  return formatRouters(document, { hasHistory: false });
}

test("formatRouters() shows state, time, priority, each address, the peer and the last cause", () => {
  const [head, first, second] = table({});
  assert.match(head!, /^ROUTER +STATE +FOR +PRIORITY +INTERFACE +ID +ADDRESS +PEER +BECAUSE$/);
  assert.match(
    first!,
    /^edge +active +1m5s +100 +eth0 +51 +192\.0\.2\.10\/24 +10\.0\.0\.2, priority 150, 68\.61 s ago +silence$/,
  );
  assert.match(second!, /^ +192\.0\.2\.11\/24$/);
});

test("formatRouters() marks addresses that are not where the state says, and never guesses when it is unknown", () => {
  const installed = (isInstalled: boolean | null) => [{ address: "192.0.2.10/24", isInstalled }];
  assert.match(table({ addresses: installed(false) })[1]!, /192\.0\.2\.10\/24 \(missing\)/);
  assert.match(table({ state: "backup", addresses: installed(true) })[1]!, /\(still here\)/);
  assert.doesNotMatch(table({ state: "backup", addresses: installed(false) })[1]!, /\(/);
  const unknown = table({ state: "unknown", priority: null, sinceMs: null, addresses: installed(null) })[1]!;
  assert.match(unknown, /^edge +unknown +- +- +eth0/);
  assert.doesNotMatch(unknown, /active|\(/);
});

test("formatRouters() shows a handover, maintenance and a priority that trackers changed", () => {
  assert.match(table({ isHandingOver: true })[1]!, /active, handing over/);
  assert.match(table({ state: "fault", isInMaintenance: true })[1]!, /fault, maintenance/);
  assert.match(table({ priority: 80 })[1]!, /80 \(of 100\)/);
});

test("formatRouterTroubles() is silent about a router that is well", () => {
  assert.deepEqual(formatRouterTroubles([ROUTER], null), []);
});

test("formatRouterTroubles() names trackers, conflicts, discarded advertisements and restarts", () => {
  const down = { key: "pool:web", isUp: false, weight: -20, detail: "1 of 3 servers usable, 2 wanted" };
  const counters = {
    ...ROUTER.counters,
    conflictsSeen: 2,
    duplicateAddressesSeen: 1,
    advertisementsDiscarded: { "bad-checksum": 3, "bad-ttl": 0 },
  };
  const process = { restarts: 1 } as RouterProcessStatus;
  const router = { ...ROUTER, peer: null, trackers: [down], counters, isInMaintenance: true };
  assert.deepEqual(formatRouterTroubles([router], process), [
    'edge: in maintenance until "holdfast router edge resume"',
    "edge: pool:web is down (priority -20): 1 of 3 servers usable, 2 wanted",
    "edge: another router was active at the same time 2 times",
    "edge: another host answered for an address once",
    "edge: advertisements not used: bad-checksum 3",
    "the router process was started again once",
  ]);
});

test("formatRouterTroubles() says a tracker that is the reason of a fault once", () => {
  const down = { key: "gateway", isUp: false, weight: 0, detail: "no worker answers" };
  const router = {
    ...ROUTER,
    state: "fault" as const,
    reason: "gateway: no worker answers",
    trackers: [down],
  };
  assert.deepEqual(formatRouterTroubles([router], null), ["edge: fault: gateway: no worker answers"]);
});

test("formatTransition() is one sentence with the figures that decided; lag is told when it matters", () => {
  assert.equal(
    formatTransition(RECORD),
    "2026-11-22T00:03:04.123Z edge: backup → active, silence: no advertisement for 3609 ms (priority 100, addresses in after 1.25 ms, announced after 1.5 ms)",
  );
  const out = { ...RECORD, to: "backup" as const, announcedAfterMs: null, loopLagMs: 2010 };
  assert.match(formatTransition(out), /addresses out after 1\.25 ms, this process was 2\.01 s late\)$/);
});

test("formatRouters() prints the history when asked, and says when there is no router", () => {
  const document = { process: null, routers: [ROUTER], history: [RECORD] };
  assert.equal(formatRouters(document, { hasHistory: true }).at(-1), formatTransition(RECORD));
  assert.deepEqual(formatRouters({ ...document, routers: [] }, { hasHistory: true }), ["no virtual routers"]);
});

test("exitStatusOf() of an order: 0 done, 1 nobody took over, 2 no such router", () => {
  assert.deepEqual([200, 422, 503, 404, 400].map(exitStatusOf), [0, 1, 1, 2, 2]);
});
