import assert from "node:assert/strict";
import { test } from "node:test";
import {
  idleDetectionMs,
  inFlightDetectionMs,
  modelTimeoutMs,
  probingLeftMs,
  type RetransmissionProgress,
  retransmissionLeftMs,
  DEFAULT_TCP_SYSCTLS as SYSCTLS,
  windowProbesLeftMs,
} from "./detection-time.ts";
import { PROBING_OPTIONS } from "./socket-fixtures.ts";

test("tcp_retries2 = 15 is modelled as 924.6 s, 8 as 102.2 s (tcp_model_timeout(), ip-sysctl.rst)", () => {
  assert.equal(modelTimeoutMs(15, 120_000), 924_600);
  assert.equal(modelTimeoutMs(8, 120_000), 102_200);
  assert.equal(modelTimeoutMs(0, 120_000), 200);
});

test("an idle dead peer is noticed after idle + interval × count; never without keepalive", () => {
  assert.equal(idleDetectionMs(PROBING_OPTIONS), 120_000);
  assert.equal(idleDetectionMs({ ...PROBING_OPTIONS, isKeepaliveOn: false }), undefined);
});

test("TCP_USER_TIMEOUT replaces the count: the first tick past it, after one probe at least", () => {
  assert.equal(idleDetectionMs({ ...PROBING_OPTIONS, userTimeoutMs: 75_000 }), 80_000);
  assert.equal(idleDetectionMs({ ...PROBING_OPTIONS, userTimeoutMs: 1000 }), 70_000);
});

test("data in flight is given up at the first time-out past the model, counted from the first retransmission", () => {
  // 204 ms doubled: ticks at 0.204, 0.612, … 208.7 s, then every 120 s; the last one is 928.7 s.
  assert.equal(inFlightDetectionMs(204, 0, SYSCTLS), 928_692);
  // At exactly 200 ms the tick of 924.6 s is 0.2 s short of the limit, and the next one ends it.
  assert.equal(inFlightDetectionMs(200, 0, SYSCTLS), 1_044_600);
});

test("TCP_USER_TIMEOUT bounds data in flight: it runs from the first retransmission", () => {
  assert.equal(inFlightDetectionMs(200, 3000, SYSCTLS), 3200);
});

const DYING: RetransmissionProgress = {
  rtoMs: 3200,
  timerLeftMs: 1000,
  count: 4,
  backoff: 4,
  rttMs: 1,
  rttVariationMs: 0,
  isOrphan: false,
};

test("what is left of a dying connection agrees with what it had at its beginning", () => {
  // 200 ms base; the fourth retransmission was at 0.2 × (2^4 - 1) = 3 s, the timer was armed for 3.2 s and has 1 s left: now is 5.2 s.
  assert.equal(retransmissionLeftMs(DYING, 0, SYSCTLS), inFlightDetectionMs(200, 0, SYSCTLS) - 5200);
  assert.equal(retransmissionLeftMs(DYING, 30_000, SYSCTLS), 30_200 - 5200);
});

test("a time-out at its cap no longer tells the base: it is taken from the round-trip time", () => {
  // Base 201 ms: ticks 10 (205.6 s), 11 (325.6 s) … ; eleven retransmissions, 20 s of the last wait left.
  const capped = { ...DYING, rtoMs: 120_000, timerLeftMs: 20_000, count: 11, backoff: 11 };
  const nowMs = 201 * 1023 + 2 * 120_000 - 20_000;
  assert.equal(retransmissionLeftMs(capped, 0, SYSCTLS), inFlightDetectionMs(201, 0, SYSCTLS) - nowMs);
});

test("a socket that its process has closed gets tcp_orphan_retries, 8 by default", () => {
  // 102.2 s are modelled; the tick of 102.2 s is 0.2 s short of it, the next one is at 204.6 s.
  assert.equal(retransmissionLeftMs({ ...DYING, isOrphan: true }, 0, SYSCTLS), 204_600 - 5200);
  assert.ok(retransmissionLeftMs({ ...DYING, isOrphan: true }, 0, { ...SYSCTLS, orphanRetries: 3 }) < 2000);
});

test("probes: what is left is the timer and an interval for each probe that may still go unanswered", () => {
  const progress = { unanswered: 2, timerLeftMs: 4000, silentMs: 76_000 };
  assert.equal(probingLeftMs(progress, PROBING_OPTIONS), 4000 + 4 * 10_000);
  assert.equal(probingLeftMs({ ...progress, unanswered: 6 }, PROBING_OPTIONS), 4000);
  assert.equal(probingLeftMs(progress, { ...PROBING_OPTIONS, userTimeoutMs: 85_000 }), 14_000);
  assert.equal(probingLeftMs(progress, { ...PROBING_OPTIONS, isKeepaliveOn: false }), undefined);
});

test("a closed window is asked about tcp_retries2 times, at intervals that double up to the cap", () => {
  const progress = { unanswered: 13, timerLeftMs: 100, rtoMs: 200, backoff: 13 };
  assert.equal(windowProbesLeftMs(progress, SYSCTLS), 100 + 2 * 120_000);
});
