/**
 * Raw IP sockets: raw(7), ip(7), ipv6(7). Opening, the options that a routing protocol needs, recvmsg(2) with its control
 * messages, sendmsg(2) with a chosen source address. Constants: include/uapi/linux/in.h, in6.h, asm-generic/socket.h; struct
 * msghdr, iovec and cmsghdr are laid out alike on x86-64 and arm64 (LP64, little-endian).
 *
 * An IPv4 raw socket delivers the IP header, an IPv6 one does not: `PacketReceiver.bytes` is the payload in both cases.
 */
import { encodeIp, formatIpv4At, formatIpv6At } from "../ip/address.ts";
import { check } from "./errno.ts";
import { bindFunction, errno } from "./libc.ts";
import { allocate, type NativeBuffer } from "./memory.ts";
import { AF_INET, AF_INET6, type EncodedAddress, SOCKADDR_LENGTH_MAX } from "./sockaddr.ts";

const socket_ = bindFunction("int socket(int, int, int)");
const setsockopt_ = bindFunction("int setsockopt(int, int, int, uintptr_t, uint)");
const getsockopt_ = bindFunction("int getsockopt(int, int, int, uintptr_t, uintptr_t)");
const recvmsg_ = bindFunction("int recvmsg(int, uintptr_t, int)");
const sendmsg_ = bindFunction("int sendmsg(int, uintptr_t, int)");
const ifNametoindex_ = bindFunction("uint if_nametoindex(const char *)");

const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;

const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_PRIORITY = 12;
const SO_ATTACH_FILTER = 26;
const SO_RCVBUFFORCE = 33;
const SO_TIMESTAMPNS = 35;
const SO_BINDTOIFINDEX = 62;

const IPPROTO_IP = 0;
const IP_TOS = 1;
const IP_TTL = 2;
const IP_PKTINFO = 8;
const IP_RECVTTL = 12;
const IP_FREEBIND = 15;
const IP_MULTICAST_IF = 32;
const IP_MULTICAST_TTL = 33;
const IP_MULTICAST_LOOP = 34;
const IP_ADD_MEMBERSHIP = 35;
const IP_DROP_MEMBERSHIP = 36;
const IP_MULTICAST_ALL = 49;

const IPPROTO_IPV6 = 41;
const IPV6_CHECKSUM = 7;
const IPV6_UNICAST_HOPS = 16;
const IPV6_MULTICAST_IF = 17;
const IPV6_MULTICAST_HOPS = 18;
const IPV6_MULTICAST_LOOP = 19;
const IPV6_ADD_MEMBERSHIP = 20;
const IPV6_DROP_MEMBERSHIP = 21;
const IPV6_MULTICAST_ALL = 29;
const IPV6_RECVPKTINFO = 49;
const IPV6_PKTINFO = 50;
const IPV6_RECVHOPLIMIT = 51;
const IPV6_HOPLIMIT = 52;
const IPV6_TCLASS = 67;
const IPV6_FREEBIND = 78;

const MSG_TRUNC = 0x20;
const MSG_DONTROUTE = 0x4;
const MSG_NOSIGNAL = 0x4000;

export type IpFamily = "inet" | "inet6";

/** A non-blocking raw socket that exec closes. Throws SyscallError; EPERM: CAP_NET_RAW is missing. */
export function openRawSocket(family: IpFamily, protocol: number): number {
  const domain = family === "inet6" ? AF_INET6 : AF_INET;
  const fd = socket_(domain, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  return check("socket", fd, `raw ${family} protocol ${protocol}`);
}

/** Index of an interface by its name, 0 where there is none. */
export function interfaceIndex(name: string): number {
  return ifNametoindex_(name);
}

const option = allocate(64);

function setInteger(fd: number, level: number, number: number, name: string, value: number): void {
  option.bytes.writeInt32LE(value, 0);
  check("setsockopt", setsockopt_(fd, level, number, option.address, 4), `${name} ${value}`);
}

/**
 * Joins a multicast group on one interface; 0 or -errno (ENODEV: the interface vanished; EADDRINUSE: joined already). The
 * membership ends with the socket, and with the interface: join again when an interface of that name appears.
 */
export function joinGroup(fd: number, family: IpFamily, group: string, ifindex: number): number {
  return changeMembership(fd, family, group, ifindex, true);
}

export function leaveGroup(fd: number, family: IpFamily, group: string, ifindex: number): number {
  return changeMembership(fd, family, group, ifindex, false);
}

function changeMembership(
  fd: number,
  family: IpFamily,
  group: string,
  ifindex: number,
  joins: boolean,
): number {
  const address = encodeIp(group);
  option.bytes.fill(0, 0, 20);
  option.bytes.set(address, 0);
  let result: number;
  if (family === "inet") {
    // struct ip_mreqn: group, address of the interface (unused), index.
    option.bytes.writeInt32LE(ifindex, 8);
    result = setsockopt_(fd, IPPROTO_IP, joins ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, option.address, 12);
  } else {
    // struct ipv6_mreq: group, index.
    option.bytes.writeInt32LE(ifindex, 16);
    const name = joins ? IPV6_ADD_MEMBERSHIP : IPV6_DROP_MEMBERSHIP;
    result = setsockopt_(fd, IPPROTO_IPV6, name, option.address, 20);
  }
  return result === -1 ? -errno() : 0;
}

/** IP_MULTICAST_ALL = 0: only groups this very socket joined, not those of every other program of the host. */
export function setOnlyJoinedGroups(fd: number, family: IpFamily): void {
  if (family === "inet") setInteger(fd, IPPROTO_IP, IP_MULTICAST_ALL, "IP_MULTICAST_ALL", 0);
  else setInteger(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, "IPV6_MULTICAST_ALL", 0);
}

/** SO_BINDTOIFINDEX (Linux 5.0): packets of this interface alone, in and out. 0 lifts it. */
export function bindToDevice(fd: number, ifindex: number): void {
  setInteger(fd, SOL_SOCKET, SO_BINDTOIFINDEX, "SO_BINDTOIFINDEX", ifindex);
}

/** Where multicast leaves; for IPv4 `source` becomes the source address of packets that name none. */
export function setMulticastInterface(fd: number, family: IpFamily, ifindex: number, source?: string): void {
  if (family === "inet6") {
    setInteger(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, "IPV6_MULTICAST_IF", ifindex);
    return;
  }
  option.bytes.fill(0, 0, 12);
  if (source !== undefined) option.bytes.set(encodeIp(source), 4);
  option.bytes.writeInt32LE(ifindex, 8);
  const result = setsockopt_(fd, IPPROTO_IP, IP_MULTICAST_IF, option.address, 12);
  check("setsockopt", result, `IP_MULTICAST_IF ${ifindex}`);
}

/** TTL or hop limit, 1 to 255, of unicast and of multicast packets. */
export function setTimeToLive(fd: number, family: IpFamily, ttl: number): void {
  if (family === "inet") {
    setInteger(fd, IPPROTO_IP, IP_TTL, "IP_TTL", ttl);
    setInteger(fd, IPPROTO_IP, IP_MULTICAST_TTL, "IP_MULTICAST_TTL", ttl);
  } else {
    setInteger(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, "IPV6_UNICAST_HOPS", ttl);
    setInteger(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, "IPV6_MULTICAST_HOPS", ttl);
  }
}

/** Whether sockets of this host hear what this one sends to a group. */
export function setMulticastLoop(fd: number, family: IpFamily, loops: boolean): void {
  const value = loops ? 1 : 0;
  if (family === "inet") setInteger(fd, IPPROTO_IP, IP_MULTICAST_LOOP, "IP_MULTICAST_LOOP", value);
  else setInteger(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, "IPV6_MULTICAST_LOOP", value);
}

/** TOS or traffic class; 0xC0 = CS6, network control (RFC 2474 §4.2.2.2). Also SO_PRIORITY 6: the host's own queues obey it. */
export function setTrafficClass(fd: number, family: IpFamily, trafficClass: number): void {
  if (family === "inet") setInteger(fd, IPPROTO_IP, IP_TOS, "IP_TOS", trafficClass);
  else setInteger(fd, IPPROTO_IPV6, IPV6_TCLASS, "IPV6_TCLASS", trafficClass);
  setInteger(fd, SOL_SOCKET, SO_PRIORITY, "SO_PRIORITY", trafficClass >> 5);
}

/**
 * IPV6_CHECKSUM: the kernel writes, and verifies, the checksum at this offset of the message, pseudo-header included; packets
 * with a wrong one never arrive.
 */
export function setIpv6ChecksumOffset(fd: number, offset: number): void {
  setInteger(fd, IPPROTO_IPV6, IPV6_CHECKSUM, "IPV6_CHECKSUM", offset);
}

/** Fills `arrivedAtUnixMs`, `ttl`, `destination` and `ifindex` of a PacketReceiver. */
export function requestPacketDetails(fd: number, family: IpFamily): void {
  setInteger(fd, SOL_SOCKET, SO_TIMESTAMPNS, "SO_TIMESTAMPNS", 1);
  if (family === "inet") {
    setInteger(fd, IPPROTO_IP, IP_RECVTTL, "IP_RECVTTL", 1);
    setInteger(fd, IPPROTO_IP, IP_PKTINFO, "IP_PKTINFO", 1);
  } else {
    setInteger(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, "IPV6_RECVHOPLIMIT", 1);
    setInteger(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO", 1);
  }
}

/** IP_FREEBIND: bind to an address that does not exist (yet). */
export function setFreeBind(fd: number, family: IpFamily): void {
  if (family === "inet") setInteger(fd, IPPROTO_IP, IP_FREEBIND, "IP_FREEBIND", 1);
  else setInteger(fd, IPPROTO_IPV6, IPV6_FREEBIND, "IPV6_FREEBIND", 1);
}

/**
 * Room for what arrives while this process is not running. SO_RCVBUFFORCE ignores net.core.rmem_max but needs CAP_NET_ADMIN;
 * without it the limit applies. Returns the size in force: the kernel doubles the figure for its own bookkeeping (socket(7)).
 */
export function setReceiveBuffer(fd: number, bytes: number): number {
  option.bytes.writeInt32LE(bytes, 0);
  if (setsockopt_(fd, SOL_SOCKET, SO_RCVBUFFORCE, option.address, 4) === -1) {
    setInteger(fd, SOL_SOCKET, SO_RCVBUF, "SO_RCVBUF", bytes);
  }
  option.bytes.writeInt32LE(4, 4);
  check(
    "getsockopt",
    getsockopt_(fd, SOL_SOCKET, SO_RCVBUF, option.address, option.address + 4),
    "SO_RCVBUF",
  );
  return option.bytes.readInt32LE(0);
}

/** One instruction of classic BPF: code, jump if true, jump if false, operand (struct sock_filter, linux/filter.h). */
export type FilterInstruction = readonly [code: number, jumpTrue: number, jumpFalse: number, operand: number];

/** For sockets that only send: a raw socket gets a copy of every packet of its protocol, read or not. */
export const DROP_EVERYTHING: readonly FilterInstruction[] = [[0x06, 0, 0, 0]];

/** SO_ATTACH_FILTER. */
export function attachFilter(fd: number, instructions: readonly FilterInstruction[]): void {
  const program = allocate(16 + instructions.length * 8);
  program.bytes.fill(0);
  program.bytes.writeUInt16LE(instructions.length, 0);
  program.bytes.writeBigUInt64LE(BigInt(program.address + 16), 8);
  for (const [index, [code, jumpTrue, jumpFalse, operand]] of instructions.entries()) {
    const offset = 16 + index * 8;
    program.bytes.writeUInt16LE(code, offset);
    program.bytes[offset + 2] = jumpTrue;
    program.bytes[offset + 3] = jumpFalse;
    program.bytes.writeUInt32LE(operand, offset + 4);
  }
  const result = setsockopt_(fd, SOL_SOCKET, SO_ATTACH_FILTER, program.address, 16);
  check("setsockopt", result, "SO_ATTACH_FILTER");
}

/** struct msghdr, 56 bytes; struct iovec, 16 bytes, behind it. */
const MSG_NAME = 0;
const MSG_NAMELEN = 8;
const MSG_IOV = 16;
const MSG_IOVLEN = 24;
const MSG_CONTROL = 32;
const MSG_CONTROLLEN = 40;
const MSG_FLAGS = 48;
const IOV_BASE = 56;
const IOV_LEN = 64;
const HEADER_LENGTH = 72;

/** struct cmsghdr: length (size_t), level, type; data behind it, everything aligned to eight bytes. */
const CMSG_LEVEL = 8;
const CMSG_TYPE = 12;
const CMSG_DATA = 16;

const PACKET_LENGTH_MAX = 65536;
const CONTROL_LENGTH = 256;

function messageHeader(
  name: NativeBuffer | undefined,
  data: NativeBuffer,
  control: NativeBuffer | undefined,
): NativeBuffer {
  const header = allocate(HEADER_LENGTH);
  header.bytes.fill(0);
  header.bytes.writeBigUInt64LE(BigInt(name?.address ?? 0), MSG_NAME);
  header.bytes.writeBigUInt64LE(BigInt(header.address + IOV_BASE), MSG_IOV);
  header.bytes.writeUInt32LE(1, MSG_IOVLEN);
  header.bytes.writeBigUInt64LE(BigInt(control?.address ?? 0), MSG_CONTROL);
  header.bytes.writeBigUInt64LE(BigInt(data.address), IOV_BASE);
  header.bytes.writeUInt32LE(data.bytes.length, IOV_LEN);
  return header;
}

/** Receives packets of raw sockets; one serves any number of sockets. The fields tell of the last packet. */
export class PacketReceiver {
  /** The payload, without the IP header: a view that the next receive() overwrites. */
  bytes: Uint8Array;
  /** Text, RFC 5952 for IPv6. */
  source = "";
  /** Address the packet was sent to: tells multicast from unicast. "" without requestPacketDetails(). */
  destination = "";
  /** TTL or hop limit; -1 when unknown. */
  ttl = -1;
  /** Index of the interface it came in on; 0 when unknown. */
  ifindex = 0;
  /** The kernel's time of arrival, Unix time in milliseconds with fractions; 0 when unknown. See realtimeOffsetMs() in clock.ts. */
  arrivedAtUnixMs = 0;

  readonly #data = allocate(PACKET_LENGTH_MAX);
  readonly #name = allocate(SOCKADDR_LENGTH_MAX);
  readonly #control = allocate(CONTROL_LENGTH);
  readonly #header = messageHeader(this.#name, this.#data, this.#control);

  constructor() {
    this.bytes = this.#data.bytes.subarray(0, 0);
  }

  /** Bytes of payload, or -errno (EAGAIN: nothing is there). A payload may be empty: 0 does not mean an end. */
  receive(fd: number): number {
    this.#header.bytes.writeUInt32LE(SOCKADDR_LENGTH_MAX, MSG_NAMELEN);
    this.#header.bytes.writeUInt32LE(CONTROL_LENGTH, MSG_CONTROLLEN);
    this.#header.bytes.writeUInt32LE(0, MSG_FLAGS);
    const received = recvmsg_(fd, this.#header.address, MSG_TRUNC);
    if (received === -1) return -errno();
    const end = Math.min(received, PACKET_LENGTH_MAX);
    const { bytes } = this.#data;
    const isIpv4 = this.#name.bytes.readUInt16LE(0) === AF_INET;
    this.source = isIpv4 ? formatIpv4At(this.#name.bytes, 4) : formatIpv6At(this.#name.bytes, 8);
    this.destination = "";
    this.ttl = -1;
    this.ifindex = 0;
    this.arrivedAtUnixMs = 0;
    this.#readControl(Number(this.#header.bytes.readUInt32LE(MSG_CONTROLLEN)));
    const start = isIpv4 ? Math.min((bytes[0]! & 15) * 4, end) : 0;
    this.bytes = bytes.subarray(start, end);
    return end - start;
  }

  #readControl(end: number): void {
    const { bytes } = this.#control;
    for (let offset = 0; offset + CMSG_DATA <= end; ) {
      const length = bytes.readUInt32LE(offset);
      if (length < CMSG_DATA || offset + length > end) return;
      const data = offset + CMSG_DATA;
      this.#readControlMessage(
        bytes.readInt32LE(offset + CMSG_LEVEL),
        bytes.readInt32LE(offset + CMSG_TYPE),
        data,
      );
      offset += (length + 7) & ~7;
    }
  }

  #readControlMessage(level: number, type: number, data: number): void {
    const { bytes } = this.#control;
    if (level === SOL_SOCKET && type === SO_TIMESTAMPNS) {
      const seconds = Number(bytes.readBigInt64LE(data));
      this.arrivedAtUnixMs = seconds * 1000 + Number(bytes.readBigInt64LE(data + 8)) / 1e6;
    } else if (level === IPPROTO_IP && type === IP_TTL) {
      this.ttl = bytes.readInt32LE(data);
    } else if (level === IPPROTO_IP && type === IP_PKTINFO) {
      this.ifindex = bytes.readInt32LE(data);
      this.destination = formatIpv4At(bytes, data + 8);
    } else if (level === IPPROTO_IPV6 && type === IPV6_HOPLIMIT) {
      this.ttl = bytes.readInt32LE(data);
    } else if (level === IPPROTO_IPV6 && type === IPV6_PKTINFO) {
      this.destination = formatIpv6At(bytes, data);
      this.ifindex = bytes.readInt32LE(data + 16);
    }
  }
}

/** The control message that chooses a packet's source address and interface: IP_PKTINFO, IPV6_PKTINFO. */
export interface EncodedSource extends NativeBuffer {
  readonly length: number;
}

/** For sendTo(). `ifindex` 0 leaves the interface to the socket's own choice. */
export function encodeSource(family: IpFamily, host: string, ifindex: number): EncodedSource {
  const target = allocate(40);
  const { bytes } = target;
  bytes.fill(0);
  if (family === "inet") {
    // struct in_pktinfo: index, source ("spec_dst"), destination (unused when sending).
    bytes.writeUInt32LE(CMSG_DATA + 12, 0);
    bytes.writeInt32LE(IPPROTO_IP, CMSG_LEVEL);
    bytes.writeInt32LE(IP_PKTINFO, CMSG_TYPE);
    bytes.writeInt32LE(ifindex, CMSG_DATA);
    bytes.set(encodeIp(host), CMSG_DATA + 4);
    return { ...target, length: 32 };
  }
  bytes.writeUInt32LE(CMSG_DATA + 20, 0);
  bytes.writeInt32LE(IPPROTO_IPV6, CMSG_LEVEL);
  bytes.writeInt32LE(IPV6_PKTINFO, CMSG_TYPE);
  bytes.set(encodeIp(host), CMSG_DATA);
  bytes.writeInt32LE(ifindex, CMSG_DATA + 16);
  return { ...target, length: 40 };
}

const outgoing = messageHeader(undefined, allocate(0x10), undefined);

/**
 * sendmsg(2) of one packet: bytes sent, or -errno. The kernel makes the IP header. `isOnLink`: MSG_DONTROUTE, never through a
 * gateway.
 */
export function sendTo(
  fd: number,
  address: number,
  length: number,
  destination: EncodedAddress,
  source?: EncodedSource,
  isOnLink = false,
): number {
  const { bytes } = outgoing;
  bytes.writeBigUInt64LE(BigInt(destination.address), MSG_NAME);
  bytes.writeUInt32LE(destination.length, MSG_NAMELEN);
  bytes.writeBigUInt64LE(BigInt(source?.address ?? 0), MSG_CONTROL);
  bytes.writeUInt32LE(source?.length ?? 0, MSG_CONTROLLEN);
  bytes.writeBigUInt64LE(BigInt(address), IOV_BASE);
  bytes.writeUInt32LE(length, IOV_LEN);
  const sent = sendmsg_(fd, outgoing.address, MSG_NOSIGNAL | (isOnLink ? MSG_DONTROUTE : 0));
  return sent === -1 ? -errno() : sent;
}
