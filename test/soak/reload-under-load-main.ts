/** `npm run soak:reload [-- --reloads N]`: many reloads under load. Exit status 1 when a request failed. */
import { Command } from "commander";
import { wrkFailures } from "../harness/wrk.ts";
import { runReloadUnderLoad } from "./reload-under-load.ts";

const options = new Command("soak:reload")
  .option("--reloads <n>", "how many", "50")
  .option("--interval <ms>", "time between two", "1500")
  .option("--connections <n>", "connections of wrk", "64")
  .option("--workers <n>", "workers of the gateway", "2")
  .parse()
  .opts<{ reloads: string; interval: string; connections: string; workers: string }>();

const result = await runReloadUnderLoad({
  reloads: Number(options.reloads),
  intervalMs: Number(options.interval),
  connections: Number(options.connections),
  workers: Number(options.workers),
});
console.log(
  `${result.load.requests} requests, ${result.reloads} reloads, errors ${JSON.stringify(result.load.errors)}`,
);
process.exitCode = wrkFailures(result.load) === 0 && result.badReloadStatus >= 400 ? 0 : 1;
