/** Weights that change at run time: every algorithm follows, once the pool has made its selector anew. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Balance } from "../config/types.ts";
import { seededRandom } from "../testing/seeded-random.ts";
import type { Backend } from "./backend.ts";
import { backendsOfWeights } from "./balance-fixtures.ts";
import { createSelector } from "./selector.ts";

const BALANCES: readonly Balance[] = [
  { kind: "round_robin" },
  { kind: "least_conn" },
  { kind: "random" },
  { kind: "shortest_expected_delay" },
  { kind: "never_queue" },
  { kind: "hash", key: "source" },
];

/** Shares of 20,000 requests, of which 200 are in progress at any time. */
function shares(balance: Balance, backends: readonly Backend[]): number[] {
  const random = seededRandom(3);
  const selector = createSelector(balance, backends, random);
  const inProgress: Backend[] = [];
  const counts = backends.map(() => 0);
  for (let n = 0; n < 20_000; n++) {
    const chosen = selector.select(n, Math.imul(n, 0x9e3779b1) | 0, [])!;
    counts[chosen.index]!++;
    chosen.activeConnections++;
    inProgress.push(chosen);
    if (inProgress.length > 200) {
      const [done] = inProgress.splice(Math.floor(random() * inProgress.length), 1);
      done!.activeConnections--;
    }
  }
  for (const backend of inProgress) backend.activeConnections--;
  return counts.map((count) => count / 20_000);
}

for (const balance of BALANCES) {
  test(`${balance.kind} follows setWeight(), in both directions`, () => {
    const backends = backendsOfWeights([1, 1]);
    const weigh = (a: number, b: number) => {
      backends[0]!.setWeight(a);
      backends[1]!.setWeight(b);
      return shares(balance, backends)[1]!;
    };
    // Two random choices of two servers are both servers: the less loaded one, by weight.
    for (const [a, b] of [
      [1, 1],
      [1, 3],
      [6, 2],
      [1, 1],
    ] as const) {
      const share = weigh(a, b);
      assert.ok(Math.abs(share - b / (a + b)) < 0.05, `${a}:${b} gave ${share}`);
    }
  });
}
