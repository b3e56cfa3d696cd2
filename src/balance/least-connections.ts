/**
 * The server that carries least in proportion to its weight; servers that tie take turns by smooth weighted round robin, as in
 * nginx's `least_conn`. Pure. Created by selector.ts for two algorithms that differ in what they count:
 *
 *  - `least_conn` (LVS wlc, nginx least_conn): the connections in use.
 *  - `shortest_expected_delay` (LVS sed, ip_vs_sed.c): the connections in use and the newcomer, (active + 1) / weight: how long the
 *    newcomer will wait where every connection takes the same work. They differ while little is in use: of two idle servers
 *    of weights 1 and 3, `least_conn` sees a tie, `sed` takes the heavier one until it has two connections (3/3 = 1/1).
 *
 * Two servers are compared without a division: a/wa < b/wb is a·wb < b·wa. The weight is the configured one, ramped by
 * slow_start, and not the one lowered by failures, which can be 0.
 */
import type { Backend } from "./backend.ts";
import { takeTurn } from "./round-robin.ts";
import type { Selector } from "./selection.ts";
import { isEligible } from "./selection.ts";

export class LeastConnections implements Selector {
  readonly #backends: readonly Backend[];
  readonly #newcomers: 0 | 1;

  /** `newcomers`: 1 counts the connection that is about to be made, too. */
  constructor(backends: readonly Backend[], newcomers: 0 | 1) {
    this.#backends = backends;
    this.#newcomers = newcomers;
  }

  select(nowMs: number, _keyHash: number, tried: readonly Backend[]): Backend | undefined {
    const backends = this.#backends;
    let least: Backend | undefined;
    let isTied = false;
    for (let n = 0; n < backends.length; n++) {
      const backend = backends[n]!;
      if (!isEligible(backend, nowMs, tried)) continue;
      const order = least === undefined ? -1 : compareLoad(backend, least, nowMs, this.#newcomers);
      if (order < 0) {
        least = backend;
        isTied = false;
      } else if (order === 0) {
        isTied = true;
      }
    }
    if (least === undefined) return undefined;
    if (isTied) least = this.#takeTurns(least, nowMs, tried);
    least.handleSelected(nowMs);
    return least;
  }

  #takeTurns(least: Backend, nowMs: number, tried: readonly Backend[]): Backend {
    const backends = this.#backends;
    let best: Backend | undefined;
    let total = 0;
    for (let n = 0; n < backends.length; n++) {
      const backend = backends[n]!;
      if (compareLoad(backend, least, nowMs, this.#newcomers) !== 0) continue;
      if (!isEligible(backend, nowMs, tried)) continue;
      total += takeTurn(backend, nowMs);
      if (best === undefined || backend.currentWeight > best.currentWeight) best = backend;
    }
    best!.currentWeight -= total;
    return best!;
  }
}

/** Negative when `a` carries less than `b` in proportion to their weights, 0 when they tie. */
export function compareLoad(a: Backend, b: Backend, nowMs: number, newcomers: 0 | 1): number {
  return (
    (a.activeConnections + newcomers) * b.rampedWeightAt(nowMs) -
    (b.activeConnections + newcomers) * a.rampedWeightAt(nowMs)
  );
}
