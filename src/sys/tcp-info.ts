/**
 * TCP_INFO: the kernel's own account of one connection (struct tcp_info, include/uapi/linux/tcp.h; the layout is
 * append-only and the same on every 64-bit Linux). The gateway reads two facts when a connection fails: whether
 * probes were outstanding (a keepalive death) and how many bytes the peer acknowledged (the proof that a request
 * was never received). The doctor and the library holdfast/tcp read all of it. Reading changes nothing in the socket.
 */
import { bindFunction } from "./libc.ts";
import { allocate } from "./memory.ts";

const getsockopt_ = bindFunction("int getsockopt(int, int, int, uintptr_t, uintptr_t)");

const IPPROTO_TCP = 6;
const TCP_INFO = 11;

/** Byte offsets in struct tcp_info. */
const STATE = 0;
const RETRANSMITS = 2;
const PROBES = 3;
const BACKOFF = 4;
const RTO_US = 8;
const UNACKED = 24;
const LAST_DATA_SENT_MS = 44;
const LAST_DATA_RECV_MS = 52;
const LAST_ACK_RECV_MS = 56;
const RTT_US = 68;
const RTT_VARIANCE_US = 72;
const TOTAL_RETRANSMITS = 100;
const BYTES_ACKED = 120; // u64, Linux 4.1
const BYTES_RECEIVED = 128; // u64, Linux 4.1
const SEGMENTS_OUT = 136; // Linux 4.2
const SEGMENTS_IN = 140; // Linux 4.2
const NOT_SENT_BYTES = 144; // Linux 4.6
const LENGTH = 232;

export const TcpState = {
  ESTABLISHED: 1,
  SYN_SENT: 2,
  SYN_RECV: 3,
  FIN_WAIT1: 4,
  FIN_WAIT2: 5,
  TIME_WAIT: 6,
  CLOSE: 7,
  CLOSE_WAIT: 8,
  LAST_ACK: 9,
  LISTEN: 10,
  CLOSING: 11,
} as const;

export interface TcpInfo {
  /** A value of TcpState. */
  readonly state: number;
  readonly retransmits: number;
  /** Unanswered keepalive (or zero-window) probes. */
  readonly probes: number;
  /** How often the retransmission time-out has been doubled. */
  readonly backoff: number;
  readonly retransmissionTimeoutMs: number;
  /** Segments in flight. */
  readonly unackedSegments: number;
  /** Milliseconds ago; the age of the connection where there was none. */
  readonly lastDataSentMs: number;
  readonly lastDataReceivedMs: number;
  readonly lastAckReceivedMs: number;
  /** Smoothed round-trip time; 0 before the first measurement. */
  readonly roundTripMs: number;
  readonly roundTripVarianceMs: number;
  readonly totalRetransmits: number;
  /** Payload bytes the peer acknowledged since the connection began; the SYN counts as one on an active open. */
  readonly bytesAcked: number;
  readonly bytesReceived: number;
  readonly segmentsOut: number;
  readonly segmentsIn: number;
  /** Payload that waits to be sent for the first time (a full congestion or receive window). */
  readonly notSentBytes: number;
}

const info = allocate(256);

/** undefined where the kernel refuses (not a TCP socket, or already closed). */
export function getTcpInfo(fd: number): TcpInfo | undefined {
  info.bytes.fill(0);
  info.bytes.writeUInt32LE(LENGTH, 240);
  if (getsockopt_(fd, IPPROTO_TCP, TCP_INFO, info.address, info.address + 240) === -1) return undefined;
  const { bytes } = info;
  return {
    state: bytes.readUInt8(STATE),
    retransmits: bytes.readUInt8(RETRANSMITS),
    probes: bytes.readUInt8(PROBES),
    backoff: bytes.readUInt8(BACKOFF),
    retransmissionTimeoutMs: bytes.readUInt32LE(RTO_US) / 1000,
    unackedSegments: bytes.readUInt32LE(UNACKED),
    lastDataSentMs: bytes.readUInt32LE(LAST_DATA_SENT_MS),
    lastDataReceivedMs: bytes.readUInt32LE(LAST_DATA_RECV_MS),
    lastAckReceivedMs: bytes.readUInt32LE(LAST_ACK_RECV_MS),
    roundTripMs: bytes.readUInt32LE(RTT_US) / 1000,
    roundTripVarianceMs: bytes.readUInt32LE(RTT_VARIANCE_US) / 1000,
    totalRetransmits: bytes.readUInt32LE(TOTAL_RETRANSMITS),
    bytesAcked: Number(bytes.readBigUInt64LE(BYTES_ACKED)),
    bytesReceived: Number(bytes.readBigUInt64LE(BYTES_RECEIVED)),
    segmentsOut: bytes.readUInt32LE(SEGMENTS_OUT),
    segmentsIn: bytes.readUInt32LE(SEGMENTS_IN),
    notSentBytes: bytes.readUInt32LE(NOT_SENT_BYTES),
  };
}
