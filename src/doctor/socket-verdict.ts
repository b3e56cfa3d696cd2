/**
 * What is to be said about one TCP socket: is the peer there, who would notice if it were not, and when. Pure; called by the
 * listings, the summary and the death watch. Facts of the kernel: docs/guide; arithmetic: detection-time.ts.
 */
import { type DiagSocket, DiagTimer, TcpDiagState } from "../netlink/inet-diag.ts";
import {
  assumedOptions,
  idleDetectionMs,
  inFlightDetectionMs,
  probingLeftMs,
  type RetransmissionProgress,
  retransmissionLeftMs,
  type TcpSysctls,
  windowProbesLeftMs,
} from "./detection-time.ts";
import {
  isOpenState,
  type KeepaliveKnowledge,
  keepaliveOf,
  type SocketOptions,
  type SocketRecord,
  silentMsOf,
} from "./socket-record.ts";
import { spokenDuration } from "./spoken-duration.ts";

/** Worst first: the order in which sockets are listed. */
export const VERDICT_KINDS = [
  /** Retransmitting, or probing a closed window, without an answer. */
  "dying",
  /** Keepalive probes are unanswered. */
  "probing",
  /** No keepalive, nothing in flight: a dead peer is never noticed. */
  "unguarded",
  /** Keepalive is on, and nothing has been heard lately. */
  "guarded",
  /** The peer was heard within the last seconds. */
  "alive",
  /** On its way up (SYN_SENT, SYN_RECV). */
  "opening",
  /** On its way down, by whoever closed first. */
  "closing",
  "TIME_WAIT",
  "listening",
] as const;
export type VerdictKind = (typeof VERDICT_KINDS)[number];

export interface SocketVerdict {
  readonly kind: VerdictKind;
  /** The half-sentence in brackets. */
  readonly reason: string;
  readonly keepalive: KeepaliveKnowledge;
  /** Until the kernel gives the peer up; undefined: it is not about to. */
  readonly givesUpInMs: number | undefined;
  /** The peer may be gone: nothing was heard for long and nobody asked, or questions are unanswered. */
  readonly isHalfOpenSuspect: boolean;
  /** From the last sign of life until a peer that has vanished is noticed; undefined: never, or unknown (keepalive says which). */
  readonly detectIdleMs: number | undefined;
  /** The same from the sending of data. */
  readonly detectInFlightMs: number | undefined;
  /** The options were not read: the namespace's own values (net.ipv4.tcp_*) were taken instead. */
  readonly isAssumed: boolean;
}

/** Heard so lately: no need to ask. */
const ALIVE_WITHIN_MS = 10_000;
/** One retransmission is everyday loss. */
const RETRANSMITS_OF_THE_DYING = 2;
/** Above the time-outs of most boxes that cut idle connections (60 s to 900 s). */
const SUSPECT_AFTER_MS = 900_000;
/** An answered probe leaves the acknowledgement this much younger than the last payload. */
const ANSWER_MARGIN_MS = 1000;

export function verdictOf(
  socket: Pick<SocketRecord, "diag" | "options">,
  sysctls: TcpSysctls,
): SocketVerdict {
  const { diag } = socket;
  const keepalive = keepaliveOf(socket);
  const options = socket.options ?? assumedOptions(keepalive === "on", sysctls);
  const isAssumed = socket.options === undefined;
  const isOpen = isOpenState(diag.state);
  const finding = findingOf(diag, keepalive, options, isAssumed, sysctls);
  return {
    kind: finding.kind,
    reason: finding.reason,
    keepalive,
    givesUpInMs: finding.givesUpInMs,
    isHalfOpenSuspect: finding.isSuspect ?? false,
    detectIdleMs: isOpen && keepalive === "on" ? idleDetectionMs(options) : undefined,
    detectInFlightMs: isOpen
      ? inFlightDetectionMs(quietRtoMs(diag), options.userTimeoutMs, sysctls)
      : undefined,
    isAssumed,
  };
}

interface Finding {
  readonly kind: VerdictKind;
  readonly reason: string;
  readonly givesUpInMs?: number | undefined;
  readonly isSuspect?: boolean;
}

function findingOf(
  diag: DiagSocket,
  keepalive: KeepaliveKnowledge,
  options: SocketOptions,
  isAssumed: boolean,
  sysctls: TcpSysctls,
): Finding {
  switch (diag.state) {
    case TcpDiagState.LISTEN:
      return { kind: "listening", reason: listenerReason(keepalive) };
    case TcpDiagState.TIME_WAIT:
      return { kind: "TIME_WAIT", reason: "we closed first" };
    case TcpDiagState.SYN_SENT:
      return { kind: "opening", reason: `no answer to our SYN yet${times(diag.retransmits, "sent again")}` };
    case TcpDiagState.SYN_RECV:
    case TcpDiagState.NEW_SYN_RECV:
      return {
        kind: "opening",
        reason: `the peer has not acknowledged our SYN-ACK yet${times(diag.timerCount, "sent again")}`,
      };
    default:
      return (
        retransmissionFinding(diag, options, isAssumed, sysctls) ??
        windowFinding(diag, sysctls) ??
        closingFinding(diag) ??
        openFinding(diag, keepalive, options, isAssumed)
      );
  }
}

function listenerReason(keepalive: KeepaliveKnowledge): string {
  if (keepalive === "unknown") return "what it accepts inherits its options";
  return keepalive === "on"
    ? "what it accepts is guarded: it inherits keepalive"
    : "what it accepts is unguarded, unless its program sets keepalive";
}

/** undefined: no more than one retransmission is pending. */
function retransmissionFinding(
  diag: DiagSocket,
  options: SocketOptions,
  isAssumed: boolean,
  sysctls: TcpSysctls,
): Finding | undefined {
  if (diag.timer !== DiagTimer.RETRANSMIT || diag.retransmits < RETRANSMITS_OF_THE_DYING) return undefined;
  const isOrphan = diag.inode === 0;
  const givesUpInMs = retransmissionLeftMs(
    retransmissionProgress(diag, isOrphan),
    options.userTimeoutMs,
    sysctls,
  );
  const unlessTimeout = isAssumed && !isOrphan ? ", sooner with TCP_USER_TIMEOUT" : "";
  return {
    kind: "dying",
    reason: `retransmitting, ${diag.retransmits} unanswered, gives up in ${spokenDuration(givesUpInMs)}${unlessTimeout}`,
    givesUpInMs,
    isSuspect: true,
  };
}

function retransmissionProgress(diag: DiagSocket, isOrphan: boolean): RetransmissionProgress {
  return {
    rtoMs: diag.rtoUs / 1000,
    timerLeftMs: diag.timerLeftMs,
    count: diag.retransmits,
    backoff: diag.backoff,
    rttMs: diag.rttUs / 1000,
    rttVariationMs: diag.rttVariationUs / 1000,
    isOrphan,
  };
}

/** The peer's window is closed, and the kernel asks when it opens (RFC 9293 §3.8.6.1). */
function windowFinding(diag: DiagSocket, sysctls: TcpSysctls): Finding | undefined {
  if (diag.timer !== DiagTimer.WINDOW_PROBE) return undefined;
  const unanswered = diag.probes;
  const sinceAck = spokenDuration(diag.lastAckReceivedMs);
  if (unanswered < RETRANSMITS_OF_THE_DYING)
    return { kind: "alive", reason: `the peer does not read: its window is closed, heard ${sinceAck} ago` };
  const givesUpInMs = windowProbesLeftMs(
    { unanswered, timerLeftMs: diag.timerLeftMs, rtoMs: diag.rtoUs / 1000, backoff: diag.backoff },
    sysctls,
  );
  return {
    kind: "dying",
    reason: `${unanswered} probes of a closed window unanswered, gives up in ${spokenDuration(givesUpInMs)}`,
    givesUpInMs,
    isSuspect: true,
  };
}

function closingFinding(diag: DiagSocket): Finding | undefined {
  switch (diag.state) {
    case TcpDiagState.FIN_WAIT1:
      return { kind: "closing", reason: "we closed first; our FIN is not acknowledged yet" };
    case TcpDiagState.FIN_WAIT2:
      return {
        kind: "closing",
        reason:
          diag.inode === 0
            ? `we closed first; waits ${spokenDuration(diag.timerLeftMs)} more for the peer's FIN`
            : "we closed first; the peer still may send",
      };
    case TcpDiagState.CLOSING:
      return { kind: "closing", reason: "both sides closed at the same time" };
    case TcpDiagState.LAST_ACK:
      return { kind: "closing", reason: "the peer closed first; our FIN is not acknowledged yet" };
    case TcpDiagState.CLOSE_WAIT:
      // Not on its way down unless the program does something: judged like an open connection, with this said.
      return undefined;
    case TcpDiagState.ESTABLISHED:
      return undefined;
    default:
      return { kind: "closing", reason: "not connected" };
  }
}

/** ESTABLISHED and CLOSE_WAIT, with at most one retransmission pending. */
function openFinding(
  diag: DiagSocket,
  keepalive: KeepaliveKnowledge,
  options: SocketOptions,
  isAssumed: boolean,
): Finding {
  const silentMs = silentMsOf(diag) ?? 0;
  // No file belongs to it yet: the three-way handshake is over, accept(2) has not been called.
  const waiting = diag.inode === 0 ? "; waits for accept(2), the program has not taken it yet" : "";
  const closed =
    diag.state === TcpDiagState.CLOSE_WAIT
      ? `; the peer closed first, the program has not closed yet${waiting}`
      : waiting;
  if (diag.timer === DiagTimer.KEEPALIVE && diag.timerCount > 0)
    return probingFinding(diag, options, isAssumed, silentMs, closed);
  if (silentMs <= ALIVE_WITHIN_MS) {
    const without = keepalive === "off" ? "; no keepalive" : "";
    return { kind: "alive", reason: `heard a moment ago${without}${closed}` };
  }
  // Silent so far, and the kernel is asking: neither a sign of life nor a socket that nobody watches.
  if (diag.timer === DiagTimer.RETRANSMIT)
    return { kind: "guarded", reason: `data in flight, not acknowledged yet${closed}` };
  if (keepalive === "off")
    return {
      kind: "unguarded",
      reason: `no keepalive: a dead peer is never noticed${closed}`,
      isSuspect: silentMs >= SUSPECT_AFTER_MS,
    };
  if (isProbeAnswered(diag)) return { kind: "alive", reason: `answers probes${closed}` };
  return { kind: "guarded", reason: `the peer is asked when idle${closed}` };
}

function probingFinding(
  diag: DiagSocket,
  options: SocketOptions,
  isAssumed: boolean,
  silentMs: number,
  closed: string,
): Finding {
  const unanswered = diag.timerCount;
  const leftMs = probingLeftMs({ unanswered, timerLeftMs: diag.timerLeftMs, silentMs }, options);
  const of = isAssumed ? "" : ` of ${options.probeCount}`;
  const end = isAssumed || leftMs === undefined ? "" : `, gives up in ${spokenDuration(leftMs)}`;
  return {
    kind: "probing",
    reason: `${unanswered}${of} ${unanswered === 1 ? "probe" : "probes"} unanswered${end}${closed}`,
    givesUpInMs: isAssumed ? undefined : leftMs,
    isSuspect: true,
  };
}

/** Payload is older than the last acknowledgement, and nothing was sent that it could belong to. */
function isProbeAnswered(diag: DiagSocket): boolean {
  const lastPayloadMs =
    diag.bytesReceived === 0 ? diag.lastDataSentMs : Math.min(diag.lastDataSentMs, diag.lastDataReceivedMs);
  return diag.lastAckReceivedMs + ANSWER_MARGIN_MS < lastPayloadMs;
}

/** The retransmission time-out as it was before its doublings. */
function quietRtoMs(diag: DiagSocket): number {
  const { rtoUs, rttUs, rttVariationUs } = diag;
  return (diag.backoff === 0 ? rtoUs : rttUs + Math.max(200_000, 4 * rttVariationUs)) / 1000;
}

function times(count: number, what: string): string {
  return count === 0 ? "" : `, ${what} ${count} ${count === 1 ? "time" : "times"}`;
}
