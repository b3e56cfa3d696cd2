/**
 * One server under one health section: its probe, its schedule and its fault detector, driven by one timer. Pools that name the
 * same address with the same section share one target, so the server is asked once. Owned by checker.ts.
 */
import type { HealthConfig } from "../config/types.ts";
import type { CheckedServer } from "./check-result.ts";
import { FaultDetector, type TrafficObservation } from "./fault-detector.ts";
import type { Probe, ProbeResult } from "./probe.ts";
import { CheckSchedule } from "./schedule.ts";

/**
 * A timer so much behind says that the gateway itself did not run (a large status document, a busy machine): the answer may lie in
 * the socket. The check gets so much time again, once, before it counts as unanswered.
 */
const TARDINESS_MS = 50;

/** Clocks and randomness, so that tests can hold them. */
export interface CheckerClock {
  /** Wall clock, for humans. */
  now(): number;
  /** Never goes back, for intervals. */
  monotonicMs(): number;
  random(): number;
}

export class HealthTarget {
  readonly key: string;
  readonly health: HealthConfig;
  readonly detector: FaultDetector;
  /** Under which names the configuration in force knows it. */
  servers: readonly CheckedServer[];
  /** Of the last check over TLS. */
  certificateExpiresAtMs: number | undefined = undefined;
  readonly #probe: Probe | undefined;
  readonly #clock: CheckerClock;
  readonly #onChange: (target: HealthTarget) => void;
  #schedule: CheckSchedule | undefined;
  #timer: NodeJS.Timeout | undefined;
  #startedAtMs = 0;
  #wasLate = false;

  /** Without a probe nothing is asked: results come through `handleResult`. */
  constructor(
    key: string,
    server: CheckedServer,
    health: HealthConfig,
    probe: Probe | undefined,
    clock: CheckerClock,
    onChange: (target: HealthTarget) => void,
  ) {
    this.key = key;
    this.servers = [server];
    this.health = health;
    this.#probe = probe;
    this.#clock = clock;
    this.#onChange = onChange;
    // Who is told when the deadline of a beat has passed need not be told three times: the deadline is the tolerance.
    const fall = probe === undefined ? 1 : health.fall;
    this.detector = new FaultDetector({ rise: health.rise, fall, initial: health.initial }, clock.now());
  }

  /** Begins to check; again after `stop()`. */
  start(): void {
    if (this.#probe === undefined || this.#schedule !== undefined) return;
    const { health } = this;
    this.#schedule = new CheckSchedule(
      health,
      this.#clock.monotonicMs(),
      this.#clock.random(),
      this.detector.isChanging,
    );
    this.#arm();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#schedule = undefined;
    this.#probe?.cancel();
  }

  handleResult(result: ProbeResult, durationMs: number): void {
    const { ok, reason } = result;
    if (result.certificateExpiresAtMs !== undefined)
      this.certificateExpiresAtMs = result.certificateExpiresAtMs;
    if (this.detector.handleCheck(this.#clock.now(), { ok, reason, durationMs })) this.#onChange(this);
  }

  handleTraffic(seen: TrafficObservation): void {
    const hasChanged = this.detector.handleTraffic(this.#clock.now(), seen);
    if (this.#schedule !== undefined && this.detector.isChanging) {
      this.#schedule.hurry(this.#clock.monotonicMs());
      this.#arm();
    }
    if (hasChanged) this.#onChange(this);
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const delayMs = Math.ceil(this.#schedule!.deadlineMs - this.#clock.monotonicMs());
    this.#timer = setTimeout(() => this.#handleTimer(), Math.max(1, delayMs)).unref();
  }

  #handleTimer(): void {
    const schedule = this.#schedule!;
    const nowMs = this.#clock.monotonicMs();
    if (!schedule.isDue(nowMs)) this.#arm();
    else if (!schedule.isRunning) this.#check(nowMs);
    else if (nowMs - schedule.deadlineMs > TARDINESS_MS && !this.#wasLate) this.#waitOnceMore();
    else this.#giveUp(nowMs);
  }

  #waitOnceMore(): void {
    this.#wasLate = true;
    this.#timer = setTimeout(() => this.#handleTimer(), 2 * TARDINESS_MS).unref();
  }

  #check(nowMs: number): void {
    this.#schedule!.handleStarted(nowMs);
    this.#startedAtMs = nowMs;
    this.#wasLate = false;
    this.#arm();
    this.#probe!.start((result) => this.#finish(result, this.#clock.monotonicMs()));
  }

  #giveUp(nowMs: number): void {
    this.#probe!.cancel();
    this.#finish({ ok: false, reason: `no answer within ${this.health.timeoutMs} ms` }, nowMs);
  }

  #finish(result: ProbeResult, nowMs: number): void {
    const schedule = this.#schedule;
    if (schedule === undefined) return;
    // The verdict first: it decides when the next check comes.
    this.handleResult(result, nowMs - this.#startedAtMs);
    if (this.#schedule !== schedule) return;
    schedule.handleFinished(nowMs, this.detector.isChanging);
    this.#arm();
  }
}
