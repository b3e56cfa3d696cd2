/**
 * The idle time-out ladder: a connection per rung stays quiet for the rung's time, then the kernel asks the other end once with a
 * zero-byte probe; what comes back tells whether the boxes on the way still know the connection. This file is the pure part:
 * which rungs, and the machine of one connection. Time is an argument, the driver (ladder-driver.ts) reads the kernel's
 * TCP_INFO. What the rungs mean together is in measure-conclusion.ts.
 *
 * The probe is sent by the kernel at once, when SO_KEEPALIVE is turned on and then TCP_KEEPIDLE set below the idle time
 * (tcp_sock_set_keepidle() in net/ipv4/tcp.c re-arms the timer with what is left). A keepalive timer armed in advance would be late:
 * the kernel's timer wheel (kernel/time/timer.c) rounds long timers up, by up to an eighth. It also has no limit of 32767 s.
 */

/**
 * Just before and just after the time-outs that boxes are known to have (60, 90, 120, 180, 240, 300, 350, 600, 900 s, …), so that
 * the two neighbours of the truth name it. LVS is late by the timer wheel's eighth: 1015 s.
 */
const DEFAULT_RUNG_SECONDS = [
  30, 58, 62, 88, 92, 118, 123, 178, 183, 235, 245, 295, 305, 345, 355, 395, 590, 610, 890, 910, 1015, 1190,
  1210, 1790, 1815, 3590, 3620, 7190, 7220, 14_400, 28_800, 86_400,
] as const;

export const RUNG_MS_MIN = 1000;
export const UP_TO_MS_DEFAULT = 20 * 60_000;
/** So many connections are opened at most: some boxes and servers limit them per client. */
export const RUNGS_MAX = 64;

export function defaultRungsMs(upToMs: number): number[] {
  const rungs = DEFAULT_RUNG_SECONDS.map((seconds) => seconds * 1000).filter((rung) => rung <= upToMs);
  const last = rungs.at(-1) ?? 0;
  // A last rung close to the end is as good as the end itself.
  return upToMs - last > upToMs / 20 || last === 0 ? [...rungs, upToMs] : rungs;
}

const REFINEMENT_STEPS = 8;

/** Rungs for another ladder inside a bracket; undefined: it is as narrow as asked for already. */
export function refinedRungsMs(lowerMs: number, upperMs: number, precisionMs: number): number[] | undefined {
  const width = upperMs - lowerMs;
  if (width <= Math.max(precisionMs, 100)) return undefined;
  const steps = Math.min(REFINEMENT_STEPS, Math.ceil(width / precisionMs) - 1);
  const rungs = Array.from({ length: Math.max(1, steps) }, (_, index) =>
    Math.round(lowerMs + (width * (index + 1)) / (steps + 1)),
  ).filter((rung) => rung >= RUNG_MS_MIN);
  return rungs.length === 0 ? undefined : rungs;
}

export type RungVerdict =
  /** The probe was acknowledged: both ends and every box still know the connection. */
  | "answered"
  /** RST came back for the probe. */
  | "reset"
  /** Nothing came back for any probe. */
  | "silent"
  /** RST came before the probe, unasked: a box that tells the ends, or the other end itself. */
  | "reset-unasked"
  /** FIN came: the other end's own time-out, or that of a proxy. */
  | "peer-closed"
  /** The other end speaks by itself so often that the connection was never idle for the rung's time. */
  | "never-idle"
  | "no-connection"
  /** Another error of the network, named by errno. */
  | "error"
  /** The ladder ended before the rung's time. */
  | "unfinished";

export interface RungResult {
  readonly rungMs: number;
  /** How long the connection had been idle at the probe, or when it ended. */
  readonly idleMs: number;
  readonly verdict: RungVerdict;
  readonly errno: string | undefined;
  /** How often payload or another sign of life came in between. */
  readonly interruptions: number;
}

/** What the kernel says about the connection at one moment. */
export interface ConnectionSight {
  readonly phase: "connecting" | "established" | "peer-ended" | "closed";
  /** Of a closed one. */
  readonly errno: string | undefined;
  readonly sinceDataReceivedMs: number;
  readonly sinceAckReceivedMs: number;
}

export interface ProbePlan {
  /** A lost probe must not look like a box: it is repeated, and one answer is enough. */
  readonly count: number;
  readonly intervalMs: number;
}

export const PROBE_PLAN: ProbePlan = { count: 3, intervalMs: 1000 };
/** Time for the last answer, beyond the last interval. */
const GRACE_MS = 1000;
/** TCP_INFO counts in jiffies (10 ms at most): a receive time that moved by less is the same one. */
const SAME_MOMENT_MS = 300;
/** What the other end may add to the time by speaking (banners) before the rung is given up. */
const INTERRUPTION_ALLOWANCE = 0.25;
const INTERRUPTION_ALLOWANCE_MS_MIN = 10_000;

export type RungEffect =
  | { readonly kind: "probe" }
  /** `politely`: with FIN; otherwise RST, as nobody is there to answer a FIN. */
  | { readonly kind: "close"; readonly politely: boolean };

/** One connection of the ladder. Fed with sights, drained of effects, asked for its result. */
export class RungMachine {
  readonly rungMs: number;
  readonly #plan: ProbePlan;
  #state: "connecting" | "idling" | "probing" | "done" = "connecting";
  #connectedAtMs = 0;
  #lastReceivedAtMs = 0;
  #probedAtMs = 0;
  #interruptions = 0;
  #effects: RungEffect[] = [];
  #result: RungResult | undefined;

  constructor(rungMs: number, plan: ProbePlan = PROBE_PLAN) {
    this.rungMs = rungMs;
    this.#plan = plan;
  }

  get result(): RungResult | undefined {
    return this.#result;
  }

  get isWaitingForAnswer(): boolean {
    return this.#state === "probing";
  }

  handleSight(nowMs: number, sight: ConnectionSight): void {
    switch (this.#state) {
      case "connecting":
        if (sight.phase === "connecting") return;
        if (sight.phase === "closed") this.#finish("no-connection", 0, sight.errno);
        else this.#begin(nowMs, sight);
        return;
      case "idling":
        this.#handleIdling(nowMs, sight);
        return;
      case "probing":
        this.#handleProbing(nowMs, sight);
        return;
      case "done":
        return;
    }
  }

  /** The connection could not be made. */
  handleRefused(errno: string): void {
    if (this.#state === "connecting") this.#finish("no-connection", 0, errno);
  }

  /** The ladder ends here. */
  handleStop(nowMs: number): void {
    if (this.#state === "done") return;
    const idleMs = this.#state === "connecting" ? 0 : nowMs - this.#lastReceivedAtMs;
    this.#finish("unfinished", idleMs, undefined, true);
  }

  pollEffect(): RungEffect | undefined {
    return this.#effects.shift();
  }

  /** When something is to be done that no packet announces; undefined: nothing. */
  nextTimeout(): number | undefined {
    if (this.#state === "idling") return this.#lastReceivedAtMs + this.rungMs;
    if (this.#state === "probing") return this.#silenceAtMs();
    return undefined;
  }

  #begin(nowMs: number, sight: ConnectionSight): void {
    this.#state = "idling";
    this.#connectedAtMs = nowMs;
    this.#lastReceivedAtMs = nowMs - sinceReceivedMs(sight);
    if (sight.phase === "peer-ended") this.#finish("peer-closed", nowMs - this.#lastReceivedAtMs, undefined);
  }

  #handleIdling(nowMs: number, sight: ConnectionSight): void {
    const ageMs = nowMs - this.#lastReceivedAtMs;
    if (sight.phase === "closed") {
      const wasReset = sight.errno === "ECONNRESET" || sight.errno === "EPIPE";
      this.#finish(wasReset ? "reset-unasked" : "error", ageMs, sight.errno);
      return;
    }
    if (sight.phase === "peer-ended") {
      this.#finish("peer-closed", ageMs, undefined, true);
      return;
    }
    const receivedAtMs = nowMs - sinceReceivedMs(sight);
    if (receivedAtMs > this.#lastReceivedAtMs + SAME_MOMENT_MS) {
      this.#interruptions++;
      this.#lastReceivedAtMs = receivedAtMs;
    }
    const idleMs = nowMs - this.#lastReceivedAtMs;
    if (idleMs >= this.rungMs) {
      this.#state = "probing";
      this.#probedAtMs = nowMs;
      this.#effects.push({ kind: "probe" });
    } else if (nowMs > this.#connectedAtMs + this.rungMs + this.#allowanceMs()) {
      this.#finish("never-idle", idleMs, undefined, true);
    }
  }

  #handleProbing(nowMs: number, sight: ConnectionSight): void {
    const idleMs = this.#probedAtMs - this.#lastReceivedAtMs;
    if (sight.phase === "closed") {
      const wasReset = sight.errno === "ECONNRESET" || sight.errno === "EPIPE";
      const verdict = wasReset ? "reset" : sight.errno === "ETIMEDOUT" ? "silent" : "error";
      this.#finish(verdict, idleMs, sight.errno);
    } else if (sight.phase === "peer-ended") {
      this.#finish("peer-closed", nowMs - this.#lastReceivedAtMs, undefined, true);
    } else if (nowMs - sinceReceivedMs(sight) > this.#lastReceivedAtMs + SAME_MOMENT_MS) {
      this.#finish("answered", idleMs, undefined, true);
    } else if (nowMs >= this.#silenceAtMs()) {
      this.#finish("silent", idleMs, undefined, false);
    }
  }

  #silenceAtMs(): number {
    return this.#probedAtMs + this.#plan.count * this.#plan.intervalMs + GRACE_MS;
  }

  #allowanceMs(): number {
    return Math.max(INTERRUPTION_ALLOWANCE_MS_MIN, this.rungMs * INTERRUPTION_ALLOWANCE);
  }

  #finish(verdict: RungVerdict, idleMs: number, errno: string | undefined, politely = false): void {
    this.#state = "done";
    const { rungMs } = this;
    this.#result = { rungMs, idleMs: Math.round(idleMs), verdict, errno, interruptions: this.#interruptions };
    this.#effects.push({ kind: "close", politely });
  }
}

/** Any packet that counts for the kernel counts for a box, too. */
function sinceReceivedMs(sight: ConnectionSight): number {
  return Math.min(sight.sinceDataReceivedMs, sight.sinceAckReceivedMs);
}

export const isAlive = (result: RungResult): boolean =>
  result.verdict === "answered" || result.verdict === "peer-closed";

export const isDead = (result: RungResult): boolean =>
  result.verdict === "silent" || result.verdict === "reset" || result.verdict === "reset-unasked";

/** Two connections in a row were lost, and none of a longer rung was found alive: waiting longer teaches nothing. */
export function isDecided(results: readonly RungResult[]): boolean {
  const lost = results.filter(isDead).map((result) => result.rungMs);
  const longestAliveMs = Math.max(0, ...results.filter(isAlive).map((result) => result.rungMs));
  return lost.filter((rungMs) => rungMs > longestAliveMs).length >= 2;
}
