/**
 * Runs one router process inside a node, without a supervisor: requests as JSON lines on stdin, reports as JSON lines on stdout,
 * the first one being `{"pid": …}`. When stdin ends it goes away, as a supervisor that was killed.
 */
import { createInterface } from "node:readline";
import type { RouterRequest } from "../../src/daemon/router-messages.ts";
import { RouterProcess } from "../../src/daemon/router-process.ts";

const router = new RouterProcess({
  routerModule: undefined,
  nowMs: performance.now(),
  handleReport: (_process, report) => console.log(JSON.stringify(report)),
  handleEnd: (ended) => {
    console.log(JSON.stringify({ type: "ended", ending: ended.ending }));
    process.exit(0);
  },
});
console.log(JSON.stringify({ pid: router.pid }));
createInterface({ input: process.stdin })
  .on("line", (line) => router.send(JSON.parse(line) as RouterRequest))
  .on("close", () => process.exit(0));
