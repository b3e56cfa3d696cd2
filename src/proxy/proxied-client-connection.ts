/**
 * A client's connection on a listener with `proxy_protocol: accept`: it begins with a PROXY header (proxy-protocol/), whose
 * addresses take the place of the connection's own for X-Forwarded-For, balancing and logs; `trusted_proxies` goes on looking at the
 * real peer. After the header it is a ClientConnection like any other. A class of its own, so that the usual one carries
 * neither field nor branch for it. The header must arrive, with the first head, within client_header_timeout.
 */
import type { SocketAddress } from "../config/types.ts";
import { ListenerSlot } from "../observe/counter-layout.ts";
import { ipv4Octets } from "../proxy-protocol/ip-bytes.ts";
import {
  decodeProxyHeader,
  type ProxyHeader,
  type ProxyHeaderFault,
} from "../proxy-protocol/proxy-header.ts";
import { Errno } from "../sys/errno.ts";
import { recv } from "../sys/socket.ts";
import { READ_BYTES, RECEIVE_START } from "./arena.ts";
import { ClientConnection } from "./client-connection.ts";
import { Cause } from "./failure.ts";

export class ProxiedClientConnection extends ClientConnection {
  #awaitsHeader = true;
  #isPeerTrusted = false;
  #destination: SocketAddress | undefined = undefined;

  override get isPeerTrusted(): boolean {
    return this.#isPeerTrusted;
  }

  override destinationAddress(): SocketAddress {
    return this.#destination ?? super.destinationAddress();
  }

  protected override handleReadable(): boolean {
    return this.#awaitsHeader ? this.#readHeader() : super.handleReadable();
  }

  #readHeader(): boolean {
    const { arena } = this.listener.server;
    const held = this.takeHeld();
    const heldLength = held?.length ?? 0;
    if (held !== undefined) arena.bytes.set(held, RECEIVE_START);
    const received = recv(this.fd, arena.address + RECEIVE_START + heldLength, READ_BYTES);
    if (received > 0) {
      this.listener.count(ListenerSlot.bytesReceived, received);
      this.#takeHeader(RECEIVE_START, RECEIVE_START + heldLength + received);
    } else if (received === 0) this.close(heldLength > 0 ? Cause.PEER_FIN_IN_REQUEST : Cause.PEER_FIN);
    else if (received !== -Errno.EAGAIN) this.handleFailure(-received);
    else this.hold(RECEIVE_START, RECEIVE_START + heldLength);
    return received < READ_BYTES;
  }

  #takeHeader(start: number, end: number): void {
    const decoded = decodeProxyHeader(this.listener.server.arena.bytes, start, end);
    if (decoded.status === "incomplete") this.hold(start, end);
    else if (decoded.status === "malformed") this.#refuse(decoded.reason);
    else {
      this.#awaitsHeader = false;
      this.#isPeerTrusted = this.listener.trusts(this);
      this.#adopt(decoded.header);
      const rest = start + decoded.length;
      if (rest < end) this.serve(rest, end);
    }
  }

  /** A header that names nobody (LOCAL, UNKNOWN) leaves the connection's own addresses. */
  #adopt({ source, destination }: ProxyHeader): void {
    if (source === undefined) return;
    this.#destination = destination;
    this.peerPort = source.port;
    if (source.family === "inet6") {
      this.peerIpv4 = 0;
      this.peerText = source.host;
      return;
    }
    const [a, b, c, d] = ipv4Octets(source.host);
    this.peerIpv4 = (a! << 24) | (b! << 16) | (c! << 8) | d!;
    this.peerText = undefined;
  }

  /** Whoever it is does not speak the protocol that was agreed on: there is nothing it could be told (HAProxy and nginx close, too). */
  #refuse(reason: ProxyHeaderFault): void {
    this.listener.server.accessLog?.recordRejected(this, 400, 0, reason, "bad-proxy-header");
    this.close(Cause.BAD_PROXY_HEADER);
  }
}
