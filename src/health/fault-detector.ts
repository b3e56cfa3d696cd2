/**
 * The one judgement about a server: health checks and live traffic in, up or down out, with the reason, the last result, the
 * time of the last change and the counts. Pure; time is an argument. One per server and check, owned by checker.ts.
 *
 *  - Checks decide by rise and fall (threshold.ts).
 *  - Live traffic can only take a server down: a few connection failures in a row (refused, reset, timed out, …), or more
 *    answers of class 5xx in a row, without a success in between, count as `fall` failed checks. Failed checks and connection
 *    failures add up. It is faster than the checks where there is traffic, and sees what they do not. A success of
 *    live traffic ends such a run, and so does time; but only the checks bring a server back, because a server that is
 *    down gets no traffic to prove itself with.
 *  - While a server is down, failures of live traffic are echoes of requests sent before.
 *
 * Why 5xx needs more: one address that always fails, asked again and again by one impatient user, is no dead server. 10 is
 * the default of HAProxy's `error-limit`, which watches the same way (`observe layer7`).
 */
import type { CheckResult } from "./check-result.ts";
import { type HealthState, Threshold } from "./threshold.ts";

/** Connection failures in a row, seen by live traffic, that take a server down. */
export const TRAFFIC_FALL = 3;
/** Failures in a row when answers of class 5xx are among them. */
export const TRAFFIC_FALL_5XX = 10;

/**
 * A run of failures is forgotten when so much time has passed since its last one. The workers tell successes only after
 * failures of their own, so a failure here and another there, an hour apart, would else look like a run. Three
 * times the default of fail_timeout, after which a worker that passes the server over tries it again.
 */
export const TRAFFIC_MEMORY_MS = 30_000;

export interface FaultDetectorOptions {
  readonly rise: number;
  readonly fall: number;
  readonly initial: "up" | "down";
}

/** What live traffic saw of a server: first the successes, then the failures in a row since the last success. */
export interface TrafficObservation {
  readonly successes: number;
  /** All failures, those of class 5xx included. */
  readonly failures: number;
  readonly responses5xx: number;
  readonly lastFailure: string;
}

export interface LastCheck extends CheckResult {
  readonly atMs: number;
}

export class FaultDetector {
  /** When the server last went up or down; the beginning, when it never did. */
  sinceMs: number;
  /** When the state last changed, going up and going down included. */
  stateSinceMs: number;
  /** Why it is up or down. */
  reason: string;
  checks = 0;
  checksFailed = 0;
  /** Changes between up and down. */
  timesDown = 0;
  timesUp = 0;
  lastCheck: LastCheck | undefined = undefined;
  readonly #threshold: Threshold;
  #trafficFailures = 0;
  #trafficConnectionFailures = 0;
  #trafficFailedAtMs = 0;

  constructor(options: FaultDetectorOptions, nowMs: number) {
    this.#threshold = new Threshold(options.rise, options.fall, options.initial);
    this.sinceMs = nowMs;
    this.stateSinceMs = nowMs;
    this.reason = `taken as ${options.initial} at the start`;
  }

  get state(): HealthState {
    return this.#threshold.state;
  }

  get isUp(): boolean {
    return this.#threshold.isUp;
  }

  /** The verdict may change soon: check in the fast interval. Before the first check nothing is known. */
  get isChanging(): boolean {
    return this.#threshold.isChanging || this.#trafficFailures > 0 || this.lastCheck === undefined;
  }

  /** Failures of live traffic since its last success, as far as they speak against a server that is up. */
  get trafficFailures(): number {
    return this.#trafficFailures;
  }

  /** True when the server went up or down. */
  handleCheck(nowMs: number, result: CheckResult): boolean {
    const { state, isUp: wasUp } = this;
    this.checks++;
    if (!result.ok) this.checksFailed++;
    this.lastCheck = { ...result, atMs: nowMs };
    if (nowMs - this.#trafficFailedAtMs > TRAFFIC_MEMORY_MS) this.#forgetTraffic();
    this.#threshold.handleResult(result.ok);
    if (this.state !== state) this.stateSinceMs = nowMs;
    if (this.isUp !== wasUp) this.#change(nowMs, `${result.reason}${this.#times(result.ok)}`);
    else if (this.#hasEnoughAgainst()) this.#takeDown(nowMs, result.reason);
    return this.isUp !== wasUp;
  }

  /** True when the server went down. */
  handleTraffic(nowMs: number, seen: TrafficObservation): boolean {
    if (!this.isUp) return false;
    if (seen.successes > 0 || nowMs - this.#trafficFailedAtMs > TRAFFIC_MEMORY_MS) this.#forgetTraffic();
    if (seen.failures === 0) return false;
    this.#trafficFailures += seen.failures;
    this.#trafficConnectionFailures += seen.failures - seen.responses5xx;
    this.#trafficFailedAtMs = nowMs;
    if (!this.#hasEnoughAgainst()) return false;
    this.#takeDown(nowMs, seen.lastFailure);
    return true;
  }

  #hasEnoughAgainst(): boolean {
    const connections = this.#trafficConnectionFailures;
    return (
      connections + (connections > 0 ? this.#failedChecks : 0) >= TRAFFIC_FALL ||
      this.#trafficFailures >= TRAFFIC_FALL_5XX
    );
  }

  /** In a row, of a server that is still up. */
  get #failedChecks(): number {
    return this.state === "going-down" ? this.#threshold.run : 0;
  }

  #takeDown(nowMs: number, last: string): void {
    const checks = this.#failedChecks;
    const also = checks === 0 ? "" : ` and ${checks} health check${checks === 1 ? "" : "s"}`;
    const reason = `${this.#trafficFailures} failures of live traffic in a row${also}, last: ${last}`;
    this.#threshold.forceDown();
    this.stateSinceMs = nowMs;
    this.#change(nowMs, reason);
  }

  #times(ok: boolean): string {
    const { run } = this.#threshold;
    if (run === 1) return "";
    return ok ? ` (${run} checks in a row)` : ` (${run} failed checks in a row)`;
  }

  #change(nowMs: number, reason: string): void {
    this.sinceMs = nowMs;
    this.reason = reason;
    if (this.isUp) this.timesUp++;
    else this.timesDown++;
    this.#forgetTraffic();
  }

  #forgetTraffic(): void {
    this.#trafficFailures = 0;
    this.#trafficConnectionFailures = 0;
  }
}
