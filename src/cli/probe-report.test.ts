import assert from "node:assert/strict";
import { test } from "node:test";
import type { ProbeOutcome, ProbeResult } from "../doctor/prober.ts";
import { Errno } from "../sys/errno.ts";
import { borrowProblem } from "../sys/pidfd.ts";
import { isBadNews, probeText } from "./probe-report.ts";

const SYSTEM = { idleSeconds: 7200, intervalSeconds: 75, probeCount: 9 };

function result(outcome: ProbeOutcome, userTimeoutMs = 0, probeCount = 9): ProbeResult {
  return {
    socket: {
      holder: { pid: 7, fd: 8, processName: "app" },
      startTicks: 1,
      inode: 2,
      subject: {
        isListening: false,
        localHost: "10.0.0.1",
        localPort: 80,
        remoteHost: "10.0.0.2",
        remotePort: 5000,
      },
    },
    outcome,
    before: { isKeepaliveOn: true, idleSeconds: 60, intervalSeconds: 10, probeCount, userTimeoutMs },
    changes: [],
    isRestored: true,
  };
}

const SILENT = { verdict: "silent", probesSent: 2, heardMsAgo: 5000 } as const;

test("isBadNews(): a socket that could not be asked is none that is well", () => {
  const verdictOf = (outcome: ProbeOutcome): boolean => isBadNews(result(outcome));
  assert.deepEqual(
    [
      verdictOf({ verdict: "alive", how: "heard", ms: 1 }),
      verdictOf(SILENT),
      verdictOf({ verdict: "refused", error: 1 }),
    ],
    [false, true, true],
  );
});

test("probeText() says when unanswered probes will end a connection: TCP_USER_TIMEOUT, or a count that they use up", () => {
  const textOf = (...it: Parameters<typeof result>): string =>
    probeText({ results: [result(...it)], problems: [], borrowProblem, system: SYSTEM }, false);
  assert.match(textOf(SILENT, 2000), /1 silent connection has TCP_USER_TIMEOUT .* next keepalive tick/);
  assert.match(textOf(SILENT, 0, 2), /next keepalive tick/);
  assert.doesNotMatch(textOf(SILENT), /keepalive tick/);
  assert.doesNotMatch(textOf({ verdict: "alive", how: "heard", ms: 1 }, 2000), /keepalive tick/);
});

test("borrowProblem(): an error of setsockopt(2) is not told as one of borrowing", () => {
  assert.equal(
    borrowProblem(Errno.ENOPROTOOPT),
    "the kernel refused to have the socket's options read or set (ENOPROTOOPT)",
  );
  assert.match(borrowProblem(Errno.EROFS), /undo journal cannot be written \(EROFS/);
});
