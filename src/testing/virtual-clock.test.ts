/** Unit tests of VirtualClock. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "./virtual-clock.ts";

test("VirtualClock fires timers in order of deadline, then of arming, at exactly their deadline", () => {
  const clock = new VirtualClock(100);
  const seen: string[] = [];
  clock.after(20, () => seen.push(`b@${clock.nowMs}`));
  clock.after(10, () => seen.push(`a@${clock.nowMs}`));
  clock.after(20, () => seen.push(`c@${clock.nowMs}`));
  clock.after(21, () => seen.push("too late"));
  assert.equal(clock.nextDeadlineMs, 110);
  clock.advance(20);
  assert.deepEqual(seen, ["a@110", "b@120", "c@120"]);
  assert.equal(clock.nowMs, 120);
});

test("VirtualClock fires a timer that another timer armed inside the interval, and not a cancelled one", () => {
  const clock = new VirtualClock();
  const seen: number[] = [];
  const cancelled = clock.at(15, () => seen.push(-1));
  clock.at(10, () => {
    clock.after(5, () => seen.push(clock.nowMs));
    cancelled.cancel();
  });
  clock.advanceTo(30);
  assert.deepEqual(seen, [15]);
  assert.equal(clock.nextDeadlineMs, undefined);
  assert.throws(() => clock.advanceTo(29), RangeError);
});
