/**
 * sock_diag(7) for TCP: the request for a dump, and one socket of its answer as a flat record. Pure. Layouts from
 * include/uapi/linux/inet_diag.h and include/uapi/linux/tcp.h (struct tcp_info: append-only, little-endian on x86-64 and arm64).
 * A dump of 20,000 sockets is read in place: one small object per socket, none per attribute. Driver: inet-diag-client.ts.
 *
 *   inet_diag_msg:  0 family (u8) | 1 state (u8) | 2 timer (u8) | 3 retrans (u8)
 *                   4 source port (be16) | 6 destination port (be16) | 8 source (16) | 24 destination (16)
 *                   40 interface (u32) | 44 cookie (2 × u32) | 52 expires (u32, ms) | 56 receive queue (u32) | 60 send queue (u32)
 *                   64 uid (u32) | 68 inode (u32) | 72 attributes …
 */
import { formatIpv6At } from "../ip/address.ts";
import { NLM_F_DUMP, RequestBuilder } from "./message.ts";

export const SOCK_DIAG_BY_FAMILY = 20;
export const AF_INET = 2;
export const AF_INET6 = 10;
const IPPROTO_TCP = 6;

export const INET_DIAG_MESSAGE_LENGTH = 72;
const ATTRIBUTE_HEADER_LENGTH = 4;
const INET_DIAG_INFO = 2;
/** Bit (n - 1) asks for attribute n. */
const WANT_INFO = 1 << (INET_DIAG_INFO - 1);

/** Multicast groups of NETLINK_SOCK_DIAG (SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY): one message per destroyed socket. */
export const TCP_DESTROY_GROUPS: readonly number[] = [1, 3];

/** include/net/tcp_states.h. SYN_RECV of the listeners' queues is 12 in the request and 3 in the answer. */
export const TcpDiagState = {
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
  NEW_SYN_RECV: 12,
} as const;
/** Everything but CLOSE, which is no connection. */
export const ALL_STATES = ((1 << 13) - 1) & ~1 & ~(1 << TcpDiagState.CLOSE);

/** idiag_timer: which of its timers the kernel shows. A retransmission hides a keepalive timer (net/ipv4/inet_diag.c). */
export const DiagTimer = { NONE: 0, RETRANSMIT: 1, KEEPALIVE: 2, TIME_WAIT: 3, WINDOW_PROBE: 4 } as const;

/**
 * One TCP socket as the kernel tells it. Ages are milliseconds before now.
 */
export interface DiagSocket {
  readonly family: 4 | 6;
  /** A value of TcpDiagState. */
  readonly state: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly peerAddress: string;
  readonly peerPort: number;
  /** 0 = not bound to an interface. */
  readonly interfaceIndex: number;
  /** Unique among the sockets of this boot. A socket that goes to TIME_WAIT gets another one. */
  readonly cookie: number;
  readonly uid: number;
  /** 0: no process has it (TIME_WAIT, closed by its process, still in a listener's queue). */
  readonly inode: number;
  /** A value of DiagTimer. */
  readonly timer: number;
  /** Retransmissions or unanswered probes, whichever the timer is about. */
  readonly timerCount: number;
  readonly timerLeftMs: number;
  /** Received and not read; of a listener: connections that wait for accept(2). */
  readonly receiveQueueBytes: number;
  /** Sent and not acknowledged, or not sent; of a listener: the backlog. */
  readonly sendQueueBytes: number;
  /** The fields below are 0 where there is no tcp_info: TIME_WAIT, a listener's queue. */
  readonly hasInfo: boolean;
  readonly retransmits: number;
  readonly probes: number;
  readonly backoff: number;
  /** As it is now: the doublings are in it. */
  readonly rtoUs: number;
  readonly rttUs: number;
  readonly rttVariationUs: number;
  readonly unackedSegments: number;
  readonly notSentBytes: number;
  readonly lastDataSentMs: number;
  /** Meaningless before the first payload: see bytesReceived. */
  readonly lastDataReceivedMs: number;
  readonly lastAckReceivedMs: number;
  readonly bytesAcked: number;
  /** A FIN counts as one. */
  readonly bytesReceived: number;
  readonly segmentsOut: number;
  readonly segmentsIn: number;
  readonly totalRetransmits: number;
}

/** SOCK_DIAG_BY_FAMILY with struct inet_diag_req_v2: every TCP socket of a family in one of these states (a bit each). */
export function encodeDumpRequest(
  family: typeof AF_INET | typeof AF_INET6,
  states: number,
  sequence: number,
): Uint8Array {
  return new RequestBuilder(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, sequence)
    .u8(family)
    .u8(IPPROTO_TCP)
    .u8(WANT_INFO)
    .u8(0)
    .u32(states)
    .bytes(new Uint8Array(48))
    .finish();
}

/** Texts of addresses: most sockets share them with others. */
export class AddressTexts {
  readonly #ipv4 = new Map<number, string>();
  readonly #ipv6 = new Map<string, string>();

  ipv4(number: number): string {
    let text = this.#ipv4.get(number);
    if (text === undefined) {
      text = `${number >>> 24}.${(number >>> 16) & 255}.${(number >>> 8) & 255}.${number & 255}`;
      this.#ipv4.set(number, text);
    }
    return text;
  }

  ipv6(bytes: Uint8Array, view: DataView, at: number): string {
    const key = `${view.getUint32(at)},${view.getUint32(at + 4)},${view.getUint32(at + 8)},${view.getUint32(at + 12)}`;
    let text = this.#ipv6.get(key);
    if (text === undefined) {
      text = formatIpv6At(bytes, at);
      this.#ipv6.set(key, text);
    }
    return text;
  }
}

/**
 * The socket of one message, read where it lies: a table of 20,000 is then a few megabytes outside the heap and as many small objects.
 * undefined: too short, or of another family. `start` is behind the netlink header; `bytes` must not be overwritten afterwards.
 */
export function decodeSocket(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  texts: AddressTexts,
): DiagSocket | undefined {
  if (start + INET_DIAG_MESSAGE_LENGTH > end || end > bytes.length) return undefined;
  const family = bytes[start];
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const info = findInfo(view, start + INET_DIAG_MESSAGE_LENGTH, end);
  const infoLength =
    info === -1 ? 0 : view.getUint16(info - ATTRIBUTE_HEADER_LENGTH, true) - ATTRIBUTE_HEADER_LENGTH;
  return new EncodedSocket(bytes, view, start, info, infoLength, texts);
}

class EncodedSocket implements DiagSocket {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #start: number;
  readonly #info: number;
  readonly #infoLength: number;
  readonly #texts: AddressTexts;

  constructor(
    bytes: Uint8Array,
    view: DataView,
    start: number,
    info: number,
    infoLength: number,
    texts: AddressTexts,
  ) {
    this.#bytes = bytes;
    this.#view = view;
    this.#start = start;
    this.#info = info;
    this.#infoLength = infoLength;
    this.#texts = texts;
  }

  // struct inet_diag_msg
  get family(): 4 | 6 {
    return this.#bytes[this.#start] === AF_INET ? 4 : 6;
  }
  get state(): number {
    return this.#bytes[this.#start + 1]!;
  }
  get timer(): number {
    return this.#bytes[this.#start + 2]!;
  }
  get timerCount(): number {
    return this.#bytes[this.#start + 3]!;
  }
  get localPort(): number {
    return this.#view.getUint16(this.#start + 4);
  }
  get peerPort(): number {
    return this.#view.getUint16(this.#start + 6);
  }
  get localAddress(): string {
    return this.#address(this.#start + 8);
  }
  get peerAddress(): string {
    return this.#address(this.#start + 24);
  }
  get interfaceIndex(): number {
    return this.#view.getUint32(this.#start + 40, true);
  }
  get cookie(): number {
    return cookieAt(this.#view, this.#start + 44);
  }
  /** A timer that is due and has not run yet is a difference below zero, unsigned on old kernels. */
  get timerLeftMs(): number {
    return Math.max(0, this.#view.getInt32(this.#start + 52, true));
  }
  get receiveQueueBytes(): number {
    return this.#view.getUint32(this.#start + 56, true);
  }
  get sendQueueBytes(): number {
    return this.#view.getUint32(this.#start + 60, true);
  }
  get uid(): number {
    return this.#view.getUint32(this.#start + 64, true);
  }
  get inode(): number {
    return this.#view.getUint32(this.#start + 68, true);
  }

  // struct tcp_info
  get hasInfo(): boolean {
    return this.#info !== -1;
  }
  get retransmits(): number {
    return this.#u8(2);
  }
  get probes(): number {
    return this.#u8(3);
  }
  get backoff(): number {
    return this.#u8(4);
  }
  get rtoUs(): number {
    return this.#u32(8);
  }
  get unackedSegments(): number {
    return this.#u32(24);
  }
  get lastDataSentMs(): number {
    return this.#u32(44);
  }
  get lastDataReceivedMs(): number {
    return this.#u32(52);
  }
  get lastAckReceivedMs(): number {
    return this.#u32(56);
  }
  get rttUs(): number {
    return this.#u32(68);
  }
  get rttVariationUs(): number {
    return this.#u32(72);
  }
  get totalRetransmits(): number {
    return this.#u32(100);
  }
  get bytesAcked(): number {
    return this.#u64(120);
  }
  get bytesReceived(): number {
    return this.#u64(128);
  }
  get segmentsOut(): number {
    return this.#u32(136);
  }
  get segmentsIn(): number {
    return this.#u32(140);
  }
  get notSentBytes(): number {
    return this.#u32(144);
  }

  // Fields that an old kernel does not have yet read as 0.
  #u8(offset: number): number {
    return offset < this.#infoLength ? this.#bytes[this.#info + offset]! : 0;
  }
  #u32(offset: number): number {
    return offset + 4 <= this.#infoLength ? this.#view.getUint32(this.#info + offset, true) : 0;
  }
  #u64(offset: number): number {
    const high = this.#u32(offset + 4);
    return high === 0 ? this.#u32(offset) : this.#u32(offset) + high * 2 ** 32;
  }
  #address(at: number): string {
    return this.family === 4
      ? this.#texts.ipv4(this.#view.getUint32(at))
      : this.#texts.ipv6(this.#bytes, this.#view, at);
  }
}

/** The kernel counts up from 1, for each boot. */
function cookieAt(view: DataView, offset: number): number {
  const low = view.getUint32(offset, true);
  const high = view.getUint32(offset + 4, true);
  return high === 0 ? low : low + high * 2 ** 32;
}

/** Where the value of INET_DIAG_INFO begins; -1 where it is missing or does not fit. */
function findInfo(view: DataView, start: number, end: number): number {
  for (let offset = start; offset + ATTRIBUTE_HEADER_LENGTH <= end; ) {
    const length = view.getUint16(offset, true);
    if (length < ATTRIBUTE_HEADER_LENGTH || offset + length > end) return -1;
    if ((view.getUint16(offset + 2, true) & 0x3fff) === INET_DIAG_INFO)
      return offset + ATTRIBUTE_HEADER_LENGTH;
    offset += (length + 3) & ~3;
  }
  return -1;
}
