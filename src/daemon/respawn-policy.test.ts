/** Tests of respawn-policy.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RESPAWN_DELAY_MS_MAX, RESPAWN_RESET_AFTER_MS, respawnAfter } from "./respawn-policy.ts";

test("respawnAfter() doubles from 100 ms to 10 s while workers die young", () => {
  const delays: number[] = [];
  for (let crashes = 0, turn = 0; turn < 9; turn++) {
    const decision = respawnAfter(crashes, 50);
    delays.push(decision.delayMs);
    crashes = decision.crashesInARow;
  }
  assert.deepEqual(delays, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
});

test("respawnAfter() starts over when the worker had lived for 10 s", () => {
  assert.deepEqual(respawnAfter(7, RESPAWN_RESET_AFTER_MS), { delayMs: 100, crashesInARow: 1 });
  assert.equal(respawnAfter(7, RESPAWN_RESET_AFTER_MS - 1).delayMs, RESPAWN_DELAY_MS_MAX);
  assert.equal(respawnAfter(5000, 0).delayMs, RESPAWN_DELAY_MS_MAX);
});
