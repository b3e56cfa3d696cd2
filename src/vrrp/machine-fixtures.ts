/**
 * A small language for tests of virtual routers on virtual time: `lab.at(0).startup(); lab.at(361).wake().expect("active")`. `wake()` is what
 * the driver does when its timer fires, whenever that is. Used by machine.test.ts and sync-group.test.ts.
 */
import assert from "node:assert/strict";
import { VirtualRouter } from "./machine.ts";
import type { Effect, RouterSettings, RouterState, Transition } from "./state.ts";

/** Interval 100 ms, priority 100: skew 60.9375 ms, active-down 360.9375 ms. */
export const SETTINGS: RouterSettings = {
  version: 3,
  advertIntervalMs: 100,
  priority: 100,
  preempt: true,
  preemptDelayMs: 0,
  sourceAddress: "10.0.0.5",
};
export const ACTIVE_DOWN_MS = 360.9375;
export const SKEW_MS = 60.9375;

export interface Heard {
  readonly source?: string;
  readonly intervalMs?: number;
  readonly arrivedAtMs?: number;
}

export class RouterLab {
  readonly router: VirtualRouter;
  nowMs = 0;
  /** Effects since the last expect…() that looked at them. */
  effects: Effect[] = [];

  constructor(settings: Partial<RouterSettings> = {}) {
    this.router = new VirtualRouter({ ...SETTINGS, ...settings });
  }

  at(nowMs: number): this {
    this.nowMs = nowMs;
    return this;
  }

  startup(): this {
    return this.do((router, now) => router.handleStartup(now));
  }

  /** An advertisement of another router; from 10.0.0.9 unless told otherwise. */
  hears(priority: number, heard: Heard = {}): this {
    const { source = "10.0.0.9", intervalMs = 100, arrivedAtMs = this.nowMs } = heard;
    const addresses = ["192.0.2.10"];
    return this.do((router, now) =>
      router.handleAdvertisement(now, { source, priority, intervalMs, addresses, arrivedAtMs }),
    );
  }

  wake(): this {
    return this.do((router, now) => router.handleTimeout(now));
  }

  do(step: (router: VirtualRouter, nowMs: number) => void): this {
    step(this.router, this.nowMs);
    for (let effect = this.router.pollEffect(); effect !== undefined; effect = this.router.pollEffect())
      this.effects.push(effect);
    return this;
  }

  /** Lets timers fire in time, up to and including `untilMs`. */
  run(untilMs: number): this {
    for (
      let due = this.router.nextTimeout();
      due !== undefined && due <= untilMs;
      due = this.router.nextTimeout()
    )
      this.at(due).wake();
    return this.at(untilMs);
  }

  expect(state: RouterState): this {
    assert.equal(this.router.state, state, `at ${this.nowMs} ms`);
    return this;
  }

  /** The effects so far, in short, and forgets them: `send 100`, `install-addresses`, `to active (silence)`. */
  expectEffects(...expected: string[]): this {
    assert.deepEqual(this.effects.map(shorten), expected, `at ${this.nowMs} ms`);
    return this.forget();
  }

  forget(): this {
    this.effects = [];
    return this;
  }

  /** The last transition among the effects that were not looked at. */
  transition(): Transition {
    const effect = this.effects.findLast((it) => it.kind === "state-changed");
    assert.ok(effect !== undefined, "there was no transition");
    return effect.transition;
  }
}

/** Active since 0, effects forgotten. */
export function activeLab(settings: Partial<RouterSettings> = {}): RouterLab {
  const lab = new RouterLab(settings).at(-ACTIVE_DOWN_MS * 20).startup();
  lab.at(0).do((router, now) => router.handlePromotion(now, "for a test"));
  return lab.expect("active").forget();
}

/** Backup, hearing 10.0.0.9 with the given priority at 0, effects forgotten. */
export function backupLab(settings: Partial<RouterSettings> = {}, heardPriority = 150): RouterLab {
  return new RouterLab(settings).at(0).startup().hears(heardPriority).expect("backup").forget();
}

function shorten(effect: Effect): string {
  switch (effect.kind) {
    case "send-advertisement":
      return `send ${effect.priority}`;
    case "state-changed":
      return `to ${effect.transition.to} (${effect.transition.cause})`;
    case "stall-noticed":
      return `stall ${effect.outcome}`;
    case "conflict-seen":
      return `conflict ${effect.source} ${effect.priority}`;
    case "handover-ended":
      return effect.isTakenOver ? `handover to ${effect.by}` : "handover to nobody";
    default:
      return effect.kind;
  }
}
