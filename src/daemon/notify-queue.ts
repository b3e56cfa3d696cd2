/**
 * Notifications of virtual routers in their order: one at a time per router, the next only when the one before has ended. (keepalived
 * starts its scripts and forgets them, so that the script of an older transition may end last: issues #584, #1055, #2158.) Routers do
 * not wait for each other. Nothing is merged: every transition is told. The line of each router is bounded; when it is full, the oldest
 * one that waits is given up, since the newest says how things are, and the next notification says how many were. Pure; notify-runner.ts
 * runs the programs.
 */
import type { TransitionRecord } from "../vrrp/state.ts";

/** Per router. At ten transitions a second and the default time limit of 10 s, 1000 is a line of nearly three hours. */
export const NOTIFICATIONS_WAITING_MAX = 1_000;

export interface Notification {
  readonly record: TransitionRecord;
  /** Notifications of this router that were given up before this one. */
  readonly missed: number;
}

interface Line {
  readonly waiting: TransitionRecord[];
  isBusy: boolean;
  missed: number;
}

export class NotifyQueue {
  readonly #waitingMax: number;
  readonly #lines = new Map<string, Line>();

  constructor(waitingMax = NOTIFICATIONS_WAITING_MAX) {
    this.#waitingMax = waitingMax;
  }

  /** What had to be given up for it; undefined: nothing. */
  enqueue(record: TransitionRecord): TransitionRecord | undefined {
    const line = this.#lines.get(record.router) ?? { waiting: [], isBusy: false, missed: 0 };
    this.#lines.set(record.router, line);
    line.waiting.push(record);
    if (line.waiting.length <= this.#waitingMax) return undefined;
    line.missed++;
    return line.waiting.shift();
  }

  /** The router's next one, to be run now; undefined: none waits, or one is running. Every answer wants its `finish()`. */
  begin(router: string): Notification | undefined {
    const line = this.#lines.get(router);
    if (line === undefined || line.isBusy) return undefined;
    const record = line.waiting.shift();
    if (record === undefined) return undefined;
    const { missed } = line;
    line.isBusy = true;
    line.missed = 0;
    return { record, missed };
  }

  finish(router: string): void {
    const line = this.#lines.get(router);
    if (line === undefined) return;
    line.isBusy = false;
    if (line.waiting.length === 0 && line.missed === 0) this.#lines.delete(router);
  }

  clear(): void {
    this.#lines.clear();
  }

  get waiting(): number {
    let waiting = 0;
    for (const line of this.#lines.values()) waiting += line.waiting.length;
    return waiting;
  }

  /** Nothing waits and nothing runs. */
  get isIdle(): boolean {
    return [...this.#lines.values()].every((line) => line.waiting.length === 0 && !line.isBusy);
  }
}
