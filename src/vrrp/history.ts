/**
 * The last transitions of the virtual routers, oldest first. A ring, so that a router that flaps for weeks costs no memory. Pure. Kept by
 * the supervisor, shown by `holdfast routers --history`.
 */
import type { TransitionRecord } from "./state.ts";

const RECORDS_MAX = 100;

export class TransitionHistory {
  readonly #capacity: number;
  readonly #records: TransitionRecord[] = [];
  /** Where the next record goes once the ring is full: the oldest one. */
  #next = 0;
  #total = 0;

  constructor(capacity = RECORDS_MAX) {
    this.#capacity = capacity;
  }

  /** How many there were, those that are forgotten included. */
  get total(): number {
    return this.#total;
  }

  add(record: TransitionRecord): void {
    this.#records[this.#next] = record;
    this.#next = (this.#next + 1) % this.#capacity;
    this.#total++;
  }

  /** Oldest first; of one router when it is named. */
  list(router?: string): readonly TransitionRecord[] {
    const isFull = this.#records.length === this.#capacity;
    const ordered = isFull
      ? [...this.#records.slice(this.#next), ...this.#records.slice(0, this.#next)]
      : [...this.#records];
    return router === undefined ? ordered : ordered.filter((record) => record.router === router);
  }
}
