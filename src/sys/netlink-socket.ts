/**
 * Netlink sockets of any family, netlink(7): rtnetlink, sock_diag, … Bytes in and out; the format is in netlink/message.ts.
 * struct sockaddr_nl and the option numbers: include/uapi/linux/netlink.h, the same on every architecture.
 */
import { check, Errno } from "./errno.ts";
import { bindFunction, errno } from "./libc.ts";
import { allocate } from "./memory.ts";
import { setReceiveBuffer } from "./raw-socket.ts";
import { close } from "./socket.ts";

const socket_ = bindFunction("int socket(int, int, int)");
const bind_ = bindFunction("int bind(int, uintptr_t, uint)");
const setsockopt_ = bindFunction("int setsockopt(int, int, int, uintptr_t, uint)");
const send_ = bindFunction("int send(int, uintptr_t, uint, int)");
const recvfrom_ = bindFunction("int recvfrom(int, uintptr_t, uint, int, uintptr_t, uintptr_t)");

export const NETLINK_ROUTE = 0;
export const NETLINK_SOCK_DIAG = 4;

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const MSG_TRUNC = 0x20;

const SOCKADDR_NL_LENGTH = 12;
const NL_PORT_ID = 4;
/** The kernel makes its dumps in pieces of at most 32 KiB (NLMSG_GOODSIZE, net/netlink/af_netlink.c). */
const DATAGRAM_LENGTH_MAX = 65536;

export interface NetlinkSocketOptions {
  /** NETLINK_ROUTE, NETLINK_SOCK_DIAG, … */
  readonly protocol: number;
  /** Multicast groups, by number (not by bit). */
  readonly groups?: readonly number[];
  /** undefined: non-blocking. Otherwise receive() waits so long and then answers -EAGAIN. */
  readonly timeoutMs?: number;
  /** Room for events that arrive while this process is busy. */
  readonly receiveBufferBytes?: number;
}

export class NetlinkSocket {
  readonly fd: number;
  /** The last datagram: a view that the next receive() overwrites. */
  bytes: Uint8Array;
  readonly #data = allocate(DATAGRAM_LENGTH_MAX);
  readonly #name = allocate(24);

  /** Throws SyscallError. */
  constructor(options: NetlinkSocketOptions) {
    const blocking = options.timeoutMs === undefined ? SOCK_NONBLOCK : 0;
    this.fd = check(
      "socket",
      socket_(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | blocking, options.protocol),
      "netlink",
    );
    this.bytes = this.#data.bytes.subarray(0, 0);
    try {
      this.#configure(options);
    } catch (error) {
      close(this.fd);
      throw error;
    }
  }

  #configure(options: NetlinkSocketOptions): void {
    // Comforts of newer kernels (4.2, 4.12, 4.20): answers without them are understood too.
    this.#trySet(NETLINK_CAP_ACK, 1);
    this.#trySet(NETLINK_EXT_ACK, 1);
    this.#trySet(NETLINK_GET_STRICT_CHK, 1);
    if (options.receiveBufferBytes !== undefined) setReceiveBuffer(this.fd, options.receiveBufferBytes);
    if (options.timeoutMs !== undefined) this.#limitReceive(options.timeoutMs);
    const name = this.#name;
    name.bytes.fill(0);
    name.bytes.writeUInt16LE(AF_NETLINK, 0);
    check("bind", bind_(this.fd, name.address, SOCKADDR_NL_LENGTH), "netlink");
    for (const group of options.groups ?? []) {
      check("setsockopt", this.#trySet(NETLINK_ADD_MEMBERSHIP, group), `NETLINK_ADD_MEMBERSHIP ${group}`);
    }
  }

  #trySet(option: number, value: number): number {
    this.#name.bytes.writeInt32LE(value, 0);
    return setsockopt_(this.fd, SOL_NETLINK, option, this.#name.address, 4);
  }

  #limitReceive(timeoutMs: number): void {
    this.#name.bytes.writeBigInt64LE(BigInt(Math.floor(timeoutMs / 1000)), 0);
    this.#name.bytes.writeBigInt64LE(BigInt((timeoutMs % 1000) * 1000), 8);
    check("setsockopt", setsockopt_(this.fd, SOL_SOCKET, SO_RCVTIMEO, this.#name.address, 16), "SO_RCVTIMEO");
  }

  /** Sends to the kernel. 0 or -errno. */
  send(message: Uint8Array): number {
    if (message.length > DATAGRAM_LENGTH_MAX)
      throw new RangeError(`a netlink message of ${message.length} bytes`);
    this.#data.bytes.set(message, 0);
    return send_(this.fd, this.#data.address, message.length, 0) === -1 ? -errno() : 0;
  }

  /**
   * Bytes of the next datagram from the kernel, or -errno: EAGAIN when there is none (or the time-out passed), ENOBUFS when events
   * were lost, EMSGSIZE when a datagram was longer than the buffer. What other processes send is thrown away.
   */
  receive(): number {
    for (;;) {
      const name = this.#name;
      name.bytes.writeUInt32LE(SOCKADDR_NL_LENGTH, 16);
      const received = recvfrom_(
        this.fd,
        this.#data.address,
        DATAGRAM_LENGTH_MAX,
        MSG_TRUNC,
        name.address,
        name.address + 16,
      );
      if (received === -1) {
        const number = errno();
        if (number === Errno.EINTR) continue;
        return -number;
      }
      if (name.bytes.readUInt32LE(NL_PORT_ID) !== 0) continue;
      if (received > DATAGRAM_LENGTH_MAX) return -Errno.EMSGSIZE;
      this.bytes = this.#data.bytes.subarray(0, received);
      return received;
    }
  }

  close(): void {
    close(this.fd);
  }
}
