/**
 * Adds up what the workers counted, by name, and remembers what dead workers counted, so that no counter ever
 * decreases over a crash or over a reload that keeps the name of a listener, pool or server. Pure.
 * Called by the supervisor; its result feeds `prometheus.ts` and `status.ts`.
 */
import type { GatewayConfig } from "../config/types.ts";
import {
  CounterLayout,
  LISTENER_GAUGES,
  LISTENER_SLOT_COUNT,
  POOL_GAUGES,
  POOL_SLOT_COUNT,
  SERVER_GAUGES,
  SERVER_SLOT_COUNT,
  type SlotKind,
  WORKER_GAUGES,
  WORKER_SLOT_COUNT,
} from "./counter-layout.ts";

/** What one worker has counted so far: a copy of its shared memory and the configuration that lays it out. */
export interface WorkerCounters {
  readonly workerIndex: number;
  readonly config: GatewayConfig;
  readonly counters: Float64Array;
}

/** One block of slots (`ListenerSlot`, …) per name. */
export interface GatewayCounters {
  readonly workers: Map<number, Float64Array>;
  readonly listeners: Map<string, Float64Array>;
  readonly pools: Map<string, Float64Array>;
  /** Pool name, then server name. */
  readonly servers: Map<string, Map<string, Float64Array>>;
}

export class CounterLedger {
  readonly #retired = emptyCounters();

  /** Keeps the counters (not the gauges) of a worker that is gone. */
  retire(worker: WorkerCounters): void {
    addWorker(this.#retired, worker, true);
  }

  /** Forgets names that the configuration no longer has; called when no worker of an older generation is left. */
  forgetAllBut(config: GatewayConfig): void {
    const kept = emptyCounters();
    declareNames(kept, config);
    deleteMissing(this.#retired.listeners, kept.listeners);
    deleteMissing(this.#retired.pools, kept.pools);
    deleteMissing(this.#retired.servers, kept.servers);
    for (const [pool, servers] of this.#retired.servers) {
      deleteMissing(servers, kept.servers.get(pool)!);
    }
    for (const index of this.#retired.workers.keys()) {
      if (index >= config.workers) {
        this.#retired.workers.delete(index);
      }
    }
  }

  /** Totals for every name of the configuration (zeros included), and for names only a draining worker still has. */
  total(config: GatewayConfig, live: readonly WorkerCounters[]): GatewayCounters {
    const total = emptyCounters();
    declareNames(total, config);
    for (const worker of live) {
      addWorker(total, worker, false);
    }
    addRetired(total.workers, this.#retired.workers);
    addRetired(total.listeners, this.#retired.listeners);
    addRetired(total.pools, this.#retired.pools);
    for (const [pool, servers] of total.servers) {
      addRetired(servers, this.#retired.servers.get(pool) ?? new Map());
    }
    return total;
  }
}

function emptyCounters(): GatewayCounters {
  return { workers: new Map(), listeners: new Map(), pools: new Map(), servers: new Map() };
}

function declareNames(target: GatewayCounters, config: GatewayConfig): void {
  for (const listener of config.listeners) {
    blockOf(target.listeners, listener.name, LISTENER_SLOT_COUNT);
  }
  for (const pool of config.pools) {
    blockOf(target.pools, pool.name, POOL_SLOT_COUNT);
    for (const server of pool.servers) {
      blockOf(serversOf(target, pool.name), server.name, SERVER_SLOT_COUNT);
    }
  }
}

function addWorker(target: GatewayCounters, worker: WorkerCounters, countersOnly: boolean): void {
  const { config, counters } = worker;
  const layout = new CounterLayout(config);
  const add = <K>(blocks: Map<K, Float64Array>, key: K, base: number, length: number, gauges: Gauges) => {
    const block = blockOf(blocks, key, length);
    for (let offset = 0; offset < length; offset++) {
      const kind = gauges[offset] ?? "counter";
      if (!(countersOnly && kind !== "counter")) {
        block[offset] = combine(kind, block[offset]!, counters[base + offset] ?? 0);
      }
    }
  };
  add(target.workers, worker.workerIndex, layout.workerBase, WORKER_SLOT_COUNT, WORKER_GAUGES);
  config.listeners.forEach((listener, index) => {
    add(target.listeners, listener.name, layout.listenerBase(index), LISTENER_SLOT_COUNT, LISTENER_GAUGES);
  });
  config.pools.forEach((pool, poolIndex) => {
    add(target.pools, pool.name, layout.poolBase(poolIndex), POOL_SLOT_COUNT, POOL_GAUGES);
    const servers = serversOf(target, pool.name);
    pool.servers.forEach((server, serverIndex) => {
      const base = layout.serverBase(poolIndex, serverIndex);
      add(servers, server.name, base, SERVER_SLOT_COUNT, SERVER_GAUGES);
    });
  });
}

type Gauges = Readonly<Record<number, SlotKind>>;

function combine(kind: SlotKind, total: number, value: number): number {
  switch (kind) {
    case "counter":
    case "sum":
      return total + value;
    case "max":
      return Math.max(total, value);
    case "min": // of those that know: 0 says nothing is known
      return total === 0 || value === 0 ? total + value : Math.min(total, value);
  }
}

function blockOf<K>(blocks: Map<K, Float64Array>, key: K, length: number): Float64Array {
  let block = blocks.get(key);
  if (block === undefined) {
    block = new Float64Array(length);
    blocks.set(key, block);
  }
  return block;
}

function serversOf(counters: GatewayCounters, pool: string): Map<string, Float64Array> {
  let servers = counters.servers.get(pool);
  if (servers === undefined) {
    servers = new Map();
    counters.servers.set(pool, servers);
  }
  return servers;
}

function addRetired<K>(target: Map<K, Float64Array>, retired: ReadonlyMap<K, Float64Array>): void {
  for (const [key, block] of target) {
    const old = retired.get(key);
    old?.forEach((value, offset) => {
      block[offset]! += value;
    });
  }
}

function deleteMissing<K, V, W>(target: Map<K, V>, kept: ReadonlyMap<K, W>): void {
  for (const key of target.keys()) {
    if (!kept.has(key)) {
      target.delete(key);
    }
  }
}
