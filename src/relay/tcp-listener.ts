/**
 * A listener of kind `tcp` in one worker: accepts connections on its inherited sockets, makes each a session, and counts. The HTTP
 * counterpart is proxy/http-listener.ts. Built by proxy-server.ts.
 */
import type { ListenerConfig, TcpListenerConfig } from "../config/types.ts";
import { type CounterLayout, ListenerSlot } from "../observe/counter-layout.ts";
import { Acceptor } from "../proxy/acceptor.ts";
import { Cause } from "../proxy/failure.ts";
import type { ProxyServer } from "../proxy/proxy-server.ts";
import type { UpstreamPool } from "../proxy/upstream-pool.ts";
import { AF_INET, decodeSocketAddress, SOCKADDR_LENGTH_MAX } from "../sys/sockaddr.ts";
import { acceptedPeer, close } from "../sys/socket.ts";
import { Session } from "./session.ts";

export class TcpListener {
  readonly name: string;
  readonly config: TcpListenerConfig;
  readonly server: ProxyServer;
  readonly pool: UpstreamPool;
  readonly acceptsProxyProtocol: boolean;
  connectionCount = 0;
  readonly #counters: Float64Array;
  readonly #base: number;
  #acceptors: Acceptor[] = [];

  constructor(
    config: ListenerConfig,
    tcp: TcpListenerConfig,
    index: number,
    server: ProxyServer,
    layout: CounterLayout,
  ) {
    this.name = config.name;
    this.config = tcp;
    this.server = server;
    this.pool = server.poolNamed(tcp.pool);
    this.acceptsProxyProtocol = config.proxyProtocol === "accept";
    this.#counters = server.counters;
    this.#base = layout.listenerBase(index);
  }

  addSocket(fd: number): void {
    const acceptor = new Acceptor(fd, this);
    acceptor.start();
    this.#acceptors.push(acceptor);
  }

  stopAccepting(): void {
    for (const acceptor of this.#acceptors) acceptor.stop();
    this.#acceptors = [];
  }

  /** The peer was just accepted; its address is in `acceptedPeer`. */
  adopt(fd: number): void {
    const { server } = this;
    const session = this.#sessionOf(fd, ++server.lastConnectionId);
    this.count(ListenerSlot.accepted, 1);
    this.connectionCount++;
    server.connectionCount++;
    // Beyond max_connections clients wait in the kernel's queue, or go to another worker.
    if (this.#isFull()) for (const acceptor of this.#acceptors) acceptor.pause();
    if (session.open()) return;
    server.handleDescriptorsExhausted();
    close(fd);
    this.handleClosed(Cause.OUT_OF_DESCRIPTORS);
  }

  #sessionOf(fd: number, id: number): Session {
    const { bytes } = acceptedPeer;
    if (bytes[0] === AF_INET && bytes[1] === 0) {
      const ipv4 = (bytes[4]! << 24) | (bytes[5]! << 16) | (bytes[6]! << 8) | bytes[7]!;
      return new Session(fd, this, ipv4, undefined, (bytes[2]! << 8) | bytes[3]!, id);
    }
    const peer = decodeSocketAddress(bytes, bytes.readUInt32LE(SOCKADDR_LENGTH_MAX));
    if (peer.family === "unix") return new Session(fd, this, 0, "unix:", 0, id);
    return new Session(fd, this, 0, peer.host, peer.port, id);
  }

  handleClosed(cause: number): void {
    this.#counters[this.#base + ListenerSlot.closes + cause]! += 1;
    this.connectionCount--;
    if (!this.#isFull()) for (const acceptor of this.#acceptors) acceptor.resume();
    this.server.handleClientClosed();
  }

  #isFull(): boolean {
    const { maxConnections } = this.config;
    return maxConnections !== 0 && this.connectionCount >= maxConnections;
  }

  count(slot: number, amount: number): void {
    this.#counters[this.#base + slot]! += amount;
  }

  /** Values that need not be kept up to date with every session. */
  writeGauges(): void {
    this.#counters[this.#base + ListenerSlot.active] = this.connectionCount;
  }
}
