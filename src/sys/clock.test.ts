import assert from "node:assert/strict";
import { test } from "node:test";
import { MonotonicClock } from "./clock.ts";

test("MonotonicClock counts milliseconds and microseconds alike, and as performance.now() does", () => {
  const clock = new MonotonicClock();
  const atLatestBegun = performance.now();
  clock.read();
  const fromMs = clock.nowMs;
  const fromUs = clock.nowUs;
  const atEarliestBegun = performance.now();
  while (performance.now() - atEarliestBegun < 20);
  const atEarliestEnded = performance.now();
  clock.read();
  const atLatestEnded = performance.now();
  const countedMs = clock.nowMs - fromMs;
  assert.ok(countedMs >= atEarliestEnded - atEarliestBegun - 1, `${countedMs} ms is too little`);
  assert.ok(countedMs <= atLatestEnded - atLatestBegun + 1, `${countedMs} ms is too much`);
  assert.ok(Math.abs(((clock.nowUs - fromUs) | 0) / 1000 - countedMs) <= 1.001);
  assert.ok(Number.isInteger(clock.nowMs) && Number.isInteger(clock.nowUs));
});
