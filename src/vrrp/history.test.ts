/** The ring of transitions. */
import assert from "node:assert/strict";
import test from "node:test";
import { TransitionHistory } from "./history.ts";
import type { TransitionRecord } from "./state.ts";

function record(router: string, atUnixMs: number): TransitionRecord {
  return {
    router,
    atUnixMs,
    from: "backup",
    to: "active",
    cause: "silence",
    detail: "",
    priority: 100,
    lastAdvertisement: null,
    loopLagMs: 0,
    addressesAfterMs: null,
    announcedAfterMs: null,
  };
}

test("the oldest transitions are forgotten first, and all are counted", () => {
  const history = new TransitionHistory(3);
  for (let at = 1; at <= 5; at++) history.add(record("edge", at));
  assert.deepEqual(
    history.list().map((it) => it.atUnixMs),
    [3, 4, 5],
  );
  assert.equal(history.total, 5);
});

test("100 are kept unless told otherwise", () => {
  const history = new TransitionHistory();
  for (let at = 0; at < 150; at++) history.add(record("edge", at));
  assert.equal(history.list().length, 100);
  assert.equal(history.list()[0]!.atUnixMs, 50);
});

test("list() of one router leaves out the others", () => {
  const history = new TransitionHistory(10);
  history.add(record("a", 1));
  history.add(record("b", 2));
  history.add(record("a", 3));
  assert.deepEqual(
    history.list("a").map((it) => it.atUnixMs),
    [1, 3],
  );
});
