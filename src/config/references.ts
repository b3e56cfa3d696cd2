/**
 * Problems that lie between keys: pools that are missing or unused, two listeners on one address, routes written
 * twice, a pool of backups only, limits that contradict each other. Works on the raw values and skips what the schema
 * already refused, so that every problem of a file is found at once. Pure. Called by load.ts.
 */
import { addressesOverlap, formatAddress, parseBindAddress, parseServerAddress } from "./address.ts";
import { closest } from "./closest.ts";
import type { ConfigPath } from "./diagnostics.ts";
import { formatDuration, parseDurationMs } from "./duration.ts";
import {
  asList,
  asMap,
  error,
  type Finding,
  isMap,
  isTrue,
  mapsIn,
  type PoolUse,
  poolUses,
  type RawMap,
  tcpPool,
  UNUSED,
  warning,
} from "./raw.ts";
import { gatewaySection } from "./schema.ts";
import { parseName } from "./schema-kit.ts";
import type { SocketAddress } from "./types.ts";

/** Where something else stands, for "already … at line N". */
export type LineOf = (path: ConfigPath) => number;

export function findReferenceProblems(raw: unknown, lineOf: LineOf): Finding[] {
  const root = asMap(raw);
  return [
    ...(isMap(raw) ? missingFindings(root) : []),
    ...nameFindings(root),
    ...protocolFindings(root),
    ...bindFindings(root, lineOf),
    ...routeFindings(root, lineOf),
    ...poolUseFindings(root),
    ...poolFindings(root, lineOf),
    ...headerFindings(root),
  ];
}

/** Without virtual routers a gateway has something to listen to and somewhere to send it. */
function missingFindings(root: RawMap): Finding[] {
  if (hasRouters(root)) return [];
  return (["listeners", "pools"] as const)
    .filter((group) => root[group] === undefined)
    .map((group) => {
      const { kind, meaning } = gatewaySection.keys![group]!;
      return error([group], "is missing", `add ${group} (${kind.type}): ${meaning}`);
    });
}

function hasRouters(root: RawMap): boolean {
  return Object.keys(asMap(root.virtual_routers)).length > 0;
}

function nameFindings(root: RawMap): Finding[] {
  return ["listeners", "pools", "virtual_routers"].flatMap((group) => {
    const names = Object.keys(asMap(root[group]));
    const isEmptyMap = isMap(root[group]) && names.length === 0;
    const mayBeEmpty = group === "virtual_routers" || hasRouters(root);
    if (isEmptyMap && !mayBeEmpty)
      return [error([group], "must not be empty", `write at least one of the ${group}`)];
    return names.flatMap((name) => {
      const result = parseName(name);
      return result.ok ? [] : [{ ...error([group, name], result.reason, result.hint), part: "key" as const }];
    });
  });
}

/** A listener speaks one protocol; which one is named by the key that holds its settings. */
function protocolFindings(root: RawMap): Finding[] {
  return mapsIn(root.listeners).flatMap(([name, listener]) => {
    const path: ConfigPath = ["listeners", name];
    if (!isMap(asMap(root.listeners)[name])) return [];
    if ("http" in listener && "tcp" in listener) {
      const message = "this listener speaks HTTP already: it has http and tcp";
      const hint = "keep one of them, or make two listeners with an address each";
      return [{ ...error([...path, "tcp"], message, hint), part: "key" as const }];
    }
    // `redis` has been refused with words of its own.
    if ("http" in listener || "tcp" in listener || "redis" in listener) return [];
    const hint = "add http: { routes: [{ pool: NAME }] } or tcp: { pool: NAME }";
    return [error(path, "does not say what it speaks: http or tcp is missing", hint)];
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
  const { bind: beats } = asMap(root.heartbeats);
  if (beats !== undefined) collect(beats, ["heartbeats", "bind"], "heartbeats");
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
  const findings: Finding[] = [];
  const lookUp = (pool: unknown, path: ConfigPath) => {
    const isName = typeof pool === "string" || typeof pool === "number";
    if (isName && !pools.includes(String(pool))) findings.push(missingPool(path, String(pool), pools));
  };
  for (const [name, listener] of mapsIn(root.listeners)) {
    lookUp(tcpPool(listener.tcp), ["listeners", name, "tcp", "pool"]);
    const seen = new Map<string, ConfigPath>();
    for (const [index, route] of asList(asMap(listener.http).routes).entries()) {
      const path: ConfigPath = ["listeners", name, "http", "routes", index];
      const { host, path: prefix = "/", pool } = asMap(route);
      lookUp(pool, [...path, "pool"]);
      const matches = `${String(host ?? "every host").toLowerCase()} ${prefix}`;
      const earlier = seen.get(matches);
      if (earlier !== undefined) {
        const what = `matches the same host and path as the route at line ${lineOf(earlier)}`;
        findings.push(error(path, what, "remove one of the two, or give it another host or path"));
      } else if (isMap(route)) seen.set(matches, path);
    }
  }
  return findings;
}

/** Who uses a pool, and whether the pool can serve them. */
function poolUseFindings(root: RawMap): Finding[] {
  const uses = poolUses(root);
  return mapsIn(root.pools).flatMap(([name, pool]) => {
    const use = uses.get(name) ?? UNUSED;
    const hash = asMap(pool.balance).hash;
    const needsRequests = typeof hash === "string" && (hash === "uri" || hash.startsWith("header:"));
    if (needsRequests && use.tcp.length > 0) {
      const message = `hash: ${hash} looks at requests, and ${listenersText(use.tcp)} TCP without reading it`;
      return [
        error(["pools", name, "balance"], message, "write {hash: source}, or give TCP a pool of its own"),
      ];
    }
    const isTracked = mapsIn(root.virtual_routers).some(([, router]) =>
      Object.hasOwn(asMap(asMap(router.track).pools), name),
    );
    const isUsed = use.http.length + use.tcp.length > 0 || isTracked;
    if (isUsed) return [];
    const hint = "add a route to it or name it in a tcp listener, or remove it";
    const unused = warning(["pools", name], "no listener uses this pool", hint);
    return [{ ...unused, part: "key" as const }];
  });
}

function listenersText(names: PoolUse["tcp"]): string {
  return names.length === 1 ? `listener ${names[0]} relays` : `listeners ${names.join(", ")} relay`;
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
        findings.push(warning(path, message, "use weight to give one server more requests"));
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
    return [warning(path, message, "make it a few seconds less, so that clients let go first")];
  });
}
