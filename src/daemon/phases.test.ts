/** Tests of phases.ts: the whole table, every phase × event pair. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PHASE_EVENTS, PHASES, phaseAfter } from "./phases.ts";

test("phaseAfter() answers every phase × event pair as listed", () => {
  const table = PHASES.flatMap((phase) =>
    PHASE_EVENTS.map((event) => `${phase} + ${event} = ${phaseAfter(phase, event) ?? "ignored"}`),
  ).filter((line) => !line.endsWith("ignored"));
  assert.deepEqual(table, [
    "starting + all-workers-ready = running",
    "starting + start-failed = stopped",
    "starting + drain-requested = draining",
    "running + reload-requested = reloading",
    "running + drain-requested = draining",
    "reloading + reload-finished = running",
    "reloading + drain-requested = draining",
    "draining + last-worker-gone = stopped",
  ]);
});

test("every phase leads to stopped, and stopped leads nowhere", () => {
  for (const phase of PHASES.slice(0, -1)) {
    const reached = new Set<string>([phase]);
    for (let turn = 0; turn < PHASES.length; turn++) {
      for (const from of PHASES) {
        for (const event of PHASE_EVENTS) {
          const to = phaseAfter(from, event);
          if (reached.has(from) && to !== undefined) reached.add(to);
        }
      }
    }
    assert.ok(reached.has("stopped"), phase);
  }
  assert.ok(PHASE_EVENTS.every((event) => phaseAfter("stopped", event) === undefined));
});
