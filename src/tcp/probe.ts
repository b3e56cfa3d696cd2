/**
 * `probe(socket)` of holdfast/tcp: is the peer of a connection of this program still there? No payload is sent; see
 * doctor/probe-machine.ts for how, and for what is set meanwhile and put back.
 */

import { readFileSync } from "node:fs";
import type net from "node:net";
import { ProbeMachine, type ProbeVerdict } from "../doctor/probe-machine.ts";
import { getSocketOptions, setSocketOption } from "../sys/socket-options.ts";
import { getTcpInfo, TcpState } from "../sys/tcp-info.ts";
import { descriptorOf } from "./socket-fd.ts";

export interface ProbeOptions {
  /** How long to wait for an answer. Default: 3000. */
  readonly timeoutMs?: number;
}

/** `closed`: this program closed the socket, or it was not connected. */
export type ProbeAnswer = ProbeVerdict | { readonly verdict: "closed" };

const underway = new WeakMap<net.Socket, Promise<ProbeAnswer>>();

/** Never rejects for what the network does; for a UNIX socket with TypeError. A second call while one is underway gets the same answer. */
export function probe(socket: net.Socket, { timeoutMs = 3000 }: ProbeOptions = {}): Promise<ProbeAnswer> {
  if (!(timeoutMs > 0)) throw new RangeError(`timeoutMs is ${timeoutMs}; it must be above 0`);
  const known = underway.get(socket);
  if (known !== undefined) return known;
  const answer = run(socket, timeoutMs).finally(() => underway.delete(socket));
  underway.set(socket, answer);
  return answer;
}

async function run(socket: net.Socket, timeoutMs: number): Promise<ProbeAnswer> {
  const fd = descriptorOf(socket);
  if (fd === undefined) return closedAnswer(socket);
  if (getTcpInfo(fd) === undefined) throw new TypeError("probe() takes a TCP connection, not a UNIX socket");
  const machine = new ProbeMachine(getSocketOptions(fd), { timeoutMs, retries2: retries2() });
  try {
    for (;;) {
      // Node closes the descriptor as soon as it has read the RST: the number may be another socket by now.
      const look = descriptorOf(socket) === fd ? getTcpInfo(fd) : undefined;
      if (look === undefined) return closedAnswer(socket);
      const action = machine.handleLook(performance.now(), look);
      if (action.kind === "finish") return action.verdict;
      if (action.kind === "look") await sleepUntil(action.atMs);
      else for (const { option, value } of action.changes) setSocketOption(fd, option, value);
    }
  } finally {
    if (descriptorOf(socket) === fd)
      for (const { option, value } of machine.restore()) setSocketOption(fd, option, value);
  }
}

function closedAnswer(socket: net.Socket): ProbeAnswer {
  if (socket.connecting) return { verdict: "no-peer", state: TcpState.SYN_SENT };
  const { code } = (socket.errored ?? {}) as NodeJS.ErrnoException;
  // EPIPE: the RST came after the peer's FIN.
  return code === "ECONNRESET" || code === "EPIPE"
    ? { verdict: "dead", how: "reset" }
    : { verdict: "closed" };
}

/** Holds the program open no longer than the probe takes. */
function sleepUntil(atMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(1, atMs - performance.now())));
}

function retries2(): number {
  try {
    return Number(readFileSync("/proc/sys/net/ipv4/tcp_retries2", "latin1")) || 15;
  } catch {
    return 15;
  }
}
