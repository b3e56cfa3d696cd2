/**
 * The live TCP sessions of all workers in one list: asks every worker and waits for its answer, a moment at most, so that one worker
 * that is stuck costs its part of the list and not the whole. In the supervisor; called for `GET /sessions`.
 */
import type { SessionMessage, WorkerMessage } from "./messages.ts";
import type { WorkerProcess } from "./worker-process.ts";

const ANSWER_MS_MAX = 2_000;

export interface ListedSession extends SessionMessage {
  readonly worker: number;
}

/** `GET /sessions`, and `holdfast sessions --json`. */
export interface SessionsDocument {
  /** Sessions there are, listed or not. */
  readonly total: number;
  readonly sessions: readonly ListedSession[];
  /** Workers that did not answer in time. */
  readonly missingWorkers: readonly number[];
}

type Answer = Extract<WorkerMessage, { type: "sessions" }>;

interface Inquiry {
  readonly missing: Set<WorkerProcess>;
  readonly answers: { readonly worker: number; readonly answer: Answer }[];
  readonly finish: () => void;
}

export class SessionCollector {
  readonly #inquiries = new Map<number, Inquiry>();
  #lastRequestId = 0;

  async collect(workers: Iterable<WorkerProcess>, limit: number): Promise<SessionsDocument> {
    const asked = [...workers].filter((worker) => worker.state !== "starting");
    const requestId = ++this.#lastRequestId;
    const inquiry = await new Promise<Inquiry>((resolve) => {
      const timer = setTimeout(() => inquiry.finish(), ANSWER_MS_MAX);
      const inquiry: Inquiry = {
        missing: new Set(asked),
        answers: [],
        finish: () => {
          clearTimeout(timer);
          this.#inquiries.delete(requestId);
          resolve(inquiry);
        },
      };
      this.#inquiries.set(requestId, inquiry);
      for (const worker of asked) worker.send({ type: "list-sessions", requestId, limit });
      if (asked.length === 0) inquiry.finish();
    });
    return documentOf(inquiry, limit);
  }

  handleAnswer(worker: WorkerProcess, answer: Answer): void {
    const inquiry = this.#inquiries.get(answer.requestId);
    if (inquiry?.missing.delete(worker) !== true) return;
    inquiry.answers.push({ worker: worker.index, answer });
    if (inquiry.missing.size === 0) inquiry.finish();
  }

  /** It will not answer any more. */
  handleWorkerEnd(worker: WorkerProcess): void {
    for (const inquiry of [...this.#inquiries.values()]) {
      if (inquiry.missing.delete(worker) && inquiry.missing.size === 0) inquiry.finish();
    }
  }
}

/** The oldest sessions first, whichever worker has them. */
function documentOf({ answers, missing }: Inquiry, limit: number): SessionsDocument {
  const sessions = answers.flatMap(({ worker, answer }) =>
    answer.sessions.map((session) => ({ worker, ...session })),
  );
  sessions.sort((a, b) => b.ageMs - a.ageMs || a.worker - b.worker || a.id - b.id);
  return {
    total: answers.reduce((sum, { answer }) => sum + answer.total, 0),
    sessions: sessions.slice(0, limit),
    missingWorkers: [...missing].map((worker) => worker.index).sort((a, b) => a - b),
  };
}
