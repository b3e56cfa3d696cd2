/**
 * Notices that connections end, from one sample of the socket table to the next and from the kernel's messages about destroyed
 * sockets: who closed first, how, after how long a silence. Pure: samples and their times are arguments. Called by cli/watch.ts.
 *
 * What the states tell (RFC 9293 §3.6): a connection that was seen in FIN_WAIT or TIME_WAIT was closed here first, one in CLOSE_WAIT or
 * LAST_ACK there. One that vanishes while it is ESTABLISHED was reset or aborted, by either side, or closed by the peer and by us
 * within one interval: a sample cannot tell these apart, so it is called `vanished`.
 */
import { type DiagSocket, DiagTimer, TcpDiagState } from "../netlink/inet-diag.ts";
import { idleMsOf, localEndpoint, peerEndpoint } from "./socket-record.ts";
import { firstCloser } from "./socket-summary.ts";

export type EndCause =
  /** FIN, ours first. */
  | "closed-by-us"
  /** FIN, theirs first. */
  | "closed-by-peer"
  /** It was probing without an answer. */
  | "probes-unanswered"
  /** It was retransmitting without an answer. */
  | "data-unanswered"
  /** Reset, aborted or killed; or a close by the peer that was too quick to be seen. */
  | "vanished"
  /** It never was established. */
  | "never-opened";

export interface ConnectionEnd {
  readonly atMs: number;
  readonly local: string;
  readonly remote: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly inode: number;
  readonly cause: EndCause;
  /** The state it was last seen in. */
  readonly lastState: number;
  /** Without payload before it ended; what was sent into the end itself does not count. */
  readonly idleMs: number;
  readonly bytesReceived: number;
  readonly bytesAcked: number;
  /** The kernel told the end itself; otherwise the ages are as of the last sample, plus half an interval. */
  readonly isExact: boolean;
}

interface Tracked {
  diag: DiagSocket;
  seenAtMs: number;
  /** The last silence of at least SILENCE_MIN_MS that our own sending ended and nothing answered. */
  silenceMs: number | undefined;
  /** From the kernel's message about its end. */
  destroyed: DiagSocket | undefined;
  destroyedAtMs: number;
  /** The first sample without it, and whether something of it waited there; undefined: it is still there. */
  missed: { readonly atMs: number; readonly isWaiting: boolean } | undefined;
}

/** Shorter ones are the rhythm of a conversation. */
const SILENCE_MIN_MS = 5000;

export class ConnectionEnds {
  readonly #tracked = new Map<number, Tracked>();
  /** Cookies of connections that are gone from the table while a program still has the socket: the kernel destroys it later. */
  readonly #reported = new Set<number>();
  #isFirst = true;
  readonly #hearsEnds: boolean;

  /**
   * hearsEnds: handleDestroyed() will be called. The kernel sends that message from a work queue, later than the socket leaves
   * the table, so an end without it is decided one sample later.
   */
  constructor(hearsEnds = false) {
    this.#hearsEnds = hearsEnds;
  }

  get openCount(): number {
    let count = 0;
    for (const { missed } of this.#tracked.values()) if (missed === undefined) count++;
    return count;
  }

  /** The kernel destroyed a socket (SKNLGRP_INET_TCP_DESTROY); what became of it is decided at the next sample. */
  handleDestroyed(atMs: number, diag: DiagSocket): void {
    if (this.#reported.delete(diag.cookie)) return;
    const tracked = this.#tracked.get(diag.cookie);
    if (tracked !== undefined) {
      tracked.destroyed = diag;
      tracked.destroyedAtMs = atMs;
    } else if (!this.#isFirst && diag.hasInfo && diag.peerPort !== 0) {
      // It came and went between two samples.
      this.#tracked.set(diag.cookie, {
        diag,
        seenAtMs: atMs,
        silenceMs: undefined,
        destroyed: diag,
        destroyedAtMs: atMs,
        missed: undefined,
      });
    }
  }

  /** A sample of all sockets but listeners: the connections that have ended since the one before. `isLast`: none is left for later. */
  handleSample(atMs: number, sockets: readonly DiagSocket[], isLast = false): ConnectionEnd[] {
    const waiting = new Set<string>();
    const present = new Set<number>();
    for (const diag of sockets) {
      if (isConnection(diag)) {
        present.add(diag.cookie);
        this.#see(atMs, diag);
      } else if (diag.state === TcpDiagState.TIME_WAIT || diag.state === TcpDiagState.FIN_WAIT2)
        waiting.add(pairOf(diag));
    }
    const ends: ConnectionEnd[] = [];
    for (const [cookie, tracked] of this.#tracked) {
      if (present.has(cookie)) continue;
      const isWaiting = waiting.has(pairOf(tracked.diag));
      const isUnheard = this.#hearsEnds && tracked.destroyed === undefined;
      if (isUnheard && tracked.missed === undefined && !isLast) {
        tracked.missed = { atMs, isWaiting };
        continue;
      }
      this.#tracked.delete(cookie);
      if (tracked.destroyed === undefined) this.#reported.add(cookie);
      const missed = tracked.missed ?? { atMs, isWaiting };
      ends.push(endOf(missed.atMs, tracked, isWaiting || missed.isWaiting));
    }
    this.#isFirst = false;
    return ends;
  }

  #see(atMs: number, diag: DiagSocket): void {
    const tracked = this.#tracked.get(diag.cookie);
    if (tracked === undefined) {
      const unknown = { silenceMs: undefined, destroyed: undefined, destroyedAtMs: 0, missed: undefined };
      this.#tracked.set(diag.cookie, { diag, seenAtMs: atMs, ...unknown });
      return;
    }
    tracked.silenceMs = silenceBefore(tracked, atMs, diag);
    tracked.diag = diag;
    tracked.seenAtMs = atMs;
    tracked.missed = undefined;
  }
}

/** What is left of a connection in TIME_WAIT has another cookie, no inode and no account. */
function isConnection(diag: DiagSocket): boolean {
  return diag.hasInfo && diag.state !== TcpDiagState.LISTEN && diag.state !== TcpDiagState.TIME_WAIT;
}

function pairOf(diag: DiagSocket): string {
  return `${diag.localAddress} ${diag.localPort} ${diag.peerAddress} ${diag.peerPort}`;
}

/** The silence that our sending ended since `tracked` was seen, or the earlier one as long as nothing has been received since. */
function silenceBefore(tracked: Tracked, atMs: number, diag: DiagSocket): number | undefined {
  if (diag.bytesReceived > tracked.diag.bytesReceived) return undefined;
  const elapsedMs = atMs - tracked.seenAtMs;
  const idleThenMs = idleMsOf(tracked.diag) ?? 0;
  const hasSent = diag.lastDataSentMs < idleThenMs + elapsedMs - 1;
  if (!hasSent) return tracked.silenceMs;
  const silenceMs = idleThenMs + elapsedMs - diag.lastDataSentMs;
  return tracked.silenceMs ?? (silenceMs >= SILENCE_MIN_MS ? silenceMs : undefined);
}

function endOf(atMs: number, tracked: Tracked, isWaiting: boolean): ConnectionEnd {
  const { diag, destroyed } = tracked;
  const isExact = destroyed !== undefined;
  // Halfway between the sample that saw it and the one that did not.
  const endedAtMs = isExact ? tracked.destroyedAtMs : (tracked.seenAtMs + atMs) / 2;
  const last = destroyed ?? diag;
  const idleNowMs = (idleMsOf(last) ?? 0) + (isExact ? 0 : endedAtMs - tracked.seenAtMs);
  const silenceMs = isExact ? silenceBefore(tracked, endedAtMs, last) : tracked.silenceMs;
  const cause = causeOf(diag, destroyed, isWaiting);
  return {
    atMs: endedAtMs,
    local: localEndpoint(diag),
    remote: peerEndpoint(diag),
    localPort: diag.localPort,
    remoteAddress: diag.peerAddress,
    inode: diag.inode,
    cause,
    lastState: diag.state,
    // Before the handshake the kernel's ages are the boot of the machine.
    idleMs: cause === "never-opened" ? 0 : Math.round(Math.max(idleNowMs, silenceMs ?? 0)),
    bytesReceived: last.bytesReceived,
    bytesAcked: last.bytesAcked,
    isExact,
  };
}

/** An established connection has measured its handshake. */
function hasHeardPeer({ rttUs, bytesAcked, bytesReceived }: DiagSocket): boolean {
  return rttUs > 0 || bytesAcked > 0 || bytesReceived > 0;
}

function causeOf(last: DiagSocket, destroyed: DiagSocket | undefined, isWaiting: boolean): EndCause {
  if (isWaiting) return "closed-by-us";
  if (last.timer === DiagTimer.RETRANSMIT && last.retransmits >= 2) {
    return last.state === TcpDiagState.SYN_SENT ? "never-opened" : "data-unanswered";
  }
  if (last.timer === DiagTimer.KEEPALIVE && last.timerCount > 0) return "probes-unanswered";
  const closer = firstCloser(last.state);
  if (closer !== undefined) return closer === "us" ? "closed-by-us" : "closed-by-peer";
  const isOpening =
    last.state === TcpDiagState.SYN_SENT ||
    last.state === TcpDiagState.SYN_RECV ||
    (last.state === TcpDiagState.CLOSE && !hasHeardPeer(last));
  if (isOpening) return "never-opened";
  // A FIN counts as one byte received: one alone, since the connection was seen quiet, is the peer's FIN.
  const isFinAlone = destroyed !== undefined && destroyed.bytesReceived - last.bytesReceived === 1;
  return isFinAlone ? "closed-by-peer" : "vanished";
}
