/** Tests of traffic-observer.ts, on a reactor's timer wheel that the test turns. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ObservationMessage } from "../daemon/messages.ts";
import type { Reactor } from "../reactor/reactor.ts";
import type { Timed } from "../reactor/timer-wheel.ts";
import { ServerTraffic, TrafficObserver } from "./traffic-observer.ts";

/** Just what the observer needs of a reactor. */
class FakeReactor {
  nowMs = 1000;
  readonly timers = {
    arm: (timed: Timed, delayMs: number) => {
      this.armed.push([timed, this.nowMs + delayMs]);
    },
  };
  readonly armed: [Timed, number][] = [];

  advance(ms: number): void {
    this.nowMs += ms;
    const due = this.armed.filter(([, atMs]) => atMs <= this.nowMs);
    for (const entry of due) {
      this.armed.splice(this.armed.indexOf(entry), 1);
      entry[0].handleTimeout();
    }
  }
}

function stage() {
  const reactor = new FakeReactor();
  const observer = new TrafficObserver(reactor as unknown as Reactor);
  const told: (readonly ObservationMessage[])[] = [];
  observer.onObservations = (observations) => told.push(observations);
  const [a, b] = [0, 1].map((index) => new ServerTraffic(observer, 7, index)) as [
    ServerTraffic,
    ServerTraffic,
  ];
  return { reactor, told, a, b };
}

const observation = (
  serverIndex: number,
  successes: number,
  failures: number,
  responses5xx: number,
  lastFailure: string,
): ObservationMessage => ({ poolIndex: 7, serverIndex, successes, failures, responses5xx, lastFailure });

test("ServerTraffic tells the first failure at once, and further ones at most ten times a second", () => {
  const { reactor, told, a, b } = stage();
  a.handleFailure("upstream-refused", false);
  reactor.advance(1);
  assert.deepEqual(told.splice(0), [[observation(0, 0, 1, 0, "upstream-refused")]]);
  a.handleFailure("upstream-refused", false);
  a.handleFailure("response-5xx", true);
  b.handleFailure("upstream-reset", false);
  reactor.advance(98);
  assert.deepEqual(told, []);
  reactor.advance(2);
  assert.deepEqual(told, [
    [observation(0, 0, 2, 1, "response-5xx"), observation(1, 0, 1, 0, "upstream-reset")],
  ]);
});

test("ServerTraffic says nothing of successes, and of failures that a success has outdated", () => {
  const { reactor, told, a } = stage();
  a.handleSuccess();
  a.handleFailure("upstream-reset", false);
  a.handleSuccess();
  reactor.advance(1000);
  assert.deepEqual([told, reactor.armed], [[], []]);
});

test("ServerTraffic tells that there was a success after failures it has told, once", () => {
  const { reactor, told, a } = stage();
  a.handleFailure("upstream-reset", false);
  reactor.advance(1);
  a.handleSuccess();
  a.handleSuccess();
  a.handleFailure("upstream-refused", false);
  reactor.advance(100);
  assert.deepEqual(told.splice(0), [
    [observation(0, 0, 1, 0, "upstream-reset")],
    [observation(0, 1, 1, 0, "upstream-refused")],
  ]);
  a.handleSuccess();
  reactor.advance(100);
  a.handleSuccess();
  reactor.advance(100);
  assert.deepEqual(told, [[observation(0, 1, 0, 0, "")]]);
});

test("ServerTraffic of a pool without a health section tells nobody", () => {
  const traffic = new ServerTraffic(undefined, 0, 0);
  traffic.handleFailure("upstream-reset", false);
  traffic.handleSuccess();
  assert.equal(traffic.takeObservation(), undefined);
});
