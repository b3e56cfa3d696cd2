/** Runs the benchmark with small parameters, so that it cannot rot. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BENCH_REQUESTS, BENCH_RESPONSES, runHeadBench } from "./head.bench.ts";

test("runHeadBench() measures every head", () => {
  const rows = runHeadBench(10);
  assert.equal(rows.length, Object.keys(BENCH_REQUESTS).length + Object.keys(BENCH_RESPONSES).length);
  for (const row of rows) assert.ok(row.parseNs > 0 && row.parseAndWriteNs > 0, row.name);
});
