/**
 * Least connections in use in proportion to weight; servers that tie take turns by smooth weighted round robin, as in nginx's
 * `least_conn`. Pure. Created by selector.ts.
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

  constructor(backends: readonly Backend[]) {
    this.#backends = backends;
  }

  select(nowMs: number, _keyHash: number, tried: readonly Backend[]): Backend | undefined {
    const backends = this.#backends;
    let least: Backend | undefined;
    let isTied = false;
    for (let n = 0; n < backends.length; n++) {
      const backend = backends[n]!;
      if (!isEligible(backend, nowMs, tried)) continue;
      const order = least === undefined ? -1 : compareLoad(backend, least, nowMs);
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
    const connections = least.activeConnections;
    const weight = least.rampedWeightAt(nowMs);
    let best: Backend | undefined;
    let total = 0;
    for (let n = 0; n < backends.length; n++) {
      const backend = backends[n]!;
      if (backend.activeConnections * weight !== connections * backend.rampedWeightAt(nowMs)) continue;
      if (!isEligible(backend, nowMs, tried)) continue;
      total += takeTurn(backend, nowMs);
      if (best === undefined || backend.currentWeight > best.currentWeight) best = backend;
    }
    best!.currentWeight -= total;
    return best!;
  }
}

/** Negative when `a` carries less than `b` in proportion to their weights, 0 when they tie. */
export function compareLoad(a: Backend, b: Backend, nowMs: number): number {
  return a.activeConnections * b.rampedWeightAt(nowMs) - b.activeConnections * a.rampedWeightAt(nowMs);
}
