/** Trackers, priority and faults. */
import assert from "node:assert/strict";
import test from "node:test";
import { effectivePriority, type Tracker } from "./effective-priority.ts";

function tracker(key: string, isUp: boolean, weight: number): Tracker {
  return { key, isUp, weight, detail: `${key} is ${isUp ? "well" : "not well"}` };
}

test("a negative weight counts while the tracker is down, a positive one while it is up", () => {
  const trackers = [
    tracker("a", false, -30),
    tracker("b", true, -20),
    tracker("c", true, 5),
    tracker("d", false, 7),
  ];
  assert.deepEqual(effectivePriority(100, trackers), {
    priority: 75,
    faults: [],
    detail: "100 − 30 (a is down) + 5 (c is up) = 75",
  });
});

test("weight 0 means fault while the tracker is down, and changes no priority", () => {
  const trackers = [tracker("pool:web", false, 0), tracker("gateway", true, 0)];
  assert.deepEqual(effectivePriority(100, trackers), {
    priority: 100,
    faults: ["pool:web: pool:web is not well"],
    detail: "100 (configured)",
  });
});

test("the priority stays within 1 to 254: 0 means stop, 255 owner (RFC 9568 §5.2.4)", () => {
  const low = effectivePriority(100, [tracker("a", false, -253)]);
  assert.deepEqual([low.priority, low.detail], [1, "100 − 253 (a is down) = -153, at least 1"]);
  const high = effectivePriority(250, [tracker("a", true, 50)]);
  assert.deepEqual([high.priority, high.detail], [254, "250 + 50 (a is up) = 300, at most 254"]);
});

test("the owner keeps 255 whatever its trackers say, and can be in fault", () => {
  const { priority, faults } = effectivePriority(255, [tracker("a", false, -100), tracker("b", false, 0)]);
  assert.equal(priority, 255);
  assert.equal(faults.length, 1);
});
