/** The measured times are those of Linux 6.18 with a peer that had been cut off. */
import assert from "node:assert/strict";
import test from "node:test";
import { keepalive, tcpEnd } from "../field-cases-fixtures.ts";
import { TcpEndMachine, type TcpTimeoutAction } from "./tcp-end-machine.ts";

type Dated = readonly [atMs: number, kind: string];

/** Runs the timers until the end gives up; nobody answers. */
function runUnanswered(end: TcpEndMachine, untilMs = 10_000_000): readonly Dated[] {
  const seen: Dated[] = [];
  for (;;) {
    const nowMs = end.nextTimeout();
    if (nowMs === undefined || nowMs > untilMs) return seen;
    const action: TcpTimeoutAction = end.handleTimeout(nowMs);
    if (action.kind !== "nothing") seen.push([nowMs, action.kind]);
    if (action.kind === "give-up") return seen;
  }
}

const timesOf = (seen: readonly Dated[], kind: string): readonly number[] =>
  seen.filter(([, what]) => what === kind).map(([atMs]) => atMs);

test("keepalive: an idle dead peer is given up at idle + interval × count (tcp_keepalive_timer; measured 4.08 s for 1/1/3)", () => {
  const seen = runUnanswered(new TcpEndMachine(tcpEnd({ keepalive: keepalive(1, 1, 3) }), 0));
  assert.deepEqual(timesOf(seen, "probe"), [1000, 2000, 3000]);
  assert.deepEqual(timesOf(seen, "give-up"), [4000]);
});

test("keepalive: giving up on probes sends RST to the peer (tcp_send_active_reset)", () => {
  const end = new TcpEndMachine(tcpEnd({ keepalive: keepalive(1, 1, 1) }), 0);
  end.handleTimeout(1000);
  assert.deepEqual(end.handleTimeout(2000), { kind: "give-up", reason: "probes", sendsReset: true });
});

test("keepalive: idle counts from the last data or acknowledgement received, and an answer sets the count back", () => {
  const end = new TcpEndMachine(tcpEnd({ keepalive: keepalive(10, 2, 2) }), 0);
  end.handleData(7000);
  assert.deepEqual(end.handleTimeout(10_000), { kind: "nothing" });
  assert.equal(end.nextTimeout(), 17_000);
  assert.deepEqual(end.handleTimeout(17_000), { kind: "probe", number: 1 });
  end.handleAcknowledgement(17_000);
  assert.equal(end.probesOut, 0);
  assert.deepEqual(timesOf(runUnanswered(end), "probe"), [27_000, 29_000]);
});

test("keepalive: own sending is no activity, and probes are silent while data is unacknowledged", () => {
  const end = new TcpEndMachine(tcpEnd({ keepalive: keepalive(1, 1, 3) }), 0);
  end.handleSent(500);
  const seen = runUnanswered(end);
  assert.deepEqual(timesOf(seen, "probe"), []);
  assert.equal(seen.at(-1)?.[1], "give-up");
});

test("keepalive: an interval above the idle time is the period of answered probes", () => {
  const end = new TcpEndMachine(tcpEnd({ keepalive: keepalive(10, 75, 9) }), 0);
  const probes: number[] = [];
  while (probes.length < 3) {
    const nowMs = end.nextTimeout()!;
    if (end.handleTimeout(nowMs).kind !== "probe") continue;
    probes.push(nowMs);
    end.handleAcknowledgement(nowMs);
  }
  assert.deepEqual(probes, [10_000, 85_000, 160_000]);
  assert.equal(end.answeredProbePeriodMs, 75_000);
});

test("TCP_USER_TIMEOUT: overrides the count, first tick past it (measured 3.07 s for 1/1/9 and 2500 ms)", () => {
  const end = new TcpEndMachine(tcpEnd({ keepalive: keepalive(1, 1, 9), userTimeoutMs: 2500 }), 0);
  assert.deepEqual(timesOf(runUnanswered(end), "give-up"), [3000]);
});

test("TCP_USER_TIMEOUT: below the idle time one lost probe ends the connection, at the second tick", () => {
  const end = new TcpEndMachine(tcpEnd({ keepalive: keepalive(60, 10, 9), userTimeoutMs: 5000 }), 0);
  const seen = runUnanswered(end);
  assert.deepEqual(timesOf(seen, "probe"), [60_000]);
  assert.deepEqual(timesOf(seen, "give-up"), [70_000]);
});

test("TCP_USER_TIMEOUT: keeps probing past the count until it is over", () => {
  const end = new TcpEndMachine(tcpEnd({ keepalive: keepalive(10, 10, 2), userTimeoutMs: 95_000 }), 0);
  const seen = runUnanswered(end);
  assert.equal(timesOf(seen, "probe").length, 9);
  assert.deepEqual(timesOf(seen, "give-up"), [100_000]);
});

test("retransmission: a tail loss probe, then back-off doubles up to 120 s; tcp_retries2 = 15 ends it at the first timer past 924.6 s", () => {
  const end = new TcpEndMachine(tcpEnd(), 0);
  end.handleSent(0);
  const seen = runUnanswered(end);
  assert.deepEqual(timesOf(seen, "retransmit").slice(0, 5), [201, 402, 804, 1608, 3216]);
  assert.equal(timesOf(seen, "retransmit").length, 16);
  assert.deepEqual(timesOf(seen, "give-up"), [925_824]);
});

test("retransmission: tcp_retries2 = 8 (102.2 s) and 2 (1.4 s; measured 3.3 to 3.5 s), and giving up on data sends no RST (tcp_write_err)", () => {
  const end = new TcpEndMachine(tcpEnd({ retransmissionTimeoutMs: 102_200 }), 0);
  end.handleSent(0);
  assert.deepEqual(runUnanswered(end).at(-1), [102_912, "give-up"]);
  const again = new TcpEndMachine(tcpEnd({ retransmissionTimeoutMs: 1400 }), 0);
  again.handleSent(0);
  while (again.nextTimeout()! < 3216) again.handleTimeout(again.nextTimeout()!);
  assert.deepEqual(again.handleTimeout(3216), {
    kind: "give-up",
    reason: "retransmissions",
    sendsReset: false,
  });
});

test("retransmission: TCP_USER_TIMEOUT counts from the first retransmission and clamps the back-off (measured 3.42 s for 3000 ms)", () => {
  const end = new TcpEndMachine(tcpEnd({ userTimeoutMs: 3000 }), 0);
  end.handleSent(0);
  assert.deepEqual(runUnanswered(end).at(-1), [3402, "give-up"]);
});

test("retransmission: an acknowledgement ends it", () => {
  const end = new TcpEndMachine(tcpEnd(), 0);
  end.handleSent(0);
  end.handleTimeout(201);
  end.handleAcknowledgement(300);
  assert.equal(end.isInFlight, false);
  assert.equal(end.nextTimeout(), undefined);
});
