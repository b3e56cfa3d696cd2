/**
 * The supervisor's part in virtual routers: starts the router process and starts it again when it dies, tells it the configuration, what is
 * tracked and what operators want, keeps the history of transitions and their counts (they survive the process), and has notifications run.
 * The elections are in the router process (router.ts). supervisor.ts calls.
 *
 * The order of things is what keeps the promise "an address never points at a gateway that does not accept": routers are prepared when the
 * new workers are ready, and let go of before the old ones stop accepting.
 */
import type { GatewayConfig, VirtualRouterConfig } from "../config/types.ts";
import type { ServerFacts } from "../observe/gateway-facts.ts";
import type { Logger } from "../observe/log.ts";
import { RouterLedger } from "../observe/router-ledger.ts";
import {
  HEARTBEAT_AGE_MS_MAX,
  type RouterProcessStatus,
  type RouterStatus,
  type RoutersDocument,
  routerStatus,
} from "../observe/router-status.ts";
import { transitionLine } from "../observe/transition-log.ts";
import { TransitionHistory } from "../vrrp/history.ts";
import { planRouters } from "../vrrp/reload-plan.ts";
import type { RouterState, TransitionRecord } from "../vrrp/state.ts";
import { handoverPatienceMs } from "../vrrp/timers.ts";
import { AcceptFilter, type RunNft } from "./accept-filter.ts";
import { MaintenanceFile } from "./maintenance-file.ts";
import { NotifyRunner } from "./notify-runner.ts";
import { respawnAfter } from "./respawn-policy.ts";
import type { RouterFacts, RouterReport, SchedulingFacts } from "./router-messages.ts";
import {
  PendingOrders,
  parseRouterOrder,
  type RouterOrderOutcome,
  type RouterOrderRequest,
  refusal,
} from "./router-orders.ts";
import { RouterProcess } from "./router-process.ts";
import { execIdentityOf } from "./server-states.ts";
import { TrackerFeed } from "./tracker-feed.ts";
import type { PingedWorker } from "./worker-liveness.ts";

export interface RouterSupervisionOptions {
  readonly logger: Logger;
  readonly serverFacts: (config: GatewayConfig) => readonly ServerFacts[];
  /** Those that are ready, of the configuration in force. */
  readonly workers: () => readonly PingedWorker[];
  /** Nothing of it is left running. */
  readonly onIdle: () => void;
  readonly readyTimeoutMs: number;
  /** Compiled module to run instead of the real router process, and a replacement of nft: tests. */
  readonly routerModule: string | undefined;
  readonly runNft?: RunNft;
}

const HEARTBEAT_CHECK_MS = 500;
/** The router process keeps its deadlines by itself; this much later it is killed. */
const KILL_AFTER_DEADLINE_MS = 1_000;
const KILL_AFTER_STOP_MS = 500;
/** At the end of the gateway, what is left to be told is told within this time. */
const NOTIFY_AT_END_MS = 10_000;
const NOTIFY_AT_STOP_MS = 500;

type RoutersReport = Extract<RouterReport, { type: "routers" }>;

interface Report {
  readonly unknownIdCount: number;
  readonly atMs: number;
  readonly routers: Map<string, RouterFacts>;
}

interface ReadyWait {
  readonly process: RouterProcess;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class RouterSupervision {
  readonly feed: TrackerFeed;
  readonly #options: RouterSupervisionOptions;
  readonly #logger: Logger;
  readonly #ledger = new RouterLedger();
  readonly #history = new Map<string, TransitionHistory>();
  readonly #notifications: NotifyRunner;
  readonly #maintenance: MaintenanceFile;
  readonly #filter: AcceptFilter;
  readonly #orders = new PendingOrders();
  /** In force; undefined: none, or one without virtual routers. */
  #config: GatewayConfig | undefined;
  #process: RouterProcess | undefined;
  /** What the process was told last. */
  #configuredWith: GatewayConfig | undefined;
  /** Processes that were told to end. */
  readonly #leaving = new Map<RouterProcess, () => void>();
  #readyWait: ReadyWait | undefined;
  #report: Report | undefined;
  #scheduling: SchedulingFacts | undefined;
  #heartbeatTimer: NodeJS.Timeout | undefined;
  #isSilent = false;
  #checkedHeartbeatAtMs = 0;
  #loopLagMsMax = 0;
  #respawnTimer: NodeJS.Timeout | undefined;
  #crashesInARow = 0;
  #restarts = 0;
  #isStopping = false;
  #isTellingTheLast = false;
  #notifyAtEndMs = NOTIFY_AT_END_MS;

  constructor(options: RouterSupervisionOptions) {
    this.#options = options;
    this.#logger = options.logger;
    this.#notifications = new NotifyRunner(options.logger);
    this.#maintenance = new MaintenanceFile(options.logger);
    this.#filter = new AcceptFilter(options.runNft);
    this.feed = new TrackerFeed({
      send: (results) => this.#process?.send({ type: "tracker-results", results }),
      serverFacts: options.serverFacts,
      workers: options.workers,
    });
  }

  /** Nothing runs, and nothing will by itself. */
  get isIdle(): boolean {
    const isGone = this.#process === undefined && this.#leaving.size === 0;
    return isGone && this.#respawnTimer === undefined && !this.#isTellingTheLast;
  }

  // --- a configuration: prepared, then in force

  /** When the workers of `config` are ready. Throws when the routers cannot run; then call `rollback()`. */
  async prepare(config: GatewayConfig): Promise<void> {
    if (config.virtualRouters.length === 0) return;
    await Promise.all([...this.#leaving.keys()].map((process) => this.#ended(process)));
    this.#maintenance.open(config.stateDir);
    this.#filter.apply(config.virtualRouters);
    await this.feed.prepare(config);
    if (this.#isStopping) throw new Error("the gateway was told to stop");
    // One that runs is told when nothing can fail any more: in commit().
    if (this.#process === undefined) await this.#start(config);
  }

  commit(config: GatewayConfig): void {
    const names = config.virtualRouters.map(({ name }) => name);
    const hasRouters = names.length > 0;
    this.#config = hasRouters ? config : undefined;
    this.feed.commit(this.#config);
    this.#ledger.forgetAllBut(names);
    for (const name of this.#history.keys()) if (!names.includes(name)) this.#history.delete(name);
    if (hasRouters) {
      if (this.#process !== undefined && this.#configuredWith !== config)
        this.#configure(this.#process, config);
      else this.feed.refresh();
    } else {
      this.#cancelRespawn();
      if (this.#process !== undefined) void this.#letGo(this.#process, config);
      else this.#removeFilter();
    }
  }

  /** The prepared configuration does not come into force. */
  rollback(): void {
    this.feed.rollback();
    this.#maintenance.open(this.#config?.stateDir);
    if (this.#process !== undefined && this.#configuredWith !== this.#config) {
      if (this.#config === undefined) this.#process.kill();
      else this.#configure(this.#process, this.#config);
    }
    this.#respawnIfWanted(0); // prepare() had taken the place of a respawn that was due
    try {
      this.#filter.apply(this.#config?.virtualRouters ?? []);
    } catch (error) {
      this.#logger.log("error", "accept-filter-failed", (error as Error).message);
    }
  }

  /** Peers take over first, then the addresses go. Resolves when the process has ended; notifications may still be running. */
  async release(): Promise<void> {
    this.#beginToStop(NOTIFY_AT_END_MS);
    if (this.#process !== undefined) await this.#letGo(this.#process, this.#configuredWith!);
  }

  /** At once: priority 0 goes out, the addresses go. */
  stop(): void {
    this.#beginToStop(NOTIFY_AT_STOP_MS);
    for (const process of [this.#process, ...this.#leaving.keys()]) {
      if (process === undefined) continue;
      process.isEndExpected = true;
      process.send({ type: "stop" });
      this.#killLater(process, KILL_AFTER_STOP_MS);
    }
  }

  #beginToStop(notifyMs: number): void {
    this.#isStopping = true;
    this.#cancelRespawn();
    this.#readyWait?.reject(new Error("the gateway was told to stop"));
    if (this.#process === undefined && this.#leaving.size === 0) this.#tellTheLast(notifyMs);
    else this.#notifyAtEndMs = notifyMs;
  }

  // --- the process

  async #start(config: GatewayConfig): Promise<void> {
    this.#cancelRespawn();
    const process = this.#spawn(config);
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#readyWait = { process, resolve, reject };
        const { readyTimeoutMs } = this.#options;
        const text = `the router process was not ready within ${readyTimeoutMs / 1000} s`;
        timer = setTimeout(() => reject(new Error(text)), readyTimeoutMs);
      });
    } catch (error) {
      process.kill();
      throw error;
    } finally {
      clearTimeout(timer);
      this.#readyWait = undefined;
    }
  }

  #spawn(config: GatewayConfig): RouterProcess {
    const process = new RouterProcess({
      routerModule: this.#options.routerModule,
      nowMs: performance.now(),
      handleReport: (from, report) => this.#handleReport(from, report),
      handleEnd: (ended) => this.#handleEnd(ended),
    });
    this.#process = process;
    this.#isSilent = false;
    this.#heartbeatTimer ??= setInterval(() => this.#watchHeartbeat(), HEARTBEAT_CHECK_MS);
    this.#configure(process, config);
    return process;
  }

  #configure(process: RouterProcess, config: GatewayConfig): void {
    this.#configuredWith = config;
    process.send({
      type: "configure-routers",
      routers: config.virtualRouters,
      maintenance: this.#maintenance.routers,
      results: this.feed.tellAll(config),
      ...(config.user === undefined ? {} : { user: config.user }),
    });
  }

  #handleReport(process: RouterProcess, report: RouterReport): void {
    switch (report.type) {
      case "ready":
        process.isReady = true;
        this.#scheduling = report.scheduling;
        if (this.#readyWait?.process === process) this.#readyWait.resolve();
        return;
      case "fatal":
        process.fatalMessage = report.message;
        return;
      case "routers":
        // One that is leaving speaks of routers that are no longer configured.
        if (process === this.#process) this.#handleHeartbeat(report);
        return;
      case "transition":
        this.#handleTransition(report.record);
        return;
      case "order-done":
        this.#orders.settle(report.requestId, report.ok, report.lines);
        return;
      case "released":
        return;
      case "log":
        this.#logger.log(report.level, report.event, report.message, report.fields);
        return;
    }
  }

  #handleHeartbeat({ routers, loopLagMsMax, unknownIdCount }: RoutersReport): void {
    this.#report = {
      unknownIdCount,
      atMs: performance.now(),
      routers: new Map(routers.map((facts) => [facts.name, facts])),
    };
    // Each report tells the longest since the one before.
    this.#loopLagMsMax = Math.max(this.#loopLagMsMax, loopLagMsMax);
    this.#ledger.handleReport(routers);
    if (!this.#isSilent) return;
    this.#isSilent = false;
    this.#logger.log("info", "router-process-back", "the router process reports again");
  }

  #watchHeartbeat(): void {
    const nowMs = performance.now();
    const sinceLastCheckMs = nowMs - this.#checkedHeartbeatAtMs;
    this.#checkedHeartbeatAtMs = nowMs;
    // Stopped or starved ourselves: the reports of that time have not been read yet.
    if (sinceLastCheckMs > 2 * HEARTBEAT_CHECK_MS) return;
    if (this.#isSilent || this.#processState() !== "silent") return;
    this.#isSilent = true;
    const text = `the router process has not reported for ${HEARTBEAT_AGE_MS_MAX / 1000} s: stopped, starved or stuck; leased addresses run out by themselves`;
    this.#logger.log("error", "router-process-silent", text, { pid: this.#process?.pid ?? 0 });
  }

  #handleTransition(record: TransitionRecord): void {
    const { level, message, fields } = transitionLine(record);
    this.#logger.log(level, "router-transition", message, fields);
    this.#ledger.countTransition(record);
    const history = this.#history.get(record.router) ?? new TransitionHistory();
    this.#history.set(record.router, history);
    history.add(record);
    // The next report may be a tenth of a second away; until then the status would contradict the history.
    const facts = this.#report?.routers.get(record.router);
    if (facts !== undefined) {
      const inStateMs = -(performance.now() - this.#report!.atMs);
      this.#report!.routers.set(record.router, { ...facts, state: record.to, inStateMs });
    }
    const config = this.#configuredWith;
    const router = config?.virtualRouters.find(({ name }) => name === record.router);
    if (router !== undefined)
      this.#notifications.notify({ router, identity: execIdentityOf(config!) }, record);
  }

  #handleEnd(process: RouterProcess): void {
    const reason = process.fatalMessage ?? process.ending ?? "unknown";
    this.#ledger.handleProcessEnd();
    this.#orders.failAll(`the router process ended: ${reason}`);
    const isCurrent = this.#process === process;
    if (isCurrent) this.#forgetProcess();
    if (this.#readyWait?.process === process) {
      this.#readyWait.reject(new Error(`the router process could not start: ${reason}`));
    } else {
      if (!process.isEndExpected) {
        const text = `the router process ended by itself: ${reason}`;
        this.#logger.log("error", "router-process-ended", text, { pid: process.pid });
      }
      // Also one that was killed because a reload failed: the configuration in force wants it back.
      if (isCurrent) this.#respawnIfWanted(performance.now() - process.startedAtMs);
    }
    this.#leaving.get(process)?.();
    this.#leaving.delete(process);
    if (this.#isStopping) this.#tellTheLast(this.#notifyAtEndMs);
    this.#options.onIdle();
  }

  #forgetProcess(): void {
    this.#process = undefined;
    this.#report = undefined;
    this.#scheduling = undefined;
    clearInterval(this.#heartbeatTimer);
    this.#heartbeatTimer = undefined;
  }

  #respawnIfWanted(uptimeMs: number): void {
    if (this.#isStopping || this.#config === undefined || this.#process !== undefined) return;
    this.#cancelRespawn();
    const { delayMs, crashesInARow } = respawnAfter(this.#crashesInARow, uptimeMs);
    this.#crashesInARow = crashesInARow;
    this.#respawnTimer = setTimeout(() => {
      this.#respawnTimer = undefined;
      this.#restarts++;
      const { pid } = this.#spawn(this.#config!);
      this.#logger.log("info", "router-process-respawned", "the router process was started again", { pid });
    }, delayMs);
  }

  #cancelRespawn(): void {
    clearTimeout(this.#respawnTimer);
    this.#respawnTimer = undefined;
  }

  /** Hands everything over, as long as a peer may need for it, and waits for the end of the process. */
  #letGo(process: RouterProcess, config: GatewayConfig): Promise<void> {
    const routers = this.#configuredWith?.virtualRouters ?? config.virtualRouters;
    const deadlineMs = patienceMs(routers);
    process.isEndExpected = true;
    process.send({ type: "release", deadlineMs });
    this.#killLater(process, deadlineMs + KILL_AFTER_DEADLINE_MS);
    const ended = this.#ended(process);
    if (!this.#isStopping) this.#forgetProcess();
    return ended.then(() => this.#removeFilter());
  }

  #ended(process: RouterProcess): Promise<void> {
    return new Promise((resolve) => {
      const others = this.#leaving.get(process);
      this.#leaving.set(process, () => {
        others?.();
        resolve();
      });
    });
  }

  #killLater(process: RouterProcess, delayMs: number): void {
    clearTimeout(process.killTimer);
    process.killTimer = setTimeout(() => {
      const text = "the router process did not end in time: killed; leased addresses run out by themselves";
      this.#logger.log("warn", "router-process-killed", text, { pid: process.pid });
      process.kill();
    }, delayMs);
  }

  #removeFilter(): void {
    if (this.#config !== undefined && !this.#isStopping) return;
    const failure = this.#filter.remove();
    if (failure !== undefined) this.#logger.log("error", "accept-filter-left-behind", failure);
  }

  #tellTheLast(deadlineMs: number): void {
    this.#removeFilter();
    this.feed.commit(undefined);
    if (this.#notifications.isIdle) return;
    this.#isTellingTheLast = true;
    void this.#notifications.finish(deadlineMs).then(() => {
      this.#isTellingTheLast = false;
      this.#options.onIdle();
    });
  }

  // --- orders, and what is seen from outside

  async order(request: RouterOrderRequest): Promise<RouterOrderOutcome> {
    const parsed = parseRouterOrder(request, this.#config?.virtualRouters ?? []);
    if ("ok" in parsed) return parsed;
    const { router, order } = parsed;
    if (this.#isStopping) return refusal("the gateway is stopping");
    // Kept before it is carried out: a crash in between must not bring the router back.
    const warning =
      order === "handover"
        ? undefined
        : this.#maintenance.set(this.#companyOf(router), order === "maintenance");
    const outcome = await this.#carryOut(router, order);
    const text = `router ${router.name}: ${order}: ${outcome.lines.join("; ")} (operator)`;
    this.#logger.log(outcome.ok ? "info" : "warn", "router-ordered", text, { router: router.name, order });
    const isKept = warning === undefined || order === "resume";
    return isKept ? outcome : { ...outcome, lines: [...outcome.lines, `maintenance is ${warning}`] };
  }

  /** Orders are for all of a sync group (router-set.ts): what is kept of one must not put the others in or out at the next reload. */
  #companyOf({ name, syncGroup }: VirtualRouterConfig): readonly string[] {
    if (syncGroup === undefined) return [name];
    const routers = this.#config?.virtualRouters ?? [];
    return routers.filter((router) => router.syncGroup === syncGroup).map((router) => router.name);
  }

  async #carryOut(
    router: VirtualRouterConfig,
    order: "handover" | "maintenance" | "resume",
  ): Promise<RouterOrderOutcome> {
    const process = this.#process;
    if (process !== undefined && !process.isEndExpected) {
      const timeoutMs = patienceMs([router]) + KILL_AFTER_DEADLINE_MS;
      return this.#orders.wait(timeoutMs, (requestId) =>
        process.send({ type: "router-order", requestId, router: router.name, order }),
      );
    }
    const line = "the router process is not running";
    if (order === "handover") return refusal(line);
    return { ok: true, isUnknownName: false, lines: [`${line}; it is told when it starts again`] };
  }

  routers(): RouterStatus[] {
    const processState = this.#processState();
    const reportAgeMs = this.#report === undefined ? 0 : performance.now() - this.#report.atMs;
    return (this.#config?.virtualRouters ?? []).map((config) =>
      routerStatus({
        config,
        isInMaintenance: this.#maintenance.has(config.name),
        facts: this.#report?.routers.get(config.name),
        reportAgeMs,
        processState,
        counters: this.#ledger.counters(config.name),
        transitions: this.#ledger.transitions(config.name),
        lastTransition: this.#history.get(config.name)?.list().at(-1),
        nowUnixMs: Date.now(),
      }),
    );
  }

  /** Undefined: the configuration in force has no virtual routers. */
  processStatus(): RouterProcessStatus | undefined {
    if (this.#config === undefined) return undefined;
    const report = this.#report;
    return {
      pid: this.#process?.pid ?? null,
      state: this.#processState(),
      heartbeatAgeMs: report === undefined ? null : performance.now() - report.atMs,
      restarts: this.#restarts,
      loopLagMsMax: this.#loopLagMsMax,
      unknownIdCount: report?.unknownIdCount ?? 0,
      scheduling: this.#scheduling ?? null,
      notifications: this.#notifications.counts,
    };
  }

  /** What a reload with these virtual routers would do to those in force, for humans. */
  plan(virtualRouters: readonly VirtualRouterConfig[]): readonly string[] {
    const states = new Map<string, RouterState>();
    for (const { name, state } of this.routers()) if (state !== "unknown") states.set(name, state);
    return planRouters(this.#config?.virtualRouters ?? [], virtualRouters, states).lines;
  }

  document(): RoutersDocument {
    const history = [...this.#history.values()].flatMap((ofRouter) => ofRouter.list());
    history.sort((a, b) => a.atUnixMs - b.atUnixMs);
    return { process: this.processStatus() ?? null, routers: this.routers(), history };
  }

  #processState(): RouterProcessStatus["state"] {
    if (this.#process === undefined) return "not-running";
    const lastSignMs = this.#report?.atMs ?? this.#process.startedAtMs;
    if (performance.now() - lastSignMs > HEARTBEAT_AGE_MS_MAX) return "silent";
    return this.#report === undefined ? "starting" : "running";
  }
}

/** Longer than the slowest of their peers needs to take over. */
function patienceMs(routers: readonly VirtualRouterConfig[]): number {
  const patiences = routers.map(({ version, advertIntervalMs }) =>
    handoverPatienceMs(version, advertIntervalMs),
  );
  return Math.ceil(Math.max(0, ...patiences)) + KILL_AFTER_DEADLINE_MS;
}
