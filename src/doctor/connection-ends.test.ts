import assert from "node:assert/strict";
import { test } from "node:test";
import { type DiagSocket, DiagTimer, TcpDiagState } from "../netlink/inet-diag.ts";
import { type ConnectionEnd, ConnectionEnds } from "./connection-ends.ts";
import { diagOf } from "./socket-fixtures.ts";

/** Payload so long ago, in both directions. */
function quietFor(ms: number, changes: Partial<DiagSocket> = {}): DiagSocket {
  return diagOf({ lastDataSentMs: ms, lastDataReceivedMs: ms, lastAckReceivedMs: ms, ...changes });
}

/** The end of one connection that was last seen like this, gone from the next sample. */
function endAfter(last: DiagSocket, others: readonly DiagSocket[] = []): ConnectionEnd {
  const ends = new ConnectionEnds();
  assert.deepEqual(ends.handleSample(0, [last]), []);
  const [end, ...more] = ends.handleSample(2000, others);
  assert.deepEqual(more, []);
  assert.ok(end !== undefined);
  return end;
}

test("gone from the table, and in TIME_WAIT: closed here first", () => {
  const left = diagOf({ cookie: 99, inode: 0, hasInfo: false, state: TcpDiagState.TIME_WAIT });
  assert.equal(endAfter(quietFor(5000), [left]).cause, "closed-by-us");
});

test("the last state tells who closed first", () => {
  assert.equal(endAfter(quietFor(1, { state: TcpDiagState.FIN_WAIT1 })).cause, "closed-by-us");
  assert.equal(endAfter(quietFor(1, { state: TcpDiagState.LAST_ACK })).cause, "closed-by-peer");
  assert.equal(endAfter(quietFor(1, { state: TcpDiagState.CLOSE_WAIT })).cause, "closed-by-peer");
  assert.equal(endAfter(quietFor(1, { state: TcpDiagState.SYN_SENT })).cause, "never-opened");
});

test("unanswered probes and unanswered data are causes of their own", () => {
  const probing = { timer: DiagTimer.KEEPALIVE, timerCount: 3 };
  assert.equal(endAfter(quietFor(1, probing)).cause, "probes-unanswered");
  const resending = { timer: DiagTimer.RETRANSMIT, timerCount: 6, retransmits: 6 };
  assert.equal(endAfter(quietFor(1, resending)).cause, "data-unanswered");
});

test("established and then gone: vanished; its age is that of the sample and half an interval", () => {
  const end = endAfter(quietFor(348_000));
  assert.deepEqual([end.cause, end.idleMs, end.isExact], ["vanished", 349_000, false]);
});

test("the kernel's message about the end makes the age exact", () => {
  const ends = new ConnectionEnds();
  ends.handleSample(0, [quietFor(348_000)]);
  ends.handleDestroyed(2100, quietFor(350_050, { state: TcpDiagState.CLOSE }));
  const [end] = ends.handleSample(4000, []);
  assert.deepEqual([end?.cause, end?.idleMs, end?.isExact], ["vanished", 350_050, true]);
});

test("a FIN counts as one received byte: the peer closed, though the sample never saw it", () => {
  const ends = new ConnectionEnds();
  ends.handleSample(0, [quietFor(58_000)]);
  ends.handleDestroyed(2000, quietFor(60_000, { state: TcpDiagState.CLOSE, bytesReceived: 101 }));
  assert.equal(ends.handleSample(4000, [])[0]?.cause, "closed-by-peer");
});

test("what was sent into a dead connection does not hide the silence before it", () => {
  const ends = new ConnectionEnds();
  ends.handleSample(0, [quietFor(351_000)]);
  // 1 s later the program spoke and was answered by a reset at once.
  ends.handleDestroyed(1100, quietFor(352_100, { state: TcpDiagState.CLOSE, lastDataSentMs: 100 }));
  assert.equal(ends.handleSample(2000, [])[0]?.idleMs, 352_000);
});

test("the silence is remembered while retransmissions go on, and forgotten when the peer answers", () => {
  const silentThenSent = (answered: boolean): number => {
    const ends = new ConnectionEnds();
    ends.handleSample(0, [quietFor(400_000)]);
    ends.handleSample(2000, [quietFor(402_000, { lastDataSentMs: 1000 })]);
    const bytesReceived = answered ? 150 : 100;
    ends.handleSample(4000, [
      quietFor(404_000, {
        lastDataSentMs: 3000,
        bytesReceived,
        lastDataReceivedMs: answered ? 1000 : 404_000,
      }),
    ]);
    return ends.handleSample(6000, [])[0]!.idleMs;
  };
  assert.equal(silentThenSent(false), 401_000);
  assert.equal(silentThenSent(true), 2000);
});

test("a socket that its program keeps after a reset is reported once", () => {
  const ends = new ConnectionEnds();
  ends.handleSample(0, [quietFor(6000)]);
  assert.equal(ends.handleSample(2000, []).length, 1);
  ends.handleDestroyed(9000, quietFor(15_000, { state: TcpDiagState.CLOSE }));
  assert.equal(ends.handleSample(10_000, []).length, 0);
});

test("connections that came and went between two samples are counted; those before the first are not", () => {
  const ends = new ConnectionEnds();
  ends.handleDestroyed(0, quietFor(1, { cookie: 5 }));
  ends.handleSample(1, []);
  ends.handleDestroyed(500, quietFor(1, { cookie: 6 }));
  assert.equal(ends.handleSample(2000, []).length, 1);
});

test("listeners and what is in TIME_WAIT are no connections that could end", () => {
  const ends = new ConnectionEnds();
  ends.handleSample(0, [
    diagOf({ state: TcpDiagState.LISTEN, peerPort: 0 }),
    diagOf({ cookie: 2, state: TcpDiagState.TIME_WAIT, hasInfo: false }),
  ]);
  assert.equal(ends.openCount, 0);
  assert.deepEqual(ends.handleSample(2000, []), []);
});

test("a connection that never opened was never idle: before the handshake the kernel's ages are the boot of the machine", () => {
  const unheard = { rttUs: 0, bytesAcked: 0, bytesReceived: 0 };
  assert.equal(endAfter(quietFor(16_920_000, { state: TcpDiagState.SYN_SENT, ...unheard })).idleMs, 0);
  const ends = new ConnectionEnds();
  ends.handleSample(0, []);
  ends.handleDestroyed(500, quietFor(16_920_000, { state: TcpDiagState.CLOSE, ...unheard }));
  const [end] = ends.handleSample(2000, []);
  assert.deepEqual([end?.cause, end?.idleMs], ["never-opened", 0]);
});

test("the kernel's message about an end may come after the sample that misses it: decided one sample later", () => {
  const ends = new ConnectionEnds(true);
  ends.handleSample(0, [quietFor(58_000)]);
  assert.deepEqual(ends.handleSample(2000, []), []);
  assert.equal(ends.openCount, 0);
  ends.handleDestroyed(2010, quietFor(60_000, { state: TcpDiagState.CLOSE, bytesReceived: 101 }));
  assert.equal(ends.handleSample(4000, [])[0]?.cause, "closed-by-peer");
  assert.deepEqual(ends.handleSample(6000, []), []);
});

test("without a message the end is told at the next sample, or at the last one, as of the sample that missed it", () => {
  for (const isLast of [false, true]) {
    const ends = new ConnectionEnds(true);
    ends.handleSample(0, [quietFor(58_000)]);
    if (!isLast) assert.deepEqual(ends.handleSample(2000, []), []);
    const [end] = ends.handleSample(isLast ? 2000 : 4000, [], isLast);
    assert.equal(end?.cause, "vanished");
    assert.equal(end?.atMs, 1000);
  }
});
