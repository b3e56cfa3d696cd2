/**
 * Reading values of a configuration file that may still be wrong in shape: what is not there, or is something else, reads as
 * empty. For the checks between keys (references.ts, health-findings.ts, unused-settings.ts), which run beside the schema. Pure.
 */
import type { ConfigPath } from "./diagnostics.ts";

/** A problem before it has a place in the file. */
export interface Finding {
  readonly severity: "error" | "warning";
  readonly path: ConfigPath;
  readonly part?: "key" | "value";
  readonly message: string;
  readonly hint: string | undefined;
}

export type RawMap = Readonly<Record<string, unknown>>;

export function error(path: ConfigPath, message: string, hint: string | undefined): Finding {
  return { severity: "error", path, message, hint };
}

export function warning(path: ConfigPath, message: string, hint: string | undefined): Finding {
  return { severity: "warning", path, message, hint };
}

export function isMap(raw: unknown): raw is RawMap {
  return typeof raw === "object" && raw !== null && !Array.isArray(raw);
}

export function asMap(raw: unknown): RawMap {
  return isMap(raw) ? raw : {};
}

export function asList(raw: unknown): readonly unknown[] {
  return Array.isArray(raw) ? raw : [];
}

export function mapsIn(raw: unknown): (readonly [string, RawMap])[] {
  return Object.entries(asMap(raw)).map(([name, entry]) => [name, asMap(entry)] as const);
}

export function isTrue(raw: unknown): boolean {
  return raw === true || raw === "on";
}

/** Names of the listeners that use a pool, by what they speak. */
export interface PoolUse {
  readonly http: readonly string[];
  readonly tcp: readonly string[];
}

export const UNUSED: PoolUse = { http: [], tcp: [] };

export function poolUses(root: RawMap): ReadonlyMap<string, PoolUse> {
  const uses = new Map<string, { http: string[]; tcp: string[] }>();
  const use = (pool: unknown, kind: "http" | "tcp", listener: string) => {
    if (typeof pool !== "string" && typeof pool !== "number") return;
    const entry = uses.get(String(pool)) ?? { http: [], tcp: [] };
    uses.set(String(pool), entry);
    if (!entry[kind].includes(listener)) entry[kind].push(listener);
  };
  for (const [name, listener] of mapsIn(root.listeners)) {
    for (const route of asList(asMap(listener.http).routes)) use(asMap(route).pool, "http", name);
    use(tcpPool(listener.tcp), "tcp", name);
  }
  return uses;
}

/** `tcp: pg` stands for `tcp: { pool: pg }`. */
export function tcpPool(tcp: unknown): unknown {
  return isMap(tcp) ? tcp.pool : tcp;
}
