/**
 * One server of a pool, as one worker process sees it: load, passive failure marking, weight.
 * Pure. Read the documentation of nginx's `server` directive (ngx_http_upstream_module: weight, max_fails, fail_timeout,
 * max_conns, backup, slow_start) first. Selectors read it on every request; the proxy tells it how requests ended.
 *
 * Passive failure marking is nginx's, to the letter:
 *  - `maxFails` failures with no gap of `failTimeoutMs` between them pass the server over for `failTimeoutMs`.
 *  - After that one request is let through as a trial: choosing the server restarts the clock (`checkedAtMs`), so that
 *    the others go elsewhere until the trial has ended or another `failTimeoutMs` has passed. Success clears the
 *    count; failure passes the server over again.
 *  - The same clock makes old failures expire: the first success of a request that was started more than
 *    `failTimeoutMs` after the last failure clears the count.
 *  - A failure also lowers the server's effective weight by weight / maxFails; it grows back by one unit with each
 *    selection in which the server took part.
 *  - `maxConns` is a hard limit, a server's only limit when it is the only one of its pool (see selector.ts).
 * Added to it: the verdict of health checks (`setUp`), the operator's orders (`setAdmin`, `setWeight`), both behind `isUp`, and
 * the ramp of `slow_start`.
 */
import type { ServerConfig } from "../config/types.ts";

/** Weights are kept in hundredths, so that the ramp of slow_start needs no fractions: they would be boxed. */
export const WEIGHT_SCALE = 100;

/** `drain`: takes nothing new, keeps what it has. `maint`: as down. */
export type AdminState = "up" | "drain" | "maint";

const LONG_AGO_MS = Number.NEGATIVE_INFINITY;

export class Backend {
  readonly index: number;
  readonly config: ServerConfig;
  readonly isBackup: boolean;
  /** Weight in force, in 1/WEIGHT_SCALE. Change it with `setWeight`. */
  weight: number;
  /** Connections in use (idle ones are not). The proxy counts them up after `select` and down at the end. */
  activeConnections = 0;
  /** Health checks have nothing against it (or there are none), and the operator lets it take new work. */
  isUp = true;
  /** The verdict of health checks; true when there are none. Change it with `setUp`. */
  isHealthy = true;
  /** The operator's order. Change it with `setAdmin`. */
  admin: AdminState = "up";
  /** Failures that count at present. */
  failureCount = 0;
  /** Weight after recent failures, in 1/WEIGHT_SCALE. */
  effectiveWeight: number;
  /** The running sum of smooth weighted round robin; belongs to the selector. */
  currentWeight = 0;

  readonly #maxFails: number;
  readonly #failTimeoutMs: number;
  readonly #maxConns: number;
  readonly #slowStartMs: number;
  #failedAtMs = LONG_AGO_MS;
  #checkedAtMs = LONG_AGO_MS;
  #recoveredAtMs = LONG_AGO_MS;
  #isRamping = false;

  constructor(index: number, config: ServerConfig) {
    this.index = index;
    this.config = config;
    this.isBackup = config.backup;
    this.weight = config.weight * WEIGHT_SCALE;
    this.effectiveWeight = this.weight;
    this.#maxFails = config.maxFails;
    this.#failTimeoutMs = config.failTimeoutMs;
    this.#maxConns = config.maxConns;
    this.#slowStartMs = config.slowStartMs;
  }

  /** True when a request may be sent here: up, not passed over, below max_conns. */
  isAvailable(nowMs: number): boolean {
    return this.isUp && !this.isFull() && !this.isPassedOver(nowMs);
  }

  isFull(): boolean {
    return this.#maxConns !== 0 && this.activeConnections >= this.#maxConns;
  }

  isPassedOver(nowMs: number): boolean {
    return (
      this.failureCount !== 0 &&
      this.#maxFails !== 0 &&
      this.failureCount >= this.#maxFails &&
      nowMs - this.#checkedAtMs <= this.#failTimeoutMs
    );
  }

  /** A selector chose this server. A server that was passed over is on trial from now on. */
  handleSelected(nowMs: number): void {
    if (this.failureCount !== 0 && nowMs - this.#checkedAtMs > this.#failTimeoutMs) this.#checkedAtMs = nowMs;
  }

  /** A request to this server failed in a way that speaks against the server (not: a stale reuse, a gone client). */
  handleFailure(nowMs: number): void {
    this.failureCount++;
    this.#failedAtMs = nowMs;
    this.#checkedAtMs = nowMs;
    this.#isRamping = false;
    if (this.#maxFails !== 0) {
      this.effectiveWeight = Math.max(0, this.effectiveWeight - Math.floor(this.weight / this.#maxFails));
    }
  }

  /** The server answered a request. Clears the failures when the request was a trial or began after they expired. */
  handleSuccess(nowMs: number): void {
    if (this.failureCount === 0 || this.#failedAtMs >= this.#checkedAtMs) return;
    const wasPassedOver = this.#maxFails !== 0 && this.failureCount >= this.#maxFails;
    this.failureCount = 0;
    if (wasPassedOver) this.#startRamp(nowMs);
  }

  /** What is in progress there may be ended: it is down, or in maintenance. A server that drains is not gone. */
  get isGone(): boolean {
    return !this.isHealthy || this.admin === "maint";
  }

  /** The verdict of a health check. Coming up clears passive marks and begins slow_start. */
  setUp(isUp: boolean, nowMs: number): void {
    this.isHealthy = isUp;
    this.#combine(nowMs);
  }

  /** The operator's order. Coming back is as coming up. */
  setAdmin(admin: AdminState, nowMs: number): void {
    this.admin = admin;
    this.#combine(nowMs);
  }

  /**
   * A weight in the units of the configuration. Algorithms that have put the weights into a table (`random`, `hash`) do not
   * see it: the pool makes its selector anew.
   */
  setWeight(weight: number): void {
    const scaled = weight * WEIGHT_SCALE;
    if (scaled === this.weight) return;
    // A weight that failures have lowered stays lowered, in proportion.
    this.effectiveWeight =
      this.effectiveWeight >= this.weight
        ? scaled
        : Math.floor((this.effectiveWeight * scaled) / this.weight);
    this.weight = scaled;
  }

  #combine(nowMs: number): void {
    const isUp = this.isHealthy && this.admin === "up";
    if (isUp === this.isUp) return;
    this.isUp = isUp;
    if (!isUp) return;
    this.failureCount = 0;
    this.effectiveWeight = this.weight;
    this.#startRamp(nowMs);
  }

  /** Present weight in 1/WEIGHT_SCALE: lowered by failures, ramped up after recovery. May be 0. */
  weightAt(nowMs: number): number {
    return this.#isRamping ? this.#ramped(this.effectiveWeight, nowMs) : this.effectiveWeight;
  }

  /** The configured weight, ramped up after recovery, in 1/WEIGHT_SCALE. Never 0. */
  rampedWeightAt(nowMs: number): number {
    return this.#isRamping ? this.#ramped(this.weight, nowMs) : this.weight;
  }

  #ramped(weight: number, nowMs: number): number {
    const elapsedMs = nowMs - this.#recoveredAtMs;
    if (elapsedMs >= this.#slowStartMs) this.#isRamping = false;
    return slowStartWeight(weight, elapsedMs, this.#slowStartMs);
  }

  #startRamp(nowMs: number): void {
    this.#recoveredAtMs = nowMs;
    this.#isRamping = this.#slowStartMs !== 0;
  }
}

/**
 * The ramp of slow_start: linear from nothing to the whole weight, as in HAProxy's `slowstart`, never below one hundredth of a
 * unit: a server of weight zero would get its first request only when the ramp is over.
 */
export function slowStartWeight(weight: number, elapsedMs: number, slowStartMs: number): number {
  if (elapsedMs >= slowStartMs) return weight;
  return Math.max(Math.min(weight, 1), Math.floor((weight * Math.max(0, elapsedMs)) / slowStartMs));
}
