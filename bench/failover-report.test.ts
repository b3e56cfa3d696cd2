/** The failover benchmark's tables and targets, from made-up measurements. */
import assert from "node:assert/strict";
import test from "node:test";
import type { FailoverReport, FailoverRow } from "./failover.ts";
import { failoverTargetsOf, renderFailover } from "./failover-report.ts";

function row(overrides: Partial<FailoverRow>): FailoverRow {
  return {
    subject: "holdfast",
    intervalMs: 100,
    kind: "kill",
    rounds: 50,
    gapMs: { p50: 310, p99: 362, max: 362 },
    overBoundMs: { p50: 2, p99: 12, max: 12 },
    flaps: 0,
    ...overrides,
  };
}

test("failoverTargetsOf() compares with keepalived's row of the same interval and kind, and with the active-down interval", () => {
  const rows = [
    row({}),
    row({ subject: "keepalived", gapMs: { p50: 315, p99: 370, max: 370 } }),
    row({ subject: "keepalived", kind: "stop", gapMs: { p50: 61, p99: 70, max: 70 } }),
    row({ subject: "keepalived", intervalMs: 10, gapMs: { p50: 33, p99: 40, max: 40 } }),
  ];
  assert.deepEqual(failoverTargetsOf(rows), [
    { name: "100 ms, kill -9: p50 beside keepalived's", limit: 315, measured: 310 },
    { name: "100 ms, kill -9: p99 over the active-down interval", limit: 10, measured: 12 },
  ]);
});

test("renderFailover() shows every row, missed targets and the false failovers", () => {
  const report: FailoverReport = {
    versions: [],
    rows: [row({}), row({ kind: "stop", gapMs: { p50: 0, p99: 1.5, max: 1.5 }, overBoundMs: undefined })],
    underLoad: [{ subject: "keepalived", intervalMs: 10, minutes: 10, falseFailovers: 3 }],
  };
  const text = renderFailover(report).join("\n");
  assert.match(text, /\| 100 \| kill -9 × 50 \| holdfast \| 310 \| 362 \| 362 \| 2 \| 12 \| 12 \| 360\.9 \|/);
  assert.match(text, /\| 100 \| clean stop × 50 \| holdfast \| 0 \| 1\.5 \| 1\.5 \| {2}\| {2}\| {2}\| {2}\|/);
  assert.match(text, /p99 over the active-down interval \| 10 \| 12 \| \*\*missed\*\*/);
  assert.match(text, /\| 10 \| keepalived \| 3 \|/);
});
