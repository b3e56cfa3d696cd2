/** Servers and counts for the tests of balance/. Not used by the product. */
import type { ServerConfig } from "../config/types.ts";
import { Backend } from "./backend.ts";
import type { Selector } from "./selection.ts";

export function serverConfig(name: string, overrides: Partial<ServerConfig> = {}): ServerConfig {
  return {
    name,
    address: { family: "inet", host: "192.0.2.1", port: 80 },
    weight: 1,
    maxFails: 1,
    failTimeoutMs: 10_000,
    maxConns: 0,
    slowStartMs: 0,
    backup: false,
    ...overrides,
  };
}

/** Backends named a, b, c … with these weights. */
export function backendsOfWeights(
  weights: readonly number[],
  overrides: Partial<ServerConfig> = {},
): Backend[] {
  return weights.map(
    (weight, n) => new Backend(n, serverConfig(String.fromCharCode(97 + n), { ...overrides, weight })),
  );
}

/** The names chosen by `count` selections, "-" where there was none. */
export function sequenceOf(
  selector: Selector,
  count: number,
  nowMs = 0,
  tried: readonly Backend[] = [],
): string {
  const names: string[] = [];
  for (let n = 0; n < count; n++) names.push(selector.select(nowMs, 0, tried)?.config.name ?? "-");
  return names.join(" ");
}

/** How many keys out of `keyCount` evenly spread ones go to each backend. */
export function ownersOf(selector: Selector, keyCount: number): (Backend | undefined)[] {
  const owners: (Backend | undefined)[] = [];
  for (let key = 0; key < keyCount; key++)
    owners.push(selector.select(0, Math.imul(key, 0x9e3779b1) | 0, []));
  return owners;
}
