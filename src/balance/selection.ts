/** What every algorithm of balance/ implements, and the one test of a server that they share. Pure. */
import type { Backend } from "./backend.ts";

export interface Selector {
  /**
   * @param keyHash a 32-bit hash of the balancing key (key-hash.ts); ignored by algorithms without a key
   * @param tried servers this request has been sent to already; usually empty
   * @returns undefined when no server may be used
   */
  select(nowMs: number, keyHash: number, tried: readonly Backend[]): Backend | undefined;
}

/** Whether a server may take this try of this request. */
export function isEligible(backend: Backend, nowMs: number, tried: readonly Backend[]): boolean {
  if (!backend.isAvailable(nowMs)) return false;
  for (let n = 0; n < tried.length; n++) if (tried[n] === backend) return false;
  return true;
}

/**
 * Whether some server would take this try if only it had room: it is up and below max_fails, and at `max_conns`. Then waiting
 * makes sense; without one, waiting would not help. The only server of a pool is never passed over (selector.ts).
 */
export function hasFullServer(
  backends: readonly Backend[],
  nowMs: number,
  tried: readonly Backend[],
): boolean {
  const isOnly = backends.length === 1;
  return backends.some(
    (backend) =>
      backend.isUp &&
      backend.isFull() &&
      (isOnly || !backend.isPassedOver(nowMs)) &&
      !tried.includes(backend),
  );
}
