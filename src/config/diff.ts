/**
 * What a reload changes: the difference between two configurations as a plan (which sockets to keep, open and close)
 * and as lines for people, in the words of the file. Pure. Called by the supervisor.
 */
import { formatSoKeepalive, type TcpKeepalive } from "../tcp/so-keepalive.ts";
import { formatAddress, formatAddressPrefix } from "./address.ts";
import { formatDuration } from "./duration.ts";
import { formatSize } from "./size.ts";
import type {
  AddressPrefix,
  GatewayConfig,
  HealthCheckConfig,
  HealthConfig,
  SocketAddress,
} from "./types.ts";

export interface NamedChanges {
  readonly kept: readonly string[];
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

export interface ReloadPlan {
  readonly listeners: NamedChanges;
  readonly pools: NamedChanges;
  readonly virtualRouters: NamedChanges;
  /** Listening sockets by address, whichever listener they belong to: a kept one never stops accepting. */
  readonly sockets: {
    readonly kept: readonly SocketAddress[];
    readonly opened: readonly SocketAddress[];
    readonly closed: readonly SocketAddress[];
  };
  readonly hasChanges: boolean;
  /** One line per difference; empty when there is none. */
  readonly summary: readonly string[];
}

export function diffConfig(before: GatewayConfig, after: GatewayConfig): ReloadPlan {
  const summary: string[] = [];
  const { listeners: _l, pools: _p, virtualRouters: _v, ...globalsBefore } = before;
  const { listeners: _m, pools: _q, virtualRouters: _w, ...globalsAfter } = after;
  summary.push(...describeChanges(globalsBefore, globalsAfter));
  const listeners = diffNamed("listener", before.listeners, after.listeners, summary);
  const pools = diffNamed("pool", before.pools, after.pools, summary);
  const virtualRouters = diffNamed("virtual router", before.virtualRouters, after.virtualRouters, summary);
  const sockets = diffSockets(before, after);
  return { listeners, pools, virtualRouters, sockets, hasChanges: summary.length > 0, summary };
}

interface Named {
  readonly name: string;
}

function diffNamed(
  what: string,
  before: readonly Named[],
  after: readonly Named[],
  summary: string[],
): NamedChanges {
  const changes = {
    kept: [] as string[],
    added: [] as string[],
    removed: [] as string[],
    changed: [] as string[],
  };
  for (const old of before) {
    const now = after.find(({ name }) => name === old.name);
    const differences = now === undefined ? [] : describeChanges(old, now);
    summary.push(...differences.map((line) => `${what} ${old.name}: ${line}`));
    if (now === undefined) {
      changes.removed.push(old.name);
      summary.push(`${what} ${old.name}: removed`);
    } else if (differences.length > 0) changes.changed.push(old.name);
    else changes.kept.push(old.name);
  }
  for (const { name } of after) {
    if (before.some((old) => old.name === name)) continue;
    changes.added.push(name);
    summary.push(`${what} ${name}: added`);
  }
  return changes;
}

function diffSockets(before: GatewayConfig, after: GatewayConfig): ReloadPlan["sockets"] {
  const old = new Map(
    before.listeners.flatMap(({ bind }) => bind.map((address) => [formatAddress(address), address])),
  );
  const now = new Map(
    after.listeners.flatMap(({ bind }) => bind.map((address) => [formatAddress(address), address])),
  );
  return {
    kept: [...now].filter(([key]) => old.has(key)).map(([, address]) => address),
    opened: [...now].filter(([key]) => !old.has(key)).map(([, address]) => address),
    closed: [...old].filter(([key]) => !now.has(key)).map(([, address]) => address),
  };
}

/** "http.keepalive_timeout 1m15s → 1m", one line per setting. */
export function describeChanges(before: object, after: object, place = ""): string[] {
  const lines: string[] = [];
  for (const field of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const old = (before as Record<string, unknown>)[field];
    const now = (after as Record<string, unknown>)[field];
    if (isSame(old, now)) continue;
    const name = place + settingName(field);
    if (field === "authPass") lines.push(`${name} changed`);
    else if (TRACK_LISTS.has(field)) lines.push(...describeTracked(name, old as Tracked, now as Tracked));
    else if (field === "health") lines.push(...describeHealth(name, old as Health, now as Health));
    else if (isPlainSection(old) && isPlainSection(now)) lines.push(...describeChanges(old, now, `${name}.`));
    else if (isNamedList(old) && isNamedList(now)) lines.push(...describeServers(name, old, now));
    else if (field === "http" || field === "tcp" || field === "notify" || field === "gateway")
      lines.push(`${name} ${now === undefined ? "removed" : "added"}`);
    else if (Array.isArray(now) && field === "routes") lines.push(`${name} changed`);
    else lines.push(`${name} ${formatSetting(field, old)} → ${formatSetting(field, now)}`);
  }
  return lines;
}

type Health = HealthConfig | undefined;

function describeHealth(name: string, before: Health, after: Health): string[] {
  if (before === undefined) return [`${name} (none) → ${formatCheck(after!.check)}`];
  if (after === undefined) return [`${name} ${formatCheck(before.check)} → (none)`];
  const { check: old, ...timingBefore } = before;
  const { check: now, ...timingAfter } = after;
  const lines = describeChanges(timingBefore, timingAfter, `${name}.`);
  if (isSame(old, now)) return lines;
  const [oldText, nowText] = [formatCheck(old), formatCheck(now)];
  return [
    oldText === nowText ? `${name} ${nowText}, with other settings` : `${name} ${oldText} → ${nowText}`,
    ...lines,
  ];
}

/** What a check does, in a few words, and never a password. */
function formatCheck(check: HealthCheckConfig): string {
  switch (check.kind) {
    case "http":
      return `${check.tls ? "https" : "http"} ${check.method} ${check.path}`;
    case "exec":
      return `exec ${check.command[0]}`;
    case "heartbeat":
      return check.mode === "told"
        ? `heartbeat told within ${formatDuration(check.deadlineMs)}`
        : `heartbeat ${check.path}`;
    default:
      return check.kind;
  }
}

function describeServers(name: string, before: readonly Named[], after: readonly Named[]): string[] {
  const lines: string[] = [];
  diffNamed("server", before, after, lines);
  // The same servers in another order are another configuration: round robin begins elsewhere.
  return lines.length === 0 ? [`${name} in another order`] : lines;
}

type Tracked = readonly Readonly<Record<string, unknown>>[];

/** Lists of `track`. (The pools of the whole file have been taken out before.) */
const TRACK_LISTS: ReadonlySet<string> = new Set(["interfaces", "pools", "checks"]);

function describeTracked(place: string, before: Tracked, after: Tracked): string[] {
  const keyOf = (entry: Tracked[number]) => String(entry.interface ?? entry.pool ?? entry.name);
  const lines = before.flatMap((old) => {
    const now = after.find((entry) => keyOf(entry) === keyOf(old));
    if (now === undefined) return [`${place} ${keyOf(old)} removed`];
    return describeChanges(old, now, `${place}.${keyOf(old)}.`);
  });
  const added = after.filter((now) => !before.some((old) => keyOf(old) === keyOf(now)));
  return [...lines, ...added.map((entry) => `${place} ${keyOf(entry)} added`)];
}

function isSame(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].every((key) =>
    isSame((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]),
  );
}

function isPlainSection(value: unknown): value is object {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return !("family" in value || "enabled" in value || "kind" in value);
}

function isNamedList(value: unknown): value is readonly Named[] {
  return Array.isArray(value) && value.length > 0 && typeof value[0] === "object" && "name" in value[0];
}

/** The key in the file for a field of `GatewayConfig`. */
function settingName(field: string): string {
  const special = SETTING_NAMES[field];
  return (
    special ??
    field.replace(/(Ms|BytesMax|Bytes|Seconds)$/, "").replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)
  );
}

const SETTING_NAMES: Readonly<Record<string, string>> = {
  tcpKeepalive: "so_keepalive",
  replayBytesMax: "replay_buffer_size",
  maxHeaderBytes: "max_header_size",
  maxBodyBytes: "max_body_size",
  queueMax: "queue",
  authPass: "auth.pass",
  preemptDelayMs: "preempt.delay",
  addressLeaseMs: "address_lease",
  command: "exec",
};

function formatSetting(field: string, value: unknown): string {
  if (value === undefined) return "(none)";
  if (typeof value === "number" && field.endsWith("Ms")) return formatDuration(value);
  if (typeof value === "number" && field.endsWith("Seconds")) return formatDuration(value * 1000);
  if (typeof value === "number" && field.includes("Bytes")) return formatSize(value);
  if (Array.isArray(value))
    return value.length === 0 ? "(none)" : value.map((item) => formatSetting("", item)).join(", ");
  if (typeof value !== "object" || value === null) return String(value);
  if ("prefixLength" in value) return formatAddressPrefix(value as AddressPrefix);
  if ("family" in value) return formatAddress(value as SocketAddress);
  if ("enabled" in value) return formatSoKeepalive(value as TcpKeepalive);
  return formatBalanceOrMap(value as Record<string, unknown>);
}

function formatBalanceOrMap(value: Record<string, unknown>): string {
  if (value.kind === undefined) return JSON.stringify(value);
  if (value.kind !== "hash") return String(value.kind);
  return value.key === "header" ? `hash: header:${value.header}` : `hash: ${value.key}`;
}
