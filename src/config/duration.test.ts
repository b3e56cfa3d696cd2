/** Tests of duration.ts: nginx's grammar, ranges, and the texts people see. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DURATION_MS_MAX, formatDuration, parseDurationMs } from "./duration.ts";

test("parseDurationMs() reads what nginx's ngx_parse_time reads", () => {
  const table: [unknown, number][] = [
    [75, 75_000],
    [0, 0],
    ["0", 0],
    ["60", 60_000],
    ["500ms", 500],
    ["75s", 75_000],
    ["30m", 1_800_000],
    ["1h30m", 5_400_000],
    ["1h 30m", 5_400_000],
    ["1m30", 90_000],
    ["1s500ms", 1500],
    ["2d", 172_800_000],
    ["1w", 604_800_000],
  ];
  for (const [input, ms] of table)
    assert.deepEqual(parseDurationMs(input), { ok: true, value: ms }, String(input));
});

test("parseDurationMs() refuses what nginx refuses, and values that are no durations", () => {
  const table = [
    "",
    " ",
    "s",
    "75x",
    "1.5s",
    "-1",
    "30m1h",
    "1h1h",
    "1s 2s",
    "60 s x",
    "1e3",
    -1,
    1.5,
    Number.NaN,
    null,
    true,
    [],
    {},
  ];
  for (const input of table) assert.equal(parseDurationMs(input).ok, false, String(input));
});

test("parseDurationMs() names the value and the fix", () => {
  assert.deepEqual(parseDurationMs("75x"), {
    ok: false,
    reason: '"75x" is not a duration',
    hint: "write a duration such as 500ms, 75s, 30m or 1h30m; a bare number is seconds",
  });
  assert.deepEqual(parseDurationMs(1.5), {
    ok: false,
    reason: "1.5 is not a duration",
    hint: "fractions are not allowed: write 1500ms instead of 1.5s",
  });
  assert.deepEqual(parseDurationMs("0", { minMs: 1, maxMs: DURATION_MS_MAX }), {
    ok: false,
    reason: '"0" is out of range: allowed is 1ms to 24d',
  });
  assert.equal(parseDurationMs("25d").ok, false);
  assert.equal(parseDurationMs("1000000000000y").ok, false, "no overflow");
});

test("formatDuration() writes the shortest spelling, which parses to the same value", () => {
  const table: [number, string][] = [
    [0, "0"],
    [500, "500ms"],
    [75_000, "1m15s"],
    [90_061_001, "1d1h1m1s1ms"],
    [2_592_000_000, "30d"],
  ];
  for (const [ms, text] of table) {
    assert.equal(formatDuration(ms), text);
    assert.deepEqual(parseDurationMs(text, { minMs: 0, maxMs: 1e12 }), { ok: true, value: ms });
  }
});
