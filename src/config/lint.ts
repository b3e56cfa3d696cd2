/**
 * Warnings about a configuration that is valid and will not do what its author expects. Few and sure: each names the
 * two settings that do not fit and what to write instead. Pure. Called by load.ts on a configuration without errors.
 */
import { lintTcpKeepalive, type TcpKeepaliveSystemDefaults } from "../tcp/so-keepalive.ts";
import { isLocalAddress } from "./address.ts";
import type { ConfigPath } from "./diagnostics.ts";
import { formatDuration } from "./duration.ts";
import { type Finding, warning } from "./raw.ts";
import type { GatewayConfig, HealthConfig, ListenerConfig, PoolConfig } from "./types.ts";

/** What the loader has to know about the machine; host-facts.ts reads it, tests write it. */
export interface HostFacts {
  readonly processors: number;
  readonly isRoot: boolean;
  readonly tcpKeepaliveDefaults: TcpKeepaliveSystemDefaults;
}

export function lintConfig(config: GatewayConfig, host: HostFacts): Finding[] {
  return [
    ...(config.user !== undefined && !host.isRoot
      ? [
          warning(
            ["user"],
            "has no effect: only root can switch to another user",
            "start as root, or remove it",
          ),
        ]
      : []),
    ...config.listeners.flatMap((listener) => lintListener(listener, host)),
    ...config.pools.flatMap((pool) => [
      ...lintPool(pool, host),
      ...lintQueue(pool),
      ...(pool.health === undefined ? [] : lintHealth(["pools", pool.name, "health"], pool.health)),
    ]),
    ...lintHeartbeats(config),
  ];
}

function lintListener(listener: ListenerConfig, host: HostFacts): Finding[] {
  const at: ConfigPath = ["listeners", listener.name];
  const isLocal = listener.bind.every(isLocalAddress);
  const { tcpKeepalive, tcpUserTimeoutMs, tcp } = listener;
  const findings = lintTcpKeepalive(tcpKeepalive, tcpUserTimeoutMs, host.tcpKeepaliveDefaults, {
    isLocal,
  }).map(({ key, message, hint }) => warning([...at, key], message, hint));
  if (tcp?.onIdle === "silent" && tcp.idleTimeoutMs > 0) {
    const message =
      "forgets idle sessions without a word: the end that does not speak first keeps a dead connection for ever";
    const hint = "this is for reproducing faults of other balancers; in production write close or reset";
    findings.push(warning([...at, "tcp", "on_idle"], message, hint));
  }
  return findings;
}

function lintPool(pool: PoolConfig, host: HostFacts): Finding[] {
  const at: ConfigPath = ["pools", pool.name];
  const isLocal = pool.servers.every(({ address }) => isLocalAddress(address));
  const { tries, timeoutMs } = pool.nextUpstream;
  const findings = lintTcpKeepalive(pool.tcpKeepalive, pool.tcpUserTimeoutMs, host.tcpKeepaliveDefaults, {
    isLocal,
  }).map(({ key, message, hint }) => warning([...at, key], message, hint));
  if (pool.keepalive === 0) {
    const message = "no connection is kept: every request opens one and leaves a TIME_WAIT behind";
    findings.push(
      warning(
        [...at, "keepalive"],
        message,
        "write keepalive: 64, the number of idle connections per worker",
      ),
    );
  }
  if (
    typeof pool.keepaliveTimeoutMs === "number" &&
    pool.keepaliveTimeoutMs > SERVER_IDLE_TIMEOUT_MS_USUAL_MAX
  ) {
    const message = `${formatDuration(pool.keepaliveTimeoutMs)} is longer than most servers keep an idle connection (Node 5s, Apache 5s, Tomcat 20s, nginx 75s); they would close first`;
    findings.push(
      warning([...at, "keepalive_timeout"], message, "write auto, or less than the server's own timeout"),
    );
  }
  if (tries > 1 && timeoutMs > 0 && timeoutMs < pool.connectTimeoutMs) {
    const message = `${formatDuration(timeoutMs)} is less than connect_timeout (${formatDuration(pool.connectTimeoutMs)}): when a server does not answer, the time for a second try is over`;
    findings.push(
      warning(
        [...at, "next_upstream", "timeout"],
        message,
        "make it longer than connect_timeout, or connect_timeout shorter",
      ),
    );
  }
  return findings;
}

const SERVER_IDLE_TIMEOUT_MS_USUAL_MAX = 75_000;

function lintQueue(pool: PoolConfig): Finding[] {
  if (pool.queueMax === 0 || pool.servers.some(({ maxConns }) => maxConns > 0)) return [];
  const message = "nothing ever waits: no server of the pool has max_conns";
  return [warning(["pools", pool.name, "queue"], message, "give the servers max_conns, or remove it")];
}

function lintHealth(at: ConfigPath, health: HealthConfig): Finding[] {
  const { check, intervalMs, fastIntervalMs, timeoutMs } = health;
  const findings: Finding[] = [];
  const isTold = check.kind === "heartbeat" && check.mode === "told";
  if (!isTold && timeoutMs >= intervalMs) {
    const message = `${formatDuration(timeoutMs)} is not below interval (${formatDuration(intervalMs)}): the next check waits for a server that hangs, so such a server is checked less often than it seems`;
    const hint = `write ${formatDuration(Math.max(10, Math.floor(intervalMs / 2)))} or less, or make interval longer`;
    findings.push(warning([...at, "timeout"], message, hint));
  }
  if (fastIntervalMs > intervalMs) {
    const message = `${formatDuration(fastIntervalMs)} is slower than interval (${formatDuration(intervalMs)})`;
    findings.push(warning([...at, "fast_interval"], message, "make it shorter than interval, or remove it"));
  }
  if (check.kind === "heartbeat" && check.mode === "asked" && check.progressDeadlineMs > 0) {
    const progress = formatDuration(check.progressDeadlineMs);
    if (check.progressDeadlineMs <= intervalMs) {
      const message = `${progress} is not above interval (${formatDuration(intervalMs)}): the counter is read once per interval, and each reading would have to differ`;
      const hint = "write several intervals, or 0 to leave the counter alone";
      findings.push(warning([...at, "heartbeat", "progress_deadline"], message, hint));
    }
  }
  if (check.kind === "http" && check.tls && check.verify && check.host === undefined) {
    const message =
      "without host the certificate is verified against the server's address, which certificates seldom name";
    const hint = "add host: NAME, the name in the certificate, or verify: false";
    findings.push(warning([...at, "https"], message, hint));
  }
  return findings;
}

function lintHeartbeats(config: GatewayConfig): Finding[] {
  if (config.heartbeats === undefined) return [];
  const findings: Finding[] = [];
  const { bind } = config.heartbeats;
  if (bind.family !== "unix" && (bind.host === "0.0.0.0" || bind.host === "::")) {
    const message = "takes beats from everywhere: whoever reaches this port can keep a dead server up";
    const hint = "bind it to an address that only the servers reach";
    findings.push(warning(["heartbeats", "bind"], message, hint));
  }
  const isTold = config.pools.some(({ health }) => {
    return health?.check.kind === "heartbeat" && health.check.mode === "told";
  });
  if (!isTold) {
    const hint = "add health: { heartbeat: told } to a pool, or remove it";
    findings.push(warning(["heartbeats"], "no pool listens to beats", hint));
  }
  return findings;
}
