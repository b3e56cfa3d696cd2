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
import type {
  GatewayFacts,
  HealthFacts,
  LastCheckFacts,
  ReloadFacts,
  ServerFacts,
  WorkerFacts,
  WorkerState,
} from "./gateway-facts.ts";
import { latencyQuantileMs } from "./latency-quantile.ts";
import type { RouterProcessStatus, RouterStatus } from "./router-status.ts";

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
  readonly state: ServerState;
  /** Why it is in this state; null: nothing to say. */
  readonly reason: string | null;
  /** When it came into this state, and for how long; null: not known. */
  readonly since: string | null;
  readonly sinceMs: number | null;
  readonly admin: "up" | "drain" | "maint";
  /** In force. */
  readonly weight: number;
  readonly backup: boolean;
  /** Null: the pool has no health section. */
  readonly health: HealthStatus | null;
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

/** `drain` and `maint` are the operator's, `passed-over` is max_fails' in at least one worker, the others are the checks'. */
export type ServerState = "up" | "passed-over" | "going-down" | "down" | "going-up" | "drain" | "maint";

export interface HealthStatus {
  /** Kind of check: tcp, http, … */
  readonly check: string;
  /** Going down is still up, going up is still down. */
  readonly state: "up" | "going-down" | "down" | "going-up";
  readonly reason: string;
  /** When it last went up or down. */
  readonly since: string;
  readonly sinceMs: number;
  readonly checks: number;
  readonly checksFailed: number;
  readonly timesUp: number;
  readonly timesDown: number;
  /** Failures of live traffic in a row, so far. */
  readonly trafficFailures: number;
  readonly lastCheck: {
    readonly ok: boolean;
    readonly reason: string;
    readonly durationMs: number;
    readonly at: string;
  } | null;
  /** Null: no check over TLS. */
  readonly certificateExpiresAt: string | null;
}

export interface PoolStatus {
  readonly name: string;
  readonly retries: number;
  readonly retriesStale: number;
  readonly retriesProvable: number;
  readonly noServer: number;
  readonly connectionsIdle: number;
  readonly queue: QueueStatus;
  readonly servers: readonly ServerStatus[];
}

/** Requests and TCP sessions that wait while every server is at max_conns. */
export interface QueueStatus {
  /** At present. */
  readonly waiting: number;
  /** In all, those that are served or gone included. */
  readonly queued: number;
  readonly timeouts: number;
  /** Found the queue full. */
  readonly refusals: number;
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
  /** Virtual routers; the history of their transitions is in `GET /routers`. */
  readonly routers: readonly RouterStatus[];
  /** Null: the configuration has no virtual routers. */
  readonly routerProcess: RouterProcessStatus | null;
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
  const serverFacts = new Map(facts.servers.map((server) => [`${server.pool}\n${server.server}`, server]));
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
    pools: config.pools.map(({ name, servers }) => {
      const blocks = counters.servers.get(name) ?? new Map<string, Float64Array>();
      const statuses = servers.map((server) =>
        serverStatus(
          server,
          blocks.get(server.name)!,
          serverFacts.get(`${name}\n${server.name}`),
          facts.nowMs,
        ),
      );
      return poolStatus(name, counters.pools.get(name)!, statuses);
    }),
    routers: facts.routers,
    routerProcess: facts.routerProcess ?? null,
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

function poolStatus(name: string, block: Float64Array, servers: readonly ServerStatus[]): PoolStatus {
  return {
    name,
    retries: block[PoolSlot.retries]!,
    retriesStale: block[PoolSlot.retriesStale]!,
    retriesProvable: block[PoolSlot.retriesProvable]!,
    noServer: block[PoolSlot.noServer]!,
    connectionsIdle: block[PoolSlot.idle]!,
    queue: {
      waiting: block[PoolSlot.waiting]!,
      queued: block[PoolSlot.queued]!,
      timeouts: block[PoolSlot.queueTimeouts]!,
      refusals: block[PoolSlot.queueRefusals]!,
    },
    servers,
  };
}

function serverStatus(
  server: ServerConfig,
  block: Float64Array,
  facts: ServerFacts | undefined,
  nowMs: number,
): ServerStatus {
  const connectionsOpened = block[ServerSlot.connectionsOpened]!;
  const connectionsReused = block[ServerSlot.connectionsReused]!;
  const idleLimitMs = block[ServerSlot.idleLimitMs]!;
  return {
    name: server.name,
    ...stateOf(facts, block[ServerSlot.passedOver]! > 0, nowMs),
    admin: facts?.admin ?? "up",
    weight: facts?.weight ?? server.weight,
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
    health: facts?.health === undefined ? null : healthStatus(facts.health, nowMs),
  };
}

/** The one state that matters most: the operator's order, then the checks' verdict, then max_fails. */
function stateOf(
  facts: ServerFacts | undefined,
  isPassedOver: boolean,
  nowMs: number,
): Pick<ServerStatus, "state" | "reason" | "since" | "sinceMs"> {
  const health = facts?.health;
  if (facts !== undefined && facts.admin !== "up")
    return { state: facts.admin, reason: "the operator's order", ...since(facts.adminSinceMs, nowMs) };
  if (health !== undefined && health.state !== "up") {
    // Going down or up is still the old verdict; what the last check saw is news.
    const isSettled = health.state === "down";
    const reason = isSettled ? health.reason : (health.lastCheck?.reason ?? health.reason);
    return { state: health.state, reason, ...since(health.stateSinceMs, nowMs) };
  }
  if (isPassedOver)
    return {
      state: "passed-over",
      reason: "max_fails failures in at least one worker",
      ...since(undefined, nowMs),
    };
  return { state: "up", reason: health?.reason ?? null, ...since(health?.sinceMs, nowMs) };
}

function since(atMs: number | undefined, nowMs: number): { since: string | null; sinceMs: number | null } {
  return atMs === undefined
    ? { since: null, sinceMs: null }
    : { since: new Date(atMs).toISOString(), sinceMs: nowMs - atMs };
}

function healthStatus(health: HealthFacts, nowMs: number): HealthStatus {
  const { lastCheck, certificateExpiresAtMs, sinceMs, stateSinceMs: _, ...rest } = health;
  return {
    ...rest,
    since: new Date(sinceMs).toISOString(),
    sinceMs: nowMs - sinceMs,
    lastCheck: lastCheck === undefined ? null : withoutAtMs(lastCheck),
    certificateExpiresAt:
      certificateExpiresAtMs === undefined ? null : new Date(certificateExpiresAtMs).toISOString(),
  };
}

function withoutAtMs({ ok, reason, durationMs, atMs }: LastCheckFacts): HealthStatus["lastCheck"] {
  return { ok, reason, durationMs, at: new Date(atMs).toISOString() };
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
