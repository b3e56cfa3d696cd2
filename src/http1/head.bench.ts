/**
 * Nanoseconds per head: parse and rewrite of typical requests and responses, in one arena as the proxy uses it.
 * `node head.bench.js [iterations]`; `head-bench.test.ts` runs it with small parameters so that it cannot rot.
 */

import { forwardedFraming } from "./framing.ts";
import { RequestForwarding, ResponseForwarding, writeRequestHead, writeResponseHead } from "./head-writer.ts";
import { octetsOf } from "./octets.ts";
import { MethodCode, parseRequestHead, RequestHead } from "./request-head.ts";
import { parseResponseHead, ResponseHead } from "./response-head.ts";

const HEAD_BYTES_MAX = 16_384;
const OUT = 8_192;
const ROUNDS = 8;

export const BENCH_REQUESTS: Readonly<Record<string, string>> = {
  "request 40 B (wrk)": "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
  "request 98 B (curl)":
    "GET /some/path?x=1 HTTP/1.1\r\nHost: example.org:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n",
  "request 250 B":
    "GET /v1/items/4711?fields=all HTTP/1.1\r\nHost: api.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: application/json\r\nAccept-Encoding: gzip, br\r\nConnection: keep-alive\r\nAuthorization: Bearer abcdefghijklmnopqrstuvwxyz0123456789\r\n\r\n",
  "request 190 B (POST)":
    "POST /v1/items HTTP/1.1\r\nHost: api.example.org\r\nContent-Type: application/json\r\nContent-Length: 123\r\nAccept: */*\r\nX-Forwarded-For: 192.0.2.7\r\nUser-Agent: node-fetch/3.0\r\nConnection: close\r\n\r\n",
};

export const BENCH_RESPONSES: Readonly<Record<string, string>> = {
  "response 240 B (nginx)":
    'HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 21:00:00 GMT\r\nContent-Type: application/octet-stream\r\nContent-Length: 110\r\nLast-Modified: Sat, 21 Nov 2026 20:00:00 GMT\r\nConnection: keep-alive\r\nETag: "65534-6e"\r\nAccept-Ranges: bytes\r\n\r\n',
  "response 170 B (node)":
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Sat, 21 Nov 2026 21:00:00 GMT\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\n\r\n",
};

export interface BenchRow {
  readonly name: string;
  readonly bytes: number;
  readonly parseNs: number;
  readonly parseAndWriteNs: number;
}

function nsPerCall(iterations: number, call: () => number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    let sum = 0;
    const startedAt = process.hrtime.bigint();
    for (let i = 0; i < iterations; i++) sum += call();
    const elapsedNs = Number(process.hrtime.bigint() - startedAt);
    if (sum <= 0) throw new Error("a head of the benchmark was refused");
    best = Math.min(best, elapsedNs / iterations);
  }
  return best;
}

export function runHeadBench(iterations: number): BenchRow[] {
  const arena = new Uint8Array(1 << 16);
  const requestHead = new RequestHead();
  const responseHead = new ResponseHead();
  const toServer = new RequestForwarding();
  toServer.clientAddress = octetsOf("127.0.0.1");
  toServer.clientAddressLength = 9;
  const toClient = new ResponseForwarding();
  toClient.date = octetsOf("Date: Sat, 21 Nov 2026 21:00:00 GMT\r\n");

  const rows: BenchRow[] = [];
  const parseRequest = (end: number): number => parseRequestHead(arena, 0, end, HEAD_BYTES_MAX, requestHead);
  const parseResponse = (end: number): number =>
    parseResponseHead(arena, 0, end, HEAD_BYTES_MAX, MethodCode.GET, responseHead);
  // The first pass only warms up: live traffic is a mix, so the code is measured as optimised for the mix.
  for (let pass = 0; pass < 3; pass++) {
    rows.length = 0;
    for (const [name, text] of Object.entries(BENCH_REQUESTS)) {
      arena.set(octetsOf(text));
      const end = text.length;
      const parseNs = nsPerCall(iterations, () => parseRequest(end));
      const parseAndWriteNs = nsPerCall(iterations, () => {
        if (parseRequest(end) <= 0) return -1e9;
        return writeRequestHead(arena, OUT, arena, requestHead, toServer);
      });
      rows.push({ name, bytes: end, parseNs, parseAndWriteNs });
    }
    for (const [name, text] of Object.entries(BENCH_RESPONSES)) {
      arena.set(octetsOf(text));
      const end = text.length;
      const parseNs = nsPerCall(iterations, () => parseResponse(end));
      const parseAndWriteNs = nsPerCall(iterations, () => {
        if (parseResponse(end) <= 0) return -1e9;
        toClient.framing = forwardedFraming(responseHead.framing, 1);
        return writeResponseHead(arena, OUT, arena, responseHead, toClient);
      });
      rows.push({ name, bytes: end, parseNs, parseAndWriteNs });
    }
  }
  return rows;
}

/** Run as a script: the file name is the program's. */
if (process.argv[1]?.endsWith("head.bench.js") === true) {
  for (const row of runHeadBench(Number(process.argv[2] ?? 50_000))) {
    const { name, bytes, parseNs, parseAndWriteNs } = row;
    console.log(
      `${name.padEnd(26)} ${String(bytes).padStart(4)} B  parse ${parseNs.toFixed(0).padStart(4)} ns  parse+write ${parseAndWriteNs.toFixed(0).padStart(4)} ns`,
    );
  }
}
