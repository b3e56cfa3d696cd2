/**
 * The document that `GET /status` answers and `holdfast status --json` prints: stable field names, units in the
 * names, milliseconds and bytes. Pure. The human tables are made of it in `cli/status-table.ts`.
 */
import { formatAddress } from "../config/address.ts";
import type { GatewayConfig, ServerConfig, SocketAddress } from "../config/types.ts";
import { CLOSE_CAUSES, type CloseSide } from "./close-cause.ts";
import {
  LATENCY_BUCKET_COUNT,
  ListenerSlot,
  PoolSlot,
  ServerSlot,
  WORKER_SLOT_COUNT,
  WorkerSlot,
} from "./counter-layout.ts";
import type { GatewayCounters } from "./counter-ledger.ts";
import type { GatewayFacts, ReloadFacts, WorkerFacts, WorkerState } from "./gateway-facts.ts";
import { latencyQuantileMs } from "./latency-quantile.ts";

export interface CloseCount {
  readonly side: CloseSide;
  readonly cause: string;
  readonly count: number;
}

export interface LatencyStatus {
  /** Null: nothing counted yet. */
  readonly meanMs: number | null;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

export interface WorkerStatus {
  readonly index: number;
  readonly pid: number;
  readonly generation: number;
  readonly state: WorkerState;
  readonly uptimeMs: number;
  readonly activeExchanges: number;
  readonly descriptorsInUse: number;
  readonly descriptorExhaustions: number;
  readonly timersArmed: number;
  readonly loopLagMsMax: number;
  readonly heapBytes: number;
  readonly residentBytes: number | null;
}

export interface ListenerStatus {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly connectionsAccepted: number;
  readonly connectionsActive: number;
  readonly connectionsIdle: number;
  readonly requests: number;
  readonly requestsReused: number;
  /** Requests that found their connection open already, 0…1; null: no request yet. */
  readonly reuseRatio: number | null;
  readonly responses: Readonly<Record<"1xx" | "2xx" | "3xx" | "4xx" | "5xx", number>>;
  readonly requestsRejected: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly latency: LatencyStatus;
  /** Most frequent first; causes that never happened are left out. */
  readonly closes: readonly CloseCount[];
}

export interface ServerStatus {
  readonly name: string;
  readonly state: "up" | "passed-over";
  readonly weight: number;
  readonly backup: boolean;
  readonly connectionsOpened: number;
  readonly connectionsReused: number;
  readonly connectionsActive: number;
  readonly connectionsIdle: number;
  readonly reuseRatio: number | null;
  readonly requests: number;
  readonly failures: number;
  readonly connectFailures: number;
  readonly responses5xx: number;
  /** Learned; null: nothing learned. */
  readonly idleLimitMs: number | null;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly latency: LatencyStatus;
  readonly closes: readonly CloseCount[];
}

export interface PoolStatus {
  readonly name: string;
  readonly retries: number;
  readonly retriesStale: number;
  readonly retriesProvable: number;
  readonly noServer: number;
  readonly connectionsIdle: number;
  readonly servers: readonly ServerStatus[];
}

export interface StatusDocument {
  readonly version: string;
  readonly pid: number;
  readonly configFile: string | null;
  readonly phase: string;
  readonly startedAt: string;
  readonly uptimeMs: number;
  readonly generation: number;
  readonly respawns: number;
  readonly reloads: {
    readonly ok: number;
    readonly failed: number;
    readonly last: (Omit<ReloadFacts, "atMs"> & { readonly at: string }) | null;
  };
  readonly workers: readonly WorkerStatus[];
  readonly listeners: readonly ListenerStatus[];
  readonly pools: readonly PoolStatus[];
}

export interface StatusInput {
  readonly facts: GatewayFacts;
  readonly config: GatewayConfig;
  readonly counters: GatewayCounters;
  /** Each live worker's own counters by pid (`counters.workers` is added up by index). */
  readonly workerBlocks: ReadonlyMap<number, Float64Array>;
  /** As bound, by listener name. */
  readonly addresses: ReadonlyMap<string, readonly SocketAddress[]>;
}

export function statusDocument(input: StatusInput): StatusDocument {
  const { facts, config, counters, workerBlocks } = input;
  const last = facts.lastReload;
  return {
    version: facts.version,
    pid: facts.pid,
    configFile: facts.configFile ?? null,
    phase: facts.phase,
    startedAt: new Date(facts.startedAtMs).toISOString(),
    uptimeMs: facts.nowMs - facts.startedAtMs,
    generation: facts.generation,
    respawns: facts.respawns,
    reloads: {
      ok: facts.reloadsOk,
      failed: facts.reloadsFailed,
      last:
        last === undefined ? null : { at: new Date(last.atMs).toISOString(), ok: last.ok, lines: last.lines },
    },
    workers: facts.workers.toSorted(byGenerationAndIndex).map((worker) => {
      const block = workerBlocks.get(worker.pid) ?? new Float64Array(WORKER_SLOT_COUNT);
      return {
        index: worker.index,
        pid: worker.pid,
        generation: worker.generation,
        state: worker.state,
        uptimeMs: facts.nowMs - worker.startedAtMs,
        activeExchanges: block[WorkerSlot.activeExchanges]!,
        descriptorsInUse: block[WorkerSlot.descriptorsInUse]!,
        descriptorExhaustions: block[WorkerSlot.descriptorExhaustions]!,
        timersArmed: block[WorkerSlot.timersArmed]!,
        loopLagMsMax: block[WorkerSlot.loopLagMsMax]!,
        heapBytes: block[WorkerSlot.heapBytes]!,
        residentBytes: worker.residentBytes ?? null,
      };
    }),
    listeners: config.listeners.map(({ name, bind }) =>
      listenerStatus(
        name,
        (input.addresses.get(name) ?? bind).map(formatAddress),
        counters.listeners.get(name)!,
      ),
    ),
    pools: config.pools.map(({ name, servers }) =>
      poolStatus(name, servers, counters.pools.get(name)!, counters.servers.get(name) ?? new Map()),
    ),
  };
}

/** A respawned worker takes its old place in the list. */
function byGenerationAndIndex(a: WorkerFacts, b: WorkerFacts): number {
  return a.generation - b.generation || a.index - b.index;
}

function listenerStatus(name: string, addresses: readonly string[], block: Float64Array): ListenerStatus {
  const requests = block[ListenerSlot.requests]!;
  const requestsReused = block[ListenerSlot.reusedRequests]!;
  return {
    name,
    addresses,
    connectionsAccepted: block[ListenerSlot.accepted]!,
    connectionsActive: block[ListenerSlot.active]!,
    connectionsIdle: block[ListenerSlot.idle]!,
    requests,
    requestsReused,
    reuseRatio: ratio(requestsReused, requests),
    responses: {
      "1xx": block[ListenerSlot.responses1xx]!,
      "2xx": block[ListenerSlot.responses2xx]!,
      "3xx": block[ListenerSlot.responses3xx]!,
      "4xx": block[ListenerSlot.responses4xx]!,
      "5xx": block[ListenerSlot.responses5xx]!,
    },
    requestsRejected: block[ListenerSlot.rejected]!,
    bytesReceived: block[ListenerSlot.bytesReceived]!,
    bytesSent: block[ListenerSlot.bytesSent]!,
    latency: latencyStatus(block, ListenerSlot.latency, ListenerSlot.latencySumMs),
    closes: closeCounts(block, ListenerSlot.closes),
  };
}

function poolStatus(
  name: string,
  servers: readonly ServerConfig[],
  block: Float64Array,
  serverBlocks: ReadonlyMap<string, Float64Array>,
): PoolStatus {
  return {
    name,
    retries: block[PoolSlot.retries]!,
    retriesStale: block[PoolSlot.retriesStale]!,
    retriesProvable: block[PoolSlot.retriesProvable]!,
    noServer: block[PoolSlot.noServer]!,
    connectionsIdle: block[PoolSlot.idle]!,
    servers: servers.map((server) => serverStatus(server, serverBlocks.get(server.name)!)),
  };
}

function serverStatus(server: ServerConfig, block: Float64Array): ServerStatus {
  const connectionsOpened = block[ServerSlot.connectionsOpened]!;
  const connectionsReused = block[ServerSlot.connectionsReused]!;
  const idleLimitMs = block[ServerSlot.idleLimitMs]!;
  return {
    name: server.name,
    state: block[ServerSlot.passedOver]! > 0 ? "passed-over" : "up",
    weight: server.weight,
    backup: server.backup,
    connectionsOpened,
    connectionsReused,
    connectionsActive: block[ServerSlot.active]!,
    connectionsIdle: block[ServerSlot.idle]!,
    reuseRatio: ratio(connectionsReused, connectionsReused + connectionsOpened),
    requests: block[ServerSlot.requests]!,
    failures: block[ServerSlot.failures]!,
    connectFailures: block[ServerSlot.connectFailures]!,
    responses5xx: block[ServerSlot.responses5xx]!,
    idleLimitMs: idleLimitMs > 0 ? idleLimitMs : null,
    bytesReceived: block[ServerSlot.bytesReceived]!,
    bytesSent: block[ServerSlot.bytesSent]!,
    latency: latencyStatus(block, ServerSlot.latency, ServerSlot.latencySumMs),
    closes: closeCounts(block, ServerSlot.closes),
  };
}

function latencyStatus(block: Float64Array, firstBucketSlot: number, sumSlot: number): LatencyStatus {
  let count = 0;
  for (let bucket = 0; bucket < LATENCY_BUCKET_COUNT; bucket++) {
    count += block[firstBucketSlot + bucket]!;
  }
  return {
    meanMs: ratio(block[sumSlot]!, count),
    p50Ms: latencyQuantileMs(block, firstBucketSlot, block[sumSlot]!, 0.5) ?? null,
    p99Ms: latencyQuantileMs(block, firstBucketSlot, block[sumSlot]!, 0.99) ?? null,
  };
}

function closeCounts(block: Float64Array, firstSlot: number): CloseCount[] {
  return CLOSE_CAUSES.map(({ side, name }, index) => ({
    side,
    cause: name,
    count: block[firstSlot + index]!,
  }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count - a.count);
}

function ratio(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole;
}
