/**
 * The validated configuration: plain values, every default filled in, every duration in milliseconds,
 * every size in bytes. `config/load.ts` produces it from YAML, everything else only reads it. It is sent to
 * the workers as JSON, so it holds no class instances and no `Infinity`.
 */
import type { TcpKeepalive } from "../tcp/so-keepalive.ts";

/** Where to listen or connect. IPv6 hosts are without brackets. */
export type SocketAddress =
  | { readonly family: "inet" | "inet6"; readonly host: string; readonly port: number }
  | { readonly family: "unix"; readonly path: string };

export interface GatewayConfig {
  /** Number of worker processes; `auto` has been resolved to the number of usable processors. */
  readonly workers: number;
  /** Workers switch to this user when they were started as root; undefined: they stay who they are. */
  readonly user: string | undefined;
  readonly admin: SocketAddress | undefined;
  readonly drainTimeoutMs: number;
  readonly accessLog: AccessLogConfig | undefined;
  /** Where applications push their heartbeats to (HTTP PUT and datagrams); undefined: nowhere. */
  readonly heartbeats: HeartbeatReceiverConfig | undefined;
  readonly listeners: readonly ListenerConfig[];
  readonly pools: readonly PoolConfig[];
}

export interface HeartbeatReceiverConfig {
  /** TCP for HTTP PUT; UDP on the same port for datagrams. */
  readonly bind: SocketAddress;
}

export interface AccessLogConfig {
  readonly path: string;
  readonly format: "json" | "combined";
}

export interface ListenerConfig {
  readonly name: string;
  readonly bind: readonly SocketAddress[];
  /** Length of the kernel's accept queue, listen(2). */
  readonly backlog: number;
  readonly tcpKeepalive: TcpKeepalive;
  /** TCP_USER_TIMEOUT; 0 = the kernel's default. */
  readonly tcpUserTimeoutMs: number;
  /** `accept`: every connection must begin with a PROXY protocol header, version 1 or 2; its address is the client's. */
  readonly proxyProtocol: "off" | "accept";
  /** Exactly one of `http` and `tcp` is defined. */
  readonly http: HttpListenerConfig | undefined;
  readonly tcp: TcpListenerConfig | undefined;
}

export interface TcpListenerConfig {
  /** Name of a pool. */
  readonly pool: string;
  /** A session without payload in either direction for so long has expired; 0 = never. */
  readonly idleTimeoutMs: number;
  /** At expiry: RST to both ends, FIN to both, or forget and answer whoever speaks next with RST. */
  readonly onIdle: "reset" | "close" | "silent";
  /** How long a session lives on after one side has ended; 0 = as long as idleTimeoutMs allows. */
  readonly halfCloseTimeoutMs: number;
  /** Sessions at the same time, per worker; 0 = unlimited. */
  readonly maxConnections: number;
}

export interface HttpListenerConfig {
  /** How long an idle persistent connection is kept; 0 = no persistence at all. */
  readonly keepaliveTimeoutMs: number;
  /** The N of `Keep-Alive: timeout=N`; undefined = the header is not sent. */
  readonly keepaliveHeaderSeconds: number | undefined;
  /** Requests per connection before the gateway announces close; 0 = unlimited. */
  readonly keepaliveRequests: number;
  /** Age of a connection after which the next response announces close; 0 = unlimited. */
  readonly keepaliveTimeMs: number;
  readonly clientHeaderTimeoutMs: number;
  readonly clientBodyTimeoutMs: number;
  readonly sendTimeoutMs: number;
  /** How long a connection that was upgraded may be silent in both directions. */
  readonly tunnelTimeoutMs: number;
  /** How long, in all and between two reads, a closing connection is still read (lingering close). */
  readonly lingeringTimeMs: number;
  readonly lingeringTimeoutMs: number;
  readonly maxHeaderBytes: number;
  /** 0 = unlimited. */
  readonly maxBodyBytes: number;
  /** Send `Via` on forwarded requests (RFC 9110 §7.6.3). */
  readonly via: boolean;
  /** Peers (CIDR) whose X-Forwarded-Proto and X-Forwarded-Host are believed. */
  readonly trustedProxies: readonly string[];
  readonly routes: readonly RouteConfig[];
}

export interface RouteConfig {
  /** Lower-case host without port; `*.example.org` matches any subdomain; undefined = every host. */
  readonly host: string | undefined;
  /** Path prefix, "/" when not given. The longest prefix wins within a host. */
  readonly path: string;
  /** Name of a pool. */
  readonly pool: string;
}

export type Balance =
  | { readonly kind: "round_robin" }
  | { readonly kind: "least_conn" }
  | { readonly kind: "random" }
  | { readonly kind: "shortest_expected_delay" }
  | { readonly kind: "never_queue" }
  | { readonly kind: "hash"; readonly key: "source" | "uri" }
  | { readonly kind: "hash"; readonly key: "header"; readonly header: string };

export interface PoolConfig {
  readonly name: string;
  readonly balance: Balance;
  readonly tcpKeepalive: TcpKeepalive;
  readonly tcpUserTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly readTimeoutMs: number;
  readonly sendTimeoutMs: number;
  /** Idle persistent connections kept per worker over all servers of the pool; 0 = none. */
  readonly keepalive: number;
  /** `auto`: learned from each server (its Keep-Alive header, its observed FINs), at most `keepaliveTimeoutMsMax`. */
  readonly keepaliveTimeoutMs: number | "auto";
  readonly keepaliveRequests: number;
  readonly keepaliveTimeMs: number;
  /** Local address upstream connections are bound to; undefined = the kernel chooses. */
  readonly sourceAddress: string | undefined;
  readonly nextUpstream: NextUpstreamConfig;
  /** How many bytes of a request are kept so that it can be sent again. */
  readonly replayBytesMax: number;
  /** PROXY protocol header sent at the start of every connection to a server. */
  readonly sendProxy: "off" | "v1" | "v2";
  /** Requests or sessions that wait, per worker, while every server is at `max_conns`; 0 = none waits. */
  readonly queueMax: number;
  readonly queueTimeoutMs: number;
  /** What becomes of a server's TCP sessions when it goes down. */
  readonly onDown: "keep" | "reset";
  /** Active health checks; undefined = passive marking (max_fails) alone. */
  readonly health: HealthConfig | undefined;
  readonly servers: readonly ServerConfig[];
}

export interface HealthConfig {
  readonly check: HealthCheckConfig;
  /** Port to check in place of the server's; undefined = the server's. */
  readonly port: number | undefined;
  readonly intervalMs: number;
  /** Interval while the state is about to change. */
  readonly fastIntervalMs: number;
  readonly timeoutMs: number;
  /** Consecutive successes until a server is up, consecutive failures until it is down. */
  readonly rise: number;
  readonly fall: number;
  readonly initial: "up" | "down";
}

export type HealthCheckConfig =
  | { readonly kind: "tcp"; readonly send: string | undefined; readonly expect: string | undefined }
  | HttpCheckConfig
  | { readonly kind: "redis"; readonly user: string | undefined; readonly password: string | undefined }
  | { readonly kind: "exec"; readonly command: readonly string[] }
  | HeartbeatCheckConfig;

export interface HttpCheckConfig {
  readonly kind: "http";
  readonly tls: boolean;
  /** With TLS: the certificate must be valid for the host. */
  readonly verify: boolean;
  readonly method: string;
  readonly path: string;
  /** Host field, and server name with TLS; undefined = the server's address. */
  readonly host: string | undefined;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Accepted ranges, bounds included. */
  readonly status: readonly (readonly [from: number, to: number])[];
  readonly bodyContains: string | undefined;
  /** Source of a regular expression. */
  readonly bodyMatches: string | undefined;
}

export type HeartbeatCheckConfig =
  /** The gateway asks: the end point must answer 2xx within `timeout`, and a progress counter in the answer must move. */
  | {
      readonly kind: "heartbeat";
      readonly mode: "asked";
      readonly path: string;
      readonly progressDeadlineMs: number;
    }
  /** The application tells: a beat must arrive within the deadline, and its progress counter, if it has one, must move. */
  | {
      readonly kind: "heartbeat";
      readonly mode: "told";
      readonly deadlineMs: number;
      readonly progressDeadlineMs: number;
    };

export interface NextUpstreamConfig {
  /** Servers or connections tried for one request, the first included. */
  readonly tries: number;
  /** No new try begins later than this after the first; 0 = unlimited. */
  readonly timeoutMs: number;
  /** When a request that is not idempotent may be sent again. */
  readonly nonIdempotent: "provable" | "never";
}

export interface ServerConfig {
  /** As written in the file, for humans and metric labels. */
  readonly name: string;
  readonly address: SocketAddress;
  readonly weight: number;
  /** Failures within `failTimeoutMs` after which the server is passed over for `failTimeoutMs`; 0 = never. */
  readonly maxFails: number;
  readonly failTimeoutMs: number;
  /** Connections in use per worker process; 0 = unlimited. */
  readonly maxConns: number;
  readonly slowStartMs: number;
  /** Used only while every server that is not a backup is unavailable. */
  readonly backup: boolean;
}
