/**
 * Whether an application's progress counter moves. A counter is any number that changes when the application gets work done (jobs
 * finished, loop passed); it need not grow, so a restart that begins at 0 is a movement, too. Pure: time is an argument.
 * Called by heartbeat-machine.ts (beats that are pushed) and probes/heartbeat.ts (a heartbeat that is asked for).
 */

export class HeartbeatProgress {
  /** How long the counter may stand still; 0: it is not watched. */
  readonly deadlineMs: number;
  #counter: number | undefined = undefined;
  #movedAtMs = 0;

  constructor(deadlineMs: number) {
    this.deadlineMs = deadlineMs;
  }

  /** The application has sent a counter, so it is held to it. */
  get isWatched(): boolean {
    return this.deadlineMs !== 0 && this.#counter !== undefined;
  }

  get counter(): number | undefined {
    return this.#counter;
  }

  /** When it will have stood still for too long. */
  get deadlineAtMs(): number {
    return this.isWatched ? this.#movedAtMs + this.deadlineMs : Number.POSITIVE_INFINITY;
  }

  /** A sign of life came, with the counter or without one: a counter that is no longer sent stands still. */
  note(nowMs: number, counter: number | undefined): void {
    if (counter === undefined || counter === this.#counter) return;
    this.#counter = counter;
    this.#movedAtMs = nowMs;
  }

  isStandingStill(nowMs: number): boolean {
    return nowMs >= this.deadlineAtMs;
  }

  standingForMs(nowMs: number): number {
    return nowMs - this.#movedAtMs;
  }
}
