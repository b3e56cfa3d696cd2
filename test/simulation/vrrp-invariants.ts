/**
 * What must hold in every simulated run of virtual routers, whatever goes wrong. It watches from outside: addresses in kernels,
 * advertisements on the wire, transitions as they are told.
 *
 * The model. I = longest interval, d = longest one-way delay, g = longest lag of a process that runs.
 *  - Two hosts have the addresses at the same time, both run, hear each other, and nothing is lost: for at most I + d + 2g. The better
 *    one sends within I + g, the worse one hears it d later and has handled it g later.
 *  - A process that runs has handled everything: it has addresses if and only if it is active.
 *  - An active router sends every interval (+ g); one that leaves the office of its own will says so with priority 0.
 *  - A router steps down for a better one only and preempts a worse one only, when it may.
 *  - After the network is whole and quiet, settleBoundMs() later exactly one router is active, the best of those
 *    that preempt, and stays.
 */
import type { LanEvent, SimulatedHost, SimulatedRouter } from "../../src/testing/simulated-lan.ts";
import type { VirtualClock } from "../../src/testing/virtual-clock.ts";
import type { RouterState, Transition } from "../../src/vrrp/state.ts";
import type { Schedule } from "./vrrp-schedule.ts";

export class InvariantViolation extends Error {}

/** Floating point: sums of fractions of a millisecond. */
const ROUNDING_MS = 1e-6;

type Bounds = Pick<
  Schedule,
  "version" | "intervalMsMax" | "preemptDelayMsMax" | "wakeLagMsMax" | "delayMsMax"
>;

/** Skew of version 2 is a part of a second, of version 3 a part of the interval. */
function skewMsMax({ version, intervalMsMax }: Bounds): number {
  return version === 2 ? 1000 : intervalMsMax;
}

export function conflictBoundMs(bounds: Bounds): number {
  return bounds.intervalMsMax + bounds.delayMsMax + 2 * bounds.wakeLagMsMax;
}

/** A handover that nobody answers; then silence, with both rounds of listening; a conflict; the best one's preemption. */
export function settleBoundMs(bounds: Bounds): number {
  const intervalMs = bounds.intervalMsMax;
  const skewMs = skewMsMax(bounds);
  const patienceMs = 3 * intervalMs + skewMs;
  const listeningMs = intervalMs + skewMs;
  const handoverMs = 4 * intervalMs + skewMs;
  const hopsMs = 8 * (bounds.delayMsMax + bounds.wakeLagMsMax);
  return handoverMs + 2 * patienceMs + 2 * listeningMs + intervalMs + bounds.preemptDelayMsMax + hopsMs;
}

interface Watched {
  readonly host: SimulatedHost;
  readonly router: SimulatedRouter;
  state: RouterState;
  /** The last advertisement of this term of office; undefined while there is no promise to send. */
  sentAtMs: number | undefined;
  handoverSinceMs: number | undefined;
  /** Since the process last had nothing to do. */
  leftOffice: boolean;
  saidZero: boolean;
  becameActive: boolean;
  announced: boolean;
}

export class Invariants {
  readonly #clock: VirtualClock;
  readonly #bounds: Bounds;
  readonly #watched: Watched[];
  /** Pairs that both have the addresses and could know it: since when. */
  readonly #conflictSince = new Map<string, number>();
  /** The longest conflict seen. */
  conflictMsMax = 0;

  constructor(clock: VirtualClock, bounds: Bounds, hosts: readonly SimulatedHost[]) {
    this.#clock = clock;
    this.#bounds = bounds;
    this.#watched = hosts.flatMap((host) =>
      host.routers.map((router) => ({
        host,
        router,
        state: "initialize" as const,
        sentAtMs: undefined,
        handoverSinceMs: undefined,
        leftOffice: false,
        saidZero: false,
        becameActive: false,
        announced: false,
      })),
    );
  }

  observe(event: LanEvent): void {
    for (const watched of this.#watched) {
      if (watched.host.name !== event.host) continue;
      if ("router" in event && event.router !== watched.router.name) continue;
      this.#note(watched, event);
    }
    this.checkConflicts();
  }

  /** Also to be called when the network changes: it decides who could know of whom. */
  checkConflicts(): void {
    const nowMs = this.#clock.nowMs;
    for (const [index, a] of this.#watched.entries()) {
      for (const b of this.#watched.slice(index + 1)) {
        if (a.router.name !== b.router.name) continue;
        const key = `${a.host.name}+${b.host.name} ${a.router.name}`;
        const sinceMs = this.#conflictSince.get(key);
        if (sinceMs !== undefined) this.#checkConflict(key, nowMs - sinceMs);
        if (!couldKnowOfConflict(a, b)) this.#conflictSince.delete(key);
        else if (sinceMs === undefined) this.#conflictSince.set(key, nowMs);
      }
    }
  }

  /** After the bound: exactly one of those that can be, with addresses; nobody else has any. */
  checkElected(canBeActive: (host: SimulatedHost) => boolean): void {
    for (const name of new Set(this.#watched.map((it) => it.router.name))) {
      const all = this.#watched.filter((it) => it.router.name === name);
      const isElectable = all.some((it) => canBeActive(it.host));
      const active = all.filter((it) => it.host.isRunning && it.state === "active").map((it) => it.host.name);
      const having = all
        .filter((it) => it.host.isRunning && it.router.hasAddresses)
        .map((it) => it.host.name);
      const wanted = isElectable ? 1 : 0;
      if (active.length !== wanted)
        this.#fail(`${wanted} active router wanted, there are ${active.length} (${active.join(", ")})`);
      if (having.join() !== active.join())
        this.#fail(
          `active: ${active.join(", ")}, but the addresses are on ${having.join(", ") || "no host"}`,
        );
    }
  }

  /** Where nobody yields after a handover: whoever preempts and has a higher priority than the active one would have taken over. */
  checkBestElected(canBeActive: (host: SimulatedHost) => boolean): void {
    const electable = this.#watched.filter((it) => canBeActive(it.host));
    const active = electable.find((it) => it.state === "active");
    if (active === undefined) return;
    for (const other of electable) {
      const { settings, machine } = other.router;
      if (settings.preempt && machine.priority > active.router.machine.priority)
        this.#fail(
          `${active.host.name} (${active.router.machine.priority}) is active, not ${other.host.name} (${machine.priority})`,
        );
    }
  }

  /** A lease after the last crash: nobody who does not run has addresses. */
  checkLeftovers(): void {
    for (const { host, router } of this.#watched)
      if (!host.isRunning && router.hasAddresses) this.#fail(`${host.name} left the addresses behind`);
  }

  #note(watched: Watched, event: LanEvent): void {
    switch (event.kind) {
      case "process":
        this.#forget(watched);
        if (event.state === "running" && watched.host.process !== "running") return;
        if (event.state === "crashed" || event.state === "stopped") watched.state = "initialize";
        return;
      case "transition":
        this.#noteTransition(watched, event.transition.from, event.transition.to);
        this.#checkReason(watched, event.transition);
        return;
      case "sent":
        if (event.priority === 0) watched.saidZero = true;
        this.#checkCadence(watched);
        // Priority 0 promises nothing more.
        watched.sentAtMs = event.priority === 0 ? undefined : this.#clock.nowMs;
        return;
      case "effect":
        if (event.effect.kind === "announce-addresses") watched.announced = true;
        return;
      case "settled":
        this.#checkSettled(watched);
        return;
      case "addresses":
        return;
    }
  }

  /** A process that did not run has no duties for the time. */
  #forget(watched: Watched): void {
    watched.sentAtMs = undefined;
    watched.handoverSinceMs = undefined;
    watched.leftOffice = false;
    watched.saidZero = false;
    watched.becameActive = false;
    watched.announced = false;
  }

  #noteTransition(watched: Watched, from: RouterState, to: RouterState): void {
    if (from !== watched.state)
      this.#fail(`${watched.host.name} tells ${from} → ${to}, but was ${watched.state}`);
    if (from === to) this.#fail(`${watched.host.name} tells a transition from ${from} to itself`);
    if (from === "active" && (to === "fault" || to === "initialize")) watched.leftOffice = true;
    if (to === "active") watched.becameActive = true;
    watched.state = to;
    if (from === "active") watched.sentAtMs = undefined;
  }

  /** What a transition says of itself must be a reason for it. */
  #checkReason({ host, router }: Watched, transition: Transition): void {
    const { cause, priority, lastAdvertisement: last } = transition;
    const own = router.settings;
    const isReason = {
      "higher-priority": last !== undefined && last.priority > priority,
      "higher-address":
        last !== undefined && last.priority === priority && isHigherAddress(last.source, own.sourceAddress!),
      preempt: last !== undefined && last.priority < priority && (own.preempt || priority === 255),
    }[cause as string];
    if (isReason === false)
      this.#fail(
        `${host.name}: ${cause} is no reason, it heard ${JSON.stringify(last)}, its own priority is ${priority}`,
      );
  }

  #checkSettled(watched: Watched): void {
    const { host, router } = watched;
    if (router.machine.state !== watched.state)
      this.#fail(`${host.name} is ${router.machine.state}, but told ${watched.state}`);
    const isActive = watched.state === "active";
    if (router.hasAddresses !== isActive)
      this.#fail(
        `${host.name} is ${watched.state} and ${router.hasAddresses ? "has" : "lacks"} the addresses`,
      );
    if (watched.leftOffice && !watched.saidZero)
      this.#fail(`${host.name} stopped being active and did not say so (priority 0)`);
    if (watched.becameActive && isActive && !watched.announced)
      this.#fail(`${host.name} became active and did not announce the addresses`);
    if (isActive && watched.sentAtMs === undefined && watched.becameActive)
      this.#fail(`${host.name} became active and did not advertise`);
    watched.leftOffice = false;
    watched.saidZero = false;
    watched.becameActive = false;
    watched.announced = false;
    this.#checkCadence(watched);
    this.#checkHandover(watched);
  }

  #checkCadence(watched: Watched): void {
    const { host, router, sentAtMs } = watched;
    if (sentAtMs === undefined || watched.state !== "active" || router.machine.isHandingOver) return;
    const silentMs = this.#clock.nowMs - sentAtMs;
    const limitMs = this.#bounds.intervalMsMax + this.#bounds.wakeLagMsMax + ROUNDING_MS;
    if (silentMs > limitMs) this.#fail(`${host.name} is active and was silent for ${silentMs} ms`);
  }

  #checkHandover(watched: Watched): void {
    if (!watched.router.machine.isHandingOver) {
      watched.handoverSinceMs = undefined;
      return;
    }
    watched.handoverSinceMs ??= this.#clock.nowMs;
    const lastsMs = this.#clock.nowMs - watched.handoverSinceMs;
    const { intervalMsMax, wakeLagMsMax } = this.#bounds;
    if (lastsMs > 4 * intervalMsMax + skewMsMax(this.#bounds) + wakeLagMsMax + ROUNDING_MS)
      this.#fail(`${watched.host.name} hands over for ${lastsMs} ms`);
  }

  #checkConflict(pair: string, lastsMs: number): void {
    this.conflictMsMax = Math.max(this.conflictMsMax, lastsMs);
    const boundMs = conflictBoundMs(this.#bounds);
    if (lastsMs > boundMs + ROUNDING_MS)
      this.#fail(`${pair} both have the addresses for ${lastsMs} ms, at most ${boundMs} ms are allowed`);
  }

  #fail(message: string): never {
    throw new InvariantViolation(`at ${this.#clock.nowMs.toFixed(3)} ms: ${message}`);
  }
}

/** Addresses of the schedules: `10.0.0.N`. */
function isHigherAddress(a: string, b: string): boolean {
  return Number(a.split(".")[3]) > Number(b.split(".")[3]);
}

function couldKnowOfConflict(a: Watched, b: Watched): boolean {
  const { network } = a.router;
  return (
    a.router.hasAddresses &&
    b.router.hasAddresses &&
    a.host.isRunning &&
    b.host.isRunning &&
    network.areConnected(a.host.name, b.host.name) &&
    network.conditions.lossProbability === 0
  );
}
