/**
 * The queue of one pool in one worker, driven: requests and TCP sessions wait here while every server that would do is at
 * `max_conns`, and are served when a connection is released. The order and the bounds are pure and next door, wait-queue.ts.
 * Called by upstream-pool.ts (room was made), exchange.ts and the TCP relay (who wait).
 *
 * It is served at the end of a turn of the loop, not where the connection is released: there, some other request is in the
 * middle of its own work, its connection is not in the pool of idle ones yet, and the arena is in use. Until then nobody may
 * overtake: while somebody waits, newcomers wait too (`isEmpty`).
 */
import type { Backend } from "../balance/backend.ts";
import { hasFullServer } from "../balance/selection.ts";
import type { Selector } from "../balance/selector.ts";
import type { PoolConfig } from "../config/types.ts";
import { PoolSlot } from "../observe/counter-layout.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { Timed } from "../reactor/timer-wheel.ts";
import { type QueuePlace, WaitQueue } from "./wait-queue.ts";

/** Why nobody was found: `down` = waiting would not help, the others = every server that is up is at max_conns. */
export type QueueRefusal = "down" | "full" | "queue-full" | "queue-timeout";

/** A request or session that needs a server. */
export interface Waiter {
  readonly keyHash: number;
  /** Servers it has been sent to already. */
  readonly tried: readonly Backend[];
  /** Its place while it waits; written by the queue. */
  place: QueuePlace<Waiter> | undefined;
  /** It is this one's turn after `waitedMs`: the selector chose a server, to be used at once. It waits no longer. */
  handleServerFree(backend: Backend, waitedMs: number): void;
  /** It has waited in vain, and waits no longer. */
  handleQueueEnd(refusal: QueueRefusal): void;
}

/** What the queue needs of its pool. */
export interface QueueingPool {
  readonly config: PoolConfig;
  readonly selector: Selector;
  readonly backends: readonly Backend[];
  readonly reactor: Reactor;
  count(slot: number, amount: number): void;
}

/** A server becomes available without anybody saying so when its fail_timeout has passed: while somebody waits, it is looked for. */
const LOOK_EVERY_MS = 250;

export class PoolQueue extends Timed {
  readonly #pool: QueueingPool;
  readonly #queue: WaitQueue<Waiter>;
  #isServiceDue = false;

  constructor(pool: QueueingPool) {
    super();
    this.#pool = pool;
    this.#queue = new WaitQueue(pool.config.queueMax, pool.config.queueTimeoutMs);
    if (pool.config.queueMax !== 0) pool.reactor.onEndOfTurn(() => this.#serveWhenDue());
  }

  /** Nobody waits: a newcomer may take any server that has room. */
  get isEmpty(): boolean {
    return this.#queue.size === 0;
  }

  get size(): number {
    return this.#queue.size;
  }

  /** Finds no server for the waiter just now: it gets a place and undefined is returned, or it is told why not. */
  enter(waiter: Waiter): QueueRefusal | undefined {
    const pool = this.#pool;
    const queue = this.#queue;
    const { nowMs } = pool.reactor;
    if (queue.size === 0 && !hasFullServer(pool.backends, nowMs, waiter.tried)) return "down";
    if (queue.sizeMax === 0) return "full";
    const place = queue.enter(waiter, nowMs);
    if (place === undefined) {
      pool.count(PoolSlot.queueRefusals, 1);
      return "queue-full";
    }
    waiter.place = place;
    pool.count(PoolSlot.queued, 1);
    if (queue.size === 1) this.#armTimer();
    // Somebody before it may find a server that has become available without a release (fail_timeout has passed).
    else this.#isServiceDue = true;
    return undefined;
  }

  /** The waiter is gone. */
  leave(waiter: Waiter): void {
    if (waiter.place === undefined) return;
    this.#queue.leave(waiter.place);
    waiter.place = undefined;
  }

  /** A connection was released, or a server came up, went down or changed its weight. */
  noteChange(): void {
    if (this.#queue.size !== 0) this.#isServiceDue = true;
  }

  #serveWhenDue(): void {
    // A served request may fail at once and so release what it took: again, until there is nothing more to give.
    while (this.#isServiceDue) {
      this.#isServiceDue = false;
      this.#serve();
    }
  }

  #serve(): void {
    const { selector, backends, reactor } = this.#pool;
    let place = this.#queue.first;
    while (place?.isWaiting) {
      const { waiter } = place;
      const backend = selector.select(reactor.nowMs, waiter.keyHash, waiter.tried);
      if (backend !== undefined) {
        this.leave(waiter);
        waiter.handleServerFree(backend, reactor.nowMs - place.enteredAtMs);
      } else if (!hasFullServer(backends, reactor.nowMs, waiter.tried)) {
        this.leave(waiter);
        waiter.handleQueueEnd("down");
        // Those behind have no better prospects, unless this one had tried more servers than they have.
      } else if (waiter.tried.length === 0) break;
      place = place.next;
    }
  }

  #armTimer(): void {
    const { timers, nowMs } = this.#pool.reactor;
    const leftMs = this.#queue.nextTimeoutMs(nowMs);
    if (leftMs >= 0) timers.arm(this, Math.min(leftMs, LOOK_EVERY_MS));
  }

  /** Another look for a server; then the time of those who have waited longest may be up. */
  override handleTimeout(): void {
    const pool = this.#pool;
    const queue = this.#queue;
    this.#serve();
    for (;;) {
      const { first } = queue;
      if (first === undefined || !queue.hasExpired(first, pool.reactor.nowMs)) break;
      this.leave(first.waiter);
      pool.count(PoolSlot.queueTimeouts, 1);
      first.waiter.handleQueueEnd("queue-timeout");
    }
    this.#armTimer();
  }
}

/** For humans: why a pool had no server. */
export function explainRefusal(pool: PoolConfig, refusal: QueueRefusal): string {
  const subject = `No server of pool "${pool.name}"`;
  const cause = "every server that is up is at max_conns";
  switch (refusal) {
    case "down":
      return `${subject} is available.`;
    case "full":
      return `${subject} is available: ${cause}.`;
    case "queue-full":
      return `${subject} is available: ${cause}, and the queue is full (queue: ${pool.queueMax}).`;
    case "queue-timeout":
      return `${subject} became available within queue_timeout (${pool.queueTimeoutMs} ms): ${cause}.`;
  }
}
