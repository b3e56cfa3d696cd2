/**
 * One origin of `holdfast demo`, a process of its own so that it can be killed: `node demo-origin.js NAME PORT
 * KEEPALIVE_TIMEOUT_MS`. Says which of its connections a request came on, and the how-manieth request of it.
 * Reports its port to its parent over IPC and ends when the parent is gone.
 */
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";

const SLOW_MS = 5_000;

const [name = "?", port = "0", keepAliveTimeoutMs = "5000"] = process.argv.slice(2);
const connectionNumbers = new WeakMap<Socket, number>();
const requestCounts = new WeakMap<Socket, number>();
let connections = 0;

const server = createServer({ keepAliveTimeout: Number(keepAliveTimeoutMs) }, (request, response) => {
  const { socket } = request;
  const connection = connectionNumbers.get(socket) ?? 0;
  const count = (requestCounts.get(socket) ?? 0) + 1;
  requestCounts.set(socket, count);
  const answer = () => {
    response.writeHead(200, {
      "Content-Type": "text/plain; charset=utf-8",
      "X-Origin": `${name} ${connection} ${count}`,
    });
    response.end(
      `origin ${name} (pid ${process.pid}), its connection ${connection}, request ${count} on it\n`,
    );
  };
  if (request.url?.startsWith("/slow")) {
    setTimeout(answer, SLOW_MS);
  } else {
    answer();
  }
});

server.on("connection", (socket) => {
  connections++;
  connectionNumbers.set(socket, connections);
});
server.on("error", (error) => {
  process.send?.({ error: error.message });
});
server.listen(Number(port), "127.0.0.1", () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});

// Ctrl-C reaches the whole foreground group; the gateway drains first and then lets go of the origins.
process.on("SIGINT", () => {});
process.on("disconnect", () => process.exit(0));
