import assert from "node:assert/strict";
import { test } from "node:test";
import { routerFacts, transitionRecord } from "../testing/router-records.ts";
import { NO_ROUTER_COUNTERS, RouterLedger } from "./router-ledger.ts";

function report(ledger: RouterLedger, advertisementsSent: number, badTtl = 0): void {
  const advertisementsDiscarded = { "bad-ttl": badTtl };
  const counters = { ...NO_ROUTER_COUNTERS, advertisementsSent, advertisementsDiscarded };
  ledger.handleReport([routerFacts({ counters })]);
}

test("RouterLedger: counters do not decrease when the router process begins again at zero", () => {
  const ledger = new RouterLedger();
  report(ledger, 10, 1);
  report(ledger, 12, 2);
  assert.equal(ledger.counters("edge").advertisementsSent, 12);
  ledger.handleProcessEnd();
  assert.equal(ledger.counters("edge").advertisementsSent, 12);
  report(ledger, 20, 0); // more than before: only the end of the process tells
  assert.equal(ledger.counters("edge").advertisementsSent, 32);
  report(ledger, 3, 5); // less than before: a reload made the router anew
  assert.equal(ledger.counters("edge").advertisementsSent, 35);
  assert.deepEqual(ledger.counters("edge").advertisementsDiscarded, { "bad-ttl": 7 });
});

test("RouterLedger counts transitions by from, to and cause, and forgets routers that are gone", () => {
  const ledger = new RouterLedger();
  for (const cause of ["silence", "preempt", "silence"] as const)
    ledger.countTransition(transitionRecord({ cause }));
  assert.deepEqual(
    ledger.transitions("edge").map(({ cause, count }) => [cause, count]),
    [
      ["silence", 2],
      ["preempt", 1],
    ],
  );
  ledger.forgetAllBut([]);
  assert.deepEqual(ledger.transitions("edge"), []);
});
