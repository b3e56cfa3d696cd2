/**
 * When a TCP session has expired, and what happens then. Pure: the session holds the times, the listener the limits, the caller
 * says what time it is. Called by session.ts when its one timer fires, and when a side ends.
 *
 * Only payload refreshes a session: bytes received from either side, and bytes that a slow side has taken at last. A TCP keepalive
 * probe of either end does not: the relay terminates TCP, so the kernel answers probes and this program never sees them.
 *
 * The clock costs one store per packet, `lastPayloadMs`. The timer stays where it was armed; when it fires early, the clock says how
 * much is left. A session is thus looked at once per `idle_timeout`, and expires in the timer wheel's accuracy (16 ms).
 *
 *     idle deadline        last payload + idle_timeout                             0: never
 *     half-close deadline  the later of last payload and the end of one side
 *                          + half_close_timeout                                    0: the idle deadline alone
 *     the earlier one counts
 */

/** No deadline, or: has not happened. */
export const NEVER = -1;

/** What a session remembers; whole milliseconds of the loop's clock. */
export interface SessionTimes {
  lastPayloadMs: number;
  /** When the first side ended (FIN); NEVER while both are open. */
  halfClosedAtMs: number;
}

/** The directives of the listener; see config/types.ts. */
export interface SessionLimits {
  readonly idleTimeoutMs: number;
  readonly halfCloseTimeoutMs: number;
  readonly onIdle: OnIdle;
}

export type OnIdle = "reset" | "close" | "silent";

/** What the driver does now. `action` is that of `on_idle` for both causes: a table that forgets idle sessions forgets half-closed ones too. */
export type ClockEffect =
  | { readonly kind: "wait"; readonly leftMs: number }
  | { readonly kind: "never" }
  | {
      readonly kind: "expire";
      readonly cause: "session-idle" | "session-half-close-timeout";
      readonly action: OnIdle;
    };

/** Milliseconds until the session expires: 0 when it has, NEVER when it will not. */
export function sessionLeftMs(times: SessionTimes, limits: SessionLimits, nowMs: number): number {
  const deadlineMs = sessionDeadlineMs(times, limits);
  return deadlineMs === NEVER ? NEVER : Math.max(0, deadlineMs - nowMs);
}

/** The timer has fired, or a limit has begun to count. */
export function checkSessionClock(times: SessionTimes, limits: SessionLimits, nowMs: number): ClockEffect {
  const leftMs = sessionLeftMs(times, limits, nowMs);
  if (leftMs === NEVER) return { kind: "never" };
  if (leftMs > 0) return { kind: "wait", leftMs };
  const idleDeadlineMs = idleDeadline(times, limits);
  const isIdle = idleDeadlineMs !== NEVER && idleDeadlineMs <= nowMs;
  return {
    kind: "expire",
    cause: isIdle ? "session-idle" : "session-half-close-timeout",
    action: limits.onIdle,
  };
}

function sessionDeadlineMs(times: SessionTimes, limits: SessionLimits): number {
  const idleMs = idleDeadline(times, limits);
  const halfCloseMs = halfCloseDeadline(times, limits);
  if (idleMs === NEVER) return halfCloseMs;
  return halfCloseMs === NEVER ? idleMs : Math.min(idleMs, halfCloseMs);
}

function idleDeadline({ lastPayloadMs }: SessionTimes, { idleTimeoutMs }: SessionLimits): number {
  return idleTimeoutMs === 0 ? NEVER : lastPayloadMs + idleTimeoutMs;
}

function halfCloseDeadline(times: SessionTimes, { halfCloseTimeoutMs }: SessionLimits): number {
  if (times.halfClosedAtMs === NEVER || halfCloseTimeoutMs === 0) return NEVER;
  return Math.max(times.lastPayloadMs, times.halfClosedAtMs) + halfCloseTimeoutMs;
}
