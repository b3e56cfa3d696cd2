/**
 * One client's connection: reads requests, hands each to an Exchange, writes what comes back, and decides how the connection
 * goes on or ends (RFC 9112 §9). One request at a time; pipelined ones wait as bytes (§9.3.2). An idle connection owns
 * no buffer: it is this object and an entry in the timer wheel.
 *
 *   IDLE ⇄ HEAD → EXCHANGE → (FLUSHING) → IDLE …
 *                     │            └→ LINGERING → closed
 *                     └→ TUNNEL → closed
 */
import type { SocketAddress } from "../config/types.ts";
import { encodeErrorResponse } from "../http1/error-response.ts";
import { parseRequestHead, REQUEST_REJECTIONS, type RequestHead } from "../http1/request-head.ts";
import { ListenerSlot } from "../observe/counter-layout.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { READ_INTEREST, Stream } from "../reactor/stream.ts";
import { Errno } from "../sys/errno.ts";
import type { NativeBuffer } from "../sys/memory.ts";
import { getsockname, peek, recv, shutdownWrite } from "../sys/socket.ts";
import { setResetOnClose, takeSocketError } from "../sys/socket-options.ts";
import { getTcpInfo } from "../sys/tcp-info.ts";
import { READ_BYTES, RECEIVE_START } from "./arena.ts";
import { ClientState, Ending } from "./connection-state.ts";
import type { Exchange } from "./exchange.ts";
import { Cause, clientFailureCause } from "./failure.ts";
import type { HttpListener } from "./http-listener.ts";
import { beginExchange, relayRequestBody } from "./request-relay.ts";
import { relayClientTunnel } from "./tunnel.ts";

export class ClientConnection extends Stream {
  readonly listener: HttpListener;
  /**
   * The client: the peer, or whom the peer's PROXY header names. IPv4 address as a 32-bit integer when `peerText` is undefined.
   */
  peerIpv4: number;
  peerText: string | undefined;
  peerPort: number;
  /** Number of this connection within its worker. */
  readonly id: number;
  /** When it was accepted, whole milliseconds of the loop's clock. */
  readonly acceptedAtMs: number;
  state: number = ClientState.IDLE;
  requestCount = 0;
  /** When it became idle, whole milliseconds of the loop's clock. */
  idleSinceMs = 0;
  exchange: Exchange | undefined = undefined;
  /** The client has shut its direction; what it asked for is still answered (RFC 9112 §9.6). */
  hasEnded = false;
  #held: Uint8Array | undefined = undefined;
  #ending: number = Ending.PERSIST;
  #cause = 0;
  #isProcessing = false;
  #lingerUntilMs = 0;

  constructor(
    fd: number,
    listener: HttpListener,
    peerIpv4: number,
    peerText: string | undefined,
    peerPort: number,
    id: number,
  ) {
    super(fd, READ_INTEREST);
    this.listener = listener;
    this.peerIpv4 = peerIpv4;
    this.peerText = peerText;
    this.peerPort = peerPort;
    this.id = id;
    this.acceptedAtMs = listener.server.reactor.nowMs;
  }

  protected override reactor(): Reactor {
    return this.listener.server.reactor;
  }

  /** Whether the peer's own X-Forwarded-Proto and -Host are believed (`trusted_proxies`). */
  get isPeerTrusted(): boolean {
    return this.listener.trusts(this);
  }

  /** The client's address, for those that need it as a value. */
  clientAddress(): SocketAddress {
    const { peerIpv4, peerText, peerPort: port } = this;
    if (peerText === "unix:") return { family: "unix", path: "" };
    if (peerText !== undefined)
      return { family: peerText.includes(":") ? "inet6" : "inet", host: peerText, port };
    const host = `${peerIpv4 >>> 24}.${(peerIpv4 >>> 16) & 255}.${(peerIpv4 >>> 8) & 255}.${peerIpv4 & 255}`;
    return { family: "inet", host, port };
  }

  /** What the client connected to. Throws a SyscallError when the connection is gone already. */
  destinationAddress(): SocketAddress {
    return getsockname(this.fd);
  }

  /** Begins the life of an accepted connection: its first head must arrive in time. False: epoll has no room for it. */
  open(): boolean {
    if (this.reactor().tryRegister(this.fd, READ_INTEREST, this) < 0) return false;
    this.idleSinceMs = this.reactor().nowMs;
    this.reactor().timers.arm(this, this.listener.config.clientHeaderTimeoutMs);
    return true;
  }

  // ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

  protected override handleReadable(): boolean {
    switch (this.state) {
      case ClientState.IDLE:
      case ClientState.HEAD:
        return this.#readHead();
      case ClientState.EXCHANGE:
        return this.exchange!.wantsRequestBody() ? this.#readBody() : this.#readAhead();
      case ClientState.FLUSHING:
        this.pauseReading();
        return true;
      case ClientState.LINGERING:
        return this.#discard();
      case ClientState.TUNNEL:
        return relayClientTunnel(this.exchange!);
      default:
        return true;
    }
  }

  #readHead(): boolean {
    const { arena } = this.listener.server;
    const heldLength = this.#unhold();
    const received = recv(this.fd, arena.address + RECEIVE_START + heldLength, READ_BYTES);
    if (received > 0) {
      this.listener.count(ListenerSlot.bytesReceived, received);
      this.#processFrom(RECEIVE_START, RECEIVE_START + heldLength + received, heldLength);
    } else if (received === 0) {
      this.close(heldLength > 0 ? Cause.PEER_FIN_IN_REQUEST : Cause.PEER_FIN);
    } else if (received !== -Errno.EAGAIN) this.handleFailure(-received);
    else if (heldLength > 0) this.hold(RECEIVE_START, RECEIVE_START + heldLength);
    return received < READ_BYTES;
  }

  #readBody(): boolean {
    const { arena } = this.listener.server;
    const received = recv(this.fd, arena.address + RECEIVE_START, READ_BYTES);
    if (received > 0) {
      this.listener.count(ListenerSlot.bytesReceived, received);
      if (!this.isBlocked) this.reactor().timers.arm(this, this.listener.config.clientBodyTimeoutMs);
      relayRequestBody(this.exchange!, RECEIVE_START, RECEIVE_START + received);
    } else if (received === 0) this.abort(Cause.PEER_FIN_IN_REQUEST);
    else if (received !== -Errno.EAGAIN) this.handleFailure(-received);
    return received < READ_BYTES;
  }

  /** Something came although no bytes are wanted now: a pipelined request (the rest stays in the socket), or the end. */
  #readAhead(): boolean {
    this.pauseReading();
    const { arena } = this.listener.server;
    if (this.#held !== undefined) return true;
    const received = recv(this.fd, arena.address + RECEIVE_START, READ_BYTES);
    if (received > 0) {
      this.listener.count(ListenerSlot.bytesReceived, received);
      this.hold(RECEIVE_START, RECEIVE_START + received);
    } else if (received === 0) this.#handleEarlyEnd();
    else if (received !== -Errno.EAGAIN) this.handleFailure(-received);
    return true;
  }

  /** A half-close, and the answer is still wanted; or the client has lost patience: who waits in a queue is taken at his word. */
  #handleEarlyEnd(): void {
    this.hasEnded = true;
    if (this.exchange?.place !== undefined) this.abort(Cause.PEER_FIN_IN_QUEUE);
  }

  /** The end of the client's direction is all there is to read: not seen while reading was paused. */
  hasLeft(): boolean {
    const { arena } = this.listener.server;
    return this.hasEnded || peek(this.fd, arena.address + RECEIVE_START, 1) === 0;
  }

  #discard(): boolean {
    const { reactor, arena } = this.listener.server;
    const received = recv(this.fd, arena.address + RECEIVE_START, READ_BYTES);
    if (received === -Errno.EAGAIN) return true;
    if (received <= 0) {
      this.close(this.#cause);
      return true;
    }
    this.listener.count(ListenerSlot.bytesReceived, received);
    const leftMs = this.#lingerUntilMs - reactor.nowMs;
    if (leftMs <= 0) this.close(this.#cause);
    else reactor.timers.arm(this, Math.min(leftMs, this.listener.config.lingeringTimeoutMs));
    return received < READ_BYTES;
  }

  /** Keeps arena bytes for later: the beginning of a head, or what was pipelined. */
  hold(start: number, end: number): void {
    this.#held =
      start === end ? undefined : new Uint8Array(this.listener.server.arena.bytes.subarray(start, end));
  }

  /** Puts held bytes back at RECEIVE_START; their number. */
  #unhold(): number {
    const held = this.#held;
    if (held === undefined) return 0;
    this.listener.server.arena.bytes.set(held, RECEIVE_START);
    this.#held = undefined;
    return held.length;
  }

  /** Serves the requests in arena[start, end). */
  protected serve(start: number, end: number): void {
    this.#processFrom(start, end, 0);
  }

  /** Serves the requests in arena[start, end), the first `scannedLength` bytes of which were looked at before. */
  #processFrom(start: number, end: number, scannedLength: number): void {
    const { server } = this.listener;
    const { bytes } = server.arena;
    this.#isProcessing = true;
    // A head that comes in pieces is parsed again only when a line has been completed.
    let isWorthParsing = scannedLength === 0 || bytes.subarray(start + scannedLength, end).includes(10);
    for (;;) {
      const head = server.requestHead;
      const headBytesMax = this.listener.config.maxHeaderBytes;
      if (!isWorthParsing && end - start > headBytesMax) isWorthParsing = true;
      const result = isWorthParsing ? parseRequestHead(bytes, start, end, headBytesMax, head) : 0;
      if (result === 0) {
        this.#awaitMore(start, end);
        break;
      }
      if (result < 0) {
        this.#reject(-result);
        break;
      }
      this.#enterExchange(head, result, end);
      if (this.state !== ClientState.IDLE) break;
      start = RECEIVE_START;
      end = start + this.#unhold();
      isWorthParsing = true;
      if (start === end) {
        this.#goOnReading();
        break;
      }
    }
    this.#isProcessing = false;
  }

  #awaitMore(start: number, end: number): void {
    this.hold(start, end);
    if (this.state === ClientState.IDLE) {
      this.state = ClientState.HEAD;
      this.reactor().timers.arm(this, this.listener.config.clientHeaderTimeoutMs);
    }
    if (this.hasEnded) this.close(Cause.PEER_FIN_IN_REQUEST);
    else this.resumeReading();
  }

  #enterExchange(head: RequestHead, bodyStart: number, end: number): void {
    const { listener } = this;
    const { reactor } = listener.server;
    reactor.timers.cancel(this);
    this.state = ClientState.EXCHANGE;
    listener.activeCount++;
    this.requestCount++;
    listener.count(ListenerSlot.requests, 1);
    if (this.requestCount > 1) listener.count(ListenerSlot.reusedRequests, 1);
    beginExchange(this, head, bodyStart, end);
  }

  /** The bytes are no HTTP/1.1 request: answer and close (RFC 9112 §2.2, §11.2). */
  #reject(rejection: number): void {
    const { listener } = this;
    const { server } = listener;
    const { status, sentence, reason } = REQUEST_REJECTIONS[rejection]!;
    listener.count(ListenerSlot.rejected, 1);
    listener.countRejection(status);
    this.state = ClientState.EXCHANGE;
    listener.activeCount++;
    this.hold(0, 0);
    const response = encodeErrorResponse(status, sentence, {
      isHead: false,
      close: true,
      date: server.date(),
    });
    server.accessLog?.recordRejected(this, status, response.length, reason);
    if (this.#writeOwn(response)) this.finishAfterFlush(Ending.LINGER, Cause.BAD_REQUEST);
  }

  // ── writing ──────────────────────────────────────────────────────────────────────────────────────────────

  /** Sends bytes of the gateway's own making. False when the connection has failed and is closed. */
  #writeOwn(response: Uint8Array): boolean {
    return this.send(this.listener.server.place(response), 0, response.length);
  }

  /** Sends bytes to the client; false when the connection has failed (and was closed, its exchange given up). */
  send(source: NativeBuffer, start: number, end: number): boolean {
    const errno = this.write(source, start, end);
    if (errno !== 0) {
      this.handleFailure(-errno);
      return false;
    }
    if (this.isBlocked) this.reactor().timers.arm(this, this.listener.config.sendTimeoutMs);
    return true;
  }

  protected override noteSent(bytes: number): void {
    this.listener.count(ListenerSlot.bytesSent, bytes);
    if (this.isBlocked) this.reactor().timers.arm(this, this.listener.config.sendTimeoutMs);
  }

  protected override handleDrained(): void {
    this.reactor().timers.cancel(this);
    if (this.state === ClientState.FLUSHING) this.#finish();
    else this.exchange?.handleClientDrained();
  }

  // ── the end of an exchange, and of the connection ────────────────────────────────────────────────────────

  /** The response is complete: go on (PERSIST) or end as told once everything is sent. */
  finishAfterFlush(ending: number, cause: number): void {
    this.exchange = undefined;
    this.#ending = ending;
    this.#cause = cause;
    if (this.isBlocked && ending !== Ending.RESET) {
      this.state = ClientState.FLUSHING;
      return;
    }
    this.#finish();
  }

  #finish(): void {
    if (this.#ending !== Ending.PERSIST) {
      this.#end();
      return;
    }
    const { listener } = this;
    const { reactor } = listener.server;
    this.state = ClientState.IDLE;
    listener.activeCount--;
    this.idleSinceMs = reactor.nowMs;
    reactor.timers.arm(this, listener.config.keepaliveTimeoutMs);
    if (this.#isProcessing) return;
    if (this.#held !== undefined) {
      const length = this.#unhold();
      this.#processFrom(RECEIVE_START, RECEIVE_START + length, 0);
    } else this.#goOnReading();
  }

  /** Idle, and nothing more at hand: the next request is in the socket, or the end. */
  #goOnReading(): void {
    if (this.hasEnded) this.close(Cause.PEER_FIN);
    else if (this.listener.server.isClosingIdleClients) this.closeIdle(Cause.DRAIN);
    else this.resumeReading();
  }

  #end(): void {
    if (this.#ending === Ending.LINGER) this.#linger();
    else this.close(this.#cause, this.#ending === Ending.RESET);
  }

  /** RFC 9112 §9.6: close in stages, or the RST for unread input may erase the response before the client read it. */
  #linger(): void {
    const { reactor } = this.listener.server;
    const { lingeringTimeMs, lingeringTimeoutMs } = this.listener.config;
    if (this.hasEnded || lingeringTimeMs === 0 || shutdownWrite(this.fd) < 0) {
      this.close(this.#cause);
      return;
    }
    this.state = ClientState.LINGERING;
    this.#held = undefined;
    this.#lingerUntilMs = reactor.nowMs + lingeringTimeMs;
    reactor.timers.arm(this, Math.min(lingeringTimeMs, lingeringTimeoutMs));
    this.resumeReading();
  }

  /** Both directions are a tunnel from now on. */
  enterTunnel(): void {
    this.state = ClientState.TUNNEL;
    this.reactor().timers.arm(this, this.listener.config.tunnelTimeoutMs);
    this.resumeReading();
  }

  /** A byte went through the tunnel: its silence begins anew (not while the client is slow: then send_timeout counts). */
  noteTunnelActivity(): void {
    if (!this.isBlocked) this.reactor().timers.arm(this, this.listener.config.tunnelTimeoutMs);
  }

  noteTunnelBytes(received: number): void {
    this.listener.count(ListenerSlot.bytesReceived, received);
    this.noteTunnelActivity();
  }

  /** Bytes that arrived after the request that asked for the upgrade. */
  takeHeld(): Uint8Array | undefined {
    const held = this.#held;
    this.#held = undefined;
    return held;
  }

  /** Closes an idle connection because the gateway drains: FIN, then read for a while (no RST for a crossing request). */
  closeIdle(cause: number): void {
    if (this.state !== ClientState.IDLE) return;
    this.state = ClientState.EXCHANGE;
    this.listener.activeCount++;
    this.finishAfterFlush(Ending.LINGER, cause);
  }

  override handleTimeout(): void {
    if (this.isBlocked) this.abort(Cause.SEND_TIMEOUT, true);
    else if (this.state === ClientState.IDLE) {
      this.close(this.requestCount === 0 ? Cause.HEADER_TIMEOUT : Cause.IDLE_TIMEOUT);
    } else if (this.state === ClientState.HEAD) this.#respondTimeout();
    else if (this.state === ClientState.EXCHANGE) this.exchange?.handleClientBodyTimeout();
    else if (this.state === ClientState.LINGERING) this.close(this.#cause);
    else if (this.state === ClientState.TUNNEL) this.abort(Cause.TUNNEL_TIMEOUT);
  }

  /** 408: the head was begun and not finished in time (RFC 9110 §15.5.9). */
  #respondTimeout(): void {
    const { listener } = this;
    const { server } = listener;
    listener.countRejection(408);
    this.state = ClientState.EXCHANGE;
    listener.activeCount++;
    this.hold(0, 0);
    const sentence = "The request head was not complete within client_header_timeout.";
    const response = encodeErrorResponse(408, sentence, { isHead: false, close: true, date: server.date() });
    server.accessLog?.recordRejected(this, 408, response.length, "header-timeout");
    if (this.#writeOwn(response)) this.finishAfterFlush(Ending.LINGER, Cause.HEADER_TIMEOUT);
  }

  protected override handleFailure(errno: number): void {
    if (this.state === ClientState.CLOSED) return;
    const actual = errno === 0 ? takeSocketError(this.fd) : errno;
    if (actual === 0) {
      this.handleReadable();
      return;
    }
    const hadDataInFlight = actual === Errno.ETIMEDOUT && (getTcpInfo(this.fd)?.retransmits ?? 0) > 0;
    this.abort(clientFailureCause(actual, hadDataInFlight));
  }

  /** Gives up the exchange, if any, and closes. */
  abort(cause: number, withReset = false): void {
    const { exchange } = this;
    const isCutByReset = exchange?.isCutByReset === true;
    this.exchange = undefined;
    exchange?.abandon(cause);
    this.close(cause, withReset || isCutByReset);
  }

  /** Closes at once. `withReset` sends RST in place of FIN, so that the client does not take a cut body for a whole one. */
  close(cause: number, withReset = false): void {
    if (this.state === ClientState.CLOSED) return;
    const { listener } = this;
    const { reactor } = listener.server;
    if (this.state !== ClientState.IDLE && this.state !== ClientState.HEAD) listener.activeCount--;
    listener.countClose(cause);
    this.state = ClientState.CLOSED;
    this.#held = undefined;
    this.discardBacklog();
    reactor.timers.remove(this);
    if (withReset) setResetOnClose(this.fd);
    reactor.close(this.fd);
    listener.handleClosed(this);
  }
}
