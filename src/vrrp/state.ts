/**
 * The vocabulary of a virtual router: its states, what makes it change them, what it is told and what it wants done. Pure types and
 * names; `machine.ts` decides, `driver.ts` carries out. Words are those of RFC 9568 (active, backup); FAULT is keepalived's addition.
 *
 * All times are monotonic milliseconds, fractions allowed: RFC 9568 §6.1 skews by parts of a millisecond at short intervals.
 */

export const ROUTER_STATES = ["initialize", "backup", "active", "fault"] as const;
export type RouterState = (typeof ROUTER_STATES)[number];

/** Why a router changed its state: metric label, log field and entry of docs/reference/virtual-router-states.md. */
export const TRANSITION_CAUSES = {
  startup: "the router was started",
  "address-owner": "priority 255: it owns the addresses and is active from the start",
  silence: "no advertisement arrived for the active-down interval",
  "priority-zero": "the active router said that it stops (priority 0)",
  preempt: "the active router has a lower priority than this one",
  "higher-priority": "a router with a higher priority is active",
  "higher-address": "a router with the same priority and a higher address is active",
  stall: "this process was frozen for longer than the others wait, and another router took over meanwhile",
  tracker: "something that is tracked failed or recovered",
  link: "the interface went down or came up, or lost or got its address",
  "address-lost": "a virtual address was removed by somebody else, and the policy is to fault",
  "sync-group": "another router of the sync group changed its state",
  operator: "an operator asked for it",
  shutdown: "the gateway stops, or the router was removed from the configuration",
} as const;
export type TransitionCause = keyof typeof TRANSITION_CAUSES;

/** An advertisement that passed decoding and the checks of RFC 9568 §7.1. */
export interface ReceivedAdvertisement {
  /** Sender's IP address as text, RFC 5952 for IPv6. */
  readonly source: string;
  readonly priority: number;
  /** Version 3: as announced; version 2: its seconds. */
  readonly intervalMs: number;
  readonly addresses: readonly string[];
  /** When the kernel received it: earlier than now when this process was late. */
  readonly arrivedAtMs: number;
}

/** What decides the machine's behaviour; may be replaced while it runs. */
export interface RouterSettings {
  readonly version: 2 | 3;
  readonly advertIntervalMs: number;
  /** Configured, 1 to 255. What trackers make of it is told by handlePriority(). */
  readonly priority: number;
  readonly preempt: boolean;
  /** Preemption waits so long after the router entered backup. */
  readonly preemptDelayMs: number;
  /** Compared when priorities are equal; undefined while the interface has none. */
  readonly sourceAddress: string | undefined;
}

/** One transition, as far as the machine knows it; the driver adds wall-clock time and what the kernel did. */
export interface Transition {
  readonly from: RouterState;
  readonly to: RouterState;
  readonly cause: TransitionCause;
  /** One sentence with the figures that decided. */
  readonly detail: string;
  readonly atMs: number;
  readonly priority: number;
  /** The last advertisement of another router that was heard; undefined: none yet. */
  readonly lastAdvertisement:
    | { readonly source: string; readonly priority: number; readonly ageMs: number }
    | undefined;
  /** How late the deadline was handled that led here; 0 when it was an event. */
  readonly lateMs: number;
}

export type Effect =
  | { readonly kind: "send-advertisement"; readonly priority: number }
  | { readonly kind: "install-addresses" }
  | { readonly kind: "withdraw-addresses" }
  /** Gratuitous ARP and unsolicited neighbour advertisements, with the configured repetitions. */
  | { readonly kind: "announce-addresses" }
  | { readonly kind: "state-changed"; readonly transition: Transition }
  /** This process woke late; `outcome` says what the machine made of it. */
  | {
      readonly kind: "stall-noticed";
      readonly lateMs: number;
      readonly outcome: "listening" | "stays-active" | "steps-down";
    }
  /** Another router advertises while this one is active. */
  | { readonly kind: "conflict-seen"; readonly source: string; readonly priority: number }
  /** A planned handover ended: a peer is active now, or nobody took over and this router goes on. */
  | { readonly kind: "handover-ended"; readonly isTakenOver: boolean; readonly by: string | undefined };

/** A transition as it is logged, shown and kept: complete, with wall-clock times. Travels from the router process to the supervisor. */
export interface TransitionRecord {
  readonly router: string;
  /** Unix time, milliseconds. */
  readonly atUnixMs: number;
  readonly from: RouterState;
  readonly to: RouterState;
  readonly cause: TransitionCause;
  readonly detail: string;
  readonly priority: number;
  readonly lastAdvertisement: Transition["lastAdvertisement"] | null;
  /** How late the router's own loop was, milliseconds. */
  readonly loopLagMs: number;
  /** From the decision until the kernel had (or no longer had) every address; null: nothing to do, or it failed. */
  readonly addressesAfterMs: number | null;
  /** From the decision until the first gratuitous ARP or neighbour advertisement of every address was sent; null: none was. */
  readonly announcedAfterMs: number | null;
}
