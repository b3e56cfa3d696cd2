import assert from "node:assert/strict";
import test from "node:test";
import {
  HEARTBEAT_EVENTS,
  HEARTBEAT_STATES,
  HEARTBEAT_TABLE,
  HeartbeatMachine,
} from "./heartbeat-machine.ts";

/** A machine on a clock of its own: `at(t).beat(counter)`, `at(t).time()`, each giving what was reported. */
function heartOf(deadlineMs: number, progressDeadlineMs = 0) {
  const machine = new HeartbeatMachine({ deadlineMs, progressDeadlineMs }, 0);
  return {
    machine,
    at: (nowMs: number) => ({
      beat: (counter?: number) => machine.handleBeat(nowMs, counter),
      time: () => machine.handleTime(nowMs),
    }),
  };
}

test("HEARTBEAT_TABLE says for every state and event what follows, and only silence and standstill are failures", () => {
  for (const state of HEARTBEAT_STATES) {
    for (const event of HEARTBEAT_EVENTS) {
      const [next, report] = HEARTBEAT_TABLE[state][event];
      assert.ok(HEARTBEAT_STATES.includes(next));
      if (event === "beat") assert.deepEqual([next, report], ["beating", "success"]);
      if (event === "stuck-beat") assert.deepEqual([next, report], ["stalled", "stalled"]);
      if (event === "silence") assert.deepEqual([next, report], ["silent", "silent"]);
      if (event === "standstill" && state !== "beating") assert.deepEqual([next, report], [state, "nothing"]);
    }
  }
});

test("HeartbeatMachine fails when no beat comes within the deadline, and succeeds with the next one", () => {
  const { machine, at } = heartOf(5000);
  assert.equal(at(1000).beat()?.ok, true);
  assert.equal(machine.nextTimeout(), 6000);
  assert.equal(at(5999).time(), undefined);
  assert.deepEqual(at(6000).time(), {
    ok: false,
    reason: "no beat for 5s",
    durationMs: 0,
  });
  assert.equal(machine.state, "silent");
  assert.equal(at(9000).beat()?.ok, true);
  assert.equal(machine.nextTimeout(), 14_000);
});

test("HeartbeatMachine gives the first beat the deadline, and reports a silence that lasts once per deadline", () => {
  const { machine, at } = heartOf(2000);
  assert.equal(machine.state, "waiting");
  assert.equal(at(1999).time(), undefined);
  assert.equal(at(2000).time()?.reason, "no beat has come yet, in 2s");
  assert.equal(at(3000).time(), undefined);
  assert.equal(at(4000).time()?.reason, "no beat has come yet, in 4s");
});

test("HeartbeatMachine fails when beats come but the counter stands still for progress_deadline", () => {
  const { machine, at } = heartOf(5000, 3000);
  at(0).beat(7);
  assert.equal(at(1000).beat(7)?.ok, true);
  assert.equal(machine.nextTimeout(), 3000);
  const standstill = at(3000).time();
  assert.match(standstill!.reason, /makes no progress: its counter has stood at 7 for 3s/);
  assert.equal(standstill!.ok, false);
  assert.equal(machine.state, "stalled");
  assert.equal(at(4000).beat(7)?.ok, false);
  assert.equal(at(5000).beat(8)?.reason, "a beat came, progress 8");
  assert.equal(machine.state, "beating");
});

test("HeartbeatMachine takes any other number for progress, a restart from 0, too", () => {
  const { at } = heartOf(60_000, 3000);
  at(0).beat(100);
  assert.equal(at(2900).beat(0)?.ok, true);
  assert.equal(at(5800).beat(0)?.ok, true);
  assert.equal(at(5900).beat(0)?.ok, false);
});

test("HeartbeatMachine holds an application to a counter once it has sent one, and to none otherwise", () => {
  const without = heartOf(60_000, 3000);
  without.at(0).beat();
  assert.equal(without.at(50_000).beat()?.ok, true);
  const dropped = heartOf(60_000, 3000);
  dropped.at(0).beat(1);
  assert.equal(dropped.at(3000).beat()?.ok, false);
  const unwatched = heartOf(60_000, 0);
  unwatched.at(0).beat(1);
  assert.equal(unwatched.at(50_000).beat(1)?.ok, true);
});

test("HeartbeatMachine keeps the counter's age over a silence: a thawed process that still hangs is stalled, not well", () => {
  const { machine, at } = heartOf(2000, 3000);
  at(0).beat(1);
  assert.equal(at(2000).time()?.ok, false);
  assert.equal(at(4000).beat(1)?.ok, false);
  assert.equal(machine.state, "stalled");
  assert.equal(at(4500).beat(2)?.ok, true);
});
