import assert from "node:assert/strict";
import { test } from "node:test";
import { Errno, SyscallError } from "../sys/errno.ts";
import {
  exampleAddress,
  exampleLink,
  exampleRouter,
  type FakeNode,
  FakeSegment,
  VIRTUAL,
} from "./driver-fixtures.ts";

interface Pair {
  readonly segment: FakeSegment;
  /** Priority 150, active. */
  readonly a: FakeNode;
  /** Priority 100, backup. */
  readonly b: FakeNode;
}

function startPair(changes: Parameters<typeof exampleRouter>[0] = {}): Pair {
  const segment = new FakeSegment();
  const [a, b] = [segment.node("192.0.2.1"), segment.node("192.0.2.2")];
  a.configure(exampleRouter({ priority: 150, ...changes }));
  b.configure(exampleRouter({ priority: 100, ...changes }));
  segment.clock.advance(1000);
  assert.equal(a.facts.state, "active");
  assert.equal(b.facts.state, "backup");
  return { segment, a, b };
}

test("promotion: advertisement, addresses, announcement, in this order (RFC 9568 §6.4.2)", () => {
  const { a } = startPair();
  assert.deepEqual(a.deeds.slice(0, 2), ["send 150", "announce with address"]);
  assert.deepEqual(a.kernel.requests.slice(0, 1), ["install 192.0.2.10 3"]);
});

test("stop: priority 0 while the address is still there, then it is withdrawn", () => {
  const { a, b, segment } = startPair();
  a.set.stop();
  assert.equal(a.deeds.at(-1), "send 0 with address");
  assert.equal(a.kernel.has(VIRTUAL.host), false);
  segment.clock.advance(61);
  assert.deepEqual(b.story, ["initialize→backup startup", "backup→active priority-zero"]);
});

test("a backup that was frozen for 2 s hears what waited before it believes in silence", () => {
  const { b, segment } = startPair();
  b.freeze();
  segment.clock.advance(2000);
  b.thaw();
  segment.clock.advance(2000);
  assert.deepEqual(b.story, ["initialize→backup startup"]);
});

test("an active router that was frozen for 2 s steps down without a word when another one took over", () => {
  const { a, b, segment } = startPair();
  a.freeze();
  segment.clock.advance(2000);
  assert.equal(b.facts.state, "active");
  const sent = a.deeds.length;
  a.thaw();
  assert.equal(a.facts.state, "backup");
  assert.equal(a.transitions.at(-1)?.cause, "stall");
  assert.equal(a.deeds.length, sent, a.deeds.slice(sent).join());
  assert.equal(a.kernel.has(VIRTUAL.host), false);
  assert.ok(a.transitions.at(-1)!.loopLagMs > 0);
});

test("after a freeze an address whose lease ran out is not restored when another router is active by then", () => {
  const { a, segment } = startPair({ preempt: false });
  a.freeze();
  segment.clock.advance(2000);
  a.kernel.forget(VIRTUAL.host);
  // The event of the kernel is read first, before timers and packets.
  a.isFrozen = false;
  a.tell({ kind: "address-removed", address: exampleAddress(VIRTUAL.host) });
  assert.equal(a.kernel.has(VIRTUAL.host), false);
  assert.equal(a.facts.counters.addressesRestored, 0);
  assert.equal(a.facts.state, "backup");
});

test("an address removed by somebody else is installed and announced again, and counted; an old event is not", () => {
  const { a } = startPair();
  a.kernel.forget(VIRTUAL.host);
  const announced = a.facts.counters.announcementsSent;
  a.tell({ kind: "address-removed", address: exampleAddress(VIRTUAL.host) });
  assert.equal(a.kernel.has(VIRTUAL.host), true);
  assert.equal(a.facts.counters.addressesRestored, 1);
  assert.equal(a.facts.counters.announcementsSent, announced + 1);
  a.tell({ kind: "address-removed", address: exampleAddress(VIRTUAL.host) });
  assert.equal(a.facts.counters.addressesRestored, 1);
  assert.deepEqual(a.story, ["initialize→backup startup", "backup→active silence"]);
});

test("on_address_lost: fault gives the addresses up until an operator resumes", () => {
  const { a, b, segment } = startPair({ onAddressLost: "fault" });
  a.kernel.forget(VIRTUAL.host);
  a.tell({ kind: "address-removed", address: exampleAddress(VIRTUAL.host) });
  assert.equal(a.facts.state, "fault");
  segment.clock.advance(20_000);
  assert.equal(a.facts.state, "fault");
  assert.equal(b.facts.state, "active");
  a.set.handleOrder(1, "edge", "resume");
  segment.clock.advance(1000);
  assert.equal(a.facts.state, "active");
});

test("a refused installation is a fault with the kernel's words; another try follows", () => {
  const segment = new FakeSegment();
  const a = segment.node("192.0.2.1");
  a.kernel.refusal = -Errno.EACCES;
  a.kernel.lastErrorText = "IPv4 is disabled on this device";
  a.configure(exampleRouter());
  segment.clock.advance(1000);
  assert.equal(a.facts.state, "fault");
  assert.deepEqual(a.facts.faults, [
    "installing 192.0.2.10/24 on eth0: EACCES (IPv4 is disabled on this device)",
  ]);
  assert.equal(a.transitions.find(({ to }) => to === "active")?.addressesAfterMs, null);
  assert.ok(!a.deeds.some((deed) => deed.startsWith("announce")), a.deeds.join());
  a.kernel.refusal = 0;
  segment.clock.advance(12_000);
  assert.equal(a.facts.state, "active");
});

test("an installation that is always refused: the pauses double, since every try takes the addresses from the peer for a moment", () => {
  const segment = new FakeSegment();
  const a = segment.node("192.0.2.1");
  a.kernel.refusal = -Errno.EACCES;
  a.configure(exampleRouter());
  segment.clock.advance(3_600_000);
  // After 10, 20, 40, 80, 160 s, then every 320 s.
  assert.equal(a.facts.counters.becameActive, 6 + 10);
});

test("a socket that cannot be opened does not keep a refused installation from being tried again", () => {
  const segment = new FakeSegment();
  const a = segment.node("192.0.2.1");
  a.kernel.refusal = -Errno.EACCES;
  a.configure(exampleRouter());
  segment.clock.advance(1000);
  a.kernel.refusal = 0;
  a.portRefusal = new SyscallError("socket", Errno.EMFILE, "raw");
  a.tell({ kind: "link-changed", link: exampleLink({ isUp: false }) });
  a.tell({ kind: "link-changed", link: exampleLink() });
  assert.equal(a.facts.faults.length, 2, a.facts.faults.join("; "));
  a.portRefusal = undefined;
  segment.clock.advance(12_000);
  assert.equal(a.facts.state, "active", a.facts.faults.join("; "));
});

test("the lease is renewed every third of it while active, and never after", () => {
  const { a, b, segment } = startPair();
  const renewals = a.facts.counters.leaseRenewals;
  segment.clock.advance(6000);
  assert.equal(a.facts.counters.leaseRenewals, renewals + 6);
  assert.equal(b.kernel.requests.length, 0);
});

test("priority 255: an address that the host has already is neither installed nor removed", () => {
  const segment = new FakeSegment();
  const a = segment.node(VIRTUAL.host);
  a.configure(exampleRouter({ priority: 255 }));
  assert.equal(a.facts.state, "active");
  segment.clock.advance(5000);
  a.set.stop();
  assert.deepEqual(a.kernel.requests, []);
  assert.equal(a.kernel.has(VIRTUAL.host), true);
});

test("link down, link gone, no source address: a fault that says which; recovery when it is over", () => {
  const { a, segment } = startPair();
  a.tell({ kind: "link-changed", link: exampleLink({ isUp: false }) });
  assert.deepEqual(a.facts.faults, ["interface eth0 is down"]);
  a.tell({ kind: "link-removed", index: 2, name: "eth0" });
  assert.deepEqual(a.facts.faults, ["interface eth0 does not exist"]);
  a.tell({ kind: "link-changed", link: exampleLink({ index: 7 }) });
  assert.deepEqual(a.facts.faults, ["interface eth0 has no IPv4 address to send from"]);
  a.tell({ kind: "address-added", address: exampleAddress("192.0.2.1", { linkIndex: 7 }) });
  assert.equal(a.facts.state, "backup");
  segment.clock.advance(1000);
  assert.equal(a.facts.state, "active");
});

test("a handover order is answered when the peer is active; maintenance is a fault afterwards", () => {
  const { a, b, segment } = startPair();
  a.set.handleOrder(7, "edge", "maintenance");
  assert.equal(a.facts.state, "active");
  assert.equal(a.kernel.has(VIRTUAL.host), true);
  segment.clock.advance(100);
  assert.equal(b.facts.state, "active");
  assert.equal(a.facts.state, "fault");
  assert.deepEqual(a.reports, [
    {
      type: "order-done",
      requestId: 7,
      ok: true,
      lines: ["edge: 192.0.2.2 is active now, the addresses have moved"],
    },
  ]);
  a.set.handleOrder(8, "nobody", "handover");
  assert.deepEqual(a.reports.at(-1), {
    type: "order-done",
    requestId: 8,
    ok: false,
    lines: ["no virtual router is called nobody"],
  });
});

test("a handover without a peer: stays active and says so", () => {
  const segment = new FakeSegment();
  const a = segment.node("192.0.2.1");
  a.configure(exampleRouter());
  segment.clock.advance(1000);
  a.set.handleOrder(1, "edge", "handover");
  segment.clock.advance(1000);
  assert.equal(a.facts.state, "active");
  assert.equal(a.kernel.has(VIRTUAL.host), true);
  assert.deepEqual(a.reports, [
    { type: "order-done", requestId: 1, ok: false, lines: ["edge: nobody took over: it stays active"] },
  ]);
});

test("resume while a handover still waits for a peer: each order gets its own answer", () => {
  const segment = new FakeSegment();
  const a = segment.node("192.0.2.1");
  a.configure(exampleRouter());
  segment.clock.advance(1000);
  a.set.handleOrder(1, "edge", "handover");
  a.set.handleOrder(2, "edge", "resume");
  assert.deepEqual(a.reports, [
    { type: "order-done", requestId: 1, ok: false, lines: ["edge: nobody took over: it stays active"] },
    { type: "order-done", requestId: 2, ok: true, lines: ["edge takes part in the election again"] },
  ]);
});

test("release: done when every address is with a peer, or at the deadline", () => {
  const { a, b, segment } = startPair();
  let isDone = false;
  a.set.release(2000, () => {
    isDone = true;
  });
  segment.clock.advance(100);
  assert.equal(isDone, true);
  assert.equal(b.facts.state, "active");
  assert.equal(a.set.size, 0);
  b.set.release(50, () => {});
  segment.clock.advance(50);
  assert.equal(b.kernel.has(VIRTUAL.host), false);
});

test("reload: an unchanged router is not touched; addresses come and go in place; nothing else moves", () => {
  const { a, segment } = startPair();
  const other = { family: "inet", host: "192.0.2.11", prefixLength: 24 } as const;
  const before = a.kernel.requests.length;
  a.configure(exampleRouter({ priority: 150 }));
  assert.equal(a.kernel.requests.length, before);
  a.configure(exampleRouter({ priority: 140, addresses: [VIRTUAL, other] }));
  assert.deepEqual(a.kernel.requests.slice(before), ["install 192.0.2.11 3"]);
  a.configure(exampleRouter({ priority: 140, addresses: [VIRTUAL] }));
  assert.equal(a.kernel.has("192.0.2.11"), false);
  segment.clock.advance(3000);
  assert.deepEqual(a.story, ["initialize→backup startup", "backup→active silence"]);
  assert.equal(a.facts.priority, 140);
  assert.ok(!a.kernel.requests.includes("remove 192.0.2.10"));
});

test("reload: another lease, or another interval, is the lease of the addresses that are installed already", () => {
  const { a, segment } = startPair();
  const leaseAfter = (changes: Parameters<typeof exampleRouter>[0]) => {
    a.configure(exampleRouter({ priority: 150, ...changes }));
    return a.kernel.addresses_.find(({ host }) => host === VIRTUAL.host)?.validSeconds;
  };
  assert.equal(leaseAfter({ addressLeaseMs: 60_000 }), 60);
  // And what is renewed later: with the old lease of 3 s and the new pause of 20 s it would be gone in between.
  segment.clock.advance(25_000);
  assert.equal(a.kernel.requests.at(-1), "install 192.0.2.10 60");
  assert.equal(leaseAfter({ addressLeaseMs: 0 }), undefined);
  assert.equal(leaseAfter({ advertIntervalMs: 1000 }), 5);
  assert.equal(a.facts.state, "active");
});

test("reload: however often settings change, the lease is renewed before it ends", () => {
  const { a, segment } = startPair();
  const { leaseRenewals } = a.facts.counters;
  for (let index = 0; index < 10; index++) {
    a.configure(exampleRouter({ priority: 150 + (index % 2) }));
    segment.clock.advance(300);
  }
  // 3 s, a renewal every second.
  assert.ok(a.facts.counters.leaseRenewals >= leaseRenewals + 2);
});

test("an address that is removed again and again does not keep the lease of the others from being renewed", () => {
  const other = { family: "inet", host: "192.0.2.11", prefixLength: 24 } as const;
  const { a, segment } = startPair({ addresses: [VIRTUAL, other] });
  const { leaseRenewals } = a.facts.counters;
  for (let index = 0; index < 10; index++) {
    a.kernel.forget(other.host);
    a.tell({ kind: "address-removed", address: exampleAddress(other.host) });
    segment.clock.advance(300);
  }
  assert.equal(a.facts.counters.addressesRestored, 10);
  assert.ok(a.facts.counters.leaseRenewals >= leaseRenewals + 2);
});

test("reload: an address that moves from one router to another of the node is there afterwards", () => {
  const segment = new FakeSegment();
  const a = segment.node("192.0.2.1");
  const shared = { family: "inet", host: "192.0.2.11", prefixLength: 24 } as const;
  const own = { family: "inet", host: "192.0.2.20", prefixLength: 24 } as const;
  const second = { name: "second", id: 52 };
  a.configure(
    exampleRouter({ addresses: [VIRTUAL] }),
    exampleRouter({ ...second, addresses: [own, shared] }),
  );
  segment.clock.advance(1000);
  a.configure(
    exampleRouter({ addresses: [VIRTUAL, shared] }),
    exampleRouter({ ...second, addresses: [own] }),
  );
  assert.equal(a.kernel.has("192.0.2.11"), true);
  a.configure(
    exampleRouter({ addresses: [VIRTUAL] }),
    exampleRouter({ ...second, addresses: [own, shared] }),
  );
  assert.equal(a.kernel.has("192.0.2.11"), true);
});

test("reload: another id is another router, taken down and started again", () => {
  const { a, segment } = startPair();
  a.configure(exampleRouter({ priority: 150, id: 99 }));
  assert.equal(a.facts.state, "backup");
  segment.clock.advance(1000);
  assert.equal(a.facts.state, "active");
});

test("start: addresses that an earlier process left are removed, others are not", () => {
  const segment = new FakeSegment();
  const a = segment.node("192.0.2.1");
  a.kernel.addresses_.push(
    exampleAddress(VIRTUAL.host, { protocol: 112 }),
    exampleAddress("192.0.2.77", { protocol: 112 }),
  );
  a.configure(exampleRouter());
  assert.equal(a.kernel.has(VIRTUAL.host), false);
  assert.equal(a.kernel.has("192.0.2.77"), true);
  assert.ok(a.logs.includes("router-leftovers-removed"));
});

test("trackers: down without a result at the start; a key that a reload adds does not move the addresses before its first result", () => {
  const { a, segment } = startPair();
  const pools = [{ pool: "web", below: 1, weight: 0 }];
  const track = { interfaces: [], pools, checks: [], gateway: undefined };
  a.configure(exampleRouter({ priority: 150, track }));
  segment.clock.advance(500);
  assert.equal(a.facts.state, "active");
  a.results({ key: "pool:web<1", isUp: false, detail: "0 of 2 servers usable, 1 wanted" });
  assert.equal(a.facts.state, "fault");
  assert.deepEqual(a.facts.faults, ["pool:web<1: 0 of 2 servers usable, 1 wanted"]);
  const c = segment.node("192.0.2.3");
  c.configure(exampleRouter({ track }));
  assert.equal(c.facts.state, "fault");
  assert.deepEqual(c.facts.faults, ["pool:web<1: no result yet"]);
});

test("a foreign claim of our address is counted, and answered at most once in 10 s (RFC 5227 §2.4)", () => {
  const { a, segment } = startPair();
  segment.clock.advance(1000);
  const announced = a.facts.counters.announcementsSent;
  for (let count = 0; count < 5; count++) a.found!(VIRTUAL.host, "02:00:00:00:00:99");
  assert.equal(a.facts.counters.duplicateAddressesSeen, 5);
  assert.equal(a.facts.counters.announcementsSent, announced + 1);
  assert.equal(a.logs.filter((event) => event === "router-duplicate-address").length, 1);
});

test("duplicates are looked for a second after promotion: the router that steps down still answers for the address before", () => {
  const { a, b, segment } = startPair();
  a.set.stop();
  segment.clock.advance(61);
  assert.equal(b.facts.state, "active");
  segment.clock.advance(990);
  assert.equal(b.found, undefined);
  segment.clock.advance(20);
  assert.ok(b.found !== undefined);
  b.set.stop();
  assert.equal(b.found, undefined);
});

test("reload: duplicates are looked for of the addresses that are configured now", () => {
  const { a, segment } = startPair();
  segment.clock.advance(1000);
  const other: typeof VIRTUAL = { ...VIRTUAL, host: "192.0.2.11" };
  a.configure(exampleRouter({ priority: 150, addresses: [other] }));
  assert.deepEqual(a.watched, [other.host]);
});

test("an interface that comes later, or again, is prepared like one that was there", () => {
  const { a } = startPair();
  a.tell({ kind: "link-changed", link: exampleLink({ isUp: false }) });
  assert.deepEqual(a.prepared, ["eth0"]);
  a.tell({ kind: "link-removed", index: 2, name: "eth0" });
  a.tell({ kind: "link-changed", link: exampleLink({ index: 7 }) });
  a.tell({ kind: "link-changed", link: exampleLink({ index: 8, name: "eth8" }) });
  assert.deepEqual(a.prepared, ["eth0", "eth0"]);
});

test("a renamed interface: the addresses that are still on it are withdrawn", () => {
  const { a } = startPair();
  a.kernel.links_[0] = exampleLink({ name: "lan9" });
  a.tell({ kind: "link-changed", link: exampleLink({ name: "lan9" }) });
  assert.equal(a.facts.state, "fault");
  assert.equal(a.kernel.has(VIRTUAL.host), false);
});

test("two active routers after a partition: the lower one steps down, the winner announces again when the conflict is over", () => {
  const { a, b, segment } = startPair();
  const attachments = [...segment.attachments];
  segment.attachments.clear();
  segment.clock.advance(2000);
  assert.equal(b.facts.state, "active");
  for (const attachment of attachments) segment.attachments.add(attachment);
  const announced = a.facts.counters.announcementsSent;
  segment.clock.advance(1000);
  assert.equal(b.facts.state, "backup");
  assert.equal(a.facts.state, "active");
  assert.equal(b.transitions.at(-1)?.cause, "higher-priority");
  // Once as the answer, and once when nobody has contradicted for four intervals.
  assert.equal(a.facts.counters.conflictsSeen, 1);
  assert.equal(a.facts.counters.announcementsSent, announced + 2);
});

test("the kernel refuses to list addresses when one seems lost: not lost until it says so, one warning, and the router lives", () => {
  const { a, segment } = startPair();
  a.kernel.refusesToList = true;
  a.kernel.forget(VIRTUAL.host);
  a.tell({ kind: "address-removed", address: exampleAddress(VIRTUAL.host) });
  segment.clock.advance(500);
  assert.equal(a.facts.state, "active");
  assert.equal(a.facts.counters.addressesRestored, 0);
  assert.deepEqual(
    a.logs.filter((event) => event === "router-list-refused"),
    ["router-list-refused"],
  );
  a.kernel.forget(VIRTUAL.host);
  a.kernel.refusesToList = false;
  segment.clock.advance(500);
  assert.equal(a.kernel.has(VIRTUAL.host), true);
  assert.equal(a.facts.counters.addressesRestored, 1);
});

test("events were lost and the kernel refuses to list: asked again, and what changed meanwhile is noticed", () => {
  const { a, segment } = startPair();
  a.kernel.refusesToList = true;
  a.kernel.links_[0] = exampleLink({ isUp: false });
  a.tell({ kind: "overrun" });
  assert.equal(a.facts.state, "active");
  a.kernel.refusesToList = false;
  segment.clock.advance(1000);
  assert.deepEqual(a.facts.faults, ["interface eth0 is down"]);
});

test("use_vmac: a macvlan that somebody removes takes its addresses along; it is made again, and nothing is installed on the old one", () => {
  const segment = new FakeSegment();
  const a = segment.node("192.0.2.1");
  a.configure(exampleRouter({ useVmac: true }));
  segment.clock.advance(1000);
  const { index, name } = a.kernel.links_[1]!;
  a.tell({ kind: "link-changed", link: a.kernel.links_[1]! });
  assert.equal(a.facts.state, "active");
  a.kernel.removeLink(index);
  a.kernel.forget(VIRTUAL.host);
  a.tell({ kind: "address-removed", address: exampleAddress(VIRTUAL.host, { linkIndex: index }) });
  assert.equal(a.kernel.has(VIRTUAL.host), false);
  assert.equal(a.facts.counters.addressesRestored, 0);
  a.tell({ kind: "link-removed", index, name });
  assert.equal(a.kernel.links_[1]?.name, name);
  segment.clock.advance(1000);
  assert.equal(a.facts.state, "active", a.facts.faults.join("; "));
  assert.equal(a.kernel.has(VIRTUAL.host), true);
});

test("use_vmac: an existing macvlan above another interface is not taken over", () => {
  const segment = new FakeSegment();
  const a = segment.node("192.0.2.1");
  a.kernel.createMacvlan("vrrp4.51", 9, Uint8Array.of(0, 0, 0x5e, 0, 1, 51));
  a.configure(exampleRouter({ useVmac: true }));
  assert.equal(a.facts.state, "fault");
  assert.deepEqual(a.facts.faults, [
    "an interface vrrp4.51 exists already, above another interface than eth0 (index 9)",
  ]);
});

test("an address that somebody configured on the interface for ever is neither leased nor removed, with a warning", () => {
  for (const reload of [false, true]) {
    const segment = new FakeSegment();
    const a = segment.node("192.0.2.1");
    const other = { ...VIRTUAL, host: "192.0.2.11" };
    const configured = exampleAddress(other.host);
    a.kernel.addresses_.push(configured);
    a.tell({ kind: "address-added", address: configured });
    a.configure(exampleRouter(reload ? {} : { addresses: [VIRTUAL, other] }));
    segment.clock.advance(5000);
    if (reload) a.configure(exampleRouter({ addresses: [VIRTUAL, other] }));
    assert.equal(a.kernel.has(VIRTUAL.host), true);
    assert.match(a.messages.join("\n"), /192\.0\.2\.11\/24 is configured on eth0 without VRRP/);
    a.set.stop();
    assert.equal(a.kernel.has(VIRTUAL.host), false);
    assert.deepEqual(
      a.kernel.addresses_.find(({ host }) => host === other.host),
      configured,
    );
    assert.ok(!a.kernel.requests.some((it) => it.includes(other.host)), a.kernel.requests.join());
  }
});

test("what an earlier process left has our mark or an end: it is ours, also without a warning", () => {
  const segment = new FakeSegment();
  const a = segment.node("192.0.2.1");
  for (const left of [{ protocol: 112 }, { validSeconds: 2 }]) {
    a.kernel.addresses_.push(exampleAddress(VIRTUAL.host, left));
    a.tell({ kind: "address-added", address: exampleAddress(VIRTUAL.host, left) });
    a.configure(exampleRouter());
    segment.clock.advance(1000);
    a.set.stop();
    assert.equal(a.kernel.has(VIRTUAL.host), false);
    assert.ok(!a.logs.includes("router-address-foreign"));
  }
});

test("an advertisement that a packet filter stops: the warning says where to look", () => {
  const { a, segment } = startPair();
  a.sendRefusal = -Errno.EPERM;
  segment.clock.advance(100);
  assert.match(a.messages.join("\n"), /EPERM; a packet filter drops it: .*output.*112/);
});

test("the router's own interface with up_delay: in fault until it has been up for so long (spanning tree)", () => {
  const own = { interface: "eth0", weight: 0, upDelayMs: 35_000, downDelayMs: 0 };
  const track = { interfaces: [own], pools: [], checks: [], gateway: undefined };
  const { a, segment } = startPair({ track });
  a.tell({ kind: "link-changed", link: exampleLink({ isUp: false }) });
  segment.clock.advance(5000);
  a.tell({ kind: "link-changed", link: exampleLink() });
  segment.clock.advance(34_900);
  assert.equal(a.facts.state, "fault");
  segment.clock.advance(1000);
  assert.equal(a.facts.state, "active");
});

test("reload: the kernel refuses to list when a router is added: it is added all the same, and the others go on", () => {
  const { a } = startPair();
  a.kernel.refusesToList = true;
  const second = { ...VIRTUAL, host: "192.0.2.20" };
  a.configure(
    exampleRouter({ priority: 150 }),
    exampleRouter({ name: "second", id: 52, addresses: [second] }),
  );
  assert.deepEqual(
    a.set.facts().map(({ state }) => state),
    ["active", "backup"],
  );
});
