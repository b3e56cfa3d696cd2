/**
 * One request and its response, from the complete head to the last byte: which connection carries it, what happens when that
 * connection fails, and how it is counted. The bytes are moved by request-relay.ts and response-relay.ts; whether a
 * failed request may be sent again is decided by the table of retry-policy.ts.
 *
 * Exchanges are recycled (`ProxyServer.takeExchange`): the steady state allocates nothing per request. The head as it is sent
 * to the server, and the first bytes of the body, stay in `request`, so that they can be sent again.
 */
import type { Backend } from "../balance/backend.ts";
import { encodeErrorResponse } from "../http1/error-response.ts";
import { Framing } from "../http1/framing.ts";
import { clientPersistenceAfter, PERSISTENCE_DECISIONS, PersistenceLimit } from "../http1/persistence.ts";
import { MethodCode } from "../http1/request-head.ts";
import { closeCauseIndex } from "../observe/close-cause.ts";
import { PoolSlot, ServerSlot } from "../observe/counter-layout.ts";
import { elapsedUs } from "../reactor/reactor.ts";
import { isOutOfRoom } from "../sys/errno.ts";
import { allocate, type NativeBuffer } from "../sys/memory.ts";
import { REQUEST_SLOT_BYTES } from "./arena.ts";
import type { ClientConnection } from "./client-connection.ts";
import { Ending } from "./connection-state.ts";
import { Cause } from "./failure.ts";
import { MessageBody } from "./message-body.ts";
import { explainRefusal, type QueueRefusal, type Waiter } from "./pool-queue.ts";
import type { ProxyServer } from "./proxy-server.ts";
import { finishUpstreamBody, relayResponse } from "./response-relay.ts";
import { settleEnds } from "./tunnel.ts";
import type { UpstreamConnection } from "./upstream-connection.ts";
import { failConnect, failUpstream } from "./upstream-failure.ts";
import type { PoolServer, UpstreamPool } from "./upstream-pool.ts";
import type { QueuePlace } from "./wait-queue.ts";

/** For the methods the gateway itself refuses (CONNECT, and a TRACE that ends here), whatever the resource is. */
const ALLOWED_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

export class Exchange implements Waiter {
  readonly proxy: ProxyServer;
  client!: ClientConnection;
  pool!: UpstreamPool;
  upstream: UpstreamConnection | undefined = undefined;

  // The request.
  method = 0;
  clientMinorVersion = 1;
  requestConnectionOptions = 0;
  isUpgradeAsked = false;
  keyHash = 0;
  readonly requestBody = new MessageBody();
  /** Names that the client's Connection field nominated, for the trailers. */
  requestNominatedNames: Uint8Array | undefined = undefined;
  /**
   * What is sent to the server: request.bytes[requestStart, requestEnd) is the rewritten head and the body, as far as
   * `isReplayable`. It lies in this exchange's slot of the arena, or in a buffer of its own when it is larger.
   */
  request: NativeBuffer;
  requestStart = 0;
  requestEnd = 0;
  requestHeadEnd = 0;
  /** No pool was chosen: the gateway itself is the one that answers. */
  isAnsweredHere = false;
  /** `request` still holds everything that was sent. */
  isReplayable = true;
  /** `request` has been handed to the upstream connection; further body bytes go there directly. */
  isSending = false;
  /** The server takes no more of the request; its response is still read. */
  isRequestGivenUp = false;

  // The response.
  readonly responseBody = new MessageBody();
  responseNominatedNames: Uint8Array | undefined = undefined;
  responseFraming = 0;
  status = 0;
  hasResponseBytes = false;
  isResponseHeadDone = false;
  isResponseDone = false;
  /** Index into PERSISTENCE_DECISIONS: what becomes of the client's connection. */
  persistence = 0;
  /** What becomes of the server's: a cause to close it, or -1. */
  upstreamRetirement = -1;
  wasReused = false;
  /** How long the reused connection had been idle when the request was sent. */
  upstreamIdleMs = 0;

  // The tunnel after a 101.
  isTunnel = false;
  hasClientEnded = false;
  hasUpstreamEnded = false;

  // Tries.
  readonly tried: Backend[] = [];
  tries = 0;
  /** How the last try failed, for the client: 502 or 504, 0 when none has. */
  failureStatus = 0;
  failureSentence = "";
  /** Its place in the pool's queue while every server is at max_conns. */
  place: QueuePlace<Waiter> | undefined = undefined;
  /** How long it has waited there. */
  waitedMs = 0;

  startedMs = 0;
  startedUs = 0;
  bytesToClient = 0;
  server: PoolServer | undefined = undefined;
  #isOver = true;
  /** Where the slot begins; -1 when all slots had been given away. */
  readonly #slotStart: number;

  /** `slotStart`: offset of a request slot in the arena that is this exchange's alone, or -1. */
  constructor(proxy: ProxyServer, slotStart: number) {
    this.proxy = proxy;
    this.#slotStart = slotStart;
    this.request = proxy.arena;
  }

  get ownsSlot(): boolean {
    return this.#slotStart >= 0;
  }

  begin(client: ClientConnection): void {
    this.client = client;
    client.exchange = this;
    this.startedMs = this.proxy.reactor.nowMs;
    this.startedUs = this.proxy.reactor.nowUs;
    this.#resetRequest();
    this.#isOver = false;
    this.proxy.activeExchanges++;
  }

  /** Makes room for so many bytes in all, keeping those that are there. */
  reserveRequest(bytes: number): void {
    const isInSlot = this.requestStart === this.#slotStart;
    if (bytes <= (isInSlot ? REQUEST_SLOT_BYTES : this.request.bytes.length - this.requestStart)) return;
    const larger = allocate(2 * bytes);
    larger.bytes.set(this.request.bytes.subarray(this.requestStart, this.requestEnd));
    this.requestEnd -= this.requestStart;
    this.requestHeadEnd -= this.requestStart;
    this.requestStart = 0;
    this.request = larger;
  }

  /** An empty request in this exchange's slot. */
  #resetRequest(): void {
    const hasSlot = this.#slotStart >= 0;
    if (!hasSlot && this.request === this.proxy.arena) this.request = allocate(REQUEST_SLOT_BYTES);
    else if (hasSlot) this.request = this.proxy.arena;
    this.requestStart = hasSlot ? this.#slotStart : 0;
    this.requestEnd = this.requestHeadEnd = this.requestStart;
  }

  /** The client's bytes are part of this request's body (and the server can take them). */
  wantsRequestBody(): boolean {
    return !this.requestBody.isComplete && !this.isRequestGivenUp;
  }

  /** The client has the beginning of a response whose end is shown by closing: only an RST tells it that the rest is missing. */
  get isCutByReset(): boolean {
    const isUnderWay = this.isResponseHeadDone && !this.isResponseDone && !this.isTunnel;
    return isUnderWay && this.responseFraming === Framing.UNTIL_CLOSE;
  }

  get isIdempotent(): boolean {
    return isIdempotentMethod(this.method);
  }

  // ── choosing a connection ────────────────────────────────────────────────────────────────────────────────

  /** Sends the request to a server of the pool, for the first time or again. */
  start(): void {
    const { pool } = this;
    // Nobody overtakes those who wait.
    const backend = pool.queue.isEmpty
      ? pool.selector.select(this.proxy.reactor.nowMs, this.keyHash, this.tried)
      : undefined;
    if (backend === undefined) this.#wait();
    else this.#startOn(backend);
  }

  #startOn(backend: Backend): void {
    if (this.tries > 0) this.pool.count(PoolSlot.retries, 1);
    this.tries++;
    const server = this.pool.servers[backend.index]!;
    const idle = this.pool.checkOut(server);
    if (idle === undefined) this.#connect(server);
    else this.#reuse(server, idle);
  }

  /** No server can take the request now: it waits in the pool's queue, or is answered. */
  #wait(): void {
    const { client } = this;
    const refusal = this.pool.queue.enter(this);
    if (refusal !== undefined) {
      this.handleQueueEnd(refusal);
      return;
    }
    // More of the body is read when there is somewhere to send it.
    if (this.requestBody.isComplete) return;
    client.pauseReading();
    if (!client.isBlocked) this.proxy.reactor.timers.cancel(client);
  }

  handleServerFree(backend: Backend, waitedMs: number): void {
    this.waitedMs += waitedMs;
    if (this.client.hasLeft()) this.client.abort(Cause.PEER_FIN_IN_QUEUE);
    else this.#startOn(backend);
  }

  handleQueueEnd(refusal: QueueRefusal): void {
    if (this.failureStatus !== 0) {
      this.respond(this.failureStatus, `${this.failureSentence} No other server is available.`);
      return;
    }
    this.pool.count(PoolSlot.noServer, 1);
    this.respond(503, explainRefusal(this.pool.config, refusal));
  }

  #reuse(server: PoolServer, idle: UpstreamConnection): void {
    this.server = server;
    this.upstream = idle;
    this.wasReused = true;
    this.upstreamIdleMs = this.proxy.reactor.nowMs - idle.idleSinceMs;
    idle.exchange = this;
    server.count(ServerSlot.connectionsReused, 1);
    this.sendRequest();
  }

  #connect(server: PoolServer): void {
    this.server = server;
    this.wasReused = false;
    const errno = this.pool.connect(server, this);
    if (errno === 0) {
      this.#holdClient();
      return;
    }
    if (isOutOfRoom(errno)) {
      this.proxy.handleDescriptorsExhausted();
      this.respond(503, "The gateway has no free descriptor for a connection to the server.");
      return;
    }
    this.handleConnectFailure(errno);
  }

  /** The server takes nothing at present: no more of the request is read, and the client is not late with it. */
  #holdClient(): void {
    const { client } = this;
    if (!client.isBlocked) this.proxy.reactor.timers.cancel(client);
    if (!this.requestBody.isComplete) client.pauseReading();
  }

  /** The connection is usable: everything gathered so far is sent. */
  sendRequest(): void {
    const upstream = this.upstream!;
    upstream.requestCount++;
    upstream.bytesSentBeforeRequest = upstream.bytesSent;
    this.server!.count(ServerSlot.requests, 1);
    this.isSending = true;
    const errno = upstream.write(this.request, this.requestStart, this.requestEnd);
    if (errno !== 0) {
      this.handleSendFailure(-errno);
      return;
    }
    if (upstream.isBlocked) upstream.armSendTimeout();
    else this.handleUpstreamDrained();
  }

  /** The server has taken everything so far: wait for its response, or go on with the body. */
  handleUpstreamDrained(): void {
    const { upstream } = this;
    if (upstream === undefined) return;
    if (this.isTunnel) {
      upstream.cancelTimeout();
      if (!this.hasClientEnded) this.client.resumeReading();
      settleEnds(this);
    } else if (this.requestBody.isComplete) {
      // While the client is blocked its send_timeout counts: we are not reading.
      if (this.client.isBlocked) upstream.cancelTimeout();
      else upstream.armReadTimeout();
    } else {
      upstream.cancelTimeout();
      this.client.resumeReading();
      this.armClientBodyTimeout();
    }
  }

  armClientBodyTimeout(): void {
    const { client } = this;
    if (!client.isBlocked) this.proxy.reactor.timers.arm(client, client.listener.config.clientBodyTimeoutMs);
  }

  /** The client has taken everything so far: read on from the server. */
  handleClientDrained(): void {
    const { upstream } = this;
    if (upstream === undefined) return;
    if (this.isTunnel) {
      this.client.noteTunnelActivity();
      if (!this.hasUpstreamEnded) upstream.resumeReading();
      settleEnds(this);
      return;
    }
    upstream.resumeReading();
    // While the server is blocked its send_timeout counts: the client is not read.
    if (upstream.isBlocked) return;
    if (this.wantsRequestBody()) this.armClientBodyTimeout();
    else upstream.armReadTimeout();
  }

  // ── what the server does ─────────────────────────────────────────────────────────────────────────────────

  handleResponseBytes(start: number, end: number): void {
    this.hasResponseBytes = true;
    relayResponse(this, start, end);
  }

  /** The server ended its direction: the end of a close-delimited body, or a failure. */
  handleUpstreamEnd(): void {
    if (this.isResponseHeadDone && finishUpstreamBody(this)) return;
    const isStale = this.wasReused && !this.hasResponseBytes;
    this.handleUpstreamFailure(isStale ? Cause.UPSTREAM_FIN_STALE : Cause.UPSTREAM_FIN_EARLY, 0);
  }

  handleSendFailure(errno: number): void {
    const upstream = this.upstream!;
    this.isRequestGivenUp = true;
    this.#holdClient();
    upstream.armReadTimeout();
    upstream.handleSendFailure(errno);
  }

  handleConnectFailure(errno: number): void {
    failConnect(this, errno);
  }

  handleUpstreamFailure(cause: number, errno: number): void {
    failUpstream(this, cause, errno);
  }

  handleUpstreamTimeout(wasBlocked: boolean): void {
    this.handleUpstreamFailure(wasBlocked ? Cause.UPSTREAM_SEND_TIMEOUT : Cause.UPSTREAM_READ_TIMEOUT, 0);
  }

  handleClientBodyTimeout(): void {
    this.endEarly(408, "The request body stopped arriving (client_body_timeout).", Cause.BODY_TIMEOUT);
  }

  /** Leaves the present upstream connection for good. */
  dropUpstream(cause: number): void {
    const { upstream } = this;
    this.upstream = undefined;
    this.isSending = false;
    upstream?.close(cause);
  }

  /** Sends the request once more: on a fresh connection to the same server, or to another one. */
  retry(toSameServer: boolean): void {
    this.isRequestGivenUp = false;
    const server = this.server!;
    if (toSameServer) {
      this.pool.count(PoolSlot.retries, 1);
      this.#connect(server);
    } else {
      this.tried.push(server.backend);
      this.start();
    }
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────────────────

  /** Answers in place of a server. The connection persists when the request was read whole and the client lets it. */
  respond(status: number, sentence: string, closeCause = -1): void {
    const { client, proxy } = this;
    this.dropUpstream(Cause.UPSTREAM_REQUEST_UNFINISHED);
    this.status = status;
    this.decidePersistence(true);
    const decision = PERSISTENCE_DECISIONS[this.persistence]!;
    const { persists } = decision;
    const response = encodeErrorResponse(status, sentence, {
      isHead: this.method === MethodCode.HEAD,
      close: !persists,
      date: proxy.date(),
      isHttp10: this.clientMinorVersion === 0,
      ...(status === 405 && { allow: ALLOWED_METHODS }),
    });
    this.bytesToClient += response.length;
    if (!client.send(proxy.place(response), 0, response.length)) return;
    if (persists) this.finish(Ending.PERSIST, -1);
    else this.finish(Ending.LINGER, closeCause >= 0 ? closeCause : closeCauseIndex(decision.closeCause!));
  }

  /** The request cannot go on: an answer of our own while none has begun, else the connection is cut. */
  endEarly(status: number, sentence: string, closeCause: number): void {
    if (this.isResponseHeadDone) this.client.abort(closeCause);
    else this.respond(status, sentence, closeCause);
  }

  /** Sets `persistence` from the request, what is known of the response, and the listener's limits. */
  decidePersistence(isSelfDelimited: boolean): void {
    const { client } = this;
    const { config } = client.listener;
    let limits = 0;
    if (!this.requestBody.isComplete) limits |= PersistenceLimit.UNREAD_BODY;
    if (this.proxy.isDraining) limits |= PersistenceLimit.DRAINING;
    if (config.keepaliveTimeoutMs === 0) limits |= PersistenceLimit.DISABLED;
    if (config.keepaliveRequests !== 0 && client.requestCount >= config.keepaliveRequests)
      limits |= PersistenceLimit.REQUESTS;
    if (config.keepaliveTimeMs !== 0) {
      const ageMs = this.proxy.reactor.nowMs - client.acceptedAtMs;
      if (ageMs >= config.keepaliveTimeMs) limits |= PersistenceLimit.AGE;
    }
    this.persistence = clientPersistenceAfter(
      this.clientMinorVersion,
      this.requestConnectionOptions,
      isSelfDelimited,
      limits,
    );
  }

  /** Counts the exchange, gives it back, and lets the client's connection go on as `ending` says. */
  finish(ending: number, cause: number): void {
    if (this.#isOver) return;
    const { client } = this;
    this.#record(cause);
    this.#recycle();
    client.finishAfterFlush(ending, cause);
  }

  /** The client is gone: nobody wants the rest. */
  abandon(cause: number): void {
    if (this.#isOver) return;
    if (this.place !== undefined) this.pool.queue.leave(this);
    this.dropUpstream(Cause.CLIENT_GONE);
    this.#record(cause);
    this.#recycle();
  }

  /** Whole microseconds; of what took longer than a quarter of an hour, whole milliseconds. */
  #latencyUs(): number {
    const { nowMs, nowUs } = this.proxy.reactor;
    const wholeMs = nowMs - this.startedMs;
    return wholeMs > 900_000 ? wholeMs * 1000 : elapsedUs(this.startedUs, nowUs);
  }

  #record(cause: number): void {
    const { client, proxy, server, status } = this;
    const latencyUs = this.#latencyUs();
    if (status !== 0) {
      client.listener.countResponse(status, latencyUs);
      if (server !== undefined && this.isResponseHeadDone) server.countResponse(status, latencyUs);
    }
    if (proxy.accessLog !== undefined) proxy.accessLog.record(this, latencyUs / 1000, cause);
  }

  #recycle(): void {
    this.#isOver = true;
    this.proxy.activeExchanges--;
    this.upstream = undefined;
    this.server = undefined;
    this.requestNominatedNames = undefined;
    this.responseNominatedNames = undefined;
    this.isUpgradeAsked = false;
    this.isAnsweredHere = false;
    this.isReplayable = true;
    this.isSending = false;
    this.isRequestGivenUp = false;
    this.status = 0;
    this.hasResponseBytes = false;
    this.isResponseHeadDone = false;
    this.isResponseDone = false;
    this.upstreamRetirement = -1;
    this.wasReused = false;
    this.isTunnel = false;
    this.hasClientEnded = false;
    this.hasUpstreamEnded = false;
    if (this.tried.length !== 0) this.tried.length = 0;
    this.tries = 0;
    this.failureStatus = 0;
    this.waitedMs = 0;
    this.bytesToClient = 0;
    this.keyHash = 0;
    this.proxy.giveBack(this);
  }
}

/** RFC 9110 §9.2.2. */
export function isIdempotentMethod(method: number): boolean {
  switch (method) {
    case MethodCode.GET:
    case MethodCode.HEAD:
    case MethodCode.PUT:
    case MethodCode.DELETE:
    case MethodCode.OPTIONS:
    case MethodCode.TRACE:
      return true;
    default:
      return false;
  }
}
