import assert from "node:assert/strict";
import { test } from "node:test";
import { MonotonicClock } from "./clock.ts";

test("MonotonicClock counts milliseconds and microseconds alike, and as performance.now() does", () => {
  const clock = new MonotonicClock();
  const beforeMs = performance.now();
  const fromMs = clock.nowMs;
  const fromUs = clock.nowUs;
  while (performance.now() - beforeMs < 20) clock.read();
  clock.read();
  const elapsedMs = performance.now() - beforeMs;
  const counted = clock.nowMs - fromMs;
  assert.ok(counted >= 19 && counted <= elapsedMs + 2, `${counted} of ${elapsedMs} ms`);
  assert.ok(Math.abs(((clock.nowUs - fromUs) | 0) / 1000 - counted) <= 1.001);
  assert.ok(Number.isInteger(clock.nowMs) && Number.isInteger(clock.nowUs));
});
