/**
 * LVS's `nq`: a server with nothing to do is taken, however slow it is; only when all are busy, the one with the shortest
 * expected delay. Pure. Created by selector.ts. Read net/netfilter/ipvs/ip_vs_nq.c first.
 *
 * Where LVS takes the first idle server of its table, idle servers take smooth turns by weight here: the first would otherwise get
 * every request of a quiet hour.
 */
import type { Backend } from "./backend.ts";
import { LeastConnections } from "./least-connections.ts";
import { takeTurn } from "./round-robin.ts";
import type { Selector } from "./selection.ts";
import { isEligible } from "./selection.ts";

export class NeverQueue implements Selector {
  readonly #backends: readonly Backend[];
  readonly #shortestExpectedDelay: Selector;

  constructor(backends: readonly Backend[]) {
    this.#backends = backends;
    this.#shortestExpectedDelay = new LeastConnections(backends, 1);
  }

  select(nowMs: number, keyHash: number, tried: readonly Backend[]): Backend | undefined {
    const idle = this.#selectIdle(nowMs, tried);
    if (idle === undefined) return this.#shortestExpectedDelay.select(nowMs, keyHash, tried);
    idle.handleSelected(nowMs);
    return idle;
  }

  #selectIdle(nowMs: number, tried: readonly Backend[]): Backend | undefined {
    const backends = this.#backends;
    let best: Backend | undefined;
    let total = 0;
    for (let n = 0; n < backends.length; n++) {
      const backend = backends[n]!;
      if (backend.activeConnections !== 0 || !isEligible(backend, nowMs, tried)) continue;
      total += takeTurn(backend, nowMs);
      if (best === undefined || backend.currentWeight > best.currentWeight) best = backend;
    }
    if (best !== undefined) best.currentWeight -= total;
    return best;
  }
}
