/**
 * `holdfast measure` against real time-outs: Holdfast's own TCP relay forgets in each of its three manners; a NAT of another
 * network namespace in those of nftables and conntrack. reference: nf_conntrack-sysctl, nft(8).
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import test from "node:test";
import { createTopology, type Topology } from "../../src/testing/netns.ts";
import { holdfastMain } from "../harness/paths.ts";
import { skipOrFail } from "../harness/peers.ts";
import { eventually, freePort, type Program, startProgram } from "../harness/program.ts";
import { startHoldfast } from "../harness/servers.ts";
import { requireNamespaces } from "../netns/three-nodes.ts";

/** Of `holdfast measure --json`, what the tests look at. */
interface Measured {
  readonly outcome: string;
  readonly timeoutLowerMs: number | null;
  readonly timeoutUpperMs: number | null;
  readonly manner: string | null;
  readonly peerClosedAfterMs: number | null;
  readonly aliveMs: number;
  readonly partial: boolean;
  readonly soKeepalive: { readonly text: string } | null;
  readonly rungs: readonly { readonly rungMs: number; readonly idleMs: number; readonly verdict: string }[];
}

function startMeasure(args: readonly string[], prefix: readonly string[] = []): Promise<Program> {
  return startProgram({
    name: `holdfast measure ${args.join(" ")}`,
    command: process.execPath,
    args: [holdfastMain, "measure", ...args],
    prefix,
  });
}

async function resultOf(program: Program): Promise<{ measured: Measured; status: number }> {
  const status = await program.exited(40_000);
  assert.ok(program.stdout !== "", program.stderr);
  return { measured: JSON.parse(program.stdout) as Measured, status };
}

async function measure(args: readonly string[], prefix: readonly string[] = []) {
  return resultOf(await startMeasure([...args, "--json"], prefix));
}

/** A server that never says anything, in this process. */
async function quietServer(): Promise<{ port: number; close: () => void }> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: false }, (socket) => {
    sockets.add(socket.on("error", () => {}));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = (): void => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return { port: (server.address() as net.AddressInfo).port, close };
}

for (const { onIdle, outcome, manner } of [
  { onIdle: "reset", outcome: "time-out", manner: "reset-unasked" },
  { onIdle: "silent", outcome: "time-out", manner: "reset" },
  { onIdle: "close", outcome: "peer-closes", manner: null },
]) {
  test(`measure finds a relay's idle_timeout of 3 s with on_idle: ${onIdle}`, async (t) => {
    if (onIdle === "silent" && process.getuid?.() !== 0) {
      skipOrFail(t, "on_idle: silent needs CAP_NET_ADMIN (TCP_REPAIR): run as root");
      return;
    }
    const server = await quietServer();
    t.after(server.close);
    const port = await freePort();
    const gateway = await startHoldfast({
      config: `workers: 1
${onIdle === "silent" ? "user: root\n" : ""}listeners:
  relay: { bind: "127.0.0.1:${port}", tcp: { pool: quiet, idle_timeout: 3s, on_idle: ${onIdle} } }
pools:
  quiet: { servers: ["127.0.0.1:${server.port}"] }
`,
    });
    t.after(() => gateway.stop());
    const { measured, status } = await measure([`127.0.0.1:${port}`, "--rungs", "1s,2s,4s,5s"]);
    assert.deepEqual([measured.outcome, measured.manner], [outcome, manner], JSON.stringify(measured));
    const verdicts = measured.rungs.slice(0, 2).map((rung) => rung.verdict);
    assert.deepEqual(verdicts, ["answered", "answered"]);
    const foundMs = measured.timeoutUpperMs ?? measured.peerClosedAfterMs!;
    if (manner === "reset") {
      assert.ok(measured.timeoutLowerMs! < 3000 && foundMs > 3000, JSON.stringify(measured));
    } else assert.ok(Math.abs(foundMs - 3000) <= 500, `${foundMs}`);
    assert.equal(status, outcome === "time-out" ? 1 : 0);
  });
}

const CLIENT = "10.75.1.2";
const SERVER = "10.75.2.2";
const PORT = "9000";

/** client – nat – server: the NAT masquerades and forgets established connections after 4 s. */
async function natTopology(forwardRules: readonly string[], loose: "0" | "1"): Promise<Topology> {
  const topology = await createTopology({
    nodes: ["client", "nat", "server"],
    links: [
      [
        { node: "client", interface: "eth0", address: `${CLIENT}/24` },
        { node: "nat", interface: "inside", address: "10.75.1.1/24" },
      ],
      [
        { node: "nat", interface: "outside", address: "10.75.2.1/24" },
        { node: "server", interface: "eth0", address: `${SERVER}/24` },
      ],
    ],
    routes: { client: ["default via 10.75.1.1"] },
    forwarding: ["nat"],
  });
  const nft = (rule: string): string => topology.run("nat", "nft", rule);
  nft("add table ip holdfast");
  nft("add chain ip holdfast after { type nat hook postrouting priority 100; }");
  nft('add rule ip holdfast after oifname "outside" masquerade');
  nft("add chain ip holdfast forward { type filter hook forward priority 0; }");
  for (const rule of forwardRules) nft(`add rule ip holdfast forward ${rule}`);
  for (const [name, value] of [
    ["nf_conntrack_tcp_timeout_established", "4"],
    ["nf_conntrack_tcp_loose", loose],
  ]) {
    topology.run("nat", "sh", "-c", `echo ${value} > /proc/sys/net/netfilter/${name}`);
  }
  return topology;
}

async function holdAt(topology: Topology): Promise<Program> {
  const program = await startMeasure(["--listen", `0.0.0.0:${PORT}`, "--hold"], topology.inside("server"));
  await listens(topology);
  return program;
}

function listens(topology: Topology): Promise<unknown> {
  const list = (): string => topology.run("server", "ss", "-Hltn", `sport = :${PORT}`);
  return eventually("the server listens", 5000, () => list() !== "");
}

for (const { name, rules, loose, manner } of [
  { name: "drops what it does not know", rules: ["ct state invalid drop"], loose: "0", manner: "silent" },
  {
    name: "answers what it does not know with RST",
    rules: ["ct state invalid reject with tcp reset"],
    loose: "0",
    manner: "reset",
  },
] as const) {
  test(`measure brackets the 4 s of a NAT that ${name}`, async (t) => {
    if (!requireNamespaces(t)) return;
    await using topology = await natTopology(rules, loose);
    const server = await holdAt(topology);
    t.after(() => server.stop());
    const { measured, status } = await measure(
      [`${SERVER}:${PORT}`, "--rungs", "2s,3s,5s,6s", "--refine", "1500ms"],
      topology.inside("client"),
    );
    assert.deepEqual([measured.outcome, measured.manner], ["time-out", manner], JSON.stringify(measured));
    assert.ok(measured.timeoutLowerMs! >= 3000 && measured.timeoutLowerMs! <= 4100, JSON.stringify(measured));
    assert.ok(measured.timeoutUpperMs! >= 3900 && measured.timeoutUpperMs! <= 5100, JSON.stringify(measured));
    assert.ok(measured.timeoutUpperMs! - measured.timeoutLowerMs! <= 1500, "refined");
    assert.equal(measured.soKeepalive?.text, "1s:1s:4");
    assert.equal(status, 1);
  });
}

test("measure from the accepting side finds the time-out that a re-adopting NAT hides from the client", async (t) => {
  if (!requireNamespaces(t)) return;
  // What begins outside is refused, whatever conntrack would take up again: a firewall's usual rule.
  await using topology = await natTopology(
    ["ct state established,related accept", 'iifname "inside" accept', "drop"],
    "1",
  );
  const held = await holdAt(topology);
  const fromClient = await measure([`${SERVER}:${PORT}`, "--rungs", "2s,6s,7s"], topology.inside("client"));
  assert.equal(fromClient.measured.outcome, "keeps", JSON.stringify(fromClient.measured));
  assert.equal(fromClient.status, 0);
  await held.stop();
  const ladder = await startMeasure(
    ["--listen", `0.0.0.0:${PORT}`, "--rungs", "2s,3s,6s,7s", "--json"],
    topology.inside("server"),
  );
  t.after(() => ladder.stop());
  await listens(topology);
  const client = await startMeasure(
    [`${SERVER}:${PORT}`, "--hold", "--connections", "4"],
    topology.inside("client"),
  );
  t.after(() => client.stop("SIGKILL"));
  const { measured, status } = await resultOf(ladder);
  // The server's packet is for the NAT's own address: without an entry it meets the NAT's own stack, which answers RST.
  assert.deepEqual([measured.outcome, measured.manner], ["time-out", "reset"], JSON.stringify(measured));
  assert.ok(measured.timeoutLowerMs! >= 2900 && measured.timeoutUpperMs! <= 6300, JSON.stringify(measured));
  assert.equal(status, 1);
});

test("measure shows what it knows when it is interrupted", async (t) => {
  const server = await quietServer();
  t.after(server.close);
  const program = await startMeasure([`127.0.0.1:${server.port}`, "--rungs", "1s,1h", "--json"]);
  t.after(() => program.stop("SIGKILL"));
  await eventually("the first rung is known", 5000, () => program.stderr.includes("alive"));
  program.child.kill("SIGINT");
  const { measured, status } = await resultOf(program);
  assert.deepEqual(
    [measured.partial, measured.outcome, status, measured.rungs.map((rung) => rung.verdict)],
    [true, "keeps", 0, ["answered", "unfinished"]],
  );
});
