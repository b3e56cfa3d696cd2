/**
 * The data plane of one worker, HTTP and TCP: what all connections share (arena, parsers, counters, pools, clock of the Date header)
 * and how it starts, drains and stops. Built by daemon/worker.ts from the configuration it was sent.
 */
import { getHeapStatistics } from "node:v8";
import type { GatewayConfig } from "../config/types.ts";
import type { ServerStateMessage } from "../daemon/messages.ts";
import { RequestForwarding, ResponseForwarding } from "../http1/head-writer.ts";
import { RequestHead } from "../http1/request-head.ts";
import { ResponseHead } from "../http1/response-head.ts";
import { CounterLayout, WorkerSlot } from "../observe/counter-layout.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { Timed } from "../reactor/timer-wheel.ts";
import { Graveyard } from "../relay/graveyard.ts";
import { PipePool } from "../relay/pipe-pool.ts";
import { liveSessions, resetSessionsOf } from "../relay/session-list.ts";
import { TcpListener } from "../relay/tcp-listener.ts";
import type { NativeBuffer } from "../sys/memory.ts";
import { allocate } from "../sys/memory.ts";
import type { AccessLog } from "./access-log.ts";
import {
  type Arena,
  createArena,
  REQUEST_SLOT_BYTES,
  REQUEST_SLOT_COUNT,
  REQUEST_SLOTS_START,
  SCRATCH_BYTES,
} from "./arena.ts";
import { ClientConnection } from "./client-connection.ts";
import { ClientState } from "./connection-state.ts";
import { Exchange } from "./exchange.ts";
import { Cause } from "./failure.ts";
import { HttpListener } from "./http-listener.ts";
import { TrafficObserver } from "./traffic-observer.ts";
import { UpstreamPool } from "./upstream-pool.ts";

/** Recycled exchanges kept for reuse. */
const SPARE_EXCHANGES_MAX = 1024;
const GAUGES_EVERY_MS = 100;
const HEAP_EVERY_MS = 1000;
/** How many idle connections make room when descriptors have run out. */
const EVICTIONS = 32;
/** The address of a client as text: an IPv6 address with a zone is shorter than this. */
const ADDRESS_TEXT_BYTES = 64;

export class ProxyServer {
  readonly reactor: Reactor;
  readonly config: GatewayConfig;
  readonly counters: Float64Array;
  readonly arena: Arena = createArena();
  readonly requestHead = new RequestHead();
  readonly responseHead = new ResponseHead();
  readonly forwarding = new RequestForwarding();
  readonly responseForwarding = new ResponseForwarding();
  readonly pools: readonly UpstreamPool[];
  readonly listeners: readonly (HttpListener | TcpListener)[];
  /** For bulk transfers of TCP sessions. */
  readonly pipes = new PipePool();
  readonly graveyard: Graveyard;
  readonly accessLog: AccessLog | undefined;
  readonly trafficObserver: TrafficObserver;
  isDraining = false;
  /** The second half of a drain: a client that becomes idle has been told nothing, and is closed at once. */
  isClosingIdleClients = false;
  activeExchanges = 0;
  connectionCount = 0;
  lastConnectionId = 0;
  /** Called once the drain is complete. */
  onDrained: (() => void) | undefined;
  readonly #spareExchanges: Exchange[] = [];
  #slotsTaken = 0;
  readonly #drainSteps: DrainTimer;
  readonly #gaugeTimer: GaugeTimer;
  #gaugesTurn = -1;
  #gaugesAtMs = Number.MIN_SAFE_INTEGER;
  #heapAtMs = Number.MIN_SAFE_INTEGER;
  #date: Uint8Array = new Uint8Array(0);
  #dateSecond = -1;
  #own: NativeBuffer = allocate(4096);

  constructor(
    reactor: Reactor,
    config: GatewayConfig,
    counters: Float64Array,
    accessLog: AccessLog | undefined,
    random: () => number,
  ) {
    this.reactor = reactor;
    this.config = config;
    this.counters = counters;
    this.accessLog = accessLog;
    this.trafficObserver = new TrafficObserver(reactor);
    this.forwarding.clientAddress = new Uint8Array(ADDRESS_TEXT_BYTES);
    const layout = new CounterLayout(config);
    this.pools = config.pools.map((pool, index) => new UpstreamPool(pool, index, this, layout, random));
    for (const pool of this.pools) {
      if (pool.config.onDown === "reset") pool.onServerGone = (server) => resetSessionsOf(server, reactor);
    }
    this.graveyard = new Graveyard(reactor);
    this.listeners = config.listeners.map((listener, index) =>
      listener.tcp === undefined
        ? new HttpListener(listener, index, this, layout)
        : new TcpListener(listener, listener.tcp, index, this, layout),
    );
    this.#drainSteps = new DrainTimer(this);
    this.#gaugeTimer = new GaugeTimer(this);
    reactor.onEndOfTurn(() => this.refreshGauges());
  }

  poolNamed(name: string): UpstreamPool {
    const pool = this.pools.find((candidate) => candidate.config.name === name);
    if (pool === undefined) throw new Error(`no pool is named ${name}`);
    return pool;
  }

  /** The verdicts of the supervisor, by pool. */
  handleServerStates(states: readonly ServerStateMessage[]): void {
    const byPool = new Map<number, ServerStateMessage[]>();
    for (const state of states) {
      const own = byPool.get(state.poolIndex);
      if (own === undefined) byPool.set(state.poolIndex, [state]);
      else own.push(state);
    }
    for (const [poolIndex, own] of byPool) this.pools[poolIndex]!.handleServerStates(own);
  }

  // ── exchanges ────────────────────────────────────────────────────────────────────────────────────────────

  takeExchange(): Exchange {
    return this.#spareExchanges.pop() ?? new Exchange(this, this.#takeSlot());
  }

  giveBack(exchange: Exchange): void {
    if (exchange.ownsSlot || this.#spareExchanges.length < SPARE_EXCHANGES_MAX)
      this.#spareExchanges.push(exchange);
  }

  #takeSlot(): number {
    if (this.#slotsTaken === REQUEST_SLOT_COUNT) return -1;
    return REQUEST_SLOTS_START + REQUEST_SLOT_BYTES * this.#slotsTaken++;
  }

  // ── what responses need ──────────────────────────────────────────────────────────────────────────────────

  /** `Date: …\r\n` of the present second (RFC 9110 §6.6.1). */
  date(): Uint8Array {
    const second = Math.floor(Date.now() / 1000);
    if (second !== this.#dateSecond) {
      this.#dateSecond = second;
      this.#date = new TextEncoder().encode(`Date: ${new Date(second * 1000).toUTCString()}\r\n`);
    }
    return this.#date;
  }

  /** Bytes of our own making at an address that send(2) can take; valid until the next call. */
  place(bytes: Uint8Array): NativeBuffer {
    if (bytes.length > this.#own.bytes.length) this.#own = allocate(2 * bytes.length);
    this.#own.bytes.set(bytes);
    return this.#own;
  }

  /** A head of RESPONSE_HEAD_BYTES_MAX and our own lines always fit; anything else is a bug. */
  assertScratch(bytes: number): void {
    if (bytes > SCRATCH_BYTES)
      throw new Error(`a response head of ${bytes} bytes does not fit the scratch region`);
  }

  // ── running out, draining, stopping ──────────────────────────────────────────────────────────────────────

  /** EMFILE: close what has been idle longest, so that whoever asks next is served. TCP sessions are never idle in that sense. */
  handleDescriptorsExhausted(): void {
    this.counters[WorkerSlot.descriptorExhaustions]! += 1;
    this.pipes.closeIdle();
    this.graveyard.evict(EVICTIONS);
    let evicted = 0;
    for (const pool of this.pools) evicted += pool.closeOldestIdle(EVICTIONS / 2, Cause.OUT_OF_DESCRIPTORS);
    const idle = this.#idleClients().filter((client) => client.requestCount > 0);
    idle.sort((a, b) => a.idleSinceMs - b.idleSinceMs);
    for (const client of idle.slice(0, Math.max(1, EVICTIONS - evicted)))
      client.close(Cause.OUT_OF_DESCRIPTORS);
  }

  #idleClients(): ClientConnection[] {
    const idle: ClientConnection[] = [];
    for (let fd = 0; fd < this.reactor.descriptorEnd; fd++) {
      const handler = this.reactor.handlerOf(fd);
      if (handler instanceof ClientConnection && handler.state === ClientState.IDLE) idle.push(handler);
    }
    return idle;
  }

  #clients(): ClientConnection[] {
    const clients: ClientConnection[] = [];
    for (let fd = 0; fd < this.reactor.descriptorEnd; fd++) {
      const handler = this.reactor.handlerOf(fd);
      if (handler instanceof ClientConnection) clients.push(handler);
    }
    return clients;
  }

  /**
   * Stops accepting, answers what comes with `Connection: close`, and ends. A client that is idle may be sending its next
   * request this very moment, so it gets the first half of the time to be told on a response; the silent ones are
   * then closed with FIN, and read for a while. At the deadline everything that is left is cut.
   */
  drain(deadlineMs: number): void {
    if (this.isDraining) return;
    this.isDraining = true;
    for (const listener of this.listeners) listener.stopAccepting();
    this.#drainSteps.start(deadlineMs);
    this.checkDrained();
  }

  closeIdleClients(): void {
    this.isClosingIdleClients = true;
    for (const client of this.#idleClients()) client.closeIdle(Cause.DRAIN);
  }

  cutClients(): void {
    for (const client of this.#clients()) client.abort(Cause.SHUTDOWN);
    for (const session of liveSessions(this.reactor)) session.close(Cause.SHUTDOWN);
  }

  handleClientClosed(): void {
    this.connectionCount--;
    if (this.isDraining) this.checkDrained();
  }

  checkDrained(): void {
    if (this.connectionCount > 0 || this.onDrained === undefined) return;
    const { onDrained } = this;
    this.onDrained = undefined;
    for (const pool of this.pools) pool.closeOldestIdle(Number.MAX_SAFE_INTEGER, Cause.UPSTREAM_DRAIN);
    this.#drainSteps.stop();
    onDrained();
  }

  /** At the end of a turn: gauges are at most GAUGES_EVERY_MS behind, and an idle worker is not woken for them. */
  refreshGauges(): void {
    const { nowMs, turns } = this.reactor;
    if (turns === this.#gaugesTurn) return;
    if (nowMs - this.#gaugesAtMs >= GAUGES_EVERY_MS) this.writeGauges();
    else if (!this.#gaugeTimer.isScheduled) this.#gaugeTimer.schedule();
  }

  writeGauges(): void {
    const { counters, reactor } = this;
    this.#gaugesAtMs = reactor.nowMs;
    this.#gaugesTurn = reactor.turns;
    counters[WorkerSlot.loopIterations] = reactor.turns;
    counters[WorkerSlot.loopLagMsMax] = reactor.takeBusyMsMax();
    counters[WorkerSlot.descriptorsInUse] = reactor.descriptorCount;
    counters[WorkerSlot.lastLoopAtMs] = Date.now();
    counters[WorkerSlot.activeExchanges] = this.activeExchanges;
    counters[WorkerSlot.timersArmed] = reactor.timers.linkedCount;
    if (reactor.nowMs - this.#heapAtMs >= HEAP_EVERY_MS) {
      this.#heapAtMs = reactor.nowMs;
      // Not process.memoryUsage(): it opens a file in /proc, and throws when no descriptor is left.
      counters[WorkerSlot.heapBytes] = getHeapStatistics().used_heap_size;
    }
    for (const listener of this.listeners) listener.writeGauges();
    for (const pool of this.pools) pool.writeGauges();
  }
}

/** Writes the gauges once more after the last turn of a busy period. */
class GaugeTimer extends Timed {
  readonly #server: ProxyServer;
  isScheduled = false;

  constructor(server: ProxyServer) {
    super();
    this.#server = server;
  }

  schedule(): void {
    this.isScheduled = true;
    this.#server.reactor.timers.arm(this, GAUGES_EVERY_MS);
  }

  override handleTimeout(): void {
    this.#server.writeGauges();
    this.isScheduled = false;
  }
}

/** The two moments of a drain: half-time for idle clients, the deadline for everybody. */
class DrainTimer extends Timed {
  readonly #server: ProxyServer;
  #secondHalfMs = 0;
  #isSecondHalf = false;

  constructor(server: ProxyServer) {
    super();
    this.#server = server;
  }

  start(deadlineMs: number): void {
    this.#secondHalfMs = deadlineMs / 2;
    this.#server.reactor.timers.arm(this, deadlineMs / 2);
  }

  stop(): void {
    this.#server.reactor.timers.remove(this);
  }

  override handleTimeout(): void {
    if (this.#isSecondHalf) {
      this.#server.cutClients();
      return;
    }
    this.#isSecondHalf = true;
    this.#server.reactor.timers.arm(this, this.#secondHalfMs);
    this.#server.closeIdleClients();
  }
}
