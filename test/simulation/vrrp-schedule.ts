/**
 * What happens to a LAN of virtual routers in one simulated run, made from a seed: who is there, and a list of faults with their times.
 * Pure. After the last fault the network is made whole and quiet. vrrp-run.ts carries it out.
 */
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import type { NetworkConditions } from "../../src/testing/simulated-network.ts";
import type { FaultCause } from "../../src/vrrp/machine.ts";
import type { RouterSettings } from "../../src/vrrp/state.ts";

export interface HostPlan {
  readonly name: string;
  readonly settings: RouterSettings;
}

export type Incident =
  | { readonly kind: "conditions"; readonly conditions: NetworkConditions }
  /** The part each host is in, in the order of the hosts. */
  | { readonly kind: "partition"; readonly parts: readonly number[] }
  /** The process alone, or the machine with its kernel, which then receives nothing. */
  | {
      readonly kind: "freeze";
      readonly host: number;
      readonly lastsMs: number;
      readonly isMachinePaused: boolean;
    }
  | { readonly kind: "crash" | "stop"; readonly host: number; readonly awayMs: number }
  | { readonly kind: "priority"; readonly host: number; readonly priority: number }
  | {
      readonly kind: "fault";
      readonly host: number;
      readonly cause: FaultCause;
      readonly lastsMs: number;
    }
  | { readonly kind: "handover"; readonly host: number; readonly resumeAfterMs: number }
  | { readonly kind: "reload"; readonly host: number; readonly settings: RouterSettings }
  | { readonly kind: "lose-addresses"; readonly host: number };

export interface Schedule {
  readonly seed: number;
  readonly version: 2 | 3;
  readonly hosts: readonly HostPlan[];
  /** The longest interval any host has at any time. */
  readonly intervalMsMax: number;
  readonly preemptDelayMsMax: number;
  readonly wakeLagMsMax: number;
  /** The longest one-way delay at any time. */
  readonly delayMsMax: number;
  readonly incidents: readonly { readonly atMs: number; readonly incident: Incident }[];
  /** From here on nothing goes wrong any more. */
  readonly quietAtMs: number;
  readonly quietConditions: NetworkConditions;
}

/** In intervals. */
const TROUBLE_INTERVALS = 60;
const FAULT_CAUSES = ["tracker", "link", "address-lost", "operator"] as const;

export function makeSchedule(seed: number): Schedule {
  const random = new SeededRandom(seed);
  const version = random.chance(0.2) ? 2 : 3;
  const baseMs = version === 2 ? 1000 * random.pick([1, 2]) : random.pick([10, 100, 1000]);
  const hosts = makeHosts(random, version, baseMs);
  const delayMsMax = baseMs * random.pick([0.01, 0.1, 0.4]);
  const incidents: { atMs: number; incident: Incident }[] = [];
  const count = 1 + random.integer(14);
  for (let n = 0; n < count; n++) {
    const atMs = random.between(0, TROUBLE_INTERVALS * baseMs);
    incidents.push({ atMs, incident: makeIncident(random, hosts, baseMs, delayMsMax) });
  }
  incidents.sort((a, b) => a.atMs - b.atMs);
  const intervals = [
    ...hosts.map((it) => it.settings),
    ...incidents.flatMap(({ incident }) => (incident.kind === "reload" ? [incident.settings] : [])),
  ].map((settings) => settings.advertIntervalMs);
  return {
    seed,
    version,
    hosts,
    intervalMsMax: Math.max(...intervals),
    preemptDelayMsMax: Math.max(...hosts.map((it) => it.settings.preemptDelayMs)),
    wakeLagMsMax: baseMs * random.pick([0, 0.02, 0.1]),
    delayMsMax,
    incidents,
    quietAtMs: TROUBLE_INTERVALS * baseMs,
    quietConditions: conditions(0, 0, delayMsMax / 2),
  };
}

export function conditions(
  lossProbability: number,
  duplicateProbability: number,
  delayMsMax: number,
): NetworkConditions {
  return { lossProbability, duplicateProbability, delayMsMin: delayMsMax / 10, delayMsMax };
}

function makeHosts(random: SeededRandom, version: 2 | 3, baseMs: number): HostPlan[] {
  const count = 2 + random.integer(4);
  const areEqual = random.chance(0.15);
  const arePreemptive = random.chance(0.6);
  const ownerIndex = random.chance(0.1) ? random.integer(count) : -1;
  return Array.from({ length: count }, (_, index) => ({
    name: "abcde"[index]!,
    settings: {
      version,
      // A mixture of intervals is a mistake that version 3 survives (RFC 9568 §6.1); version 2 discards it.
      advertIntervalMs: version === 3 && random.chance(0.1) ? 2 * baseMs : baseMs,
      priority: index === ownerIndex ? 255 : areEqual ? 100 : 1 + random.integer(254),
      preempt: arePreemptive || random.chance(0.5),
      preemptDelayMs: random.chance(0.2) ? 5 * baseMs : 0,
      sourceAddress: `10.0.0.${10 + index}`,
    },
  }));
}

function makeIncident(
  random: SeededRandom,
  hosts: readonly HostPlan[],
  baseMs: number,
  delayMsMax: number,
): Incident {
  const host = random.integer(hosts.length);
  const { settings } = hosts[host]!;
  /** From a fraction of an interval to several times any patience. */
  const lastsMs = baseMs * random.pick([0.5, 2, 4, 8, 20]) * random.between(0.5, 1.5);
  switch (random.integer(11)) {
    case 0:
      return {
        kind: "conditions",
        conditions: conditions(random.pick([0, 0.05, 0.3, 0.7]), 0.1, delayMsMax),
      };
    case 1:
      return { kind: "conditions", conditions: conditions(0, random.pick([0, 0.5]), delayMsMax) };
    case 2:
      return { kind: "partition", parts: hosts.map(() => random.integer(2)) };
    case 3:
      return { kind: "partition", parts: hosts.map(() => 0) };
    case 4:
      return { kind: "freeze", host, lastsMs, isMachinePaused: random.chance(0.3) };
    case 5:
      return { kind: "crash", host, awayMs: lastsMs };
    case 6:
      return { kind: "stop", host, awayMs: lastsMs };
    case 7:
      return { kind: "fault", host, cause: random.pick(FAULT_CAUSES), lastsMs };
    case 8:
      return { kind: "handover", host, resumeAfterMs: lastsMs };
    case 9:
      return settings.priority === 255
        ? { kind: "lose-addresses", host }
        : { kind: "priority", host, priority: 1 + random.integer(254) };
    default:
      return { kind: "reload", host, settings: changedSettings(random, settings) };
  }
}

function changedSettings(random: SeededRandom, before: RouterSettings): RouterSettings {
  const canChangeInterval = before.version === 3 && random.chance(0.3);
  return {
    ...before,
    priority: before.priority === 255 ? 255 : 1 + random.integer(254),
    preempt: random.chance(0.5),
    advertIntervalMs: canChangeInterval ? 2 * before.advertIntervalMs : before.advertIntervalMs,
  };
}
