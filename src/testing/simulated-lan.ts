/**
 * Hosts with virtual routers in virtual time. Each host has a kernel (a receive queue with arrival times, addresses with a lease that
 * runs out by itself) and a process (the real machine of src/vrrp/machine.ts and a model of its driver) which can be frozen,
 * killed and started again. The driver keeps the promises of src/vrrp/driver.ts: everything that was received is handled
 * before a timer that has run out, and addresses that vanished are installed again.
 *
 * It checks nothing: it tells an observer what happens. test/simulation/vrrp-invariants.ts has the rules.
 */
import { VirtualRouter } from "../vrrp/machine.ts";
import type { Effect, ReceivedAdvertisement, RouterSettings, Transition } from "../vrrp/state.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { SimulatedNetwork } from "./simulated-network.ts";
import type { VirtualClock, VirtualTimer } from "./virtual-clock.ts";

/** What the hosts use of the machine: a test may put a broken one in its place, to see that it is caught. */
export type Machine = Pick<
  VirtualRouter,
  | "handleStartup"
  | "handleAdvertisement"
  | "handleTimeout"
  | "handleShutdown"
  | "handleFault"
  | "handleRecovery"
  | "handlePriority"
  | "handleSettings"
  | "handleHandover"
  | "handleResume"
  | "handlePromotion"
  | "handleDemotion"
  | "handleRelease"
  | "isOutranked"
  | "pollEffect"
  | "nextTimeout"
  | "state"
  | "priority"
  | "isHandingOver"
>;

/** An advertisement on its way. */
export interface SentAdvertisement {
  readonly source: string;
  readonly priority: number;
  readonly intervalMs: number;
}

export type ProcessState = "running" | "frozen" | "crashed" | "stopped";

export type LanEvent =
  | { readonly kind: "process"; readonly host: string; readonly state: ProcessState }
  | {
      readonly kind: "transition";
      readonly host: string;
      readonly router: string;
      readonly transition: Transition;
    }
  | { readonly kind: "sent"; readonly host: string; readonly router: string; readonly priority: number }
  /** What the kernel has: seen by everybody on the segment, whatever the process believes. */
  | {
      readonly kind: "addresses";
      readonly host: string;
      readonly router: string;
      readonly isInstalled: boolean;
      readonly reason: "install" | "withdraw" | "restore" | "lease-over";
    }
  | { readonly kind: "effect"; readonly host: string; readonly router: string; readonly effect: Effect }
  /** The process has handled everything there was to handle. */
  | { readonly kind: "settled"; readonly host: string };

export interface SimulatedRouterPlan {
  readonly name: string;
  readonly network: SimulatedNetwork<SentAdvertisement>;
  readonly settings: RouterSettings;
  readonly leaseMs: number;
}

export interface HostOptions {
  readonly name: string;
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly observe: (event: LanEvent) => void;
  /** The process handles an event at most so long after it happened. */
  readonly wakeLagMsMax: number;
  readonly makeMachine?: (settings: RouterSettings) => Machine;
  /** A driver that breaks its promise: to see that a test notices. */
  readonly handlesTimersFirst?: boolean;
}

/** One virtual router on one host: what the kernel has of it, and the machine. */
export class SimulatedRouter {
  readonly name: string;
  readonly leaseMs: number;
  readonly network: SimulatedNetwork<SentAdvertisement>;
  /** Survives a restart of the process, as a configuration file does. */
  settings: RouterSettings;
  machine: Machine;
  readonly queue: ReceivedAdvertisement[] = [];
  renewAtMs: number | undefined;
  /** While the kernel has the addresses: when it will remove them. */
  leaseTimer: VirtualTimer | undefined;

  constructor(plan: SimulatedRouterPlan, machine: Machine) {
    this.name = plan.name;
    this.leaseMs = plan.leaseMs;
    this.network = plan.network;
    this.settings = plan.settings;
    this.machine = machine;
  }

  get hasAddresses(): boolean {
    return this.leaseTimer !== undefined;
  }
}

export class SimulatedHost {
  readonly name: string;
  readonly routers: readonly SimulatedRouter[];
  /** Called for every transition, after its effects were carried out: the place for what couples routers (sync groups). */
  onEffects: (router: SimulatedRouter, transition: Transition) => void = () => {};
  readonly #options: HostOptions;
  readonly #clock: VirtualClock;
  #process: ProcessState = "stopped";
  #wake: VirtualTimer | undefined;
  #isMachinePaused = false;

  constructor(plans: readonly SimulatedRouterPlan[], options: HostOptions) {
    this.name = options.name;
    this.#options = options;
    this.#clock = options.clock;
    this.routers = plans.map((plan) => new SimulatedRouter(plan, this.#newMachine(plan.settings)));
    for (const router of this.routers) {
      router.network.attach(this.name, (_from, sent) => this.#receive(router, sent));
    }
  }

  get process(): ProcessState {
    return this.#process;
  }

  get isRunning(): boolean {
    return this.#process === "running";
  }

  /** Starts the process, or starts it anew after a crash; removes what an earlier one left behind, as the router process does. */
  start(): void {
    if (this.#process !== "stopped" && this.#process !== "crashed")
      throw new Error(`${this.name} is ${this.#process}`);
    this.#become("running");
    for (const router of this.routers) {
      router.queue.length = 0;
      router.machine = this.#newMachine(router.settings);
      this.#removeAddresses(router, "withdraw");
    }
    this.tell((machine, nowMs) => machine.handleStartup(nowMs));
  }

  /** SIGTERM: says goodbye and exits. */
  stop(): void {
    this.tell((machine, nowMs) => machine.handleShutdown(nowMs));
    this.#become("stopped");
    this.#cancelWake();
  }

  /** SIGKILL: the kernel keeps the addresses until their lease is over. */
  crash(): void {
    this.#become("crashed");
    this.#cancelWake();
  }

  /** SIGSTOP, or a scheduler that forgot us: the kernel goes on receiving. A virtual machine that is paused receives nothing. */
  freeze(isMachinePaused = false): void {
    this.#isMachinePaused = isMachinePaused;
    this.#become("frozen");
    this.#cancelWake();
  }

  thaw(): void {
    if (this.#process !== "frozen") throw new Error(`${this.name} is ${this.#process}`);
    this.#isMachinePaused = false;
    this.#become("running");
    this.#settle();
  }

  /** Calls the machines from outside (an order, a tracker, a reload); what was received before is handled first. */
  tell(
    act: (machine: Machine, nowMs: number, router: SimulatedRouter) => void,
    routers: readonly SimulatedRouter[] = this.routers,
  ): void {
    if (!this.isRunning) throw new Error(`${this.name} is ${this.#process}`);
    this.#drain();
    for (const router of routers) {
      act(router.machine, this.#clock.nowMs, router);
      this.#carryOut(router);
    }
    this.#settle();
  }

  /** Calls one machine from within the process, where something else made it necessary: what couples routers. */
  actOn(router: SimulatedRouter, act: (machine: Machine, nowMs: number) => unknown): void {
    act(router.machine, this.#clock.nowMs);
    this.#carryOut(router);
  }

  /** An address is deleted by somebody else; the driver sees the event and reconciles. */
  loseAddresses(): void {
    for (const router of this.routers) {
      if (router.hasAddresses) this.#removeAddresses(router, "lease-over");
    }
    if (this.isRunning) this.#wakeSoon();
  }

  #newMachine(settings: RouterSettings): Machine {
    return this.#options.makeMachine?.(settings) ?? new VirtualRouter(settings);
  }

  #become(state: ProcessState): void {
    this.#process = state;
    this.#options.observe({ kind: "process", host: this.name, state });
  }

  #receive(router: SimulatedRouter, sent: SentAdvertisement): void {
    if (this.#process === "crashed" || this.#process === "stopped" || this.#isMachinePaused) return;
    router.queue.push({ ...sent, addresses: [], arrivedAtMs: this.#clock.nowMs });
    if (this.isRunning) this.#wakeSoon();
  }

  #wakeSoon(): void {
    this.#wakeAt(this.#clock.nowMs);
  }

  #wakeAt(dueMs: number): void {
    const atMs = dueMs + this.#options.random.between(0, this.#options.wakeLagMsMax);
    if (this.#wake !== undefined && this.#wake.deadlineMs <= atMs) return;
    this.#cancelWake();
    this.#wake = this.#clock.at(atMs, () => {
      this.#wake = undefined;
      this.#settle();
    });
  }

  #cancelWake(): void {
    this.#wake?.cancel();
    this.#wake = undefined;
  }

  /** One turn of the driver: sockets, timers, addresses, then the next timer is armed. */
  #settle(): void {
    const nowMs = this.#clock.nowMs;
    if (this.#options.handlesTimersFirst === true) this.#handleTimeouts();
    this.#drain();
    this.#handleTimeouts();
    for (const router of this.routers) this.#keepAddresses(router);
    this.#options.observe({ kind: "settled", host: this.name });
    for (const router of this.routers) {
      for (const dueMs of [router.machine.nextTimeout(), router.renewAtMs])
        if (dueMs !== undefined) this.#wakeAt(Math.max(dueMs, nowMs));
    }
  }

  #handleTimeouts(): void {
    const nowMs = this.#clock.nowMs;
    for (const router of this.routers) {
      const dueMs = router.machine.nextTimeout();
      if (dueMs === undefined || dueMs > nowMs) continue;
      router.machine.handleTimeout(nowMs);
      this.#carryOut(router);
    }
  }

  #drain(): void {
    for (const router of this.routers) {
      for (
        let advertisement = router.queue.shift();
        advertisement !== undefined;
        advertisement = router.queue.shift()
      ) {
        router.machine.handleAdvertisement(this.#clock.nowMs, advertisement);
        this.#carryOut(router);
      }
    }
  }

  #carryOut(router: SimulatedRouter): void {
    for (
      let effect = router.machine.pollEffect();
      effect !== undefined;
      effect = router.machine.pollEffect()
    ) {
      this.#apply(router, effect);
    }
  }

  #apply(router: SimulatedRouter, effect: Effect): void {
    const { observe } = this.#options;
    const at = { host: this.name, router: router.name };
    switch (effect.kind) {
      case "send-advertisement":
        observe({ kind: "sent", ...at, priority: effect.priority });
        router.network.send(this.name, {
          source: router.settings.sourceAddress ?? "0.0.0.0",
          priority: effect.priority,
          intervalMs: router.settings.advertIntervalMs,
        });
        return;
      case "install-addresses":
        this.#installAddresses(router, "install");
        return;
      case "withdraw-addresses":
        this.#removeAddresses(router, "withdraw");
        return;
      case "state-changed":
        observe({ kind: "transition", ...at, transition: effect.transition });
        this.onEffects(router, effect.transition);
        return;
      default:
        observe({ kind: "effect", ...at, effect });
    }
  }

  /** Renews a third of the lease after it began; installs what the kernel has lost. */
  #keepAddresses(router: SimulatedRouter): void {
    if (router.renewAtMs === undefined) return;
    if (!router.hasAddresses) this.#installAddresses(router, "restore");
    else if (router.renewAtMs <= this.#clock.nowMs) this.#armLease(router);
  }

  #installAddresses(router: SimulatedRouter, reason: "install" | "restore"): void {
    this.#armLease(router);
    this.#options.observe({
      kind: "addresses",
      host: this.name,
      router: router.name,
      isInstalled: true,
      reason,
    });
  }

  #armLease(router: SimulatedRouter): void {
    router.leaseTimer?.cancel();
    router.leaseTimer = this.#clock.after(router.leaseMs, () => {
      this.#removeAddresses(router, "lease-over");
      if (this.isRunning) this.#wakeSoon();
    });
    router.renewAtMs = this.#clock.nowMs + router.leaseMs / 3;
  }

  #removeAddresses(router: SimulatedRouter, reason: "withdraw" | "lease-over"): void {
    if (reason === "withdraw") router.renewAtMs = undefined;
    if (router.leaseTimer === undefined) return;
    router.leaseTimer.cancel();
    router.leaseTimer = undefined;
    this.#options.observe({
      kind: "addresses",
      host: this.name,
      router: router.name,
      isInstalled: false,
      reason,
    });
  }
}
