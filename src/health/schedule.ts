/**
 * When one server is checked next. Pure: time and randomness are arguments. Used by checker.ts, one per server and check.
 *
 *  - The first check comes at a random moment of the first interval, so that a thousand servers are not asked at once.
 *  - From then on every interval, counted from the beginning of the check before, so that slow answers do not stretch it;
 *    every fast interval while the state may change.
 *  - Never two checks at a time: a check that is due while one is running comes right after it. A check ends
 *    after `timeoutMs` at the latest; that it did is a failure.
 *  - A gateway that was too busy to check in time does not catch up on what it missed.
 */
export interface Rhythm {
  readonly intervalMs: number;
  readonly fastIntervalMs: number;
  readonly timeoutMs: number;
}

export class CheckSchedule {
  readonly #rhythm: Rhythm;
  #startedAtMs: number;
  #nextAtMs: number;
  #isRunning = false;

  /** `random` in [0, 1). A state that is not settled is looked into within the fast interval. */
  constructor(rhythm: Rhythm, nowMs: number, random: number, isChanging: boolean) {
    this.#rhythm = rhythm;
    this.#startedAtMs = nowMs;
    this.#nextAtMs = nowMs + random * this.#intervalMs(isChanging);
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** When the next check begins; of a running one, when it has to be given up. */
  get deadlineMs(): number {
    return this.#isRunning ? this.#startedAtMs + this.#rhythm.timeoutMs : this.#nextAtMs;
  }

  isDue(nowMs: number): boolean {
    return nowMs >= this.deadlineMs;
  }

  handleStarted(nowMs: number): void {
    if (this.#isRunning) throw new Error("a check began while another one of the same server was running");
    this.#isRunning = true;
    this.#startedAtMs = nowMs;
  }

  handleFinished(nowMs: number, isChanging: boolean): void {
    if (!this.#isRunning) throw new Error("a check ended that had not begun");
    this.#isRunning = false;
    this.#nextAtMs = Math.max(nowMs, this.#startedAtMs + this.#intervalMs(isChanging));
  }

  /** Something happened outside of the checks: the next one comes within the fast interval. */
  hurry(nowMs: number): void {
    this.#nextAtMs = Math.min(this.#nextAtMs, Math.max(nowMs, this.#startedAtMs + this.#intervalMs(true)));
  }

  #intervalMs(isChanging: boolean): number {
    const { intervalMs, fastIntervalMs } = this.#rhythm;
    return isChanging ? Math.min(fastIntervalMs, intervalMs) : intervalMs;
  }
}
