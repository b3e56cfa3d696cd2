import assert from "node:assert/strict";
import { test } from "node:test";
import type { RungResult } from "../doctor/ladder.ts";
import { boxesThatFit } from "../doctor/measure-boxes.ts";
import { concludeLadder } from "../doctor/measure-conclusion.ts";
import { type MeasureReport, newsLine, progressLine, reportJson, reportText } from "./measure-report.ts";

const rung = (seconds: number, verdict: RungResult["verdict"]): RungResult => ({
  rungMs: seconds * 1000,
  idleMs: seconds * 1000,
  verdict,
  errno: verdict === "reset" ? "ECONNRESET" : undefined,
  interruptions: 0,
});

function report(...results: RungResult[]): MeasureReport {
  const conclusion = concludeLadder(results, "from-client");
  return {
    target: "db.internal:5432",
    address: "10.0.0.7:5432",
    direction: "from-client",
    startedAt: "2026-01-01T00:00:00.000Z",
    results,
    conclusion,
    boxes: boxesThatFit(conclusion, "from-client"),
  };
}

test("reportText() has a line per rung, the verdict, the boxes that fit and the so_keepalive to set", () => {
  const text = reportText(report(rung(345, "answered"), rung(355, "reset"), rung(590, "unfinished")), false);
  assert.match(text, /^Towards db\.internal:5432 \(10\.0\.0\.7:5432\)\n/);
  assert.match(text, /345 s {2}alive: the probe was acknowledged\n/);
  assert.match(text, /355 s {2}lost: RST for the probe \(ECONNRESET\)\n/);
  assert.match(text, /\n1 rung was not waited for \(590 s\)\n/);
  assert.match(text, /The path forgets idle connections between 345 s and 355 s/);
  assert.match(text, /aws-nat-gateway +350 s +time and manner fit/);
  assert.match(text, /Set so_keepalive: 2m30s:30s:4/);
});

test("reportJson() has stable names, milliseconds, and null where there is nothing", () => {
  const json = JSON.parse(reportJson(report(rung(60, "answered"))));
  assert.deepEqual(
    [json.outcome, json.timeoutLowerMs, json.timeoutUpperMs, json.manner, json.soKeepalive, json.aliveMs],
    ["keeps", null, null, null, null, 60_000],
  );
  assert.deepEqual(json.rungs, [{ ...rung(60, "answered"), errno: null }]);
});

test("progressLine() and newsLine() fit one line", () => {
  assert.equal(
    progressLine({
      elapsedMs: 12_345,
      connected: 5,
      total: 8,
      results: [rung(10, "answered")],
      news: undefined,
      nextProbeInMs: 7400,
    }),
    "12 s: 5 connections are quiet, 1 of 8 rungs known, next in 8 s",
  );
  assert.match(
    progressLine({
      elapsedMs: 0,
      connected: 1,
      total: 1,
      results: [],
      news: undefined,
      nextProbeInMs: undefined,
    }),
    /: 1 connection is quiet, 0 of 1 rung known$/,
  );
  assert.match(newsLine(rung(90, "silent")) ?? "", /^ +90 s {2}lost: no answer$/);
});
