import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { preciseNowMs } from "../sys/clock.ts";
import { PreciseTimers } from "./precise-timer.ts";
import { Reactor } from "./reactor.ts";

/** Turns of a real reactor until the condition holds. */
function runUntil(reactor: Reactor, isDone: () => boolean): void {
  const endMs = preciseNowMs() + 10_000;
  while (!isDone()) {
    assert.ok(preciseNowMs() < endMs, "not within 10 s");
    reactor.turn();
  }
}

test("timers fire in the order of their deadlines, equal ones in the order they were set, never early", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -2, max: 8 }), { minLength: 1, maxLength: 40 }), (delays) => {
      const reactor = new Reactor();
      const timers = new PreciseTimers(reactor);
      const startMs = timers.nowMs;
      const fired: number[] = [];
      for (const [index, delay] of delays.entries()) {
        timers.at(startMs + delay / 2, (lateMs) => {
          assert.ok(preciseNowMs() >= startMs + delay / 2, "never early");
          assert.ok(lateMs >= 0);
          fired.push(index);
        });
      }
      runUntil(reactor, () => fired.length === delays.length);
      const expected = delays
        .map((delay, index) => [delay, index] as const)
        .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
      assert.deepEqual(
        fired,
        expected.map(([, index]) => index),
      );
      timers.close();
    }),
    { numRuns: 50 },
  );
});

test("a cancelled timer never fires, the others do in order, wherever it was in the heap", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(1000), fc.boolean()), { minLength: 1, maxLength: 100 }), (plan) => {
      const reactor = new Reactor();
      const timers = new PreciseTimers(reactor);
      const fired: number[] = [];
      // Everything is due already: the order is the heap's alone.
      const startMs = timers.nowMs - 2000;
      const handles = plan.map(([delay], index) => timers.at(startMs + delay, () => fired.push(index)));
      for (const [index, [, isCancelled]] of plan.entries()) if (isCancelled) timers.cancel(handles[index]!);
      assert.deepEqual(
        handles.map((it) => it.isPending),
        plan.map(([, isCancelled]) => !isCancelled),
      );
      const expected = plan
        .map(([delay, isCancelled], index) => ({ delay, isCancelled, index }))
        .filter((it) => !it.isCancelled)
        .sort((x, y) => x.delay - y.delay || x.index - y.index)
        .map((it) => it.index);
      assert.equal(timers.pendingCount, expected.length);
      let isOver = false;
      timers.at(startMs + 1001, () => {
        isOver = true;
      });
      runUntil(reactor, () => isOver);
      assert.deepEqual(fired, expected);
      timers.close();
    }),
    // The example: what takes the cancelled one's place (3) has to rise above its new parent (10).
    { numRuns: 300, examples: [[[0, 10, 1, 11, 12, 2, 3].map((delay) => [delay, delay === 11])]] },
  );
});

test("a callback may cancel a timer that is due in the same turn, and its own", () => {
  const reactor = new Reactor();
  const timers = new PreciseTimers(reactor);
  const fired: string[] = [];
  const nowMs = timers.nowMs;
  const first = timers.at(nowMs - 2, () => {
    fired.push("first");
    timers.cancel(second);
    timers.cancel(first);
  });
  const second = timers.at(nowMs - 1, () => fired.push("second"));
  timers.at(nowMs, () => fired.push("third"));
  runUntil(reactor, () => fired.length === 2);
  assert.deepEqual(fired, ["first", "third"]);
  timers.close();
});

test("a timer that a callback sets for now waits for the next turn: descriptors are served in between", () => {
  const reactor = new Reactor();
  const timers = new PreciseTimers(reactor);
  const turns: number[] = [];
  const again = (): void => {
    turns.push(reactor.turns);
    if (turns.length < 4) timers.at(timers.nowMs - 1, again);
  };
  timers.at(timers.nowMs, again);
  runUntil(reactor, () => turns.length === 4);
  assert.equal(new Set(turns).size, 4);
  timers.close();
});

test("an earlier deadline moves the alarm forward, and a later one does not move it back", () => {
  const reactor = new Reactor();
  const timers = new PreciseTimers(reactor);
  const fired: string[] = [];
  const startMs = timers.nowMs;
  timers.at(startMs + 60_000, () => fired.push("late"));
  timers.at(startMs + 5, () => fired.push("early"));
  timers.at(startMs + 30_000, () => fired.push("later"));
  runUntil(reactor, () => fired.length === 1);
  assert.deepEqual(fired, ["early"]);
  assert.ok(timers.nowMs - startMs < 5000);
  timers.close();
});

test("after an exception in a callback the other timers still fire", () => {
  const reactor = new Reactor();
  const timers = new PreciseTimers(reactor);
  let hasFired = false;
  timers.at(timers.nowMs, () => {
    throw new Error("callback");
  });
  timers.at(timers.nowMs, () => {
    hasFired = true;
  });
  assert.throws(() => runUntil(reactor, () => hasFired), /callback/);
  runUntil(reactor, () => hasFired);
  timers.close();
});

test("a deadline that is no number is an error of the caller", () => {
  const timers = new PreciseTimers(new Reactor());
  assert.throws(() => timers.at(Number.NaN, () => {}), RangeError);
  timers.close();
});
