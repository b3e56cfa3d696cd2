/** The benchmark's arithmetic: medians, ratios to the targets, the rendered tables. The measurements themselves are run by hand. */
import assert from "node:assert/strict";
import test from "node:test";
import { type Row, type Sample, summarize } from "./cpu.ts";
import { describeMachine } from "./machine.ts";
import type { MemoryRow } from "./memory.ts";
import { bulkTargetsOf, memoryTargets, relayTargetsOf, renderMarkdown, targetsOf } from "./report.ts";
import { median, spread } from "./statistics.ts";

const row = (subject: Row["subject"], cpuUsPerRequest: number, p99Us: number): Row => ({
  subject,
  cpuUsPerRequest,
  cpuUsPerRequestMin: cpuUsPerRequest - 1,
  cpuSpread: 0.01,
  requestsPerSecond: 1000,
  p50Us: 10,
  p99Us,
});

test("median() takes the middle, of an even number the mean of the two in the middle", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.equal(spread([9, 10, 12]), 0.2);
});

test("summarize() reduces the rounds of each subject to medians", () => {
  const sample = (subject: Sample["subject"], cpuUsPerRequest: number): Sample => ({
    subject,
    case: "c",
    round: 1,
    cpuUsPerRequest,
    requestsPerSecond: 100,
    p50Us: 1,
    p99Us: 2,
  });
  const rows = summarize(
    [sample("nginx", 10), sample("nginx", 30), sample("nginx", 11), sample("holdfast", 9)],
    "c",
  );
  assert.deepEqual(
    rows.map((it) => [it.subject, it.cpuUsPerRequest, it.cpuUsPerRequestMin]),
    [
      ["nginx", 11, 10],
      ["holdfast", 9, 9],
    ],
  );
});

test("relayTargetsOf() compares with the relays it is told to, as far as they were measured", () => {
  const table = { title: "t", rows: [row("holdfast", 8, 1), row("haproxy", 10, 1), row("nginx", 4, 1)] };
  assert.deepEqual(relayTargetsOf(table, ["haproxy", "nginx"]), [
    { name: "CPU / HAProxy mode tcp", limit: 1, measured: 0.8 },
    { name: "CPU / nginx stream", limit: 1, measured: 2 },
  ]);
  assert.equal(relayTargetsOf(table, ["haproxy"]).length, 1);
  assert.deepEqual(relayTargetsOf({ title: "t", rows: [row("haproxy", 1, 1)] }, ["haproxy"]), []);
});

test("bulkTargetsOf() turns 0.95 of HAProxy's throughput into a limit on the time per byte", () => {
  const bulk = (subject: "holdfast" | "haproxy", gibPerSecond: number) => ({
    subject,
    gibPerSecond,
    spread: 0,
    cpuSecondsPerGib: 1,
  });
  const [target] = bulkTargetsOf({ connections: 1, rows: [bulk("holdfast", 1.9), bulk("haproxy", 2)] });
  assert.ok(target!.measured <= target!.limit, "0.95 of the throughput is just enough");
  const [missed] = bulkTargetsOf({ connections: 1, rows: [bulk("holdfast", 1.8), bulk("haproxy", 2)] });
  assert.ok(missed!.measured > missed!.limit);
});

test("targetsOf() compares with nginx, HAProxy and the best Node proxy", () => {
  const rows = [
    row("holdfast", 9, 200),
    row("nginx", 12, 190),
    row("haproxy", 15, 300),
    row("httpxy", 100, 1),
    row("fastify", 120, 1),
  ];
  assert.deepEqual(
    targetsOf({ title: "t", rows }).map((it) => [it.name, it.measured, it.measured <= it.limit]),
    [
      ["CPU / nginx", 0.75, true],
      ["CPU / HAProxy", 0.6, true],
      ["CPU / best Node proxy", 0.09, true],
      ["p99 / nginx", 1.053, false],
    ],
  );
});

test("memoryTargets() compares the memory of an idle client connection with nginx's", () => {
  const memory = (subject: MemoryRow["subject"], bytesPerConnection: number): MemoryRow => ({
    subject,
    version: subject,
    connections: 9000,
    bytesPerConnection,
    anonymousBytesPerConnection: bytesPerConnection,
    baseRssMiB: 3,
  });
  const targets = memoryTargets([memory("holdfast", 500), memory("nginx", 400), memory("haproxy", 900)]);
  assert.deepEqual(targets, [{ name: "memory / nginx", limit: 1, measured: 1.25 }]);
  assert.deepEqual(memoryTargets([memory("holdfast", 500)]), []);
});

test("renderMarkdown() shows the machine, every row and missed targets", () => {
  const text = renderMarkdown({
    takenAt: "2026-01-01T00:00:00Z",
    machine: describeMachine(),
    versions: ["nginx/1"],
    rounds: 3,
    durationSeconds: 5,
    persistent: [{ title: "110 B, 64 connections", rows: [row("holdfast", 9, 200), row("nginx", 12, 190)] }],
    shortLived: [],
    idleMemory: [
      {
        subject: "nginx",
        version: "nginx/1",
        connections: 9000,
        bytesPerConnection: 461,
        anonymousBytesPerConnection: 460,
        baseRssMiB: 3,
      },
    ],
  });
  assert.match(text, /\| nginx \| 12 \| 11 \| 1 % \| 1000 \| 10 \| 190 \|/);
  assert.match(text, /\| CPU \/ nginx \| 0\.9 \| 0\.75 \| met \|/);
  assert.match(text, /\| p99 \/ nginx \| 1 \| 1\.053 \| \*\*missed\*\* \|/);
  assert.match(text, /\| nginx \| 461 \| 460 \| 3 \|/);
  assert.match(text, new RegExp(`\\| processors \\| ${describeMachine().processors} \\|`));
});

test("renderMarkdown() compares the socket table with ss -tnoip, the larger table only", () => {
  const timed = (sockets: number, command: string, wallMs: number) => ({
    sockets,
    command,
    wallMs,
    leastWallMs: wallMs - 5,
    cpuMs: wallMs,
  });
  const text = renderMarkdown({
    takenAt: "2026-01-02T03:04:05.678Z",
    machine: describeMachine(),
    rounds: 3,
    durationSeconds: 1,
    persistent: [],
    shortLived: [],
    idleMemory: [],
    versions: [],
    sockets: [
      timed(20_000, "holdfast sockets --json", 480),
      timed(20_000, "ss -tnoip", 400),
      timed(20, "holdfast sockets --json", 150),
      timed(20, "ss -tnoip", 10),
    ],
  });
  assert.match(text, /\| 20000 sockets, wall time, share of ss -tnoip \| 1 \| 1\.2 \| \*\*missed\*\* \|/);
});
