/**
 * Where each counter lives in the shared memory of one worker: a Float64Array that the worker maps and increments
 * (`counters[base + ListenerSlot.requests]!++`: no call, no allocation) and that the supervisor reads whenever it is
 * asked. Pure. Nobody locks: one writer, and an aligned 8-byte store is not torn on x86-64 and arm64; a
 * double counts exactly up to 2^53.
 *
 *     worker block | listener blocks | for each pool: pool block, its server blocks
 *
 * Called by the data plane (writes), `counter-ledger.ts` (reads, adds up); the meaning of each slot
 * is in `metric-registry.ts`.
 */
import type { GatewayConfig } from "../config/types.ts";
import { CLOSE_CAUSES } from "./close-cause.ts";

/** Upper bounds of the latency buckets, inclusive; one more bucket holds what is slower. */
export const LATENCY_BUCKETS_MS = [
  0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000,
] as const;
export const LATENCY_BUCKET_COUNT = LATENCY_BUCKETS_MS.length + 1;
const CLOSE_COUNT = CLOSE_CAUSES.length;

/**
 * Index of the bucket that counts a latency in whole microseconds (an integer: a fraction would be boxed on the way here). A
 * ladder of two levels: usual answers take three comparisons.
 */
export function latencyBucket(latencyUs: number): number {
  if (latencyUs <= 5_000) {
    if (latencyUs <= 1_000) return latencyUs <= 500 ? 0 : 1;
    return latencyUs <= 2_500 ? 2 : 3;
  }
  if (latencyUs <= 100_000) {
    if (latencyUs <= 25_000) return latencyUs <= 10_000 ? 4 : 5;
    return latencyUs <= 50_000 ? 6 : 7;
  }
  if (latencyUs <= 2_500_000) {
    if (latencyUs <= 500_000) return latencyUs <= 250_000 ? 8 : 9;
    return latencyUs <= 1_000_000 ? 10 : 11;
  }
  if (latencyUs <= 10_000_000) return latencyUs <= 5_000_000 ? 12 : 13;
  if (latencyUs <= 60_000_000) return latencyUs <= 30_000_000 ? 14 : 15;
  return 16;
}

export const WorkerSlot = {
  loopIterations: 0,
  /** Gauge: the longest the loop was away from epoll_wait. */
  loopLagMsMax: 1,
  descriptorsInUse: 2,
  descriptorExhaustions: 3,
  /** Gauge: wall clock, milliseconds since 1970. */
  lastLoopAtMs: 4,
  activeExchanges: 5,
  timersArmed: 6,
  heapBytes: 7,
} as const;
export const WORKER_SLOT_COUNT = 8;

export const ListenerSlot = {
  accepted: 0,
  /** Gauge: connections with a request in progress. */
  active: 1,
  /** Gauge: persistent connections waiting for a request. */
  idle: 2,
  requests: 3,
  /** Requests that were not the first of their connection. */
  reusedRequests: 4,
  responses1xx: 5,
  responses2xx: 6,
  responses3xx: 7,
  responses4xx: 8,
  responses5xx: 9,
  rejected: 10,
  bytesReceived: 11,
  bytesSent: 12,
  latencySumMs: 13,
  /** A run of LATENCY_BUCKET_COUNT; not cumulative. */
  latency: 14,
  /** A run of CLOSE_CAUSES.length. */
  closes: 14 + LATENCY_BUCKET_COUNT,
} as const;
export const LISTENER_SLOT_COUNT = ListenerSlot.closes + CLOSE_COUNT;

export const PoolSlot = {
  retries: 0,
  retriesStale: 1,
  retriesProvable: 2,
  noServer: 3,
  /** Gauge. */
  idle: 4,
  /** Gauge: requests and sessions that wait because every server is at max_conns. */
  waiting: 5,
  /** Those that had to wait, in all. */
  queued: 6,
  queueTimeouts: 7,
  queueRefusals: 8,
} as const;
export const POOL_SLOT_COUNT = 9;

export const ServerSlot = {
  connectionsOpened: 0,
  connectionsReused: 1,
  /** Gauge: connections with an exchange in progress. */
  active: 2,
  /** Gauge: connections in the pool. */
  idle: 3,
  requests: 4,
  failures: 5,
  connectFailures: 6,
  responses5xx: 7,
  /** Gauge: 1 while max_fails keeps the server out of rotation. */
  passedOver: 8,
  /** Gauge: how long an idle connection is trusted, learned; 0 = nothing learned. */
  idleLimitMs: 9,
  latencySumMs: 10,
  bytesReceived: 11,
  bytesSent: 12,
  /** A run of LATENCY_BUCKET_COUNT; not cumulative. */
  latency: 13,
  /** A run of CLOSE_CAUSES.length. */
  closes: 13 + LATENCY_BUCKET_COUNT,
} as const;
export const SERVER_SLOT_COUNT = ServerSlot.closes + CLOSE_COUNT;

/** How the values of several workers become one. A counter also survives the death of its worker. */
export type SlotKind = "counter" | "sum" | "max" | "min";

/** Slots that are not counters, by offset within the block. */
export const WORKER_GAUGES: Readonly<Record<number, SlotKind>> = {
  [WorkerSlot.loopLagMsMax]: "max",
  [WorkerSlot.descriptorsInUse]: "sum",
  [WorkerSlot.lastLoopAtMs]: "max",
  [WorkerSlot.activeExchanges]: "sum",
  [WorkerSlot.timersArmed]: "sum",
  [WorkerSlot.heapBytes]: "sum",
};
export const LISTENER_GAUGES: Readonly<Record<number, SlotKind>> = {
  [ListenerSlot.active]: "sum",
  [ListenerSlot.idle]: "sum",
};
export const POOL_GAUGES: Readonly<Record<number, SlotKind>> = {
  [PoolSlot.idle]: "sum",
  [PoolSlot.waiting]: "sum",
};
export const SERVER_GAUGES: Readonly<Record<number, SlotKind>> = {
  [ServerSlot.active]: "sum",
  [ServerSlot.idle]: "sum",
  // A server that one worker passes over is in trouble, whatever the others have noticed so far.
  [ServerSlot.passedOver]: "max",
  [ServerSlot.idleLimitMs]: "min",
};

export class CounterLayout {
  readonly slotCount: number;
  readonly bytes: number;
  readonly workerBase = 0;
  readonly #poolBases: readonly number[];
  readonly #listenerCount: number;
  readonly #serverCounts: readonly number[];

  constructor(config: GatewayConfig) {
    this.#listenerCount = config.listeners.length;
    this.#serverCounts = config.pools.map((pool) => pool.servers.length);
    let base = WORKER_SLOT_COUNT + this.#listenerCount * LISTENER_SLOT_COUNT;
    const poolBases: number[] = [];
    for (const serverCount of this.#serverCounts) {
      poolBases.push(base);
      base += POOL_SLOT_COUNT + serverCount * SERVER_SLOT_COUNT;
    }
    this.#poolBases = poolBases;
    this.slotCount = base;
    this.bytes = base * Float64Array.BYTES_PER_ELEMENT;
  }

  listenerBase(listenerIndex: number): number {
    assertIndex(listenerIndex, this.#listenerCount, "listener");
    return WORKER_SLOT_COUNT + listenerIndex * LISTENER_SLOT_COUNT;
  }

  poolBase(poolIndex: number): number {
    assertIndex(poolIndex, this.#poolBases.length, "pool");
    return this.#poolBases[poolIndex]!;
  }

  serverBase(poolIndex: number, serverIndex: number): number {
    const poolBase = this.poolBase(poolIndex);
    assertIndex(serverIndex, this.#serverCounts[poolIndex]!, "server");
    return poolBase + POOL_SLOT_COUNT + serverIndex * SERVER_SLOT_COUNT;
  }
}

function assertIndex(index: number, count: number, what: string): void {
  if (!(index >= 0 && index < count)) {
    throw new RangeError(`there is no ${what} ${index}: the configuration has ${count}`);
  }
}
