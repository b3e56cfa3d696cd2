/**
 * An origin server for the namespace tests: answers at once, or after `?delay=MS`; keeps idle connections for an hour.
 * A line `close` on stdin makes it close them (FIN).
 * Usage: node origin-program.js ADDRESS PORT. Prints JSON lines: {"event":"listening"}, {"event":"request","url":…}.
 */
import http from "node:http";
import readline from "node:readline";

const address = process.argv[2]!;
const port = Number(process.argv[3]);
const print = (record: Record<string, unknown>): void => console.log(JSON.stringify(record));

const server = http.createServer({ keepAliveTimeout: 3_600_000 }, (request, response) => {
  const url = new URL(request.url!, "http://origin");
  print({ event: "request", method: request.method, url: request.url, address });
  const answer = (): void => {
    response.end(`from ${address}\n`);
  };
  const delayMs = Number(url.searchParams.get(`delay-${address}`) ?? url.searchParams.get("delay") ?? 0);
  if (delayMs === 0) answer();
  else setTimeout(answer, delayMs);
});
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "close") server.closeIdleConnections();
});
server.listen(port, address, () => print({ event: "listening" }));
