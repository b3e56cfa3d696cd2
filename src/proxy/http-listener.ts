/**
 * A listener of kind `http` in one worker: accepts connections on its inherited sockets, and holds what its connections share:
 * configuration, routes, counters. The TCP relay's counterpart is relay/tcp-listener.ts.
 */
import type { HttpListenerConfig, ListenerConfig } from "../config/types.ts";
import { type CounterLayout, ListenerSlot, latencyBucket } from "../observe/counter-layout.ts";
import { AF_INET, decodeSocketAddress, SOCKADDR_LENGTH_MAX } from "../sys/sockaddr.ts";
import { acceptedPeer, close } from "../sys/socket.ts";
import { Acceptor } from "./acceptor.ts";
import { CidrSet } from "./cidr-set.ts";
import { ClientConnection } from "./client-connection.ts";
import { ProxiedClientConnection } from "./proxied-client-connection.ts";
import type { ProxyServer } from "./proxy-server.ts";
import { RouteTable } from "./routes.ts";
import type { UpstreamPool } from "./upstream-pool.ts";

export class HttpListener {
  readonly name: string;
  readonly config: HttpListenerConfig;
  readonly server: ProxyServer;
  readonly routes: RouteTable;
  connectionCount = 0;
  /** Connections with a request in progress, or ending. */
  activeCount = 0;
  readonly #pools: readonly UpstreamPool[];
  readonly #trusted: CidrSet;
  /** With `proxy_protocol: accept` connections begin with a header. */
  readonly #Connection: typeof ClientConnection;
  readonly #counters: Float64Array;
  readonly #base: number;
  #acceptors: Acceptor[] = [];

  constructor(config: ListenerConfig, index: number, server: ProxyServer, layout: CounterLayout) {
    const { http } = config;
    if (http === undefined) throw new Error(`listener ${config.name} does not speak HTTP`);
    this.name = config.name;
    this.config = http;
    this.server = server;
    this.routes = new RouteTable(http.routes);
    this.#pools = http.routes.map((route) => server.poolNamed(route.pool));
    this.#trusted = new CidrSet(http.trustedProxies);
    this.#Connection = config.proxyProtocol === "accept" ? ProxiedClientConnection : ClientConnection;
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

  poolOfRoute(routeIndex: number): UpstreamPool {
    return this.#pools[routeIndex]!;
  }

  /** The peer was just accepted; its address is in `acceptedPeer`. */
  adopt(fd: number): void {
    const { server } = this;
    const connection = this.#connectionOf(fd, ++server.lastConnectionId);
    if (!connection.open()) {
      server.handleDescriptorsExhausted();
      close(fd);
      return;
    }
    this.count(ListenerSlot.accepted, 1);
    this.connectionCount++;
    server.connectionCount++;
  }

  #connectionOf(fd: number, id: number): ClientConnection {
    const { bytes } = acceptedPeer;
    if (bytes[0] === AF_INET && bytes[1] === 0) {
      const ipv4 = (bytes[4]! << 24) | (bytes[5]! << 16) | (bytes[6]! << 8) | bytes[7]!;
      return new this.#Connection(fd, this, ipv4, undefined, (bytes[2]! << 8) | bytes[3]!, id);
    }
    const peer = decodeSocketAddress(bytes, bytes.readUInt32LE(SOCKADDR_LENGTH_MAX));
    if (peer.family === "unix") return new this.#Connection(fd, this, 0, "unix:", 0, id);
    return new this.#Connection(fd, this, 0, peer.host, peer.port, id);
  }

  handleClosed(_connection: ClientConnection): void {
    this.connectionCount--;
    this.server.handleClientClosed();
  }

  /** Whether the peer's own X-Forwarded-Proto and -Host are believed (`trusted_proxies`). */
  trusts(client: ClientConnection): boolean {
    if (this.#trusted.isEmpty) return false;
    return client.peerText === undefined
      ? this.#trusted.hasIpv4(client.peerIpv4)
      : this.#trusted.hasText(client.peerText);
  }

  /** Writes the client's address as text; its length, 0 for a UNIX socket. */
  writePeerAddress(client: ClientConnection, target: Uint8Array): number {
    const { peerText } = client;
    if (peerText === undefined) return writeIpv4(client.peerIpv4, target);
    if (peerText === "unix:") return 0;
    for (let index = 0; index < peerText.length; index++) target[index] = peerText.charCodeAt(index);
    return peerText.length;
  }

  count(slot: number, amount: number): void {
    this.#counters[this.#base + slot]! += amount;
  }

  /** Values that need not be kept up to date with every request. */
  writeGauges(): void {
    this.#counters[this.#base + ListenerSlot.active] = this.activeCount;
    this.#counters[this.#base + ListenerSlot.idle] = this.connectionCount - this.activeCount;
  }

  countResponse(status: number, latencyUs: number): void {
    const slot = STATUS_SLOT[Math.floor(status / 100)];
    if (slot !== undefined) this.#counters[this.#base + slot]! += 1;
    this.#counters[this.#base + ListenerSlot.latencySumMs]! += latencyUs / 1000;
    this.#counters[this.#base + ListenerSlot.latency + latencyBucket(latencyUs)]! += 1;
  }

  /** An answer to what was no request: it has no latency. */
  countRejection(status: number): void {
    const slot = STATUS_SLOT[Math.floor(status / 100)]!;
    this.#counters[this.#base + slot]! += 1;
  }

  countClose(cause: number): void {
    this.#counters[this.#base + ListenerSlot.closes + cause]! += 1;
  }
}

const STATUS_SLOT = [
  undefined,
  ListenerSlot.responses1xx,
  ListenerSlot.responses2xx,
  ListenerSlot.responses3xx,
  ListenerSlot.responses4xx,
  ListenerSlot.responses5xx,
] as const;

function writeIpv4(address: number, target: Uint8Array): number {
  let offset = 0;
  for (let shift = 24; shift >= 0; shift -= 8) {
    const octet = (address >>> shift) & 255;
    if (octet >= 100) target[offset++] = 48 + ((octet / 100) | 0);
    if (octet >= 10) target[offset++] = 48 + (((octet / 10) | 0) % 10);
    target[offset++] = 48 + (octet % 10);
    if (shift > 0) target[offset++] = 46;
  }
  return offset;
}
