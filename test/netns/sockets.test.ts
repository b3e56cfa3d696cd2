/**
 * What `holdfast sockets` and `watch` say about connections whose peer can no longer be reached, against what the kernel then does:
 * the time that is left must be the time that it takes. Real connections in a namespace, cut off with nft(8).
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { type ConnectionEnd, ConnectionEnds } from "../../src/doctor/connection-ends.ts";
import type { SocketRecord } from "../../src/doctor/socket-record.ts";
import { readSocketOptions, SocketTableReader } from "../../src/doctor/socket-table.ts";
import { type SocketVerdict, verdictOf } from "../../src/doctor/socket-verdict.ts";
import { ALL_STATES, TcpDiagState } from "../../src/netlink/inet-diag.ts";
import { allocate } from "../../src/sys/memory.ts";
import { insideNetworkNamespace } from "../../src/sys/namespace.ts";
import { close, getsockname, recv, send } from "../../src/sys/socket.ts";
import { setResetOnClose, setTcpKeepalive, setTcpUserTimeout } from "../../src/sys/socket-options.ts";
import { loopbackPair } from "../../src/testing/loopback-pair.ts";
import { createTopology, type Topology, whyNoNamespaces } from "../../src/testing/netns.ts";
import { requirePeer, skipOrFail } from "../harness/peers.ts";
import { eventually } from "../harness/program.ts";

const NODE = "host";
const byte = allocate(1);

async function isolatedHost(
  t: TestContext,
  sysctls: Record<string, string> = {},
): Promise<Topology | undefined> {
  if (!requirePeer(t, "ip", "nft", "nsenter")) return undefined;
  const reason = process.getuid?.() === 0 ? whyNoNamespaces() : "setns(2) needs root";
  if (reason !== undefined) return void skipOrFail(t, reason) as undefined;
  const topology = await createTopology({ nodes: [NODE], links: [], sysctls: { [NODE]: sysctls } });
  t.after(() => topology[Symbol.asyncDispose]());
  return topology;
}

function namespaceFile(topology: Topology): string {
  return topology
    .inside(NODE)
    .find((word) => word.startsWith("--net="))!
    .slice("--net=".length);
}

class Scene {
  readonly reader: SocketTableReader;
  readonly #pair: { readonly near: number; readonly far: number };
  readonly #nearPort: number;

  constructor(t: TestContext, topology: Topology) {
    const file = namespaceFile(topology);
    this.#pair = insideNetworkNamespace(file, loopbackPair);
    const name = getsockname(this.#pair.near);
    assert.ok("port" in name);
    this.#nearPort = name.port;
    this.reader = new SocketTableReader({ namespaceFile: file, pid: undefined }, true);
    t.after(() => {
      close(this.#pair.near);
      close(this.#pair.far);
      this.reader.close();
    });
  }

  get near(): number {
    return this.#pair.near;
  }

  get far(): number {
    return this.#pair.far;
  }

  say(): void {
    assert.equal(send(this.near, byte.address, 1), 1);
  }

  socket(): SocketRecord | undefined {
    const { sockets } = this.reader.read(ALL_STATES);
    const near = sockets.find(
      ({ diag }) => diag.localPort === this.#nearPort && diag.state === TcpDiagState.ESTABLISHED,
    );
    return near === undefined ? undefined : readSocketOptions([near]).sockets[0];
  }

  verdict(): SocketVerdict | undefined {
    const socket = this.socket();
    return socket === undefined ? undefined : verdictOf(socket, this.reader.sysctls);
  }

  /** Milliseconds until the kernel gives the connection up. */
  async end(timeoutMs: number): Promise<number> {
    const beganAtMs = performance.now();
    await eventually("the kernel gives up", timeoutMs, () => this.socket() === undefined);
    return performance.now() - beganAtMs;
  }
}

/** The kernel's timers are late by up to an eighth of their length (timer wheel, kernel/time/timer.c), and the table is looked at every 20 ms. */
function assertClose(actualMs: number, predictedMs: number | undefined): void {
  assert.ok(predictedMs !== undefined);
  const toleranceMs = 500 + predictedMs / 8;
  assert.ok(
    Math.abs(actualMs - predictedMs) < toleranceMs,
    `predicted ${predictedMs} ms, was ${actualMs} ms`,
  );
}

test("a peer that is cut off while idle: probing, and it ends when the verdict says", async (t) => {
  const topology = await isolatedHost(t);
  if (topology === undefined) return;
  const scene = new Scene(t, topology);
  setTcpKeepalive(scene.near, { enabled: true, idleSeconds: 1, intervalSeconds: 1, probeCount: 4 });
  topology.dropPackets(NODE, "input", "iifname lo");
  const verdict = await eventually("two unanswered probes", 8000, () => {
    const it = scene.verdict();
    return it?.kind === "probing" && it.reason.startsWith("2 of 4") ? it : undefined;
  });
  assert.equal(verdict.isHalfOpenSuspect, true);
  assertClose(await scene.end(8000), verdict.givesUpInMs);
});

test("a peer that is cut off with data in flight: dying, tcp_retries2 and the doublings counted as the kernel does", async (t) => {
  const topology = await isolatedHost(t, { "net.ipv4.tcp_retries2": "3" });
  if (topology === undefined) return;
  const scene = new Scene(t, topology);
  setTcpKeepalive(scene.near, { enabled: true, idleSeconds: 1, intervalSeconds: 1, probeCount: 1 });
  assert.equal(scene.reader.sysctls.retries2, 3);
  topology.dropPackets(NODE, "input", "iifname lo");
  scene.say();
  const verdict = await eventually("three retransmissions", 8000, () => {
    const it = scene.verdict();
    return it?.kind === "dying" && it.reason.includes(" 3 unanswered") ? it : undefined;
  });
  assert.equal(verdict.keepalive, "on", "hidden by the retransmission timer, read from the options");
  assertClose(await scene.end(15_000), verdict.givesUpInMs);
});

test("TCP_USER_TIMEOUT shortens the dying, and the verdict knows it from the options", async (t) => {
  const topology = await isolatedHost(t);
  if (topology === undefined) return;
  const scene = new Scene(t, topology);
  setTcpUserTimeout(scene.near, 4000);
  topology.dropPackets(NODE, "input", "iifname lo");
  scene.say();
  const verdict = await eventually("two retransmissions", 4000, () => {
    const it = scene.verdict();
    return it?.kind === "dying" ? it : undefined;
  });
  assertClose(await scene.end(8000), verdict.givesUpInMs);
});

test("the ends of connections: who closed first, resets, unanswered probes, and how long they had been idle", async (t) => {
  const topology = await isolatedHost(t);
  if (topology === undefined) return;
  const [closing, reset] = [new Scene(t, topology), new Scene(t, topology)];
  const ends = new ConnectionEnds(true);
  const beganAtMs = performance.now();
  const { reader } = closing;
  const look = (): ConnectionEnd[] => {
    const atMs = performance.now() - beganAtMs;
    reader.drainDestroyed((diag) => ends.handleDestroyed(atMs, diag));
    return ends.handleSample(
      atMs,
      reader.read(ALL_STATES, false).sockets.map(({ diag }) => diag),
    );
  };
  closing.say();
  // Closing with something unread would reset (RFC 9293 §3.10.4).
  assert.equal(recv(closing.far, byte.address, 1), 1);
  reset.say();
  assert.deepEqual(look(), []);
  assert.equal(ends.openCount, 4);
  const ended: ConnectionEnd[] = [];
  const quietMs = 1500;
  await eventually("some silence", 5000, () => (closing.socket()?.diag.lastDataSentMs ?? 0) >= quietMs);
  ended.push(...look());
  close(closing.near);
  close(closing.far);
  setResetOnClose(reset.far);
  close(reset.far);
  await eventually("all four ends", 5000, () => {
    ended.push(...look());
    return ended.length === 4;
  });
  close(reset.near);
  const causes = ended.map(({ cause }) => cause).sort();
  assert.deepEqual(causes, ["closed-by-peer", "closed-by-us", "vanished", "vanished"]);
  for (const { idleMs, isExact, cause } of ended)
    assert.ok(idleMs >= quietMs - 50 && idleMs < quietMs + 3000, `${cause} ${isExact} idle for ${idleMs} ms`);
});
