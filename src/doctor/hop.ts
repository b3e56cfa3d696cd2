/**
 * A path as `holdfast predict` sees it: hops from client to server, what each does to a connection on which nothing happens, and
 * how it behaves when it gives up. Pure values; simulation.ts runs them, catalogue.ts names known boxes, readers/ make them of real
 * configuration files. Times are milliseconds; undefined = never.
 *
 * A proxy ends one TCP connection and begins another, so a path with n proxies has n + 1 *legs*. Packet boxes stand within a leg.
 */

/** Kernel probes of one end of a connection, tcp(7). */
export interface HopTcpKeepalive {
  readonly idleMs: number;
  readonly intervalMs: number;
  readonly probeCount: number;
}

/** One end of a TCP connection: what its kernel does. */
export interface TcpEnd {
  /** undefined: SO_KEEPALIVE is off. */
  readonly keepalive: HopTcpKeepalive | undefined;
  /** TCP_USER_TIMEOUT; 0 = the kernel's (tcp_retries2). */
  readonly userTimeoutMs: number;
  /** How long unacknowledged data is sent again: net.ipv4.tcp_retries2 = 15 gives 924.6 s. */
  readonly retransmissionTimeoutMs: number;
}

/** Where a value comes from: a file and line, a catalogue entry, a default. Shown beside the value. */
export interface HopSource {
  readonly text: string;
  readonly url?: string;
  /** From memory or hearsay: never confirmed in the maker's documentation or source. */
  readonly isUnverified?: boolean;
}

export interface EndPointHop {
  readonly kind: "end-point";
  readonly name: string;
  readonly tcp: TcpEnd;
  /** Closes a connection that is idle between requests (FIN); a client's pool, a server's keep-alive time-out. */
  readonly idleTimeoutMs: number | undefined;
  /** Client: gives up waiting for an answer. Server: its own limit for producing one. */
  readonly responseTimeoutMs: number | undefined;
  /** The application sends something by itself when idle (ping, heartbeat): payload, refreshes every hop. */
  readonly pingIntervalMs: number | undefined;
  readonly source: HopSource;
}

/** A box that forwards packets and keeps state per connection: NAT, L4 balancer, firewall. */
export interface PacketBoxHop {
  readonly kind: "packet-box";
  readonly name: string;
  /** Idle time-outs by the connection's TCP state as the box sees it; any packet, a keepalive probe too, starts them anew. */
  readonly timeouts: {
    readonly establishedMs: number | undefined;
    /** After a FIN of one side; undefined = as established. */
    readonly halfClosedMs: number | undefined;
    /** While data is retransmitted without an answer (conntrack: 300 s); undefined = as established. */
    readonly unansweredMs: number | undefined;
  };
  /** What it tells the ends when it forgets a connection. */
  readonly atExpiry: "silent" | "reset-both";
  /** What a packet of a forgotten connection meets. `adopt`: a new entry is made and the packet goes on. */
  readonly afterExpiry: {
    readonly fromClient: "drop" | "reset" | "adopt";
    readonly fromServer: "drop" | "reset" | "adopt";
  };
  readonly source: HopSource;
}

/** Ends TCP on both sides and copies payload; kernel probes never cross it. */
export interface ProxyHop {
  readonly kind: "proxy";
  readonly name: string;
  /** `http`: idle and response times differ; `tcp`: one idle time for the session. */
  readonly protocol: "http" | "tcp";
  readonly clientSide: TcpEnd;
  readonly serverSide: TcpEnd;
  /** Without payload from the client between requests (http) or at all (tcp). */
  readonly clientIdleTimeoutMs: number | undefined;
  /** Without payload from the server while an answer is awaited (http), or at all (tcp). */
  readonly serverIdleTimeoutMs: number | undefined;
  /** Idle persistent connections to the server are kept so long; 0 = none are kept; http only. */
  readonly upstreamIdleTimeoutMs: number | undefined;
  /** One side has ended, the other has not. */
  readonly halfClosedTimeoutMs: number | undefined;
  /** What the client sees when the server's time is over: an error response, the end, or RST. */
  readonly onServerTimeout: "error-response" | "close" | "reset";
  readonly onClientTimeout: "close" | "reset";
  /** When one leg ends with RST, the other leg gets: */
  readonly passesResetAs: "reset" | "close" | "error-response";
  readonly source: HopSource;
}

export type Hop = EndPointHop | PacketBoxHop | ProxyHop;

/** At least two hops; first and last are end points, no other is. */
export interface Path {
  readonly hops: readonly Hop[];
}
