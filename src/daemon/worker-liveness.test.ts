import assert from "node:assert/strict";
import { test } from "node:test";
import { type PingedWorker, pingPeriodMs, WorkerLiveness } from "./worker-liveness.ts";

function worker(pid: number): PingedWorker & { pings: number[] } {
  const pings: number[] = [];
  return { pid, pings, send: ({ id }) => void pings.push(id) };
}

test("WorkerLiveness is up while one worker answers within the time-out, down when none does", () => {
  const liveness = new WorkerLiveness();
  const [a, b] = [worker(1), worker(2)];
  assert.deepEqual(liveness.tick(0, [a, b], 300), { isUp: true, detail: "2 of 2 workers answer" });
  for (const nowMs of [100, 200, 300]) {
    liveness.handlePong(a, nowMs - 50);
    assert.equal(liveness.tick(nowMs, [a, b], 300).isUp, true);
  }
  liveness.handlePong(a, 350);
  assert.equal(liveness.tick(400, [a, b], 300).detail, "1 of 2 workers answer");
  assert.equal(liveness.tick(500, [a, b], 300).isUp, true);
  assert.equal(liveness.tick(600, [a, b], 300).isUp, true);
  assert.deepEqual(liveness.tick(700, [a, b], 300), {
    isUp: false,
    detail: "0 of 2 workers answer, the last answer is more than 300 ms old",
  });
  liveness.handlePong(b, 750);
  assert.equal(liveness.tick(800, [a, b], 300).isUp, true);
  assert.equal(b.pings.length, 9);
});

test("WorkerLiveness bridges the moment in which a worker that ended is started again, no longer", () => {
  const liveness = new WorkerLiveness();
  assert.equal(liveness.tick(0, [], 300).isUp, false, "nobody has ever answered");
  assert.equal(liveness.tick(100, [worker(1)], 300).isUp, true, "one that is new has just said `ready`");
  assert.deepEqual(liveness.tick(200, [], 300), { isUp: true, detail: "no worker is running" });
  assert.equal(liveness.tick(300, [worker(2)], 300).isUp, true);
  for (const nowMs of [400, 500, 600]) assert.equal(liveness.tick(nowMs, [], 300).isUp, true);
  assert.deepEqual(liveness.tick(700, [], 300), {
    isUp: false,
    detail: "no worker is running, the last answer is more than 300 ms old",
  });
});

test("WorkerLiveness does not blame workers for the time the supervisor itself was away", () => {
  const liveness = new WorkerLiveness();
  const a = worker(1);
  liveness.tick(0, [a], 300);
  // Frozen for 5 s: the answers of the time wait unread.
  assert.equal(liveness.tick(5_100, [a], 300).isUp, true);
  for (const nowMs of [5_200, 5_300]) assert.equal(liveness.tick(nowMs, [a], 300).isUp, true);
  assert.equal(liveness.tick(5_400, [a], 300).isUp, false, "but only for that time");
});

test("pingPeriodMs() fits three pings into the time-out, within bounds", () => {
  assert.deepEqual([30, 300, 10_000].map(pingPeriodMs), [20, 100, 1_000]);
});
