/** Orders of the operator that wait for their outcome: whoever asked is answered once. Called by router-set.ts. */
import type { RouterReport } from "../daemon/router-messages.ts";

export class OrderBook {
  readonly #post: (report: RouterReport) => void;
  readonly #waiting = new Map<string, number[]>();

  constructor(post: (report: RouterReport) => void) {
    this.#post = post;
  }

  /** undefined: nobody waits for an answer. */
  enter(router: string, requestId: number | undefined): void {
    if (requestId === undefined) return;
    this.#waiting.set(router, [...(this.#waiting.get(router) ?? []), requestId]);
  }

  /** Answers everybody who waits for this router. */
  answer(router: string, ok: boolean, lines: readonly string[]): void {
    const waiting = this.#waiting.get(router) ?? [];
    this.#waiting.delete(router);
    for (const requestId of waiting) this.#post({ type: "order-done", requestId, ok, lines });
  }
}
