/**
 * Random with two choices (nginx: `random two least_conn`): two servers are drawn in proportion to their weights, the one
 * that carries less in proportion to its weight is taken. Pure. Created by selector.ts.
 *
 * Why two: with several workers, each sees its own connections only, and `least_conn` sends every worker's next request to
 * the same freshly recovered server. Two random choices keep almost all of the balance without the herd
 * (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 1996).
 *
 * A draw is a binary search over the running totals of the weights; a draw that hits an ineligible server is repeated a few
 * times, then one pass over the list decides, so that the worst case is bounded.
 */
import type { Backend } from "./backend.ts";
import { compareLoad } from "./least-connections.ts";
import type { Selector } from "./selection.ts";
import { isEligible } from "./selection.ts";

/** nginx gives up drawing after 20; with most servers down a pass over the list is cheaper than more draws. */
const DRAWS_MAX = 8;

export class RandomTwoChoices implements Selector {
  readonly #backends: readonly Backend[];
  readonly #random: () => number;
  /** cumulative[n] = sum of the weights of backends[0..n]. */
  readonly #cumulative: Float64Array;
  readonly #totalWeight: number;

  constructor(backends: readonly Backend[], random: () => number) {
    this.#backends = backends;
    this.#random = random;
    this.#cumulative = new Float64Array(backends.length);
    let total = 0;
    for (let n = 0; n < backends.length; n++) {
      total += backends[n]!.weight;
      this.#cumulative[n] = total;
    }
    this.#totalWeight = total;
  }

  select(nowMs: number, _keyHash: number, tried: readonly Backend[]): Backend | undefined {
    const first = this.#draw(nowMs, tried, undefined);
    if (first === undefined) return undefined;
    const second = this.#draw(nowMs, tried, first);
    const chosen = second !== undefined && compareLoad(second, first, nowMs, 0) < 0 ? second : first;
    chosen.handleSelected(nowMs);
    return chosen;
  }

  /** An eligible server other than `except`, drawn by weight; undefined when there is none. */
  #draw(nowMs: number, tried: readonly Backend[], except: Backend | undefined): Backend | undefined {
    if (this.#backends.length === 0) return undefined;
    for (let draw = 0; draw < DRAWS_MAX; draw++) {
      const backend = this.#backends[this.#indexAt(this.#random() * this.#totalWeight)]!;
      if (backend !== except && this.#isRampedIn(backend, nowMs) && isEligible(backend, nowMs, tried))
        return backend;
    }
    return this.#drawByList(nowMs, tried, except);
  }

  /** One pass over the eligible servers that gives each its share of the draw (weighted reservoir sampling of one). */
  #drawByList(nowMs: number, tried: readonly Backend[], except: Backend | undefined): Backend | undefined {
    const backends = this.#backends;
    let chosen: Backend | undefined;
    let total = 0;
    for (let n = 0; n < backends.length; n++) {
      const backend = backends[n]!;
      if (backend === except || !isEligible(backend, nowMs, tried)) continue;
      const weight = backend.rampedWeightAt(nowMs);
      total += weight;
      if (chosen === undefined || this.#random() * total < weight) chosen = backend;
    }
    return chosen;
  }

  /** During slow_start a draw counts only with the ramp's probability. */
  #isRampedIn(backend: Backend, nowMs: number): boolean {
    const weight = backend.rampedWeightAt(nowMs);
    return weight >= backend.weight || this.#random() * backend.weight < weight;
  }

  #indexAt(point: number): number {
    const cumulative = this.#cumulative;
    let low = 0;
    let high = cumulative.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (point < cumulative[middle]!) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
