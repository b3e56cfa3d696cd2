/** How far a TCP session has come: plain values, so that session.ts and session-end.ts need not import each other. */
export const SessionState = {
  /** Its PROXY protocol header has not arrived completely. */
  HEADER: 0,
  /** In the pool's queue: every server is at max_conns. */
  WAITING: 1,
  CONNECTING: 2,
  RELAYING: 3,
  CLOSED: 4,
} as const;
