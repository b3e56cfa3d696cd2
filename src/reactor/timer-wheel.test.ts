import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TICK_MS, Timed, TimerWheel } from "./timer-wheel.ts";

class Probe extends Timed {
  firedAtMs: number[] = [];
  onFire: (() => void) | undefined;
  readonly clock: { nowMs: number };
  constructor(clock: { nowMs: number }) {
    super();
    this.clock = clock;
  }
  override handleTimeout(): void {
    this.firedAtMs.push(this.clock.nowMs);
    this.onFire?.();
  }
}

function fixture() {
  const clock = { nowMs: 1000 };
  const wheel = new TimerWheel(clock.nowMs);
  const advanceTo = (nowMs: number) => {
    clock.nowMs = nowMs;
    wheel.advance(nowMs);
  };
  return { clock, wheel, advanceTo };
}

test("arm() counts from noteTime() when the loop has slept for longer than the delay", () => {
  for (const sleepMs of [500, 40_000]) {
    const { clock, wheel, advanceTo } = fixture();
    const [other, probe] = [new Probe(clock), new Probe(clock)];
    wheel.arm(other, 75_000);
    const wokenAtMs = 1000 + sleepMs;
    wheel.noteTime(wokenAtMs);
    wheel.arm(probe, 200);
    for (let nowMs = wokenAtMs; nowMs < wokenAtMs + 400; nowMs++) advanceTo(nowMs);
    assert.equal(probe.firedAtMs.length, 1);
    const afterMs = probe.firedAtMs[0]! - wokenAtMs;
    assert.ok(afterMs >= 200 && afterMs <= 200 + 2 * TICK_MS, `after ${afterMs} ms`);
  }
});

test("TimerWheel fires once, not early and at most two ticks late", () => {
  const { clock, wheel, advanceTo } = fixture();
  const probe = new Probe(clock);
  wheel.arm(probe, 100);
  for (let nowMs = 1000; nowMs < 1400; nowMs++) advanceTo(nowMs);
  assert.equal(probe.firedAtMs.length, 1);
  assert.ok(
    probe.firedAtMs[0]! >= 1100 && probe.firedAtMs[0]! <= 1100 + 2 * TICK_MS,
    String(probe.firedAtMs),
  );
});

test("advance() returns when it catches up on slots whose timers lie beyond the horizon again", () => {
  const { clock, wheel, advanceTo } = fixture();
  const probes = [new Probe(clock), new Probe(clock), new Probe(clock)];
  // Linked close by, then put off, as a busy connection's timer is: found in the old slot, they go to the last slot of the
  // turn, which is the one before the present when advance() has several slots to catch up on.
  for (const probe of probes) wheel.arm(probe, 1000);
  for (const probe of probes) wheel.arm(probe, 60_000);
  for (let nowMs = 1000; nowMs <= 62_000; nowMs += 7 * TICK_MS) advanceTo(nowMs);
  for (const probe of probes) {
    assert.equal(probe.firedAtMs.length, 1);
    assert.ok(probe.firedAtMs[0]! >= 61_000 && probe.firedAtMs[0]! <= 61_000 + 9 * TICK_MS);
  }
});

test("TimerWheel waits for a deadline beyond one turn of the wheel", () => {
  const { clock, wheel, advanceTo } = fixture();
  const probe = new Probe(clock);
  wheel.arm(probe, 75_000);
  for (let nowMs = 1000; nowMs < 75_900; nowMs += 7) advanceTo(nowMs);
  assert.deepEqual(probe.firedAtMs, []);
  for (let nowMs = 75_900; nowMs < 76_100; nowMs++) advanceTo(nowMs);
  assert.equal(probe.firedAtMs.length, 1);
});

test("TimerWheel moves a deadline later without touching the slot, and earlier by relinking", () => {
  const { clock, wheel, advanceTo } = fixture();
  const probe = new Probe(clock);
  wheel.arm(probe, 100);
  const slot = probe.linkedTick;
  wheel.arm(probe, 300);
  assert.equal(probe.linkedTick, slot, "re-arming later is one store");
  advanceTo(1250);
  assert.deepEqual(probe.firedAtMs, []);
  wheel.arm(probe, 20);
  advanceTo(1320);
  assert.equal(probe.firedAtMs.length, 1);
});

test("TimerWheel never fires a cancelled or removed timer", () => {
  const { clock, wheel, advanceTo } = fixture();
  const cancelled = new Probe(clock);
  const removed = new Probe(clock);
  wheel.arm(cancelled, 50);
  wheel.arm(removed, 50);
  wheel.cancel(cancelled);
  wheel.remove(removed);
  assert.equal(removed.timerNext, undefined);
  advanceTo(5000);
  assert.deepEqual([cancelled.firedAtMs, removed.firedAtMs], [[], []]);
  assert.equal(wheel.nextTimeoutMs(5000), -1);
});

test("TimerWheel lets a timer remove, cancel or re-arm others that are due in the same slot", () => {
  const { clock, wheel, advanceTo } = fixture();
  const probes = Array.from({ length: 4 }, () => new Probe(clock));
  for (const probe of probes) wheel.arm(probe, 50);
  probes[0]!.onFire = () => {
    wheel.remove(probes[1]!);
    wheel.cancel(probes[2]!);
    wheel.arm(probes[3]!, 500);
    wheel.arm(probes[0]!, 500);
  };
  advanceTo(1200);
  assert.deepEqual(
    probes.map((probe) => probe.firedAtMs.length),
    [1, 0, 0, 0],
  );
  probes[0]!.onFire = undefined;
  advanceTo(2000);
  assert.deepEqual(
    probes.map((probe) => probe.firedAtMs.length),
    [2, 0, 0, 1],
  );
});

test("TimerWheel survives a stall of several turns", () => {
  const { clock, wheel, advanceTo } = fixture();
  const probes = Array.from({ length: 100 }, (_, index) => {
    const probe = new Probe(clock);
    wheel.arm(probe, index * 997);
    return probe;
  });
  advanceTo(1_000_000);
  assert.ok(probes.every((probe) => probe.firedAtMs.length === 1));
});

test("TimerWheel nextTimeoutMs() is never later than the next deadline, whatever the operations", () => {
  const operation = fc.oneof(
    fc.record({ kind: fc.constant("arm" as const), which: fc.nat(9), delayMs: fc.nat(90_000) }),
    fc.record({ kind: fc.constant("cancel" as const), which: fc.nat(9) }),
    fc.record({ kind: fc.constant("remove" as const), which: fc.nat(9) }),
    fc.record({ kind: fc.constant("sleep" as const), stepMs: fc.nat(40_000) }),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const { clock, wheel, advanceTo } = fixture();
      const probes = Array.from({ length: 10 }, () => new Probe(clock));
      const dueMs = new Map<Probe, number>();
      for (const operation of operations) {
        if (operation.kind === "sleep") {
          const endMs = clock.nowMs + operation.stepMs;
          while (clock.nowMs < endMs) {
            const timeoutMs = wheel.nextTimeoutMs(clock.nowMs);
            const stepMs = timeoutMs === -1 ? endMs - clock.nowMs : Math.max(timeoutMs, 1);
            advanceTo(Math.min(endMs, clock.nowMs + stepMs));
            for (const [probe, due] of dueMs) {
              if (probe.firedAtMs.length > 0) {
                assert.ok(probe.firedAtMs[0]! >= due && probe.firedAtMs[0]! <= due + 2 * TICK_MS + 1);
                probe.firedAtMs = [];
                dueMs.delete(probe);
              } else assert.ok(clock.nowMs <= due + 2 * TICK_MS + 1, "late");
            }
          }
          continue;
        }
        const probe = probes[operation.which]!;
        if (operation.kind === "arm") {
          wheel.arm(probe, operation.delayMs);
          dueMs.set(probe, clock.nowMs + operation.delayMs);
        } else {
          wheel[operation.kind](probe);
          dueMs.delete(probe);
        }
      }
    }),
    { numRuns: 300 },
  );
});

test("TimerWheel holds 100,000 idle timers and visits none of them before its time", () => {
  const { clock, wheel, advanceTo } = fixture();
  let fired = 0;
  class Counter extends Timed {
    override handleTimeout(): void {
      fired++;
    }
  }
  const timers = Array.from({ length: 100_000 }, () => new Counter());
  for (const timer of timers) wheel.arm(timer, 75_000);
  for (const timer of timers) wheel.arm(timer, 80_000);
  assert.equal(wheel.linkedCount, 100_000);
  for (let nowMs = clock.nowMs; nowMs < 80_900; nowMs += 16) advanceTo(nowMs);
  assert.equal(fired, 0);
  advanceTo(81_100);
  assert.equal(fired, 100_000);
});
