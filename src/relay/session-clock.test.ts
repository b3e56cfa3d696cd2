import assert from "node:assert/strict";
import { test } from "node:test";
import { Timed, TimerWheel } from "../reactor/timer-wheel.ts";
import { seededRandom } from "../testing/seeded-random.ts";
import {
  checkSessionClock,
  NEVER,
  type OnIdle,
  type SessionLimits,
  type SessionTimes,
  sessionLeftMs,
} from "./session-clock.ts";

const limits = (idleTimeoutMs: number, halfCloseTimeoutMs = 0, onIdle: OnIdle = "close"): SessionLimits => ({
  idleTimeoutMs,
  halfCloseTimeoutMs,
  onIdle,
});
const times = (lastPayloadMs: number, halfClosedAtMs = NEVER): SessionTimes => ({
  lastPayloadMs,
  halfClosedAtMs,
});

const LEFT: readonly (readonly [string, SessionTimes, SessionLimits, number, number])[] = [
  ["the whole idle_timeout at the beginning", times(1000), limits(90_000), 1000, 90_000],
  ["what is left of it later", times(1000), limits(90_000), 61_000, 30_000],
  ["nothing, not less, when it is over", times(1000), limits(90_000), 200_000, 0],
  ["never without idle_timeout", times(1000), limits(0), 1e9, NEVER],
  ["never half-closed without either limit", times(1000, 2000), limits(0, 0), 1e9, NEVER],
  ["half_close_timeout from the end of one side", times(1000, 5000), limits(90_000, 10_000), 5000, 10_000],
  ["half_close_timeout anew with payload after it", times(9000, 5000), limits(90_000, 10_000), 9000, 10_000],
  ["half_close_timeout alone", times(1000, 5000), limits(0, 10_000), 6000, 9000],
  ["half_close_timeout not while both sides are open", times(1000), limits(90_000, 10_000), 1000, 90_000],
  ["the idle deadline when it is nearer", times(1000, 5000), limits(8000, 60_000), 5000, 4000],
];

for (const [what, state, limit, nowMs, expected] of LEFT) {
  test(`sessionLeftMs() is ${what}`, () => assert.equal(sessionLeftMs(state, limit, nowMs), expected));
}

for (const action of ["reset", "close", "silent"] as const) {
  test(`checkSessionClock() expires with ${action} when on_idle says so, at the deadline and not before`, () => {
    const limit = limits(90_000, 60_000, action);
    assert.deepEqual(checkSessionClock(times(0), limit, 89_999), { kind: "wait", leftMs: 1 });
    assert.deepEqual(checkSessionClock(times(0), limit, 90_000), {
      kind: "expire",
      cause: "session-idle",
      action,
    });
    assert.deepEqual(checkSessionClock(times(0, 10), limit, 60_010), {
      kind: "expire",
      cause: "session-half-close-timeout",
      action,
    });
  });
}

test("checkSessionClock() has nothing to wait for without a limit", () => {
  assert.deepEqual(checkSessionClock(times(0), limits(0), 1e9), { kind: "never" });
});

/** A session as session.ts drives it: one timer, one store per packet. */
class ClockedSession extends Timed implements SessionTimes {
  lastPayloadMs = 0;
  halfClosedAtMs = NEVER;
  expiredAtMs = NEVER;
  looks = 0;
  readonly #world: World;
  readonly #limits: SessionLimits;

  constructor(world: World, limit: SessionLimits) {
    super();
    this.#world = world;
    this.#limits = limit;
    this.lastPayloadMs = world.nowMs;
    this.run();
  }

  run(): void {
    this.looks++;
    const effect = checkSessionClock(this, this.#limits, this.#world.nowMs);
    if (effect.kind === "wait") this.#world.wheel.arm(this, effect.leftMs);
    else if (effect.kind === "expire") this.expiredAtMs = this.#world.nowMs;
  }

  override handleTimeout(): void {
    this.run();
  }
}

class World {
  nowMs = 0;
  readonly wheel = new TimerWheel(0);
  advance(stepMs: number): void {
    this.nowMs += stepMs;
    this.wheel.advance(this.nowMs);
  }
}

test("10,000 sessions expire within 100 ms of their deadline, looked at a few times each", () => {
  const world = new World();
  const random = seededRandom(7);
  const idleMs = 5_000;
  const sessions = Array.from({ length: 10_000 }, () => new ClockedSession(world, limits(idleMs)));
  const speaksUntilMs = sessions.map(() => random() * 20_000);
  let packets = 0;
  for (let step = 0; step < 3_200; step++) {
    world.advance(10);
    // Every session that still speaks does so about three times a second.
    for (let n = 0; n < 300; n++) {
      const index = Math.floor(random() * sessions.length);
      if (world.nowMs > speaksUntilMs[index]!) continue;
      const session = sessions[index]!;
      if (session.expiredAtMs !== NEVER) continue;
      session.lastPayloadMs = world.nowMs;
      packets++;
    }
  }
  let latest = 0;
  for (const session of sessions) {
    const lateMs = session.expiredAtMs - (session.lastPayloadMs + idleMs);
    assert.ok(session.expiredAtMs !== NEVER, "every session has expired");
    assert.ok(lateMs >= 0, `a session expired ${-lateMs} ms early`);
    latest = Math.max(latest, lateMs);
  }
  assert.ok(latest <= 100, `the latest expiry was ${latest} ms late`);
  const looks = sessions.reduce((sum, session) => sum + session.looks, 0);
  assert.ok(packets > 250_000, `${packets} packets`);
  assert.ok(looks < 80_000, `${looks} looks at the clock for ${packets} packets`);
});
