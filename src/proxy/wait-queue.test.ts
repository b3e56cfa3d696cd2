/** Unit tests of WaitQueue: order, bound, leaving anywhere, one time-out for all. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type QueuePlace, WaitQueue } from "./wait-queue.ts";

function waiters(queue: WaitQueue<string>): string {
  let names = "";
  for (let place = queue.first; place !== undefined; place = place.next) names += place.waiter;
  return names;
}

function filled(names: string, sizeMax = 10): { queue: WaitQueue<string>; places: QueuePlace<string>[] } {
  const queue = new WaitQueue<string>(sizeMax, 5000);
  return { queue, places: [...names].map((name, n) => queue.enter(name, n)!) };
}

test("enter() puts waiters behind each other, and refuses them when the queue is full", () => {
  const { queue } = filled("abc", 3);
  assert.equal(waiters(queue), "abc");
  assert.equal(queue.enter("d", 9), undefined);
  assert.equal(queue.size, 3);
  queue.leave(queue.first!);
  assert.ok(queue.enter("d", 9));
  assert.equal(waiters(queue), "bcd");
});

test("enter() lets nobody wait in a queue of size 0", () => {
  const queue = new WaitQueue<string>(0, 5000);
  assert.equal(queue.enter("a", 0), undefined);
  assert.equal(queue.nextTimeoutMs(0), -1);
});

for (const [leaving, left] of [
  ["a", "bcd"],
  ["b", "acd"],
  ["d", "abc"],
  ["bc", "ad"],
  ["dcba", ""],
  ["abcd", ""],
] as const) {
  test(`leave() of ${leaving} leaves "${left}"`, () => {
    const { queue, places } = filled("abcd");
    for (const name of leaving) queue.leave(places["abcd".indexOf(name)]!);
    assert.equal(waiters(queue), left);
    assert.equal(queue.size, left.length);
    queue.enter("e", 9);
    assert.equal(waiters(queue), `${left}e`);
  });
}

test("leave() of a place that was left before changes nothing", () => {
  const { queue, places } = filled("abc");
  queue.leave(places[1]!);
  queue.leave(places[1]!);
  assert.equal(queue.size, 2);
  assert.equal(waiters(queue), "ac");
});

test("leave() keeps the way to the next place for whoever walks along the queue", () => {
  const { queue } = filled("abcd");
  const seen: string[] = [];
  for (let place = queue.first; place !== undefined; place = place.next) {
    seen.push(place.waiter);
    queue.leave(place);
  }
  assert.deepEqual(seen, ["a", "b", "c", "d"]);
  assert.equal(queue.size, 0);
});

test("nextTimeoutMs() is that of the longest waiter", () => {
  const { queue, places } = filled("ab");
  assert.equal(queue.nextTimeoutMs(1000), 4000);
  assert.equal(queue.hasExpired(places[0]!, 4999), false);
  assert.equal(queue.hasExpired(places[0]!, 5000), true);
  assert.equal(queue.nextTimeoutMs(6000), 0);
  queue.leave(places[0]!);
  assert.equal(queue.nextTimeoutMs(5000), 1);
});
