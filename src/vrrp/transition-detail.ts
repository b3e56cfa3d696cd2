/**
 * The sentence that explains a transition, with the figures that decided: for the log, `holdfast routers --history` and notify
 * programs. Pure. Called by machine.ts.
 */
import type { ReceivedAdvertisement } from "./state.ts";
import { skewTimeMs, type VrrpVersion } from "./timers.ts";

/** What the machine knew when it decided. */
export interface DecisionFacts {
  readonly nowMs: number;
  readonly version: VrrpVersion;
  readonly priority: number;
  /** Interval of the active router, as adopted or configured. */
  readonly activeIntervalMs: number;
  /** From when the active-down timer ran, and for how long. */
  readonly waitedSinceMs: number;
  readonly waitedForMs: number;
  readonly last: ReceivedAdvertisement | undefined;
  /** The last priority 0. */
  readonly stopped: ReceivedAdvertisement | undefined;
}

/** `61 ms`, `6.1 ms`, `12.5 s`: as many digits as help. */
export function formatMs(ms: number): string {
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`;
  return ms >= 50 ? `${Math.round(ms)} ms` : `${Number(ms.toFixed(1))} ms`;
}

export function describeSilence(facts: DecisionFacts): string {
  const skewMs = skewTimeMs(facts.version, facts.priority, facts.activeIntervalMs);
  const reckoning = `3 × ${formatMs(facts.activeIntervalMs)} + skew ${formatMs(skewMs)}`;
  return `no advertisement for ${formatMs(facts.nowMs - facts.waitedSinceMs)} (${reckoning}); ${describeLast(facts)}`;
}

/** After the process was frozen: it listened for longer than the reckoning says. */
export function describeSilenceAfterStall(facts: DecisionFacts): string {
  return `no advertisement, also not in ${formatMs(facts.nowMs - facts.waitedSinceMs)} of listening after this process woke late; ${describeLast(facts)}`;
}

export function describePriorityZero(facts: DecisionFacts): string {
  const { last, stopped } = facts;
  const by = stopped === undefined ? "the active router" : stopped.source;
  // A lower one that advertises meanwhile does not end the wait (RFC 9568 §6.4.2).
  const outcome =
    last === undefined || last === stopped
      ? "no other router took over"
      : `only ${describeSender(last)} was heard, which is lower,`;
  return `${by} said ${formatMs(facts.nowMs - facts.waitedSinceMs)} ago that it stops (priority 0), and ${outcome} within the skew time of ${formatMs(facts.waitedForMs)}`;
}

export function describePreempt(facts: DecisionFacts): string {
  const by = facts.last === undefined ? "the active router" : describeSender(facts.last);
  return `${by} is active with a lower priority than ${facts.priority}`;
}

export function describeOutranked(
  facts: DecisionFacts,
  advertisement: ReceivedAdvertisement,
  ownAddress: string | undefined,
): string {
  const sender = describeSender(advertisement);
  return advertisement.priority > facts.priority
    ? `${sender} is active; the priority here is ${facts.priority}`
    : `${sender} is active with the same priority and a higher address than ${ownAddress ?? "none here"}`;
}

export function describeTakenOver(
  facts: DecisionFacts,
  advertisement: ReceivedAdvertisement,
  silentMs: number,
): string {
  return `this process was frozen: ${formatMs(silentMs)} since its last advertisement, and ${describeSender(advertisement)} became active meanwhile (advertised ${formatMs(facts.nowMs - advertisement.arrivedAtMs)} ago)`;
}

export function describeHandedOver(advertisement: ReceivedAdvertisement): string {
  return `handover asked for by an operator; ${describeSender(advertisement)} took over`;
}

export function describeStart(priority: number): string {
  return priority === 255
    ? "started as owner of the addresses (priority 255)"
    : `started with priority ${priority}`;
}

function describeLast({ last, nowMs }: DecisionFacts): string {
  return last === undefined
    ? "none was heard since the start"
    : `the last came from ${last.source}, priority ${last.priority}, ${formatMs(nowMs - last.arrivedAtMs)} ago`;
}

function describeSender({ source, priority }: ReceivedAdvertisement): string {
  return `${source} (priority ${priority})`;
}
