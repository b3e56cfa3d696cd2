/** Tests of fault-detector.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  FaultDetector,
  TRAFFIC_FALL,
  TRAFFIC_FALL_5XX,
  TRAFFIC_MEMORY_MS,
  type TrafficObservation,
} from "./fault-detector.ts";

const detector = (initial: "up" | "down" = "up") => new FaultDetector({ rise: 2, fall: 3, initial }, 1000);
const ok = { ok: true, reason: "answered 200", durationMs: 3 };
const refused = { ok: false, reason: "connection refused", durationMs: 1 };
const failures = (count: number, of5xx = 0): TrafficObservation => ({
  successes: 0,
  failures: count,
  responses5xx: of5xx,
  lastFailure: of5xx > 0 ? "response-5xx" : "upstream-refused",
});
const successes = (count: number): TrafficObservation => ({
  successes: count,
  failures: 0,
  responses5xx: 0,
  lastFailure: "",
});

test("FaultDetector keeps reason, time of change, last result and counts", () => {
  const server = detector();
  assert.equal(server.isChanging, true, "nothing is known yet");
  assert.equal(server.handleCheck(2000, ok), false);
  assert.equal(server.isChanging, false);
  assert.deepEqual([server.sinceMs, server.reason], [1000, "taken as up at the start"]);
  assert.equal(server.handleCheck(3000, refused), false);
  assert.deepEqual([server.state, server.isChanging], ["going-down", true]);
  server.handleCheck(4000, refused);
  assert.equal(server.handleCheck(5000, refused), true);
  assert.equal(server.isUp, false);
  assert.deepEqual([server.sinceMs, server.reason], [5000, "connection refused (3 failed checks in a row)"]);
  assert.deepEqual([server.checks, server.checksFailed, server.timesDown], [4, 3, 1]);
  assert.deepEqual(server.lastCheck, { ...refused, atMs: 5000 });
  assert.equal(server.handleCheck(6000, ok), false);
  assert.equal(server.handleCheck(7000, ok), true);
  assert.deepEqual([server.state, server.sinceMs, server.timesUp], ["up", 7000, 1]);
});

test("FaultDetector goes down with the first failures of live traffic, before any check has failed", () => {
  const server = detector();
  for (let n = 1; n < TRAFFIC_FALL; n++) assert.equal(server.handleTraffic(2000 + n, failures(1)), false);
  assert.equal(server.isChanging, true);
  assert.equal(server.handleTraffic(3000, failures(1)), true);
  assert.equal(server.state, "down");
  assert.equal(server.reason, "3 failures of live traffic in a row, last: upstream-refused");
  assert.equal(server.sinceMs, 3000);
});

test("FaultDetector begins to count again after a success of live traffic, in the same report or an own one", () => {
  const server = detector();
  server.handleTraffic(1, failures(TRAFFIC_FALL - 1));
  server.handleTraffic(2, successes(1));
  assert.equal(server.trafficFailures, 0);
  assert.equal(server.handleTraffic(3, failures(TRAFFIC_FALL - 1)), false);
  assert.equal(server.handleTraffic(4, { ...failures(TRAFFIC_FALL - 1), successes: 7 }), false);
  assert.equal(server.handleTraffic(5, failures(1)), true);
});

test("FaultDetector adds failed checks and connection failures of live traffic up", () => {
  const server = detector();
  server.handleTraffic(1, failures(TRAFFIC_FALL - 1));
  assert.equal(server.handleCheck(2, refused), true);
  assert.equal(
    server.reason,
    "2 failures of live traffic in a row and 1 health check, last: connection refused",
  );
  const other = detector();
  other.handleCheck(1, refused);
  other.handleCheck(2, refused);
  assert.equal(
    other.handleTraffic(3, failures(1, 1)),
    false,
    "an answer of class 5xx is no connection failure",
  );
  assert.equal(other.handleTraffic(4, failures(1)), true);
});

test("FaultDetector forgets failures of live traffic after a while, because nobody tells it of every success", () => {
  const server = detector();
  server.handleTraffic(1000, failures(TRAFFIC_FALL - 1));
  assert.equal(server.handleTraffic(1001 + TRAFFIC_MEMORY_MS, failures(TRAFFIC_FALL - 1)), false);
  assert.equal(server.trafficFailures, TRAFFIC_FALL - 1);
  server.handleCheck(1002 + 2 * TRAFFIC_MEMORY_MS, ok);
  assert.deepEqual([server.trafficFailures, server.isChanging], [0, false]);
});

test("FaultDetector needs more answers of class 5xx than connection failures", () => {
  const server = detector();
  assert.equal(server.handleTraffic(1, failures(TRAFFIC_FALL_5XX - 1, TRAFFIC_FALL_5XX - 1)), false);
  assert.equal(server.handleTraffic(2, failures(1, 1)), true);
  const mixed = detector();
  assert.equal(mixed.handleTraffic(1, failures(6, 4)), false);
  assert.equal(mixed.handleTraffic(2, failures(1, 0)), true, "three of them were connection failures");
});

test("FaultDetector never comes back by live traffic alone, and takes late failures for echoes", () => {
  const server = detector();
  server.handleTraffic(1, failures(TRAFFIC_FALL));
  server.handleTraffic(2, successes(1000));
  assert.equal(server.state, "down");
  server.handleCheck(3, ok);
  assert.equal(server.handleTraffic(4, failures(100)), false);
  assert.equal(server.state, "going-up", "requests sent before it went down end late");
  assert.equal(server.handleCheck(5, ok), true);
  assert.equal(server.handleTraffic(6, failures(TRAFFIC_FALL - 1)), false, "and do not count afterwards");
});

test("FaultDetector does not take a success of live traffic for a check", () => {
  const server = detector();
  server.handleCheck(1, refused);
  server.handleCheck(2, refused);
  server.handleTraffic(3, successes(5));
  assert.equal(server.state, "going-down");
  assert.equal(server.handleCheck(4, refused), true);
});
