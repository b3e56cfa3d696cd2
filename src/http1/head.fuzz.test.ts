/**
 * Property tests of both head parsers and writers: never throw, never read past the end, the same result however the bytes arrive,
 * and a written head reads back as what was meant.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  forwardedRequest,
  forwardedResponse,
  HEAD_BYTES_MAX,
  parsedRequest,
  parsedResponse,
  textOf,
} from "./example-messages.ts";
import type { FieldTable } from "./field-table.ts";
import { octetsOf } from "./octets.ts";
import { REFUSED_REQUESTS } from "./refused-requests.ts";
import { MethodCode, parseRequestHead, RequestHead } from "./request-head.ts";
import { parseResponseHead, ResponseHead } from "./response-head.ts";

type Parse = (bytes: Uint8Array, start: number, end: number, headBytesMax: number) => number;
const requestHead = new RequestHead();
const responseHead = new ResponseHead();
const PARSERS: readonly (readonly [string, Parse, RequestHead | ResponseHead])[] = [
  [
    "parseRequestHead",
    (bytes, start, end, max) => parseRequestHead(bytes, start, end, max, requestHead),
    requestHead,
  ],
  [
    "parseResponseHead",
    (bytes, start, end, max) => parseResponseHead(bytes, start, end, max, MethodCode.GET, responseHead),
    responseHead,
  ],
];

/** Everything the head says, as plain values; stale columns beyond the count left out. */
function summary(head: RequestHead | ResponseHead): unknown {
  const { fields, ...rest } = head;
  const column = (values: ArrayLike<number>): number[] => Array.from(values).slice(0, fields.count);
  const { id, lineStart, nameEnd, valueStart, valueEnd, lineEnd } = fields;
  return [
    rest,
    [id, lineStart, nameEnd, valueStart, valueEnd, lineEnd].map(column),
    Array.from(fields.notable).slice(0, fields.notableCount),
  ];
}

const SEEDS: readonly string[] = [
  "GET /some/path?x=1 HTTP/1.1\r\nHost: example.org:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n",
  "\r\nPOST http://h/p HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\nConnection: close, X-Foo\r\nX-Foo: \tb \r\n\r\n",
  "PUT /u HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nTE: trailers\r\nConnection: TE\r\n\r\n",
  "OPTIONS * HTTP/1.0\r\nMax-Forwards: 3\r\nConnection: keep-alive\r\n\r\n",
  "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n",
  "HTTP/1.1 200 OK\r\nServer: x\r\nDate: d\r\nContent-Length: 5\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n",
  "HTTP/1.0 404\r\nTransfer-Encoding: chunked\r\nConnection: Foo\r\nFoo: bar\r\n\r\n",
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
];

const SPICE = [
  "\r",
  "\n",
  "\r\n",
  "\0",
  " ",
  "\t",
  ":",
  ",",
  "*",
  "#",
  "\x7f",
  "\u00ff",
  "0",
  "9",
  "Host: b\r\n",
  "Content-Length: 1\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Connection: a\r\n",
  "HTTP/1.1",
  "x".repeat(40),
];

/** A seed with a few pieces cut out, doubled or replaced. */
const mutated = fc
  .tuple(
    fc.constantFrom(...SEEDS),
    fc.array(fc.tuple(fc.nat(300), fc.nat(6), fc.constantFrom("", ...SPICE)), { maxLength: 3 }),
  )
  .map(([seed, edits]) => {
    let text = seed;
    for (const [at, cut, insertion] of edits) {
      const p = at % (text.length + 1);
      text = text.slice(0, p) + insertion + text.slice(p + cut);
    }
    return text;
  });

/** Parses the first `length` octets, with other octets before and after that must make no difference. */
function parseWithin(parse: Parse, message: Uint8Array, length: number, max: number, filler: number): number {
  const start = 5;
  const bytes = new Uint8Array(message.length + 16).fill(filler);
  bytes.set(message.subarray(0, length), start);
  const result = parse(bytes, start, start + length, max);
  assert.equal(
    parse(message.slice(0, length), 0, length, max),
    result > 0 ? result - start : result,
    "in a buffer that ends with the bytes",
  );
  assert.ok(Number.isInteger(result) && !Object.is(result, -0) && result <= start + length);
  return result;
}

/** Each prefix is incomplete until one is an error or a head, and then every longer one is the same error or head. */
function checkEveryPrefix(
  name: string,
  parse: Parse,
  head: RequestHead | ResponseHead,
  text: string,
  max: number,
): void {
  const message = octetsOf(text);
  let settled = 0;
  let settledSummary: unknown;
  for (let length = 0; length <= message.length; length++) {
    const result = parseWithin(parse, message, length, max, 0x41);
    const said = result > 0 ? structuredClone(summary(head)) : undefined;
    for (const filler of [0x0a, 0x0d, 0x3a]) {
      assert.equal(
        parseWithin(parse, message, length, max, filler),
        result,
        `${name} read past the end of ${JSON.stringify(text.slice(0, length))}`,
      );
    }
    if (settled === 0) {
      settled = result;
      settledSummary = said;
    } else {
      assert.equal(result, settled, `${name} changed its mind at ${length} of ${JSON.stringify(text)}`);
      if (said !== undefined) assert.deepEqual(said, settledSummary);
    }
  }
}

for (const [name, parse, head] of PARSERS) {
  test(`${name}() gives one answer however the bytes arrive, split at every octet`, () => {
    for (const seed of SEEDS) checkEveryPrefix(name, parse, head, seed, HEAD_BYTES_MAX);
    for (const [, text] of REFUSED_REQUESTS) {
      if (text.length < 500) checkEveryPrefix(name, parse, head, text, HEAD_BYTES_MAX);
    }
  });

  test(`${name}() never throws, never reads past the end, never changes its mind: mutated heads`, () => {
    fc.assert(
      fc.property(mutated, fc.constantFrom(HEAD_BYTES_MAX, 100, 30), (text, max) =>
        checkEveryPrefix(name, parse, head, text, max),
      ),
      { numRuns: 250 },
    );
  });

  test(`${name}() never throws: any octets`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (octets) => {
        parseWithin(parse, octets, octets.length, HEAD_BYTES_MAX, 0);
      }),
      { numRuns: 500 },
    );
  });
}

const HOP_BY_HOP = [
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
];
const OURS = [
  "via",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "content-length",
  "transfer-encoding",
  "connection",
  "date",
  "keep-alive",
];

/** Fields as "name: value" that must travel on unchanged: end-to-end, not nominated, not written by the gateway. */
function travelling(bytes: Uint8Array, fields: FieldTable, alsoDropped: ReadonlySet<string>): string[] {
  const lines: string[] = [];
  for (let row = 0; row < fields.count; row++) {
    const name = textOf(bytes, fields.lineStart[row]!, fields.nameEnd[row]!).toLowerCase();
    if (HOP_BY_HOP.includes(name) || OURS.includes(name) || alsoDropped.has(name)) continue;
    lines.push(`${name}: ${textOf(bytes, fields.valueStart[row]!, fields.valueEnd[row]!)}`);
  }
  return lines;
}

const fieldLine = fc.oneof(
  fc.constantFrom(
    "Accept: */*",
    "X-A: 1",
    "x-b:2",
    "Cookie: c",
    "Keep-Alive: 5",
    "Proxy-Connection: x",
    "Upgrade: websocket",
    "TE: gzip",
    "Via: 1.0 x",
    "X-Forwarded-For: 192.0.2.1",
  ),
  fc
    .tuple(fc.constantFrom("X-A", "X-Long-Name", "q"), fc.stringMatching(/^[ -~]{0,40}$/))
    .map(([name, value]) => `${name}: ${value}`),
);
const nominations = fc.subarray(["x-a", "X-LONG-NAME", "q", "cookie", "close", "keep-alive"]);
const withFields = (firstLine: string, own: string) =>
  fc.tuple(fc.array(fieldLine, { maxLength: 8 }), nominations).map(([lines, names]) => {
    const connection = names.length === 0 ? "" : `Connection: ${names.join(" , ")}\r\n`;
    const dropped = new Set(names.map((name) => name.toLowerCase()).filter((name) => name !== "cookie"));
    return {
      text: `${firstLine}${own}${connection}${lines.map((line) => `${line}\r\n`).join("")}\r\n`,
      dropped,
    };
  });

test("writeRequestHead() writes a head that reads back with the same meaning", () => {
  fc.assert(
    fc.property(
      withFields("POST /p?q HTTP/1.1\r\n", "Host: h:1\r\nContent-Length: 17\r\n"),
      ({ text, dropped }) => {
        const before = parsedRequest(text);
        const after = parsedRequest(
          forwardedRequest(text, { clientAddress: octetsOf("192.0.2.9"), clientAddressLength: 9 }),
        );
        assert.deepEqual(
          travelling(after.bytes, after.head.fields, new Set()),
          travelling(before.bytes, before.head.fields, dropped),
        );
        assert.equal(after.head.method, MethodCode.POST);
        assert.equal(textOf(after.bytes, after.head.targetStart, after.head.targetEnd), "/p?q");
        assert.equal(textOf(after.bytes, after.head.hostStart, after.head.hostEnd), "h:1");
        assert.equal(after.head.contentLength, 17);
        assert.equal(after.head.connectionOptions, 0);
        assert.equal(after.head.upgradeStart, -1);
      },
    ),
    { numRuns: 300 },
  );
});

test("writeResponseHead() writes a head that reads back with the same meaning", () => {
  fc.assert(
    fc.property(withFields("HTTP/1.1 206 Partial\r\n", "Content-Length: 17\r\n"), ({ text, dropped }) => {
      const before = parsedResponse(text);
      const after = parsedResponse(forwardedResponse(text, { keepAliveHeaderSeconds: 9 }));
      assert.deepEqual(
        travelling(after.bytes, after.head.fields, new Set()),
        travelling(before.bytes, before.head.fields, dropped),
      );
      assert.equal(after.head.status, 206);
      assert.equal(after.head.contentLength, 17);
      assert.equal(after.head.keepAliveTimeoutSeconds, 9);
    }),
    { numRuns: 300 },
  );
});
