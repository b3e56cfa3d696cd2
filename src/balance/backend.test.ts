/** Unit tests of Backend: nginx's max_fails / fail_timeout / max_conns, health flag, slow_start. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Backend, slowStartWeight, WEIGHT_SCALE } from "./backend.ts";
import { serverConfig } from "./balance-fixtures.ts";

const backend = (overrides: Parameters<typeof serverConfig>[1] = {}) =>
  new Backend(0, serverConfig("a", overrides));

test("Backend is passed over for fail_timeout after max_fails failures", () => {
  const server = backend({ maxFails: 2, failTimeoutMs: 10_000 });
  server.handleFailure(1000);
  assert.equal(server.isAvailable(1000), true);
  server.handleFailure(2000);
  assert.equal(server.isAvailable(2000), false);
  assert.equal(server.isAvailable(12_000), false);
  assert.equal(server.isAvailable(12_001), true);
});

test("Backend lets one request through as a trial after fail_timeout, and the others only when it succeeded", () => {
  const server = backend({ maxFails: 1, failTimeoutMs: 10_000 });
  server.handleFailure(0);
  assert.equal(server.isAvailable(10_001), true);
  server.handleSelected(10_001);
  assert.equal(server.isAvailable(10_002), false, "the trial is under way");
  server.handleSuccess(10_500);
  assert.equal(server.failureCount, 0);
  assert.equal(server.isAvailable(10_501), true);
});

test("Backend is passed over again when its trial fails, and may be tried anew when its trial never ends", () => {
  const server = backend({ maxFails: 3, failTimeoutMs: 10_000 });
  for (const at of [0, 1, 2]) server.handleFailure(at);
  server.handleSelected(10_003);
  server.handleFailure(11_000);
  assert.equal(server.isAvailable(20_999), false, "one failed trial is enough");
  server.handleSelected(21_001);
  assert.equal(server.isAvailable(31_001), false);
  assert.equal(server.isAvailable(31_002), true);
});

test("Backend ignores the success of a request that was under way when the server was marked", () => {
  const server = backend({ maxFails: 1, failTimeoutMs: 10_000 });
  server.handleSelected(0);
  server.handleFailure(100);
  server.handleSuccess(200);
  assert.equal(server.isAvailable(300), false);
});

test("Backend forgets failures that are older than fail_timeout at the next request that succeeds", () => {
  const server = backend({ maxFails: 2, failTimeoutMs: 10_000 });
  server.handleFailure(0);
  server.handleSelected(5000);
  server.handleSuccess(5001);
  assert.equal(server.failureCount, 1, "within fail_timeout a success does not clear the count");
  server.handleSelected(10_001);
  server.handleSuccess(10_002);
  server.handleFailure(10_003);
  assert.equal(server.isAvailable(10_004), true);
});

test("Backend is never passed over when max_fails is 0", () => {
  const server = backend({ maxFails: 0 });
  for (let at = 0; at < 100; at++) server.handleFailure(at);
  assert.equal(server.isAvailable(100), true);
  assert.equal(server.effectiveWeight, server.weight);
});

test("Backend is unavailable at max_conns and available again below it", () => {
  const server = backend({ maxConns: 2 });
  server.activeConnections = 1;
  assert.equal(server.isAvailable(0), true);
  server.activeConnections = 2;
  assert.equal(server.isAvailable(0), false);
});

test("Backend loses weight / max_fails with a failure", () => {
  const server = backend({ weight: 6, maxFails: 3 });
  server.handleFailure(0);
  assert.equal(server.effectiveWeight, 4 * WEIGHT_SCALE);
  for (let n = 0; n < 9; n++) server.handleFailure(1);
  assert.equal(server.effectiveWeight, 0);
});

test("setUp() takes a server out, and coming back clears its failures and ramps its weight up by slow_start", () => {
  const server = backend({ weight: 4, maxFails: 1, slowStartMs: 10_000 });
  assert.equal(server.weightAt(0), 400, "no ramp at the start of the process");
  server.handleFailure(0);
  server.setUp(false, 1);
  assert.equal(server.isAvailable(60_000), false);
  server.setUp(true, 100_000);
  assert.equal(server.isAvailable(100_000), true);
  const weights = [0, 2500, 5000, 9999, 10_000, 20_000].map((after) => server.weightAt(100_000 + after));
  assert.deepEqual(weights, [1, 100, 200, 399, 400, 400]);
});

test("handleSuccess() of a trial ramps the weight up by slow_start", () => {
  const server = backend({ weight: 1, maxFails: 1, failTimeoutMs: 10_000, slowStartMs: 10_000 });
  server.handleFailure(0);
  server.handleSelected(10_001);
  server.handleSuccess(10_010);
  assert.equal(server.rampedWeightAt(10_010 + 2500), 25);
  assert.equal(server.rampedWeightAt(10_010 + 10_000), 100);
});

test("slowStartWeight() is linear, never above the weight and never zero for a positive weight", () => {
  assert.equal(slowStartWeight(100, -5, 1000), 1);
  assert.equal(slowStartWeight(100, 500, 1000), 50);
  assert.equal(slowStartWeight(100, 1001, 1000), 100);
  assert.equal(slowStartWeight(0, 500, 1000), 0);
});

test("setAdmin() keeps new work away, whatever health checks say, and begins slow_start when it is taken back", () => {
  const server = backend({ weight: 4, slowStartMs: 10_000 });
  server.setAdmin("drain", 0);
  assert.deepEqual([server.isAvailable(1), server.isGone], [false, false], "what it has goes on");
  server.setUp(false, 2);
  server.setUp(true, 3);
  assert.equal(server.isAvailable(4), false);
  server.setAdmin("maint", 5);
  assert.deepEqual([server.isAvailable(6), server.isGone], [false, true]);
  server.setAdmin("up", 10_000);
  assert.deepEqual([server.isAvailable(10_000), server.isGone], [true, false]);
  assert.equal(server.weightAt(15_000), 200);
  server.setUp(false, 20_000);
  server.setAdmin("up", 20_001);
  assert.deepEqual(
    [server.isAvailable(20_002), server.isGone],
    [false, true],
    "the order does not overrule the checks",
  );
});

test("setWeight() keeps the share that failures have taken", () => {
  const server = backend({ weight: 4, maxFails: 2 });
  server.setWeight(8);
  assert.deepEqual([server.weight, server.effectiveWeight], [800, 800]);
  server.handleFailure(0);
  server.setWeight(2);
  assert.deepEqual([server.weight, server.effectiveWeight], [200, 100]);
});
