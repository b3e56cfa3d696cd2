/** Unit tests and a simulation of LearnedIdleTimeout. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../testing/seeded-random.ts";
import { LearnedIdleTimeout, limitFromAdvertised } from "./learned-idle-timeout.ts";

const MAXIMUM_MS = 60_000;
const MINUTE_MS = 60_000;
const learner = () => new LearnedIdleTimeout(MAXIMUM_MS);

test("limitMs() is the maximum while nothing is known", () => {
  assert.equal(learner().limitMs(0), MAXIMUM_MS);
  assert.equal(learner().explain(), "nothing learned");
});

test("limitMs() keeps 1 s or 2 % below what Keep-Alive: timeout=N says (RFC 2068 §19.7.1.1)", () => {
  const limits = [0, 1, 2, 3, 5, 75, 600].map(limitFromAdvertised);
  assert.deepEqual(limits, [0, 0, 1000, 2000, 4000, 73_500, 588_000]);
  const learned = learner();
  learned.handleAdvertisedSeconds(0, 5);
  assert.equal(learned.limitMs(1), 4000);
  assert.equal(learned.explain(), "server says 5 s");
  learned.handleAdvertisedSeconds(2, 600);
  assert.equal(learned.limitMs(3), MAXIMUM_MS, "never above the maximum");
});

test("limitMs() forgets what was said ten minutes after it was said last", () => {
  const learned = learner();
  learned.handleAdvertisedSeconds(0, 5);
  learned.handleAdvertisedSeconds(9 * MINUTE_MS, 5);
  assert.equal(learned.limitMs(18 * MINUTE_MS), 4000);
  assert.equal(learned.limitMs(19 * MINUTE_MS), MAXIMUM_MS);
  assert.equal(learned.explain(), "nothing learned");
});

test("limitMs() believes a single idle FIN for 30 s", () => {
  const learned = learner();
  learned.handleIdleFin(1000, 5000);
  assert.equal(learned.limitMs(1000), 4500);
  assert.equal(learned.explain(), "1 idle close at 5.00 s, unconfirmed");
  assert.equal(learned.limitMs(30_999), 4500);
  assert.equal(learned.limitMs(31_000), MAXIMUM_MS);
});

test("limitMs() believes idle FINs that agree within 10 % until they are ten minutes old", () => {
  const learned = learner();
  learned.handleIdleFin(0, 5010);
  learned.handleIdleFin(60_000, 4980);
  learned.handleIdleFin(120_000, 5000);
  assert.equal(learned.limitMs(9 * MINUTE_MS), 4980 - 498);
  assert.equal(learned.explain(), "3 idle closes at 4.98–5.01 s");
  assert.equal(learned.limitMs(10 * MINUTE_MS), 4980 - 498, "two are left");
  assert.equal(learned.limitMs(11 * MINUTE_MS), MAXIMUM_MS, "one alone is too old to be believed");
  learned.handleIdleFin(11 * MINUTE_MS + 5000, 5000);
  learned.limitMs(12 * MINUTE_MS);
  assert.equal(
    learned.limitMs(12 * MINUTE_MS + 5000),
    MAXIMUM_MS,
    "the last of the old ones has expired by now",
  );
});

test("limitMs() keeps 50 ms off short timeouts and allows no reuse when the server always closes at once", () => {
  const learned = learner();
  for (const at of [0, 1000]) learned.handleIdleFin(at, 200);
  assert.equal(learned.limitMs(1000), 150);
  for (const at of [2000, 3000]) learned.handleIdleFin(at, 1);
  assert.equal(learned.limitMs(3000), 0);
});

test("limitMs() is not touched by a restart, which closes connections of all ages at once", () => {
  const learned = learner();
  for (const [n, idleMs] of [12, 700, 704, 3000, 9000, 9100].entries())
    learned.handleIdleFin(1000 + n, idleMs);
  assert.equal(learned.limitMs(1006), MAXIMUM_MS);
  const trained = learner();
  for (const at of [0, 5000]) trained.handleIdleFin(at, 20_000);
  for (const [n, idleMs] of [9000, 50].entries()) trained.handleIdleFin(9000 + n, idleMs);
  assert.equal(trained.limitMs(9002), 18_000);
});

test("limitMs() takes simultaneous closes of one age as a single observation", () => {
  const learned = learner();
  for (let n = 0; n < 10; n++) learned.handleIdleFin(n, 5000 + n);
  assert.equal(learned.explain(), "1 idle close at 5.00 s, unconfirmed");
});

test("limitMs() outlives one early FIN that disagrees", () => {
  const learned = learner();
  for (const at of [0, 5000]) learned.handleIdleFin(at, 20_000);
  learned.handleIdleFin(10_000, 300);
  assert.equal(learned.limitMs(10_000), 18_000);
});

test("handleSurvival() refutes observations that a connection has outlived", () => {
  const learned = learner();
  for (const at of [0, 1000, 2000]) learned.handleIdleFin(at, 2);
  assert.equal(learned.limitMs(2000), 0);
  learned.handleSurvival(2500, 40);
  assert.equal(learned.limitMs(2500), 0, "40 ms against 2 ms: too close to tell");
  learned.handleSurvival(3000, 400);
  assert.equal(learned.limitMs(3000), MAXIMUM_MS);
  for (const at of [4000, 5000]) learned.handleIdleFin(at, 5000);
  learned.handleSurvival(6000, 5100);
  assert.equal(learned.limitMs(6000), 4500, "within the agreement: no contradiction");
});

test("limitMs() is the lower of what the server says and what it does", () => {
  const learned = learner();
  learned.handleAdvertisedSeconds(0, 5);
  for (const at of [0, 5000]) learned.handleIdleFin(at, 3000);
  assert.equal(learned.limitMs(5000), 2700);
  assert.equal(learned.explain(), "server says 5 s; 2 idle closes at 3.00 s");
});

interface SimulationResult {
  readonly requests: number;
  readonly staleReuses: number;
  /** Gaps well below the server's timeout, and how many of them ended in a reuse. */
  readonly shortGaps: number;
  readonly shortGapsReused: number;
}

interface SimulationSettings {
  readonly seed: number;
  readonly timeoutMsAt: (nowMs: number) => number;
  readonly durationMs: number;
  readonly learns?: boolean;
  readonly watches?: boolean;
}

/**
 * One connection at a time to a server that closes after its timeout, up to 30 ms late, over a network with a delay of 1 to 5 ms;
 * gaps between requests are short (up to 0.8 of the timeout) or within 2 % of the timeout, half each.
 */
function simulate(settings: SimulationSettings): SimulationResult {
  const { seed, timeoutMsAt, durationMs, learns = true, watches = true } = settings;
  const random = new SeededRandom(seed);
  const learned = new LearnedIdleTimeout(MAXIMUM_MS);
  const result = { requests: 0, staleReuses: 0, shortGaps: 0, shortGapsReused: 0 };
  for (let nowMs = 0; nowMs < durationMs; ) {
    const timeoutMs = timeoutMsAt(nowMs);
    const isShort = random.chance(0.5);
    const gapMs = isShort ? random.between(0, 0.8 * timeoutMs) : timeoutMs * random.between(0.98, 1.02);
    // The response left the server one delay before it reached us at nowMs; its timer has been running since.
    const closesAfterMs = timeoutMs + random.between(0, 30) - random.between(1, 5);
    const finSeenAfterMs = closesAfterMs + random.between(1, 5);
    const arrivesAfterMs = gapMs + random.between(1, 5);
    const retiredAfterMs = learns ? learned.limitMs(nowMs) : MAXIMUM_MS;
    result.requests++;
    if (isShort) result.shortGaps++;
    if (finSeenAfterMs <= Math.min(gapMs, retiredAfterMs)) {
      learned.handleIdleFin(nowMs + finSeenAfterMs, finSeenAfterMs);
    } else if (gapMs < retiredAfterMs) {
      if (isShort) result.shortGapsReused++;
      if (arrivesAfterMs < closesAfterMs) {
        learned.handleSurvival(nowMs + gapMs, gapMs);
      } else {
        result.staleReuses++;
        learned.handleIdleFin(nowMs + gapMs, gapMs);
      }
    } else if (watches && learned.wantsWatch(nowMs + retiredAfterMs)) {
      if (finSeenAfterMs < learned.watchMs()) learned.handleIdleFin(nowMs + finSeenAfterMs, finSeenAfterMs);
      else learned.handleSurvival(nowMs + learned.watchMs(), learned.watchMs());
    }
    nowMs += gapMs + 10;
  }
  return result;
}

test("in a simulated day of traffic at the server's own period stale reuse vanishes and short gaps are reused", () => {
  for (const timeoutMs of [2000, 5000, 15_000]) {
    const settings = { seed: timeoutMs, timeoutMsAt: () => timeoutMs, durationMs: 24 * 60 * MINUTE_MS };
    const fixed = simulate({ ...settings, learns: false });
    const learning = simulate({ ...settings, watches: false });
    const watching = simulate(settings);
    const label = `${timeoutMs} ms: ${fixed.staleReuses}, ${learning.staleReuses}, ${watching.staleReuses} of ${fixed.requests}`;
    assert.ok(fixed.staleReuses > 20, label);
    assert.ok(learning.staleReuses < fixed.staleReuses / 5, label);
    assert.ok(watching.staleReuses <= 2, label);
    assert.equal(watching.shortGapsReused, watching.shortGaps);
  }
});

test("in a simulation, a timeout that is lowered is noticed at once and one that is raised within minutes", () => {
  for (const watches of [false, true]) {
    const lowered = simulate({
      seed: 1,
      timeoutMsAt: (nowMs) => (nowMs < 30 * MINUTE_MS ? 20_000 : 5000),
      durationMs: 60 * MINUTE_MS,
      watches,
    });
    assert.ok(lowered.staleReuses <= 3, `${lowered.staleReuses}`);
    const raised = simulate({
      seed: 1,
      timeoutMsAt: (nowMs) => (nowMs < 30 * MINUTE_MS ? 2000 : 20_000),
      durationMs: 120 * MINUTE_MS,
      watches,
    });
    assert.ok(
      raised.shortGapsReused > 0.95 * raised.shortGaps,
      `${raised.shortGapsReused} of ${raised.shortGaps}`,
    );
  }
});

test("wantsWatch() asks for a watched connection every three minutes, and watchMs() lies beyond what it can confirm", () => {
  const learned = learner();
  assert.equal(learned.wantsWatch(0), false);
  for (const at of [0, 5000]) learned.handleIdleFin(at, 5000);
  assert.equal(learned.wantsWatch(100_000), false);
  assert.equal(learned.wantsWatch(185_000), true);
  learned.handleIdleFin(186_000, 5000);
  assert.equal(learned.wantsWatch(187_000), false);
  assert.equal(learned.watchMs(), 6000);
  learned.handleSurvival(400_000, learned.watchMs());
  assert.equal(learned.limitMs(400_000), MAXIMUM_MS);
});
