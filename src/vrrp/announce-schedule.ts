/**
 * When the virtual addresses are announced again: a first round on becoming active, a second one after `delayMs`, then one announcement
 * every `refreshMs`. keepalived's garp_master_repeat, garp_master_delay and garp_master_refresh. Pure; called by announcer.ts.
 */
import type { AnnounceConfig } from "../config/types.ts";

export interface Announcement {
  readonly round: "first" | "second" | "refresh";
  /** Counts within its round, from 1. */
  readonly count: number;
  readonly atMs: number;
  /** When the first of all was sent. */
  readonly beganAtMs: number;
}

export function firstAnnouncement(nowMs: number): Announcement {
  return { round: "first", count: 1, atMs: nowMs, beganAtMs: nowMs };
}

/** What follows the announcement that was just sent; undefined: nothing more. */
export function nextAnnouncement(config: AnnounceConfig, previous: Announcement): Announcement | undefined {
  const { round, count, atMs, beganAtMs } = previous;
  if (round !== "refresh" && count < config.repeat) {
    return { round, count: count + 1, atMs: atMs + config.repeatIntervalMs, beganAtMs };
  }
  if (round === "first" && config.delayMs > 0) {
    // A long first round must not run into the second.
    return { round: "second", count: 1, atMs: Math.max(beganAtMs + config.delayMs, atMs), beganAtMs };
  }
  if (config.refreshMs === 0) return undefined;
  return { round: "refresh", count: 1, atMs: atMs + config.refreshMs, beganAtMs };
}
