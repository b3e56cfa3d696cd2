/**
 * Carries out one schedule with real machines in virtual time, under the eyes of the invariants. Used by the test, which runs
 * thousands, and by vrrp-main.ts, which tells one in words.
 */
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import {
  type LanEvent,
  type Machine,
  type SentAdvertisement,
  SimulatedHost,
} from "../../src/testing/simulated-lan.ts";
import { SimulatedNetwork } from "../../src/testing/simulated-network.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { leaseSeconds } from "../../src/vrrp/lease.ts";
import type { FaultCause } from "../../src/vrrp/machine.ts";
import type { RouterSettings } from "../../src/vrrp/state.ts";
import { Invariants, InvariantViolation, settleBoundMs } from "./vrrp-invariants.ts";
import type { Incident, Schedule } from "./vrrp-schedule.ts";

export interface RunResult {
  /** undefined: every invariant held. */
  readonly violation: string | undefined;
  /** What happened, one line each; only when it was asked for. */
  readonly story: readonly string[];
  /** How often each `from → to (cause)` was seen. */
  readonly transitions: ReadonlyMap<string, number>;
  readonly conflictMsMax: number;
}

export interface RunOptions {
  readonly tellsStory?: boolean;
  readonly makeMachine?: (settings: RouterSettings) => Machine;
}

/** Watched after the election has to be over, in intervals: nothing may happen any more. */
const QUIET_INTERVALS = 12;

export function runSchedule(schedule: Schedule, options: RunOptions = {}): RunResult {
  const run = new Run(schedule, options);
  let violation: string | undefined;
  try {
    run.toTheEnd();
  } catch (error) {
    if (!(error instanceof InvariantViolation)) throw error;
    violation = error.message;
    run.tell(`VIOLATED ${violation}`);
  }
  return { violation, story: run.story, transitions: run.transitions, conflictMsMax: run.conflictMsMax };
}

class Run {
  readonly story: string[] = [];
  readonly transitions = new Map<string, number>();
  readonly #schedule: Schedule;
  readonly #options: RunOptions;
  readonly #clock = new VirtualClock();
  readonly #network: SimulatedNetwork<SentAdvertisement>;
  readonly #hosts: readonly SimulatedHost[];
  readonly #invariants: Invariants;
  /** Per host: what is wrong with it, as its driver knows it; outlives the process. */
  readonly #faults: readonly Set<FaultCause>[];
  /** Nothing goes wrong any more. */
  #isCalm = false;
  /** And everything should be decided. */
  #isSettled = false;

  constructor(schedule: Schedule, options: RunOptions) {
    this.#schedule = schedule;
    this.#options = options;
    const random = new SeededRandom(schedule.seed + 1e9);
    this.#network = new SimulatedNetwork(this.#clock, random, schedule.quietConditions);
    this.#hosts = schedule.hosts.map(
      ({ name, settings }) =>
        new SimulatedHost([{ name: "edge", network: this.#network, settings, leaseMs: leaseMs(settings) }], {
          name,
          clock: this.#clock,
          random,
          wakeLagMsMax: schedule.wakeLagMsMax,
          observe: (event) => this.#observe(event),
          ...(options.makeMachine === undefined ? {} : { makeMachine: options.makeMachine }),
        }),
    );
    this.#faults = this.#hosts.map(() => new Set());
    this.#invariants = new Invariants(this.#clock, schedule, this.#hosts);
  }

  get conflictMsMax(): number {
    return this.#invariants.conflictMsMax;
  }

  toTheEnd(): void {
    this.#introduce();
    for (const host of this.#hosts) host.start();
    for (const { atMs, incident } of this.#schedule.incidents) {
      this.#clock.advanceTo(Math.max(atMs, this.#clock.nowMs));
      this.#carryOut(incident);
    }
    this.#clock.advanceTo(this.#schedule.quietAtMs);
    this.#calmDown();
    this.#clock.advance(settleBoundMs(this.#schedule));
    const canBeActive = (host: SimulatedHost): boolean =>
      host.isRunning && this.#faults[this.#hosts.indexOf(host)]!.size === 0;
    this.#invariants.checkElected(canBeActive);
    if (!this.#schedule.incidents.some(({ incident }) => incident.kind === "handover"))
      this.#invariants.checkBestElected(canBeActive);
    this.#isSettled = true;
    const lastLeaseMs = Math.max(...this.#hosts.map((it) => it.routers[0]!.leaseMs));
    this.#clock.advance(Math.max(lastLeaseMs, QUIET_INTERVALS * this.#schedule.intervalMsMax));
    this.#invariants.checkElected(canBeActive);
    this.#invariants.checkLeftovers();
  }

  tell(line: string): void {
    if (this.#options.tellsStory === true)
      this.story.push(`${this.#clock.nowMs.toFixed(3).padStart(12)}  ${line}`);
  }

  #introduce(): void {
    const { seed, version, intervalMsMax, delayMsMax, wakeLagMsMax } = this.#schedule;
    this.tell(
      `seed ${seed}: version ${version}, longest interval ${intervalMsMax} ms, delay ≤ ${delayMsMax} ms, lag ≤ ${wakeLagMsMax} ms`,
    );
    for (const { name, settings } of this.#schedule.hosts) this.tell(`${name}: ${JSON.stringify(settings)}`);
  }

  #observe(event: LanEvent): void {
    this.#narrate(event);
    if (event.kind === "transition") {
      const { from, to, cause } = event.transition;
      const name = `${from} → ${to} (${cause})`;
      this.transitions.set(name, (this.transitions.get(name) ?? 0) + 1);
      if (this.#isSettled)
        throw new InvariantViolation(`${event.host}: ${name} although nothing has happened for long`);
    }
    this.#invariants.observe(event);
  }

  #narrate(event: LanEvent): void {
    if (this.#options.tellsStory !== true || event.kind === "settled") return;
    if (event.kind === "transition") {
      const { from, to, cause, detail } = event.transition;
      this.tell(`${event.host}: ${from} → ${to} (${cause}) ${detail}`);
    } else if (event.kind === "process") this.tell(`${event.host}: process ${event.state}`);
    else if (event.kind === "sent") this.tell(`${event.host}: advertisement, priority ${event.priority}`);
    else if (event.kind === "effect") this.tell(`${event.host}: ${JSON.stringify(event.effect)}`);
    else
      this.tell(`${event.host}: addresses ${event.isInstalled ? "installed" : "removed"} (${event.reason})`);
  }

  #carryOut(incident: Incident): void {
    this.tell(`── ${JSON.stringify(incident)}`);
    switch (incident.kind) {
      case "conditions":
        this.#network.setConditions(incident.conditions);
        break;
      case "partition":
        for (const [index, part] of incident.parts.entries())
          this.#network.moveToPart(this.#hosts[index]!.name, part);
        break;
      default:
        this.#strike(incident);
    }
    this.#invariants.checkConflicts();
  }

  /** Something that happens to one host; nothing more happens to one that is not running. */
  #strike(incident: Exclude<Incident, { kind: "conditions" | "partition" }>): void {
    const host = this.#hosts[incident.host]!;
    if (incident.kind === "lose-addresses") host.loseAddresses();
    if (!host.isRunning) return;
    switch (incident.kind) {
      case "freeze":
        host.freeze(incident.isMachinePaused);
        this.#later(incident.lastsMs, () => this.#thaw(host));
        return;
      case "crash":
      case "stop":
        host[incident.kind]();
        this.#later(incident.awayMs, () => this.#restart(host));
        return;
      case "priority":
        host.tell((machine, nowMs) => machine.handlePriority(nowMs, incident.priority, "a tracker"));
        return;
      case "fault":
        this.#fault(host, incident.cause);
        this.#later(incident.lastsMs, () => this.#recover(host, incident.cause));
        return;
      case "handover":
        host.tell((machine, nowMs) => machine.handleHandover(nowMs));
        this.#later(incident.resumeAfterMs, () => {
          if (host.isRunning) host.tell((machine, nowMs) => machine.handleResume(nowMs));
        });
        return;
      case "reload":
        this.#reload(host, incident.settings);
    }
  }

  #later(delayMs: number, act: () => void): void {
    this.#clock.after(delayMs, () => {
      if (this.#isCalm) return;
      act();
      this.#invariants.checkConflicts();
    });
  }

  #thaw(host: SimulatedHost): void {
    if (host.process === "frozen") host.thaw();
  }

  #restart(host: SimulatedHost): void {
    if (host.process !== "crashed" && host.process !== "stopped") return;
    host.start();
    const faults = this.#faults[this.#hosts.indexOf(host)]!;
    const [cause] = faults;
    if (cause !== undefined)
      host.tell((machine, nowMs) => machine.handleFault(nowMs, cause, "still wrong after a restart"));
  }

  /** The driver keeps the set of faults; the machine hears of the first and of the last. */
  #fault(host: SimulatedHost, cause: FaultCause): void {
    const faults = this.#faults[this.#hosts.indexOf(host)]!;
    faults.add(cause);
    if (faults.size === 1) host.tell((machine, nowMs) => machine.handleFault(nowMs, cause, "simulated"));
  }

  #recover(host: SimulatedHost, cause: FaultCause): void {
    const faults = this.#faults[this.#hosts.indexOf(host)]!;
    // A process that is away learns of it when it comes back; a frozen one is given the news on waking, in calmDown().
    if (!faults.has(cause) || host.process === "frozen") return;
    faults.delete(cause);
    if (faults.size === 0 && host.isRunning)
      host.tell((machine, nowMs) => machine.handleRecovery(nowMs, cause, "simulated"));
  }

  #reload(host: SimulatedHost, settings: RouterSettings): void {
    host.tell((machine, nowMs, router) => {
      router.settings = settings;
      machine.handleSettings(nowMs, settings);
      machine.handlePriority(nowMs, settings.priority, "reload");
    });
  }

  /** Whole and quiet: everybody is heard, runs, and nothing that was to happen still happens. Some stay in fault or away. */
  #calmDown(): void {
    const random = new SeededRandom(this.#schedule.seed + 2e9);
    this.tell("── whole and quiet");
    this.#isCalm = true;
    this.#network.heal();
    this.#network.setConditions(this.#schedule.quietConditions);
    for (const host of this.#hosts) {
      this.#thaw(host);
      if (random.chance(0.8)) this.#restart(host);
      for (const cause of [...this.#faults[this.#hosts.indexOf(host)]!])
        if (random.chance(0.8)) this.#recover(host, cause);
    }
    this.#invariants.checkConflicts();
  }
}

function leaseMs(settings: RouterSettings): number {
  return 1000 * leaseSeconds("auto", settings.advertIntervalMs)!;
}
