/** Sync groups of real machines on virtual time: all active or none, and no circles. */
import assert from "node:assert/strict";
import test from "node:test";
import { ACTIVE_DOWN_MS, RouterLab } from "./machine-fixtures.ts";
import type { RouterSettings, Transition } from "./state.ts";
import { SyncGroup, type SyncMember } from "./sync-group.ts";

/** What the set of routers does around one machine: faults by cause, and the group is told each transition. */
class GroupedRouter implements SyncMember {
  readonly name: string;
  readonly lab: RouterLab;
  readonly transitions: string[] = [];
  readonly #group: SyncGroup;
  readonly #faults = new Set<"link" | "sync-group">();

  constructor(name: string, group: SyncGroup, settings: Partial<RouterSettings> = {}) {
    this.name = name;
    this.lab = new RouterLab(settings);
    this.#group = group;
  }

  get state() {
    return this.lab.router.state;
  }

  isOutranked(nowMs: number): boolean {
    return this.lab.router.isOutranked(nowMs);
  }

  do(nowMs: number, step: (lab: RouterLab) => void): void {
    step(this.lab.at(nowMs));
    const transitions: Transition[] = this.lab.effects
      .filter((effect) => effect.kind === "state-changed")
      .map((effect) => effect.transition);
    this.lab.forget();
    for (const transition of transitions) {
      this.transitions.push(`${transition.to} (${transition.cause})`);
      this.#group.handleTransition(nowMs, this, transition);
    }
  }

  promote(nowMs: number, detail: string): void {
    this.do(nowMs, (lab) => lab.do((router) => router.handlePromotion(nowMs, detail)));
  }

  demote(nowMs: number, detail: string): void {
    this.do(nowMs, (lab) => lab.do((router) => router.handleDemotion(nowMs, detail)));
  }

  release(nowMs: number): void {
    this.do(nowMs, (lab) => lab.do((router) => router.handleRelease(nowMs)));
  }

  holdInFault(nowMs: number, detail: string): void {
    this.#setFault(nowMs, "sync-group", true, detail);
  }

  endFault(nowMs: number, detail: string): void {
    this.#setFault(nowMs, "sync-group", false, detail);
  }

  setLink(nowMs: number, isUp: boolean): void {
    this.#setFault(nowMs, "link", !isUp, "eth0");
    this.#group.handleFaults(nowMs, this, isUp ? undefined : "eth0 is down");
  }

  #setFault(nowMs: number, cause: "link" | "sync-group", isFaulty: boolean, detail: string): void {
    const before = this.#faults.size;
    if (isFaulty) this.#faults.add(cause);
    else this.#faults.delete(cause);
    if (before === 0 && this.#faults.size === 1)
      this.do(nowMs, (lab) => lab.do((router) => router.handleFault(nowMs, cause, detail)));
    if (before > 0 && this.#faults.size === 0)
      this.do(nowMs, (lab) => lab.do((router) => router.handleRecovery(nowMs, cause, detail)));
  }
}

class Group {
  readonly group = new SyncGroup("gateway");
  readonly members: readonly GroupedRouter[];

  constructor(count = 3, settings: Partial<RouterSettings> = {}) {
    const names = ["a", "b", "c"].slice(0, count);
    this.members = names.map((name) => new GroupedRouter(name, this.group, settings));
    this.group.setMembers(0, this.members);
    for (const member of this.members) member.do(0, (lab) => lab.startup());
  }

  get 0() {
    return this.members[0]!;
  }

  get 1() {
    return this.members[1]!;
  }

  /** Every timer in its order, up to `untilMs`. */
  run(untilMs: number): void {
    for (;;) {
      const due = this.members
        .map((member) => ({ member, atMs: member.lab.router.nextTimeout() ?? Number.POSITIVE_INFINITY }))
        .toSorted((left, right) => left.atMs - right.atMs)[0]!;
      if (due.atMs > untilMs) return;
      due.member.do(due.atMs, (lab) => lab.wake());
    }
  }

  expect(...states: string[]): void {
    assert.deepEqual(
      this.members.map((member) => member.state),
      states,
    );
  }
}

test("silence on one member makes all active at once", () => {
  const group = new Group();
  group.run(ACTIVE_DOWN_MS);
  group.expect("active", "active", "active");
  assert.deepEqual(group[1].transitions, ["backup (startup)", "active (sync-group)"]);
});

test("members whose active router died at once fail over together, though its advertisements were not sent at once", () => {
  const group = new Group();
  group[0].do(10, (lab) => lab.hears(150));
  group[1].do(90, (lab) => lab.hears(150));
  group.members[2]!.do(50, (lab) => lab.hears(150));
  group.run(10 + ACTIVE_DOWN_MS);
  group.expect("active", "active", "active");
  assert.deepEqual(group[0].transitions, ["backup (startup)", "active (silence)"]);
});

test("a member that meets a higher priority takes all with it, and they stay backup", () => {
  const group = new Group();
  group.run(ACTIVE_DOWN_MS);
  group[0].do(400, (lab) => lab.hears(150));
  group.expect("backup", "backup", "backup");
  // Nobody advertises for b and c; a keeps hearing its active router.
  for (let at = 500; at < 3000; at += 100) {
    group[0].do(at, (lab) => lab.hears(150));
    group.run(at + 50);
    group.expect("backup", "backup", "backup");
  }
  group.run(2900 + ACTIVE_DOWN_MS);
  group.expect("active", "active", "active");
});

test("a member that is outranked keeps the others from becoming active, without circles", () => {
  const group = new Group(2);
  for (let at = 50; at < 3000; at += 100) {
    group[0].do(at, (lab) => lab.hears(150));
    group.run(at + 50);
  }
  group.expect("backup", "backup");
  assert.deepEqual(group[1].transitions, ["backup (startup)", "active (silence)", "backup (sync-group)"]);
  assert.deepEqual(group[0].transitions, ["backup (startup)"]);
});

test("the member that was the obstacle leads: when it is free, the group becomes active", () => {
  const group = new Group(2);
  // First b is outranked, then a.
  for (let at = 50; at < 1000; at += 100) {
    group[1].do(at, (lab) => lab.hears(150));
    group.run(at + 50);
  }
  for (let at = 1000; at < 2000; at += 100) {
    group[0].do(at, (lab) => lab.hears(150));
    group.run(at + 50);
  }
  group.expect("backup", "backup");
  group.run(5000);
  group.expect("active", "active");
});

test("preemption takes the whole group along, also members that were held", () => {
  const group = new Group(2);
  group.run(ACTIVE_DOWN_MS);
  group[0].do(400, (lab) => lab.hears(150));
  for (let at = 500; at < 1500; at += 50) {
    for (const member of group.members) member.do(at, (lab) => lab.hears(50));
    group.run(at + 49);
  }
  group.expect("active", "active");
});

test("a fault of one member is a fault of all, until the last one with a fault of its own recovers", () => {
  const group = new Group();
  group.run(ACTIVE_DOWN_MS);
  group[0].setLink(400, false);
  group.expect("fault", "fault", "fault");
  group[1].setLink(410, false);
  group[0].setLink(420, true);
  group.expect("fault", "fault", "fault");
  group[1].setLink(430, true);
  group.expect("backup", "backup", "backup");
  group.run(1000);
  group.expect("active", "active", "active");
});

test("one member hands over: all follow", () => {
  const group = new Group(2);
  group.run(ACTIVE_DOWN_MS);
  group[0].do(400, (lab) => lab.do((router) => router.handleHandover(400)));
  group[0].do(410, (lab) => lab.hears(50));
  group.expect("backup", "backup");
});

test("all members hand over: none withdraws before its own peer is active", () => {
  const group = new Group(2);
  group.run(ACTIVE_DOWN_MS);
  for (const member of group.members) member.do(400, (lab) => lab.do((router) => router.handleHandover(400)));
  group[0].do(410, (lab) => lab.hears(50));
  group.expect("backup", "active");
  group[1].do(412, (lab) => lab.hears(50));
  group.expect("backup", "backup");
  assert.equal(group[1].transitions.at(-1), "backup (operator)");
});

test("a router that joins an active group becomes active with it; one that leaves is free", () => {
  const group = new Group(2);
  group.run(ACTIVE_DOWN_MS);
  const joining = new GroupedRouter("c", group.group);
  group.group.setMembers(400, [...group.members, joining]);
  joining.do(400, (lab) => lab.startup());
  assert.equal(joining.state, "active");
  group[0].setLink(500, false);
  assert.equal(joining.state, "fault");
  group.group.setMembers(600, group.members);
  assert.equal(joining.state, "backup");
});

test("owners: every member is active from the start", () => {
  const group = new Group(3, { priority: 255 });
  group.expect("active", "active", "active");
});
