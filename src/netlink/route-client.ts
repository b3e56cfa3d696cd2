/**
 * The kernel's links and addresses, asked (RouteClient: one request, its answer, synchronously) and watched (RouteWatch: a descriptor
 * for the reactor). Values are those of route.ts, bytes those of route-packet.ts. Used by the router process.
 */
import { Errno, errnoName } from "../sys/errno.ts";
import { NETLINK_ROUTE, NetlinkSocket } from "../sys/netlink-socket.ts";
import { decodeMessages, decodeOutcome, type NetlinkOutcome, NLM_F_DUMP_INTR } from "./message.ts";
import {
  type AddressToInstall,
  IFA_PROTO_VRRP,
  type InterfaceAddress,
  type Link,
  type RouteApi,
  type RouteEvent,
} from "./route.ts";
import {
  decodeRouteEvent,
  encodeCreateMacvlan,
  encodeGetAddresses,
  encodeGetLinks,
  encodeInstallAddress,
  encodeRemoveAddress,
  encodeRemoveLink,
  encodeSetLinkUp,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_LINK,
} from "./route-packet.ts";

/** The kernel answers before sendto(2) returns; only a dump of a huge table takes a moment. */
const ANSWER_TIMEOUT_MS = 1000;
const DUMP_ATTEMPTS = 3;
/** Hundreds of interfaces may change at once (a switch reboots) while this process waits for its turn. */
const EVENT_BUFFER_BYTES = 1 << 20;

/** What RouteClient needs of a NetlinkSocket. */
export type RequestSocket = Pick<NetlinkSocket, "send" | "receive" | "bytes" | "close">;

export class RouteClient implements RouteApi {
  lastErrorText = "";
  readonly #socket: RequestSocket;
  #sequence = 0;
  /** A kernel that checks strictly and is older than IFA_PROTO refuses the attribute; it is then left out. */
  #knowsProtocol = true;

  /** Throws SyscallError. Tests give a kernel of their own. */
  constructor(socket?: RequestSocket) {
    this.#socket = socket ?? new NetlinkSocket({ protocol: NETLINK_ROUTE, timeoutMs: ANSWER_TIMEOUT_MS });
  }

  /** Throws an Error where the kernel refuses to list. */
  links(): readonly Link[] {
    const links: Link[] = [];
    for (const event of this.#dump(encodeGetLinks)) if (event.kind === "link-changed") links.push(event.link);
    return links;
  }

  addresses(): readonly InterfaceAddress[] {
    const addresses: InterfaceAddress[] = [];
    for (const event of this.#dump(encodeGetAddresses)) {
      if (event.kind === "address-added") addresses.push(event.address);
    }
    return addresses;
  }

  installAddress(address: AddressToInstall): number {
    const install = (protocol: number | undefined): number =>
      this.#request((sequence) => encodeInstallAddress(sequence, address, protocol));
    if (!this.#knowsProtocol) return install(undefined);
    const result = install(IFA_PROTO_VRRP);
    if (result !== -Errno.EINVAL) return result;
    // Perhaps the attribute, perhaps the address: only success without it tells.
    const again = install(undefined);
    if (again === 0) this.#knowsProtocol = false;
    return again;
  }

  removeAddress(address: AddressToInstall): number {
    return this.#request((sequence) => encodeRemoveAddress(sequence, address));
  }

  createMacvlan(name: string, parentIndex: number, hardwareAddress: Uint8Array): number {
    return this.#request((sequence) => encodeCreateMacvlan(sequence, name, parentIndex, hardwareAddress));
  }

  removeLink(index: number): number {
    return this.#request((sequence) => encodeRemoveLink(sequence, index));
  }

  setLinkUp(index: number, isUp: boolean): number {
    return this.#request((sequence) => encodeSetLinkUp(sequence, index, isUp));
  }

  close(): void {
    this.#socket.close();
  }

  /** Sends a request that is acknowledged: 0 or -errno. */
  #request(encode: (sequence: number) => Uint8Array): number {
    const sequence = this.#nextSequence();
    const sent = this.#socket.send(encode(sequence));
    const outcome = sent < 0 ? { errno: -sent, text: "" } : this.#receiveOutcome(sequence, () => {});
    if (outcome.errno === 0) return 0;
    this.lastErrorText = outcome.text;
    return -outcome.errno;
  }

  #dump(encode: (sequence: number) => Uint8Array): readonly RouteEvent[] {
    let outcome: Pick<NetlinkOutcome, "errno" | "text"> = { errno: 0, text: "" };
    let events: RouteEvent[] = [];
    for (let attempt = 1; attempt <= DUMP_ATTEMPTS; attempt++) {
      events = [];
      let wasInterrupted = false;
      const sequence = this.#nextSequence();
      const sent = this.#socket.send(encode(sequence));
      outcome =
        sent < 0
          ? { errno: -sent, text: "" }
          : this.#receiveOutcome(sequence, (event, flags) => {
              if (event !== undefined) events.push(event);
              if ((flags & NLM_F_DUMP_INTR) !== 0) wasInterrupted = true;
            });
      // After the last attempt an inconsistent list is better than none: changes arrive as events anyhow.
      if (outcome.errno === 0 && (!wasInterrupted || attempt === DUMP_ATTEMPTS)) return events;
    }
    this.lastErrorText = outcome.text;
    throw new Error(`netlink refuses to list: ${outcome.text || errnoName(outcome.errno)}`);
  }

  /** Reads until the outcome of this request; answers to earlier ones that timed out are thrown away. */
  #receiveOutcome(
    sequence: number,
    take: (event: RouteEvent | undefined, flags: number) => void,
  ): Pick<NetlinkOutcome, "errno" | "text"> {
    for (;;) {
      const received = this.#socket.receive();
      if (received < 0) return { errno: received === -Errno.EAGAIN ? Errno.ETIMEDOUT : -received, text: "" };
      for (const message of decodeMessages(this.#socket.bytes)) {
        if (message.sequence !== sequence) continue;
        const outcome = decodeOutcome(message);
        if (outcome !== undefined) {
          take(undefined, message.flags);
          return outcome;
        }
        take(decodeRouteEvent(message), message.flags);
      }
    }
  }

  #nextSequence(): number {
    this.#sequence = (this.#sequence + 1) >>> 0;
    return this.#sequence;
  }
}

/** Tells every change of links and addresses. Register `fd` with EPOLLIN and this object as its handler. */
export class RouteWatch {
  readonly #socket = new NetlinkSocket({
    protocol: NETLINK_ROUTE,
    groups: [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR],
    receiveBufferBytes: EVENT_BUFFER_BYTES,
  });
  readonly #listener: (event: RouteEvent) => void;

  constructor(listener: (event: RouteEvent) => void) {
    this.#listener = listener;
  }

  get fd(): number {
    return this.#socket.fd;
  }

  handleEvents(): void {
    this.drain();
  }

  /** Delivers everything that is queued. May be called at any time, e.g. before a decision that needs the latest state. */
  drain(): void {
    for (;;) {
      const received = this.#socket.receive();
      if (received === -Errno.EAGAIN) return;
      if (received < 0) {
        this.#listener({ kind: "overrun" });
        // ENOBUFS and EMSGSIZE cost events, and more may be queued; after any other error there is nothing to read.
        if (received === -Errno.ENOBUFS || received === -Errno.EMSGSIZE) continue;
        return;
      }
      // Decoded at once: the listener may use the socket's buffer again, by calling drain().
      const events = decodeMessages(this.#socket.bytes).map(decodeRouteEvent);
      for (const event of events) if (event !== undefined) this.#listener(event);
    }
  }

  close(): void {
    this.#socket.close();
  }
}
