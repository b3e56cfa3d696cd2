/**
 * Quantiles out of the latency buckets, as Prometheus' histogram_quantile() does it: linear within a bucket. The sum of all
 * latencies bounds the slowest one, which matters when few were counted: one answer of 5.01 s alone in the bucket up to 10 s
 * is then not shown as 9.9 s. Pure. Called by `status.ts`.
 */
import { LATENCY_BUCKET_COUNT, LATENCY_BUCKETS_MS } from "./counter-layout.ts";

/** Undefined when nothing was counted. What is slower than the last bound is reported as that bound. */
export function latencyQuantileMs(
  block: Float64Array,
  firstBucketSlot: number,
  sumMs: number,
  quantile: number,
): number | undefined {
  let count = 0;
  let sumMsMin = 0; // if each latency were the lower bound of its bucket
  for (let bucket = 0; bucket < LATENCY_BUCKET_COUNT; bucket++) {
    const inBucket = block[firstBucketSlot + bucket]!;
    count += inBucket;
    sumMsMin += inBucket * lowerBoundMs(bucket);
  }
  if (count === 0) {
    return undefined;
  }
  const rank = quantile * count;
  let below = 0;
  for (let bucket = 0; bucket < LATENCY_BUCKETS_MS.length; bucket++) {
    const inBucket = block[firstBucketSlot + bucket]!;
    if (below + inBucket >= rank && inBucket > 0) {
      const lower = lowerBoundMs(bucket);
      const upper = Math.min(LATENCY_BUCKETS_MS[bucket]!, lower + Math.max(0, sumMs - sumMsMin));
      return lower + ((rank - below) / inBucket) * (upper - lower);
    }
    below += inBucket;
  }
  return LATENCY_BUCKETS_MS[LATENCY_BUCKETS_MS.length - 1]!;
}

function lowerBoundMs(bucket: number): number {
  return bucket === 0 ? 0 : LATENCY_BUCKETS_MS[bucket - 1]!;
}
