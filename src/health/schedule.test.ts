/** Tests of schedule.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CheckSchedule } from "./schedule.ts";

const RHYTHM = { intervalMs: 2000, fastIntervalMs: 500, timeoutMs: 1000 };

test("CheckSchedule starts at a random moment of the first interval, of the fast one while the state is open", () => {
  assert.equal(new CheckSchedule(RHYTHM, 10_000, 0, false).deadlineMs, 10_000);
  assert.equal(new CheckSchedule(RHYTHM, 10_000, 0.75, false).deadlineMs, 11_500);
  assert.equal(new CheckSchedule(RHYTHM, 10_000, 0.5, true).deadlineMs, 10_250);
});

test("CheckSchedule counts the interval from the beginning of a check, whatever the check took", () => {
  const schedule = new CheckSchedule(RHYTHM, 0, 0, false);
  schedule.handleStarted(0);
  assert.equal(schedule.deadlineMs, 1000, "a running check is given up after its timeout");
  schedule.handleFinished(900, false);
  assert.equal(schedule.deadlineMs, 2000);
  schedule.handleStarted(2000);
  schedule.handleFinished(2010, true);
  assert.equal(schedule.deadlineMs, 2500, "fast while the state is about to change");
});

test("CheckSchedule goes on at once, and only once, when a check took longer than the interval", () => {
  const schedule = new CheckSchedule({ intervalMs: 200, fastIntervalMs: 100, timeoutMs: 1000 }, 0, 0, false);
  schedule.handleStarted(0);
  schedule.handleFinished(950, false);
  assert.equal(schedule.deadlineMs, 950);
  schedule.handleStarted(5000);
  schedule.handleFinished(5001, false);
  assert.equal(schedule.deadlineMs, 5200, "what was missed is not made up for");
});

test("CheckSchedule never lets two checks of one server run", () => {
  const schedule = new CheckSchedule(RHYTHM, 0, 0, false);
  assert.throws(() => schedule.handleFinished(0, false));
  schedule.handleStarted(0);
  assert.throws(() => schedule.handleStarted(1));
});

test("hurry() brings the next check forward to the fast interval, never before it and never back", () => {
  const schedule = new CheckSchedule(RHYTHM, 0, 0, false);
  schedule.handleStarted(0);
  schedule.handleFinished(10, false);
  schedule.hurry(100);
  assert.equal(schedule.deadlineMs, 500);
  schedule.hurry(1500);
  assert.equal(schedule.deadlineMs, 500);
  const late = new CheckSchedule(RHYTHM, 0, 0, false);
  late.handleStarted(0);
  late.handleFinished(10, false);
  late.hurry(1500);
  assert.equal(late.deadlineMs, 1500);
});
