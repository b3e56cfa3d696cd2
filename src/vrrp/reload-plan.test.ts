/** What a reload does to virtual routers, and what it says about it. */
import assert from "node:assert/strict";
import test from "node:test";
import type { AddressPrefix, VirtualRouterConfig } from "../config/types.ts";
import { planRouters } from "./reload-plan.ts";
import type { RouterState } from "./state.ts";

function address(host: string, prefixLength = 24): AddressPrefix {
  return { family: "inet", host, prefixLength };
}

const EDGE: VirtualRouterConfig = {
  name: "edge",
  interface: "eth0",
  id: 51,
  version: 3,
  family: "inet",
  priority: 150,
  advertIntervalMs: 1000,
  preempt: true,
  preemptDelayMs: 0,
  addresses: [address("192.0.2.10"), address("192.0.2.11")],
  extraAddresses: [address("198.51.100.1")],
  sourceAddress: undefined,
  unicastPeers: [],
  checksum: "rfc9568",
  authPass: undefined,
  acceptMode: true,
  useVmac: false,
  onAddressLost: "restore",
  addressLeaseMs: "auto",
  announce: { repeat: 5, repeatIntervalMs: 0, delayMs: 5000, refreshMs: 0 },
  track: { interfaces: [], pools: [], checks: [], gateway: undefined },
  notify: undefined,
  syncGroup: undefined,
};

function plan(after: Partial<VirtualRouterConfig>, state: RouterState = "active") {
  return planRouters([EDGE], [{ ...EDGE, ...after }], new Map([["edge", state]]));
}

test("nothing changed: nothing moves, and one line says so", () => {
  const same = planRouters([EDGE], [structuredClone(EDGE)], new Map([["edge", "active"]]));
  assert.deepEqual(same.routers, [
    { name: "edge", kind: "unchanged", changed: [], addressMoves: 0, lines: [] },
  ]);
  assert.deepEqual(same.lines, ["virtual routers: 1 unchanged; 0 address moves"]);
});

test("a lower priority changes in place; a peer may take over afterwards", () => {
  const { routers, lines } = plan({ priority: 120 });
  assert.deepEqual([routers[0]!.kind, routers[0]!.changed], ["in-place", ["priority"]]);
  assert.deepEqual(lines, [
    "edge: priority 150 → 120, in place; 0 address moves",
    "edge: a peer with a priority above 120 may take over afterwards",
    "virtual routers: 1 changed in place; 0 address moves",
  ]);
  assert.equal(plan({ priority: 120 }, "backup").lines.length, 2);
});

test("what peers and sockets know a router by restarts it: every address moves, if it is active", () => {
  const others: Partial<VirtualRouterConfig>[] = [
    { interface: "eth1" },
    { id: 52 },
    { family: "inet6" },
    { version: 2 },
    { useVmac: true },
    { unicastPeers: ["10.0.0.2"] },
  ];
  for (const other of others) {
    assert.equal(plan(other).routers[0]!.kind, "restarted", JSON.stringify(other));
    assert.equal(plan(other).addressMoves, 3);
    assert.equal(plan(other, "backup").addressMoves, 0);
  }
  assert.deepEqual(plan({ id: 52 }).lines, [
    "edge: id 51 → 52",
    "edge: restarted, it is another router for its peers; 3 address moves",
    "virtual routers: 1 restarted; 3 address moves",
  ]);
});

test("another list of unicast peers is changed in place", () => {
  const before = { ...EDGE, unicastPeers: ["10.0.0.2"] };
  const after = { ...EDGE, unicastPeers: ["10.0.0.2", "10.0.0.3"] };
  assert.equal(planRouters([before], [after], new Map()).routers[0]!.kind, "in-place");
});

test("addresses that go, or change their prefix, move; new ones do not", () => {
  assert.equal(plan({ addresses: [...EDGE.addresses, address("192.0.2.12")] }).addressMoves, 0);
  assert.equal(plan({ addresses: [address("192.0.2.10")] }).addressMoves, 1);
  assert.equal(plan({ addresses: [address("192.0.2.10"), address("192.0.2.11", 32)] }).addressMoves, 1);
  assert.equal(plan({ addresses: [address("192.0.2.10")] }, "backup").addressMoves, 0);
  // From the advertised list to the others and back: the kernel has it all the time.
  const moved = plan({
    addresses: [address("192.0.2.10")],
    extraAddresses: [address("192.0.2.11"), address("198.51.100.1")],
  });
  assert.equal(moved.addressMoves, 0);
});

test("added and removed routers; only what an active one had moves", () => {
  const inner = { ...EDGE, name: "inner", id: 60 };
  const states = new Map<string, RouterState>([["edge", "active"]]);
  const { lines, addressMoves } = planRouters([EDGE], [inner], states);
  assert.equal(addressMoves, 3);
  assert.deepEqual(lines, [
    "edge: removed; 3 address moves",
    "inner: added, starts as backup; 0 address moves",
    "virtual routers: 1 added, 1 removed; 3 address moves",
  ]);
});

test("a changed password is told, not shown", () => {
  const text = plan({ authPass: "s3cret" }).lines.join("\n");
  assert.doesNotMatch(text, /s3cret/);
  assert.match(text, /edge: .*pass.*in place/);
});
