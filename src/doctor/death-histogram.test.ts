import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../testing/seeded-random.ts";
import { findHeaps, histogramOf } from "./death-histogram.ts";

/** Ends at all ages up to an hour, evenly. */
function chance(count: number): number[] {
  const random = seededRandom(7);
  return Array.from({ length: count }, () => random() * 3_600_000);
}

function around(ageMs: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => ageMs + (index % 5) * 100);
}

test("every age falls into one bucket, at its lower edge too", () => {
  const buckets = histogramOf([0, 999, 1000, 350_000, 10_000_000_000]);
  assert.equal(
    buckets.reduce((sum, { count }) => sum + count, 0),
    5,
  );
  assert.deepEqual(buckets[0], { fromMs: 0, toMs: 1000, count: 2 });
  assert.equal(buckets.find(({ fromMs, toMs }) => fromMs <= 350_000 && 350_000 < (toMs ?? 0))?.count, 1);
  assert.deepEqual(buckets.at(-1)?.toMs, undefined);
});

test("a heap at 350 s names the boxes that have this time-out, in the middle of ends by chance", () => {
  const [heap, ...rest] = findHeaps([...chance(60), ...around(350_200, 12)], 0);
  assert.deepEqual(rest, []);
  assert.ok(heap!.count >= 12);
  assert.ok(heap!.suspects.includes("aws-nat-gateway"));
  assert.ok(heap!.suspects.includes("aws-nlb"));
  assert.ok(!heap!.suspects.includes("lvs"));
});

test("each of the well-known time-outs is recognised: 60, 240, 350, 600 and 900 s", () => {
  for (const [seconds, name] of [
    [60, "aws-alb"],
    [240, "azure-lb"],
    [350, "aws-nlb"],
    [600, "gcp-vpc"],
    [900, "lvs"],
  ] as const) {
    const [heap] = findHeaps(around(seconds * 1000 + 300, 5), 0);
    assert.ok(heap?.suspects.includes(name), `${seconds} s: ${heap?.suspects.join(" ")}`);
  }
});

test("two heaps are told apart, the larger first", () => {
  const heaps = findHeaps([...around(240_000, 5), ...around(900_000, 9), ...chance(20)], 0);
  assert.deepEqual(
    heaps.slice(0, 2).map(({ count, ageMs }) => [count, Math.round(ageMs / 10_000) * 10]),
    [
      [9, 900],
      [5, 240],
    ],
  );
});

test("chance makes no heap, nor do connections that ended because their work was done", () => {
  assert.deepEqual(findHeaps(chance(300), 0), []);
  assert.deepEqual(findHeaps(around(20, 500), 0), []);
});

test("a hundred thousand ends by chance make no heap, not where the ages end either, and take no time to speak of", () => {
  const beganAtMs = performance.now();
  assert.deepEqual(findHeaps(chance(100_000), 0), []);
  assert.ok(performance.now() - beganAtMs < 5000);
});

test("an unknown clock is a heap without a name", () => {
  const [heap] = findHeaps(around(123_456, 6), 0);
  assert.deepEqual(heap?.suspects, []);
});

test("heaps never count an end twice and never contain more than there is (fuzz)", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(4_000_000), { maxLength: 200 }), fc.nat(5000), (ages, blurMs) => {
      const counted = findHeaps(ages, blurMs).reduce((sum, { count }) => sum + count, 0);
      assert.ok(counted <= ages.filter((age) => age >= 10_000).length);
      assert.equal(
        histogramOf(ages).reduce((sum, { count }) => sum + count, 0),
        ages.length,
      );
    }),
  );
});
