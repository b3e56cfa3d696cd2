/**
 * An origin that tells the gateway that it lives, with the library itself: `node heartbeat-origin-main.js PORT BEATS-URL-OR-ADDRESS
 * POOL INTERVAL-MS`. Answers its pid to everything. Its counter moves with every request to `/work`, and every 50 ms until
 * `/stall` (again: goes on). `/sick` makes its own check say no (again: yes). `/block` keeps its event loop busy for 1.5 s.
 * `/alive` is a heartbeat to be asked for: 204, with the counter.
 */
import { createServer } from "node:http";
import { startHeartbeat } from "../../src/heartbeat/index.ts";

const BLOCK_MS = 1500;
const [port, gateway = "", pool = "", intervalMs] = process.argv.slice(2);
let counter = 0;
let isSick = false;
let isStalled = false;

setInterval(() => {
  if (!isStalled) counter++;
}, 50);

const server = createServer((request, response) => {
  if (request.url === "/stall") isStalled = !isStalled;
  if (request.url === "/sick") isSick = !isSick;
  if (request.url === "/alive") {
    response.writeHead(204, { "Heartbeat-Progress": counter }).end();
    return;
  }
  response.end(String(process.pid));
  if (request.url === "/block") {
    response.on("close", () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BLOCK_MS));
  }
});

server.listen(Number(port), "127.0.0.1", () => {
  startHeartbeat({
    ...(gateway.startsWith("http") ? { url: gateway } : { address: gateway }),
    pool,
    server: `127.0.0.1:${port}`,
    intervalMs: Number(intervalMs),
    isHealthy: () => !isSick,
    progress: () => counter,
    onProblem: (problem) => process.stderr.write(`heartbeat: ${problem ?? "well"}\n`),
  });
  process.stdout.write("ready\n");
});
