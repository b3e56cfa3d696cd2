/**
 * The supervisor: an ordinary Node process that binds the listening sockets, starts the workers and starts them again,
 * reloads, drains, and answers the admin API. It never touches a client's byte. Its phases are in phases.ts, the
 * messages in messages.ts. Called by `holdfast run` and `holdfast demo`.
 *
 * A reload keeps the promise "never a moment without an accepting worker": the new generation is bound, spawned and
 * `ready` before the old one hears `drain`; whatever fails before that point changes nothing.
 */
import type { GatewayConfig, SocketAddress, VirtualRouterConfig } from "../config/types.ts";
import { CounterLedger, type GatewayCounters, type WorkerCounters } from "../observe/counter-ledger.ts";
import type { GatewayFacts, ReloadFacts } from "../observe/gateway-facts.ts";
import type { Logger } from "../observe/log.ts";
import { formatPrometheus } from "../observe/prometheus.ts";
import type { RoutersDocument } from "../observe/router-status.ts";
import { type StatusDocument, statusDocument } from "../observe/status.ts";
import { raiseDescriptorLimit } from "../sys/process.ts";
import { formatSocketAddress } from "../sys/sockaddr.ts";
import { closeAccessLog, openAccessLog } from "./access-log-file.ts";
import { type AdminActions, AdminServer, type ReloadOutcome } from "./admin-server.ts";
import { HeartbeatReceiver } from "./heartbeat-receiver.ts";
import { ListeningSockets } from "./listening-sockets.ts";
import type { WorkerMessage } from "./messages.ts";
import { PHASES, type Phase, type PhaseEvent, phaseAfter } from "./phases.ts";
import { findUser } from "./privileges.ts";
import { respawnAfter } from "./respawn-policy.ts";
import type { RouterOrderOutcome, RouterOrderRequest } from "./router-orders.ts";
import { RouterSupervision } from "./router-supervision.ts";
import type { OrderOutcome, ServerOrderRequest } from "./server-orders.ts";
import { ServerStates } from "./server-states.ts";
import { SessionCollector, type SessionsDocument } from "./session-collector.ts";
import { WorkerProcess } from "./worker-process.ts";

/** What loading the configuration gives: the values, or every problem as a line for humans. */
export type LoadedConfig =
  | { readonly ok: true; readonly config: GatewayConfig; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly problems: readonly string[] };

export interface SupervisorOptions {
  readonly version: string;
  readonly configFile: string | undefined;
  /** Called at the start and for every reload. */
  readonly load: () => Promise<LoadedConfig>;
  /** What a reload changes, for humans (config/diff.ts). */
  readonly describeChange?: (before: GatewayConfig, after: GatewayConfig) => readonly string[];
  readonly logger: Logger;
  /** Tests run another worker, another router process. */
  readonly workerModule?: string;
  readonly routerModule?: string;
  readonly readyTimeoutMs?: number;
}

/** The gateway could not start; `lines` say why. */
export class StartError extends Error {
  override readonly name = "StartError";
  /** True when the configuration is at fault, not the machine. */
  readonly isConfigError: boolean;
  readonly lines: readonly string[];

  constructor(lines: readonly string[], isConfigError: boolean, cause?: unknown) {
    super(lines.join("\n"), { cause });
    this.lines = lines;
    this.isConfigError = isConfigError;
  }
}

const READY_TIMEOUT_MS = 10_000;
/** A worker keeps its drain deadline by itself; this much later it is killed. */
const KILL_AFTER_DEADLINE_MS = 1_000;
const KILL_AFTER_STOP_MS = 500;

/** One configuration with the workers that run it. */
interface Generation {
  readonly number: number;
  readonly config: GatewayConfig;
  accessLogFd: number | undefined;
}

export class Supervisor implements AdminActions {
  /** Resolves when nothing is left running. */
  readonly stopped: Promise<void>;
  readonly #options: SupervisorOptions;
  readonly #logger: Logger;
  readonly #startedAtMs = Date.now();
  readonly #sockets = new ListeningSockets();
  readonly #ledger = new CounterLedger();
  readonly #workers = new Set<WorkerProcess>();
  readonly #sessions = new SessionCollector();
  readonly #servers: ServerStates;
  readonly #routers: RouterSupervision;
  /** Crashes in a row and the pending respawn, by worker index. */
  readonly #crashesInARow = new Map<number, number>();
  readonly #respawnTimers = new Map<number, NodeJS.Timeout>();
  #resolveStopped: () => void = () => {};
  #phase: Phase = "starting";
  #generation: Generation | undefined;
  /** Counts attempts too, so that two generations never share a number. */
  #lastGenerationNumber = 0;
  #admin: AdminServer | undefined;
  #heartbeats: HeartbeatReceiver | undefined;
  #readiness: Readiness | undefined;
  #reloadInProgress: Promise<ReloadOutcome> | undefined;
  #respawns = 0;
  #reloadsOk = 0;
  #reloadsFailed = 0;
  #lastReload: ReloadFacts | undefined;
  #isStopRequested = false;
  /** stop(), not drain(). */
  #isStopAtOnce = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#logger = options.logger;
    this.#servers = new ServerStates(options.logger, () => this.#workers);
    this.#routers = new RouterSupervision({
      logger: options.logger,
      serverFacts: (config) => this.#servers.factsOf(config),
      workers: () => this.#workersInForce(),
      onIdle: () => this.#finishIfEmpty(),
      readyTimeoutMs: options.readyTimeoutMs ?? READY_TIMEOUT_MS,
      routerModule: options.routerModule,
    });
    this.#servers.onChange = () => this.#routers.feed.refresh();
    this.stopped = new Promise((resolve) => {
      this.#resolveStopped = resolve;
    });
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** True once drain() or stop() was heard; a start that then fails is no failure. */
  get isStopRequested(): boolean {
    return this.#isStopRequested;
  }

  /** Resolves when every worker accepts. Throws a StartError, with everything undone. */
  async start(): Promise<void> {
    try {
      const loaded = await this.#options.load();
      if (!loaded.ok) {
        throw new StartError(loaded.problems, true);
      }
      this.#logWarnings(loaded.warnings);
      raiseDescriptorLimit();
      await this.#adopt(loaded.config);
    } catch (error) {
      this.#killWorkers([...this.#workers]);
      this.#enter("start-failed");
      this.#finishIfEmpty();
      throw error instanceof StartError ? error : new StartError(linesOf(error), false, error);
    }
    this.#enter("all-workers-ready");
    this.#logger.log("info", "started", this.#whatItDoes(), {
      workers: this.#generation!.config.workers,
      pid: process.pid,
    });
  }

  /** Never rejects. A reload that is asked for during another one begins when that one has ended. */
  async reload(): Promise<ReloadOutcome> {
    while (this.#reloadInProgress !== undefined) {
      await this.#reloadInProgress;
    }
    if (!this.#enter("reload-requested")) {
      return { ok: false, lines: [`no reload while the gateway is ${this.#phase}`] };
    }
    this.#reloadInProgress = this.#reload();
    const outcome = await this.#reloadInProgress;
    this.#reloadInProgress = undefined;
    this.#enter("reload-finished");
    return outcome;
  }

  /** Stops accepting and lets the workers finish, `drain_timeout` at the longest. */
  drain(): void {
    const isStarting = this.#phase === "starting";
    if (!this.#enter("drain-requested")) {
      return;
    }
    this.#isStopRequested = true;
    const drainTimeoutMs = this.#generation?.config.drainTimeoutMs ?? 0;
    this.#logger.log(
      "info",
      "draining",
      `finishing what is in progress, ${drainTimeoutMs / 1000} s at the longest`,
    );
    this.#readiness?.fail("the gateway was told to stop");
    this.#cancelRespawns();
    // Virtual routers first: as long as their addresses are here, clients come here.
    const hasRouters = !this.#routers.isIdle;
    const released = this.#routers.release();
    if (hasRouters) void released.then(() => this.#drainWorkers(drainTimeoutMs, isStarting));
    else this.#drainWorkers(drainTimeoutMs, isStarting);
  }

  #drainWorkers(drainTimeoutMs: number, isStarting: boolean): void {
    this.#cancelRespawns();
    this.#sockets.closeAll();
    if (!this.#isStopAtOnce) for (const worker of this.#workers) this.#drainWorker(worker, drainTimeoutMs);
    // start() is still looking up names or binding: it notices, undoes what it did and finishes.
    if (!isStarting) {
      this.#finishIfEmpty();
    }
  }

  /** Ends at once, whatever is in progress. */
  stop(): void {
    this.drain();
    this.#isStopAtOnce = true;
    this.#routers.stop();
    for (const worker of this.#workers) {
      worker.isEndExpected = true;
      worker.send({ type: "stop" });
      this.#killLater(worker, KILL_AFTER_STOP_MS);
    }
  }

  /** After log rotation: a new file for everybody. */
  reopenLogs(): void {
    const generation = this.#generation;
    if (generation?.config.accessLog === undefined) {
      return;
    }
    try {
      const accessLogFd = openAccessLog(generation.config);
      closeAccessLog(generation.accessLogFd);
      generation.accessLogFd = accessLogFd;
    } catch (error) {
      this.#logger.log("error", "reopen-logs-failed", linesOf(error).join("; "));
      return;
    }
    for (const worker of this.#workers) {
      worker.send({ type: "reopen-logs" });
    }
    this.#logger.log("info", "logs-reopened", "access log opened again");
  }

  status(): StatusDocument {
    const live = this.#liveCounters();
    return statusDocument({
      facts: this.#facts(),
      config: this.#config(),
      counters: this.#counters(live),
      workerBlocks: new Map([...this.#workers].map((worker, i) => [worker.pid, live[i]!.counters])),
      addresses: this.#boundAddresses(),
    });
  }

  /** Drain, maintenance, weight of one server. */
  orderServer(request: ServerOrderRequest): OrderOutcome {
    return this.#servers.order(request);
  }

  /** Live TCP sessions of all workers, those that drain included. */
  sessions(limit: number): Promise<SessionsDocument> {
    return this.#sessions.collect(this.#workers, limit);
  }

  /** Handover, maintenance, resume of one virtual router; answered when it is carried out. */
  orderRouter(request: RouterOrderRequest): Promise<RouterOrderOutcome> {
    return this.#routers.order(request);
  }

  routers(): RoutersDocument {
    return this.#routers.document();
  }

  /** What a reload with these virtual routers would do, for humans. */
  planRouters(virtualRouters: readonly VirtualRouterConfig[]): readonly string[] {
    return this.#routers.plan(virtualRouters);
  }

  metrics(): string {
    return formatPrometheus(this.#facts(), this.#counters(this.#liveCounters()));
  }

  // --- a generation: bind, spawn, wait, and only then let go of the old one

  /** Everything that can fail comes first; then the new generation is in force. Throws with the old state intact. */
  async #adopt(config: GatewayConfig): Promise<void> {
    this.#lastGenerationNumber++;
    if (config.user !== undefined && process.getuid!() === 0) {
      findUser(config.user); // a clear error now, instead of one from every worker
    }
    const prepared = this.#sockets.prepare(config.listeners);
    let accessLogFd: number | undefined;
    let admin: AdminServer | undefined;
    let heartbeats: HeartbeatReceiver | undefined;
    const spawned: WorkerProcess[] = [];
    const generation: Generation = { number: this.#lastGenerationNumber, config, accessLogFd };
    try {
      accessLogFd = openAccessLog(config);
      generation.accessLogFd = accessLogFd;
      admin = await this.#prepareAdmin(config.admin);
      heartbeats = await this.#prepareHeartbeats(config.heartbeats?.bind);
      if (this.#isStopRequested) {
        throw new Error("the gateway was told to stop"); // while the file was read or the admin API bound
      }
      this.#servers.prepare(config);
      this.#readiness = new Readiness(config.workers, this.#options.readyTimeoutMs ?? READY_TIMEOUT_MS);
      for (let index = 0; index < config.workers; index++) {
        spawned.push(this.#spawn(index, generation, prepared.sockets));
      }
      await this.#readiness.done;
      await this.#routers.prepare(config);
      if (spawned.some((worker) => !this.#workers.has(worker))) {
        throw new Error("a worker ended while the virtual routers were prepared");
      }
    } catch (error) {
      this.#routers.rollback();
      this.#killWorkers(spawned);
      closeAccessLog(accessLogFd);
      if (admin !== this.#admin) {
        admin?.close();
      }
      if (heartbeats !== this.#heartbeats) {
        heartbeats?.close();
      }
      prepared.rollback();
      throw error;
    } finally {
      this.#readiness?.cancel();
      this.#readiness = undefined;
    }
    prepared.commit();
    this.#replaceAdmin(admin);
    const previous = this.#generation;
    this.#generation = generation;
    this.#replaceHeartbeats(heartbeats, config);
    this.#routers.commit(config);
    closeAccessLog(previous?.accessLogFd);
    this.#letGoOfOlder(generation);
  }

  /** The admin server in force when its address stays, a new one otherwise. */
  async #prepareAdmin(address: SocketAddress | undefined): Promise<AdminServer | undefined> {
    if (address === undefined) {
      return undefined;
    }
    const current = this.#admin;
    const isSame =
      current !== undefined && formatSocketAddress(current.address) === formatSocketAddress(address);
    return isSame ? current : AdminServer.listen(address, this);
  }

  #replaceAdmin(admin: AdminServer | undefined): void {
    if (admin !== this.#admin) {
      this.#admin?.close();
      this.#admin = admin;
    }
  }

  /** As with the admin server. */
  async #prepareHeartbeats(address: SocketAddress | undefined): Promise<HeartbeatReceiver | undefined> {
    if (address === undefined) {
      return undefined;
    }
    const current = this.#heartbeats;
    const isSame =
      current !== undefined && formatSocketAddress(current.address) === formatSocketAddress(address);
    return isSame ? current : HeartbeatReceiver.listen(address);
  }

  #replaceHeartbeats(heartbeats: HeartbeatReceiver | undefined, config: GatewayConfig): void {
    const previous = this.#heartbeats;
    this.#heartbeats = heartbeats;
    heartbeats?.configure(config.pools);
    this.#servers.commit(config, heartbeats);
    if (previous !== heartbeats) {
      previous?.close();
    }
  }

  #letGoOfOlder(generation: Generation): void {
    this.#cancelRespawns();
    for (const worker of this.#workers) {
      if (worker.generation !== generation.number && !worker.isEndExpected) {
        this.#drainWorker(worker, generation.config.drainTimeoutMs);
      }
    }
  }

  async #reload(): Promise<ReloadOutcome> {
    const outcome = await this.#tryReload();
    this.#lastReload = { atMs: Date.now(), ok: outcome.ok, lines: outcome.lines };
    if (outcome.ok) {
      this.#reloadsOk++;
      this.#logger.log("info", "reloaded", `reloaded: ${outcome.lines.join("; ")}`);
    } else {
      this.#reloadsFailed++;
      const text = `reload failed, nothing has changed:\n${outcome.lines.join("\n")}`;
      this.#logger.log("error", "reload-failed", text);
    }
    return outcome;
  }

  async #tryReload(): Promise<ReloadOutcome> {
    try {
      const loaded = await this.#options.load();
      if (!loaded.ok) {
        return { ok: false, lines: loaded.problems };
      }
      this.#logWarnings(loaded.warnings);
      if (this.#phase !== "reloading") {
        return { ok: false, lines: ["the gateway was told to stop"] };
      }
      const before = this.#config();
      await this.#adopt(loaded.config);
      const changes = this.#options.describeChange?.(before, loaded.config) ?? [];
      return { ok: true, lines: changes.length === 0 ? ["new workers, same configuration"] : changes };
    } catch (error) {
      return { ok: false, lines: linesOf(error) };
    }
  }

  // --- workers

  #spawn(index: number, generation: Generation, sockets: ListeningSockets["all"]): WorkerProcess {
    const worker = new WorkerProcess({
      index,
      generation: generation.number,
      config: generation.config,
      sockets,
      accessLogFd: generation.accessLogFd,
      workerModule: this.#options.workerModule,
      nowMs: Date.now(),
      handleMessage: (from, message) => this.#handleMessage(from, message),
      handleEnd: (ended) => this.#handleEnd(ended),
    });
    this.#workers.add(worker);
    this.#servers.tellAll(worker);
    return worker;
  }

  #handleMessage(worker: WorkerProcess, message: WorkerMessage): void {
    const fields = { worker: worker.index, pid: worker.pid };
    switch (message.type) {
      case "ready":
        if (worker.state === "starting") {
          worker.state = "running";
          if (worker.generation === this.#lastGenerationNumber) {
            this.#readiness?.countReady();
          }
        }
        return;
      case "drained":
        return;
      case "sessions":
        this.#sessions.handleAnswer(worker, message);
        return;
      case "pong":
        this.#routers.feed.handlePong(worker);
        return;
      case "observations":
        this.#servers.observe(worker.config, message.observations);
        return;
      case "fatal":
        worker.fatalMessage = message.message;
        this.#logger.log("error", "worker-fatal", `worker ${worker.index}: ${message.message}`, fields);
        return;
      case "log":
        this.#logger.log(message.level, message.event, message.message, { ...fields, ...message.fields });
        return;
    }
  }

  #handleEnd(worker: WorkerProcess): void {
    this.#ledger.retire(countersOf(worker));
    worker.release();
    this.#workers.delete(worker);
    this.#sessions.handleWorkerEnd(worker);
    const reason = worker.fatalMessage ?? worker.ending ?? "unknown";
    if (!worker.isEndExpected) {
      this.#logger.log("error", "worker-ended", `worker ${worker.index} ended by itself: ${reason}`, {
        worker: worker.index,
        pid: worker.pid,
      });
      this.#handleCrash(worker, reason);
    }
    const generation = this.#generation;
    if (
      generation !== undefined &&
      [...this.#workers].every((other) => other.generation >= generation.number)
    ) {
      this.#ledger.forgetAllBut(generation.config);
    }
    this.#finishIfEmpty();
  }

  #handleCrash(worker: WorkerProcess, reason: string): void {
    if (this.#readiness !== undefined && worker.generation === this.#lastGenerationNumber) {
      this.#readiness.fail(`worker ${worker.index} could not start: ${reason}`);
    } else if (worker.generation === this.#generation?.number) {
      this.#respawnLater(worker.index, Date.now() - worker.startedAtMs);
    }
  }

  #respawnLater(index: number, uptimeMs: number): void {
    const { delayMs, crashesInARow } = respawnAfter(this.#crashesInARow.get(index) ?? 0, uptimeMs);
    this.#crashesInARow.set(index, crashesInARow);
    const timer = setTimeout(() => {
      this.#respawnTimers.delete(index);
      this.#respawn(index);
    }, delayMs);
    this.#respawnTimers.set(index, timer);
  }

  #cancelRespawns(): void {
    for (const timer of this.#respawnTimers.values()) {
      clearTimeout(timer);
    }
    this.#respawnTimers.clear();
  }

  #respawn(index: number): void {
    this.#respawns++;
    try {
      const { pid } = this.#spawn(index, this.#generation!, this.#sockets.all);
      this.#logger.log("info", "worker-respawned", `worker ${index} started again`, { worker: index, pid });
    } catch (error) {
      // Out of descriptors, most likely. The other workers go on; this one is tried again.
      this.#logger.log("error", "worker-respawn-failed", linesOf(error).join("; "), { worker: index });
      this.#respawnLater(index, 0);
    }
  }

  #drainWorker(worker: WorkerProcess, deadlineMs: number): void {
    worker.isEndExpected = true;
    worker.state = "draining";
    worker.send({ type: "drain", deadlineMs });
    this.#killLater(worker, deadlineMs + KILL_AFTER_DEADLINE_MS);
  }

  #killLater(worker: WorkerProcess, delayMs: number): void {
    clearTimeout(worker.killTimer);
    worker.killTimer = setTimeout(() => {
      this.#logger.log("warn", "worker-killed", `worker ${worker.index} did not end in time: killed`, {
        worker: worker.index,
        pid: worker.pid,
      });
      worker.kill();
    }, delayMs);
  }

  #killWorkers(workers: readonly WorkerProcess[]): void {
    for (const worker of workers) {
      worker.kill();
    }
  }

  // --- phases

  /** False when the event means nothing in this phase. */
  #enter(event: PhaseEvent): boolean {
    const next = phaseAfter(this.#phase, event);
    if (next !== undefined) {
      this.#phase = next;
    }
    return next !== undefined;
  }

  #finishIfEmpty(): void {
    if (this.#workers.size > 0 || !this.#routers.isIdle) {
      return;
    }
    const hasFinished = this.#enter("last-worker-gone");
    if (hasFinished || this.#phase === "stopped") {
      this.#sockets.closeAll();
      this.#servers.stop();
      this.#heartbeats?.close();
      this.#heartbeats = undefined;
      this.#replaceAdmin(undefined);
      closeAccessLog(this.#generation?.accessLogFd);
      this.#generation = undefined;
      if (hasFinished) {
        this.#logger.log("info", "stopped", "stopped");
      }
      this.#resolveStopped();
    }
  }

  // --- what is seen from outside

  #config(): GatewayConfig {
    return this.#generation?.config ?? NO_CONFIG;
  }

  #liveCounters(): WorkerCounters[] {
    return [...this.#workers].map(countersOf);
  }

  #counters(live: readonly WorkerCounters[]): GatewayCounters {
    return this.#ledger.total(this.#config(), live);
  }

  #facts(): GatewayFacts {
    return {
      version: this.#options.version,
      pid: process.pid,
      configFile: this.#options.configFile,
      nowMs: Date.now(),
      startedAtMs: this.#startedAtMs,
      phase: this.#phase,
      phases: PHASES,
      generation: this.#generation?.number ?? 0,
      workers: [...this.#workers].map((worker) => worker.facts()),
      respawns: this.#respawns,
      reloadsOk: this.#reloadsOk,
      reloadsFailed: this.#reloadsFailed,
      lastReload: this.#lastReload,
      servers: this.#servers.facts(),
      routers: this.#routers.routers(),
      routerProcess: this.#routers.processStatus(),
    };
  }

  #boundAddresses(): Map<string, SocketAddress[]> {
    const addresses = new Map<string, SocketAddress[]>();
    for (const { listener, address } of this.#sockets.all) {
      addresses.set(listener, [...(addresses.get(listener) ?? []), address]);
    }
    return addresses;
  }

  #workersInForce(): readonly WorkerProcess[] {
    const number = this.#generation?.number;
    return [...this.#workers].filter((worker) => worker.generation === number && worker.state === "running");
  }

  #whatItDoes(): string {
    const addresses = this.#sockets.all.map((socket) => formatSocketAddress(socket.address));
    const routers = this.#config().virtualRouters.map(({ name }) => name);
    const parts = [
      ...(addresses.length === 0 ? [] : [`accepting on ${addresses.join(", ")}`]),
      ...(routers.length === 0 ? [] : [`virtual routers ${routers.join(", ")}`]),
    ];
    return parts.join("; ");
  }

  #logWarnings(warnings: readonly string[]): void {
    for (const warning of warnings) {
      this.#logger.log("warn", "config-warning", warning);
    }
  }
}

/** Waits for the `ready` of a whole generation. */
class Readiness {
  readonly done: Promise<void>;
  #missing: number;
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};
  readonly #timer: NodeJS.Timeout;

  constructor(workers: number, timeoutMs: number) {
    this.#missing = workers;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.done.catch(() => {}); // may fail before anybody waits for it
    if (workers === 0) this.#resolve(); // virtual routers alone
    this.#timer = setTimeout(() => {
      this.fail(`${this.#missing} of ${workers} workers were not ready within ${timeoutMs / 1000} s`);
    }, timeoutMs);
  }

  countReady(): void {
    this.#missing--;
    if (this.#missing === 0) {
      this.#resolve();
    }
  }

  fail(reason: string): void {
    this.#reject(new Error(reason));
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }
}

const NO_CONFIG: GatewayConfig = {
  workers: 0,
  user: undefined,
  admin: undefined,
  drainTimeoutMs: 0,
  accessLog: undefined,
  heartbeats: undefined,
  listeners: [],
  pools: [],
  virtualRouters: [],
  stateDir: undefined,
};

function countersOf(worker: WorkerProcess): WorkerCounters {
  return { workerIndex: worker.index, config: worker.config, counters: worker.readCounters() };
}

/** The message and, where the error has one, its hint. */
function linesOf(error: unknown): string[] {
  if (!(error instanceof Error)) {
    return [String(error)];
  }
  const hint = (error as { hint?: unknown }).hint;
  return typeof hint === "string" ? [error.message, `hint: ${hint}`] : [error.message];
}
