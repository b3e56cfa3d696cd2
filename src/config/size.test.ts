/** Tests of size.ts: nginx's units, ranges, and the texts people see. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatSize, parseSizeBytes } from "./size.ts";

test("parseSizeBytes() reads k, m, g and bare bytes", () => {
  const table: [unknown, number][] = [
    [512, 512],
    ["512", 512],
    ["16k", 16_384],
    ["16K", 16_384],
    ["1m", 1_048_576],
    ["1g", 1_073_741_824],
    [0, 0],
  ];
  for (const [input, bytes] of table) assert.deepEqual(parseSizeBytes(input), { ok: true, value: bytes });
});

test("parseSizeBytes() refuses other units, fractions and values out of range, and says so", () => {
  for (const input of ["", "k", "16kb", "1.5m", "-1", -1, 1.5, "1t", null, true, "9999999g"]) {
    assert.equal(parseSizeBytes(input).ok, false, String(input));
  }
  assert.deepEqual(parseSizeBytes("16kb"), {
    ok: false,
    reason: '"16kb" is not a size',
    hint: "write a size such as 512, 16k, 1m or 1g; a bare number is bytes",
  });
  assert.deepEqual(parseSizeBytes("1m", { minBytes: 1024, maxBytes: 65_536 }), {
    ok: false,
    reason: '"1m" is out of range: allowed is 1k to 64k',
  });
});

test("formatSize() writes the largest unit that is exact", () => {
  assert.deepEqual([0, 100, 1024, 1500, 1_048_576, 3 * 1024 ** 3].map(formatSize), [
    "0",
    "100",
    "1k",
    "1500",
    "1m",
    "3g",
  ]);
});
