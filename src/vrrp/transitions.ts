/**
 * The state machine of a virtual router as a literal table: RFC 9568 §6.4 (with errata), FAULT as keepalived has it, and what Holdfast adds
 * for frozen processes, planned handover and sync groups. Pure data: machine.ts names each event and carries out the actions in
 * their order; docs/reference/virtual-router-states.md is made of it.
 */
import type { RouterState, TransitionCause } from "./state.ts";

/** What can happen, as machine.ts classifies it. The text is for the reference page. */
export const ROUTER_EVENTS = {
  startup: "started with a priority of 1 to 254",
  "startup-owner": "started with priority 255",
  "priority-zero": "advertisement of priority 0: the active router stops",
  "higher-priority": "advertisement of a higher priority",
  "equal-higher-address": "advertisement of the same priority from a higher address",
  "equal-lower-address": "advertisement of the same priority from a lower address",
  "own-address": "advertisement of the same priority from this router's own address: a clone",
  "lower-priority": "advertisement of a lower priority, and this router may preempt",
  "lower-tolerated": "advertisement of a lower priority, and this router does not preempt (yet)",
  "taken-over":
    "advertisement that another router sent while this one was frozen for longer than the others wait",
  "advertisement-due": "time to advertise",
  "advertisement-overdue": "time to advertise, but this process was frozen for longer than the others wait",
  "active-down": "no advertisement for the active-down interval",
  "active-down-late":
    "the same, but this process woke late: what it did not hear may have been sent (at most twice in a row)",
  "active-down-held": "the same, but the sync group cannot be active",
  "preempt-withdrawn":
    "time to replace a router of lower priority, but settings, priorities or an operator forbid it by now",
  handover: "an operator asks for a handover",
  "handed-over": "during a handover: advertisement of another router",
  "zero-in-handover": "during a handover: advertisement of priority 0",
  "handover-expired": "during a handover: nobody took over in time",
  resume: "an operator ends handover or maintenance",
  fault: "the first fault appears: link, tracker, lost address, sync group, operator",
  recovery: "the last fault is gone",
  "recovery-owner": "the last fault is gone, and the priority is 255",
  priority: "trackers change the priority",
  settings: "a reload changes settings",
  promotion: "the sync group becomes active",
  demotion: "the sync group stops being active",
  release: "the sync group may be active again",
  shutdown: "stopped, or removed from the configuration",
} as const;
export type RouterEvent = keyof typeof ROUTER_EVENTS;

/** What machine.ts does, in the order of the table; those marked with * become effects for the driver. */
export const ROUTER_ACTIONS = {
  "send-advertisement": "*advertise, and again after the interval",
  "send-priority-zero": "*advertise priority 0",
  "install-addresses": "*install the addresses",
  "withdraw-addresses": "*withdraw the addresses",
  "announce-addresses": "*announce the addresses (gratuitous ARP, unsolicited neighbour advertisements)",
  "tell-new-interval": "*advertise at once when the interval changed",
  "answer-priority-zero": "*advertise at once, at most once per interval",
  "answer-conflict": "*advertise at once, at most once per interval; announce at once, at most once a second",
  "note-conflict": "*note the conflict",
  "note-stall-listening": "*note the stall: listens once more",
  "note-stall-stays-active": "*note the stall: stays active",
  "note-stall-steps-down": "*note the stall: steps down",
  "end-handover-taken": "*end the handover: a peer is active",
  "end-handover-alone": "*end the handover: goes on as active",
  "adopt-interval": "take over the active router's interval (version 3)",
  "use-own-interval": "reckon with the configured interval",
  "await-active-down": "restart the active-down timer",
  "await-skew": "set the active-down timer to the skew time",
  "await-one-more": "listen for one more interval and skew time",
  "adjust-active-down": "reckon the active-down timer anew, from the same advertisement",
  "begin-handover": "*advertise priority 0, keep the addresses, wait for a peer",
  "yield-until-resume": "do not preempt before an operator says so",
  "stop-yielding": "preempt again",
  "hold-for-group": "do not become active before the sync group does",
  "stop-holding": "become active on its own again",
  "stop-timers": "stop the timers",
} as const;
export type RouterAction = keyof typeof ROUTER_ACTIONS;

export interface Rule {
  readonly to: RouterState;
  /** Why, when the state changes; "told": the event brings its cause (a fault, silence or preemption). */
  readonly cause?: TransitionCause | "told";
  readonly actions: readonly RouterAction[];
}
export interface Ignored {
  readonly ignored: string;
}

const PROMOTE = ["send-advertisement", "install-addresses", "announce-addresses"] as const;
const RESTART_LISTENING = ["use-own-interval", "await-active-down"] as const;
const ACCEPT = ["adopt-interval", "await-active-down"] as const;
const STEP_DOWN = ["withdraw-addresses", "adopt-interval", "await-active-down"] as const;

const NOT_STARTED: Ignored = { ignored: "it is not started" };
const IN_FAULT: Ignored = { ignored: "in fault it neither listens nor speaks" };
const IS_RUNNING: Ignored = { ignored: "it is started already" };
const NO_TIMER: Ignored = { ignored: "this timer does not run in this state" };
const NOT_ACTIVE: Ignored = { ignored: "only an active router can be replaced" };
const NO_FAULT: Ignored = { ignored: "it has no fault" };

export const TRANSITIONS = {
  initialize: {
    startup: { to: "backup", cause: "startup", actions: RESTART_LISTENING },
    "startup-owner": { to: "active", cause: "address-owner", actions: PROMOTE },
    "priority-zero": NOT_STARTED,
    "higher-priority": NOT_STARTED,
    "equal-higher-address": NOT_STARTED,
    "equal-lower-address": NOT_STARTED,
    "own-address": NOT_STARTED,
    "lower-priority": NOT_STARTED,
    "lower-tolerated": NOT_STARTED,
    "taken-over": NOT_ACTIVE,
    "advertisement-due": NO_TIMER,
    "advertisement-overdue": NO_TIMER,
    "active-down": NO_TIMER,
    "active-down-late": NO_TIMER,
    "active-down-held": NO_TIMER,
    "preempt-withdrawn": NO_TIMER,
    handover: { to: "initialize", actions: ["yield-until-resume"] },
    "handed-over": NOT_ACTIVE,
    "zero-in-handover": NOT_ACTIVE,
    "handover-expired": NO_TIMER,
    resume: { to: "initialize", actions: ["stop-yielding"] },
    fault: { to: "fault", cause: "told", actions: [] },
    recovery: NO_FAULT,
    "recovery-owner": NO_FAULT,
    priority: { to: "initialize", actions: [] },
    settings: { to: "initialize", actions: [] },
    promotion: NOT_STARTED,
    demotion: NOT_STARTED,
    release: { to: "initialize", actions: ["stop-holding"] },
    shutdown: NOT_STARTED,
  },
  backup: {
    startup: IS_RUNNING,
    "startup-owner": IS_RUNNING,
    "priority-zero": { to: "backup", actions: ["await-skew"] },
    "higher-priority": { to: "backup", actions: ACCEPT },
    // RFC 9568 §6.4.2 accepts equal priorities whatever the address: a tie is decided between two that are active.
    "equal-higher-address": { to: "backup", actions: ACCEPT },
    "equal-lower-address": { to: "backup", actions: ACCEPT },
    "own-address": { to: "backup", actions: ["note-conflict", ...ACCEPT] },
    // The timer goes on: this router takes over when it ends.
    "lower-priority": { to: "backup", actions: [] },
    "lower-tolerated": { to: "backup", actions: ACCEPT },
    "taken-over": NOT_ACTIVE,
    "advertisement-due": NO_TIMER,
    "advertisement-overdue": NO_TIMER,
    "active-down": { to: "active", cause: "told", actions: PROMOTE },
    "active-down-late": { to: "backup", actions: ["note-stall-listening", "await-one-more"] },
    "active-down-held": { to: "backup", actions: RESTART_LISTENING },
    "preempt-withdrawn": { to: "backup", actions: ACCEPT },
    handover: { to: "backup", actions: ["yield-until-resume"] },
    "handed-over": NOT_ACTIVE,
    "zero-in-handover": NOT_ACTIVE,
    "handover-expired": NO_TIMER,
    resume: { to: "backup", actions: ["stop-yielding"] },
    fault: { to: "fault", cause: "told", actions: ["stop-timers"] },
    recovery: NO_FAULT,
    "recovery-owner": NO_FAULT,
    priority: { to: "backup", actions: ["adjust-active-down"] },
    settings: { to: "backup", actions: ["adjust-active-down"] },
    promotion: { to: "active", cause: "sync-group", actions: ["stop-holding", ...PROMOTE] },
    demotion: { to: "backup", actions: ["hold-for-group"] },
    release: { to: "backup", actions: ["stop-holding"] },
    shutdown: { to: "initialize", cause: "shutdown", actions: ["stop-timers"] },
  },
  active: {
    startup: IS_RUNNING,
    "startup-owner": IS_RUNNING,
    "priority-zero": { to: "active", actions: ["answer-priority-zero"] },
    "higher-priority": { to: "backup", cause: "higher-priority", actions: STEP_DOWN },
    "equal-higher-address": { to: "backup", cause: "higher-address", actions: STEP_DOWN },
    "equal-lower-address": { to: "active", actions: ["note-conflict", "answer-conflict"] },
    // Two clones that answer each other would never end; who is right, only an operator knows.
    "own-address": { to: "active", actions: ["note-conflict"] },
    "lower-priority": { to: "active", actions: ["note-conflict", "answer-conflict"] },
    "lower-tolerated": { to: "active", actions: ["note-conflict", "answer-conflict"] },
    "taken-over": { to: "backup", cause: "stall", actions: ["note-stall-steps-down", ...STEP_DOWN] },
    "advertisement-due": { to: "active", actions: ["send-advertisement"] },
    "advertisement-overdue": {
      to: "active",
      actions: ["note-stall-stays-active", "send-advertisement", "announce-addresses"],
    },
    "active-down": NO_TIMER,
    "active-down-late": NO_TIMER,
    "active-down-held": NO_TIMER,
    "preempt-withdrawn": NO_TIMER,
    handover: { to: "active", actions: ["begin-handover"] },
    "handed-over": {
      to: "backup",
      cause: "operator",
      actions: [...STEP_DOWN, "yield-until-resume", "end-handover-taken"],
    },
    "zero-in-handover": { to: "active", actions: [] },
    "handover-expired": { to: "active", actions: ["end-handover-alone", "send-advertisement"] },
    resume: { to: "active", actions: ["stop-yielding"] },
    fault: {
      to: "fault",
      cause: "told",
      actions: ["send-priority-zero", "withdraw-addresses", "stop-timers"],
    },
    recovery: NO_FAULT,
    "recovery-owner": NO_FAULT,
    priority: { to: "active", actions: [] },
    // Backups reckon with the interval they were told: a new one is told at once (RFC 9568 §6.1, Active_Adver_Interval).
    settings: { to: "active", actions: ["tell-new-interval"] },
    promotion: { to: "active", actions: ["stop-holding"] },
    demotion: {
      to: "backup",
      cause: "sync-group",
      actions: ["send-priority-zero", "withdraw-addresses", ...RESTART_LISTENING, "hold-for-group"],
    },
    release: { to: "active", actions: ["stop-holding"] },
    shutdown: {
      to: "initialize",
      cause: "shutdown",
      actions: ["send-priority-zero", "withdraw-addresses", "stop-timers"],
    },
  },
  fault: {
    startup: IS_RUNNING,
    "startup-owner": IS_RUNNING,
    "priority-zero": IN_FAULT,
    "higher-priority": IN_FAULT,
    "equal-higher-address": IN_FAULT,
    "equal-lower-address": IN_FAULT,
    "own-address": IN_FAULT,
    "lower-priority": IN_FAULT,
    "lower-tolerated": IN_FAULT,
    "taken-over": NOT_ACTIVE,
    "advertisement-due": NO_TIMER,
    "advertisement-overdue": NO_TIMER,
    "active-down": NO_TIMER,
    "active-down-late": NO_TIMER,
    "active-down-held": NO_TIMER,
    "preempt-withdrawn": NO_TIMER,
    handover: { to: "fault", actions: ["yield-until-resume"] },
    "handed-over": NOT_ACTIVE,
    "zero-in-handover": NOT_ACTIVE,
    "handover-expired": NO_TIMER,
    resume: { to: "fault", actions: ["stop-yielding"] },
    fault: { ignored: "it is in fault already" },
    recovery: { to: "backup", cause: "told", actions: RESTART_LISTENING },
    "recovery-owner": { to: "active", cause: "told", actions: PROMOTE },
    priority: { to: "fault", actions: [] },
    settings: { to: "fault", actions: [] },
    promotion: IN_FAULT,
    demotion: IN_FAULT,
    release: { to: "fault", actions: ["stop-holding"] },
    shutdown: { to: "initialize", cause: "shutdown", actions: ["stop-timers"] },
  },
} as const satisfies Record<RouterState, Record<RouterEvent, Rule | Ignored>>;

export function ruleFor(state: RouterState, event: RouterEvent): Rule | Ignored {
  return TRANSITIONS[state][event];
}
