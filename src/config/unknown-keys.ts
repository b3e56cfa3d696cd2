/**
 * Finds keys that the schema does not have, and guesses what was meant: a typing error, a key of another section, the
 * name that nginx or HAProxy uses, or something this version does not do yet. Pure. Called by load.ts.
 */
import { closest } from "./closest.ts";
import type { ConfigPath } from "./diagnostics.ts";
import { EXPLAINED_KEYS, FOREIGN_KEYS } from "./foreign-names.ts";
import { gatewaySection, HTTP_KEYS } from "./schema.ts";
import type { KeyTable, ValueKind } from "./schema-kit.ts";

export interface UnknownKey {
  readonly path: ConfigPath;
  readonly message: string;
  readonly hint: string;
}

export function findUnknownKeys(raw: unknown): UnknownKey[] {
  return unknownKeysIn(gatewaySection, raw, [], "");
}

function unknownKeysIn(
  kind: ValueKind<unknown>,
  raw: unknown,
  path: ConfigPath,
  pattern: string,
): UnknownKey[] {
  const { keys, shape } = kind;
  if (keys === undefined || typeof raw !== "object" || raw === null) return [];
  if (shape === "list") {
    if (!Array.isArray(raw)) return [];
    return raw.flatMap((entry, index) => unknownKeysInMap(keys, entry, [...path, index], `${pattern}.*`));
  }
  if (Array.isArray(raw)) return [];
  if (shape === "named") {
    return Object.entries(raw).flatMap(([name, entry]) =>
      unknownKeysInMap(keys, entry, [...path, name], `${pattern}.*`),
    );
  }
  return unknownKeysInMap(keys, raw, path, pattern);
}

function unknownKeysInMap(keys: KeyTable, raw: unknown, path: ConfigPath, pattern: string): UnknownKey[] {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) return [];
  return Object.entries(raw).flatMap(([name, value]) => {
    const namePath = [...path, name];
    const namePattern = pattern === "" ? name : `${pattern}.${name}`;
    return Object.hasOwn(keys, name)
      ? unknownKeysIn(keys[name]!.kind, value, namePath, namePattern)
      : [describe(keys, name, namePath, namePattern)];
  });
}

function describe(keys: KeyTable, name: string, path: ConfigPath, pattern: string): UnknownKey {
  const explained = Object.hasOwn(EXPLAINED_KEYS, pattern) ? EXPLAINED_KEYS[pattern] : undefined;
  if (explained !== undefined) return { path, ...explained };
  if (pattern === `listeners.*.tcp.${name}` && HTTP_KEYS.includes(name)) {
    const message = "is a key of HTTP listeners: a TCP listener relays bytes and reads none of them";
    return { path, message, hint: "remove it, or write http in place of tcp" };
  }
  return { path, message: "unknown key", hint: guess(keys, name, pattern) };
}

function guess(keys: KeyTable, written: string, pattern: string): string {
  const names = Object.keys(keys);
  const name = written.toLowerCase().replaceAll(/[- ]/g, "_");
  const foreign = Object.hasOwn(FOREIGN_KEYS, name) ? FOREIGN_KEYS[name]! : undefined;
  if (foreign !== undefined && names.includes(foreign)) return `here it is called ${foreign}`;
  const similar = closest(name, names);
  if (similar !== undefined) return `did you mean ${similar}?`;
  const ownHomes = homesOf(name);
  const everywhere = ownHomes.length > 0 || foreign === undefined ? ownHomes : homesOf(foreign);
  const section = pattern.slice(0, -written.length);
  const nearby = everywhere.filter((home) => home.replaceAll(/\.NAME|\[\]/g, ".*").startsWith(section));
  const homes = nearby.length > 0 ? nearby : everywhere;
  if (homes.length > 0) return `it belongs in ${homes.join(" or ")}`;
  return `keys here: ${names.join(", ")}`;
}

/** Sections that have a key of this name. */
function homesOf(name: string): string[] {
  const homes: string[] = [];
  const visit = (keys: KeyTable, place: string) => {
    for (const [key, { kind }] of Object.entries(keys)) {
      if (key === name) homes.push(place === "" ? `the top level, as ${key}` : `${place}.${key}`);
      if (kind.keys === undefined) continue;
      const suffix = { named: ".NAME", list: "[]", section: "", value: "" }[kind.shape];
      visit(kind.keys, `${place === "" ? "" : `${place}.`}${key}${suffix}`);
    }
  };
  visit(gatewaySection.keys!, "");
  return homes;
}
