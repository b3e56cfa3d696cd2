import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { transitionRecord } from "../testing/router-records.ts";
import { NotifyQueue } from "./notify-queue.ts";

test("NotifyQueue hands out one notification per router at a time, in order", () => {
  const queue = new NotifyQueue();
  const [first, second, other] = ["a", "a", "b"].map((router) => transitionRecord({ router }));
  for (const record of [first!, second!, other!]) assert.equal(queue.enqueue(record), undefined);
  assert.equal(queue.begin("a")?.record, first);
  assert.equal(queue.begin("a"), undefined, "the one before is running");
  assert.equal(queue.begin("b")?.record, other, "routers do not wait for each other");
  assert.equal(queue.waiting, 1);
  queue.finish("a");
  assert.equal(queue.begin("a")?.record, second);
  assert.equal(queue.isIdle, false);
  queue.finish("a");
  queue.finish("b");
  assert.equal(queue.isIdle, true);
});

test("NotifyQueue gives up the oldest one that waits when the line is full, and the next one says so", () => {
  const queue = new NotifyQueue(2);
  const records = [0, 1, 2, 3].map((atUnixMs) => transitionRecord({ atUnixMs }));
  const givenUp = records.map((record) => queue.enqueue(record));
  assert.deepEqual(givenUp, [undefined, undefined, records[0], records[1]]);
  assert.deepEqual(queue.begin("edge"), { record: records[2], missed: 2 });
  queue.finish("edge");
  assert.deepEqual(queue.begin("edge"), { record: records[3], missed: 0 });
});

test("NotifyQueue never reorders, never runs two of a router at once, loses none without counting it (random interleavings)", () => {
  const step = fc.constantFrom("enqueue", "begin", "finish");
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 5 }), (steps, max) => {
      const queue = new NotifyQueue(max);
      let enqueued = 0;
      let told = 0;
      let missed = 0;
      let isBusy = false;
      let lastAt = -1;
      for (const kind of [...steps, ...Array.from({ length: 12 }, (_, i) => (i % 2 ? "begin" : "finish"))]) {
        if (kind === "enqueue") queue.enqueue(transitionRecord({ atUnixMs: enqueued++ }));
        else if (kind === "finish") {
          if (isBusy) queue.finish("edge");
          isBusy = false;
        } else {
          const next = queue.begin("edge");
          if (next === undefined) continue;
          assert.equal(isBusy, false);
          isBusy = true;
          assert.ok(next.record.atUnixMs > lastAt);
          lastAt = next.record.atUnixMs;
          told++;
          missed += next.missed;
        }
      }
      assert.equal(told + missed, enqueued);
    }),
  );
});
