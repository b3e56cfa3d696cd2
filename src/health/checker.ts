/**
 * All health checks of the gateway: which servers have one, one target for all pools that ask the same question of the
 * same address, what stays over a reload. Runs in the supervisor; daemon/server-states.ts calls it and tells the workers.
 *
 * A reload is prepared first and takes effect with `commit`, because it may still fail: until then new targets do not check,
 * and those that stay (same address, same health section) keep their state, their counts and their rhythm.
 */
import type {
  GatewayConfig,
  HealthConfig,
  PoolConfig,
  ServerConfig,
  SocketAddress,
} from "../config/types.ts";
import type { CheckedServer, HealthSource } from "./check-result.ts";
import type { TrafficObservation } from "./fault-detector.ts";
import type { Probe, ProbeTarget } from "./probe.ts";
import { type CheckerClock, HealthTarget } from "./target.ts";

/** The targets of one configuration, by pool and server index; undefined: no health section. */
export type HealthPlan = readonly (readonly (HealthTarget | undefined)[])[];

export interface HealthCheckerOptions {
  readonly clock: CheckerClock;
  readonly createProbe: (
    health: HealthConfig,
    target: ProbeTarget,
    config: GatewayConfig,
  ) => Probe | undefined;
  /** A server went up or down. */
  readonly onChange: (target: HealthTarget) => void;
}

export class HealthChecker {
  readonly #options: HealthCheckerOptions;
  #targets = new Map<string, HealthTarget>();
  /** Targets whose results are told, by the names of pool and server. */
  #told = new Map<string, HealthTarget>();
  #source: HealthSource | undefined;

  constructor(options: HealthCheckerOptions) {
    this.#options = options;
  }

  prepare(config: GatewayConfig): HealthPlan {
    const targets = new Map(this.#targets);
    return config.pools.map((pool) =>
      pool.servers.map((server) => this.#targetOf(config, pool, server, targets)),
    );
  }

  /** The plan is in force from now on. */
  commit(plan: HealthPlan, config: GatewayConfig): void {
    const names = new Map<HealthTarget, CheckedServer[]>();
    plan.forEach((targets, poolIndex) => {
      targets.forEach((target, serverIndex) => {
        const pool = config.pools[poolIndex]!;
        const server = { pool: pool.name, server: pool.servers[serverIndex]!.name };
        if (target !== undefined) names.set(target, [...(names.get(target) ?? []), server]);
      });
    });
    for (const target of this.#targets.values()) if (!names.has(target)) target.stop();
    this.#targets = new Map([...names.keys()].map((target) => [target.key, target]));
    this.#told.clear();
    for (const [target, servers] of names) {
      target.servers = servers;
      if (isTold(target.health)) for (const server of servers) this.#told.set(nameKey(server), target);
      target.start();
    }
  }

  /** Where told heartbeats come from; the one before is stopped. */
  listenTo(source: HealthSource | undefined): void {
    if (source === this.#source) return;
    this.#source?.stop();
    this.#source = source;
    source?.start((server, result) =>
      this.#told.get(nameKey(server))?.handleResult(result, result.durationMs),
    );
  }

  observe(target: HealthTarget, seen: TrafficObservation): void {
    target.handleTraffic(seen);
  }

  stop(): void {
    for (const target of this.#targets.values()) target.stop();
    this.#targets.clear();
    this.listenTo(undefined);
  }

  #targetOf(
    config: GatewayConfig,
    pool: PoolConfig,
    server: ServerConfig,
    targets: Map<string, HealthTarget>,
  ): HealthTarget | undefined {
    const { health } = pool;
    if (health === undefined) return undefined;
    const address = checkedAddress(server.address, health.port);
    const names: CheckedServer = { pool: pool.name, server: server.name };
    // A port of its own for checks does not speak the protocol of the server's (HAProxy: the same).
    const sendProxy = health.port === undefined ? pool.sendProxy : "off";
    const key = targetKey(address, health, names, sendProxy);
    const known = targets.get(key);
    if (known !== undefined) return known;
    const asked: ProbeTarget = { address, name: server.name, pool: pool.name, sendProxy };
    const probe = this.#options.createProbe(health, asked, config);
    const target = new HealthTarget(key, names, health, probe, this.#options.clock, this.#options.onChange);
    targets.set(key, target);
    return target;
  }
}

function checkedAddress(address: SocketAddress, port: number | undefined): SocketAddress {
  return address.family === "unix" || port === undefined ? address : { ...address, port };
}

/** Same key, same answer. Who is told, is told by name; a program may look at the names it is given. */
function targetKey(
  address: SocketAddress,
  health: HealthConfig,
  names: CheckedServer,
  sendProxy: PoolConfig["sendProxy"],
): string {
  const isByName = isTold(health) || health.check.kind === "exec";
  return JSON.stringify([address, health, isByName ? names : null, sendProxy]);
}

export function isTold(health: HealthConfig): boolean {
  return health.check.kind === "heartbeat" && health.check.mode === "told";
}

function nameKey({ pool, server }: CheckedServer): string {
  return `${pool}\n${server}`;
}
