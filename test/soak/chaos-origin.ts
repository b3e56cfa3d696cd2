/**
 * The origin of the chaos runs, a process of its own so that it can be stopped with SIGSTOP.
 * `/` answers at once · `/stream?bytes=N` sends N bytes as fast as they are taken · `/stall` never reads the request's body.
 * Usage: node chaos-origin.js [PORT]. Prints `ready PORT`.
 */
import http from "node:http";
import type { AddressInfo } from "node:net";

const CHUNK = Buffer.alloc(65_536, "holdfast ");

function stream(response: http.ServerResponse, bytes: number): void {
  response.setHeader("Content-Length", bytes);
  let left = bytes;
  const more = (): void => {
    while (left > 0) {
      const piece = left >= CHUNK.length ? CHUNK : CHUNK.subarray(0, left);
      left -= piece.length;
      if (!response.write(piece)) {
        response.once("drain", more);
        return;
      }
    }
    response.end();
  };
  more();
}

const server = http.createServer({ keepAliveTimeout: 3_600_000 }, (request, response) => {
  const url = new URL(request.url!, "http://origin");
  if (url.pathname === "/stall") return;
  request.resume();
  if (url.pathname === "/stream") stream(response, Number(url.searchParams.get("bytes")));
  else response.end("ok\n");
});
server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => {
  console.log(`ready ${(server.address() as AddressInfo).port}`);
});
