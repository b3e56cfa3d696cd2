/**
 * Problems that lie between keys: pools that are missing or unused, two listeners on one address, routes written
 * twice, a pool of backups only, limits that contradict each other. Works on the raw values and skips what the schema
 * already refused, so that every problem of a file is found at once. Pure. Called by load.ts.
 */
import { addressesOverlap, formatAddress, parseBindAddress, parseServerAddress } from "./address.ts";
import { closest } from "./closest.ts";
import type { ConfigPath } from "./diagnostics.ts";
import { formatDuration, parseDurationMs } from "./duration.ts";
import { parseName } from "./schema.ts";
import type { SocketAddress } from "./types.ts";

export interface Finding {
  readonly severity: "error" | "warning";
  readonly path: ConfigPath;
  readonly part?: "key" | "value";
  readonly message: string;
  readonly hint: string | undefined;
}

/** Where something else stands, for "already … at line N". */
export type LineOf = (path: ConfigPath) => number;

type RawMap = Readonly<Record<string, unknown>>;

export function findReferenceProblems(raw: unknown, lineOf: LineOf): Finding[] {
  const root = asMap(raw);
  return [
    ...nameFindings(root),
    ...bindFindings(root, lineOf),
    ...routeFindings(root, lineOf),
    ...poolFindings(root, lineOf),
    ...headerFindings(root),
  ];
}

function nameFindings(root: RawMap): Finding[] {
  return ["listeners", "pools"].flatMap((group) => {
    const names = Object.keys(asMap(root[group]));
    const isEmptyMap = isMap(root[group]) && names.length === 0;
    if (isEmptyMap) return [error([group], "must not be empty", `write at least one of the ${group}`)];
    return names.flatMap((name) => {
      const result = parseName(name);
      return result.ok ? [] : [{ ...error([group, name], result.reason, result.hint), part: "key" as const }];
    });
  });
}

interface Bind {
  readonly address: SocketAddress;
  readonly path: ConfigPath;
  readonly owner: string;
}

function bindFindings(root: RawMap, lineOf: LineOf): Finding[] {
  const binds: Bind[] = [];
  const collect = (input: unknown, path: ConfigPath, owner: string) => {
    const result = parseBindAddress(input);
    if (result.ok) binds.push({ address: result.value, path, owner });
  };
  for (const [name, listener] of mapsIn(root.listeners)) {
    const bind = listener.bind;
    if (!Array.isArray(bind)) collect(bind, ["listeners", name, "bind"], `listener ${name}`);
    for (const [index, input] of asList(bind).entries()) {
      collect(input, ["listeners", name, "bind", index], `listener ${name}`);
    }
  }
  if (root.admin !== undefined) collect(root.admin, ["admin"], "admin");
  return binds.flatMap((bind, index) => {
    const earlier = binds.slice(0, index).find(({ address }) => addressesOverlap(address, bind.address));
    if (earlier === undefined) return [];
    const other = `${formatAddress(earlier.address)} of ${earlier.owner} (line ${lineOf(earlier.path)})`;
    return [
      error(
        bind.path,
        `${formatAddress(bind.address)} is taken: it overlaps with ${other}`,
        "two sockets cannot listen on one address; give one of them another port, or route by host in one listener",
      ),
    ];
  });
}

function routeFindings(root: RawMap, lineOf: LineOf): Finding[] {
  const pools = Object.keys(asMap(root.pools));
  const used = new Set<string>();
  const findings: Finding[] = [];
  for (const [name, listener] of mapsIn(root.listeners)) {
    const seen = new Map<string, ConfigPath>();
    for (const [index, route] of asList(asMap(listener.http).routes).entries()) {
      const path: ConfigPath = ["listeners", name, "http", "routes", index];
      const { host, path: prefix = "/", pool } = asMap(route);
      if (typeof pool === "string" || typeof pool === "number") {
        used.add(String(pool));
        if (!pools.includes(String(pool))) findings.push(missingPool([...path, "pool"], String(pool), pools));
      }
      const matches = `${String(host ?? "every host").toLowerCase()} ${prefix}`;
      const earlier = seen.get(matches);
      if (earlier !== undefined) {
        const what = `matches the same host and path as the route at line ${lineOf(earlier)}`;
        findings.push(error(path, what, "remove one of the two, or give it another host or path"));
      } else if (isMap(route)) seen.set(matches, path);
    }
  }
  for (const name of pools) {
    if (used.has(name)) continue;
    const hint = "add a route to it, or remove it";
    findings.push({
      severity: "warning",
      path: ["pools", name],
      part: "key",
      message: "no route uses this pool",
      hint,
    });
  }
  return findings;
}

function missingPool(path: ConfigPath, pool: string, pools: readonly string[]): Finding {
  const similar = closest(pool, pools);
  const known =
    pools.length === 0 ? "add it under pools" : `add it under pools, or use one of ${pools.join(", ")}`;
  return error(
    path,
    `there is no pool "${pool}"`,
    similar === undefined ? known : `did you mean ${similar}?`,
  );
}

function poolFindings(root: RawMap, lineOf: LineOf): Finding[] {
  return mapsIn(root.pools).flatMap(([name, pool]) => {
    const servers = asList(pool.servers);
    const findings: Finding[] = [];
    const seen = new Map<string, ConfigPath>();
    for (const [index, server] of servers.entries()) {
      const path: ConfigPath = ["pools", name, "servers", index];
      const address = parseServerAddress(isMap(server) ? server.address : server);
      if (!address.ok) continue;
      const text = formatAddress(address.value);
      const earlier = seen.get(text);
      if (earlier === undefined) seen.set(text, path);
      else {
        const message = `${text} is in this pool already (line ${lineOf(earlier)})`;
        findings.push({
          severity: "warning",
          path,
          message,
          hint: "use weight to give one server more requests",
        });
      }
    }
    const isBackupsOnly = servers.length > 0 && servers.every((server) => isTrue(asMap(server).backup));
    if (isBackupsOnly) {
      const hint = "a backup stands in for others: make at least one server no backup";
      findings.push(error(["pools", name, "servers"], "every server is a backup", hint));
    }
    return findings;
  });
}

function headerFindings(root: RawMap): Finding[] {
  return mapsIn(root.listeners).flatMap(([name, listener]) => {
    const http = asMap(listener.http);
    const header = parseDurationMs(http.keepalive_header);
    const timeout = parseDurationMs(http.keepalive_timeout ?? "75s");
    if (!header.ok || !timeout.ok) return [];
    const path = ["listeners", name, "http", "keepalive_header"];
    if (header.value % 1000 !== 0) {
      return [
        error(
          path,
          `${formatDuration(header.value)} is not whole seconds`,
          "Keep-Alive: timeout= counts in seconds",
        ),
      ];
    }
    const real = formatDuration(timeout.value);
    if (header.value > timeout.value) {
      const message = `${formatDuration(header.value)} promises more than keepalive_timeout (${real}) keeps`;
      return [error(path, message, `write less than ${real}, so that clients let go first`)];
    }
    if (header.value < timeout.value) return [];
    const message = `equals keepalive_timeout (${real}): client and gateway close at the same moment, and requests are lost`;
    return [
      {
        severity: "warning" as const,
        path,
        message,
        hint: "make it a few seconds less, so that clients let go first",
      },
    ];
  });
}

function error(path: ConfigPath, message: string, hint: string | undefined): Finding {
  return { severity: "error", path, message, hint };
}

function isMap(raw: unknown): raw is RawMap {
  return typeof raw === "object" && raw !== null && !Array.isArray(raw);
}

function asMap(raw: unknown): RawMap {
  return isMap(raw) ? raw : {};
}

function asList(raw: unknown): readonly unknown[] {
  return Array.isArray(raw) ? raw : [];
}

function mapsIn(raw: unknown): (readonly [string, RawMap])[] {
  return Object.entries(asMap(raw)).map(([name, entry]) => [name, asMap(entry)] as const);
}

function isTrue(raw: unknown): boolean {
  return raw === true || raw === "on";
}
