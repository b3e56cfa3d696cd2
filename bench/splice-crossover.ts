/**
 * From how many bytes on splice(2) through a pipe beats recv(2) + send(2) through one buffer: the time that moving a chunk from one
 * loopback connection to another takes, without the loop around it. The relay's constants (relay/session-end.ts) come from here.
 *
 *     node dist/bench/splice-crossover.js
 */

import { elapsedUs } from "../src/reactor/reactor.ts";
import { MonotonicClock } from "../src/sys/clock.ts";
import { allocateLow } from "../src/sys/memory.ts";
import { recv, send } from "../src/sys/socket.ts";
import { openPipe, setPipeSize, splice } from "../src/sys/splice.ts";
import { loopbackPair } from "../src/testing/loopback-pair.ts";
import { median, round } from "./statistics.ts";

const SIZES_KIB = [1, 2, 4, 8, 16, 32, 64, 128, 256] as const;
const PIPE_KIB = [64, 256, 1024] as const;
const ROUNDS = 400;
const BUFFER_BYTES = 64 * 1024;

const buffer = allocateLow(1024 * 1024);
const clock = new MonotonicClock();

function fill(fd: number, bytes: number): void {
  for (let sent = 0; sent < bytes; ) sent += Math.max(0, send(fd, buffer.address, bytes - sent));
}

function drain(fd: number, bytes: number): void {
  for (let received = 0; received < bytes; )
    received += Math.max(0, recv(fd, buffer.address, bytes - received));
}

function byBuffer(from: number, to: number, bytes: number): void {
  for (let moved = 0; moved < bytes; ) {
    const received = Math.max(0, recv(from, buffer.address, BUFFER_BYTES));
    for (let sent = 0; sent < received; )
      sent += Math.max(0, send(to, buffer.address + sent, received - sent));
    moved += received;
  }
}

function bySplice(from: number, to: number, bytes: number, pipe: { readFd: number; writeFd: number }): void {
  for (let moved = 0; moved < bytes; ) {
    const received = Math.max(0, splice(from, pipe.writeFd, 1024 * 1024));
    for (let sent = 0; sent < received; ) sent += Math.max(0, splice(pipe.readFd, to, received - sent));
    moved += received;
  }
  // The relay asks once more, and hears EAGAIN: a short splice does not say that the socket is empty.
  splice(from, pipe.writeFd, 1024 * 1024);
}

const { near: a, far: from } = loopbackPair();
const { near: to, far: b } = loopbackPair();

function measure(bytes: number, move: () => void): number {
  const samples: number[] = [];
  for (let turn = 0; turn < ROUNDS; turn++) {
    fill(a, bytes);
    clock.read();
    const startedUs = clock.nowUs;
    move();
    clock.read();
    samples.push(elapsedUs(startedUs, clock.nowUs));
    drain(b, bytes);
  }
  return median(samples);
}

const pipes = PIPE_KIB.map((kib) => {
  const pipe = openPipe();
  if (typeof pipe === "number") throw new Error(`pipe2: errno ${-pipe}`);
  setPipeSize(pipe.writeFd, kib * 1024);
  return { kib, pipe };
});
process.stdout.write("microseconds per chunk, median\n");
for (const kib of SIZES_KIB) {
  const bytes = kib * 1024;
  const copied = measure(bytes, () => byBuffer(from, to, bytes));
  const spliced = pipes.map(
    (it) =>
      `pipe ${it.kib}k: ${round(
        measure(bytes, () => bySplice(from, to, bytes, it.pipe)),
        1,
      )}`,
  );
  process.stdout.write(`${String(kib).padStart(4)} KiB  copy: ${round(copied, 1)}  ${spliced.join("  ")}\n`);
}
