/**
 * When a worker that ended by itself is started again: exponential back-off, so that a worker that dies at once does
 * not take the machine with it, and a worker that had been good for a while is back at once. Pure.
 */
export const RESPAWN_DELAY_MS_MIN = 100;
export const RESPAWN_DELAY_MS_MAX = 10_000;
/** A worker that lived this long had started well: its end is a new story. */
export const RESPAWN_RESET_AFTER_MS = 10_000;

export interface RespawnDecision {
  readonly delayMs: number;
  /** To be handed in when the replacement ends. */
  readonly crashesInARow: number;
}

export function respawnAfter(crashesInARow: number, uptimeMs: number): RespawnDecision {
  const crashes = uptimeMs >= RESPAWN_RESET_AFTER_MS ? 0 : crashesInARow;
  const delayMs = Math.min(RESPAWN_DELAY_MS_MAX, RESPAWN_DELAY_MS_MIN * 2 ** Math.min(crashes, 30));
  return { delayMs, crashesInARow: crashes + 1 };
}
