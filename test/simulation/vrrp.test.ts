/**
 * Virtual routers in simulated networks: thousands of schedules of loss, delay, duplication, partitions, frozen and killed processes,
 * restarts, trackers, handovers and reloads, each made from its seed. The invariants are in vrrp-invariants.ts. HOLDFAST_SIMULATION_SEEDS=N
 * runs N of them, HOLDFAST_SIMULATION_FIRST=S begins at another seed; `node dist/test/simulation/vrrp-main.js --seed S` tells one.
 */
import assert from "node:assert/strict";
import test from "node:test";
import type { Machine } from "../../src/testing/simulated-lan.ts";
import { VirtualRouter } from "../../src/vrrp/machine.ts";
import type { ReceivedAdvertisement, RouterSettings, TransitionCause } from "../../src/vrrp/state.ts";
import { runSchedule } from "./vrrp-run.ts";
import { makeSchedule } from "./vrrp-schedule.ts";

const SEEDS = Number(process.env.HOLDFAST_SIMULATION_SEEDS ?? 3000);
const FIRST_SEED = Number(process.env.HOLDFAST_SIMULATION_FIRST ?? 1);
const STORY_LINES = 80;

test("every invariant holds in thousands of schedules of faults", (t) => {
  const transitions = new Map<string, number>();
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    const result = runSchedule(makeSchedule(seed));
    if (result.violation !== undefined) {
      const { story } = runSchedule(makeSchedule(seed), { tellsStory: true });
      assert.fail(`seed ${seed}: ${result.violation}\n${story.slice(-STORY_LINES).join("\n")}`);
    }
    for (const [name, count] of result.transitions)
      transitions.set(name, (transitions.get(name) ?? 0) + count);
  }
  for (const [name, count] of [...transitions].sort()) t.diagnostic(`${String(count).padStart(6)} ${name}`);
  if (SEEDS >= 1000) assertEveryCauseSeen([...transitions.keys()]);
});

/** A simulation that never gets somewhere proves nothing about it. Sync groups have a simulation of their own. */
function assertEveryCauseSeen(names: readonly string[]): void {
  const causes: readonly TransitionCause[] = [
    "startup",
    "address-owner",
    "silence",
    "priority-zero",
    "preempt",
    "higher-priority",
    "higher-address",
    "stall",
    "tracker",
    "link",
    "address-lost",
    "operator",
    "shutdown",
  ];
  for (const cause of causes)
    assert.ok(
      names.some((name) => name.endsWith(`(${cause})`)),
      `no schedule led to a transition with cause ${cause}`,
    );
}

// ── does it notice? ─────────────────────────────────────────────────────────────────────────────────────────────

/** A machine with one rule broken. */
type Mutant = (settings: RouterSettings) => Machine;

class Deaf extends VirtualRouter {
  override handleAdvertisement(nowMs: number, advertisement: ReceivedAdvertisement): void {
    if (this.state !== "active") super.handleAdvertisement(nowMs, advertisement);
  }
}

class Timid extends VirtualRouter {
  override handleTimeout(nowMs: number): void {
    if (this.state === "active") super.handleTimeout(nowMs);
  }
  override nextTimeout(): number | undefined {
    return this.state === "active" ? super.nextTimeout() : undefined;
  }
}

class EndlessHandover extends VirtualRouter {
  override handleTimeout(nowMs: number): void {
    if (!this.isHandingOver) super.handleTimeout(nowMs);
  }
  override nextTimeout(): number | undefined {
    return this.isHandingOver ? undefined : super.nextTimeout();
  }
  override handleAdvertisement(nowMs: number, advertisement: ReceivedAdvertisement): void {
    if (!this.isHandingOver) super.handleAdvertisement(nowMs, advertisement);
  }
}

/** Loses effects of one kind. */
function losing(kind: string): Mutant {
  return (settings) =>
    new (class extends VirtualRouter {
      override pollEffect(): ReturnType<VirtualRouter["pollEffect"]> {
        let effect = super.pollEffect();
        while (effect?.kind === kind) effect = super.pollEffect();
        return effect;
      }
    })(settings);
}

const MUTANTS: Readonly<Record<string, Mutant>> = {
  "an active router never steps down": (settings) => new Deaf(settings),
  "a backup never promotes itself": (settings) => new Timid(settings),
  "a handover never ends": (settings) => new EndlessHandover(settings),
  "addresses are never withdrawn": losing("withdraw-addresses"),
  "addresses are never installed": losing("install-addresses"),
  "addresses are never announced": losing("announce-addresses"),
  "advertisements are not sent": losing("send-advertisement"),
};

for (const [rule, makeMachine] of Object.entries(MUTANTS)) {
  test(`the invariants catch a machine with this fault: ${rule}`, () => {
    const seeds = Array.from({ length: 200 }, (_, index) => index + 1);
    assert.ok(
      seeds.some((seed) => runSchedule(makeSchedule(seed), { makeMachine }).violation !== undefined),
      "not noticed in 200 schedules",
    );
  });
}
