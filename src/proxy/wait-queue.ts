/**
 * Who waits for a server while every server of a pool is at `max_conns`: a bounded first-in, first-out queue with one
 * time-out for all, so that the longest waiter is always the next to expire. Pure: time is an argument, and so is the waiter.
 * One per pool and worker. Driven by upstream-pool.ts (which serves it when a connection is released); exchange.ts and the
 * TCP relay wait in it. HAProxy calls the two limits `maxqueue` and `timeout queue`, nginx `queue NUMBER timeout=TIME`.
 *
 * The steady state has nothing to do with it: nobody waits, `size` is 0, and that is all anybody looks at. Places are
 * allocated when somebody has to wait; leaving in the middle (a client that is gone) is O(1).
 */

/** One waiter's place in the queue; kept by the waiter, so that it can leave. */
export class QueuePlace<W> {
  readonly waiter: W;
  readonly enteredAtMs: number;
  previous: QueuePlace<W> | undefined = undefined;
  next: QueuePlace<W> | undefined = undefined;
  isWaiting = true;

  constructor(waiter: W, enteredAtMs: number) {
    this.waiter = waiter;
    this.enteredAtMs = enteredAtMs;
  }
}

export class WaitQueue<W> {
  readonly sizeMax: number;
  readonly timeoutMs: number;
  size = 0;
  first: QueuePlace<W> | undefined = undefined;
  #last: QueuePlace<W> | undefined = undefined;

  /** `sizeMax` 0: nobody ever waits. */
  constructor(sizeMax: number, timeoutMs: number) {
    this.sizeMax = sizeMax;
    this.timeoutMs = timeoutMs;
  }

  /** A place behind everybody else; undefined when the queue is full. */
  enter(waiter: W, nowMs: number): QueuePlace<W> | undefined {
    if (this.size >= this.sizeMax) return undefined;
    const place = new QueuePlace(waiter, nowMs);
    place.previous = this.#last;
    if (this.#last === undefined) this.first = place;
    else this.#last.next = place;
    this.#last = place;
    this.size++;
    return place;
  }

  /** Gives a place up, wherever it is; a place that was left before stays left. */
  leave(place: QueuePlace<W>): void {
    if (!place.isWaiting) return;
    place.isWaiting = false;
    if (place.previous === undefined) this.first = place.next;
    else place.previous.next = place.next;
    if (place.next === undefined) this.#last = place.previous;
    else place.next.previous = place.previous;
    // `next` is kept: whoever walks along the queue while places are left goes on from here.
    this.size--;
  }

  /** Whether this waiter has waited for as long as anybody may. */
  hasExpired(place: QueuePlace<W>, nowMs: number): boolean {
    return nowMs - place.enteredAtMs >= this.timeoutMs;
  }

  /** Milliseconds until the first waiter expires, at least 0; -1 when nobody waits. */
  nextTimeoutMs(nowMs: number): number {
    if (this.first === undefined) return -1;
    return Math.max(0, this.first.enteredAtMs + this.timeoutMs - nowMs);
  }
}
