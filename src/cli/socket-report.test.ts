import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_TCP_SYSCTLS } from "../doctor/detection-time.ts";
import type { JudgedSocket } from "../doctor/socket-filter.ts";
import { PROBING_OPTIONS, socketOf } from "../doctor/socket-fixtures.ts";
import { summarizeSockets } from "../doctor/socket-summary.ts";
import { verdictOf } from "../doctor/socket-verdict.ts";
import { DiagTimer, TcpDiagState } from "../netlink/inet-diag.ts";
import { AsciiWriter } from "./ascii-writer.ts";
import { type SocketReport, socketsText, summaryText, writeSocketsJson } from "./socket-report.ts";

function judged(...socket: Parameters<typeof socketOf>): JudgedSocket {
  const record = socketOf(...socket);
  return { socket: record, verdict: verdictOf(record, DEFAULT_TCP_SYSCTLS) };
}

function reportOf(shown: readonly JudgedSocket[], changes: Partial<SocketReport> = {}): SocketReport {
  return {
    shown,
    matching: shown.length,
    summary: summarizeSockets(shown),
    gaps: [],
    unread: 0,
    scope: "this network namespace",
    takenAt: "2026-01-02T03:04:05.000Z",
    ...changes,
  };
}

const holders = [{ pid: 7, fd: 3, processName: 'we"ird\u0007é' }];
const SCENE = [
  judged(
    { timer: DiagTimer.KEEPALIVE, timerCount: 2, timerLeftMs: 4000 },
    { options: PROBING_OPTIONS, holders },
  ),
  judged({ family: 6, localAddress: "2001:db8::1", sendQueueBytes: 9, notSentBytes: 4 }, { holders }),
  judged({ state: TcpDiagState.TIME_WAIT, hasInfo: false, inode: 0, timer: 3, timerLeftMs: 59_000 }),
  judged({ state: TcpDiagState.LISTEN, localAddress: "0.0.0.0", localPort: 80, peerPort: 0 }, { holders }),
];

function jsonOf(report: SocketReport): string {
  const chunks: Uint8Array[] = [];
  writeSocketsJson(report, new AsciiWriter((bytes) => chunks.push(bytes), 64));
  return Buffer.concat(chunks).toString("latin1");
}

test("the table shows what is asked for: keepalive, timer, ages, queues, detection times, verdict", () => {
  const [head, ...rows] = socketsText(reportOf(SCENE)).split("\n");
  assert.match(
    head!,
    /^LOCAL +REMOTE +PROCESS +STATE +KEEPALIVE +TIMER +DATA +ACK +UNACKED\/UNSENT +DETECTS IDLE +IN FLIGHT +VERDICT$/,
  );
  assert.match(
    rows[0]!,
    /^10\.0\.0\.1:8080 +10\.0\.0\.2:40000 +we"ird\?é\/7 +ESTABLISHED +1m\/10s\/6 +probe 4\.0s #2 +1m +1m +0\/0 +2m +15m28s +probing \(2 of 6 /,
  );
  assert.match(rows[1]!, /^\[2001:db8::1\]:8080 .* off .* 5\/4 +never +~15m28s +unguarded \(no keepalive/);
  assert.match(rows[2]!, /TIME_WAIT +- +time-wait 59s +- +- +0\/0 +- +- +TIME_WAIT \(we closed first\)$/);
  assert.match(rows[3]!, /^0\.0\.0\.0:80 +\* .* LISTEN /);
});

test("control characters of a process's name never reach the terminal", () => {
  assert.ok(!socketsText(reportOf(SCENE)).includes("\u0007"));
});

test("a cut list and a partial answer say so, and what to do", () => {
  const text = socketsText(reportOf(SCENE, { matching: 5000, unread: 4, gaps: ["no names: use sudo"] }));
  assert.match(text, /^4 of 5,?000 sockets; more with --limit N$/m);
  assert.match(text, /^partial: no names: use sudo$/m);
  assert.match(text, /--options reads them all/);
});

test("the summary counts per process and per remote", () => {
  const text = summaryText(reportOf(SCENE));
  assert.match(text, /^PROCESS +SOCKETS +OPEN +UNGUARDED/m);
  assert.match(text, /^we"ird.*\/7 +3 +2 +1 +1 +- +1 +1/m);
  assert.match(text, /^10\.0\.0\.2 +3 /m);
});

test("JSON is JSON, in ASCII, whatever a process calls itself, and survives small buffers", () => {
  const text = jsonOf(reportOf(SCENE));
  assert.match(text, /^[\n -~]*$/);
  const document = JSON.parse(text);
  assert.equal(document.sockets.length, 4);
  const [probing, unguarded, waiting, listener] = document.sockets;
  assert.deepEqual(probing.processes, [{ pid: 7, fd: 3, name: holders[0]!.processName }]);
  assert.deepEqual(probing.options, PROBING_OPTIONS);
  assert.deepEqual(
    [probing.verdict, probing.givesUpInMs, probing.detectIdleMs],
    ["probing", 44_000, 120_000],
  );
  assert.deepEqual([unguarded.keepalive, unguarded.detectIdleMs, unguarded.options], ["off", null, null]);
  assert.equal(unguarded.info.notSentBytes, 4);
  assert.deepEqual([waiting.info, waiting.timer, waiting.reason], [null, "time-wait", "we closed first"]);
  assert.equal(listener.state, "LISTEN");
  assert.equal(document.summary.total.sockets, 4);
});

test("no socket at all is an answer as well", () => {
  assert.match(socketsText(reportOf([])), /^no TCP socket matches/);
  assert.deepEqual(JSON.parse(jsonOf(reportOf([]))).sockets, []);
});

test("numbers of any size are written as JavaScript writes them", () => {
  const chunks: Uint8Array[] = [];
  const writer = new AsciiWriter((bytes) => chunks.push(bytes), 8);
  const numbers = [
    0, 7, 10, 99, 100, 2_147_483_647, 2_147_483_648, 3_000_000_000, 1.5, -3, 9_007_199_254_740_991,
  ];
  for (const number of numbers) writer.number(number).text(" ");
  writer.flush();
  assert.equal(Buffer.concat(chunks).toString("latin1"), numbers.map((number) => `${number} `).join(""));
});

test("a connection that was never established has no ages: the kernel's are the boot of the machine", () => {
  const boot = { lastDataSentMs: 16_920_000, lastDataReceivedMs: 16_920_000, lastAckReceivedMs: 16_920_000 };
  const shown = [judged({ ...boot, state: TcpDiagState.SYN_SENT, bytesReceived: 0 })];
  assert.doesNotMatch(socketsText(reportOf(shown)), /4h42m/);
  assert.equal(JSON.parse(jsonOf(reportOf(shown))).sockets[0].idleMs, null);
});
