/**
 * What trackers make of a router's priority: weights are added, and a weight of 0 means that the router faults while the tracker is
 * down. Pure. Called by the set of routers when a result comes and on reload.
 */
import { PRIORITY_MAX, PRIORITY_MIN, PRIORITY_OWNER } from "./timers.ts";

export interface Tracker {
  /** `interface:eth1`, `pool:web`, `check:edge/route`, `gateway`. */
  readonly key: string;
  readonly isUp: boolean;
  /** Added while it is down (negative) or up (positive); 0: fault while it is down. */
  readonly weight: number;
  /** One sentence: "1 of 3 servers usable, 2 wanted". */
  readonly detail: string;
}

export interface EffectivePriority {
  readonly priority: number;
  /** Why the router must be in fault: "pool:web: 1 of 3 servers usable, 2 wanted"; empty when it need not. */
  readonly faults: readonly string[];
  /** How the priority came about: "150 − 60 (pool:web is down) = 90". */
  readonly detail: string;
}

/**
 * The owner of the addresses keeps 255 whatever its trackers say (RFC 9568 §5.2.4: "MUST use a priority of 255"); faults hold for it
 * too, as in keepalived. Others stay within 1 to 254: 0 and 255 have meanings of their own.
 */
export function effectivePriority(configured: number, trackers: readonly Tracker[]): EffectivePriority {
  const faults = trackers
    .filter(({ weight, isUp }) => weight === 0 && !isUp)
    .map(({ key, detail }) => `${key}: ${detail}`);
  if (configured === PRIORITY_OWNER)
    return { priority: PRIORITY_OWNER, faults, detail: "255 (owner of the addresses)" };
  const counting = trackers.filter(({ weight, isUp }) => (isUp ? weight > 0 : weight < 0));
  const sum = counting.reduce((total, { weight }) => total + weight, configured);
  const priority = Math.min(PRIORITY_MAX, Math.max(PRIORITY_MIN, sum));
  return { priority, faults, detail: describe(configured, counting, sum, priority) };
}

function describe(configured: number, counting: readonly Tracker[], sum: number, priority: number): string {
  if (counting.length === 0) return `${configured} (configured)`;
  const terms = counting.map(({ key, weight, isUp }) => {
    return `${weight < 0 ? "−" : "+"} ${Math.abs(weight)} (${key} is ${isUp ? "up" : "down"})`;
  });
  const clamped = priority === sum ? "" : `, at ${priority === PRIORITY_MIN ? "least" : "most"} ${priority}`;
  return `${configured} ${terms.join(" ")} = ${sum}${clamped}`;
}
