/**
 * Why a connection ended: the one registry of causes. A cause is the value of the label in
 * `holdfast_closes_total{side,cause}`, of `close_cause` in the access log, and the heading of its entry in
 * docs/reference/close-causes.md. Who closed first owns TIME_WAIT, so each cause names its side.
 */

export type CloseSide = "client" | "gateway" | "upstream";

export interface CloseCauseEntry {
  readonly name: string;
  /** Who ended the connection first. */
  readonly side: CloseSide;
  readonly help: string;
}

/** Order is the index used in counters; append only. */
export const CLOSE_CAUSES = [
  { name: "peer-fin", side: "client", help: "The client closed an idle connection (FIN)." },
  {
    name: "peer-fin-in-request",
    side: "client",
    help: "The client closed (FIN) before its request was complete.",
  },
  { name: "peer-reset", side: "client", help: "The client reset the connection (RST)." },
  {
    name: "tcp-keepalive",
    side: "client",
    help: "The client answered none of the kernel's keepalive probes (ETIMEDOUT on an idle connection).",
  },
  {
    name: "tcp-user-timeout",
    side: "client",
    help: "Data sent to the client stayed unacknowledged for too long (ETIMEDOUT with data in flight).",
  },
  {
    name: "unreachable",
    side: "client",
    help: "The network reported the client unreachable (EHOSTUNREACH, ENETUNREACH).",
  },
  {
    name: "client-asked-close",
    side: "gateway",
    help: "The client's request carried Connection: close (or was HTTP/1.0 without keep-alive).",
  },
  {
    name: "upstream-asked-close",
    side: "gateway",
    help: "The length of the response could only be shown by closing (HTTP/1.0 client, no Content-Length).",
  },
  { name: "idle-timeout", side: "gateway", help: "keepalive_timeout passed without another request." },
  { name: "request-limit", side: "gateway", help: "keepalive_requests was reached." },
  { name: "age-limit", side: "gateway", help: "keepalive_time was reached." },
  {
    name: "header-timeout",
    side: "gateway",
    help: "client_header_timeout passed before the request head was complete.",
  },
  {
    name: "body-timeout",
    side: "gateway",
    help: "client_body_timeout passed between two reads of the request body.",
  },
  { name: "send-timeout", side: "gateway", help: "send_timeout passed while the peer read nothing." },
  {
    name: "tunnel-timeout",
    side: "gateway",
    help: "tunnel_timeout passed without a byte in either direction.",
  },
  {
    name: "bad-request",
    side: "gateway",
    help: "The request broke the rules of HTTP/1.1; it was answered with an error and the connection closed.",
  },
  {
    name: "request-rejected",
    side: "gateway",
    help: "The request was answered by the gateway itself before its body had been read.",
  },
  {
    name: "upstream-truncated",
    side: "gateway",
    help: "The server's response ended early; the client's connection is closed so that it can tell.",
  },
  { name: "drain", side: "gateway", help: "The gateway is stopping or reloading." },
  {
    name: "out-of-descriptors",
    side: "gateway",
    help: "An idle connection was closed to make room: the descriptor table is full.",
  },
  { name: "tunnel-finished", side: "gateway", help: "Both directions of an upgraded connection had ended." },
  { name: "shutdown", side: "gateway", help: "drain_timeout passed with the exchange unfinished." },
  {
    name: "upstream-fin-idle",
    side: "upstream",
    help: "The server closed an idle persistent connection (FIN).",
  },
  {
    name: "upstream-fin-stale",
    side: "upstream",
    help: "The server closed just as a request was sent on the reused connection.",
  },
  { name: "upstream-fin", side: "upstream", help: "The server closed after (or to end) its response." },
  {
    name: "upstream-fin-early",
    side: "upstream",
    help: "The server closed before its response was complete.",
  },
  { name: "upstream-reset", side: "upstream", help: "The server reset the connection (RST)." },
  {
    name: "upstream-tcp-keepalive",
    side: "upstream",
    help: "The server answered none of the kernel's keepalive probes.",
  },
  {
    name: "upstream-tcp-user-timeout",
    side: "upstream",
    help: "Data sent to the server stayed unacknowledged for too long.",
  },
  { name: "upstream-unreachable", side: "upstream", help: "The network reported the server unreachable." },
  { name: "upstream-refused", side: "upstream", help: "The server refused the connection (RST to SYN)." },
  {
    name: "upstream-connect-timeout",
    side: "gateway",
    help: "connect_timeout passed before the server accepted.",
  },
  {
    name: "upstream-read-timeout",
    side: "gateway",
    help: "read_timeout passed between two reads of the response.",
  },
  {
    name: "upstream-send-timeout",
    side: "gateway",
    help: "send_timeout passed while the server read nothing.",
  },
  {
    name: "upstream-stray-bytes",
    side: "upstream",
    help: "The server sent bytes on an idle connection; they are nobody's response.",
  },
  {
    name: "upstream-bad-response",
    side: "gateway",
    help: "The server's response broke the rules of HTTP/1.1.",
  },
  {
    name: "upstream-said-close",
    side: "gateway",
    help: "The response carried Connection: close (or was HTTP/1.0 without keep-alive).",
  },
  {
    name: "upstream-idle-timeout",
    side: "gateway",
    help: "keepalive_timeout of the pool passed, or the server's own was about to.",
  },
  { name: "upstream-request-limit", side: "gateway", help: "keepalive_requests of the pool was reached." },
  { name: "upstream-age-limit", side: "gateway", help: "keepalive_time of the pool was reached." },
  {
    name: "upstream-pool-full",
    side: "gateway",
    help: "The pool already kept `keepalive` idle connections.",
  },
  {
    name: "upstream-request-unfinished",
    side: "gateway",
    help: "The server answered before the request body was sent; the connection cannot be reused.",
  },
  {
    name: "client-gone",
    side: "gateway",
    help: "The client went away, so the exchange with the server was given up.",
  },
  { name: "upstream-drain", side: "gateway", help: "The gateway is stopping or reloading." },
  {
    name: "peer-fin-in-queue",
    side: "client",
    help: "The client closed (FIN) while its request waited for a server with room (queue).",
  },
  {
    name: "bad-proxy-header",
    side: "gateway",
    help: "The connection did not begin with a PROXY protocol header, or with a broken one (proxy_protocol: accept).",
  },
  {
    name: "upstream-carries-client",
    side: "gateway",
    help: "The connection began with one client's address (send_proxy); it is not used for another.",
  },
  {
    name: "upstream-out-of-rotation",
    side: "gateway",
    help: "The server is down, in maintenance or drained (health check, operator): idle connections to it are closed.",
  },
  {
    name: "session-client-fin",
    side: "client",
    help: "The client ended a TCP session first (FIN), and the server followed.",
  },
  {
    name: "session-server-fin",
    side: "upstream",
    help: "The server ended a TCP session first (FIN), and the client followed.",
  },
  {
    name: "session-idle",
    side: "gateway",
    help: "idle_timeout passed without payload in either direction of a TCP session; on_idle says what was sent.",
  },
  {
    name: "session-half-close-timeout",
    side: "gateway",
    help: "One side of a TCP session had ended, and half_close_timeout passed without payload from the other.",
  },
  {
    name: "session-no-server",
    side: "gateway",
    help: "No server of the pool could take a TCP session; the client was reset.",
  },
  {
    name: "server-down",
    side: "gateway",
    help: "The server of a TCP session went down (on_down: reset); both ends were reset.",
  },
] as const satisfies readonly CloseCauseEntry[];

export type CloseCause = (typeof CLOSE_CAUSES)[number]["name"];

const INDEX_BY_NAME = new Map<string, number>(CLOSE_CAUSES.map((entry, index) => [entry.name, index]));

/** Index of a cause in `CLOSE_CAUSES`: what the hot path stores and counts. */
export function closeCauseIndex(name: CloseCause): number {
  return INDEX_BY_NAME.get(name)!;
}
