import assert from "node:assert/strict";
import { test } from "node:test";
import type { AnnounceConfig } from "../config/types.ts";
import { firstAnnouncement, nextAnnouncement } from "./announce-schedule.ts";

function times(config: AnnounceConfig, count: number): number[] {
  const result: number[] = [];
  let announcement: ReturnType<typeof nextAnnouncement> = firstAnnouncement(0);
  while (announcement !== undefined && result.length < count) {
    result.push(announcement.atMs);
    announcement = nextAnnouncement(config, announcement);
  }
  return result;
}

test("nextAnnouncement(): the first round, the second after the delay, then nothing more", () => {
  const config = { repeat: 3, repeatIntervalMs: 10, delayMs: 5000, refreshMs: 0 };
  assert.deepEqual(times(config, 99), [0, 10, 20, 5000, 5010, 5020]);
});

test("nextAnnouncement(): without a delay there is one round; a refresh goes on for ever", () => {
  assert.deepEqual(times({ repeat: 2, repeatIntervalMs: 10, delayMs: 0, refreshMs: 0 }, 99), [0, 10]);
  assert.deepEqual(
    times({ repeat: 1, repeatIntervalMs: 0, delayMs: 0, refreshMs: 1000 }, 4),
    [0, 1000, 2000, 3000],
  );
});

test("nextAnnouncement(): a first round that outlasts the delay ends before the second begins", () => {
  assert.deepEqual(
    times({ repeat: 3, repeatIntervalMs: 100, delayMs: 50, refreshMs: 0 }, 99),
    [0, 100, 200, 200, 300, 400],
  );
});
