/**
 * Runs `notify` of virtual routers: the queue of notify-queue.ts, carried out. A program that fails is logged and not run again: it has
 * been told, and what it makes of that is its own affair. Used by router-supervision.ts.
 *
 *     COMMAND… ROUTER FROM TO CAUSE PRIORITY       for example: on-change edge backup active silence 150
 *
 * Environment: HOLDFAST_ROUTER, HOLDFAST_FROM, HOLDFAST_TO, HOLDFAST_CAUSE, HOLDFAST_PRIORITY, HOLDFAST_INTERFACE, HOLDFAST_ID,
 * HOLDFAST_ADDRESSES (comma-separated, with prefix length), HOLDFAST_AT (Unix time in seconds), HOLDFAST_MISSED (how many were given up
 * before this one, nearly always 0). Standard input: the transition's record as one line of JSON. It runs as the workers' user.
 */
import type { VirtualRouterConfig } from "../config/types.ts";
import { CommandRun, type ExecIdentity } from "../health/command-run.ts";
import type { Logger } from "../observe/log.ts";
import type { NotificationCounts } from "../observe/router-status.ts";
import type { TransitionRecord } from "../vrrp/state.ts";
import { type Notification, NotifyQueue } from "./notify-queue.ts";

export interface NotifyTarget {
  readonly router: VirtualRouterConfig;
  readonly identity: ExecIdentity | undefined;
}

export class NotifyRunner {
  readonly #logger: Logger;
  readonly #queue: NotifyQueue;
  /** What is to be run for a record that waits: as configured when it happened. */
  readonly #targets = new Map<TransitionRecord, NotifyTarget>();
  readonly #runs = new Map<CommandRun, NodeJS.Timeout>();
  #succeeded = 0;
  #failed = 0;
  #dropped = 0;
  #finishing:
    | { readonly promise: Promise<void>; readonly resolve: () => void; timer: NodeJS.Timeout }
    | undefined;

  constructor(logger: Logger, queue = new NotifyQueue()) {
    this.#logger = logger;
    this.#queue = queue;
  }

  get counts(): NotificationCounts {
    const { waiting } = this.#queue;
    return { waiting, succeeded: this.#succeeded, failed: this.#failed, dropped: this.#dropped };
  }

  notify(target: NotifyTarget, record: TransitionRecord): void {
    if (target.router.notify === undefined) return;
    const givenUp = this.#queue.enqueue(record);
    this.#targets.set(record, target);
    if (givenUp !== undefined) this.#handleDropped(givenUp);
    this.#runNext(record.router);
  }

  /** Resolves when everything has been told, or when the time is over: what runs then is killed, what waits is dropped, and counted. */
  finish(deadlineMs: number): Promise<void> {
    if (this.#queue.isIdle) return Promise.resolve();
    if (this.#finishing === undefined) {
      let resolve: () => void = () => {};
      const promise = new Promise<void>((resolvePromise) => {
        resolve = resolvePromise;
      });
      this.#finishing = { promise, resolve, timer: setTimeout(() => this.#abandon(), deadlineMs) };
    } else {
      // Somebody lost patience.
      clearTimeout(this.#finishing.timer);
      this.#finishing.timer = setTimeout(() => this.#abandon(), deadlineMs);
    }
    return this.#finishing.promise;
  }

  get isIdle(): boolean {
    return this.#queue.isIdle;
  }

  #abandon(): void {
    const { waiting } = this.#queue;
    this.#dropped += waiting + this.#runs.size;
    const text = `${this.#runs.size} notifications of virtual routers did not end in time and were killed, ${waiting} were not begun`;
    this.#logger.log("warn", "notify-abandoned", text, { running: this.#runs.size, waiting });
    for (const [run, timer] of this.#runs) {
      clearTimeout(timer);
      run.cancel();
    }
    this.#runs.clear();
    this.#targets.clear();
    this.#queue.clear();
    this.#finishing?.resolve();
    this.#finishing = undefined;
  }

  #handleIdle(): void {
    clearTimeout(this.#finishing?.timer);
    this.#finishing?.resolve();
    this.#finishing = undefined;
  }

  #handleDropped(record: TransitionRecord): void {
    this.#targets.delete(record);
    this.#dropped++;
    const text = `too many notifications of router ${record.router} are waiting: that of ${record.from} → ${record.to} is given up`;
    this.#logger.log("warn", "notify-dropped", text, { router: record.router });
  }

  #runNext(router: string): void {
    const notification = this.#queue.begin(router);
    if (notification === undefined) {
      if (this.#queue.isIdle) this.#handleIdle();
      return;
    }
    const { record } = notification;
    const target = this.#targets.get(record)!;
    this.#targets.delete(record);
    const { command, timeoutMs } = target.router.notify!;
    const end = (reason: string | undefined): void => {
      clearTimeout(this.#runs.get(run));
      this.#runs.delete(run);
      this.#handleEnd(record, reason);
    };
    const run = new CommandRun(
      {
        command: [...command, ...notifyArguments(record)],
        environment: notifyEnvironment(target.router, notification),
        identity: target.identity,
        input: `${JSON.stringify(record)}\n`,
      },
      ({ ok, reason }) => end(ok ? undefined : reason),
    );
    const timer = setTimeout(() => {
      run.cancel();
      end(`no end within ${timeoutMs / 1000} s: killed`);
    }, timeoutMs);
    this.#runs.set(run, timer);
  }

  #handleEnd(record: TransitionRecord, failure: string | undefined): void {
    const { router, from, to } = record;
    if (failure === undefined) this.#succeeded++;
    else {
      this.#failed++;
      const text = `notification of router ${router} (${from} → ${to}) failed: ${failure}`;
      this.#logger.log("warn", "notify-failed", text, { router, from, to, reason: failure });
    }
    this.#queue.finish(router);
    this.#runNext(router);
  }
}

function notifyArguments({ router, from, to, cause, priority }: TransitionRecord): string[] {
  return [router, from, to, cause, String(priority)];
}

function notifyEnvironment(
  router: VirtualRouterConfig,
  { record, missed }: Notification,
): Record<string, string> {
  const addresses = [...router.addresses, ...router.extraAddresses];
  return {
    HOLDFAST_ROUTER: record.router,
    HOLDFAST_FROM: record.from,
    HOLDFAST_TO: record.to,
    HOLDFAST_CAUSE: record.cause,
    HOLDFAST_PRIORITY: String(record.priority),
    HOLDFAST_INTERFACE: router.interface,
    HOLDFAST_ID: String(router.id),
    HOLDFAST_ADDRESSES: addresses.map(({ host, prefixLength }) => `${host}/${prefixLength}`).join(","),
    HOLDFAST_AT: (record.atUnixMs / 1000).toFixed(3),
    HOLDFAST_MISSED: String(missed),
  };
}
