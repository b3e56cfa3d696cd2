/**
 * One TCP session: a client's connection, the choice of a server, the connection to it, and the end of both. The bytes are moved
 * by session-end.ts; when silence ends the session is decided by session-clock.ts. Made by tcp-listener.ts.
 *
 *   (HEADER) → (WAITING) → CONNECTING → RELAYING → closed
 *                  ↑___________|  next_upstream: another server, as nothing was relayed yet
 *
 * How one end's end reaches the other:
 *  - FIN becomes FIN, when everything before it was taken; the other direction goes on (half_close_timeout).
 *  - RST, and every other failure of a connection, becomes RST: nobody must take a part for the whole.
 *  - So does "no server could be reached": the client is told at once, and cannot mistake it for an empty answer.
 *
 * A session has one close cause, counted on both of its legs.
 */
import type { Backend } from "../balance/backend.ts";
import { hashBytes, hashIpv4 } from "../balance/key-hash.ts";
import type { SocketAddress } from "../config/types.ts";
import { closeCauseIndex } from "../observe/close-cause.ts";
import { ListenerSlot, PoolSlot, ServerSlot } from "../observe/counter-layout.ts";
import { RECEIVE_START } from "../proxy/arena.ts";
import { Cause, clientFailureCause, upstreamFailureCause } from "../proxy/failure.ts";
import type { QueueRefusal, Waiter } from "../proxy/pool-queue.ts";
import type { PoolServer } from "../proxy/upstream-pool.ts";
import type { QueuePlace } from "../proxy/wait-queue.ts";
import { encodeProxyHeader } from "../proxy-protocol/proxy-header.ts";
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from "../sys/epoll.ts";
import { Errno, isOutOfRoom } from "../sys/errno.ts";
import { close, getsockname, peek, shutdownWrite } from "../sys/socket.ts";
import { setResetOnClose, takeSocketError } from "../sys/socket-options.ts";
import { getTcpInfo } from "../sys/tcp-info.ts";
import { type AcceptedHeader, HEADER_TIMEOUT_MS, readProxyHeader } from "./accepted-header.ts";
import { checkSessionClock, NEVER, type SessionTimes } from "./session-clock.ts";
import { END_INTEREST, SessionEnd } from "./session-end.ts";
import { SessionState } from "./session-state.ts";
import type { TcpListener } from "./tcp-listener.ts";

/** Most sessions never try a second server. */
const NONE_TRIED: readonly Backend[] = [];

export class Session implements SessionTimes, Waiter {
  readonly listener: TcpListener;
  /** Number of this connection within its worker. */
  readonly id: number;
  /** IPv4 address of the peer as a 32-bit integer when `peerText` is undefined. */
  readonly peerIpv4: number;
  readonly peerText: string | undefined;
  readonly peerPort: number;
  readonly client: SessionEnd;
  server: SessionEnd | undefined = undefined;
  poolServer: PoolServer | undefined = undefined;
  state: number = SessionState.CONNECTING;
  /** Whole milliseconds of the loop's clock, as all times here. */
  readonly acceptedAtMs: number;
  lastPayloadMs: number;
  halfClosedAtMs = NEVER;
  bytesFromClient = 0;
  bytesFromServer = 0;
  /** What the PROXY protocol header said. */
  header: AcceptedHeader | undefined = undefined;

  // Choosing a server.
  keyHash = 0;
  tried: readonly Backend[] = NONE_TRIED;
  tries = 0;
  place: QueuePlace<Waiter> | undefined = undefined;
  /** What was reported of the client before a server was there: it has sent something, or ended. */
  #earlyEvents = 0;
  #firstEnded: SessionEnd | undefined = undefined;
  /** Why the session has no server: what the last try met with, if there was one. */
  #failureCause = Cause.SESSION_NO_SERVER;

  constructor(
    fd: number,
    listener: TcpListener,
    peerIpv4: number,
    peerText: string | undefined,
    peerPort: number,
    id: number,
  ) {
    this.listener = listener;
    this.id = id;
    this.peerIpv4 = peerIpv4;
    this.peerText = peerText;
    this.peerPort = peerPort;
    this.acceptedAtMs = listener.server.reactor.nowMs;
    this.lastPayloadMs = this.acceptedAtMs;
    this.client = new SessionEnd(fd, this, true);
  }

  /** False: epoll has no room for the connection; its descriptor is still the caller's. */
  open(): boolean {
    const { reactor } = this.listener.server;
    if (reactor.tryRegister(this.client.fd, END_INTEREST, this.client) < 0) return false;
    if (this.listener.acceptsProxyProtocol) {
      this.state = SessionState.HEADER;
      reactor.timers.arm(this.client, HEADER_TIMEOUT_MS);
    } else this.#begin();
    return true;
  }

  #begin(): void {
    if (this.listener.pool.config.balance.kind === "hash") this.keyHash = this.#sourceHash();
    this.#choose();
  }

  /** A relay knows no URI and no header: every `hash` is a hash of the client's address. */
  #sourceHash(): number {
    const text = this.header?.source?.host ?? this.peerText;
    if (text === undefined) return hashIpv4(this.peerIpv4);
    const bytes = new TextEncoder().encode(text);
    return hashBytes(bytes, 0, bytes.length);
  }

  // ── choosing a server and connecting ─────────────────────────────────────────────────────────────────────

  #choose(): void {
    const { pool } = this.listener;
    // Nobody overtakes those who wait.
    const backend = pool.queue.isEmpty
      ? pool.selector.select(this.listener.server.reactor.nowMs, this.keyHash, this.tried)
      : undefined;
    if (backend !== undefined) {
      this.#connect(backend);
      return;
    }
    this.state = SessionState.WAITING;
    const refusal = pool.queue.enter(this);
    if (refusal !== undefined) this.handleQueueEnd(refusal);
  }

  handleServerFree(backend: Backend): void {
    this.#connect(backend);
  }

  handleQueueEnd(_refusal: QueueRefusal): void {
    this.listener.pool.count(PoolSlot.noServer, 1);
    this.close(this.#failureCause, true);
  }

  #connect(backend: Backend): void {
    const { pool, server: proxy } = this.listener;
    if (this.tries > 0) pool.count(PoolSlot.retries, 1);
    this.tries++;
    this.state = SessionState.CONNECTING;
    const poolServer = pool.servers[backend.index]!;
    const fd = pool.openSocket(poolServer);
    this.poolServer = poolServer;
    const end = new SessionEnd(fd, this, false);
    const errno = fd < 0 ? -fd : -proxy.reactor.tryRegister(fd, END_INTEREST, end);
    if (isOutOfRoom(errno)) {
      if (fd >= 0) close(fd);
      proxy.handleDescriptorsExhausted();
      this.close(Cause.OUT_OF_DESCRIPTORS, true);
      return;
    }
    if (errno !== 0) {
      this.#handleConnectFailure(errno);
      return;
    }
    this.server = end;
    end.peer = this.client;
    this.client.peer = end;
    backend.activeConnections++;
    poolServer.count(ServerSlot.connectionsOpened, 1);
    proxy.reactor.timers.arm(end, pool.config.connectTimeoutMs);
  }

  /** Something happened to an end before bytes are relayed. */
  handleEarlyEvents(end: SessionEnd, mask: number): void {
    if (this.state === SessionState.CLOSED) return;
    if (!end.isClient) this.#handleConnectResult(mask);
    else if (this.state === SessionState.HEADER) this.#readHeader(mask);
    else if ((mask & (EPOLLERR | EPOLLHUP)) !== 0) this.handleFailure(end, 0);
    else if ((mask & (EPOLLIN | EPOLLRDHUP)) !== 0) {
      this.#earlyEvents |= mask;
      if (this.state === SessionState.WAITING && this.#hasLeftQueue(mask))
        this.close(Cause.PEER_FIN_IN_QUEUE);
    }
  }

  /** A client that has said nothing and closes is gone; one that closes behind its question still wants the answer. */
  #hasLeftQueue(mask: number): boolean {
    const { arena } = this.listener.server;
    return (mask & EPOLLRDHUP) !== 0 && peek(this.client.fd, arena.address + RECEIVE_START, 1) === 0;
  }

  #readHeader(mask: number): void {
    if ((mask & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) === 0) return;
    const result = readProxyHeader(this.client.fd, this.listener.server.arena);
    if (result === "incomplete" && (mask & EPOLLRDHUP) === 0) return;
    if (typeof result === "number") this.handleFailure(this.client, result);
    else if (result === "incomplete" || result === "malformed") this.close(Cause.BAD_PROXY_HEADER, true);
    else {
      this.header = result;
      this.#earlyEvents = mask;
      this.listener.server.reactor.timers.cancel(this.client);
      this.#begin();
    }
  }

  #handleConnectResult(mask: number): void {
    const server = this.server!;
    const errno = (mask & (EPOLLERR | EPOLLHUP)) !== 0 ? takeSocketError(server.fd) : 0;
    if (errno !== 0 || (mask & EPOLLOUT) === 0) {
      this.#handleConnectFailure(errno === 0 ? Errno.ECONNRESET : errno);
      return;
    }
    const { reactor } = this.listener.server;
    this.state = SessionState.RELAYING;
    reactor.timers.cancel(server);
    this.lastPayloadMs = reactor.nowMs;
    this.#runClock();
    if (this.listener.pool.config.sendProxy !== "off" && !this.#sendHeader()) return;
    if (this.#earlyEvents !== 0) this.client.pump((this.#earlyEvents & EPOLLRDHUP) !== 0);
    if ((mask & (EPOLLIN | EPOLLRDHUP)) !== 0 && this.state === SessionState.RELAYING) server.pump(true);
  }

  /** False: the session is over. */
  #sendHeader(): boolean {
    const { pool, server: proxy } = this.listener;
    const { sendProxy } = pool.config;
    if (sendProxy === "off") return true;
    const destination = this.header?.destination ?? getsockname(this.client.fd);
    const bytes = encodeProxyHeader(sendProxy, this.clientAddress(), destination);
    return this.server!.send(proxy.place(bytes), 0, bytes.length);
  }

  /** Whose session it is: as the PROXY header says, or the peer itself. */
  clientAddress(): SocketAddress {
    const source = this.header?.source;
    if (source !== undefined) return source;
    const { peerText, peerIpv4, peerPort: port } = this;
    if (peerText === "unix:") return { family: "unix", path: "" };
    if (peerText !== undefined)
      return { family: peerText.includes(":") ? "inet6" : "inet", host: peerText, port };
    const octets = [24, 16, 8, 0].map((shift) => (peerIpv4 >>> shift) & 255);
    return { family: "inet", host: octets.join("."), port };
  }

  /** Nothing was relayed: another server may be asked (next_upstream). */
  #handleConnectFailure(errno: number): void {
    const { pool, server: proxy } = this.listener;
    const poolServer = this.poolServer!;
    const cause =
      errno === Errno.ETIMEDOUT ? Cause.UPSTREAM_CONNECT_TIMEOUT : upstreamFailureCause(errno, false);
    poolServer.count(ServerSlot.connectFailures, 1);
    poolServer.handleFailure(proxy.reactor.nowMs, cause);
    this.#failureCause = cause;
    this.#dropServer(cause);
    this.tried = [...this.tried, poolServer.backend];
    const { tries, timeoutMs } = pool.config.nextUpstream;
    const isInTime = timeoutMs === 0 || proxy.reactor.nowMs - this.acceptedAtMs < timeoutMs;
    if (this.tries < tries && isInTime) this.#choose();
    else this.close(cause, true);
  }

  #dropServer(cause: number): void {
    const { server, poolServer } = this;
    this.server = undefined;
    this.client.peer = undefined;
    if (server === undefined) return;
    this.#closeServer(server, poolServer!, cause);
  }

  #closeServer(server: SessionEnd, poolServer: PoolServer, cause: number): void {
    const { pool, server: proxy } = this.listener;
    proxy.reactor.timers.remove(server);
    proxy.reactor.close(server.fd);
    pool.releaseBusy(poolServer);
    poolServer.countClose(cause);
  }

  // ── time ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** The client's timer is the session's clock (before: the PROXY header's time), the server's is connect_timeout. */
  handleTimeout(end: SessionEnd): void {
    if (!end.isClient) this.#handleConnectFailure(Errno.ETIMEDOUT);
    else if (this.state === SessionState.HEADER) this.close(Cause.BAD_PROXY_HEADER, true);
    else this.#runClock();
  }

  #runClock(): void {
    const { reactor } = this.listener.server;
    const effect = checkSessionClock(this, this.listener.config, reactor.nowMs);
    if (effect.kind === "wait") reactor.timers.arm(this.client, effect.leftMs);
    else if (effect.kind === "expire") this.#expire(closeCauseIndex(effect.cause), effect.action);
  }

  #expire(cause: number, action: "reset" | "close" | "silent"): void {
    if (action === "silent") this.#forget(cause);
    else this.close(cause, action === "reset");
  }

  // ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** An end's FIN was read: it is passed on behind everything that came before. */
  handleEnd(end: SessionEnd): void {
    const other = end.peer!;
    if (this.#firstEnded === undefined) {
      this.#firstEnded = end;
      this.halfClosedAtMs = this.listener.server.reactor.nowMs;
      if (!other.isBlocked) shutdownWrite(other.fd);
      this.#runClock();
    } else if (!other.isBlocked && !end.isBlocked) this.#finish();
    else if (!other.isBlocked) shutdownWrite(other.fd);
  }

  /** The last bytes for this end were sent, and the other one has ended. */
  handleFlushed(end: SessionEnd): void {
    if (end.hasEnded && !end.peer!.isBlocked) this.#finish();
    else shutdownWrite(end.fd);
  }

  #finish(): void {
    // A server to whom a client says good-bye has served it, even if it never has anything to say (a log sink).
    if (this.#firstEnded!.isClient && this.bytesFromServer === 0) this.#noteSuccess();
    this.close(this.#firstEnded!.isClient ? Cause.SESSION_CLIENT_FIN : Cause.SESSION_SERVER_FIN);
  }

  /** Writing to an end failed; it may have said something before (a refusal, say) that is still in its socket. */
  handleSendFailure(end: SessionEnd, errno: number): void {
    end.salvage();
    this.handleFailure(end, errno);
  }

  /** The connection of an end is broken. `errno` 0: ask SO_ERROR. */
  handleFailure(end: SessionEnd, errno: number): void {
    const actual = errno === 0 ? takeSocketError(end.fd) || Errno.ECONNRESET : errno;
    const hadDataInFlight = actual === Errno.ETIMEDOUT && (getTcpInfo(end.fd)?.retransmits ?? 0) > 0;
    const causeOf = end.isClient ? clientFailureCause : upstreamFailureCause;
    const cause = causeOf(actual, hadDataInFlight);
    // A server that breaks a session without having said a word has failed it.
    if (!end.isClient && this.bytesFromServer === 0)
      this.poolServer!.handleFailure(this.listener.server.reactor.nowMs, cause);
    this.close(cause, true);
  }

  /**
   * Ends both connections: FIN, or RST with `withReset`. An end for which bytes still wait gets RST in every case, as it will
   * not get them.
   */
  close(cause: number, withReset = false): void {
    if (this.state === SessionState.CLOSED) return;
    const { client, server, listener } = this;
    const { reactor } = listener.server;
    const isEstablished = this.state === SessionState.RELAYING;
    this.#leaveBooks();
    reactor.timers.remove(client);
    if (withReset || client.isBlocked) setResetOnClose(client.fd);
    client.discard();
    reactor.close(client.fd);
    if (server !== undefined) {
      if ((withReset && isEstablished) || server.isBlocked) setResetOnClose(server.fd);
      server.discard();
      this.#closeServer(server, this.poolServer!, cause);
    }
    listener.handleClosed(cause);
  }

  #leaveBooks(): void {
    this.state = SessionState.CLOSED;
    if (this.place !== undefined) this.listener.pool.queue.leave(this);
  }

  /** `on_idle: silent`: the session is over for us, and nobody is told (graveyard.ts). */
  #forget(cause: number): void {
    const { client, listener } = this;
    const { reactor, graveyard } = listener.server;
    const server = this.server!;
    this.#leaveBooks();
    for (const end of [client, server]) {
      reactor.timers.remove(end);
      end.discard();
      graveyard.bury(end.fd);
    }
    listener.pool.releaseBusy(this.poolServer!);
    this.poolServer!.countClose(cause);
    listener.handleClosed(cause);
  }

  /**
   * The server has done its part. Not when it accepts the connection: its kernel does that, also for a program that is frozen or
   * breaks every session at once, and the successes would hide its failures.
   */
  #noteSuccess(): void {
    this.poolServer!.handleSuccess(this.listener.server.reactor.nowMs);
  }

  // ── counting ─────────────────────────────────────────────────────────────────────────────────────────────

  noteFromClient(bytes: number): void {
    this.bytesFromClient += bytes;
    this.listener.count(ListenerSlot.bytesReceived, bytes);
  }

  noteFromServer(bytes: number): void {
    if (this.bytesFromServer === 0) this.#noteSuccess();
    this.bytesFromServer += bytes;
    this.poolServer!.count(ServerSlot.bytesReceived, bytes);
  }

  noteToClient(bytes: number): void {
    this.listener.count(ListenerSlot.bytesSent, bytes);
  }

  noteToServer(bytes: number): void {
    this.poolServer!.count(ServerSlot.bytesSent, bytes);
  }
}
