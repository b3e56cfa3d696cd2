/**
 * The states of the two kinds of connection and the ways a client's connection can end: plain values, so that the drivers which
 * share them need not import each other.
 */

export const ClientState = {
  /** Between requests. */
  IDLE: 0,
  /** Part of a request head has arrived. */
  HEAD: 1,
  /** A request is being served. */
  EXCHANGE: 2,
  /** The response is complete but not yet sent. */
  FLUSHING: 3,
  /** Everything is sent and our direction is shut; what the client still sends is discarded. */
  LINGERING: 4,
  TUNNEL: 5,
  CLOSED: 6,
} as const;

export const UpstreamState = {
  CONNECTING: 0,
  /** Used by an exchange. */
  BUSY: 1,
  /** In the pool. */
  IDLE: 2,
  TUNNEL: 3,
  CLOSED: 4,
  /** Too old to be used, kept open to see when the server closes it (learned-idle-timeout.ts). */
  WATCHED: 5,
} as const;

/** What becomes of a client's connection when everything is sent. */
export const Ending = {
  PERSIST: 0,
  CLOSE: 1,
  /** Close in stages (RFC 9112 §9.6). */
  LINGER: 2,
  /** RST: the client must not take what it has for the whole. */
  RESET: 3,
} as const;
