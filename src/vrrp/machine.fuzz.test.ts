/** The machine under random events in any order; fast-check prints the seed of a failure. Networks of machines: test/simulation. */
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { RouterLab, SETTINGS } from "./machine-fixtures.ts";

type Step = (lab: RouterLab) => unknown;

const priority = fc.constantFrom(0, 1, 50, 99, 100, 101, 254, 255);
const heard = fc.record({
  priority,
  address: fc.constantFrom("10.0.0.1", "10.0.0.5", "10.0.0.9"),
  ageMs: fc.nat(500),
});

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: heard.map((it): Step => {
      return (lab) => lab.hears(it.priority, { source: it.address, arrivedAtMs: lab.nowMs - it.ageMs });
    }),
  },
  { weight: 6, arbitrary: fc.constant<Step>((lab) => lab.wake()) },
  priority.map(
    (it): Step =>
      (lab) =>
        lab.do((router, now) => router.handlePriority(now, it, "")),
  ),
  fc.record({ priority: priority.filter((it) => it > 0), preempt: fc.boolean() }).map((it): Step => {
    return (lab) => lab.do((router, now) => router.handleSettings(now, { ...SETTINGS, ...it }));
  }),
  fc.constantFrom<Step>(
    (lab) => lab.startup(),
    (lab) => lab.do((router, now) => router.handleShutdown(now)),
    (lab) => lab.do((router, now) => router.handleFault(now, "link", "down")),
    (lab) => lab.do((router, now) => router.handleRecovery(now, "link", "up")),
    (lab) => lab.do((router, now) => router.handleHandover(now)),
    (lab) => lab.do((router, now) => router.handleResume(now)),
    (lab) => lab.do((router, now) => router.handlePromotion(now, "")),
    (lab) => lab.do((router, now) => router.handleDemotion(now, "")),
    (lab) => lab.do((router, now) => router.handleRelease(now)),
  ),
);
const schedule = fc.array(fc.tuple(fc.constantFrom(0, 1, 10, 61, 100, 361, 2000), steps), { maxLength: 60 });

test("addresses are there if and only if it is active; each transition is told; a timer runs while it listens or speaks", () => {
  fc.assert(
    fc.property(schedule, (events) => {
      const lab = new RouterLab().startup();
      let hasAddresses = false;
      let told = "initialize";
      let isHandingOver = false;
      for (const [pauseMs, step] of events) {
        step(lab.at(lab.nowMs + pauseMs));
        for (const effect of lab.effects) {
          if (effect.kind === "install-addresses") assert.ok(!hasAddresses);
          if (effect.kind === "install-addresses") hasAddresses = true;
          if (effect.kind === "withdraw-addresses") assert.ok(hasAddresses);
          if (effect.kind === "withdraw-addresses") hasAddresses = false;
          if (effect.kind === "announce-addresses") assert.ok(hasAddresses);
          if (effect.kind === "handover-ended") assert.ok(isHandingOver || lab.router.isHandingOver);
          if (effect.kind !== "state-changed") continue;
          assert.equal(effect.transition.from, told);
          told = effect.transition.to;
        }
        lab.forget();
        const { state } = lab.router;
        isHandingOver = lab.router.isHandingOver;
        assert.equal(told, state);
        assert.equal(hasAddresses, state === "active");
        assert.ok(!isHandingOver || state === "active");
        assert.equal(lab.router.nextTimeout() !== undefined, state === "backup" || state === "active");
        assert.ok(Number.isFinite(lab.router.nextTimeout() ?? 0));
      }
    }),
    { numRuns: 3000 },
  );
});

test("left alone, every router that is not in fault, held or stopped is active in the end", () => {
  fc.assert(
    fc.property(schedule, (events) => {
      const lab = new RouterLab().startup();
      for (const [pauseMs, step] of events) step(lab.at(lab.nowMs + pauseMs));
      const isFree = ["backup", "active"].includes(lab.router.state) && !lab.router.isHeld;
      lab.run(lab.nowMs + 3000);
      if (isFree && !lab.router.isHandingOver && !lab.router.isHeld) lab.expect("active");
    }),
    { numRuns: 2000 },
  );
});

test("handleTimeout() leads to a later deadline: a timer never spins", () => {
  fc.assert(
    fc.property(schedule, (events) => {
      const lab = new RouterLab().startup();
      for (const [pauseMs, step] of events) {
        step(lab.at(lab.nowMs + pauseMs));
        lab.wake();
        assert.ok((lab.router.nextTimeout() ?? Number.POSITIVE_INFINITY) > lab.nowMs);
      }
    }),
    { numRuns: 2000 },
  );
});
