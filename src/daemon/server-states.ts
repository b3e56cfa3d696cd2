/**
 * The state of every server, as the workers have to know it: the verdict of the health checks, the operator's orders and the
 * weight in force, put together and told to each worker in the indexes of its own configuration (during a reload workers
 * of two configurations live side by side). In the supervisor; talks to the workers through `send`.
 */
import type { GatewayConfig, HealthConfig } from "../config/types.ts";
import type { HealthSource } from "../health/check-result.ts";
import { HealthChecker, type HealthPlan } from "../health/checker.ts";
import type { ExecIdentity } from "../health/command-run.ts";
import { createProbe } from "../health/probes/create.ts";
import type { HealthTarget } from "../health/target.ts";
import type { HealthFacts, ServerFacts } from "../observe/gateway-facts.ts";
import type { Logger } from "../observe/log.ts";
import type { ObservationMessage, ServerStateMessage } from "./messages.ts";
import { findUser } from "./privileges.ts";
import { type OrderOutcome, type ServerOrderRequest, ServerOrders } from "./server-orders.ts";

/** A worker that has to be told. */
export interface StatesReceiver {
  readonly config: GatewayConfig;
  send(message: { readonly type: "server-states"; readonly states: readonly ServerStateMessage[] }): void;
}

export class ServerStates {
  readonly #logger: Logger;
  readonly #receivers: () => Iterable<StatesReceiver>;
  readonly #orders = new ServerOrders();
  readonly #checker: HealthChecker;
  /** Of every configuration that some worker runs. */
  readonly #plans = new WeakMap<GatewayConfig, HealthPlan>();
  #config: GatewayConfig | undefined;
  readonly #changedTargets = new Set<HealthTarget>();
  readonly #changedNames = new Set<string>();
  #isTellingLater = false;
  /** Some server changed: told once per turn of the event loop, after the workers. */
  onChange: () => void = () => {};

  constructor(logger: Logger, receivers: () => Iterable<StatesReceiver>) {
    this.#logger = logger;
    this.#receivers = receivers;
    this.#checker = new HealthChecker({
      clock: { now: Date.now, monotonicMs: () => performance.now(), random: Math.random },
      createProbe: (health, target, config) =>
        createProbe(health.check, target, { execIdentity: execIdentityOf(config) }),
      onChange: (target) => this.#handleChange(target),
    });
  }

  /** Before the workers of a configuration are spawned. Nothing is checked that was not before. */
  prepare(config: GatewayConfig): void {
    this.#plans.set(config, this.#checker.prepare(config));
  }

  /** The configuration is in force: what is new is checked from now on, what is gone no longer. */
  commit(config: GatewayConfig, heartbeats: HealthSource | undefined): void {
    this.#config = config;
    this.#checker.commit(this.#plans.get(config)!, config);
    this.#checker.listenTo(heartbeats);
    this.#orders.forgetAllBut(config);
  }

  stop(): void {
    this.#checker.stop();
  }

  /** All servers, for a worker that has just been configured. */
  tellAll(worker: StatesReceiver): void {
    worker.send({ type: "server-states", states: this.#states(worker.config, () => true) });
  }

  observe(config: GatewayConfig, observations: readonly ObservationMessage[]): void {
    const plan = this.#plans.get(config);
    for (const seen of observations) {
      const target = plan?.[seen.poolIndex]?.[seen.serverIndex];
      if (target !== undefined) this.#checker.observe(target, seen);
    }
  }

  order(request: ServerOrderRequest): OrderOutcome {
    if (this.#config === undefined)
      return { ok: false, isUnknownName: false, lines: ["the gateway is stopping"] };
    const outcome = this.#orders.give(request, this.#config, Date.now());
    if (outcome.ok) {
      const { pool, server } = outcome;
      this.#changedNames.add(nameKey(pool, server));
      this.#tellLater();
      this.#logger.log("info", "server-ordered", `${outcome.lines.join("; ")} (operator)`, { pool, server });
    }
    return outcome;
  }

  facts(): ServerFacts[] {
    return this.#config === undefined ? [] : this.factsOf(this.#config);
  }

  /** Of a configuration that was prepared, in force or not. */
  factsOf(config: GatewayConfig): ServerFacts[] {
    const plan = this.#plans.get(config)!;
    return config.pools.flatMap((pool, poolIndex) =>
      pool.servers.map((server, serverIndex) => {
        const order = this.#orders.get(pool.name, server.name);
        return {
          pool: pool.name,
          server: server.name,
          admin: order?.admin ?? "up",
          adminSinceMs: order?.sinceMs,
          weight: order?.weight ?? server.weight,
          health: healthFacts(plan[poolIndex]![serverIndex]),
        };
      }),
    );
  }

  #states(
    config: GatewayConfig,
    isWanted: (target: HealthTarget | undefined, name: string) => boolean,
  ): ServerStateMessage[] {
    const plan = this.#plans.get(config);
    const states: ServerStateMessage[] = [];
    config.pools.forEach((pool, poolIndex) => {
      pool.servers.forEach((server, serverIndex) => {
        const target = plan?.[poolIndex]?.[serverIndex];
        if (!isWanted(target, nameKey(pool.name, server.name))) return;
        const order = this.#orders.get(pool.name, server.name);
        states.push({
          poolIndex,
          serverIndex,
          isUp: target?.detector.isUp ?? true,
          admin: order?.admin ?? "up",
          weight: order?.weight ?? server.weight,
        });
      });
    });
    return states;
  }

  #handleChange(target: HealthTarget): void {
    const { detector, servers, health } = target;
    const [first] = servers;
    const pools = [...new Set(servers.map(({ pool }) => pool))];
    const verdict = detector.isUp ? "up" : "down";
    this.#logger.log(
      detector.isUp ? "info" : "warn",
      `server-${verdict}`,
      `server ${first!.server} of ${pools.length > 1 ? "pools" : "pool"} ${pools.join(", ")} is ${verdict}: ${detector.reason}`,
      { pool: pools.join(","), server: first!.server, check: checkName(health), reason: detector.reason },
    );
    this.#changedTargets.add(target);
    this.#tellLater();
  }

  /** What changes in one turn of the event loop is told in one message. */
  #tellLater(): void {
    if (this.#isTellingLater) return;
    this.#isTellingLater = true;
    setImmediate(() => {
      this.#isTellingLater = false;
      for (const worker of this.#receivers()) {
        const states = this.#states(
          worker.config,
          (target, name) =>
            (target !== undefined && this.#changedTargets.has(target)) || this.#changedNames.has(name),
        );
        if (states.length > 0) worker.send({ type: "server-states", states });
      }
      this.#changedTargets.clear();
      this.#changedNames.clear();
      this.onChange();
    });
  }
}

const execIdentities = new WeakMap<GatewayConfig, ExecIdentity>();

/**
 * Programs do not run as root when the workers do not. Looked up once per configuration: virtual routers ask each second, a directory
 * service may be slow or away, and a user that was deleted must not end a gateway that runs.
 */
export function execIdentityOf(config: GatewayConfig): ExecIdentity | undefined {
  if (config.user === undefined || process.getuid!() !== 0) return undefined;
  const known = execIdentities.get(config);
  if (known !== undefined) return known;
  const { uid, gid } = findUser(config.user);
  execIdentities.set(config, { uid, gid });
  return execIdentities.get(config);
}

function healthFacts(target: HealthTarget | undefined): HealthFacts | undefined {
  if (target === undefined) return undefined;
  const { detector, health, certificateExpiresAtMs } = target;
  return {
    check: checkName(health),
    state: detector.state,
    reason: detector.reason,
    sinceMs: detector.sinceMs,
    stateSinceMs: detector.stateSinceMs,
    checks: detector.checks,
    checksFailed: detector.checksFailed,
    timesUp: detector.timesUp,
    timesDown: detector.timesDown,
    trafficFailures: detector.trafficFailures,
    lastCheck: detector.lastCheck,
    certificateExpiresAtMs,
  };
}

/** As the configuration calls it. */
function checkName({ check }: HealthConfig): HealthFacts["check"] {
  return check.kind === "http" && check.tls ? "https" : check.kind;
}

function nameKey(pool: string, server: string): string {
  return `${pool}\n${server}`;
}
