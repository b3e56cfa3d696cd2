/**
 * What supervisor and router process say to each other over the mailbox; framing and descriptors as in messages.ts.
 * The router process has no Node event loop: everything that runs programs or asks the gateway (exec checks, pool health, notify) is
 * done by the supervisor, which tells results and is told transitions. Pure.
 */
import type { TrackedPoolConfig, VirtualRouterConfig } from "../config/types.ts";
import type { RouterState, TransitionRecord } from "../vrrp/state.ts";

/** Keys of what the supervisor watches for routers. A pool has one per `below`: two routers may want different numbers of servers. */
export function poolTrackerKey({ pool, below }: Pick<TrackedPoolConfig, "pool" | "below">): string {
  return `pool:${pool}<${below}`;
}

export function checkTrackerKey(router: string, check: string): string {
  return `check:${router}/${check}`;
}

export const GATEWAY_TRACKER_KEY = "gateway";

/** Whether one tracked thing is up: `pool:web<1` (fewer than one server usable is down), `check:edge/route`, `gateway`. */
export interface TrackerResultMessage {
  readonly key: string;
  readonly isUp: boolean;
  /** One sentence: "1 of 3 servers usable, 2 wanted". */
  readonly detail: string;
}

export type RouterOrder =
  /** Priority 0, wait for a peer to take over, withdraw the addresses last, then stay backup while the peer lives. */
  | "handover"
  /** As handover, then never active until `resume`. */
  | "maintenance"
  | "resume";

export type RouterRequest =
  /** First message, and again on every reload: the whole list. Routers that did not change are not touched. */
  | {
      readonly type: "configure-routers";
      readonly routers: readonly VirtualRouterConfig[];
      /** Names of routers in maintenance. */
      readonly maintenance: readonly string[];
      /** What is known of what they track, so that a router does not begin in fault for want of a result. */
      readonly results?: readonly TrackerResultMessage[];
      /** Switch to this user, keeping CAP_NET_RAW and CAP_NET_ADMIN. */
      readonly user?: string;
    }
  /** What changed. A tracker without a result yet counts as down. */
  | { readonly type: "tracker-results"; readonly results: readonly TrackerResultMessage[] }
  | {
      readonly type: "router-order";
      readonly requestId: number;
      readonly router: string;
      readonly order: RouterOrder;
    }
  /** Hand over every router (addresses last), at most so long, then say `released` and exit 0. */
  | { readonly type: "release"; readonly deadlineMs: number }
  /** Withdraw at once (priority 0 goes out) and exit 0. */
  | { readonly type: "stop" };

export type RouterReport =
  | { readonly type: "ready"; readonly scheduling: SchedulingFacts }
  | { readonly type: "fatal"; readonly message: string }
  /** The state of all routers: after each change and once a second; its absence means that the process is frozen or gone. */
  | {
      readonly type: "routers";
      readonly routers: readonly RouterFacts[];
      readonly loopLagMsMax: number;
      /** Advertisements whose id is none of ours, since the process started: other pairs share the segment. */
      readonly unknownIdCount: number;
    }
  | { readonly type: "transition"; readonly record: TransitionRecord }
  | {
      readonly type: "order-done";
      readonly requestId: number;
      readonly ok: boolean;
      readonly lines: readonly string[];
    }
  | { readonly type: "released" }
  | {
      readonly type: "log";
      readonly level: "info" | "warn" | "error";
      readonly event: string;
      readonly message: string;
      readonly fields?: Readonly<Record<string, string | number>>;
    };

/** What the kernel granted; each false comes with a sentence in the log. */
export interface SchedulingFacts {
  readonly isRealtime: boolean;
  readonly isMemoryLocked: boolean;
}

/** Reasons for which received advertisements are not used; also metric labels (vrrp/packet.ts and the checks of RFC 9568 §7.1). */
export interface RouterFacts {
  readonly name: string;
  readonly state: RouterState;
  /** Milliseconds in this state. */
  readonly inStateMs: number;
  /** Present priority, trackers applied. */
  readonly priority: number;
  readonly isInMaintenance: boolean;
  readonly isHandingOver: boolean;
  /** Why it is in fault; empty otherwise. */
  readonly faults: readonly string[];
  /** Addresses as "192.0.2.10/24" and whether the kernel has them now. */
  readonly addresses: readonly { readonly address: string; readonly isInstalled: boolean }[];
  readonly sourceAddress: string | null;
  /** The last advertisement heard from another router. */
  readonly peer: { readonly address: string; readonly priority: number; readonly ageMs: number } | null;
  readonly trackers: readonly {
    readonly key: string;
    readonly isUp: boolean;
    readonly weight: number;
    readonly detail: string;
  }[];
  readonly counters: RouterCounters;
}

export interface RouterCounters {
  readonly advertisementsSent: number;
  readonly advertisementsReceived: number;
  /** By reason: "bad-checksum", "bad-ttl", "interval-mismatch", … */
  readonly advertisementsDiscarded: Readonly<Record<string, number>>;
  readonly sendErrors: number;
  readonly becameActive: number;
  readonly conflictsSeen: number;
  readonly duplicateAddressesSeen: number;
  readonly stallsNoticed: number;
  readonly addressesRestored: number;
  readonly announcementsSent: number;
  readonly leaseRenewals: number;
}
