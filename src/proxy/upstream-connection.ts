/**
 * One connection to a server: carries one exchange at a time and is kept in the pool between them (RFC 9112 §9.3).
 * It owns the socket, its timer and its counters; what the bytes mean is the exchange's business.
 *
 *   CONNECTING → BUSY ⇄ IDLE (in the pool) → WATCHED        BUSY → TUNNEL        any → CLOSED
 */
import { ServerSlot } from "../observe/counter-layout.ts";
import { encodeProxyHeader, type ProxyVersion } from "../proxy-protocol/proxy-header.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { READ_INTEREST, Stream } from "../reactor/stream.ts";
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from "../sys/epoll.ts";
import { Errno } from "../sys/errno.ts";
import { peek, recv } from "../sys/socket.ts";
import { takeSocketError } from "../sys/socket-options.ts";
import { getTcpInfo } from "../sys/tcp-info.ts";
import { READ_BYTES, RECEIVE_START } from "./arena.ts";
import { UpstreamState } from "./connection-state.ts";
import type { Exchange } from "./exchange.ts";
import { Cause, upstreamFailureCause } from "./failure.ts";
import type { IdleConnection } from "./idle-pool.ts";
import { relayUpstreamTunnel } from "./tunnel.ts";
import type { PoolServer, UpstreamPool } from "./upstream-pool.ts";

export class UpstreamConnection extends Stream implements IdleConnection {
  idleBackendIndex = -1;
  idleSequence = -1;

  readonly pool: UpstreamPool;
  readonly server: PoolServer;
  state: number = UpstreamState.CONNECTING;
  exchange: Exchange | undefined = undefined;
  requestCount = 0;
  /** Whole milliseconds of the loop's clock. */
  readonly openedAtMs: number;
  /** `keepalive_time` of this connection, spread so that connections opened together do not end together. */
  readonly ageMsMax: number;
  idleSinceMs = 0;
  /** Bytes the kernel took, in all; the proof of non-delivery compares it with TCP_INFO. */
  bytesSent = 0;
  bytesSentBeforeRequest = 0;
  #held: Uint8Array | undefined = undefined;

  constructor(fd: number, pool: UpstreamPool, server: PoolServer, nowMs: number, ageMsMax: number) {
    super(fd, READ_INTEREST | EPOLLOUT);
    this.pool = pool;
    this.server = server;
    this.openedAtMs = nowMs;
    this.ageMsMax = ageMsMax;
  }

  protected override reactor(): Reactor {
    return this.pool.proxy.reactor;
  }

  /** 0, or the errno of epoll_ctl(2): the connection cannot be used, and its descriptor is still the caller's. */
  open(): number {
    const result = this.reactor().tryRegister(this.fd, READ_INTEREST | EPOLLOUT, this);
    if (result === 0) this.reactor().timers.arm(this, this.pool.config.connectTimeoutMs);
    return -result;
  }

  get wasReused(): boolean {
    return this.requestCount > 1;
  }

  // ── events ───────────────────────────────────────────────────────────────────────────────────────────────

  override handleEvents(mask: number): void {
    if (this.state === UpstreamState.CONNECTING) this.#handleConnectResult(mask);
    else {
      super.handleEvents(mask);
      // The response and the FIN behind it in one event: nobody may be given this connection in the same turn.
      const hasEnded = (mask & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) !== 0;
      if (hasEnded && this.state === UpstreamState.IDLE) this.#readWhileIdle();
    }
  }

  #handleConnectResult(mask: number): void {
    const errno = (mask & (EPOLLERR | EPOLLHUP)) !== 0 ? takeSocketError(this.fd) : 0;
    if (errno !== 0 || (mask & EPOLLOUT) === 0) {
      this.exchange!.handleConnectFailure(errno === 0 ? Errno.ECONNRESET : errno);
      return;
    }
    this.state = UpstreamState.BUSY;
    this.reactor().timers.cancel(this);
    const { sendProxy } = this.pool.config;
    if (sendProxy !== "off" && !this.#sendProxyHeader(sendProxy)) return;
    this.exchange!.sendRequest();
    // The server may have spoken, or closed, before we did: that edge has just been used up.
    if ((mask & (EPOLLIN | EPOLLRDHUP)) !== 0) this.rearm();
  }

  /** Before anything else, whose connection this is. False when that failed: nothing of the request was sent then. */
  #sendProxyHeader(version: ProxyVersion): boolean {
    const exchange = this.exchange!;
    const { client } = exchange;
    const header = encodeProxyHeader(version, client.clientAddress(), client.destinationAddress());
    const errno = this.write(this.pool.proxy.place(header), 0, header.length);
    if (errno === 0) return true;
    exchange.handleConnectFailure(-errno);
    return false;
  }

  protected override get watchesWritable(): boolean {
    return true;
  }

  protected override handleReadable(): boolean {
    if (this.state === UpstreamState.BUSY) return this.#readResponse();
    if (this.state === UpstreamState.TUNNEL) return relayUpstreamTunnel(this.exchange!);
    if (this.state === UpstreamState.IDLE || this.state === UpstreamState.WATCHED) this.#readWhileIdle();
    return true;
  }

  #readResponse(): boolean {
    const { arena } = this.pool.proxy;
    const heldLength = this.unhold();
    const received = recv(this.fd, arena.address + RECEIVE_START + heldLength, READ_BYTES);
    const exchange = this.exchange!;
    if (received > 0) {
      this.server.count(ServerSlot.bytesReceived, received);
      exchange.handleResponseBytes(RECEIVE_START, RECEIVE_START + heldLength + received);
    } else if (received === 0) exchange.handleUpstreamEnd();
    else if (received !== -Errno.EAGAIN) this.handleFailure(-received);
    else if (heldLength > 0) this.hold(RECEIVE_START, RECEIVE_START + heldLength);
    return received < READ_BYTES;
  }

  /** In the pool, any readability is the end: FIN, RST, or bytes that are nobody's response (RFC 9112 §9.2). */
  #readWhileIdle(): void {
    const { arena, reactor } = this.pool.proxy;
    const received = recv(this.fd, arena.address + RECEIVE_START, READ_BYTES);
    if (received === -Errno.EAGAIN) return;
    if (received === 0) {
      this.server.learned.handleIdleFin(reactor.nowMs, reactor.nowMs - this.idleSinceMs);
      this.close(Cause.UPSTREAM_FIN_IDLE);
    } else if (received > 0) this.close(Cause.UPSTREAM_STRAY_BYTES);
    else this.handleFailure(-received);
  }

  /** True when nothing has arrived on the idle connection: no FIN, no RST, no stray byte. */
  isQuiet(): boolean {
    const { arena } = this.pool.proxy;
    return peek(this.fd, arena.address + RECEIVE_START, 1) === -Errno.EAGAIN;
  }

  /** Something has arrived that the loop has not come to yet; nothing was sent, so it is as if it had. */
  closeUnquiet(): void {
    this.exchange = undefined;
    this.#readWhileIdle();
  }

  protected override handleDrained(): void {
    this.exchange?.handleUpstreamDrained();
  }

  protected override handleFailure(errno: number): void {
    if (this.state === UpstreamState.CLOSED) return;
    const actual = errno === 0 ? takeSocketError(this.fd) : errno;
    if (actual === 0) {
      this.handleReadable();
      return;
    }
    const hadDataInFlight = actual === Errno.ETIMEDOUT && (getTcpInfo(this.fd)?.retransmits ?? 0) > 0;
    const cause = upstreamFailureCause(actual, hadDataInFlight);
    const { exchange } = this;
    if (exchange === undefined) this.close(cause);
    else exchange.handleUpstreamFailure(cause, actual);
  }

  /** A send failed: what the server had sent before is still in the socket and may be the response (a 413, say). */
  handleSendFailure(errno: number): void {
    const { arena } = this.pool.proxy;
    const heldLength = this.unhold();
    const received = recv(this.fd, arena.address + RECEIVE_START + heldLength, READ_BYTES);
    if (received > 0)
      this.exchange!.handleResponseBytes(RECEIVE_START, RECEIVE_START + heldLength + received);
    else if (received === 0) this.exchange!.handleUpstreamEnd();
    else this.handleFailure(received === -Errno.EAGAIN ? errno : -received);
  }

  protected override noteSent(bytes: number): void {
    this.bytesSent += bytes;
    this.server.count(ServerSlot.bytesSent, bytes);
    if (this.isBlocked) this.armSendTimeout();
  }

  override handleTimeout(): void {
    const { exchange } = this;
    if (this.state === UpstreamState.IDLE) this.pool.retire(this);
    else if (this.state === UpstreamState.WATCHED) this.#outlive();
    else if (this.state === UpstreamState.CONNECTING) exchange!.handleConnectFailure(Errno.ETIMEDOUT);
    else if (exchange !== undefined) exchange.handleUpstreamTimeout(this.isBlocked);
  }

  /** It has reached its limit: nobody gets it any more, it is only watched for when the server closes it. */
  watch(): void {
    const { learned } = this.server;
    this.state = UpstreamState.WATCHED;
    this.reactor().timers.arm(this, this.idleSinceMs + learned.watchMs() - this.reactor().nowMs);
  }

  /** The watched connection is older than the server lets them become, as far as was known. */
  #outlive(): void {
    const { nowMs } = this.reactor();
    this.server.learned.handleSurvival(nowMs, nowMs - this.idleSinceMs);
    this.close(Cause.UPSTREAM_IDLE_TIMEOUT);
  }

  armReadTimeout(): void {
    this.reactor().timers.arm(this, this.pool.config.readTimeoutMs);
  }

  armSendTimeout(): void {
    this.reactor().timers.arm(this, this.pool.config.sendTimeoutMs);
  }

  cancelTimeout(): void {
    this.reactor().timers.cancel(this);
  }

  // ── bytes that wait for the rest of a head ───────────────────────────────────────────────────────────────

  hold(start: number, end: number): void {
    // Not slice(): that of a Buffer is a view, and the arena is everybody's.
    this.#held = new Uint8Array(this.pool.proxy.arena.bytes.subarray(start, end));
  }

  /** Puts held bytes back at RECEIVE_START; their number. */
  unhold(): number {
    const held = this.#held;
    if (held === undefined) return 0;
    this.pool.proxy.arena.bytes.set(held, RECEIVE_START);
    this.#held = undefined;
    return held.length;
  }

  /** The server had closed before its TCP saw our request: it cannot have acted on it (see retry-policy.ts). */
  isProvablyUnprocessed(): boolean {
    const info = getTcpInfo(this.fd);
    // On an active open the SYN counts as one acknowledged byte.
    return info !== undefined && info.bytesAcked <= this.bytesSentBeforeRequest + 1;
  }

  /** Leaves its exchange, if any, and closes. */
  close(cause: number): void {
    if (this.state === UpstreamState.CLOSED) return;
    const { reactor } = this.pool.proxy;
    if (this.state === UpstreamState.IDLE) this.pool.forgetIdle(this);
    else if (this.state === UpstreamState.WATCHED) this.server.watched = undefined;
    else this.pool.releaseBusy(this.server);
    this.state = UpstreamState.CLOSED;
    this.exchange = undefined;
    this.#held = undefined;
    this.discardBacklog();
    this.server.countClose(cause);
    reactor.timers.remove(this);
    reactor.close(this.fd);
  }
}
