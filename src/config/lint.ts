/**
 * Warnings about a configuration that is valid and will not do what its author expects. Few and sure: each names the
 * two settings that do not fit and what to write instead. Pure. Called by load.ts on a configuration without errors.
 */
import { lintTcpKeepalive, type TcpKeepaliveSystemDefaults } from "../tcp/so-keepalive.ts";
import { isLocalAddress } from "./address.ts";
import type { ConfigPath } from "./diagnostics.ts";
import { formatDuration } from "./duration.ts";
import type { Finding } from "./references.ts";
import type { GatewayConfig, ListenerConfig, PoolConfig } from "./types.ts";

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
    ...config.pools.flatMap((pool) => lintPool(pool, host)),
  ];
}

function lintListener(listener: ListenerConfig, host: HostFacts): Finding[] {
  const at: ConfigPath = ["listeners", listener.name];
  const isLocal = listener.bind.every(isLocalAddress);
  return lintTcpKeepalive(listener.tcpKeepalive, listener.tcpUserTimeoutMs, host.tcpKeepaliveDefaults, {
    isLocal,
  }).map(({ key, message, hint }) => warning([...at, key], message, hint));
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

function warning(path: ConfigPath, message: string, hint: string): Finding {
  return { severity: "warning", path, message, hint };
}
