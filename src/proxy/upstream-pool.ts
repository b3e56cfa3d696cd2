/**
 * One pool of servers as one worker drives it: choosing a server, taking an idle connection or opening a new one, giving it
 * back. The decisions are pure and next door: balance/ (which server), idle-pool.ts (which connection),
 * learned-idle-timeout.ts (for how long). Called by exchange.ts.
 */
import { Backend } from "../balance/backend.ts";
import { createSelector, type Selector } from "../balance/selector.ts";
import type { PoolConfig } from "../config/types.ts";
import type { ServerStateMessage } from "../daemon/messages.ts";
import { CLOSE_CAUSES } from "../observe/close-cause.ts";
import { type CounterLayout, latencyBucket, PoolSlot, ServerSlot } from "../observe/counter-layout.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { Errno } from "../sys/errno.ts";
import { AF_UNIX, type EncodedAddress, encodeSocketAddress } from "../sys/sockaddr.ts";
import { close, connect, openStreamSocket, tryBind } from "../sys/socket.ts";
import {
  setBindAddressNoPort,
  setNoDelay,
  setTcpKeepalive,
  setTcpUserTimeout,
} from "../sys/socket-options.ts";
import { UpstreamState } from "./connection-state.ts";
import type { Exchange } from "./exchange.ts";
import { Cause } from "./failure.ts";
import { IdlePool } from "./idle-pool.ts";
import { LearnedIdleTimeout } from "./learned-idle-timeout.ts";
import { PoolQueue } from "./pool-queue.ts";
import type { ProxyServer } from "./proxy-server.ts";
import { ServerTraffic } from "./traffic-observer.ts";
import { UpstreamConnection } from "./upstream-connection.ts";

/** With `keepalive_timeout: auto`, an idle connection is kept at most this long while nothing else is known (nginx: 60 s). */
const IDLE_MS_MAX = 60_000;
/** An idle connection younger than this was read from a moment ago: looking at it again would tell nothing new. */
const QUIET_CHECK_AFTER_MS = 5;
/** `keepalive_time` varies by this fraction, so that connections opened together are not retired together. */
const AGE_JITTER = 0.1;

/** One server of a pool in this worker. */
export class PoolServer {
  readonly backend: Backend;
  readonly address: EncodedAddress;
  readonly learned: LearnedIdleTimeout;
  /** The one connection that is kept open beyond its limit. */
  watched: UpstreamConnection | undefined = undefined;
  readonly #traffic: ServerTraffic;
  readonly #counters: Float64Array;
  readonly #base: number;

  constructor(
    backend: Backend,
    learned: LearnedIdleTimeout,
    traffic: ServerTraffic,
    counters: Float64Array,
    base: number,
  ) {
    this.backend = backend;
    this.address = encodeSocketAddress(backend.config.address);
    this.learned = learned;
    this.#traffic = traffic;
    this.#counters = counters;
    this.#base = base;
  }

  count(slot: number, amount: number): void {
    this.#counters[this.#base + slot]! += amount;
  }

  set(slot: number, value: number): void {
    this.#counters[this.#base + slot] = value;
  }

  /** It answered, or served a TCP session: for max_fails here and for health in the supervisor. */
  handleSuccess(nowMs: number): void {
    this.backend.handleSuccess(nowMs);
    this.#traffic.handleSuccess();
  }

  /** It failed in a way that speaks against it; `cause` is the close cause of the connection. */
  handleFailure(nowMs: number, cause: number): void {
    this.backend.handleFailure(nowMs);
    this.count(ServerSlot.failures, 1);
    this.#traffic.handleFailure(CLOSE_CAUSES[cause]!.name, false);
  }

  /** A response head came. Max_fails counts any as a success, as nginx does; health looks at the status. */
  handleResponse(nowMs: number, status: number): void {
    this.backend.handleSuccess(nowMs);
    if (status < 500 || isRequestsFault(status)) this.#traffic.handleSuccess();
    else this.#traffic.handleFailure("response-5xx", true);
  }

  countResponse(status: number, latencyUs: number): void {
    this.#counters[this.#base + ServerSlot.latencySumMs]! += latencyUs / 1000;
    this.#counters[this.#base + ServerSlot.latency + latencyBucket(latencyUs)]! += 1;
    if (status >= 500) this.#counters[this.#base + ServerSlot.responses5xx]! += 1;
  }

  countClose(cause: number): void {
    this.#counters[this.#base + ServerSlot.closes + cause]! += 1;
  }
}

export class UpstreamPool {
  readonly config: PoolConfig;
  readonly proxy: ProxyServer;
  readonly servers: readonly PoolServer[];
  readonly backends: readonly Backend[];
  /** Made anew when a weight changes. */
  selector: Selector;
  /** A server has gone down or into maintenance; told after it left rotation. The TCP relay listens (on_down). */
  onServerGone: ((server: PoolServer) => void) | undefined = undefined;
  /** Connections are kept for further requests. With `send_proxy` each belongs to one client, so none is. */
  readonly keepsConnections: boolean;
  /** Who waits while every server is at max_conns. */
  readonly queue: PoolQueue;
  /** Host for an HTTP/1.0 request that names none. */
  readonly hostFallback: Uint8Array;
  /** Lower-case name of the field that `balance: {hash: "header:…"}` takes its key from. */
  readonly hashHeaderName: Uint8Array;
  readonly #idle: IdlePool<UpstreamConnection>;
  readonly #base: number;
  readonly #sourceAddress: EncodedAddress | undefined;
  readonly #random: () => number;

  constructor(
    config: PoolConfig,
    index: number,
    proxy: ProxyServer,
    layout: CounterLayout,
    random: () => number,
  ) {
    this.config = config;
    this.proxy = proxy;
    this.#base = layout.poolBase(index);
    this.#random = random;
    this.hostFallback = new TextEncoder().encode(config.name);
    const { balance } = config;
    const isHeaderHash = balance.kind === "hash" && balance.key === "header";
    this.hashHeaderName = new TextEncoder().encode(isHeaderHash ? balance.header.toLowerCase() : "");
    const backends = config.servers.map((server, serverIndex) => new Backend(serverIndex, server));
    const idleMsMax = config.keepaliveTimeoutMs === "auto" ? IDLE_MS_MAX : config.keepaliveTimeoutMs;
    this.servers = backends.map((backend, serverIndex) => {
      const learned = new LearnedIdleTimeout(idleMsMax);
      const observer = config.health === undefined ? undefined : proxy.trafficObserver;
      const traffic = new ServerTraffic(observer, index, serverIndex);
      return new PoolServer(backend, learned, traffic, proxy.counters, layout.serverBase(index, serverIndex));
    });
    this.backends = backends;
    this.selector = createSelector(config.balance, backends, random);
    this.queue = new PoolQueue(this);
    this.keepsConnections = config.keepalive !== 0 && config.sendProxy === "off";
    this.#idle = new IdlePool(config.keepalive, backends.length);
    this.#sourceAddress = encodeSource(config.sourceAddress);
  }

  get reactor(): Reactor {
    return this.proxy.reactor;
  }

  count(slot: number, amount: number): void {
    this.proxy.counters[this.#base + slot]! += amount;
  }

  /** Values that need not be kept up to date with every request. */
  writeGauges(): void {
    const { nowMs } = this.proxy.reactor;
    this.proxy.counters[this.#base + PoolSlot.idle] = this.#idle.size;
    this.proxy.counters[this.#base + PoolSlot.waiting] = this.queue.size;
    for (const server of this.servers) {
      server.set(ServerSlot.active, server.backend.activeConnections);
      server.set(ServerSlot.idle, this.#idle.sizeOf(server.backend.index));
      server.set(ServerSlot.passedOver, server.backend.isPassedOver(nowMs) ? 1 : 0);
      server.set(ServerSlot.idleLimitMs, this.#idleLimitMs(server, nowMs));
    }
  }

  /** An idle connection to the server that may be used now, or undefined. Retires on the way what may not. */
  checkOut(server: PoolServer): UpstreamConnection | undefined {
    const { nowMs } = this.proxy.reactor;
    for (;;) {
      const connection = this.#idle.checkOut(server.backend.index);
      if (connection === undefined) return undefined;
      connection.state = UpstreamState.BUSY;
      server.backend.activeConnections++;
      const idleMs = nowMs - connection.idleSinceMs;
      if (idleMs > this.#idleLimitMs(server, nowMs)) connection.close(Cause.UPSTREAM_IDLE_TIMEOUT);
      else if (idleMs >= QUIET_CHECK_AFTER_MS && !connection.isQuiet()) connection.closeUnquiet();
      else return connection;
    }
  }

  /** Opens a connection for the exchange. Returns 0, or the errno of what failed at once. */
  connect(server: PoolServer, exchange: Exchange): number {
    const fd = this.openSocket(server);
    if (fd < 0) return -fd;
    const { nowMs } = this.proxy.reactor;
    const ageMsMax = this.config.keepaliveTimeMs * (1 - AGE_JITTER * this.#random());
    const connection = new UpstreamConnection(fd, this, server, nowMs, Math.floor(ageMsMax));
    const refusal = connection.open();
    if (refusal !== 0) {
      close(fd);
      return refusal;
    }
    connection.exchange = exchange;
    exchange.upstream = connection;
    server.backend.activeConnections++;
    server.count(ServerSlot.connectionsOpened, 1);
    return 0;
  }

  /** A socket with the pool's options whose connect(2) has been begun, or -errno of what failed at once. */
  openSocket(server: PoolServer): number {
    const fd = openStreamSocket(server.address.family);
    if (fd < 0) return fd;
    const errno = this.#prepare(fd, server.address.family) || -connect(fd, server.address);
    if (errno === 0 || errno === Errno.EINPROGRESS) return fd;
    close(fd);
    return -errno;
  }

  #prepare(fd: number, family: number): number {
    if (family === AF_UNIX) return 0;
    setNoDelay(fd);
    setTcpKeepalive(fd, this.config.tcpKeepalive);
    if (this.config.tcpUserTimeoutMs !== 0) setTcpUserTimeout(fd, this.config.tcpUserTimeoutMs);
    if (this.#sourceAddress === undefined) return 0;
    setBindAddressNoPort(fd);
    return -tryBind(fd, this.#sourceAddress);
  }

  /** Why this connection may not be kept for another request, as a close cause; -1 when it may. */
  retirementCause(connection: UpstreamConnection): number {
    const { nowMs } = this.proxy.reactor;
    const { keepaliveRequests, keepaliveTimeMs } = this.config;
    if (this.proxy.isDraining) return Cause.UPSTREAM_DRAIN;
    if (!connection.server.backend.isUp) return Cause.UPSTREAM_OUT_OF_ROTATION;
    if (!this.keepsConnections)
      return this.config.sendProxy === "off" ? Cause.UPSTREAM_POOL_FULL : Cause.UPSTREAM_CARRIES_CLIENT;
    if (keepaliveRequests !== 0 && connection.requestCount >= keepaliveRequests)
      return Cause.UPSTREAM_REQUEST_LIMIT;
    if (keepaliveTimeMs !== 0 && nowMs - connection.openedAtMs >= connection.ageMsMax)
      return Cause.UPSTREAM_AGE_LIMIT;
    if (this.#idleLimitMs(connection.server, nowMs) <= 0) return Cause.UPSTREAM_IDLE_TIMEOUT;
    return -1;
  }

  /** Keeps a connection whose exchange is over for the next one. */
  checkIn(connection: UpstreamConnection): void {
    const { reactor } = this.proxy;
    const { server } = connection;
    this.releaseBusy(server);
    connection.exchange = undefined;
    connection.state = UpstreamState.IDLE;
    connection.idleSinceMs = reactor.nowMs;
    // Paused when the end of the response came while the client was blocked by what precedes it.
    connection.resumeReading();
    const evicted = this.#idle.checkIn(connection, server.backend.index);
    const limitMs = this.#idleLimitMs(server, reactor.nowMs);
    const ageLeftMs =
      this.config.keepaliveTimeMs === 0
        ? limitMs
        : connection.openedAtMs + connection.ageMsMax - reactor.nowMs;
    reactor.timers.arm(connection, Math.min(ageLeftMs, limitMs));
    evicted?.close(Cause.UPSTREAM_POOL_FULL);
  }

  /** An idle connection has reached a limit: it is closed, or, now and then, watched in order to learn. */
  retire(connection: UpstreamConnection): void {
    const { nowMs } = this.proxy.reactor;
    const { server } = connection;
    const isOld = this.config.keepaliveTimeMs !== 0 && nowMs - connection.openedAtMs >= connection.ageMsMax;
    const isAuto = this.config.keepaliveTimeoutMs === "auto" && !this.proxy.isDraining;
    if (isOld) connection.close(Cause.UPSTREAM_AGE_LIMIT);
    else if (isAuto && server.watched === undefined && server.learned.wantsWatch(nowMs)) {
      this.forgetIdle(connection);
      server.watched = connection;
      connection.watch();
    } else connection.close(Cause.UPSTREAM_IDLE_TIMEOUT);
  }

  /** An idle connection leaves the pool because it is being closed (an evicted one has left the list already). */
  forgetIdle(connection: UpstreamConnection): void {
    this.#idle.remove(connection);
  }

  /** A connection is no longer used by an exchange. */
  releaseBusy(server: PoolServer): void {
    server.backend.activeConnections--;
    this.queue.noteChange();
  }

  /** Closes up to `count` idle connections, the longest idle first: descriptors are short, or the worker drains. */
  closeOldestIdle(count: number, cause: number): number {
    let closed = 0;
    for (; closed < count; closed++) {
      const connection = this.#idle.oldest();
      if (connection === undefined) break;
      connection.close(cause);
    }
    return closed;
  }

  /** What the supervisor says about servers of this pool: health, the operator's orders, weights. */
  handleServerStates(states: readonly ServerStateMessage[]): void {
    let hasNewWeight = false;
    for (const state of states) {
      const server = this.servers[state.serverIndex]!;
      const { backend } = server;
      const { nowMs } = this.proxy.reactor;
      const weight = backend.weight;
      const wasUp = backend.isUp;
      const wasGone = backend.isGone;
      backend.setWeight(state.weight);
      backend.setUp(state.isUp, nowMs);
      backend.setAdmin(state.admin, nowMs);
      hasNewWeight ||= backend.weight !== weight;
      if (wasUp && !backend.isUp) this.#closeIdleOf(server);
      if (!wasGone && backend.isGone) this.handleServerDown(server);
    }
    if (hasNewWeight) this.selector = createSelector(this.config.balance, this.backends, this.#random);
    this.queue.noteChange();
  }

  /** A server is down or in maintenance: what goes on there may be ended. */
  handleServerDown(server: PoolServer): void {
    this.onServerGone?.(server);
  }

  /** Nothing new is sent there: connections kept for it would only wait for their end. */
  #closeIdleOf(server: PoolServer): void {
    for (;;) {
      const connection = this.#idle.oldestOf(server.backend.index);
      if (connection === undefined) return;
      connection.close(Cause.UPSTREAM_OUT_OF_ROTATION);
    }
  }

  #idleLimitMs(server: PoolServer, nowMs: number): number {
    return this.config.keepaliveTimeoutMs === "auto"
      ? server.learned.limitMs(nowMs)
      : this.config.keepaliveTimeoutMs;
  }
}

/** 501 and 505 say that the request asks for too much, not that the server is ill. */
function isRequestsFault(status: number): boolean {
  return status === 501 || status === 505;
}

function encodeSource(host: string | undefined): EncodedAddress | undefined {
  if (host === undefined) return undefined;
  return encodeSocketAddress({ family: host.includes(":") ? "inet6" : "inet", host, port: 0 });
}
