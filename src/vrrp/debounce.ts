/**
 * A fact that must last before it counts: an interface that loses its carrier for a moment does not move addresses. Pure; one
 * timer at `nextTimeout()`. Used for tracked interfaces by interface-watch.ts.
 */

export interface DebounceDelays {
  readonly downDelayMs: number;
  readonly upDelayMs: number;
}

export class Debounce {
  #delays: DebounceDelays;
  /** What counts. */
  #isUp: boolean;
  /** What was observed last. */
  #isSeenUp: boolean;
  #seenSinceMs = 0;

  /** The first observation counts at once: nothing is known that could be contradicted. */
  constructor(delays: DebounceDelays, isUp: boolean) {
    this.#delays = delays;
    this.#isUp = isUp;
    this.#isSeenUp = isUp;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** True when what counts changed. A change that is taken back within its delay never counts. */
  handleObservation(nowMs: number, isUp: boolean): boolean {
    if (isUp !== this.#isSeenUp) {
      this.#isSeenUp = isUp;
      this.#seenSinceMs = nowMs;
    }
    return this.handleTime(nowMs);
  }

  /** Reload: a change that waits is measured by the new delays, from when it was observed. */
  handleDelays(nowMs: number, delays: DebounceDelays): boolean {
    this.#delays = delays;
    return this.handleTime(nowMs);
  }

  handleTime(nowMs: number): boolean {
    const timeoutMs = this.nextTimeout();
    if (timeoutMs === undefined || nowMs < timeoutMs) return false;
    this.#isUp = this.#isSeenUp;
    return true;
  }

  nextTimeout(): number | undefined {
    if (this.#isSeenUp === this.#isUp) return undefined;
    return this.#seenSinceMs + (this.#isSeenUp ? this.#delays.upDelayMs : this.#delays.downDelayMs);
  }
}
