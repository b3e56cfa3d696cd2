/**
 * One tracked check of a virtual router: runs the program on its interval, never two at a time, kills it with everything it started when
 * it takes too long (a failure), and says up or down after `rise` successes or `fall` failures in a row. The very first result decides
 * alone, as keepalived's track_script does it: a router should not wait `rise` intervals for its start. Used by tracker-feed.ts.
 *
 * The program learns HOLDFAST_ROUTER and HOLDFAST_CHECK from its environment, and runs as the workers' user.
 */
import type { TrackedCheckConfig } from "../config/types.ts";
import { type CommandResult, CommandRun, type ExecIdentity } from "../health/command-run.ts";
import { CheckSchedule } from "../health/schedule.ts";
import { Threshold } from "../health/threshold.ts";

export interface CheckWatchOptions {
  readonly router: string;
  readonly check: TrackedCheckConfig;
  readonly identity: ExecIdentity | undefined;
  /** It has its first result, or went up or down. */
  readonly onChange: () => void;
}

export class CheckWatch {
  /** Resolves with the first result. */
  readonly decided: Promise<void>;
  readonly #options: CheckWatchOptions;
  readonly #schedule: CheckSchedule;
  #threshold: Threshold | undefined;
  #detail = "has no result yet";
  #run: CommandRun | undefined;
  #timer: NodeJS.Timeout | undefined;
  #resolveDecided: () => void = () => {};

  constructor(options: CheckWatchOptions) {
    this.#options = options;
    const { intervalMs, timeoutMs } = options.check;
    const rhythm = { intervalMs, fastIntervalMs: intervalMs, timeoutMs };
    this.#schedule = new CheckSchedule(rhythm, performance.now(), 0, false);
    this.decided = new Promise((resolve) => {
      this.#resolveDecided = resolve;
    });
    this.#arm();
  }

  get isDecided(): boolean {
    return this.#threshold !== undefined;
  }

  get isUp(): boolean {
    return this.#threshold?.isUp ?? false;
  }

  /** What the run said that decided; later words of the same tenor do not change it. */
  get detail(): string {
    return this.#detail;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#run?.cancel();
    this.#run = undefined;
    this.#resolveDecided();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const waitMs = Math.max(0, this.#schedule.deadlineMs - performance.now());
    this.#timer = setTimeout(() => this.#handleDeadline(), Math.ceil(waitMs));
  }

  #handleDeadline(): void {
    if (!this.#schedule.isDue(performance.now())) {
      this.#arm();
    } else if (this.#schedule.isRunning) {
      this.#run?.cancel();
      const { timeoutMs } = this.#options.check;
      this.#handleResult({ ok: false, reason: `no end within ${timeoutMs / 1000} s: killed` });
    } else {
      this.#begin();
    }
  }

  #begin(): void {
    const { check, router, identity } = this.#options;
    this.#schedule.handleStarted(performance.now());
    const environment = { HOLDFAST_ROUTER: router, HOLDFAST_CHECK: check.name };
    this.#run = new CommandRun({ command: check.command, environment, identity }, (result) =>
      this.#handleResult(result),
    );
    this.#arm();
  }

  #handleResult({ ok, reason }: CommandResult): void {
    this.#run = undefined;
    this.#schedule.handleFinished(performance.now(), false);
    const { check, onChange } = this.#options;
    const before = this.#threshold?.isUp;
    this.#threshold ??= new Threshold(check.rise, check.fall, ok ? "up" : "down");
    this.#threshold.handleResult(ok);
    this.#arm();
    if (this.#threshold.isUp === before) return;
    this.#detail = reason;
    this.#resolveDecided();
    onChange();
  }
}
