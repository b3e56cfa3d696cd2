/**
 * Consistent hashing: equal keys go to one server, and when a server comes or goes only its share of the keys (about
 * 1/n) moves. Pure. Created by selector.ts for `hash: source | uri | header:…`.
 *
 * A ring as in ketama: every server owns points on the circle of 32-bit hashes, a key belongs to the owner of the
 * next point at or after its hash, and when that owner is unavailable to the next eligible owner along the ring, so a
 * dead server's keys spread over all others. Differences from ketama and from nginx's `hash … consistent`:
 *  - 512 points per unit of weight instead of 160. The standard deviation of a server's share is about 1/√points: 4 %
 *    instead of 8 %. A ring holds 65,536 points at most; beyond, every server's number of points is halved until it
 *    fits. Halving drops points and moves none, since point i depends on the server's name and i alone.
 *  - The owner is found through an index on the leading bits of the hash: about two steps, where a binary search
 *    needs ten. Measured in selector.bench.ts.
 *  - Not key-compatible with either: keys move once when a farm migrates.
 * Rejected: Maglev tables (better spread, but removal moves more than the minimum), weighted rendezvous (exact, but a
 * logarithm per server and request).
 *
 * slow_start does not apply: a ramp would move keys to and fro.
 */
import type { Backend } from "./backend.ts";
import { WEIGHT_SCALE } from "./backend.ts";
import { finalMix, hashBytes } from "./key-hash.ts";
import type { Selector } from "./selection.ts";
import { isEligible } from "./selection.ts";

const POINTS_PER_WEIGHT_MAX = 512;
const RING_POINTS_MAX = 65_536;
/** After so many points with ineligible owners, look whether there is an eligible server at all. */
const BLIND_STEPS_MAX = 32;

export class ConsistentHash implements Selector {
  readonly #backends: readonly Backend[];
  /** Sorted hashes, and the index in #backends of the owner of each. */
  readonly #points: Uint32Array;
  readonly #owners: Uint16Array;
  /** bucketStart[hash >>> shift] = first point whose hash is in that bucket or a later one. */
  readonly #bucketStart: Uint32Array;
  readonly #shift: number;

  constructor(backends: readonly Backend[]) {
    this.#backends = backends;
    const ring = buildRing(backends);
    this.#points = ring.points;
    this.#owners = ring.owners;
    const bucketBits = Math.max(1, Math.ceil(Math.log2(Math.max(2, ring.points.length))));
    this.#shift = 32 - bucketBits;
    this.#bucketStart = indexBuckets(ring.points, bucketBits);
  }

  select(nowMs: number, keyHash: number, tried: readonly Backend[]): Backend | undefined {
    const count = this.#points.length;
    if (count === 0) return undefined;
    let at = this.#firstPointFrom(keyHash >>> 0);
    for (let steps = 0; ; steps++) {
      const backend = this.#backends[this.#owners[at]!]!;
      if (isEligible(backend, nowMs, tried)) {
        backend.handleSelected(nowMs);
        return backend;
      }
      if (steps === BLIND_STEPS_MAX && !this.#hasEligible(nowMs, tried)) return undefined;
      if (steps === count) return undefined;
      at = at + 1 === count ? 0 : at + 1;
    }
  }

  #firstPointFrom(hash: number): number {
    const points = this.#points;
    let at = this.#bucketStart[hash >>> this.#shift]!;
    while (at < points.length && points[at]! < hash) at++;
    return at === points.length ? 0 : at;
  }

  #hasEligible(nowMs: number, tried: readonly Backend[]): boolean {
    for (let n = 0; n < this.#backends.length; n++)
      if (isEligible(this.#backends[n]!, nowMs, tried)) return true;
    return false;
  }
}

interface Ring {
  readonly points: Uint32Array;
  readonly owners: Uint16Array;
}

function buildRing(backends: readonly Backend[]): Ring {
  const counts = pointCounts(backends.map((backend) => backend.weight / WEIGHT_SCALE));
  const total = counts.reduce((sum, count) => sum + count, 0);
  // Hash and owner packed into one number (32 + 16 bits) so that they sort together: doubles hold 53 bits exactly.
  const packed = new Float64Array(total);
  const occurrences = new Map<string, number>();
  let at = 0;
  backends.forEach((backend, owner) => {
    const occurrence = occurrences.get(backend.config.name) ?? 0;
    occurrences.set(backend.config.name, occurrence + 1);
    // A server listed twice must not own the same points twice.
    const name = new TextEncoder().encode(
      occurrence === 0 ? backend.config.name : `${backend.config.name}#${occurrence}`,
    );
    const base = hashBytes(name, 0, name.length);
    const step = finalMix(base ^ 0x5bd1e995);
    for (let n = 1; n <= counts[owner]!; n++) {
      const hash = finalMix(finalMix(Math.imul(n, 0x9e3779b1) ^ base) + step) >>> 0;
      packed[at++] = hash * 0x1_0000 + owner;
    }
  });
  packed.sort();
  const points = new Uint32Array(total);
  const owners = new Uint16Array(total);
  for (let n = 0; n < total; n++) {
    points[n] = Math.floor(packed[n]! / 0x1_0000);
    owners[n] = packed[n]! % 0x1_0000;
  }
  return { points, owners };
}

/** How many points each server owns: in proportion to its weight, at least one, as many as fit. */
function pointCounts(weights: readonly number[]): number[] {
  let perUnit = POINTS_PER_WEIGHT_MAX;
  const totalWeight = weights.reduce((sum, weight) => sum + weight, 0);
  while (perUnit * totalWeight > RING_POINTS_MAX) perUnit /= 2;
  return weights.map((weight) => Math.max(1, Math.floor(weight * perUnit)));
}

function indexBuckets(points: Uint32Array, bucketBits: number): Uint32Array {
  const shift = 32 - bucketBits;
  const bucketStart = new Uint32Array(2 ** bucketBits);
  let at = 0;
  for (let bucket = 0; bucket < bucketStart.length; bucket++) {
    while (at < points.length && points[at]! >>> shift < bucket) at++;
    bucketStart[bucket] = at;
  }
  return bucketStart;
}
