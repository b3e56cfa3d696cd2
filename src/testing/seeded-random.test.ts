/** Unit tests of SeededRandom: the same seed, the same run; the moments are what they should be. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom, seededRandom } from "./seeded-random.ts";

test("SeededRandom repeats itself for one seed and differs between neighbouring seeds", () => {
  const first = new SeededRandom(7);
  const again = new SeededRandom(7);
  const other = new SeededRandom(8);
  const run = Array.from({ length: 50 }, () => first.nextInt32());
  assert.deepEqual(
    Array.from({ length: 50 }, () => again.nextInt32()),
    run,
  );
  const shared = Array.from({ length: 50 }, () => other.nextInt32()).filter((n) => run.includes(n));
  assert.deepEqual(shared, []);
});

test("SeededRandom is uniform in [0, 1) and exponential() has the mean asked for", () => {
  const random = new SeededRandom(1);
  const buckets = new Array<number>(10).fill(0);
  let sum = 0;
  for (let n = 0; n < 100_000; n++) {
    const value = random.next();
    assert.ok(value >= 0 && value < 1);
    buckets[Math.floor(value * 10)]!++;
    sum += random.exponential(250);
  }
  for (const count of buckets) assert.ok(Math.abs(count - 10_000) < 500, `${count}`);
  assert.ok(Math.abs(sum / 100_000 - 250) < 5, `${sum / 100_000}`);
});

test("seededRandom(), integer(), between(), pick() stay in their ranges", () => {
  const next = seededRandom(3);
  assert.ok(next() < 1);
  const random = new SeededRandom(3);
  const seen = new Set<number>();
  for (let n = 0; n < 1000; n++) {
    seen.add(random.integer(5));
    const value = random.between(-2, 2);
    assert.ok(value >= -2 && value < 2);
    assert.ok(["a", "b"].includes(random.pick(["a", "b"])));
  }
  assert.deepEqual([...seen].sort(), [0, 1, 2, 3, 4]);
});
