/**
 * What virtual routers rely on, shown on the real kernel: addresses with a lease end by themselves, events arrive, raw sockets tell where a
 * packet came from and when, neighbours believe an announcement and answer a probe.
 */
import assert from "node:assert/strict";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { createTopology, type Topology } from "../../src/testing/netns.ts";
import { compiledRoot } from "../harness/paths.ts";
import { eventually, type Program, startProgram } from "../harness/program.ts";
import { requireNamespaces } from "./three-nodes.ts";

const MESSAGE = "3133c801006400000a000105";
const VIRTUAL_MAC = "00:00:5e:00:01:33";

/** Two nodes on one cable: a 10.73.0.1, fd73::1 (lan0) – b 10.73.0.2, fd73::2 (lan0). */
async function twoNodes(t: TestContext): Promise<Topology> {
  const topology = await createTopology({
    nodes: ["a", "b"],
    links: [
      [
        { node: "a", interface: "lan0", address: "10.73.0.1/24" },
        { node: "b", interface: "lan0", address: "10.73.0.2/24" },
      ],
    ],
  });
  t.after(() => topology[Symbol.asyncDispose]());
  for (const [index, node] of ["a", "b"].entries()) {
    topology.run(node, ...`ip -6 address add fd73::${index + 1}/64 dev lan0 nodad`.split(" "));
  }
  return topology;
}

/** Starts an errand of link-program.ts; resolves with its first line. */
async function start(t: TestContext, topology: Topology, node: string, ...words: string[]) {
  const program = await startProgram({
    name: `${words[0]} in ${node}`,
    command: process.execPath,
    args: [path.join(compiledRoot, "test/netns/link-program.js"), words[0]!, "lan0", ...words.slice(1)],
    prefix: topology.inside(node),
  });
  t.after(() => program.stop("SIGKILL"));
  const ready = JSON.parse(await program.line((line) => line.includes('"ready"'), 10_000));
  return { program, ready };
}

async function lineOf(program: Program, event: string, timeoutMs: number, containing = "") {
  const isIt = (line: string): boolean => line.includes(`"event":"${event}"`) && line.includes(containing);
  return JSON.parse(await program.line(isIt, timeoutMs));
}

interface ShownAddress {
  readonly local: string;
  readonly valid_life_time: number;
}

/** As `ip -j address` shows it. */
function shownAddress(topology: Topology, node: string, host: string): ShownAddress | undefined {
  const [link] = JSON.parse(topology.run(node, ..."ip -j address show dev lan0".split(" ")));
  return (link.addr_info as ShownAddress[]).find((it) => it.local === host);
}

for (const [host, prefixLength] of [
  ["10.73.0.100", "24"],
  ["fd73::100", "64"],
] as const) {
  test(`a lease of 2 s on ${host} ends by itself after its owner died`, async (t) => {
    if (!requireNamespaces(t)) return;
    const topology = await twoNodes(t);
    const watch = await start(t, topology, "a", "watch");
    const { ready } = await start(t, topology, "a", "install", host, prefixLength, "2");
    const installedAtMs = performance.now();
    assert.equal(ready.result, 0, ready.text);
    assert.equal(ready.installed.protocol, 112, "IFA_PROTO says whose it is");
    assert.equal(ready.installed.validSeconds, 2);
    assert.ok(!ready.installed.isTentative, "usable at once");
    const shown = shownAddress(topology, "a", host);
    assert.ok(shown !== undefined && shown.valid_life_time <= 2, "ip(8) sees it too");
    await lineOf(watch.program, "address-removed", 10_000, host);
    const lastedMs = performance.now() - installedAtMs;
    assert.ok(lastedMs > 1000 && lastedMs < 5000, `${lastedMs} ms`);
    assert.equal(shownAddress(topology, "a", host), undefined);
  });

  test(`renewed every third of the lease, ${host} stays`, async (t) => {
    if (!requireNamespaces(t)) return;
    const topology = await twoNodes(t);
    const { program } = await start(t, topology, "a", "hold", host, prefixLength, "2", "666", "5000");
    const released = await lineOf(program, "released", 10_000);
    assert.ok(released.renewals >= 7, `${released.renewals}`);
    const { afterMs } = await lineOf(program, "expired", 10_000);
    assert.ok(afterMs > 1900 && afterMs < 5000, `counted from the last renewal: ${afterMs} ms`);
    assert.ok(!program.lines.some((line) => line.includes('"lost"')));
  });
}

test("the kernel's own words come with a refusal", async (t) => {
  if (!requireNamespaces(t)) return;
  const topology = await twoNodes(t);
  const { ready } = await start(t, topology, "a", "install", "10.73.0.100", "44", "2");
  assert.equal(ready.result, -22);
  assert.match(ready.text, /prefix length/i);
});

test("RouteWatch tells of addresses that others add and remove, and of links that go down and vanish", async (t) => {
  if (!requireNamespaces(t)) return;
  const topology = await twoNodes(t);
  const { program } = await start(t, topology, "a", "watch");
  topology.run("a", ..."ip address add 10.73.0.50/32 dev lan0".split(" "));
  const added = await lineOf(program, "address-added", 5000, "10.73.0.50");
  assert.equal(added.address.validSeconds, undefined);
  topology.run("a", ..."ip address del 10.73.0.50/32 dev lan0".split(" "));
  await lineOf(program, "address-removed", 5000, "10.73.0.50");
  // The other end of the cable goes down: no carrier here.
  topology.setLink("b", "lan0", "down");
  const down = await lineOf(program, "link-changed", 5000, '"isUp":false');
  assert.equal(down.link.name, "lan0");
  topology.run("a", ..."ip link delete lan0".split(" "));
  const removed = await lineOf(program, "link-removed", 5000);
  assert.equal(removed.name, "lan0");
});

test("RouteWatch tells when the kernel threw events away (ENOBUFS), and goes on", async (t) => {
  if (!requireNamespaces(t)) return;
  const topology = await twoNodes(t);
  const { ready } = await start(t, topology, "a", "overrun", "10.73.9.9");
  assert.ok(ready.overruns >= 1);
  assert.deepEqual(ready.afterwards, ["address-added"]);
});

test("createMacvlan() makes a private macvlan with the virtual MAC address", async (t) => {
  if (!requireNamespaces(t)) return;
  const topology = await twoNodes(t);
  const { ready } = await start(t, topology, "a", "macvlan", "vrrp4.51");
  assert.equal(ready.created, 0);
  assert.equal(ready.again, -17, "EEXIST");
  assert.equal(ready.kind, "macvlan");
  assert.equal(ready.raised, 0);
  const [shown] = JSON.parse(topology.run("a", ..."ip -j -d link show vrrp4.51".split(" ")));
  assert.equal(shown.address, VIRTUAL_MAC);
  assert.equal(shown.linkinfo.info_data.mode, "private");
  assert.ok(shown.flags.includes("UP"));
  topology.run("a", ..."ip link delete vrrp4.51".split(" "));
  const second = await start(t, topology, "a", "macvlan", "vrrp4.52", "remove");
  assert.equal((await lineOf(second.program, "removed", 5000)).result, 0);
  assert.throws(() => topology.run("a", ..."ip link show vrrp4.52".split(" ")));
});

for (const [group, source, host] of [
  ["224.0.0.18", "10.73.0.1", "10.73.0.2"],
  ["ff02::12", "fd73::1", "fd73::2"],
] as const) {
  test(`a packet to ${group} tells its source, TTL 255 and when the kernel had it; unicast too`, async (t) => {
    if (!requireNamespaces(t)) return;
    const topology = await twoNodes(t);
    const { program, ready } = await start(t, topology, "b", "hear", group);
    assert.equal(ready.joined, 0);
    assert.ok(ready.bufferBytes >= 2 << 20, "SO_RCVBUFFORCE, doubled by the kernel");
    // A frozen receiver learns when the packet came, not when it woke.
    program.child.kill("SIGSTOP");
    assert.equal((await start(t, topology, "a", "speak", group, source, MESSAGE)).ready.sent, 12);
    const sentAtMs = performance.now();
    assert.equal((await start(t, topology, "a", "speak", host, source, MESSAGE)).ready.sent, 12);
    const frozenMs = performance.now() - sentAtMs;
    program.child.kill("SIGCONT");
    const multicast = await lineOf(program, "heard", 5000, `"destination":"${group}"`);
    const unicast = await lineOf(program, "heard", 5000, `"destination":"${host}"`);
    for (const heard of [multicast, unicast]) {
      assert.equal(heard.source, source);
      assert.equal(heard.ttl, 255);
      assert.ok(heard.isHere, "came in on this interface");
      // The kernel wrote the checksum of IPv6 (IPV6_CHECKSUM); IPv4 bytes arrive as they were sent, without the IP header.
      assert.equal(heard.text.slice(0, 12), MESSAGE.slice(0, 12));
      assert.equal(heard.text.length, MESSAGE.length);
      assert.equal(heard.text.slice(12, 16) === "0000", group.includes("."));
    }
    assert.ok(multicast.ageMs >= frozenMs - 5, `${multicast.ageMs} ms old, frozen for ${frozenMs} ms`);
    assert.ok(multicast.ageMs < frozenMs + 5000);
  });
}

test("a neighbour believes a gratuitous ARP and an unsolicited neighbour advertisement at once", async (t) => {
  if (!requireNamespaces(t)) return;
  const topology = await twoNodes(t);
  for (const host of ["10.73.0.100", "fd73::100"]) {
    topology.run("b", ..."ip neighbour add dev lan0 lladdr 02:00:00:00:00:99 nud stale".split(" "), host);
    const { ready } = await start(t, topology, "a", "announce", host);
    assert.ok(ready.sent >= 42);
    await eventually(`${host} is at the virtual MAC address`, 5000, () =>
      topology.run("b", "ip", "neighbour", "show", host).includes(VIRTUAL_MAC),
    );
  }
});

test("who has an address answers a probe (RFC 5227, RFC 4862), from its own hardware address", async (t) => {
  if (!requireNamespaces(t)) return;
  const topology = await twoNodes(t);
  const [link] = JSON.parse(topology.run("b", ..."ip -j link show lan0".split(" ")));
  const octets: number[] = link.address.split(":").map((it: string) => Number.parseInt(it, 16));
  const arp = await start(t, topology, "a", "probe", "10.73.0.2");
  const reply = await lineOf(arp.program, "answer", 5000, '"operation":"reply"');
  assert.equal(reply.senderAddress, "10.73.0.2");
  assert.deepEqual(Object.values(reply.senderHardware), octets);
  const ndp = await start(t, topology, "a", "probe", "fd73::2");
  const advertisement = await lineOf(ndp.program, "answer", 5000, '"kind":"advertisement"');
  assert.equal(advertisement.target, "fd73::2");
  assert.deepEqual(Object.values(advertisement.linkLayerAddress), octets);
  for (const program of [arp.program, ndp.program])
    assert.ok(!program.lines.some((line) => line.includes('"outgoing"')), "its own frames are not heard");
});
