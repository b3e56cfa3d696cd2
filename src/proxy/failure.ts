/**
 * What an errno of a connection means: the close cause to count, and the kind of failure the retry policy decides on.
 * Pure. Sources: tcp(7), connect(2); ETIMEDOUT comes from three timers (reference: net/ipv4/tcp_timer.c tcp_write_err):
 * keepalive probes unanswered, TCP_USER_TIMEOUT, and retransmissions given up; `hadDataInFlight` tells them apart.
 */
import { type CloseCause, closeCauseIndex } from "../observe/close-cause.ts";

const ECONNREFUSED = 111;
const ETIMEDOUT = 110;
const ENETUNREACH = 101;
const ENETDOWN = 100;
const EHOSTDOWN = 112;
const EHOSTUNREACH = 113;

function indexes<const Names extends Record<string, CloseCause>>(
  names: Names,
): { [Key in keyof Names]: number } {
  return Object.fromEntries(Object.entries(names).map(([key, name]) => [key, closeCauseIndex(name)])) as {
    [Key in keyof Names]: number;
  };
}

/** Indexes into CLOSE_CAUSES, resolved once. */
export const Cause = indexes({
  PEER_FIN: "peer-fin",
  PEER_FIN_IN_REQUEST: "peer-fin-in-request",
  PEER_RESET: "peer-reset",
  TCP_KEEPALIVE: "tcp-keepalive",
  TCP_USER_TIMEOUT: "tcp-user-timeout",
  UNREACHABLE: "unreachable",
  IDLE_TIMEOUT: "idle-timeout",
  HEADER_TIMEOUT: "header-timeout",
  BODY_TIMEOUT: "body-timeout",
  SEND_TIMEOUT: "send-timeout",
  TUNNEL_TIMEOUT: "tunnel-timeout",
  BAD_REQUEST: "bad-request",
  REQUEST_REJECTED: "request-rejected",
  UPSTREAM_TRUNCATED: "upstream-truncated",
  DRAIN: "drain",
  OUT_OF_DESCRIPTORS: "out-of-descriptors",
  TUNNEL_FINISHED: "tunnel-finished",
  SHUTDOWN: "shutdown",
  UPSTREAM_FIN_IDLE: "upstream-fin-idle",
  UPSTREAM_FIN_STALE: "upstream-fin-stale",
  UPSTREAM_FIN: "upstream-fin",
  UPSTREAM_FIN_EARLY: "upstream-fin-early",
  UPSTREAM_RESET: "upstream-reset",
  UPSTREAM_TCP_KEEPALIVE: "upstream-tcp-keepalive",
  UPSTREAM_TCP_USER_TIMEOUT: "upstream-tcp-user-timeout",
  UPSTREAM_UNREACHABLE: "upstream-unreachable",
  UPSTREAM_REFUSED: "upstream-refused",
  UPSTREAM_CONNECT_TIMEOUT: "upstream-connect-timeout",
  UPSTREAM_READ_TIMEOUT: "upstream-read-timeout",
  UPSTREAM_SEND_TIMEOUT: "upstream-send-timeout",
  UPSTREAM_STRAY_BYTES: "upstream-stray-bytes",
  UPSTREAM_BAD_RESPONSE: "upstream-bad-response",
  UPSTREAM_SAID_CLOSE: "upstream-said-close",
  UPSTREAM_IDLE_TIMEOUT: "upstream-idle-timeout",
  UPSTREAM_REQUEST_LIMIT: "upstream-request-limit",
  UPSTREAM_AGE_LIMIT: "upstream-age-limit",
  UPSTREAM_POOL_FULL: "upstream-pool-full",
  UPSTREAM_REQUEST_UNFINISHED: "upstream-request-unfinished",
  CLIENT_GONE: "client-gone",
  UPSTREAM_DRAIN: "upstream-drain",
  UPSTREAM_OUT_OF_ROTATION: "upstream-out-of-rotation",
  BAD_PROXY_HEADER: "bad-proxy-header",
  UPSTREAM_CARRIES_CLIENT: "upstream-carries-client",
  PEER_FIN_IN_QUEUE: "peer-fin-in-queue",
  SESSION_CLIENT_FIN: "session-client-fin",
  SESSION_SERVER_FIN: "session-server-fin",
  SESSION_NO_SERVER: "session-no-server",
  SERVER_DOWN: "server-down",
});

/** Cause of a client connection that failed with this errno. */
export function clientFailureCause(errno: number, hadDataInFlight: boolean): number {
  if (errno === ETIMEDOUT) return hadDataInFlight ? Cause.TCP_USER_TIMEOUT : Cause.TCP_KEEPALIVE;
  if (isUnreachable(errno)) return Cause.UNREACHABLE;
  return Cause.PEER_RESET;
}

/** Cause of an upstream connection that failed with this errno. */
export function upstreamFailureCause(errno: number, hadDataInFlight: boolean): number {
  if (errno === ETIMEDOUT)
    return hadDataInFlight ? Cause.UPSTREAM_TCP_USER_TIMEOUT : Cause.UPSTREAM_TCP_KEEPALIVE;
  if (errno === ECONNREFUSED) return Cause.UPSTREAM_REFUSED;
  if (isUnreachable(errno)) return Cause.UPSTREAM_UNREACHABLE;
  return Cause.UPSTREAM_RESET;
}

function isUnreachable(errno: number): boolean {
  return errno === EHOSTUNREACH || errno === ENETUNREACH || errno === EHOSTDOWN || errno === ENETDOWN;
}
