/**
 * Frozen processes on a network where nothing else goes wrong: a backup that sleeps, however long, never takes over; an active router that
 * sleeps for longer than the others wait is replaced once and steps down before it says a word.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { type LanEvent, type SentAdvertisement, SimulatedHost } from "../../src/testing/simulated-lan.ts";
import { SimulatedNetwork } from "../../src/testing/simulated-network.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";

const RUNS = 500;
const LEASE_MS = 2000;

interface Scene {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly intervalMs: number;
  readonly hosts: readonly SimulatedHost[];
  readonly active: SimulatedHost;
  readonly backups: readonly SimulatedHost[];
  /** Since the election. */
  readonly events: LanEvent[];
}

/** An elected LAN of `count` hosts with priorities 200, 160, … */
function elect(seed: number, count: number, preempt: boolean, handlesTimersFirst = false): Scene {
  const random = new SeededRandom(seed);
  const intervalMs = random.pick([10, 100, 1000]);
  const clock = new VirtualClock();
  const network = new SimulatedNetwork<SentAdvertisement>(clock, random, {
    lossProbability: 0,
    duplicateProbability: 0,
    delayMsMin: 0.05,
    delayMsMax: intervalMs / 20,
  });
  const events: LanEvent[] = [];
  const hosts = Array.from({ length: count }, (_, index) => {
    const settings = {
      version: 3 as const,
      advertIntervalMs: intervalMs,
      // Far enough apart that the skew times differ by more than delay and lag: the best backup is always first.
      priority: 200 - 40 * index,
      preempt,
      preemptDelayMs: 0,
      sourceAddress: `10.0.0.${index + 1}`,
    };
    return new SimulatedHost([{ name: "edge", network, settings, leaseMs: LEASE_MS + 5 * intervalMs }], {
      name: `host${index}`,
      clock,
      random,
      wakeLagMsMax: intervalMs / 50,
      observe: (event) => void events.push(event),
      handlesTimersFirst,
    });
  });
  for (const host of hosts) host.start();
  clock.advance(6 * intervalMs);
  const [active, ...backups] = hosts;
  assert.equal(active!.routers[0]!.machine.state, "active");
  events.length = 0;
  return { clock, random, intervalMs, hosts, active: active!, backups, events };
}

function transitionsOf(scene: Scene): string[] {
  return scene.events.flatMap((event) =>
    event.kind === "transition"
      ? [`${event.host} ${event.transition.from} → ${event.transition.to} (${event.transition.cause})`]
      : [],
  );
}

/** Each backup sleeps and wakes at times of its own, ten times, up to eight intervals long. */
function freezeBackups(scene: Scene): void {
  for (let round = 0; round < 10; round++) {
    for (const host of scene.backups) {
      if (scene.random.chance(0.3)) continue;
      scene.clock.after(scene.random.between(0, 2 * scene.intervalMs), () => host.freeze());
      const wakesAfterMs = scene.random.between(2, 10) * scene.intervalMs;
      scene.clock.after(wakesAfterMs, () => host.thaw());
    }
    scene.clock.advance(11 * scene.intervalMs);
  }
}

test("a backup that was frozen never takes over while the active router advertises", () => {
  for (let seed = 1; seed <= RUNS; seed++) {
    const scene = elect(seed, 2 + (seed % 4), seed % 2 === 0);
    freezeBackups(scene);
    assert.deepEqual(transitionsOf(scene), [], `seed ${seed}`);
  }
});

test("and a driver that handled its timer before the queued advertisements would be noticed", () => {
  const seeds = Array.from({ length: RUNS }, (_, index) => index + 1);
  const broken = seeds.filter((seed) => {
    const scene = elect(seed, 2 + (seed % 4), true, true);
    freezeBackups(scene);
    return transitionsOf(scene).length > 0;
  });
  assert.ok(broken.length > 0, "the simulation cannot tell the difference");
});

test("nor one on a virtual machine that was paused, and received nothing: it listens before it believes the silence", () => {
  for (let seed = 1; seed <= RUNS; seed++) {
    const scene = elect(seed, 2 + (seed % 4), seed % 2 === 0);
    for (const host of scene.backups) host.freeze(true);
    // At least two intervals later than any backup's patience ends.
    scene.clock.advance(scene.intervalMs * scene.random.between(6, 20));
    for (const host of scene.backups) host.thaw();
    scene.clock.advance(10 * scene.intervalMs);
    assert.deepEqual(transitionsOf(scene), [], `seed ${seed}`);
  }
});

test("an active router that was frozen for longer than the others wait is replaced once, and steps down in silence", () => {
  for (let seed = 1; seed <= RUNS; seed++) {
    const scene = elect(seed, 2 + (seed % 4), false);
    scene.active.freeze();
    scene.clock.advance(scene.intervalMs * scene.random.between(6, 20));
    const fromWaking = scene.events.length;
    scene.active.thaw();
    const said = scene.events.slice(fromWaking).filter((event) => event.kind === "sent");
    assert.deepEqual(said, [], `seed ${seed}: nothing is said on waking`);
    scene.clock.advance(30 * scene.intervalMs);
    assert.deepEqual(
      transitionsOf(scene),
      ["host1 backup → active (silence)", "host0 active → backup (stall)"],
      `seed ${seed}`,
    );
    const having = scene.hosts.filter((host) => host.routers[0]!.hasAddresses).map((host) => host.name);
    assert.deepEqual(having, ["host1"], `seed ${seed}`);
  }
});

test("with preemption it then takes over again, which makes one more clean handover", () => {
  for (let seed = 1; seed <= RUNS; seed++) {
    const scene = elect(seed, 2 + (seed % 4), true);
    scene.active.freeze();
    scene.clock.advance(scene.intervalMs * scene.random.between(6, 20));
    scene.active.thaw();
    scene.clock.advance(30 * scene.intervalMs);
    const transitions = transitionsOf(scene);
    assert.deepEqual(transitions.slice(-2), [
      "host0 backup → active (preempt)",
      "host1 active → backup (higher-priority)",
    ]);
    assert.equal(transitions.filter((it) => it.startsWith("host0")).length, 2, transitions.join("; "));
  }
});

test("a freeze shorter than the others wait changes nothing, whoever sleeps", () => {
  for (let seed = 1; seed <= RUNS; seed++) {
    const scene = elect(seed, 2 + (seed % 4), true);
    for (const host of scene.hosts) host.freeze();
    scene.clock.advance(scene.intervalMs * scene.random.between(0, 1.9));
    for (const host of scene.hosts) host.thaw();
    scene.clock.advance(10 * scene.intervalMs);
    assert.deepEqual(transitionsOf(scene), [], `seed ${seed}`);
  }
});
