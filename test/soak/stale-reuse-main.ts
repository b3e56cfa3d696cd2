/**
 * `npm run soak:stale-reuse [-- --minutes N --clients N --short]`: the stale-reuse soak (stale-reuse.ts) with several origins' timeouts.
 * Exit status 1 unless Holdfast failed no request and sent none twice where the origin announces its timeout, and lost no GET where
 * it does not.
 */
import { Command } from "commander";
import { formatStaleReuse, runStaleReuse, type StaleReusePlan } from "./stale-reuse.ts";

const options = new Command("soak:stale-reuse")
  .option("--minutes <n>", "how long each of the four situations lasts", "1")
  .option("--clients <n>", "clients per proxy", "40")
  .option("--short", "10 seconds each")
  .parse()
  .opts<{ minutes: string; clients: string; short?: true }>();

const durationMs = options.short === true ? 10_000 : Number(options.minutes) * 60_000;
let isGood = true;
for (const isAdvertised of [true, false]) {
  for (const idleTimeoutMs of [1000, 200]) {
    const plan: StaleReusePlan = {
      proxies: ["holdfast", "nginx", "haproxy"],
      idleTimeoutMs,
      isAdvertised,
      clients: Number(options.clients),
      durationMs,
      jitterMs: 5,
    };
    const results = await runStaleReuse(plan);
    console.log(`${formatStaleReuse(plan, results)}\n`);
    const own = results.find((it) => it.proxy === "holdfast")!;
    if (own.failedGet + own.duplicates > 0 || (isAdvertised && own.failedPost > 0)) isGood = false;
  }
}
console.log(isGood ? "good: Holdfast failed no request" : "BAD: Holdfast failed requests or sent some twice");
process.exitCode = isGood ? 0 : 1;
