/**
 * Settings that are written in the file and do nothing, or not what they seem to: keys of HTTP in a pool that only TCP
 * uses, a queue's time without a queue, probes that are meant to keep a session that they cannot keep. A default never
 * warns: the raw values tell what was written. Pure. Called by load.ts on a configuration without errors.
 */
import { detectionTimeMs } from "../tcp/so-keepalive.ts";
import type { ConfigPath } from "./diagnostics.ts";
import { formatDuration } from "./duration.ts";
import { expandHealth } from "./health-section.ts";
import type { HostFacts } from "./lint.ts";
import { asMap, type Finding, mapsIn, type PoolUse, poolUses, type RawMap, UNUSED, warning } from "./raw.ts";
import type { GatewayConfig, ListenerConfig, PoolConfig } from "./types.ts";

export function findUnusedSettings(raw: unknown, config: GatewayConfig, host: HostFacts): Finding[] {
  const root = asMap(raw);
  const uses = poolUses(root);
  const rawPools = new Map(mapsIn(root.pools));
  const rawListeners = new Map(mapsIn(root.listeners));
  return [
    ...config.listeners.flatMap((listener) =>
      sessionFindings(listener, rawListeners.get(listener.name) ?? {}, host),
    ),
    ...config.pools.flatMap((pool) => {
      const rawPool = rawPools.get(pool.name) ?? {};
      const use = uses.get(pool.name) ?? UNUSED;
      return [
        ...protocolFindings(pool, rawPool, use),
        ...queueFindings(pool, rawPool),
        ...healthFindings(pool, rawPool),
      ];
    }),
  ];
}

/** The clock of a TCP session counts payload: tell whoever seems to rely on probes (see the reference of idle_timeout). */
function sessionFindings(listener: ListenerConfig, raw: RawMap, host: HostFacts): Finding[] {
  const { tcp, tcpKeepalive } = listener;
  if (tcp === undefined) return [];
  const at: ConfigPath = ["listeners", listener.name];
  const rawTcp = asMap(raw.tcp);
  if (tcp.idleTimeoutMs === 0) {
    if (rawTcp.on_idle === undefined) return [];
    const message = "has no effect: idle_timeout is 0, no session is ever idle for too long";
    return [warning([...at, "tcp", "on_idle"], message, "give idle_timeout a duration, or remove it")];
  }
  const detectionMs = detectionTimeMs(tcpKeepalive, listener.tcpUserTimeoutMs, host.tcpKeepaliveDefaults);
  if (raw.so_keepalive === undefined || detectionMs === undefined) return [];
  const idleTimeout = formatDuration(tcp.idleTimeoutMs);
  const because = "the kernel answers probes by itself, and only payload refreshes idle_timeout";
  if (detectionMs >= tcp.idleTimeoutMs) {
    const message = `the probes do nothing here: they would find a dead client after ${formatDuration(detectionMs)}, when idle_timeout (${idleTimeout}) has ended the session; and they do not keep a quiet session: ${because}`;
    const hint = `make idle + interval × count less than ${idleTimeout}, or idle_timeout longer`;
    return [warning([...at, "so_keepalive"], message, hint)];
  }
  if (rawTcp.idle_timeout !== undefined) return [];
  const message = `the probes find dead clients but do not keep a quiet session: ${because}; it ends after ${idleTimeout}, the default`;
  const hint = `write idle_timeout: ${idleTimeout} if that is meant, a longer one, or 0 for never`;
  return [warning([...at, "so_keepalive"], message, hint)];
}

/** Keys of a pool that only requests know, and what does the same for sessions. */
const HTTP_ONLY: Readonly<Record<string, string>> = {
  read_timeout: "the clock of a TCP session is idle_timeout of the listener",
  keepalive: "remove it: a session has a connection of its own",
  keepalive_timeout: "the clock of a TCP session is idle_timeout of the listener",
  keepalive_requests: "remove it",
  keepalive_time: "remove it",
  replay_buffer_size: "remove it: a session is tried again only before its first byte",
};

function protocolFindings(pool: PoolConfig, raw: RawMap, use: PoolUse): Finding[] {
  const at: ConfigPath = ["pools", pool.name];
  const findings: Finding[] = [];
  if (use.http.length === 0 && use.tcp.length > 0) {
    const message = `has no effect: only TCP uses this pool (listener ${use.tcp.join(", ")})`;
    for (const [key, hint] of Object.entries(HTTP_ONLY)) {
      if (raw[key] !== undefined) findings.push(warning([...at, key], message, hint));
    }
    if (asMap(raw.next_upstream).non_idempotent !== undefined) {
      findings.push(warning([...at, "next_upstream", "non_idempotent"], message, "remove it"));
    }
  }
  if (use.tcp.length === 0 && use.http.length > 0 && pool.onDown === "reset") {
    const message = "has no effect: no TCP listener uses this pool";
    findings.push(
      warning(
        [...at, "on_down"],
        message,
        "remove it: requests in progress are tried again by next_upstream",
      ),
    );
  }
  if (pool.sendProxy !== "off" && use.http.length > 0 && raw.keepalive !== undefined && pool.keepalive > 0) {
    const message = `no connection is kept: send_proxy: ${pool.sendProxy} names one client at the start of each, so none can carry another's requests`;
    const hint = "remove it; X-Forwarded-For, which every request carries, needs no send_proxy";
    findings.push(warning([...at, "keepalive"], message, hint));
  }
  return findings;
}

function queueFindings(pool: PoolConfig, raw: RawMap): Finding[] {
  if (raw.queue_timeout === undefined || pool.queueMax > 0) return [];
  const message = "has no effect: queue is 0, nothing waits";
  return [warning(["pools", pool.name, "queue_timeout"], message, "write queue: 100, or remove it")];
}

/** Keys of a check that asks; a check that is told needs none of them. */
const ASKING_KEYS = ["interval", "fast_interval", "timeout", "fall", "port"] as const;

function healthFindings(pool: PoolConfig, rawPool: RawMap): Finding[] {
  const check = pool.health?.check;
  if (check === undefined) return [];
  const at: ConfigPath = ["pools", pool.name, "health"];
  const raw = asMap(expandHealth(rawPool.health));
  if (check.kind === "heartbeat" && check.mode === "told") {
    const message = "has no effect: with heartbeat: told nobody is asked";
    const hint = "the patience of a told heartbeat is its deadline";
    return ASKING_KEYS.filter((key) => raw[key] !== undefined).map((key) =>
      warning([...at, key], message, hint),
    );
  }
  const isUnix = pool.servers.every(({ address }) => address.family === "unix");
  if (raw.port === undefined || !isUnix) return [];
  return [warning([...at, "port"], "has no effect: the servers are UNIX sockets", "remove it")];
}
