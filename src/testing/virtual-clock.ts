/**
 * Time for tests: it moves only when it is told to. Cores take `now` as an argument, so nothing global is patched.
 * Timers fire in the order of their deadlines, those of one instant in the order they were armed, and
 * while one fires `nowMs` is exactly its deadline: timers it arms inside the interval still fire in it.
 */

export interface VirtualTimer {
  readonly deadlineMs: number;
  cancel(): void;
}

interface Entry extends VirtualTimer {
  readonly action: () => void;
}

export class VirtualClock {
  #nowMs: number;
  readonly #pending = new Set<Entry>();

  constructor(startMs = 0) {
    this.#nowMs = startMs;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Deadline of the next timer, or undefined when none is armed. */
  get nextDeadlineMs(): number | undefined {
    return this.#next()?.deadlineMs;
  }

  /** Runs `action` once, at `deadlineMs` (at once, on the next move of the clock, when that has passed). */
  at(deadlineMs: number, action: () => void): VirtualTimer {
    const entry: Entry = {
      deadlineMs: Math.max(deadlineMs, this.#nowMs),
      action,
      cancel: () => {
        this.#pending.delete(entry);
      },
    };
    this.#pending.add(entry);
    return entry;
  }

  after(delayMs: number, action: () => void): VirtualTimer {
    return this.at(this.#nowMs + delayMs, action);
  }

  advance(byMs: number): void {
    this.advanceTo(this.#nowMs + byMs);
  }

  advanceTo(untilMs: number): void {
    if (untilMs < this.#nowMs)
      throw new RangeError(`the clock stands at ${this.#nowMs}, not before ${untilMs}`);
    for (let entry = this.#next(); entry !== undefined && entry.deadlineMs <= untilMs; entry = this.#next()) {
      this.#pending.delete(entry);
      this.#nowMs = entry.deadlineMs;
      entry.action();
    }
    this.#nowMs = untilMs;
  }

  #next(): Entry | undefined {
    let first: Entry | undefined;
    // A set is visited in the order of insertion: of equal deadlines, the one armed first stays.
    for (const entry of this.#pending) {
      if (first === undefined || entry.deadlineMs < first.deadlineMs) first = entry;
    }
    return first;
  }
}
