/** The intervals of VRRP against figures that were computed from the RFCs by hand. */
import assert from "node:assert/strict";
import test from "node:test";
import {
  activeDownIntervalMs,
  handoverPatienceMs,
  listeningAfterStallMs,
  shortestPatienceMs,
  skewTimeMs,
} from "./timers.ts";

test("activeDownIntervalMs(): 3 × interval + skew, version 2 and 3 (RFC 9568 §6.1)", () => {
  const table: readonly (readonly [2 | 3, number, number, number])[] = [
    [2, 1000, 100, 3609.375],
    [2, 1000, 200, 3218.75],
    [2, 1000, 254, 3007.8125],
    [3, 1000, 100, 3609.375],
    [3, 1000, 200, 3218.75],
    [3, 1000, 254, 3007.8125],
    [3, 100, 100, 360.9375],
    [3, 100, 200, 321.875],
    [3, 100, 254, 300.78125],
    [3, 10, 100, 36.09375],
    [3, 10, 200, 32.1875],
    [3, 10, 254, 30.078125],
  ];
  for (const [version, intervalMs, priority, expected] of table)
    assert.equal(activeDownIntervalMs(version, priority, intervalMs), expected);
});

test("skewTimeMs(): version 2 skews by parts of a second at any interval (RFC 3768 §6.1)", () => {
  assert.equal(skewTimeMs(2, 100, 1000), 609.375);
  assert.equal(skewTimeMs(2, 100, 10_000), 609.375);
});

test("skewTimeMs(): version 3 skews by parts of the interval, also below a centisecond (RFC 9568 §6.1)", () => {
  assert.equal(skewTimeMs(3, 100, 10_000), 6093.75);
  assert.equal(skewTimeMs(3, 100, 10), 6.09375);
  assert.equal(skewTimeMs(3, 254, 10), 0.078125);
  assert.notEqual(skewTimeMs(3, 254, 10), skewTimeMs(3, 253, 10));
});

test("a higher priority fires first, for every pair of neighbours", () => {
  for (let priority = 2; priority <= 254; priority++)
    for (const version of [2, 3] as const)
      assert.ok(
        activeDownIntervalMs(version, priority, 10) < activeDownIntervalMs(version, priority - 1, 10),
      );
});

test("handoverPatienceMs() is longer than any backup waits", () => {
  for (const [version, intervalMs] of [
    [2, 1000],
    [3, 10],
    [3, 40_950],
  ] as const)
    assert.ok(handoverPatienceMs(version, intervalMs) > activeDownIntervalMs(version, 1, intervalMs));
  assert.equal(handoverPatienceMs(3, 100), 499.609375);
});

test("shortestPatienceMs() is not longer than the patience of priority 254", () => {
  assert.ok(shortestPatienceMs(100) <= activeDownIntervalMs(3, 254, 100));
  assert.equal(shortestPatienceMs(100), 300);
});

test("listeningAfterStallMs() spans one advertisement", () => {
  assert.equal(listeningAfterStallMs(3, 100, 100), 160.9375);
});
