import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { peerPath, requirePeer } from "../../test/harness/peers.ts";
import { eventually } from "../../test/harness/program.ts";
import { ALL_STATES, DiagTimer, TcpDiagState } from "../netlink/inet-diag.ts";
import { allocate } from "../sys/memory.ts";
import { encodeSocketAddress } from "../sys/sockaddr.ts";
import {
  AF_INET,
  AF_INET6,
  accept,
  bind,
  close,
  connect,
  getsockname,
  listen,
  send,
  shutdownWrite,
  streamSocket,
} from "../sys/socket.ts";
import { setReuseAddress, setTcpKeepalive, setTcpUserTimeout } from "../sys/socket-options.ts";
import type { SocketRecord } from "./socket-record.ts";
import { namespaceFileOf, readSocketOptions, SocketTableError, SocketTableReader } from "./socket-table.ts";

interface Pair {
  readonly listening: number;
  readonly near: number;
  readonly far: number;
  readonly nearPort: number;
  readonly port: number;
}

/** Connected on the loopback; the listener stays open. */
function openPair(host = "127.0.0.1"): Pair {
  const family = host.includes(":") ? "inet6" : "inet";
  const [listening, near] = [0, 1].map(() => streamSocket(family === "inet" ? AF_INET : AF_INET6)) as [
    number,
    number,
  ];
  setReuseAddress(listening);
  bind(listening, encodeSocketAddress({ family, host, port: 0 }));
  listen(listening, 8);
  const name = getsockname(listening);
  assert.ok("port" in name);
  connect(near, encodeSocketAddress(name));
  const far = accept(listening);
  assert.ok(far >= 0);
  const nearName = getsockname(near);
  assert.ok("port" in nearName);
  return { listening, near, far, nearPort: nearName.port, port: name.port };
}

function closePair({ listening, near, far }: Pair): void {
  for (const fd of [near, far, listening]) close(fd);
}

function readTable(): readonly SocketRecord[] {
  const reader = new SocketTableReader();
  try {
    return reader.read(ALL_STATES).sockets;
  } finally {
    reader.close();
  }
}

function find(
  sockets: readonly SocketRecord[],
  localPort: number,
  peerPort: number,
): SocketRecord | undefined {
  return sockets.find(({ diag }) => diag.localPort === localPort && diag.peerPort === peerPort);
}

const byte = allocate(1);

test("both ends of a connection and its listener are listed with their process, queues and clocks", () => {
  const pair = openPair();
  try {
    setTcpKeepalive(pair.near, { enabled: true, idleSeconds: 300, intervalSeconds: 20, probeCount: 4 });
    setTcpUserTimeout(pair.near, 350_000);
    assert.equal(send(pair.near, byte.address, 1), 1);
    const { sockets } = readSocketOptions(readTable());
    const near = find(sockets, pair.nearPort, pair.port)!;
    const far = find(sockets, pair.port, pair.nearPort)!;
    const listener = find(sockets, pair.port, 0)!;
    assert.deepEqual(
      [near.diag.state, far.diag.state, listener.diag.state],
      [TcpDiagState.ESTABLISHED, TcpDiagState.ESTABLISHED, TcpDiagState.LISTEN],
    );
    assert.deepEqual([near.holders[0]?.pid, near.holders[0]?.fd], [process.pid, pair.near]);
    assert.equal(near.diag.timer, DiagTimer.KEEPALIVE);
    assert.ok(
      near.diag.timerLeftMs > 290_000 && near.diag.timerLeftMs <= 300_000,
      `${near.diag.timerLeftMs}`,
    );
    assert.deepEqual(near.options, {
      isKeepaliveOn: true,
      idleMs: 300_000,
      intervalMs: 20_000,
      probeCount: 4,
      userTimeoutMs: 350_000,
    });
    assert.equal(far.options?.isKeepaliveOn, false);
    assert.equal(far.diag.timer, DiagTimer.NONE);
    assert.deepEqual([far.diag.receiveQueueBytes, far.diag.bytesReceived], [1, 1]);
    assert.equal(listener.diag.sendQueueBytes, 8, "the backlog");
    assert.ok(far.diag.lastDataReceivedMs < 5000);
  } finally {
    closePair(pair);
  }
});

test("IPv6 connections are listed as well", () => {
  const pair = openPair("::1");
  try {
    const near = find(readTable(), pair.nearPort, pair.port)!;
    assert.deepEqual([near.diag.family, near.diag.localAddress, near.diag.peerAddress], [6, "::1", "::1"]);
  } finally {
    closePair(pair);
  }
});

test("closing goes through FIN_WAIT2 and CLOSE_WAIT to TIME_WAIT, which no process has", async () => {
  const pair = openPair();
  try {
    assert.equal(shutdownWrite(pair.near), 0);
    const half = await eventually("FIN_WAIT2", 2000, () => {
      const sockets = readTable();
      const near = find(sockets, pair.nearPort, pair.port);
      return near?.diag.state === TcpDiagState.FIN_WAIT2 ? sockets : undefined;
    });
    assert.equal(find(half, pair.port, pair.nearPort)!.diag.state, TcpDiagState.CLOSE_WAIT);
    assert.equal(shutdownWrite(pair.far), 0);
    const waiting = await eventually("TIME_WAIT", 2000, () => {
      const near = find(readTable(), pair.nearPort, pair.port);
      return near?.diag.state === TcpDiagState.TIME_WAIT ? near : undefined;
    });
    assert.equal(waiting.diag.hasInfo, false);
    assert.equal(waiting.diag.inode, 0);
    assert.deepEqual(waiting.holders, []);
    assert.equal(waiting.diag.timer, DiagTimer.TIME_WAIT);
  } finally {
    closePair(pair);
  }
});

test("ss -tnoieH (iproute2) tells the same of the same sockets", (t) => {
  if (!requirePeer(t, "ss")) return;
  const pair = openPair();
  try {
    setTcpKeepalive(pair.near, { enabled: true, idleSeconds: 77, intervalSeconds: 5, probeCount: 3 });
    send(pair.near, byte.address, 1);
    send(pair.far, byte.address, 1);
    const near = find(readTable(), pair.nearPort, pair.port)!;
    const filter = ["sport", "=", `:${pair.nearPort}`, "and", "dport", "=", `:${pair.port}`];
    const result = spawnSync(peerPath("ss"), ["-tnoieHO", ...filter], { encoding: "utf8" });
    const text = result.stdout;
    const value = (pattern: RegExp): number => Number(pattern.exec(text)?.[1]);
    assert.match(text, /^ESTAB/, `${text}${result.stderr}`);
    assert.equal(near.diag.inode, value(/ino:(\d+)/));
    assert.equal(near.diag.cookie, Number.parseInt(/sk:([0-9a-f]+)/.exec(text)![1]!, 16));
    assert.equal(near.diag.rtoUs, value(/ rto:([\d.]+)/) * 1000);
    assert.ok(Math.abs(near.diag.rttUs / 1000 - value(/ rtt:([\d.]+)/)) < 0.001);
    assert.equal(near.diag.receiveQueueBytes, value(/^ESTAB\s+(\d+)/));
    assert.equal(near.diag.segmentsIn, value(/ segs_in:(\d+)/));
    assert.equal(near.diag.segmentsOut, value(/ segs_out:(\d+)/));
    assert.equal(near.diag.bytesAcked, value(/ bytes_acked:(\d+)/));
    assert.equal(near.diag.bytesReceived, value(/ bytes_received:(\d+)/));
    assert.match(text, /timer:\(keepalive,1min1[5-7]/);
  } finally {
    closePair(pair);
  }
});

test("only the sockets of one process: --pid looks at its descriptors alone", () => {
  const pair = openPair();
  const reader = new SocketTableReader({ namespaceFile: undefined, pid: process.pid });
  try {
    const { sockets, gaps } = reader.read(ALL_STATES);
    assert.deepEqual(gaps, []);
    assert.ok(find(sockets, pair.nearPort, pair.port) !== undefined);
    assert.ok(sockets.every(({ holders }) => holders.every(({ pid }) => pid === process.pid)));
  } finally {
    reader.close();
    closePair(pair);
  }
});

test("questions that cannot be answered are refused in one sentence", () => {
  const read = (source: ConstructorParameters<typeof SocketTableReader>[0]) => () =>
    new SocketTableReader(source).read(ALL_STATES);
  assert.throws(() => namespaceFileOf("no-such-namespace"), SocketTableError);
  for (const namespaceFile of [undefined, "/proc/4000000/ns/net"])
    assert.throws(read({ namespaceFile, pid: 4_000_000 }), /there is no process 4000000/);
  const directory = mkdtempSync(path.join(os.tmpdir(), "holdfast-table-"));
  try {
    const file = path.join(directory, "plain");
    writeFileSync(file, "");
    assert.throws(read({ namespaceFile: file, pid: undefined }), /no network namespace|needs CAP_SYS_ADMIN/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
