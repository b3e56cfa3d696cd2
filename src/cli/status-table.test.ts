/** Tests of status-table.ts: figures for humans, and the tables of a status document. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { StatusDocument } from "../observe/status.ts";
import { formatAge, formatBytes, formatCount, formatMs, formatRatio } from "./figures.ts";
import { formatStatus } from "./status-table.ts";

test("figures are short and keep their unit", () => {
  assert.deepEqual([0, 999, 59_000, 61_000, 3_600_000, 90_061_000].map(formatAge), [
    "0s",
    "0s",
    "59s",
    "1m1s",
    "1h",
    "1d1h",
  ]);
  assert.deepEqual([0.523, 12.4, 999, 4_980, null].map(formatMs), [
    "0.52 ms",
    "12 ms",
    "999 ms",
    "4.98 s",
    "-",
  ]);
  assert.deepEqual([7, 12_345, 12_345_678].map(formatCount), ["7", "12,345", "12.3 M"]);
  assert.deepEqual([null, 0.5, 1].map(formatRatio), ["-", "50.0%", "100.0%"]);
  assert.deepEqual([47_185_920, 3 * 1024 ** 3].map(formatBytes), ["45.0 MiB", "3.0 GiB"]);
});

const STATUS: StatusDocument = {
  version: "1.0.0",
  pid: 1,
  configFile: "gateway.yaml",
  phase: "running",
  startedAt: "",
  uptimeMs: 62_000,
  generation: 2,
  respawns: 1,
  reloads: { ok: 1, failed: 1, last: { at: "now", ok: false, lines: ["gateway.yaml:1:1: wrong"] } },
  workers: [],
  listeners: [
    {
      name: "web",
      addresses: ["0.0.0.0:80", "[::]:80"],
      connectionsAccepted: 3,
      connectionsActive: 1,
      connectionsIdle: 2,
      requests: 1000,
      requestsReused: 900,
      reuseRatio: 0.9,
      responses: { "1xx": 0, "2xx": 990, "3xx": 0, "4xx": 10, "5xx": 0 },
      requestsRejected: 0,
      bytesReceived: 0,
      bytesSent: 0,
      latency: { meanMs: 1, p50Ms: 1, p99Ms: 20 },
      closes: [4, 3, 2, 1, 1].map((count, index) => ({ side: "client", cause: `c${index}`, count })),
    },
  ],
  pools: [],
  routers: [],
  routerProcess: null,
};

test("formatStatus() tells of a failed reload, lists each address, sums up rare causes", () => {
  const lines = formatStatus(STATUS);
  assert.equal(
    lines[0],
    "holdfast 1.0.0: running, up 1m2s, pid 1, configuration 2 of gateway.yaml, 1 worker started again",
  );
  assert.deepEqual(lines.slice(1, 3), [
    "the last reload (now) failed, the old configuration is in force:",
    "  gateway.yaml:1:1: wrong",
  ]);
  const web = lines.findIndex((line) => line.startsWith("web "));
  assert.match(
    lines[web]!,
    /0\.0\.0\.0:80 .* 1,000 +90\.0% +10 +0 +1 ms +20 ms +c0 4, c1 3, c2 2, others 2$/,
  );
  assert.match(lines[web + 1]!, /^ +\[::\]:80$/);
});

test("formatStatus() says why a server is not simply up, and what the checks think of one the operator took out", () => {
  const health = {
    check: "http",
    state: "down",
    reason: "connection refused (3 failed checks in a row)",
    since: "T1",
    sinceMs: 61_000,
    checks: 1200,
    checksFailed: 3,
    timesUp: 0,
    timesDown: 1,
    trafficFailures: 0,
    lastCheck: { ok: false, reason: "connection refused", durationMs: 1, at: "T2" },
    certificateExpiresAt: null,
  } as const;
  const server = {
    name: "a:1",
    state: "down",
    reason: health.reason,
    since: "T1",
    sinceMs: 61_000,
    admin: "up",
    weight: 3,
    closes: [],
    health,
    latency: { p99Ms: null },
  };
  const drained = { ...server, name: "b:1", state: "drain", reason: "the operator's order", admin: "drain" };
  const up = { ...server, name: "c:1", state: "up", reason: null, health: null };
  const zero = new Proxy({}, { get: () => 0 });
  const withZeros = (fields: object) =>
    Object.assign(Object.create(zero), { backup: false, reuseRatio: null, idleLimitMs: null, ...fields });
  const pool = withZeros({
    name: "web",
    queue: { waiting: 4 },
    servers: [server, drained, up].map(withZeros),
  });
  const lines = formatStatus({ ...STATUS, pools: [pool] });
  assert.match(lines.find((line) => line.startsWith("web   a:1"))!, /down +1m1s +3 +1,200 +3 +0 +0 +4/);
  assert.deepEqual(lines.slice(-2), [
    "web a:1: down since T1; connection refused (3 failed checks in a row)",
    "web b:1: drain since T1; the operator's order; health checks say down: connection refused (3 failed checks in a row)",
  ]);
});
