/**
 * Asks the kernel for its TCP sockets: both families' dumps over one netlink socket, and the messages about destroyed ones.
 * Driver of inet-diag.ts; called by doctor/socket-table.ts and doctor/death-watch.ts. The socket belongs to the network
 * namespace in which it was opened (network_namespaces(7)), wherever the process goes afterwards.
 */
import { Errno, SyscallError } from "../sys/errno.ts";
import { NETLINK_SOCK_DIAG, NetlinkSocket } from "../sys/netlink-socket.ts";
import {
  AddressTexts,
  AF_INET,
  AF_INET6,
  ALL_STATES,
  type DiagSocket,
  decodeSocket,
  encodeDumpRequest,
  SOCK_DIAG_BY_FAMILY,
  TCP_DESTROY_GROUPS,
} from "./inet-diag.ts";
import {
  decodeMessages,
  decodeOutcome,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HEADER_LENGTH,
} from "./message.ts";

const ANSWER_TIMEOUT_MS = 5000;

export interface SocketDump {
  readonly sockets: readonly DiagSocket[];
  /** The kernel says that the table changed while it was read (NLM_F_DUMP_INTR), or messages were lost: some sockets may be missing. */
  readonly isInterrupted: boolean;
  /** No IPv6 in this kernel. */
  readonly lacksIpv6: boolean;
}

export class InetDiagClient {
  readonly #socket = new NetlinkSocket({ protocol: NETLINK_SOCK_DIAG, timeoutMs: ANSWER_TIMEOUT_MS });
  readonly #texts = new AddressTexts();
  #sequence = 0;

  /** Every TCP socket of the namespace in one of `states` (a bit per TcpDiagState). Throws SyscallError. */
  dump(states: number = ALL_STATES): SocketDump {
    const sockets: DiagSocket[] = [];
    const isInterrupted = this.#dumpFamily(AF_INET, states, sockets);
    try {
      return {
        sockets,
        isInterrupted: this.#dumpFamily(AF_INET6, states, sockets) || isInterrupted,
        lacksIpv6: false,
      };
    } catch (error) {
      if (!(error instanceof SyscallError) || error.errno !== Errno.ENOENT) throw error;
      return { sockets, isInterrupted, lacksIpv6: true };
    }
  }

  /** Whether the dump was interrupted. */
  #dumpFamily(family: typeof AF_INET | typeof AF_INET6, states: number, sockets: DiagSocket[]): boolean {
    const sequence = ++this.#sequence;
    const sent = this.#socket.send(encodeDumpRequest(family, states, sequence));
    if (sent < 0) throw new SyscallError("send", -sent, "sock_diag");
    let isInterrupted = false;
    for (;;) {
      const received = this.#socket.receive();
      if (received < 0) {
        // Part of the answer did not fit into the socket's buffer; the rest still comes.
        if (received !== -Errno.ENOBUFS) throw new SyscallError("recv", -received, "sock_diag");
        isInterrupted = true;
        continue;
      }
      const flags = this.#decodeInto(sockets, sequence);
      isInterrupted ||= (flags & NLM_F_DUMP_INTR) !== 0;
      if ((flags & DUMP_IS_DONE) !== 0) return isInterrupted;
    }
  }

  /** Flags of all messages of the last datagram, or-ed; DUMP_IS_DONE when it was the last. Throws what the kernel refused. */
  #decodeInto(sockets: DiagSocket[], sequence: number): number {
    // The netlink socket overwrites its buffer; what is kept must be ours.
    const bytes = new Uint8Array(this.#socket.bytes);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let flags = 0;
    for (let offset = 0; offset + NLMSG_HEADER_LENGTH <= bytes.length; ) {
      const length = view.getUint32(offset, true);
      if (length < NLMSG_HEADER_LENGTH || offset + length > bytes.length) break;
      const type = view.getUint16(offset + 4, true);
      // An answer to an earlier question that was given up.
      if (view.getUint32(offset + 8, true) === sequence) {
        flags |= view.getUint16(offset + 6, true);
        if (type === NLMSG_ERROR || type === NLMSG_DONE) {
          throwRefusal(bytes.subarray(offset, offset + length));
          flags |= DUMP_IS_DONE;
        } else if (type === SOCK_DIAG_BY_FAMILY) {
          const socket = decodeSocket(
            bytes,
            view,
            offset + NLMSG_HEADER_LENGTH,
            offset + length,
            this.#texts,
          );
          if (socket !== undefined) sockets.push(socket);
        }
      }
      offset += (length + 3) & ~3;
    }
    return flags;
  }

  close(): void {
    this.#socket.close();
  }
}

/** Beyond the 16 bits of nlmsg_flags. */
const DUMP_IS_DONE = 0x1_0000;

function throwRefusal(message: Uint8Array): void {
  const outcome = decodeMessages(message).map(decodeOutcome)[0];
  if (outcome !== undefined && outcome.errno !== 0) {
    throw new SyscallError("sock_diag", outcome.errno, outcome.text);
  }
}

/** The kernel's messages about TCP sockets that it destroys (Linux 4.4), each with the last account of the connection. No privilege needed. */
export class DestroyedSockets {
  readonly #socket = new NetlinkSocket({
    protocol: NETLINK_SOCK_DIAG,
    groups: TCP_DESTROY_GROUPS,
    receiveBufferBytes: EVENT_BUFFER_BYTES,
  });
  readonly #texts = new AddressTexts();

  /** What has come since the last call; whether some were lost because nobody asked for too long. */
  drain(visit: (socket: DiagSocket) => void): boolean {
    let hasLost = false;
    for (;;) {
      const received = this.#socket.receive();
      if (received === -Errno.EAGAIN) return hasLost;
      if (received < 0) {
        if (received !== -Errno.ENOBUFS) throw new SyscallError("recv", -received, "sock_diag");
        hasLost = true;
        continue;
      }
      const bytes = new Uint8Array(this.#socket.bytes);
      const view = new DataView(bytes.buffer);
      for (let offset = 0; offset + NLMSG_HEADER_LENGTH <= bytes.length; ) {
        const length = view.getUint32(offset, true);
        if (length < NLMSG_HEADER_LENGTH || offset + length > bytes.length) break;
        const socket = decodeSocket(bytes, view, offset + NLMSG_HEADER_LENGTH, offset + length, this.#texts);
        if (socket !== undefined) visit(socket);
        offset += (length + 3) & ~3;
      }
    }
  }

  close(): void {
    this.#socket.close();
  }
}

const EVENT_BUFFER_BYTES = 4 << 20;
