/** A complete GatewayConfig for tests, with the defaults of the loader; override what the test is about. */
import type {
  GatewayConfig,
  HealthConfig,
  HttpListenerConfig,
  ListenerConfig,
  PoolConfig,
  ServerConfig,
  TcpListenerConfig,
  VirtualRouterConfig,
} from "../config/types.ts";
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
    sendProxy: "off",
    queueMax: 0,
    queueTimeoutMs: 5_000,
    onDown: "keep",
    health: undefined,
    servers: [serverConfig()],
    ...overrides,
  };
}

/** A plain `health: tcp`. */
export function healthConfig(overrides: Partial<HealthConfig> = {}): HealthConfig {
  return {
    check: { kind: "tcp", send: undefined, expect: undefined },
    port: undefined,
    intervalMs: 2_000,
    fastIntervalMs: 1_000,
    timeoutMs: 1_000,
    rise: 2,
    fall: 3,
    initial: "up",
    ...overrides,
  };
}

export function httpListenerConfig(overrides: Partial<HttpListenerConfig> = {}): HttpListenerConfig {
  return {
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
    ...overrides,
  };
}

export function tcpListenerSection(overrides: Partial<TcpListenerConfig> = {}): TcpListenerConfig {
  return {
    pool: "web",
    idleTimeoutMs: 600_000,
    onIdle: "close",
    halfCloseTimeoutMs: 60_000,
    maxConnections: 0,
    ...overrides,
  };
}

/** A listener of HTTP. */
export function listenerConfig(overrides: Partial<ListenerConfig> = {}): ListenerConfig {
  return {
    name: "web",
    bind: [{ family: "inet", host: "127.0.0.1", port: 0 }],
    backlog: 4096,
    tcpKeepalive: TCP_KEEPALIVE,
    tcpUserTimeoutMs: 0,
    proxyProtocol: "off",
    http: httpListenerConfig(),
    tcp: undefined,
    ...overrides,
  };
}

/** A listener of TCP sessions. */
export function tcpListenerConfig(
  tcp: Partial<TcpListenerConfig> = {},
  overrides: Partial<ListenerConfig> = {},
): ListenerConfig {
  return listenerConfig({ name: "tcp", http: undefined, tcp: tcpListenerSection(tcp), ...overrides });
}

export function gatewayConfig(overrides: Partial<GatewayConfig> = {}): GatewayConfig {
  return {
    workers: 1,
    user: undefined,
    admin: undefined,
    drainTimeoutMs: 1_000,
    accessLog: undefined,
    heartbeats: undefined,
    listeners: [listenerConfig()],
    pools: [poolConfig()],
    virtualRouters: [],
    stateDir: undefined,
    ...overrides,
  };
}

/** A virtual router of version 3 on the loopback interface, which no test lets come into force there. */
export function virtualRouterConfig(overrides: Partial<VirtualRouterConfig> = {}): VirtualRouterConfig {
  return {
    name: "edge",
    interface: "lo",
    id: 51,
    version: 3,
    family: "inet",
    priority: 100,
    advertIntervalMs: 100,
    preempt: true,
    preemptDelayMs: 0,
    addresses: [{ family: "inet", host: "192.0.2.10", prefixLength: 24 }],
    extraAddresses: [],
    sourceAddress: undefined,
    unicastPeers: [],
    checksum: "rfc9568",
    authPass: undefined,
    acceptMode: true,
    useVmac: false,
    onAddressLost: "restore",
    addressLeaseMs: "auto",
    announce: { repeat: 5, repeatIntervalMs: 0, delayMs: 5_000, refreshMs: 0 },
    track: { interfaces: [], pools: [], checks: [], gateway: undefined },
    notify: undefined,
    syncGroup: undefined,
    ...overrides,
  };
}
