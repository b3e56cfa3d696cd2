/** A complete GatewayConfig for tests, with the defaults of the loader; override what the test is about. */
import type { GatewayConfig, ListenerConfig, PoolConfig, ServerConfig } from "../config/types.ts";
import type { TcpKeepalive } from "../tcp/so-keepalive.ts";

const TCP_KEEPALIVE: TcpKeepalive = { enabled: true, idleSeconds: 60, intervalSeconds: 10, probeCount: 6 };

export function serverConfig(overrides: Partial<ServerConfig> = {}): ServerConfig {
  return {
    name: "127.0.0.1:9",
    address: { family: "inet", host: "127.0.0.1", port: 9 },
    weight: 1,
    maxFails: 1,
    failTimeoutMs: 10_000,
    maxConns: 0,
    slowStartMs: 0,
    backup: false,
    ...overrides,
  };
}

export function poolConfig(overrides: Partial<PoolConfig> = {}): PoolConfig {
  return {
    name: "web",
    balance: { kind: "round_robin" },
    tcpKeepalive: TCP_KEEPALIVE,
    tcpUserTimeoutMs: 0,
    connectTimeoutMs: 5_000,
    readTimeoutMs: 60_000,
    sendTimeoutMs: 60_000,
    keepalive: 64,
    keepaliveTimeoutMs: "auto",
    keepaliveRequests: 1000,
    keepaliveTimeMs: 3_600_000,
    sourceAddress: undefined,
    nextUpstream: { tries: 2, timeoutMs: 10_000, nonIdempotent: "provable" },
    replayBytesMax: 65_536,
    servers: [serverConfig()],
    ...overrides,
  };
}

export function listenerConfig(overrides: Partial<ListenerConfig> = {}): ListenerConfig {
  return {
    name: "web",
    bind: [{ family: "inet", host: "127.0.0.1", port: 0 }],
    backlog: 4096,
    tcpKeepalive: TCP_KEEPALIVE,
    tcpUserTimeoutMs: 0,
    http: {
      keepaliveTimeoutMs: 75_000,
      keepaliveHeaderSeconds: undefined,
      keepaliveRequests: 1000,
      keepaliveTimeMs: 3_600_000,
      clientHeaderTimeoutMs: 60_000,
      clientBodyTimeoutMs: 60_000,
      sendTimeoutMs: 60_000,
      tunnelTimeoutMs: 3_600_000,
      lingeringTimeMs: 30_000,
      lingeringTimeoutMs: 5_000,
      maxHeaderBytes: 16_384,
      maxBodyBytes: 0,
      via: true,
      trustedProxies: [],
      routes: [{ host: undefined, path: "/", pool: "web" }],
    },
    ...overrides,
  };
}

export function gatewayConfig(overrides: Partial<GatewayConfig> = {}): GatewayConfig {
  return {
    workers: 1,
    user: undefined,
    admin: undefined,
    drainTimeoutMs: 1_000,
    accessLog: undefined,
    listeners: [listenerConfig()],
    pools: [poolConfig()],
    ...overrides,
  };
}
