/**
 * The phases of the supervisor and every transition between them: a literal table. Pure.
 * An event that a phase does not list is ignored there; `phases.test.ts` asserts each pair.
 */
export const PHASES = ["starting", "running", "reloading", "draining", "stopped"] as const;
export type Phase = (typeof PHASES)[number];

export const PHASE_EVENTS = [
  "all-workers-ready",
  "start-failed",
  "reload-requested",
  "reload-finished",
  "drain-requested",
  "last-worker-gone",
] as const;
export type PhaseEvent = (typeof PHASE_EVENTS)[number];

export const PHASE_TRANSITIONS: Readonly<Record<Phase, Partial<Record<PhaseEvent, Phase>>>> = {
  starting: {
    "all-workers-ready": "running",
    "start-failed": "stopped",
    "drain-requested": "draining",
  },
  running: { "reload-requested": "reloading", "drain-requested": "draining" },
  // A reload that fails ends in "running" too: the old workers never stopped.
  reloading: { "reload-finished": "running", "drain-requested": "draining" },
  draining: { "last-worker-gone": "stopped" },
  stopped: {},
};

/** The phase after the event, or undefined when the event means nothing in this phase. */
export function phaseAfter(phase: Phase, event: PhaseEvent): Phase | undefined {
  return PHASE_TRANSITIONS[phase][event];
}
