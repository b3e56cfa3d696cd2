/**
 * TCP_INFO: the kernel's own account of one connection (struct tcp_info, include/uapi/linux/tcp.h; the layout is
 * append-only and the same on every 64-bit Linux). The gateway reads two facts when a connection fails: whether
 * probes were outstanding (a keepalive death) and how many bytes the peer acknowledged (the proof that a request
 * was never received).
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
const UNACKED = 24;
const LAST_DATA_RECV_MS = 52;
const LAST_ACK_RECV_MS = 56;
const BYTES_ACKED = 120; // u64, Linux 4.1
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
  /** Segments in flight. */
  readonly unackedSegments: number;
  readonly lastDataReceivedMs: number;
  readonly lastAckReceivedMs: number;
  /** Payload bytes the peer acknowledged since the connection began; the SYN counts as one on an active open. */
  readonly bytesAcked: number;
}

const info = allocate(256);

/** undefined where the kernel refuses (not a TCP socket, or already closed). */
export function getTcpInfo(fd: number): TcpInfo | undefined {
  info.bytes.fill(0);
  info.bytes.writeUInt32LE(LENGTH, 240);
  if (getsockopt_(fd, IPPROTO_TCP, TCP_INFO, info.address, info.address + 240) === -1) return undefined;
  return {
    state: info.bytes.readUInt8(STATE),
    retransmits: info.bytes.readUInt8(RETRANSMITS),
    probes: info.bytes.readUInt8(PROBES),
    unackedSegments: info.bytes.readUInt32LE(UNACKED),
    lastDataReceivedMs: info.bytes.readUInt32LE(LAST_DATA_RECV_MS),
    lastAckReceivedMs: info.bytes.readUInt32LE(LAST_ACK_RECV_MS),
    bytesAcked: Number(info.bytes.readBigUInt64LE(BYTES_ACKED)),
  };
}
