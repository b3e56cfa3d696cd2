/**
 * Real router processes in network namespaces on one bridge: election, failover, stalls, leases, reload. Times are those of this host
 * and generous; what must never happen is counted exactly.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { poolTrackerKey } from "../../src/daemon/router-messages.ts";
import { type RouterLan, requireLan, startRouterLan } from "../harness/lan.ts";
import { requirePeer } from "../harness/peers.ts";
import { eventually } from "../harness/program.ts";
import { type RouterUnderTest, routerConfig, startRouter, VIRTUAL } from "./router-scene.ts";

interface Pair {
  readonly lan: RouterLan;
  /** Priority 150. */
  readonly a: RouterUnderTest;
  /** Priority 100. */
  readonly b: RouterUnderTest;
}

/** Two routers, a active and b backup. */
async function startPair(changes: Parameters<typeof routerConfig>[0] = {}): Promise<Pair> {
  const lan = await startRouterLan();
  try {
    const a = await startRouter(lan, "a");
    const b = await startRouter(lan, "b");
    a.configure(routerConfig({ priority: 150, ...changes }));
    await a.untilState("active", 5000);
    b.configure(routerConfig({ priority: 100, ...changes }));
    await b.untilState("backup", 2000);
    return { lan, a, b };
  } catch (error) {
    await lan[Symbol.asyncDispose]();
    throw error;
  }
}

/** A cable to nowhere, in node a. */
function addInterface(lan: RouterLan, name: string): void {
  lan.topology.run("a", "ip", "link", "add", name, "type", "veth", "peer", "name", `${name}-far`);
  for (const end of [name, `${name}-far`]) lan.topology.setLink("a", end, "up");
}

test("two routers elect the one with the higher priority, and it has the address", async (t) => {
  if (!requireLan(t)) return;
  const { lan, a, b } = await startPair();
  await using _ = lan;
  await lan.untilHeldBy("a", VIRTUAL, 1000);
  assert.deepEqual(a.story, ["initialize→backup startup", "backup→active silence"]);
  assert.deepEqual(b.story, ["initialize→backup startup"]);
  const record = a.transitions.at(-1)!;
  assert.ok(record.addressesAfterMs !== null && record.addressesAfterMs < 50, JSON.stringify(record));
  assert.ok(record.announcedAfterMs !== null && record.announcedAfterMs < 50, JSON.stringify(record));
});

test("kill -9 of the active router: the backup takes over, and the kernel removes the address when its lease is over", async (t) => {
  if (!requireLan(t)) return;
  const { lan, a, b } = await startPair();
  await using _ = lan;
  a.signal("SIGKILL");
  await b.untilState("active", 1000);
  assert.equal(b.transitions.at(-1)!.cause, "silence");
  // Lease of 3 s, checked by the kernel about once a second.
  await lan.untilHeldBy("b", VIRTUAL, 6000);
});

test("a parent that vanishes: priority 0, address withdrawn, process gone; the backup takes over after the skew time", async (t) => {
  if (!requireLan(t)) return;
  const { lan, a, b } = await startPair();
  await using _ = lan;
  await a.program.stop("SIGKILL");
  await b.untilState("active", 1000);
  assert.equal(b.transitions.at(-1)!.cause, "priority-zero");
  await lan.untilHeldBy("b", VIRTUAL, 1000);
});

test("a bug that ends the router process: priority 0 and no address left, as at an orderly stop", async (t) => {
  if (!requireLan(t)) return;
  // For ever: nothing but the process itself takes the address away.
  const { lan, a, b } = await startPair({ addressLeaseMs: 0 });
  await using _ = lan;
  a.request(JSON.parse('{"type":"tracker-results","results":null}'));
  await a.program.line((line) => line.includes('"ended"'), 2000);
  assert.equal(a.reports("routers").length > 0 && a.program.stderr.includes("TypeError"), true);
  await b.untilState("active", 1000);
  assert.equal(b.transitions.at(-1)!.cause, "priority-zero");
  await lan.untilHeldBy("b", VIRTUAL, 1000);
});

test("stop: priority 0 goes out before the address is withdrawn, and the backup takes over after the skew time", async (t) => {
  if (!requireLan(t)) return;
  const { lan, a, b } = await startPair();
  await using _ = lan;
  const capture = await lan.capture("a");
  a.request({ type: "stop" });
  await b.untilState("active", 1000);
  const { cause, lastAdvertisement } = b.transitions.at(-1)!;
  assert.equal(cause, "priority-zero");
  assert.equal(lastAdvertisement?.priority, 0);
  // RFC 9568 §6.1: skew = (256 − 100) × 100 ms / 256 = 60.9 ms.
  assert.ok(
    lastAdvertisement!.ageMs >= 60.9 && lastAdvertisement!.ageMs < 200,
    `${lastAdvertisement!.ageMs}`,
  );
  await lan.untilHeldBy("b", VIRTUAL, 1000);
  assert.equal(
    capture.count(({ source, priority }) => source === "10.90.0.1" && priority === 0),
    1,
  );
});

test("release: the peer is active before the address goes", async (t) => {
  if (!requireLan(t)) return;
  const { lan, a, b } = await startPair();
  await using _ = lan;
  a.request({ type: "release", deadlineMs: 2000 });
  await a.program.line((line) => line.includes('"released"'), 2000);
  await b.untilState("active", 1000);
  const [gave, took] = [a.transitions.at(-2)!, b.transitions.at(-1)!];
  assert.equal(`${gave.from}→${gave.to}`, "active→backup", a.story.join());
  assert.equal(took.to, "active");
  assert.ok(took.atUnixMs <= gave.atUnixMs, `taken at ${took.atUnixMs}, given at ${gave.atUnixMs}`);
  await lan.untilHeldBy("b", VIRTUAL, 1000);
});

test("SIGSTOP of the backup for 2 s, three times: it drains the socket when it wakes and never takes over", async (t) => {
  if (!requireLan(t)) return;
  const { lan, a, b } = await startPair();
  await using _ = lan;
  for (let round = 0; round < 3; round++) {
    b.signal("SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, 2000));
    b.signal("SIGCONT");
    const facts = await b.freshFacts();
    assert.equal(facts.state, "backup", b.story.join());
  }
  assert.deepEqual(b.story, ["initialize→backup startup"]);
  assert.deepEqual(a.story, ["initialize→backup startup", "backup→active silence"]);
  const { counters } = await b.freshFacts();
  assert.ok(counters.advertisementsReceived > 50, `${counters.advertisementsReceived}`);
});

test("SIGSTOP of the active for 2 s: one clean handover, and at most one advertisement of the woken router", async (t) => {
  if (!requireLan(t)) return;
  const { lan, a, b } = await startPair({ preempt: false });
  await using _ = lan;
  a.signal("SIGSTOP");
  await b.untilState("active", 2000);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const capture = await lan.capture("a");
  // While it was frozen its kernel went on answering ARP until the lease was over: that is a duplicate, and may have been seen.
  const before = (await b.freshFacts()).counters;
  a.signal("SIGCONT");
  await a.untilState("backup", 1000);
  await lan.untilHeldBy("b", VIRTUAL, 3000);
  assert.equal(a.transitions.at(-1)!.cause, "stall");
  assert.deepEqual(b.story.slice(1), ["backup→active silence"]);
  await b.freshFacts();
  assert.ok(capture.count(({ source }) => source === "10.90.0.1") <= 1);
  const after = (await b.freshFacts()).counters;
  assert.equal(after.duplicateAddressesSeen, before.duplicateAddressesSeen);
  assert.ok(after.conflictsSeen <= 1, `${after.conflictsSeen}`);
});

test("link down: fault with the reason, the peer takes over; link up: it preempts again", async (t) => {
  if (!requireLan(t)) return;
  const { lan, a, b } = await startPair();
  await using _ = lan;
  lan.topology.setLink("a", "eth0", "down");
  await a.untilState("fault", 1000);
  assert.match(a.transitions.at(-1)!.detail, /interface eth0 is down/);
  await b.untilState("active", 1000);
  await lan.untilHeldBy("b", VIRTUAL, 1000);
  lan.topology.setLink("a", "eth0", "up");
  await a.untilState("active", 3000);
  await b.untilState("backup", 1000);
  assert.equal(b.transitions.at(-1)!.cause, "higher-priority");
  await lan.untilHeldBy("a", VIRTUAL, 1000);
});

test("cable out of the switch (carrier lost): fault, and the peer takes over", async (t) => {
  if (!requireLan(t)) return;
  const { lan, a, b } = await startPair();
  await using _ = lan;
  lan.setCable("a", "down");
  await a.untilState("fault", 1000);
  await b.untilState("active", 1000);
  await lan.untilHeldBy("b", VIRTUAL, 1000);
});

test("an address deleted from outside is installed again at once and counted; with on_address_lost: fault the peer takes over", async (t) => {
  if (!requireLan(t)) return;
  const { lan, a, b } = await startPair();
  await using _ = lan;
  lan.topology.run("a", "ip", "address", "del", `${VIRTUAL}/24`, "dev", "eth0");
  await lan.untilHeldBy("a", VIRTUAL, 500);
  assert.equal((await a.freshFacts()).counters.addressesRestored, 1);
  assert.deepEqual(a.story, ["initialize→backup startup", "backup→active silence"]);
  a.configure(routerConfig({ priority: 150, onAddressLost: "fault" }));
  await a.freshFacts();
  lan.topology.run("a", "ip", "address", "del", `${VIRTUAL}/24`, "dev", "eth0");
  await a.untilState("fault", 1000);
  assert.equal(a.transitions.at(-1)!.cause, "address-lost");
  await b.untilState("active", 1000);
});

test("reload: what does not change is not touched, what changes does so in place, addresses come and go alone", async (t) => {
  if (!requireLan(t)) return;
  const { lan, a, b } = await startPair();
  await using _ = lan;
  const monitor = await lan.monitorAddresses("a");
  const more = routerConfig({
    priority: 140,
    preempt: false,
    addresses: [
      { family: "inet", host: VIRTUAL, prefixLength: 24 },
      { family: "inet", host: "10.90.0.101", prefixLength: 24 },
    ],
  });
  b.configure({ ...more, priority: 100 });
  a.configure(more);
  await lan.untilHeldBy("a", "10.90.0.101", 1000);
  a.configure(
    more,
    routerConfig({
      name: "other",
      id: 52,
      addresses: [{ family: "inet", host: "10.90.0.150", prefixLength: 24 }],
    }),
  );
  await lan.untilHeldBy("a", "10.90.0.150", 2000);
  a.configure(routerConfig({ priority: 140, preempt: false }));
  await eventually("10.90.0.101 and 10.90.0.150 are gone", 1000, () => {
    return lan.holders("10.90.0.101").length + lan.holders("10.90.0.150").length === 0;
  });
  await lan.untilHeldBy("a", VIRTUAL, 1000);
  assert.deepEqual(b.story, ["initialize→backup startup"]);
  assert.deepEqual(a.transitions.filter(({ router }) => router === "edge").length, 2);
  const deleted = monitor.lines.filter((line) => line.startsWith("Deleted"));
  assert.ok(
    deleted.every((line) => !line.includes(`${VIRTUAL}/`)),
    deleted.join("\n"),
  );
  assert.equal((await a.freshFacts()).priority, 140);
});

for (const [name, changes] of Object.entries({
  "IPv6 (version 3)": {
    family: "inet6",
    addresses: [
      { family: "inet6", host: "fe80::90:100", prefixLength: 64 },
      { family: "inet6", host: "fd00:90::100", prefixLength: 64 },
    ],
  },
  "version 2 with a password": { version: 2, advertIntervalMs: 1000, authPass: "holdfast" },
  "version 3, checksum with pseudo-header": { checksum: "pseudo-header" },
} satisfies Record<string, Parameters<typeof routerConfig>[0]>)) {
  test(`${name}: election, failover on kill -9, preemption by a restarted router`, async (t) => {
    if (!requireLan(t)) return;
    const { lan, a, b } = await startPair(changes);
    await using _ = lan;
    const host = routerConfig(changes).addresses.at(-1)!.host;
    await lan.untilHeldBy("a", host, 1000);
    a.signal("SIGKILL");
    await b.untilState("active", 5000);
    await lan.untilHas("b", host, 1000);
    const again = await startRouter(lan, "a");
    again.configure(routerConfig({ priority: 150, ...changes }));
    await again.untilState("active", 6000);
    assert.equal(again.transitions.at(-1)!.cause, "preempt");
    await lan.untilHeldBy("a", host, 8000);
    assert.deepEqual((await again.freshFacts()).counters.advertisementsDiscarded, {});
  });
}

test("unicast peers: no multicast is needed, and a stranger's advertisements are discarded", async (t) => {
  if (!requireLan(t)) return;
  const lan = await startRouterLan(["a", "b", "c"]);
  await using _ = lan;
  const [a, b, c] = [await startRouter(lan, "a"), await startRouter(lan, "b"), await startRouter(lan, "c")];
  a.configure(routerConfig({ priority: 150, unicastPeers: ["10.90.0.2"] }));
  await a.untilState("active", 3000);
  b.configure(routerConfig({ priority: 100, unicastPeers: ["10.90.0.1"] }));
  await b.untilState("backup", 3000);
  c.configure(routerConfig({ priority: 200, unicastPeers: ["10.90.0.1"] }));
  await c.untilState("active", 3000);
  await eventually("the stranger is discarded", 2000, () => {
    return (a.facts?.counters.advertisementsDiscarded["unknown-peer"] ?? 0) > 3;
  });
  assert.deepEqual(a.story, ["initialize→backup startup", "backup→active silence"]);
  assert.deepEqual(b.story, ["initialize→backup startup"]);
});

test("an operator's handover and maintenance: the peer first, and no way back before resume", async (t) => {
  if (!requireLan(t)) return;
  const { lan, a, b } = await startPair();
  await using _ = lan;
  a.request({ type: "router-order", requestId: 1, router: "edge", order: "handover" });
  await b.untilState("active", 1000);
  await a.untilState("backup", 1000);
  const [done] = a.reports("order-done");
  assert.deepEqual(done, {
    type: "order-done",
    requestId: 1,
    ok: true,
    lines: ["edge: 10.90.0.2 is active now, the addresses have moved"],
  });
  b.request({ type: "router-order", requestId: 2, router: "edge", order: "maintenance" });
  await b.untilState("fault", 2000);
  await a.untilState("active", 1000);
  assert.equal((await b.freshFacts()).isInMaintenance, true);
  b.request({ type: "router-order", requestId: 3, router: "edge", order: "resume" });
  await b.untilState("backup", 1000);
  await lan.untilHeldBy("a", VIRTUAL, 1000);
});

test("the same address set by hand on another node is seen, counted and answered", async (t) => {
  if (!requireLan(t)) return;
  const { lan, a } = await startPair();
  await using _ = lan;
  lan.topology.run("client", "ip", "address", "add", `${VIRTUAL}/24`, "dev", "eth0");
  // Asking for a neighbour, from that address, claims it (RFC 826).
  const talk = `const s = require("node:dgram").createSocket("udp4");
    s.bind(0, "${VIRTUAL}", () => s.send("?", 9, "10.90.0.77", () => s.close()));`;
  lan.topology.run("client", process.execPath, "-e", talk);
  await eventually(
    "the duplicate is counted",
    3000,
    () => (a.facts?.counters.duplicateAddressesSeen ?? 0) > 0,
  );
  await eventually("and warned of", 1000, () =>
    a.reports("log").some(({ event }) => event === "router-duplicate-address"),
  );
});

for (const [family, name, mac, addresses] of [
  ["inet", "vrrp4.51", "00:00:5e:00:01:33", routerConfig().addresses],
  [
    "inet6",
    "vrrp6.51",
    "00:00:5e:00:02:33",
    [
      { family: "inet6", host: "fe80::90:100", prefixLength: 64 },
      { family: "inet6", host: "fd00:90::100", prefixLength: 64 },
    ],
  ],
] as const) {
  test(`use_vmac, ${family}: the address lives on ${name} with the virtual MAC address, on the active router alone; nothing is left at the end`, async (t) => {
    if (!requireLan(t)) return;
    const { lan, a, b } = await startPair({ useVmac: true, family, addresses });
    await using _ = lan;
    const { host } = addresses.at(-1)!;
    await lan.untilHeldBy("a", host, 1000);
    const show = (node: "a" | "b") => lan.topology.run(node, "ip", "-o", "link", "show", "dev", name);
    assert.match(show("a"), new RegExp(`${mac}.*`));
    assert.match(show("a"), /[<,]UP[,>]/);
    assert.doesNotMatch(show("b"), /[<,]UP[,>]/);
    // Whoever asks for the address is told the virtual MAC address.
    const talk = `const s = require("node:dgram").createSocket("${family === "inet" ? "udp4" : "udp6"}");
      s.send("?", 9, "${host}", () => s.close());`;
    lan.topology.run("client", process.execPath, "-e", talk);
    const asked = () => lan.topology.run("client", "ip", "neigh", "show", host);
    await eventually(`the neighbour entry has ${mac}`, 2000, () => asked().includes(mac));
    a.request({ type: "release", deadlineMs: 2000 });
    await b.untilState("active", 2000);
    await lan.untilHeldBy("b", host, 1000);
    assert.match(show("b"), /[<,]UP[,>]/);
    await a.program.line((line) => line.includes('"ended"'), 2000);
    assert.throws(() => show("a"), /does not exist/);
    assert.deepEqual(b.story, ["initialize→backup startup", "backup→active priority-zero"]);
    assert.equal((await b.freshFacts()).counters.sendErrors, 0);
  });
}

test("use_vmac: a macvlan that somebody deletes while the router is active is made again, and the addresses are where they belong", async (t) => {
  if (!requireLan(t)) return;
  const lan = await startRouterLan();
  await using _ = lan;
  const a = await startRouter(lan, "a");
  a.configure(routerConfig({ useVmac: true }));
  await a.untilState("active", 2000);
  lan.topology.run("a", "ip", "link", "delete", "vrrp4.51");
  await eventually("the macvlan is back", 2000, () =>
    lan.topology.run("a", "ip", "-o", "address").includes(`vrrp4.51    inet ${VIRTUAL}`),
  );
  await a.untilState("active", 2000);
  assert.deepEqual(a.story, [
    "initialize→backup startup",
    "backup→active silence",
    "active→fault link",
    "fault→backup link",
    "backup→active silence",
  ]);
  assert.equal((await a.freshFacts()).counters.addressesRestored, 0);
});

test("sync group: a fault of one member takes the other along, and both come back together", async (t) => {
  if (!requireLan(t)) return;
  const lan = await startRouterLan();
  await using _ = lan;
  const [a, b] = [await startRouter(lan, "a"), await startRouter(lan, "b")];
  addInterface(lan, "inside");
  lan.topology.run("a", "ip", "address", "add", "10.91.0.1/24", "dev", "inside");
  const outer = routerConfig({ priority: 150, syncGroup: "both" });
  const inner = routerConfig({
    name: "inner",
    id: 52,
    interface: "inside",
    priority: 150,
    syncGroup: "both",
    addresses: [{ family: "inet", host: "10.91.0.100", prefixLength: 24 }],
  });
  b.configure(routerConfig({ priority: 100 }));
  a.configure(outer, inner);
  await lan.untilHeldBy("a", VIRTUAL, 3000);
  await lan.untilHeldBy("a", "10.91.0.100", 3000);
  lan.topology.setLink("a", "inside", "down");
  await lan.untilHeldBy("b", VIRTUAL, 2000);
  const fault = a.transitions.find(({ router, to }) => router === "edge" && to === "fault");
  assert.equal(fault?.cause, "sync-group");
  lan.topology.setLink("a", "inside", "up");
  await lan.untilHeldBy("a", VIRTUAL, 3000);
  await lan.untilHeldBy("a", "10.91.0.100", 3000);
});

test("trackers: a weight moves the priority and with it the address, and a tracked interface faults the router", async (t) => {
  if (!requireLan(t)) return;
  const pools = [{ pool: "web", below: 1, weight: -60 }];
  const interfaces = [{ interface: "uplink", weight: 0, downDelayMs: 0, upDelayMs: 0 }];
  const lan = await startRouterLan();
  await using _ = lan;
  const [a, b] = [await startRouter(lan, "a"), await startRouter(lan, "b")];
  addInterface(lan, "uplink");
  const results = (isUp: boolean) =>
    a.request({
      type: "tracker-results",
      results: [
        {
          key: poolTrackerKey(pools[0]!),
          isUp,
          detail: isUp ? "3 of 3 servers usable" : "0 of 3 servers usable, 1 wanted",
        },
      ],
    });
  b.configure(routerConfig());
  a.configure(routerConfig({ priority: 150, track: { interfaces, pools, checks: [], gateway: undefined } }));
  await lan.untilHeldBy("b", VIRTUAL, 3000);
  assert.equal((await a.freshFacts()).priority, 90);
  results(true);
  await lan.untilHeldBy("a", VIRTUAL, 3000);
  results(false);
  await lan.untilHeldBy("b", VIRTUAL, 3000);
  results(true);
  await lan.untilHeldBy("a", VIRTUAL, 3000);
  lan.topology.setLink("a", "uplink", "down");
  await a.untilState("fault", 1000);
  assert.match(a.transitions.at(-1)!.detail, /interface:uplink: it is down/);
  await lan.untilHeldBy("b", VIRTUAL, 3000);
});

test("user: the process gives up root, keeps two capabilities, and still moves addresses", async (t) => {
  if (!requireLan(t)) return;
  if (process.getuid?.() !== 0) return void t.skip("only root can become another user");
  const lan = await startRouterLan();
  await using _ = lan;
  const a = await startRouter(lan, "a");
  a.request({ type: "configure-routers", routers: [routerConfig()], maintenance: [], user: "nobody" });
  await lan.untilHeldBy("a", VIRTUAL, 3000);
  const status = readFileSync(`/proc/${a.pid}/status`, "utf8");
  assert.match(status, /^Uid:\s+(\d+)\s+\1\s+\1\s+\1$/m);
  assert.doesNotMatch(status, /^Uid:\s+0/m);
  // CAP_NET_ADMIN is bit 12, CAP_NET_RAW bit 13.
  assert.match(status, /^CapEff:\s+0000000000003000$/m);
  assert.match(status, /^CapPrm:\s+0000000000003000$/m);
  a.request({ type: "stop" });
  await eventually("the address is gone", 1000, () => lan.holders(VIRTUAL).length === 0);
});

test("without CAP_NET_RAW the process says which capability it needs and what to do", async (t) => {
  if (!requireLan(t)) return;
  if (!requirePeer(t, "setpriv")) return;
  const lan = await startRouterLan();
  await using _ = lan;
  const a = await startRouter(lan, "a", ["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw"]);
  a.configure(routerConfig());
  await a.program.line((line) => line.includes('"fatal"'), 3000);
  assert.match(
    a.reports("fatal")[0]!.message,
    /need CAP_NET_RAW: run as root, or setcap cap_net_raw,cap_net_admin\+ep/,
  );
});
