/**
 * Gateways with an address outside and one inside, coupled by a sync group, in simulated networks that fail separately: frozen and
 * killed processes, faults of one side, partitions of one side, loss. At every moment a host that runs has both addresses or none;
 * when all is whole and quiet, one host has both.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import {
  type LanEvent,
  type Machine,
  type SentAdvertisement,
  SimulatedHost,
  type SimulatedRouter,
} from "../../src/testing/simulated-lan.ts";
import { SimulatedNetwork } from "../../src/testing/simulated-network.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";
import type { FaultCause } from "../../src/vrrp/machine.ts";
import { SyncGroup, type SyncMember } from "../../src/vrrp/sync-group.ts";
import { Invariants, InvariantViolation, settleBoundMs } from "./vrrp-invariants.ts";
import { conditions } from "./vrrp-schedule.ts";

const SEEDS = Number(process.env.HOLDFAST_SIMULATION_SEEDS ?? 1000);
const FIRST_SEED = Number(process.env.HOLDFAST_SIMULATION_FIRST ?? 1);
const INTERVAL_MS = 100;
const BOUNDS = {
  version: 3,
  intervalMsMax: INTERVAL_MS,
  preemptDelayMsMax: 0,
  wakeLagMsMax: 2,
  delayMsMax: 10,
} as const;
const TROUBLE_MS = 60 * INTERVAL_MS;

/** The group of one host, as src/vrrp/router-set.ts keeps it; new with every process. */
class CoupledHost {
  readonly host: SimulatedHost;
  readonly #faults: ReadonlyMap<SimulatedRouter, Map<FaultCause, string>>;
  readonly #members: ReadonlyMap<SimulatedRouter, SyncMember>;
  #group = new SyncGroup("gateway");
  /** A group that is not there: to see that the invariant notices. */
  readonly #isCoupled: boolean;

  constructor(host: SimulatedHost, isCoupled: boolean) {
    this.host = host;
    this.#isCoupled = isCoupled;
    this.#faults = new Map(host.routers.map((router) => [router, new Map()]));
    this.#members = new Map(host.routers.map((router) => [router, this.#memberOf(router)]));
  }

  start(nowMs: number): void {
    this.host.onEffects = () => {};
    for (const faults of this.#faults.values()) faults.delete("sync-group");
    this.host.start();
    this.#group = new SyncGroup("gateway");
    if (this.#isCoupled) {
      this.host.onEffects = (router, transition) => {
        if (transition.cause !== "shutdown")
          this.#group.handleTransition(transition.atMs, this.#members.get(router)!, transition);
      };
      this.#group.setMembers(nowMs, [...this.#members.values()]);
    }
    for (const [router, faults] of this.#faults) {
      const [first] = faults;
      if (first !== undefined)
        this.#inOneTurn(router, (machine) => machine.handleFault(nowMs, ...first), nowMs);
    }
  }

  setFault(nowMs: number, index: number, cause: FaultCause): void {
    const router = this.host.routers[index]!;
    const faults = this.#faults.get(router)!;
    faults.set(cause, "simulated");
    if (!this.host.isRunning) return;
    const isFirst = faults.size === 1;
    this.#inOneTurn(router, (machine) => isFirst && machine.handleFault(nowMs, cause, "simulated"), nowMs);
  }

  clearFault(nowMs: number, index: number, cause: FaultCause): void {
    const router = this.host.routers[index]!;
    const faults = this.#faults.get(router)!;
    if (!faults.delete(cause) || !this.host.isRunning) return;
    const wasLast = faults.size === 0;
    this.#inOneTurn(router, (machine) => wasLast && machine.handleRecovery(nowMs, cause, "simulated"), nowMs);
  }

  /** The group hears of it before anybody can look. */
  #inOneTurn(router: SimulatedRouter, act: (machine: Machine) => unknown, nowMs: number): void {
    this.host.tell(() => {
      this.host.actOn(router, act);
      this.#tellGroup(nowMs, router);
    }, [router]);
  }

  #tellGroup(nowMs: number, router: SimulatedRouter): void {
    const own = [...this.#faults.get(router)!].find(([cause]) => cause !== "sync-group");
    if (this.#isCoupled) this.#group.handleFaults(nowMs, this.#members.get(router)!, own?.[1]);
  }

  #memberOf(router: SimulatedRouter): SyncMember {
    const { host } = this;
    const faults = this.#faults.get(router)!;
    return {
      name: router.name,
      get state() {
        return router.machine.state;
      },
      isOutranked: (nowMs) => router.machine.isOutranked(nowMs),
      promote: (nowMs, detail) => host.actOn(router, (machine) => machine.handlePromotion(nowMs, detail)),
      demote: (nowMs, detail) => host.actOn(router, (machine) => machine.handleDemotion(nowMs, detail)),
      release: (nowMs) => host.actOn(router, (machine) => machine.handleRelease(nowMs)),
      holdInFault: (nowMs, detail) => {
        const isFirst = faults.size === 0;
        faults.set("sync-group", detail);
        if (isFirst) host.actOn(router, (machine) => machine.handleFault(nowMs, "sync-group", detail));
      },
      endFault: (nowMs, detail) => {
        if (!faults.delete("sync-group") || faults.size > 0) return;
        host.actOn(router, (machine) => machine.handleRecovery(nowMs, "sync-group", detail));
      },
    };
  }
}

/** Runs one schedule; answers the violated rule and the story, or undefined. */
function run(seed: number, isCoupled = true): string | undefined {
  const random = new SeededRandom(seed);
  const clock = new VirtualClock();
  const story: string[] = [];
  const quiet = conditions(0, 0, BOUNDS.delayMsMax / 2);
  const networks = ["outside", "inside"].map(
    () => new SimulatedNetwork<SentAdvertisement>(clock, random, quiet),
  );
  const coupled: CoupledHost[] = [];
  let invariants: Invariants | undefined;

  const observe = (event: LanEvent): void => {
    if (event.kind === "transition") {
      const { from, to, cause, detail } = event.transition;
      story.push(
        `${clock.nowMs.toFixed(1)} ${event.host} ${event.router}: ${from} → ${to} (${cause}) ${detail}`,
      );
    } else if (event.kind === "process")
      story.push(`${clock.nowMs.toFixed(1)} ${event.host}: ${event.state}`);
    invariants?.observe(event);
    if (event.kind === "settled") checkTogether(coupled.find(({ host }) => host.name === event.host)?.host);
  };
  const count = 2 + random.integer(3);
  const arePreemptive = random.chance(0.7);
  for (let index = 0; index < count; index++) {
    const settings = {
      version: 3 as const,
      advertIntervalMs: INTERVAL_MS,
      priority: 250 - 60 * index,
      preempt: arePreemptive,
      preemptDelayMs: 0,
      sourceAddress: `10.0.0.${index + 1}`,
    };
    const plans = networks.map((network, n) => ({
      name: ["outside", "inside"][n]!,
      network,
      settings,
      leaseMs: 2000,
    }));
    const { wakeLagMsMax } = BOUNDS;
    coupled.push(
      new CoupledHost(
        new SimulatedHost(plans, { name: "abcd"[index]!, clock, random, wakeLagMsMax, observe }),
        isCoupled,
      ),
    );
  }
  const hosts = coupled.map(({ host }) => host);
  invariants = new Invariants(clock, BOUNDS, hosts);
  try {
    for (const it of coupled) it.start(clock.nowMs);
    trouble(random, clock, networks, coupled, story);
    for (const network of networks) {
      network.heal();
      network.setConditions(quiet);
    }
    calmDown(clock, coupled);
    clock.advance(2 * settleBoundMs(BOUNDS));
    invariants.checkElected((host) => host.isRunning);
    const holders = hosts.filter((host) => host.routers.some((router) => router.machine.state === "active"));
    if (holders.length !== 1) throw new InvariantViolation(`${holders.length} hosts have an address`);
    return undefined;
  } catch (error) {
    if (!(error instanceof InvariantViolation)) throw error;
    return `seed ${seed}: ${error.message}\n${story.slice(-40).join("\n")}`;
  }
}

function checkTogether(host: SimulatedHost | undefined): void {
  if (host === undefined) return;
  const having = host.routers.filter((router) => router.hasAddresses).length;
  if (having !== 0 && having !== host.routers.length)
    throw new InvariantViolation(`${host.name} has the address of one side only`);
}

function trouble(
  random: SeededRandom,
  clock: VirtualClock,
  networks: readonly SimulatedNetwork<SentAdvertisement>[],
  coupled: readonly CoupledHost[],
  story: string[],
): void {
  const begin = clock.nowMs;
  const times = Array.from({ length: 1 + random.integer(10) }, () => random.between(0, TROUBLE_MS)).sort(
    (x, y) => x - y,
  );
  for (const atMs of times) {
    clock.advanceTo(Math.max(begin + atMs, clock.nowMs));
    const it = random.pick(coupled);
    const lastsMs = INTERVAL_MS * random.between(0.5, 15);
    const side = random.integer(2);
    const network = networks[side]!;
    const kind = random.pick(["fault", "freeze", "crash", "stop", "partition", "loss", "clear"]);
    story.push(`${clock.nowMs.toFixed(1)} ── ${kind} ${it.host.name} side ${side} ${lastsMs.toFixed(0)} ms`);
    if (kind === "loss") network.setConditions(conditions(random.pick([0.1, 0.5]), 0.1, BOUNDS.delayMsMax));
    else if (kind === "clear") network.setConditions(conditions(0, 0, BOUNDS.delayMsMax));
    else if (kind === "partition") {
      for (const { host } of coupled) network.moveToPart(host.name, random.integer(2));
      clock.after(lastsMs, () => network.heal());
    } else if (it.host.isRunning) strike(kind, it, side, lastsMs, clock);
  }
  clock.advanceTo(begin + TROUBLE_MS);
}

function strike(kind: string, it: CoupledHost, side: number, lastsMs: number, clock: VirtualClock): void {
  const { host } = it;
  if (kind === "fault") {
    it.setFault(clock.nowMs, side, "link");
    clock.after(lastsMs, () => {
      if (host.process !== "frozen") it.clearFault(clock.nowMs, side, "link");
    });
  } else if (kind === "freeze") {
    host.freeze();
    clock.after(lastsMs, () => {
      if (host.process === "frozen") host.thaw();
    });
  } else {
    if (kind === "crash") host.crash();
    else host.stop();
    clock.after(lastsMs, () => {
      if (host.process === "crashed" || host.process === "stopped") it.start(clock.nowMs);
    });
  }
}

function calmDown(clock: VirtualClock, coupled: readonly CoupledHost[]): void {
  // Whatever was to come back later does so within the longest of these times.
  clock.advance(20 * INTERVAL_MS);
  for (const it of coupled) {
    for (const side of [0, 1]) it.clearFault(clock.nowMs, side, "link");
  }
}

test("the members of a sync group have their addresses together or not at all, and end up on one host", () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    const violation = run(seed);
    if (violation !== undefined) assert.fail(violation);
  }
});

test("and routers that are not coupled are noticed", () => {
  const seeds = Array.from({ length: 100 }, (_, index) => index + 1);
  assert.ok(seeds.some((seed) => run(seed, false) !== undefined));
});
