/**
 * An origin as a process of its own, for tests that kill it, freeze it or make it ill: `node health-origin-main.js PORT`. Answers
 * its pid to everything; `/healthz` with 200, and after SIGUSR2 with 500 (again: 200); everything else with 500 after
 * SIGUSR1. `/slow` takes half a second. `/counts` tells how many requests of which kind came.
 */
import { createServer } from "node:http";

let isIll = false;
let isBroken = false;
const counts: Record<string, number> = { checks: 0, requests: 0 };

const server = createServer((request, response) => {
  if (request.url === "/counts") {
    response.end(JSON.stringify(counts));
    return;
  }
  const isCheck = request.url === "/healthz";
  counts[isCheck ? "checks" : "requests"]! += 1;
  response.statusCode = (isCheck ? isIll : isBroken) ? 500 : 200;
  const answer = () => response.end(String(process.pid));
  if (request.url === "/slow") setTimeout(answer, 500);
  else answer();
});

process.on("SIGUSR2", () => {
  isIll = !isIll;
  process.stdout.write(`ill ${isIll}\n`);
});
process.on("SIGUSR1", () => {
  isBroken = !isBroken;
  process.stdout.write(`broken ${isBroken}\n`);
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => process.stdout.write("ready\n"));
