import assert from "node:assert/strict";
import { test } from "node:test";
import { DiagTimer, TcpDiagState } from "../netlink/inet-diag.ts";
import { DEFAULT_TCP_SYSCTLS } from "./detection-time.ts";
import { PROBING_OPTIONS, socketOf } from "./socket-fixtures.ts";
import { type SocketVerdict, verdictOf } from "./socket-verdict.ts";

function verdict(...socket: Parameters<typeof socketOf>): SocketVerdict {
  return verdictOf(socketOf(...socket), DEFAULT_TCP_SYSCTLS);
}

test("no timer on an idle connection is no keepalive: unguarded, never detected while idle", () => {
  const it = verdict();
  assert.equal(it.kind, "unguarded");
  assert.match(it.reason, /never noticed/);
  assert.equal(it.keepalive, "off");
  assert.equal(it.detectIdleMs, undefined);
  assert.equal(it.detectInFlightMs, 928_692);
  assert.equal(it.isHalfOpenSuspect, false);
});

test("an unguarded connection that has been silent for 15 minutes may be half-open", () => {
  const long = { lastDataSentMs: 900_000, lastDataReceivedMs: 900_000, lastAckReceivedMs: 900_000 };
  assert.equal(verdict(long).isHalfOpenSuspect, true);
  assert.equal(verdict({ ...long, lastAckReceivedMs: 1000 }).isHalfOpenSuspect, false);
});

test("before the first payload the age of the last one means nothing and is not believed", () => {
  assert.equal(verdict({ bytesReceived: 0, lastDataReceivedMs: 1 }).kind, "unguarded");
});

test("the peer was heard within seconds: alive, and the missing keepalive is still said", () => {
  const it = verdict({ lastDataReceivedMs: 500 });
  assert.equal(it.kind, "alive");
  assert.match(it.reason, /no keepalive/);
});

test("a keepalive timer at rest guards; an acknowledgement younger than the payload is an answered probe", () => {
  assert.equal(verdict({ timer: DiagTimer.KEEPALIVE }).kind, "guarded");
  const answered = verdict({ timer: DiagTimer.KEEPALIVE, lastAckReceivedMs: 20_000 });
  assert.equal(answered.kind, "alive");
  assert.match(answered.reason, /answers probes/);
});

test("unanswered probes: probing, and with the options also until when", () => {
  const timer = { timer: DiagTimer.KEEPALIVE, timerCount: 2, timerLeftMs: 4000 };
  const blind = verdict(timer);
  assert.equal(blind.kind, "probing");
  assert.equal(blind.givesUpInMs, undefined);
  assert.equal(blind.isAssumed, true);
  const seen = verdict(timer, { options: PROBING_OPTIONS });
  assert.equal(seen.givesUpInMs, 44_000);
  assert.equal(seen.reason, "2 of 6 probes unanswered, gives up in 44 s");
  assert.equal(seen.detectIdleMs, 120_000);
  assert.equal(seen.isHalfOpenSuspect, true);
});

test("the retransmission timer hides keepalive: its state is unknown, unless the options were read", () => {
  const inFlight = { timer: DiagTimer.RETRANSMIT, unackedSegments: 1 };
  assert.equal(verdict(inFlight).keepalive, "unknown");
  assert.equal(verdict(inFlight, { options: PROBING_OPTIONS }).keepalive, "on");
  assert.equal(verdict(inFlight).kind, "guarded");
});

test("retransmitting again and again: dying, with the time that is left", () => {
  const it = verdict({
    timer: DiagTimer.RETRANSMIT,
    timerCount: 4,
    retransmits: 4,
    backoff: 4,
    rtoUs: 3_200_000,
    timerLeftMs: 1000,
  });
  assert.equal(it.kind, "dying");
  assert.equal(it.givesUpInMs, 1_044_600 - 5200);
  assert.match(it.reason, /^retransmitting, 4 unanswered, gives up in .*, sooner with TCP_USER_TIMEOUT$/);
});

test("one retransmission is everyday loss", () => {
  assert.equal(verdict({ timer: DiagTimer.RETRANSMIT, timerCount: 1, retransmits: 1 }).kind, "guarded");
});

test("a closed window that is answered for is a reader that sleeps; unanswered, it is dying", () => {
  assert.match(verdict({ timer: DiagTimer.WINDOW_PROBE }).reason, /does not read/);
  assert.equal(verdict({ timer: DiagTimer.WINDOW_PROBE, probes: 3, timerCount: 3 }).kind, "dying");
});

test("who closed first follows from the state", () => {
  const reason = (state: number, inode = 1): string => verdict({ state, inode, timerLeftMs: 60_000 }).reason;
  assert.equal(reason(TcpDiagState.TIME_WAIT), "we closed first");
  assert.match(reason(TcpDiagState.FIN_WAIT1), /^we closed first/);
  assert.match(reason(TcpDiagState.FIN_WAIT2), /peer still may send/);
  assert.match(reason(TcpDiagState.FIN_WAIT2, 0), /waits 60 s more/);
  assert.match(reason(TcpDiagState.LAST_ACK), /^the peer closed first/);
  assert.match(reason(TcpDiagState.CLOSING), /both/);
  assert.match(reason(TcpDiagState.CLOSE_WAIT), /the peer closed first, the program has not closed yet/);
});

test("a listener is judged by what it hands on (options are inherited, tcp_minisocks.c)", () => {
  const listening = { state: TcpDiagState.LISTEN };
  assert.match(verdict(listening).reason, /inherits/);
  assert.match(verdict(listening, { options: PROBING_OPTIONS }).reason, /guarded/);
  assert.match(
    verdict(listening, { options: { ...PROBING_OPTIONS, isKeepaliveOn: false } }).reason,
    /unguarded/,
  );
});

test("connections on their way up say how often they have asked", () => {
  assert.match(verdict({ state: TcpDiagState.SYN_SENT, retransmits: 2 }).reason, /sent again 2 times/);
  assert.equal(verdict({ state: TcpDiagState.SYN_RECV }).kind, "opening");
});

test("data sent after a long silence and not acknowledged yet is no sign of life, with keepalive off or unknown", () => {
  const inFlight = { timer: DiagTimer.RETRANSMIT, unackedSegments: 1, lastDataSentMs: 100 };
  for (const it of [
    verdict(inFlight),
    verdict(inFlight, { options: { ...PROBING_OPTIONS, isKeepaliveOn: false } }),
  ]) {
    assert.equal(it.kind, "guarded");
    assert.match(it.reason, /not acknowledged yet/);
  }
});

test("a connection that no program has accepted yet says so", () => {
  assert.match(verdict({ inode: 0 }).reason, /waits for accept\(2\)/);
  assert.doesNotMatch(verdict().reason, /accept/);
});
