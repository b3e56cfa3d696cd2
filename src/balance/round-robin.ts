/**
 * Smooth weighted round robin, nginx's algorithm (ngx_http_upstream_round_robin.c, since 1.3.1). Pure.
 * Every eligible server's running sum grows by its weight; the largest sum is chosen and pays the total back. Weights
 * 5/1/1 give a a b a c a a: in proportion, and never a run of five. Created by selector.ts.
 */
import type { Backend } from "./backend.ts";
import { WEIGHT_SCALE } from "./backend.ts";
import type { Selector } from "./selection.ts";
import { isEligible } from "./selection.ts";

export class RoundRobin implements Selector {
  readonly #backends: readonly Backend[];

  constructor(backends: readonly Backend[]) {
    this.#backends = backends;
  }

  select(nowMs: number, _keyHash: number, tried: readonly Backend[]): Backend | undefined {
    const backends = this.#backends;
    let best: Backend | undefined;
    let total = 0;
    for (let n = 0; n < backends.length; n++) {
      const backend = backends[n]!;
      if (!isEligible(backend, nowMs, tried)) continue;
      total += takeTurn(backend, nowMs);
      if (best === undefined || backend.currentWeight > best.currentWeight) best = backend;
    }
    if (best === undefined) return undefined;
    best.currentWeight -= total;
    best.handleSelected(nowMs);
    return best;
  }
}

/** Lets a server take part in one round: its running sum grows, a weight lowered by failures recovers by one unit. */
export function takeTurn(backend: Backend, nowMs: number): number {
  const weight = backend.weightAt(nowMs);
  backend.currentWeight += weight;
  if (backend.effectiveWeight < backend.weight) {
    backend.effectiveWeight = Math.min(backend.weight, backend.effectiveWeight + WEIGHT_SCALE);
  }
  return weight;
}
