import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { checkSessionClock, NEVER, sessionLeftMs } from "./session-clock.ts";

const ms = fc.integer({ min: 0, max: 1e9 });
const timeout = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 1e7 }));
const session = fc.record({
  times: fc.record({ lastPayloadMs: ms, halfClosedAtMs: fc.oneof(fc.constant(NEVER), ms) }),
  limits: fc.record({
    idleTimeoutMs: timeout,
    halfCloseTimeoutMs: timeout,
    onIdle: fc.constantFrom("reset", "close", "silent"),
  }),
  waitMs: ms,
});

test("checkSessionClock() expires exactly when nothing is left", () => {
  fc.assert(
    fc.property(session, ({ times, limits, waitMs }) => {
      const nowMs = Math.max(times.lastPayloadMs, times.halfClosedAtMs) + waitMs;
      const leftMs = sessionLeftMs(times, limits, nowMs);
      const effect = checkSessionClock(times, limits, nowMs);
      if (leftMs === NEVER) assert.equal(effect.kind, "never");
      else if (leftMs > 0) assert.deepEqual(effect, { kind: "wait", leftMs });
      else assert.equal(effect.kind, "expire");
      // Waiting for what is left, and no less, expires it.
      if (leftMs > 0) {
        assert.equal(checkSessionClock(times, limits, nowMs + leftMs).kind, "expire");
        assert.equal(checkSessionClock(times, limits, nowMs + leftMs - 1).kind, "wait");
      }
    }),
  );
});

test("sessionLeftMs() never shrinks by payload", () => {
  fc.assert(
    fc.property(session, ({ times, limits, waitMs }) => {
      const nowMs = Math.max(times.lastPayloadMs, times.halfClosedAtMs) + waitMs;
      const before = sessionLeftMs(times, limits, nowMs);
      const after = sessionLeftMs({ ...times, lastPayloadMs: nowMs }, limits, nowMs);
      assert.ok(before === NEVER ? after === NEVER : after >= before);
    }),
  );
});
