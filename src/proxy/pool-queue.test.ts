/** Unit tests of PoolQueue: who is served when, in which order, and who is told what. The loop's turns are made by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Backend } from "../balance/backend.ts";
import { backendsOfWeights } from "../balance/balance-fixtures.ts";
import { createSelector } from "../balance/selector.ts";
import { PoolSlot } from "../observe/counter-layout.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { TimerWheel } from "../reactor/timer-wheel.ts";
import { poolConfig } from "../testing/gateway-config.ts";
import { PoolQueue, type Waiter } from "./pool-queue.ts";
import type { QueuePlace } from "./wait-queue.ts";

/** A pool of servers with max_conns 1, all of them busy, and the turns of its loop. */
class Bench {
  readonly backends: readonly Backend[];
  readonly queue: PoolQueue;
  /** What happened to the waiters, in order: `b:s0` = b got server 0, `b:queue-timeout`. */
  readonly events: string[] = [];
  readonly counts: number[] = [];
  readonly reactor: { nowMs: number; timers: TimerWheel; onEndOfTurn: (callback: () => void) => void };
  #endOfTurn: () => void = () => undefined;

  constructor(servers: number, queueMax: number) {
    this.backends = backendsOfWeights(new Array<number>(servers).fill(1), { maxConns: 1 });
    for (const backend of this.backends) backend.activeConnections = 1;
    this.reactor = {
      nowMs: 0,
      timers: new TimerWheel(0),
      onEndOfTurn: (callback) => {
        this.#endOfTurn = callback;
      },
    };
    this.queue = new PoolQueue({
      config: poolConfig({ name: "web", queueMax, queueTimeoutMs: 5000 }),
      selector: createSelector({ kind: "round_robin" }, this.backends, () => 0),
      backends: this.backends,
      reactor: this.reactor as unknown as Reactor,
      count: (slot, amount) => {
        this.counts[slot] = (this.counts[slot] ?? 0) + amount;
      },
    });
  }

  waiter(name: string, tried: readonly Backend[] = []): Waiter {
    return {
      keyHash: 0,
      tried,
      place: undefined as QueuePlace<Waiter> | undefined,
      handleServerFree: (backend) => {
        backend.activeConnections++;
        this.events.push(`${name}:s${backend.index}`);
      },
      handleQueueEnd: (refusal) => this.events.push(`${name}:${refusal}`),
    };
  }

  release(server: number): void {
    this.backends[server]!.activeConnections--;
    this.queue.noteChange();
  }

  turn(nowMs = this.reactor.nowMs): void {
    this.reactor.nowMs = nowMs;
    this.reactor.timers.advance(nowMs);
    this.#endOfTurn();
  }
}

test("PoolQueue serves the longest waiter when a connection is released, at the end of the turn", () => {
  const bench = new Bench(2, 10);
  for (const name of "abc") assert.equal(bench.queue.enter(bench.waiter(name)), undefined);
  bench.turn();
  assert.deepEqual(bench.events, []);
  bench.release(1);
  assert.deepEqual(bench.events, [], "not in the middle of somebody else's work");
  assert.equal(bench.queue.isEmpty, false, "a newcomer must not overtake");
  bench.turn();
  assert.deepEqual(bench.events, ["a:s1"]);
  bench.release(0);
  bench.release(1);
  bench.turn();
  assert.deepEqual(bench.events.slice(1).sort(), ["b:s0", "c:s1"]);
  assert.equal(bench.queue.isEmpty, true);
  assert.equal(bench.counts[PoolSlot.queued], 3);
});

test("PoolQueue refuses when it is full, and when there is no queue", () => {
  const bench = new Bench(1, 1);
  assert.equal(bench.queue.enter(bench.waiter("a")), undefined);
  assert.equal(bench.queue.enter(bench.waiter("b")), "queue-full");
  assert.equal(bench.counts[PoolSlot.queueRefusals], 1);
  assert.equal(new Bench(1, 0).queue.enter(bench.waiter("a")), "full");
});

test("PoolQueue lets nobody wait for servers that are down", () => {
  const bench = new Bench(2, 10);
  for (const backend of bench.backends) backend.setUp(false, 0);
  assert.equal(bench.queue.enter(bench.waiter("a")), "down");
});

test("PoolQueue tells its waiters as soon as the last server they wait for is down", () => {
  const bench = new Bench(1, 10);
  for (const name of "ab") bench.queue.enter(bench.waiter(name));
  bench.backends[0]!.setUp(false, 0);
  bench.queue.noteChange();
  bench.turn();
  assert.deepEqual(bench.events, ["a:down", "b:down"]);
});

test("PoolQueue passes over a waiter that has tried the free server already", () => {
  const bench = new Bench(2, 10);
  bench.queue.enter(bench.waiter("a", [bench.backends[0]!]));
  bench.queue.enter(bench.waiter("b"));
  bench.release(0);
  bench.turn();
  assert.deepEqual(bench.events, ["b:s0"]);
  bench.release(1);
  bench.turn();
  assert.deepEqual(bench.events, ["b:s0", "a:s1"]);
});

test("PoolQueue serves the next one in the same turn when the first fails at once", () => {
  const bench = new Bench(1, 10);
  const doomed = bench.waiter("a");
  doomed.handleServerFree = () => {
    bench.events.push("a:failed");
    bench.queue.noteChange();
  };
  bench.queue.enter(doomed);
  bench.queue.enter(bench.waiter("b"));
  bench.release(0);
  bench.turn();
  assert.deepEqual(bench.events, ["a:failed", "b:s0"]);
});

test("PoolQueue ends the wait after queue_timeout, for each when its own time is up", () => {
  const bench = new Bench(1, 10);
  bench.queue.enter(bench.waiter("a"));
  bench.turn(1000);
  bench.queue.enter(bench.waiter("b"));
  bench.turn(4990);
  assert.deepEqual(bench.events, []);
  bench.turn(5040);
  assert.deepEqual(bench.events, ["a:queue-timeout"]);
  bench.turn(5990);
  assert.deepEqual(bench.events, ["a:queue-timeout"]);
  bench.turn(6060);
  assert.deepEqual(bench.events, ["a:queue-timeout", "b:queue-timeout"]);
  assert.equal(bench.counts[PoolSlot.queueTimeouts], 2);
});

test("PoolQueue looks once more for a server before it gives a waiter up: fail_timeout may have passed", () => {
  const bench = new Bench(2, 10);
  const [a] = bench.backends;
  a!.activeConnections = 0;
  a!.handleFailure(0);
  a!.handleFailure(0);
  bench.queue.enter(bench.waiter("w"));
  bench.turn(1000);
  assert.deepEqual(bench.events, []);
  a!.setUp(false, 1000);
  a!.setUp(true, 1000);
  bench.turn(5040);
  assert.deepEqual(bench.events, ["w:s0"]);
});

test("leave() of a waiter that is gone makes room and lets the next one move up", () => {
  const bench = new Bench(1, 1);
  const gone = bench.waiter("a");
  bench.queue.enter(gone);
  bench.queue.leave(gone);
  bench.queue.leave(gone);
  assert.equal(bench.queue.size, 0);
  assert.equal(bench.queue.enter(bench.waiter("b")), undefined);
  bench.release(0);
  bench.turn();
  assert.deepEqual(bench.events, ["b:s0"]);
});

test("PoolQueue finds the server whose fail_timeout has passed, though nobody says so", () => {
  const bench = new Bench(2, 10);
  const failed = bench.backends[1]!;
  failed.activeConnections = 0;
  failed.handleFailure(0);
  // Waits from 6 s on, until 11 s at the longest; the server is passed over until 10 s.
  bench.turn(6000);
  bench.queue.enter(bench.waiter("a"));
  bench.turn(9500);
  assert.deepEqual(bench.events, []);
  bench.turn(10_300);
  assert.deepEqual(bench.events, ["a:s1"]);
});
