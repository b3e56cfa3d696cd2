/**
 * Packet sockets, packet(7): whole Ethernet frames in and out of one interface. For ARP, neighbour discovery and for frames with a
 * source address that is not the interface's own. Layout of struct sockaddr_ll: include/uapi/linux/if_packet.h, the same everywhere.
 */
import { check, SyscallError } from "./errno.ts";
import { bindFunction, errno } from "./libc.ts";
import { allocate } from "./memory.ts";
import { attachFilter, type FilterInstruction } from "./raw-socket.ts";
import { close } from "./socket.ts";

const socket_ = bindFunction("int socket(int, int, int)");
const bind_ = bindFunction("int bind(int, uintptr_t, uint)");
const setsockopt_ = bindFunction("int setsockopt(int, int, int, uintptr_t, uint)");
const send_ = bindFunction("int send(int, uintptr_t, uint, int)");
const recvfrom_ = bindFunction("int recvfrom(int, uintptr_t, uint, int, uintptr_t, uintptr_t)");

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_PACKET = 263;
const PACKET_IGNORE_OUTGOING = 23;
const MSG_NOSIGNAL = 0x4000;

/** struct sockaddr_ll: family 0, protocol 2 (network order), index 4, hardware type 8, packet type 10, length 11, address 12. */
const LL_PROTOCOL = 2;
const LL_IFINDEX = 4;
const LL_PACKET_TYPE = 10;
const LL_ADDRESS_LENGTH = 11;
const LL_ADDRESS = 12;
const LL_LENGTH = 20;

const FRAME_LENGTH_MAX = 65536;
/** For whom a frame was, by PACKET_HOST, PACKET_BROADCAST, … */
const PACKET_TYPES = ["host", "broadcast", "multicast", "other-host", "outgoing"] as const;
export type PacketType = (typeof PACKET_TYPES)[number];

/**
 * Neighbour solicitations and advertisements without extension headers: a socket bound to IPv6 would otherwise be woken by every
 * packet of the host. Offsets in the Ethernet frame: 20 next header, 54 ICMPv6 type.
 */
export const ONLY_NEIGHBOUR_DISCOVERY: readonly FilterInstruction[] = [
  [0x30, 0, 0, 20], // ldb [20]
  [0x15, 0, 4, 58], // jeq #58 (ICMPv6), else drop
  [0x30, 0, 0, 54], // ldb [54]
  [0x35, 0, 2, 135], // jge #135, else drop
  [0x25, 1, 0, 136], // jgt #136: drop
  [0x06, 0, 0, 0x40000], // ret: the whole frame
  [0x06, 0, 0, 0], // ret: nothing
];

export interface PacketSocketOptions {
  readonly ifindex: number;
  /** What to receive, e.g. 0x0806 for ARP; 0: nothing, the socket only sends. */
  readonly etherType: number;
  readonly filter?: readonly FilterInstruction[];
}

/** A non-blocking packet socket on one interface; frames this host sends are not received. Throws SyscallError (EPERM: CAP_NET_RAW). */
export function openPacketSocket(options: PacketSocketOptions): number {
  // Protocol 0 until bind(2): nothing of other interfaces gets in between.
  const fd = check("socket", socket_(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "packet");
  try {
    if (options.filter !== undefined) attachFilter(fd, options.filter);
    const address = allocate(LL_LENGTH);
    address.bytes.fill(0);
    address.bytes.writeInt32LE(1, 0);
    // An old kernel (before 4.20) has no such option: the receiver then sees packet type "outgoing".
    setsockopt_(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, address.address, 4);
    address.bytes.writeUInt32LE(0, 0);
    address.bytes.writeUInt16LE(AF_PACKET, 0);
    address.bytes.writeUInt16BE(options.etherType, LL_PROTOCOL);
    address.bytes.writeInt32LE(options.ifindex, LL_IFINDEX);
    if (bind_(fd, address.address, LL_LENGTH) === -1) {
      throw new SyscallError("bind", errno(), `packet socket, interface ${options.ifindex}`);
    }
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

const outgoing = allocate(2048);

/** Sends one whole frame, Ethernet header included: bytes sent, or -errno (ENETDOWN: the interface is down). */
export function sendFrame(fd: number, frame: Uint8Array): number {
  if (frame.length > outgoing.bytes.length) throw new RangeError(`a frame of ${frame.length} bytes`);
  outgoing.bytes.set(frame, 0);
  const sent = send_(fd, outgoing.address, frame.length, MSG_NOSIGNAL);
  return sent === -1 ? -errno() : sent;
}

/** Receives frames of packet sockets; one serves any number of sockets. The fields tell of the last frame. */
export class FrameReceiver {
  /** The frame with its Ethernet header: a view that the next receive() overwrites. */
  bytes: Uint8Array;
  packetType: PacketType = "host";
  ifindex = 0;
  /** Sender's hardware address, a copy; empty where the medium has none. */
  sourceHardware: Uint8Array = new Uint8Array(0);

  readonly #data = allocate(FRAME_LENGTH_MAX);
  readonly #name = allocate(24 + 8);

  constructor() {
    this.bytes = this.#data.bytes.subarray(0, 0);
  }

  /** Bytes of the frame, or -errno (EAGAIN: nothing is there; ENETDOWN, once, when the interface went down). */
  receive(fd: number): number {
    const name = this.#name;
    name.bytes.writeUInt32LE(LL_LENGTH, 24);
    const received = recvfrom_(fd, this.#data.address, FRAME_LENGTH_MAX, 0, name.address, name.address + 24);
    if (received === -1) return -errno();
    this.bytes = this.#data.bytes.subarray(0, received);
    this.packetType = PACKET_TYPES[name.bytes[LL_PACKET_TYPE]!] ?? "other-host";
    this.ifindex = name.bytes.readInt32LE(LL_IFINDEX);
    const hardwareLength = Math.min(name.bytes[LL_ADDRESS_LENGTH]!, 8);
    this.sourceHardware = Uint8Array.prototype.slice.call(
      name.bytes,
      LL_ADDRESS,
      LL_ADDRESS + hardwareLength,
    );
    return received;
  }
}
