/**
 * Chooses the server for a request. Pure: time and randomness are arguments. `createSelector` once per pool and
 * worker, `select` once per try of a request; it allocates nothing. One file per algorithm beside this one.
 *
 * What all algorithms share (nginx's rules):
 *  - Servers that this request has tried already are left out, and so are servers that are down, passed over after
 *    failures or full. Backups serve only while no other server is left by these rules.
 *  - The only server of a pool is never passed over after failures: there is no better place to go. `max_conns` and
 *    `isUp` hold for it too.
 *  - When every one of several servers is passed over there is no answer until the first `fail_timeout` ends, as in
 *    nginx since 1.11.5 (before, it forgave all of them at once).
 *  - The chosen server is told (`handleSelected`); its `activeConnections` is the caller's to count.
 */
import type { Balance } from "../config/types.ts";
import type { Backend } from "./backend.ts";
import { ConsistentHash } from "./consistent-hash.ts";
import { LeastConnections } from "./least-connections.ts";
import { NeverQueue } from "./never-queue.ts";
import { RandomTwoChoices } from "./random-two-choices.ts";
import { RoundRobin } from "./round-robin.ts";
import type { Selector } from "./selection.ts";

export type { Selector } from "./selection.ts";

/** `random` returns numbers in [0, 1), as Math.random does. */
export function createSelector(
  balance: Balance,
  backends: readonly Backend[],
  random: () => number,
): Selector {
  if (backends.length === 1) return new OnlyServer(backends[0]!);
  const primaries = backends.filter((backend) => !backend.isBackup);
  const backups = backends.filter((backend) => backend.isBackup);
  const primary = createGroupSelector(balance, primaries, random);
  if (backups.length === 0) return primary;
  return new WithBackups(primary, createGroupSelector(balance, backups, random));
}

function createGroupSelector(balance: Balance, backends: readonly Backend[], random: () => number): Selector {
  switch (balance.kind) {
    case "round_robin":
      return new RoundRobin(backends);
    case "least_conn":
      return new LeastConnections(backends, 0);
    case "shortest_expected_delay":
      return new LeastConnections(backends, 1);
    case "never_queue":
      return new NeverQueue(backends);
    case "random":
      return new RandomTwoChoices(backends, random);
    case "hash":
      return new ConsistentHash(backends);
  }
}

class OnlyServer implements Selector {
  readonly #backend: Backend;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  select(nowMs: number, _keyHash: number, tried: readonly Backend[]): Backend | undefined {
    const backend = this.#backend;
    if (!backend.isUp || backend.isFull() || tried.length !== 0) return undefined;
    backend.handleSelected(nowMs);
    return backend;
  }
}

class WithBackups implements Selector {
  readonly #primary: Selector;
  readonly #backup: Selector;

  constructor(primary: Selector, backup: Selector) {
    this.#primary = primary;
    this.#backup = backup;
  }

  select(nowMs: number, keyHash: number, tried: readonly Backend[]): Backend | undefined {
    return this.#primary.select(nowMs, keyHash, tried) ?? this.#backup.select(nowMs, keyHash, tried);
  }
}
