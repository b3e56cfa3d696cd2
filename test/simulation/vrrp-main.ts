/**
 * `node dist/test/simulation/vrrp-main.js --seed 4711`: one simulated run of virtual routers, told line by line. With `--seeds N`: as
 * many schedules from `--seed` on, until one violates an invariant. The seed of a failure is printed by vrrp.test.ts.
 */
import { parseArgs } from "node:util";
import { runSchedule } from "./vrrp-run.ts";
import { makeSchedule } from "./vrrp-schedule.ts";

const { values } = parseArgs({
  options: { seed: { type: "string", default: "1" }, seeds: { type: "string" } },
});
const firstSeed = Number(values.seed);
const count = values.seeds === undefined ? 1 : Number(values.seeds);

let failed: number | undefined;
for (let seed = firstSeed; seed < firstSeed + count && failed === undefined; seed++) {
  if (runSchedule(makeSchedule(seed)).violation !== undefined) failed = seed;
}
if (count === 1 || failed !== undefined) {
  const { story, violation } = runSchedule(makeSchedule(failed ?? firstSeed), { tellsStory: true });
  process.stdout.write(`${story.join("\n")}\n${violation ?? "every invariant held"}\n`);
} else {
  process.stdout.write(`${count} schedules from seed ${firstSeed} on: every invariant held\n`);
}
process.exitCode = failed === undefined ? 0 : 1;
