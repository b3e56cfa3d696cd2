/** Tests of threshold.ts: every state × event pair, and runs of results. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  HEALTH_EVENTS,
  HEALTH_STATES,
  HEALTH_TRANSITIONS,
  type HealthEvent,
  type HealthState,
  isUpState,
  Threshold,
} from "./threshold.ts";

const EXPECTED: readonly (readonly [HealthState, HealthEvent, HealthState])[] = [
  ["up", "success", "up"],
  ["up", "rise-reached", "up"],
  ["up", "failure", "going-down"],
  ["up", "fall-reached", "down"],
  ["going-down", "success", "up"],
  ["going-down", "rise-reached", "up"],
  ["going-down", "failure", "going-down"],
  ["going-down", "fall-reached", "down"],
  ["down", "success", "going-up"],
  ["down", "rise-reached", "up"],
  ["down", "failure", "down"],
  ["down", "fall-reached", "down"],
  ["going-up", "success", "going-up"],
  ["going-up", "rise-reached", "up"],
  ["going-up", "failure", "down"],
  ["going-up", "fall-reached", "down"],
];

test("HEALTH_TRANSITIONS names the next state of every pair", () => {
  assert.equal(EXPECTED.length, HEALTH_STATES.length * HEALTH_EVENTS.length);
  for (const [state, event, next] of EXPECTED)
    assert.equal(HEALTH_TRANSITIONS[state][event], next, `${state} × ${event}`);
  assert.deepEqual(HEALTH_STATES.map(isUpState), [true, true, false, false]);
});

/** `+` a success, `-` a failure, `!` proof; the states after each. */
function statesAfter(threshold: Threshold, script: string): string {
  return [...script]
    .map((step) => {
      if (step === "!") threshold.forceDown();
      else threshold.handleResult(step === "+");
      return threshold.state;
    })
    .join(" ");
}

test("Threshold goes down with `fall` failures in a row and comes up with `rise` successes in a row", () => {
  const threshold = new Threshold(2, 3, "up");
  assert.equal(
    statesAfter(threshold, "--+---+-++-"),
    "going-down going-down up going-down going-down down going-up down going-up up going-down",
  );
});

test("Threshold changes at once with rise 1 and fall 1, and skips the states in between", () => {
  assert.equal(statesAfter(new Threshold(1, 1, "up"), "-+-+"), "down up down up");
});

test("Threshold that begins down needs `rise` successes, and one failure begins the run again", () => {
  assert.equal(
    statesAfter(new Threshold(3, 1, "down"), "-++-+++"),
    "down going-up going-up down going-up going-up up",
  );
});

test("forceDown() takes the server down whatever the run was, and the successes begin at none", () => {
  const threshold = new Threshold(2, 9, "up");
  assert.equal(statesAfter(threshold, "++!++"), "up up down going-up up");
  assert.equal(statesAfter(threshold, "-!+!++"), "going-down down going-up down going-up up");
});
