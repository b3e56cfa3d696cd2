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
  readonly virtualRouters: readonly VirtualRouterConfig[];
  /** Where what must survive a restart is kept (maintenance of virtual routers); undefined = nowhere. */
  readonly stateDir: string | undefined;
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

/** An address with the length of its prefix, `192.0.2.10/24`. */
export interface AddressPrefix {
  readonly family: "inet" | "inet6";
  readonly host: string;
  readonly prefixLength: number;
}

/** One virtual router (VRRP, RFC 9568; version 2: RFC 3768). */
export interface VirtualRouterConfig {
  readonly name: string;
  readonly interface: string;
  /** VRID, 1 to 255. */
  readonly id: number;
  readonly version: 2 | 3;
  /** Family of `addresses` and of the advertisements. */
  readonly family: "inet" | "inet6";
  /** 1 to 255; 255 = owner of the addresses. */
  readonly priority: number;
  readonly advertIntervalMs: number;
  readonly preempt: boolean;
  readonly preemptDelayMs: number;
  /** In the advertisements, all of `family`. */
  readonly addresses: readonly AddressPrefix[];
  /** Move along, but are not in the advertisements; any family. */
  readonly extraAddresses: readonly AddressPrefix[];
  /** Address the advertisements come from; undefined = the interface's first (IPv6: link-local). */
  readonly sourceAddress: string | undefined;
  /** Empty: multicast. */
  readonly unicastPeers: readonly string[];
  /** How the checksum of version 3 over IPv4 is made when sending; both kinds are accepted. */
  readonly checksum: "rfc9568" | "pseudo-header";
  /** Version 2 simple password, at most 8 characters; undefined = none. */
  readonly authPass: string | undefined;
  /** False: packets to the addresses are dropped although the router is active (RFC 9568 Accept_Mode). */
  readonly acceptMode: boolean;
  /** Addresses live on a macvlan with the virtual MAC address. */
  readonly useVmac: boolean;
  /** What happens when somebody else removes an address while the router is active. */
  readonly onAddressLost: "restore" | "fault";
  /** Lifetime of the installed addresses, renewed while active; `auto` = made of the interval; 0 = for ever. */
  readonly addressLeaseMs: number | "auto";
  readonly announce: AnnounceConfig;
  readonly track: TrackConfig;
  readonly notify: NotifyConfig | undefined;
  /** Routers with the same name here are active together or not at all. */
  readonly syncGroup: string | undefined;
}

/** Gratuitous ARP and unsolicited neighbour advertisements. */
export interface AnnounceConfig {
  /** How often each address is announced on becoming active, and again after `delayMs`. */
  readonly repeat: number;
  /** Pause between two repetitions. */
  readonly repeatIntervalMs: number;
  /** When the second round follows; 0 = there is none. */
  readonly delayMs: number;
  /** While active, one announcement at this interval; 0 = none. */
  readonly refreshMs: number;
}

export interface TrackConfig {
  /** Interfaces besides the router's own, which is always tracked. */
  readonly interfaces: readonly TrackedInterfaceConfig[];
  readonly pools: readonly TrackedPoolConfig[];
  readonly checks: readonly TrackedCheckConfig[];
  /** The gateway's own workers answer: undefined = not tracked. */
  readonly gateway: { readonly weight: number; readonly timeoutMs: number } | undefined;
}

/** A weight is added to the priority while the thing is down (negative) or up (positive); 0 = fault while it is down. */
export interface TrackedInterfaceConfig {
  readonly interface: string;
  readonly weight: number;
  /** How long a change must last before it counts. */
  readonly downDelayMs: number;
  readonly upDelayMs: number;
}

export interface TrackedPoolConfig {
  readonly pool: string;
  /** The pool is down while fewer servers than this are usable. */
  readonly below: number;
  readonly weight: number;
}

export interface TrackedCheckConfig {
  readonly name: string;
  readonly command: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly rise: number;
  readonly fall: number;
  readonly weight: number;
}

export interface NotifyConfig {
  readonly command: readonly string[];
  /** A notification that runs longer is killed; the next one then begins. */
  readonly timeoutMs: number;
}
