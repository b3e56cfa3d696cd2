/**
 * The origin of the stale-reuse soak: a plain Node server that closes idle connections after a time the clients like to
 * wait just as long. Counts every request id it sees: an id seen twice is a request a proxy sent twice and the server processed twice.
 * Each request costs it some computing, as in real life: whatever arrives meanwhile waits in the kernel, and when the loop comes
 * back, timers that are due run before sockets are read (libuv), so a connection is closed with a request unread on it.
 * Usage: node stale-origin.js IDLE_TIMEOUT_MS advertise|hide. Prints `ready PORT`. GET /statistics answers the counts as JSON.
 */
import http from "node:http";
import type { AddressInfo } from "node:net";

const idleTimeoutMs = Number(process.argv[2]);
const hidesTimeout = process.argv[3] === "hide";
const COMPUTING_MS = 0.5;
const timesSeen = new Map<string, number>();

const server = http.createServer({ keepAliveTimeout: idleTimeoutMs }, (request, response) => {
  if (request.url === "/statistics") {
    const duplicates = [...timesSeen.values()].filter((times) => times > 1).length;
    response.end(JSON.stringify({ seen: timesSeen.size, duplicates }));
    return;
  }
  const id = request.headers["x-request-id"] as string;
  timesSeen.set(id, (timesSeen.get(id) ?? 0) + 1);
  // With a Connection header of its own, Node does not add `Keep-Alive: timeout=…`.
  if (hidesTimeout) response.setHeader("Connection", "keep-alive");
  // Newer releases of Node wait a second longer than they announce; older ones, and most other servers, close on the dot.
  response.on("finish", () => setImmediate(() => request.socket.setTimeout(idleTimeoutMs)));
  request.resume().on("end", () => {
    compute(COMPUTING_MS);
    response.end("ok\n");
  });
});

function compute(durationMs: number): void {
  const endMs = performance.now() + durationMs;
  while (performance.now() < endMs);
}

server.listen(0, "127.0.0.1", () => console.log(`ready ${(server.address() as AddressInfo).port}`));
