/**
 * What the supervisor watches for virtual routers (`track`): pools, programs, the gateway itself; results go to the router process when they
 * change. Tracked interfaces are not here: the router process sees them itself, sooner. Used by router-supervision.ts.
 *
 *  - A pool is down while fewer than `below` servers are usable: neither down by their health checks nor ordered out (drain, maint). Without
 *    a health section only orders count; what single workers make of failed requests (max_fails) does not, since it is forgotten after
 *    fail_timeout by the next try, and a router should not move for that.
 *  - Programs are asked before a router first sees their key, so that a reload which adds a check does not take a healthy router out.
 *  - The gateway is up while a worker of the configuration in force answers (worker-liveness.ts); with several time-outs the shortest counts.
 */
import type { GatewayConfig, TrackedPoolConfig, VirtualRouterConfig } from "../config/types.ts";
import type { ServerFacts } from "../observe/gateway-facts.ts";
import { CheckWatch } from "./check-watch.ts";
import {
  checkTrackerKey,
  GATEWAY_TRACKER_KEY,
  poolTrackerKey,
  type TrackerResultMessage,
} from "./router-messages.ts";
import { execIdentityOf } from "./server-states.ts";
import { type LivenessVerdict, type PingedWorker, pingPeriodMs, WorkerLiveness } from "./worker-liveness.ts";

/** A program that takes longer for its first result counts as down until it has one. */
const FIRST_RESULTS_MS_MAX = 3_000;

export interface TrackerFeedOptions {
  readonly send: (results: readonly TrackerResultMessage[]) => void;
  readonly serverFacts: (config: GatewayConfig) => readonly ServerFacts[];
  /** Ready workers of the configuration in force; while one is prepared, of that one. */
  readonly workers: () => readonly PingedWorker[];
}

export class TrackerFeed {
  readonly #options: TrackerFeedOptions;
  readonly #liveness = new WorkerLiveness();
  /** By key and settings: one that did not change goes on over a reload. */
  #watches = new Map<string, CheckWatch>();
  #config: GatewayConfig | undefined;
  #gateway: LivenessVerdict = { isUp: true, detail: "the workers have just said that they are ready" };
  #pingTimer: NodeJS.Timeout | undefined;
  /** As last told, by key. */
  #told = new Map<string, TrackerResultMessage>();

  constructor(options: TrackerFeedOptions) {
    this.#options = options;
  }

  /** Starts what is new and waits for its first results. */
  async prepare(config: GatewayConfig): Promise<void> {
    const isNew: CheckWatch[] = [];
    for (const [key, create] of this.#wanted(config)) {
      if (this.#watches.has(key)) continue;
      const watch = create();
      isNew.push(watch);
      this.#watches.set(key, watch);
    }
    if (isNew.length === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise((resolve) => {
      timer = setTimeout(resolve, FIRST_RESULTS_MS_MAX);
    });
    await Promise.race([patience, Promise.all(isNew.map((watch) => watch.decided))]);
    clearTimeout(timer);
  }

  /** In force from now on; undefined: nothing is. What it does not want is no longer asked. */
  commit(config: GatewayConfig | undefined): void {
    this.#config = config;
    const wanted = config === undefined ? new Map() : this.#wanted(config);
    for (const [key, watch] of this.#watches) {
      if (wanted.has(key)) continue;
      watch.stop();
      this.#watches.delete(key);
    }
    clearInterval(this.#pingTimer);
    const timeoutMs = config === undefined ? undefined : gatewayTimeoutMs(config.virtualRouters);
    if (timeoutMs === undefined) return;
    this.#tick(timeoutMs);
    this.#pingTimer = setInterval(() => this.#tick(timeoutMs), pingPeriodMs(timeoutMs));
  }

  /** The prepared configuration will not come into force. */
  rollback(): void {
    this.commit(this.#config);
  }

  handlePong(worker: PingedWorker): void {
    this.#liveness.handlePong(worker, performance.now());
  }

  /** Every result, for a router process that is configured now; from then on it is told what changes. */
  tellAll(config: GatewayConfig): readonly TrackerResultMessage[] {
    const results = this.#results(config);
    this.#told = new Map(results.map((result) => [result.key, result]));
    return results;
  }

  /** Something may have changed: tells what did. */
  refresh(): void {
    if (this.#config === undefined) return;
    const changed = this.#results(this.#config).filter((result) => {
      const told = this.#told.get(result.key);
      return told?.isUp !== result.isUp || told.detail !== result.detail;
    });
    for (const result of changed) this.#told.set(result.key, result);
    if (changed.length > 0) this.#options.send(changed);
  }

  #tick(timeoutMs: number): void {
    this.#gateway = this.#liveness.tick(performance.now(), this.#options.workers(), timeoutMs);
    this.refresh();
  }

  #wanted(config: GatewayConfig): Map<string, () => CheckWatch> {
    const identity = execIdentityOf(config);
    const wanted = new Map<string, () => CheckWatch>();
    for (const { name: router, track } of config.virtualRouters) {
      for (const check of track.checks) {
        const onChange = (): void => this.refresh();
        const key = watchKey(router, check, identity);
        wanted.set(key, () => new CheckWatch({ router, check, identity, onChange }));
      }
    }
    return wanted;
  }

  #results(config: GatewayConfig): TrackerResultMessage[] {
    const results = new Map<string, TrackerResultMessage>();
    const servers = this.#options.serverFacts(config);
    const identity = execIdentityOf(config);
    for (const { name, track } of config.virtualRouters) {
      for (const pool of track.pools) {
        results.set(poolTrackerKey(pool), poolResult(pool, servers));
      }
      for (const check of track.checks) {
        const watch = this.#watches.get(watchKey(name, check, identity));
        const key = checkTrackerKey(name, check.name);
        results.set(key, { key, isUp: watch?.isUp ?? false, detail: watch?.detail ?? "is not asked" });
      }
      if (track.gateway !== undefined)
        results.set(GATEWAY_TRACKER_KEY, { key: GATEWAY_TRACKER_KEY, ...this.#gateway });
    }
    return [...results.values()];
  }
}

function watchKey(router: string, check: object, identity: object | undefined): string {
  return JSON.stringify([router, check, identity ?? null]);
}

function gatewayTimeoutMs(routers: readonly VirtualRouterConfig[]): number | undefined {
  const timeouts = routers.flatMap(({ track }) =>
    track.gateway === undefined ? [] : [track.gateway.timeoutMs],
  );
  return timeouts.length === 0 ? undefined : Math.min(...timeouts);
}

export function poolResult(
  tracked: Pick<TrackedPoolConfig, "pool" | "below">,
  servers: readonly ServerFacts[],
): TrackerResultMessage {
  const ofPool = servers.filter(({ pool }) => pool === tracked.pool);
  const usable = ofPool.filter(isUsable).length;
  const isUnchecked = ofPool.every(({ health }) => health === undefined);
  const note = isUnchecked ? " (without health checks only the operator's orders count)" : "";
  return {
    key: poolTrackerKey(tracked),
    isUp: usable >= tracked.below,
    detail: `${usable} of ${ofPool.length} servers usable, ${tracked.below} wanted${note}`,
  };
}

/** Going down is still up, going up is still down. */
function isUsable({ admin, health }: ServerFacts): boolean {
  return admin === "up" && (health === undefined || health.state === "up" || health.state === "going-down");
}
