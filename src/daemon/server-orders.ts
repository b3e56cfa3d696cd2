/**
 * What operators asked of servers at run time: drain, maint, up, another weight. Kept by the names of pool and server, so that
 * it survives a reload; a server that the configuration loses is forgotten. Pure; the supervisor holds one.
 *
 *  - `drain`: nothing new goes to the server, what is there finishes.
 *  - `maint`: the server counts as down; on_down applies to its sessions.
 *  - `up`: neither. Health checks decide alone again. The weight stays as ordered.
 */
import type { GatewayConfig } from "../config/types.ts";

export const SERVER_ACTIONS = ["drain", "maint", "up"] as const;
export type ServerAction = (typeof SERVER_ACTIONS)[number];

export const WEIGHT_MAX = 65_535;

export interface ServerOrder {
  readonly admin: ServerAction;
  /** Undefined: the configured weight. */
  readonly weight: number | undefined;
  /** When `admin` was ordered; another weight does not change it. */
  readonly sinceMs: number;
}

/** A request of an operator, as it comes over the admin API: anything may be missing or wrong. */
export interface ServerOrderRequest {
  readonly pool?: unknown;
  readonly server?: unknown;
  readonly action?: unknown;
  /** A number, or null for the configured one again. */
  readonly weight?: unknown;
}

export type OrderOutcome =
  | { readonly ok: true; readonly pool: string; readonly server: string; readonly lines: readonly string[] }
  | { readonly ok: false; readonly isUnknownName: boolean; readonly lines: readonly string[] };

export class ServerOrders {
  readonly #orders = new Map<string, ServerOrder>();

  get(pool: string, server: string): ServerOrder | undefined {
    return this.#orders.get(keyOf(pool, server));
  }

  give(request: ServerOrderRequest, config: GatewayConfig, nowMs: number): OrderOutcome {
    const { action, weight } = request;
    const pool = config.pools.find(({ name }) => name === request.pool);
    if (pool === undefined)
      return unknownName(`there is no pool ${quoted(request.pool)}`, "pools", config.pools);
    const server = pool.servers.find(({ name }) => name === request.server);
    if (server === undefined)
      return unknownName(
        `pool "${pool.name}" has no server ${quoted(request.server)}`,
        "its servers",
        pool.servers,
      );
    if (action === undefined && weight === undefined)
      return refusal(
        `say what to do: "action" (${SERVER_ACTIONS.join(", ")}) or "weight" (1 to ${WEIGHT_MAX})`,
      );
    if (action !== undefined && !isServerAction(action))
      return refusal(`there is no action ${quoted(action)}; there are ${SERVER_ACTIONS.join(", ")}`);
    if (weight !== undefined && weight !== null && !isWeight(weight))
      return refusal(
        `${quoted(weight)} is no weight: a whole number from 1 to ${WEIGHT_MAX}, or null for the configured one; to send nothing, use "drain"`,
      );
    const before = this.get(pool.name, server.name);
    const admin = action ?? before?.admin ?? "up";
    const order: ServerOrder = {
      admin,
      weight: weight === undefined ? before?.weight : (weight ?? undefined),
      sinceMs: before?.admin === admin ? before.sinceMs : nowMs,
    };
    this.#orders.set(keyOf(pool.name, server.name), order);
    const inForce = order.weight ?? server.weight;
    const line = `server ${server.name} of pool ${pool.name}: ${order.admin}, weight ${inForce}`;
    return { ok: true, pool: pool.name, server: server.name, lines: [line] };
  }

  /** After a reload. */
  forgetAllBut(config: GatewayConfig): void {
    const kept = new Set(
      config.pools.flatMap((pool) => pool.servers.map(({ name }) => keyOf(pool.name, name))),
    );
    for (const key of this.#orders.keys()) if (!kept.has(key)) this.#orders.delete(key);
  }
}

function isServerAction(value: unknown): value is ServerAction {
  return (SERVER_ACTIONS as readonly unknown[]).includes(value);
}

function isWeight(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= WEIGHT_MAX;
}

function unknownName(what: string, list: string, known: readonly { readonly name: string }[]): OrderOutcome {
  const lines = [what, `${list}: ${known.map(({ name }) => name).join(", ")}`];
  return { ok: false, isUnknownName: true, lines };
}

function refusal(line: string): OrderOutcome {
  return { ok: false, isUnknownName: false, lines: [line] };
}

function quoted(value: unknown): string {
  return value === undefined ? "(none given)" : JSON.stringify(value);
}

function keyOf(pool: string, server: string): string {
  return `${pool}\n${server}`;
}
