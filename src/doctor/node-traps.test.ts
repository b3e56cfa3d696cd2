import assert from "node:assert/strict";
import { test } from "node:test";
import { TcpDiagState } from "../netlink/inet-diag.ts";
import { hostFacts, judgedSocket } from "./host-facts-fixtures.ts";
import { findNodeTraps } from "./node-traps.ts";
import type { JudgedSocket } from "./socket-filter.ts";

const NODE = { pid: 200, processName: "node" };
const LIBUV = { intervalMs: 1000, probeCount: 10 };

function traps(...sockets: JudgedSocket[]): string[] {
  const nodeProcesses = [{ pid: 200, title: "server.js", isHoldfast: false }];
  return findNodeTraps(hostFacts({ nodeProcesses, sockets })).map(({ id }) => id);
}

test("http.globalAgent's probe every second is found, also within the host", () => {
  const options = { ...LIBUV, idleMs: 1000 };
  const near = { localAddress: "127.0.0.1", peerAddress: "127.0.0.1" };
  assert.deepEqual(traps(judgedSocket({}, options, NODE), judgedSocket(near, options, NODE)), [
    "node-probe-every-second",
  ]);
});

test("setKeepAlive(true) without a delay is found by the kernel's 2 h", () => {
  const options = { idleMs: 7_200_000, intervalMs: 75_000, probeCount: 9 };
  assert.deepEqual(traps(judgedSocket({}, options, NODE)), ["node-keepalive-default-idle"]);
});

test("libuv's fixed interval and count are worth a note", () => {
  assert.deepEqual(traps(judgedSocket({}, { ...LIBUV, idleMs: 60_000 }, NODE)), ["node-ten-seconds"]);
  assert.deepEqual(traps(judgedSocket({}, { idleMs: 60_000 }, NODE)), []);
});

test("a client's connection to a TLS port without keepalive is found; a server's own port is no such port", () => {
  const off = { isKeepaliveOn: false };
  assert.deepEqual(traps(judgedSocket({ peerPort: 443 }, off, NODE)), ["node-tls-unguarded"]);
  assert.deepEqual(traps(judgedSocket({ peerPort: 5432 }, off, NODE)), []);
  const listener = judgedSocket({ state: TcpDiagState.LISTEN, localPort: 8080 }, off, NODE);
  assert.deepEqual(traps(listener, judgedSocket({ localPort: 8080, peerPort: 443 }, off, NODE)), []);
});

test("other programs' sockets, and the gateway's own, are not judged by Node's rules", () => {
  const sockets = [judgedSocket({}, { ...LIBUV, idleMs: 1000 })];
  assert.deepEqual(traps(...sockets), []);
  const nodeProcesses = [{ pid: 100, title: "worker-main.js", isHoldfast: true }];
  assert.deepEqual(findNodeTraps(hostFacts({ nodeProcesses, sockets })), []);
});
