/**
 * A virtual router as `GET /routers`, `GET /status` and `holdfast routers --json` show it, put together from the configuration, the last
 * report of the router process and what the supervisor counted. Pure.
 *
 * The rule of this file: nothing is shown as active on the word of a process that is silent. Its last report may be of before it froze, and
 * another node may be active by now; then the state is "unknown".
 */
import type { VirtualRouterConfig } from "../config/types.ts";
import type { RouterCounters, RouterFacts, SchedulingFacts } from "../daemon/router-messages.ts";
import type { RouterState, TransitionRecord } from "../vrrp/state.ts";

/** The router process reports once a second; three missing reports are no coincidence. */
export const HEARTBEAT_AGE_MS_MAX = 3_000;

export interface TransitionCount {
  readonly from: RouterState;
  readonly to: RouterState;
  readonly cause: TransitionRecord["cause"];
  readonly count: number;
}

export interface RouterProcessStatus {
  /** Null: none is running. */
  readonly pid: number | null;
  /** `silent`: it is there, but has not reported for HEARTBEAT_AGE_MS_MAX: stopped, starved or stuck. */
  readonly state: "running" | "starting" | "silent" | "not-running";
  /** Age of its last report; null: it has sent none. */
  readonly heartbeatAgeMs: number | null;
  /** Times it was started again because it had ended by itself. */
  readonly restarts: number;
  /** The longest its loop was late for a deadline since the gateway started. */
  readonly loopLagMsMax: number;
  /** Advertisements it heard whose id is none of ours, since it started. */
  readonly unknownIdCount: number;
  /** Null: not known yet. */
  readonly scheduling: SchedulingFacts | null;
  readonly notifications: NotificationCounts;
}

export interface NotificationCounts {
  readonly waiting: number;
  readonly succeeded: number;
  readonly failed: number;
  /** Given up because too many were waiting. */
  readonly dropped: number;
}

export interface RouterStatus {
  readonly name: string;
  readonly interface: string;
  readonly id: number;
  readonly version: 2 | 3;
  readonly family: "inet" | "inet6";
  readonly advertIntervalMs: number;
  readonly configuredPriority: number;
  readonly syncGroup: string | null;
  readonly state: RouterState | "unknown";
  /** Why the state is unknown, or the faults; null: nothing to say. */
  readonly reason: string | null;
  /** When it came into this state, and for how long; null: not known. */
  readonly since: string | null;
  readonly sinceMs: number | null;
  /** Trackers applied; null: not known. */
  readonly priority: number | null;
  readonly isInMaintenance: boolean;
  readonly isHandingOver: boolean;
  readonly faults: readonly string[];
  /** `isInstalled` null: not known. */
  readonly addresses: readonly { readonly address: string; readonly isInstalled: boolean | null }[];
  readonly sourceAddress: string | null;
  readonly peer: RouterFacts["peer"];
  readonly trackers: RouterFacts["trackers"];
  /** Since the supervisor started, over restarts of the router process. */
  readonly counters: RouterCounters;
  readonly transitions: readonly TransitionCount[];
  readonly lastTransition: TransitionRecord | null;
}

/** `GET /routers`, and `holdfast routers --json`. */
export interface RoutersDocument {
  /** Null: the configuration has no virtual routers. */
  readonly process: RouterProcessStatus | null;
  readonly routers: readonly RouterStatus[];
  /** Oldest first, all routers; the newest 100 of each. Survives a crash of the router process, not one of the supervisor. */
  readonly history: readonly TransitionRecord[];
}

export interface RouterStatusInput {
  readonly config: VirtualRouterConfig;
  readonly isInMaintenance: boolean;
  /** Of the last report; undefined: it was not in one. */
  readonly facts: RouterFacts | undefined;
  /** Age of that report. */
  readonly reportAgeMs: number;
  readonly processState: RouterProcessStatus["state"];
  readonly counters: RouterCounters;
  readonly transitions: readonly TransitionCount[];
  readonly lastTransition: TransitionRecord | undefined;
  readonly nowUnixMs: number;
}

export function routerStatus(input: RouterStatusInput): RouterStatus {
  const { config } = input;
  return {
    name: config.name,
    interface: config.interface,
    id: config.id,
    version: config.version,
    family: config.family,
    advertIntervalMs: config.advertIntervalMs,
    configuredPriority: config.priority,
    syncGroup: config.syncGroup ?? null,
    ...(input.processState === "running" && input.facts !== undefined
      ? known(input.facts, input)
      : unknown(input)),
    counters: input.counters,
    transitions: input.transitions,
    lastTransition: input.lastTransition ?? null,
  };
}

type PresentState = Pick<
  RouterStatus,
  | "state"
  | "reason"
  | "since"
  | "sinceMs"
  | "priority"
  | "isInMaintenance"
  | "isHandingOver"
  | "faults"
  | "addresses"
  | "sourceAddress"
  | "peer"
  | "trackers"
>;

function known(facts: RouterFacts, input: RouterStatusInput): PresentState {
  const sinceMs = facts.inStateMs + input.reportAgeMs;
  return {
    state: facts.state,
    reason: facts.faults.length === 0 ? null : facts.faults.join("; "),
    since: new Date(input.nowUnixMs - sinceMs).toISOString(),
    sinceMs,
    priority: facts.priority,
    isInMaintenance: facts.isInMaintenance || input.isInMaintenance,
    isHandingOver: facts.isHandingOver,
    faults: facts.faults,
    addresses: facts.addresses,
    sourceAddress: facts.sourceAddress,
    peer: facts.peer === null ? null : { ...facts.peer, ageMs: facts.peer.ageMs + input.reportAgeMs },
    trackers: facts.trackers,
  };
}

const UNKNOWN_REASONS: Readonly<Record<RouterProcessStatus["state"], string>> = {
  running: "the router process has not reported it yet",
  starting: "the router process is starting",
  silent:
    "the router process is silent: stopped, starved or stuck; its leased addresses run out by themselves",
  "not-running": "the router process is not running; its leased addresses run out by themselves",
};

function unknown({ config, processState, isInMaintenance }: RouterStatusInput): PresentState {
  return {
    state: "unknown",
    reason: UNKNOWN_REASONS[processState],
    since: null,
    sinceMs: null,
    priority: null,
    isInMaintenance,
    isHandingOver: false,
    faults: [],
    addresses: [...config.addresses, ...config.extraAddresses].map(({ host, prefixLength }) => ({
      address: `${host}/${prefixLength}`,
      isInstalled: null,
    })),
    sourceAddress: null,
    peer: null,
    trackers: [],
  };
}
