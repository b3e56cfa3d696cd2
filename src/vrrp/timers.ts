/**
 * The intervals of VRRP (RFC 9568 §6.1, RFC 3768 §6.1), and the two that Holdfast adds: how long a handover waits and how long a
 * router listens after it noticed that it was frozen. Pure, in fractions of a millisecond: FRR keeps skew in whole centiseconds, which
 * makes it 0 at 10 ms intervals, so that every backup fires at once. Called by machine.ts.
 */

/** A backup waits for three missing advertisements (RFC 9568 §6.1, Active_Down_Interval). */
export const MISSED_ADVERTISEMENTS = 3;
/** One more than a backup with the longest patience needs, so that a single lost advertisement of it does not end a handover. */
const HANDOVER_ADVERTISEMENTS = 4;

export const PRIORITY_STOPS = 0;
export const PRIORITY_MIN = 1;
/** The highest that is not the owner of the addresses (RFC 9568 §5.2.4). */
export const PRIORITY_MAX = 254;
export const PRIORITY_OWNER = 255;

export type VrrpVersion = 2 | 3;

/** Backups with a higher priority skew less, and fire first. Version 2 skews by parts of a second whatever the interval. */
export function skewTimeMs(version: VrrpVersion, priority: number, activeIntervalMs: number): number {
  return ((256 - priority) * (version === 2 ? 1000 : activeIntervalMs)) / 256;
}

/** After so long without an advertisement a backup takes the active router for dead. */
export function activeDownIntervalMs(
  version: VrrpVersion,
  priority: number,
  activeIntervalMs: number,
): number {
  return MISSED_ADVERTISEMENTS * activeIntervalMs + skewTimeMs(version, priority, activeIntervalMs);
}

/** The smallest patience another router can have: an active router that was silent for longer may have been replaced. */
export function shortestPatienceMs(intervalMs: number): number {
  return MISSED_ADVERTISEMENTS * intervalMs;
}

/** How long a router that hands over waits for a peer: every backup, even of priority 1, has fired by then. */
export function handoverPatienceMs(version: VrrpVersion, intervalMs: number): number {
  return HANDOVER_ADVERTISEMENTS * intervalMs + skewTimeMs(version, PRIORITY_MIN, intervalMs);
}

/** A backup that woke late listens so long before it believes the silence: one advertisement is due within it. */
export function listeningAfterStallMs(
  version: VrrpVersion,
  priority: number,
  activeIntervalMs: number,
): number {
  return activeIntervalMs + skewTimeMs(version, priority, activeIntervalMs);
}
