/**
 * Whether the gateway itself is alive, for virtual routers that track it: at least one worker of the configuration in force answered a
 * ping within the time-out. A worker answers from its reactor, so one that is stopped, stuck in a loop or swapped out does not. Pure:
 * tracker-feed.ts has the timer and the messages.
 *
 * A worker that ends is started again within a moment, and meanwhile new connections wait in the kernel's queue: only when nobody has answered
 * for the whole time-out is the gateway dead.
 *
 * When the supervisor itself was late (stopped, starved), answers may wait unread in its mailboxes: the time it was away does not
 * count against the workers.
 */
export interface PingedWorker {
  readonly pid: number;
  send(message: { readonly type: "ping"; readonly id: number }): void;
}

export interface LivenessVerdict {
  readonly isUp: boolean;
  readonly detail: string;
}

const PERIOD_MS_MIN = 20;
const PERIOD_MS_MAX = 1_000;

/** Three pings fit into the time-out, so that one slow answer is no death. */
export function pingPeriodMs(timeoutMs: number): number {
  return Math.min(PERIOD_MS_MAX, Math.max(PERIOD_MS_MIN, Math.floor(timeoutMs / 3)));
}

export class WorkerLiveness {
  readonly #answeredAtMs = new Map<PingedWorker, number>();
  /** Of any worker, those that have ended included. */
  #lastAnswerAtMs = Number.NEGATIVE_INFINITY;
  #lastTickMs: number | undefined;
  #lastPingId = 0;

  /** Judges, then asks again. `workers`: those that have said `ready`, of the configuration in force. */
  tick(nowMs: number, workers: readonly PingedWorker[], timeoutMs: number): LivenessVerdict {
    this.#forgive(nowMs, pingPeriodMs(timeoutMs));
    for (const worker of this.#answeredAtMs.keys())
      if (!workers.includes(worker)) this.#answeredAtMs.delete(worker);
    // One that is new here has just said `ready`.
    for (const worker of workers) if (!this.#answeredAtMs.has(worker)) this.#handleAnswer(worker, nowMs);
    const verdict = this.#verdict(nowMs, timeoutMs);
    this.#lastPingId++;
    for (const worker of workers) worker.send({ type: "ping", id: this.#lastPingId });
    return verdict;
  }

  handlePong(worker: PingedWorker, nowMs: number): void {
    if (this.#answeredAtMs.has(worker)) this.#handleAnswer(worker, nowMs);
  }

  #handleAnswer(worker: PingedWorker, nowMs: number): void {
    this.#answeredAtMs.set(worker, nowMs);
    this.#lastAnswerAtMs = Math.max(this.#lastAnswerAtMs, nowMs);
  }

  #forgive(nowMs: number, periodMs: number): void {
    const lateMs = this.#lastTickMs === undefined ? 0 : nowMs - this.#lastTickMs - periodMs;
    this.#lastTickMs = nowMs;
    if (lateMs <= 0) return;
    for (const [worker, answeredAtMs] of this.#answeredAtMs)
      this.#answeredAtMs.set(worker, Math.min(nowMs, answeredAtMs + lateMs));
    this.#lastAnswerAtMs = Math.min(nowMs, this.#lastAnswerAtMs + lateMs);
  }

  #verdict(nowMs: number, timeoutMs: number): LivenessVerdict {
    const isUp = nowMs - this.#lastAnswerAtMs <= timeoutMs;
    const since = isUp ? "" : `, the last answer is more than ${timeoutMs} ms old`;
    const silences = [...this.#answeredAtMs.values()].map((answeredAtMs) => nowMs - answeredAtMs);
    if (silences.length === 0) return { isUp, detail: `no worker is running${since}` };
    const answering = silences.filter((silentMs) => silentMs <= timeoutMs).length;
    return { isUp, detail: `${answering} of ${silences.length} workers answer${since}` };
  }
}
