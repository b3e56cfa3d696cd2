/**
 * Whether a server is up, out of single results: `rise` successes in a row bring it up, `fall` failures in a row take it
 * down, and one result against the run begins again. Pure; a literal table of state × event. As HAProxy's rise and fall,
 * which call the states in between "going down" and "going up" too. Used by fault-detector.ts.
 */
export const HEALTH_STATES = ["up", "going-down", "down", "going-up"] as const;
export type HealthState = (typeof HEALTH_STATES)[number];

export const HEALTH_EVENTS = [
  /** A success that is not (or not yet) the one that `rise` waits for. */
  "success",
  "rise-reached",
  /** A failure that is not (or not yet) the one that `fall` waits for. */
  "failure",
  "fall-reached",
] as const;
export type HealthEvent = (typeof HEALTH_EVENTS)[number];

export const HEALTH_TRANSITIONS: Readonly<Record<HealthState, Readonly<Record<HealthEvent, HealthState>>>> = {
  up: { success: "up", "rise-reached": "up", failure: "going-down", "fall-reached": "down" },
  "going-down": { success: "up", "rise-reached": "up", failure: "going-down", "fall-reached": "down" },
  down: { success: "going-up", "rise-reached": "up", failure: "down", "fall-reached": "down" },
  "going-up": { success: "going-up", "rise-reached": "up", failure: "down", "fall-reached": "down" },
};

/** Going down is still up, going up is still down. */
export function isUpState(state: HealthState): boolean {
  return state === "up" || state === "going-down";
}

export class Threshold {
  readonly rise: number;
  readonly fall: number;
  #state: HealthState;
  #isRunOk: boolean;
  #run = 0;

  constructor(rise: number, fall: number, initial: "up" | "down") {
    this.rise = rise;
    this.fall = fall;
    this.#state = initial;
    this.#isRunOk = initial === "up";
  }

  get state(): HealthState {
    return this.#state;
  }

  get isUp(): boolean {
    return isUpState(this.#state);
  }

  /** Equal results in a row, up to now. */
  get run(): number {
    return this.#run;
  }

  /** The state may change with the next results: look more often. */
  get isChanging(): boolean {
    return this.#state === "going-down" || this.#state === "going-up";
  }

  handleResult(ok: boolean): void {
    this.#run = ok === this.#isRunOk ? this.#run + 1 : 1;
    this.#isRunOk = ok;
    if (ok) this.#enter(this.#run >= this.rise ? "rise-reached" : "success");
    else this.#enter(this.#run >= this.fall ? "fall-reached" : "failure");
  }

  /** Something other than single results is proof enough that the server is down. */
  forceDown(): void {
    this.#isRunOk = false;
    this.#run = 0;
    this.#enter("fall-reached");
  }

  #enter(event: HealthEvent): void {
    this.#state = HEALTH_TRANSITIONS[this.#state][event];
  }
}
