/** Sockets for tests: an idle established connection with nothing special about it, and what a test changes in it. */
import type { DiagSocket } from "../netlink/inet-diag.ts";
import type { SocketOptions, SocketRecord } from "./socket-record.ts";

export const QUIET_CONNECTION: DiagSocket = {
  family: 4,
  state: 1,
  localAddress: "10.0.0.1",
  localPort: 8080,
  peerAddress: "10.0.0.2",
  peerPort: 40_000,
  interfaceIndex: 0,
  cookie: 1,
  uid: 0,
  inode: 1000,
  timer: 0,
  timerCount: 0,
  timerLeftMs: 0,
  receiveQueueBytes: 0,
  sendQueueBytes: 0,
  hasInfo: true,
  retransmits: 0,
  probes: 0,
  backoff: 0,
  rtoUs: 204_000,
  rttUs: 4000,
  rttVariationUs: 2000,
  unackedSegments: 0,
  notSentBytes: 0,
  lastDataSentMs: 60_000,
  lastDataReceivedMs: 60_000,
  lastAckReceivedMs: 60_000,
  bytesAcked: 100,
  bytesReceived: 100,
  segmentsOut: 3,
  segmentsIn: 3,
  totalRetransmits: 0,
};

export const PROBING_OPTIONS: SocketOptions = {
  isKeepaliveOn: true,
  idleMs: 60_000,
  intervalMs: 10_000,
  probeCount: 6,
  userTimeoutMs: 0,
};

export function diagOf(changes: Partial<DiagSocket> = {}): DiagSocket {
  return { ...QUIET_CONNECTION, ...changes };
}

export function socketOf(changes: Partial<DiagSocket> = {}, rest: Partial<SocketRecord> = {}): SocketRecord {
  return { diag: diagOf(changes), holders: [], options: undefined, ...rest };
}
