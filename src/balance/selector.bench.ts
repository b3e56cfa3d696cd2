/**
 * Time of one `select` for each algorithm. A function, so that the unit test can run it with small
 * parameters and it cannot rot; with real ones: `measureSelections(5e6, process.hrtime.bigint)`.
 */
import type { Balance } from "../config/types.ts";
import { seededRandom } from "../testing/seeded-random.ts";
import type { Backend } from "./backend.ts";
import { backendsOfWeights } from "./balance-fixtures.ts";
import { createSelector } from "./selector.ts";

export interface SelectionTiming {
  readonly algorithm: string;
  readonly servers: number;
  readonly nanosecondsPerSelection: number;
}

const NOT_TRIED: readonly Backend[] = [];
const BALANCES: readonly Balance[] = [
  { kind: "round_robin" },
  { kind: "least_conn" },
  { kind: "random" },
  { kind: "shortest_expected_delay" },
  { kind: "never_queue" },
  { kind: "hash", key: "uri" },
];

export function measureSelections(selections: number, now: () => bigint): SelectionTiming[] {
  const timings: SelectionTiming[] = [];
  for (const servers of [1, 3, 20]) {
    for (const balance of BALANCES) {
      const backends = backendsOfWeights(new Array<number>(servers).fill(1));
      const selector = createSelector(balance, backends, seededRandom(1));
      let checksum = 0;
      const start = now();
      for (let n = 0; n < selections; n++) {
        checksum += selector.select(n >>> 10, Math.imul(n, 0x9e3779b1), NOT_TRIED)!.index;
      }
      const elapsed = Number(now() - start);
      if (checksum < 0) throw new Error("unreachable: keeps the loop alive");
      timings.push({ algorithm: balance.kind, servers, nanosecondsPerSelection: elapsed / selections });
    }
  }
  return timings;
}
