/**
 * `holdfast probe` on real kernels: peers that live, that are cut off, that lost power, that owe an acknowledgement. Every verdict is
 * right, no healthy connection is harmed, every option is as it was; also when the prober is interrupted, killed, or its victim ends.
 */
import assert from "node:assert/strict";
import path from "node:path";
import test, { type TestContext } from "node:test";
import { findLiveSockets } from "../../src/doctor/live-sockets.ts";
import type { OptionValues } from "../../src/doctor/option-plan.ts";
import { borrowDescriptor } from "../../src/sys/pidfd.ts";
import { close } from "../../src/sys/socket.ts";
import { getSocketOptions } from "../../src/sys/socket-options.ts";
import { createTopology, type Topology } from "../../src/testing/netns.ts";
import { compiledRoot, holdfastMain, makeScratchDirectory } from "../harness/paths.ts";
import { eventually, Program, type ProgramOptions, startProgram } from "../harness/program.ts";
import { requireNamespaces } from "./three-nodes.ts";

const PORT = 7000;
const VICTIM = "10.81.0.1";
const ALIVE = "10.81.0.2";
const CUT = "10.81.0.3";
const CRASHED = "10.81.0.4";
const BUSY = "10.81.0.5";
const HALF_CLOSED = "10.81.0.6";

interface Scene {
  readonly topology: Topology;
  readonly victim: Program;
  readonly peer: Program;
  readonly holdfast: (...words: string[]) => Program;
}

async function startScene(
  t: TestContext,
  groups: readonly { host: string; count: number }[],
): Promise<Scene> {
  const topology = await createTopology({
    nodes: ["victim", "peer"],
    links: [
      [
        { node: "victim", interface: "eth0", address: `${VICTIM}/24` },
        { node: "peer", interface: "eth0", address: `${ALIVE}/24` },
      ],
    ],
  });
  t.after(() => topology[Symbol.asyncDispose]());
  for (const host of [CUT, CRASHED, BUSY, HALF_CLOSED])
    topology.run("peer", "ip", "address", "add", `${host}/24`, "dev", "eth0");
  const scratch = makeScratchDirectory("probe");
  t.after(scratch.remove);
  const start = async (node: string, script: string, argument: string): Promise<Program> => {
    const program = await startProgram({
      name: script,
      command: process.execPath,
      args: [path.join(compiledRoot, "test/netns", script), argument],
      prefix: topology.inside(node),
    });
    t.after(() => program.stop("SIGKILL"));
    return program;
  };
  const peer = await start("peer", "probe-peer-program.js", String(PORT));
  await peer.line((line) => line.includes("listening"), 5000);
  const plan = groups.map((group) => ({ ...group, port: PORT }));
  const victim = await start("victim", "probe-victim-program.js", JSON.stringify(plan));
  await victim.line((line) => line.includes("connected"), 15_000);
  const holdfast = (...words: string[]): Program => {
    const options: ProgramOptions = {
      name: `holdfast ${words.join(" ")}`,
      command: process.execPath,
      args: [holdfastMain, ...words],
      env: { XDG_STATE_HOME: scratch.directory },
    };
    const program = new Program(options);
    t.after(() => program.stop("SIGKILL"));
    return program;
  };
  return { topology, victim, peer, holdfast };
}

interface ProbedSocket {
  readonly verdict: string;
  readonly how?: string;
  readonly remote: string;
  readonly local: string;
  readonly text: string;
  readonly isRestored: boolean;
}

interface ProbeAnswer {
  readonly summary: Record<string, number>;
  readonly sockets: ProbedSocket[];
  readonly problems: string[];
}

async function answerOf(program: Program, timeoutMs = 30_000): Promise<ProbeAnswer> {
  await program.exited(timeoutMs);
  await new Promise((resolve) => setImmediate(resolve));
  assert.notEqual(program.stdout, "", program.stderr);
  return JSON.parse(program.stdout) as ProbeAnswer;
}

/** By inode. */
function optionsOf(victim: Program): Map<number, OptionValues> {
  const { sockets } = findLiveSockets([{ kind: "pid", pid: victim.pid }]);
  const options = new Map<number, OptionValues>();
  for (const { holder, inode } of sockets) {
    const fd = borrowDescriptor(holder.pid, holder.fd);
    if (fd < 0) continue; // closed since
    options.set(inode, getSocketOptions(fd));
    close(fd);
  }
  return options;
}

function assertOptionsAsBefore(before: ReadonlyMap<number, OptionValues>, victim: Program): void {
  const after = optionsOf(victim);
  assert.ok(after.size > 0);
  for (const [inode, options] of after) assert.deepEqual(options, before.get(inode), `inode ${inode}`);
}

/** Long enough without a packet for a probe to be needed (FRESH_MS). */
const QUIET_MS = 1200;

function quietFor(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function say(program: Program, order: string, event: string): Promise<Record<string, unknown>> {
  const from = program.lines.length;
  program.child.stdin!.write(`${order}\n`);
  return JSON.parse(await program.line((line) => line.includes(event), 8000, from)) as Record<
    string,
    unknown
  >;
}

function byRemote(answer: ProbeAnswer, host: string): ProbedSocket[] {
  return answer.sockets.filter(({ remote }) => remote.startsWith(`${host}:`));
}

test("probe of 1,000 mixed sockets: all verdicts right, none harmed, all options as before", async (t) => {
  if (!requireNamespaces(t)) return;
  const counts: Record<string, number> = {
    [ALIVE]: 480,
    [CUT]: 200,
    [CRASHED]: 200,
    [BUSY]: 120,
    [HALF_CLOSED]: 60,
  };
  const groups = Object.entries(counts).map(([host, count]) => ({ host, count }));
  const scene = await startScene(t, groups);
  const { victim, peer, topology } = scene;
  victim.child.stdin!.write(`finish ${HALF_CLOSED}\n`);
  assert.equal((await say(peer, `crash ${CRASHED}`, "crashed")).count, 200);
  topology.dropPackets("peer", "input", `ip daddr { ${CUT}, ${BUSY} }`);
  victim.child.stdin!.write(`write ${BUSY}\n`);
  const before = optionsOf(victim);
  await quietFor(QUIET_MS);
  const started = performance.now();
  const answer = await answerOf(scene.holdfast("probe", `pid:${victim.pid}`, "--json", "--rate", "1000"));
  const tookMs = performance.now() - started;
  const expected: Record<string, string> = {
    [ALIVE]: "alive",
    [CUT]: "silent",
    [CRASHED]: "dead",
    [BUSY]: "busy",
    [HALF_CLOSED]: "alive",
  };
  for (const [host, verdict] of Object.entries(expected)) {
    const sockets = byRemote(answer, host);
    // TCP_USER_TIMEOUT 500 ms and 1.5 s of some busy ones ends before or while we ask: those are gone or dead by their own wish.
    const wrong = sockets.filter((socket) => socket.verdict !== verdict);
    if (host === BUSY) {
      assert.ok(
        wrong.every((socket) => ["dead", "gone"].includes(socket.verdict)),
        JSON.stringify(wrong[0]),
      );
      assert.ok(sockets.length - wrong.length >= 80, `${sockets.length - wrong.length} busy`);
    } else {
      assert.equal(sockets.length, counts[host], host);
      assert.deepEqual(wrong.slice(0, 3), [], `${wrong.length} of ${host}`);
    }
  }
  assert.ok(answer.sockets.every(({ isRestored }) => isRestored));
  assert.deepEqual(answer.problems, []);
  assertOptionsAsBefore(before, victim);
  t.diagnostic(
    `${answer.sockets.length} sockets in ${Math.round(tookMs)} ms: ${JSON.stringify(answer.summary)}`,
  );
  const { codes } = await say(victim, "errors", "errors");
  assert.equal(
    (codes as Record<string, number>).ECONNRESET,
    200,
    "only those whose peer had crashed were reset",
  );
  assert.equal(
    (await say(victim, `echo ${ALIVE}`, "echoed")).count,
    480,
    "every healthy connection still works",
  );
});

test("probe puts the options back when it is interrupted", async (t) => {
  if (!requireNamespaces(t)) return;
  const scene = await startScene(t, [{ host: CUT, count: 12 }]);
  scene.topology.dropPackets("peer", "input", `ip daddr ${CUT}`);
  const before = optionsOf(scene.victim);
  await quietFor(QUIET_MS);
  const probe = scene.holdfast("probe", `pid:${scene.victim.pid}`, "--json", "--timeout", "60s");
  await untilTouched(scene, before);
  probe.child.kill("SIGTERM");
  const answer = await answerOf(probe, 5000);
  assert.equal(await probe.exited(1), 1);
  assert.equal(answer.summary.interrupted, 12);
  assert.match(answer.problems[0] ?? "", /^interrupted: .*put back/);
  assertOptionsAsBefore(before, scene.victim);
  assert.match(await outputOf(scene.holdfast("undo", "--list")), /^nothing to undo/);
});

test("undo puts back what a probe left that was killed with SIGKILL", async (t) => {
  if (!requireNamespaces(t)) return;
  const scene = await startScene(t, [{ host: CUT, count: 6 }]);
  scene.topology.dropPackets("peer", "input", `ip daddr ${CUT}`);
  const before = optionsOf(scene.victim);
  await quietFor(QUIET_MS);
  const probe = scene.holdfast("probe", `pid:${scene.victim.pid}`, "--timeout", "60s");
  await untilTouched(scene, before);
  assert.match(await outputOf(scene.holdfast("undo")), /^nothing to undo/, "a probe at work is left alone");
  probe.child.kill("SIGKILL");
  await probe.exited(5000);
  assert.notDeepEqual(optionsOf(scene.victim), before);
  assert.match(await outputOf(scene.holdfast("undo")), /undo of holdfast probe/);
  assertOptionsAsBefore(before, scene.victim);
  assert.match(await outputOf(scene.holdfast("undo")), /^nothing to undo/);
});

test("probe says so when the process ends, or closes the socket, in the middle; the FIN is not held up", async (t) => {
  if (!requireNamespaces(t)) return;
  const scene = await startScene(t, [
    { host: CUT, count: 6 },
    { host: BUSY, count: 6 },
  ]);
  scene.topology.dropPackets("peer", "input", `ip daddr { ${CUT}, ${BUSY} }`);
  const before = optionsOf(scene.victim);
  await quietFor(QUIET_MS);
  const probe = scene.holdfast("probe", `pid:${scene.victim.pid}`, "--json", "--timeout", "60s");
  await untilTouched(scene, before);
  scene.victim.child.stdin!.write(`close ${CUT}\n`);
  const closing = (): string => scene.topology.run("victim", "ss", "-Htn", "state", "fin-wait-1");
  await eventually("the FINs have left", 2000, () => closing().trim().split("\n").length === 6);
  await quietFor(300); // each socket is looked at every 100 ms
  scene.victim.child.kill("SIGKILL");
  const answer = await answerOf(probe, 5000);
  assert.equal(answer.summary.gone, 12);
  assert.deepEqual(new Set(byRemote(answer, CUT).map(({ how }) => how)), new Set(["socket-closed"]));
  assert.deepEqual(new Set(byRemote(answer, BUSY).map(({ how }) => how)), new Set(["process-ended"]));
});

/** Every quiet socket has been given its probe. */
async function untilTouched(scene: Scene, before: ReadonlyMap<number, OptionValues>): Promise<void> {
  await eventually("all sockets are being probed", 5000, () => {
    const now = optionsOf(scene.victim);
    return [...before.keys()].every((inode) => now.get(inode)?.idleSeconds === 1);
  });
}

async function outputOf(program: Program): Promise<string> {
  await program.exited(10_000);
  await new Promise((resolve) => setImmediate(resolve));
  return program.stdout + program.stderr;
}
