/**
 * The heartbeat of one application that *tells*: it pushes beats, and is taken for dead when none comes within the deadline, for
 * stuck when its progress counter stands still for the progress deadline. What TCP keepalive cannot see: the kernel of a frozen
 * process still completes handshakes and answers probes. Pure: a literal table, time is an argument. Driven by
 * daemon/heartbeat-receiver.ts: `handleBeat()` when one comes, `handleTime()` at `nextTimeout()`; both say what is to be reported.
 */
import { formatDuration } from "../config/duration.ts";
import type { CheckResult } from "./check-result.ts";
import { HeartbeatProgress } from "./heartbeat-progress.ts";

/** waiting: none has come yet · beating · stalled: beats come, the counter stands · silent: no beat within the deadline. */
export const HEARTBEAT_STATES = ["waiting", "beating", "stalled", "silent"] as const;
export type HeartbeatState = (typeof HEARTBEAT_STATES)[number];

/** A beat came (the counter moves, or is not watched; or it stands still) · a deadline passed. */
export const HEARTBEAT_EVENTS = ["beat", "stuck-beat", "silence", "standstill"] as const;
export type HeartbeatEvent = (typeof HEARTBEAT_EVENTS)[number];

type Report = "success" | "stalled" | "silent" | "nothing";

/** Every state × event: the next state, and what is reported. */
export const HEARTBEAT_TABLE: Readonly<
  Record<HeartbeatState, Readonly<Record<HeartbeatEvent, readonly [HeartbeatState, Report]>>>
> = {
  waiting: {
    beat: ["beating", "success"],
    "stuck-beat": ["stalled", "stalled"],
    silence: ["silent", "silent"],
    standstill: ["waiting", "nothing"],
  },
  beating: {
    beat: ["beating", "success"],
    "stuck-beat": ["stalled", "stalled"],
    silence: ["silent", "silent"],
    standstill: ["stalled", "stalled"],
  },
  stalled: {
    beat: ["beating", "success"],
    "stuck-beat": ["stalled", "stalled"],
    silence: ["silent", "silent"],
    standstill: ["stalled", "nothing"],
  },
  silent: {
    beat: ["beating", "success"],
    "stuck-beat": ["stalled", "stalled"],
    silence: ["silent", "silent"],
    standstill: ["silent", "nothing"],
  },
};

export interface HeartbeatDeadlines {
  /** The longest pause between two beats. */
  readonly deadlineMs: number;
  /** How long the progress counter may stand still; 0: it is not watched. */
  readonly progressDeadlineMs: number;
}

export class HeartbeatMachine {
  readonly #deadlineMs: number;
  readonly #progress: HeartbeatProgress;
  #state: HeartbeatState = "waiting";
  #lastBeatMs: number;
  #hasBeaten = false;
  /** When silence is reported next: at the deadline, then once per deadline while it lasts. */
  #silenceAtMs: number;

  /** The first beat is due within the deadline from now. */
  constructor(deadlines: HeartbeatDeadlines, nowMs: number) {
    this.#deadlineMs = deadlines.deadlineMs;
    this.#progress = new HeartbeatProgress(deadlines.progressDeadlineMs);
    this.#lastBeatMs = nowMs;
    this.#silenceAtMs = nowMs + deadlines.deadlineMs;
  }

  get state(): HeartbeatState {
    return this.#state;
  }

  /** `counter`: the progress counter, when the beat carried one. */
  handleBeat(nowMs: number, counter: number | undefined): CheckResult | undefined {
    this.#progress.note(nowMs, counter);
    this.#lastBeatMs = nowMs;
    this.#hasBeaten = true;
    this.#silenceAtMs = nowMs + this.#deadlineMs;
    return this.#handle(this.#progress.isStandingStill(nowMs) ? "stuck-beat" : "beat", nowMs);
  }

  /** To be called when `nextTimeout()` has come; earlier it does nothing. */
  handleTime(nowMs: number): CheckResult | undefined {
    if (nowMs >= this.#silenceAtMs) {
      this.#silenceAtMs = nowMs + this.#deadlineMs;
      return this.#handle("silence", nowMs);
    }
    if (this.#state === "beating" && this.#progress.isStandingStill(nowMs))
      return this.#handle("standstill", nowMs);
    return undefined;
  }

  /** When handleTime() has something to do, if no beat comes before. */
  nextTimeout(): number {
    return this.#state === "beating"
      ? Math.min(this.#silenceAtMs, this.#progress.deadlineAtMs)
      : this.#silenceAtMs;
  }

  #handle(event: HeartbeatEvent, nowMs: number): CheckResult | undefined {
    const [next, report] = HEARTBEAT_TABLE[this.#state][event];
    this.#state = next;
    switch (report) {
      case "success":
        return { ok: true, reason: this.#successReason(), durationMs: 0 };
      case "stalled":
        return failure(
          `beats come, but the application makes no progress: its counter has stood at ${this.#progress.counter} for ${formatDuration(Math.floor(this.#progress.standingForMs(nowMs)))}`,
        );
      case "silent":
        return failure(this.#silenceReason(nowMs));
      default:
        return undefined;
    }
  }

  #successReason(): string {
    const { counter } = this.#progress;
    return counter === undefined ? "a beat came" : `a beat came, progress ${counter}`;
  }

  #silenceReason(nowMs: number): string {
    const silentFor = formatDuration(Math.floor(nowMs - this.#lastBeatMs));
    return this.#hasBeaten ? `no beat for ${silentFor}` : `no beat has come yet, in ${silentFor}`;
  }
}

/** One is enough: the deadline is the patience, so the checker takes `fall` for 1 here. */
function failure(reason: string): CheckResult {
  return { ok: false, reason, durationMs: 0 };
}
