/**
 * Timers that are exact to a fraction of a millisecond, all on one timerfd in a reactor. For the few deadlines of virtual routers, where
 * 10 ms intervals leave no room for the 16 ms grid of timer-wheel.ts; the many time-outs of connections stay there.
 *
 * Times are milliseconds of CLOCK_MONOTONIC as preciseNowMs() reads them: their zero is the kernel's, NOT the start of the reactor.
 * `Reactor.nowMs` is another scale, never to be mixed with this one.
 */
import { preciseNowMs } from "../sys/clock.ts";
import { EPOLLIN } from "../sys/epoll.ts";
import { timerfdCreate, timerfdRead, timerfdSetDeadline } from "../sys/timerfd.ts";
import type { Reactor } from "./reactor.ts";

/** What at() returns, for cancel(). */
export interface PreciseTimer {
  readonly deadlineMs: number;
  /** False once it fired or was cancelled. */
  readonly isPending: boolean;
}

class Timer implements PreciseTimer {
  readonly deadlineMs: number;
  readonly sequence: number;
  readonly callback: (lateMs: number) => void;
  /** Position in the heap; -1: not in it. */
  position = -1;

  constructor(deadlineMs: number, sequence: number, callback: (lateMs: number) => void) {
    this.deadlineMs = deadlineMs;
    this.sequence = sequence;
    this.callback = callback;
  }

  get isPending(): boolean {
    return this.position >= 0;
  }

  isBefore(other: Timer): boolean {
    return this.deadlineMs === other.deadlineMs
      ? this.sequence < other.sequence
      : this.deadlineMs < other.deadlineMs;
  }
}

export class PreciseTimers {
  readonly #reactor: Reactor;
  readonly #fd = timerfdCreate();
  /** Binary heap: the earliest deadline first; of equal ones, the one that was set first. */
  readonly #heap: Timer[] = [];
  #sequence = 0;
  #armedForMs: number | undefined;
  #isFiring = false;

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
    reactor.register(this.#fd, EPOLLIN, this);
  }

  /** The clock, read now. */
  get nowMs(): number {
    return preciseNowMs();
  }

  get pendingCount(): number {
    return this.#heap.length;
  }

  /** The callback learns how late it runs. A deadline that has passed is due in the next turn of the reactor. */
  at(deadlineMs: number, callback: (lateMs: number) => void): PreciseTimer {
    if (!Number.isFinite(deadlineMs)) throw new RangeError(`a deadline of ${deadlineMs} ms`);
    const timer = new Timer(deadlineMs, ++this.#sequence, callback);
    timer.position = this.#heap.push(timer) - 1;
    this.#siftUp(timer);
    this.#arm();
    return timer;
  }

  /** Nothing happens where it fired already. */
  cancel(handle: PreciseTimer): void {
    const timer = handle as Timer;
    if (timer.position < 0) return;
    this.#removeAt(timer.position);
    this.#arm();
  }

  handleEvents(): void {
    // A callback may have moved the deadline after the event was fetched: nothing is due then.
    if (timerfdRead(this.#fd)) this.#armedForMs = undefined;
    this.#fireDue(preciseNowMs());
  }

  close(): void {
    this.#reactor.close(this.#fd);
    this.#heap.length = 0;
  }

  /** Timers set by callbacks wait for the next turn even when they are due, so that descriptors get their turn in between. */
  #fireDue(nowMs: number): void {
    const lastSequence = this.#sequence;
    this.#isFiring = true;
    try {
      for (;;) {
        const timer = this.#heap[0];
        if (timer === undefined || timer.deadlineMs > nowMs || timer.sequence > lastSequence) break;
        this.#removeAt(0);
        timer.callback(preciseNowMs() - timer.deadlineMs);
      }
    } finally {
      this.#isFiring = false;
      this.#arm();
    }
  }

  #arm(): void {
    if (this.#isFiring) return;
    const deadlineMs = this.#heap[0]?.deadlineMs;
    if (deadlineMs === this.#armedForMs) return;
    this.#armedForMs = deadlineMs;
    timerfdSetDeadline(this.#fd, deadlineMs);
  }

  #removeAt(position: number): void {
    const heap = this.#heap;
    const removed = heap[position]!;
    const last = heap.pop()!;
    if (last !== removed) {
      heap[position] = last;
      last.position = position;
      this.#siftUp(last);
      this.#siftDown(last);
    }
    removed.position = -1;
  }

  #siftUp(timer: Timer): void {
    while (timer.position > 0) {
      const parent = this.#heap[(timer.position - 1) >> 1]!;
      if (!timer.isBefore(parent)) return;
      this.#swap(timer, parent);
    }
  }

  #siftDown(timer: Timer): void {
    for (;;) {
      const left = this.#heap[timer.position * 2 + 1];
      const right = this.#heap[timer.position * 2 + 2];
      const child = right?.isBefore(left!) ? right : left;
      if (child === undefined || !child.isBefore(timer)) return;
      this.#swap(child, timer);
    }
  }

  #swap(a: Timer, b: Timer): void {
    const position = a.position;
    a.position = b.position;
    b.position = position;
    this.#heap[a.position] = a;
    this.#heap[b.position] = b;
  }
}
