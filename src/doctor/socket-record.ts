/**
 * A TCP socket as the doctor sees it: what the kernel told (netlink/inet-diag.ts), who has it, and, where they could be read, its
 * options. Pure values and what follows from them directly. Verdicts: socket-verdict.ts; made by socket-table.ts.
 */
import { type DiagSocket, DiagTimer, TcpDiagState } from "../netlink/inet-diag.ts";
import type { SocketHolder } from "./selector.ts";

/** What getsockopt(2) said through a duplicate of the descriptor. */
export interface SocketOptions {
  readonly isKeepaliveOn: boolean;
  readonly idleMs: number;
  readonly intervalMs: number;
  readonly probeCount: number;
  /** TCP_USER_TIMEOUT; 0 = the kernel's default. */
  readonly userTimeoutMs: number;
}

export interface SocketRecord {
  readonly diag: DiagSocket;
  /** Who has it among its descriptors: none, one, several (fork(2), SCM_RIGHTS). Those that we may not look into are missing. */
  readonly holders: readonly SocketHolder[];
  /** undefined: not read, or not allowed. */
  readonly options: SocketOptions | undefined;
}

/** The words of ss(8) and netstat(8), as RFC 9293 §3.3.2 writes them, with underscores. */
export const STATE_NAMES: readonly string[] = [
  "UNKNOWN",
  "ESTABLISHED",
  "SYN_SENT",
  "SYN_RECV",
  "FIN_WAIT1",
  "FIN_WAIT2",
  "TIME_WAIT",
  "CLOSE",
  "CLOSE_WAIT",
  "LAST_ACK",
  "LISTEN",
  "CLOSING",
  "SYN_RECV",
];

export function stateName(state: number): string {
  return STATE_NAMES[state] ?? "UNKNOWN";
}

/** States in which our side may still send and keepalive works. */
export function isOpenState(state: number): boolean {
  return state === TcpDiagState.ESTABLISHED || state === TcpDiagState.CLOSE_WAIT;
}

/** Without one all times are the boot of the machine (tcp_init_transfer() and tcp_finish_connect() set them). */
function hadHandshake({ hasInfo, state }: DiagSocket): boolean {
  return hasInfo && state !== TcpDiagState.LISTEN && state !== TcpDiagState.SYN_SENT;
}

/**
 * Milliseconds without payload in either direction; undefined where the kernel keeps no account (TIME_WAIT, listeners, SYN_SENT). Before the
 * first byte has come the time of the last one is the boot of the machine, so it does not count (tcp_get_info(), lrcvtime).
 */
export function idleMsOf(diag: DiagSocket): number | undefined {
  if (!hadHandshake(diag)) return undefined;
  return diag.bytesReceived === 0
    ? diag.lastDataSentMs
    : Math.min(diag.lastDataSentMs, diag.lastDataReceivedMs);
}

/** Milliseconds since the peer gave any sign of life: payload or a valid acknowledgement, an answer to a probe included. */
export function silentMsOf(diag: DiagSocket): number | undefined {
  if (!hadHandshake(diag)) return undefined;
  return diag.bytesReceived === 0
    ? diag.lastAckReceivedMs
    : Math.min(diag.lastAckReceivedMs, diag.lastDataReceivedMs);
}

export type KeepaliveKnowledge = "on" | "off" | "unknown";

/**
 * Whether the kernel probes the peer when idle. The options say it; without them the timer does, unless a retransmission or a window
 * probe hides it (inet_sk_diag_fill(), net/ipv4/inet_diag.c). The timer of FIN_WAIT2 is another one.
 */
export function keepaliveOf({ diag, options }: Pick<SocketRecord, "diag" | "options">): KeepaliveKnowledge {
  if (options !== undefined) return options.isKeepaliveOn ? "on" : "off";
  if (!isOpenState(diag.state)) return "unknown";
  if (diag.timer === DiagTimer.KEEPALIVE) return "on";
  return diag.timer === DiagTimer.NONE ? "off" : "unknown";
}

/** `10.0.0.1:80`, `[2001:db8::1]:80`. */
export function formatEndpoint(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

export function localEndpoint(diag: DiagSocket): string {
  return formatEndpoint(diag.localAddress, diag.localPort);
}

/** A listener has no peer. */
export function peerEndpoint(diag: DiagSocket): string {
  return diag.state === TcpDiagState.LISTEN ? "*" : formatEndpoint(diag.peerAddress, diag.peerPort);
}
