/**
 * Quantiles out of the latency buckets, as Prometheus' histogram_quantile() does it: linear within a bucket.
 * Pure. Called by `status.ts`.
 */
import { LATENCY_BUCKET_COUNT, LATENCY_BUCKETS_MS } from "./counter-layout.ts";

/** Undefined when nothing was counted. What is slower than the last bound is reported as that bound. */
export function latencyQuantileMs(
  block: Float64Array,
  firstBucketSlot: number,
  quantile: number,
): number | undefined {
  let count = 0;
  for (let bucket = 0; bucket < LATENCY_BUCKET_COUNT; bucket++) {
    count += block[firstBucketSlot + bucket]!;
  }
  if (count === 0) {
    return undefined;
  }
  const rank = quantile * count;
  let below = 0;
  for (let bucket = 0; bucket < LATENCY_BUCKETS_MS.length; bucket++) {
    const inBucket = block[firstBucketSlot + bucket]!;
    if (below + inBucket >= rank && inBucket > 0) {
      const lower = bucket === 0 ? 0 : LATENCY_BUCKETS_MS[bucket - 1]!;
      const upper = LATENCY_BUCKETS_MS[bucket]!;
      return lower + ((rank - below) / inBucket) * (upper - lower);
    }
    below += inBucket;
  }
  return LATENCY_BUCKETS_MS[LATENCY_BUCKETS_MS.length - 1]!;
}
