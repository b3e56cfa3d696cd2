/** A flood does not keep the process from its deadlines, and no deadline is decided on what was not read. */
import assert from "node:assert/strict";
import test from "node:test";
import { completeLimit, type DrainLimit, turnLimit } from "./drain-limit.ts";

/** Reads a queue of arrival times, at 0.1 ms each, from 1000 on: how many were read. */
function read(isEnough: DrainLimit, arrivals: Iterable<number>): number {
  let count = 0;
  for (const arrivedAtMs of arrivals) if (isEnough(++count, arrivedAtMs, 1000 + count * 0.1)) break;
  return count;
}

function* flood(fromMs: number): Generator<number> {
  for (let atMs = fromMs; ; atMs += 0.05) yield atMs;
}

test("a turn of the reactor reads for 5 ms, whatever waits", () => {
  assert.equal(read(turnLimit(1000), flood(0)), 50);
});

test("before a deadline everything is read that had arrived, however long it takes, and nothing else is waited for", () => {
  const waiting = Array.from({ length: 2500 }, (_, index) => index * 0.4);
  assert.equal(read(completeLimit(1000), waiting), 2500);
  // The flood goes on while it is read: the first packet that arrived later is the last.
  assert.equal(read(completeLimit(1000), flood(990)), 202);
});

test("packets without a stamp arrive when they are read: then their number is the end", () => {
  const unstamped = (function* () {
    for (;;) yield 1000;
  })();
  assert.equal(read(completeLimit(1000), unstamped), 4096);
});
