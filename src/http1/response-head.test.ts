/** Response heads: framing for the request's method, faults, and what is tolerated. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parsedResponse, responseOutcome, textOf } from "./example-messages.ts";
import { Framing } from "./framing.ts";
import { MethodCode } from "./request-head.ts";
import { RESPONSE_REJECTIONS, ResponseRejection } from "./response-head.ts";

const OK = "HTTP/1.1 200 OK\r\n";

test("parseResponseHead() reports status, reason, length and hints", () => {
  const text = `HTTP/1.1 404 Not Found\r\nDate: now\r\nContent-Length: 9\r\nKeep-Alive: max=5, Timeout=7\r\nUpgrade: h2c\r\n\r\nbody`;
  const { bytes, head } = parsedResponse(text);
  assert.equal(head.status, 404);
  assert.equal(textOf(bytes, head.reasonStart, head.reasonEnd), "Not Found");
  assert.equal(head.framing, Framing.LENGTH);
  assert.equal(head.contentLength, 9);
  assert.equal(head.keepAliveTimeoutSeconds, 7);
  assert.equal(head.hasDate, true);
  assert.equal(textOf(bytes, head.upgradeStart, head.upgradeEnd), "h2c");
  assert.equal(text.slice(head.end), "body");
});

test("parseResponseHead() resolves the framing for the method and status (RFC 9112 §6.3)", () => {
  const cases: readonly [string, number, number][] = [
    [`${OK}\r\n`, MethodCode.GET, Framing.UNTIL_CLOSE],
    [`${OK}Content-Length: 5\r\n\r\n`, MethodCode.GET, Framing.LENGTH],
    [`${OK}Content-Length: 5\r\n\r\n`, MethodCode.HEAD, Framing.NONE],
    [`${OK}Transfer-Encoding: chunked\r\n\r\n`, MethodCode.GET, Framing.CHUNKED],
    [`${OK}Transfer-Encoding: chunked\r\n\r\n`, MethodCode.HEAD, Framing.NONE],
    [`${OK}Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\n`, MethodCode.GET, Framing.LENGTH],
    ["HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", MethodCode.GET, Framing.NONE],
    ["HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", MethodCode.GET, Framing.NONE],
    ["HTTP/1.1 100 Continue\r\n\r\n", MethodCode.POST, Framing.NONE],
    ["HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", MethodCode.GET, Framing.NONE],
    ["HTTP/1.1 200 OK\r\n\r\n", MethodCode.CONNECT, Framing.NONE],
    ["HTTP/1.1 403 No\r\n\r\n", MethodCode.CONNECT, Framing.UNTIL_CLOSE],
  ];
  for (const [text, method, framing] of cases) {
    assert.equal(parsedResponse(text, method).head.framing, framing, JSON.stringify(text));
  }
});

test("parseResponseHead() flags faulty framing, and Transfer-Encoding wins (RFC 9112 §6.1, §6.3 item 3)", () => {
  for (const text of [
    `${OK}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`,
    `${OK}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n`,
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
  ]) {
    const { head } = parsedResponse(text);
    assert.equal(head.framing, Framing.CHUNKED);
    assert.equal(head.contentLength, -1);
    assert.equal(head.isFramingFaulty, true);
  }
  assert.equal(parsedResponse(`${OK}Transfer-Encoding: chunked\r\n\r\n`).head.isFramingFaulty, false);
});

test("parseResponseHead() tolerates what real servers send", () => {
  for (const text of [
    "HTTP/1.1 200\r\n\r\n",
    "HTTP/1.1 200 \r\n\r\n",
    "HTTP/1.0 200 OK\r\n\r\n",
    "HTTP/1.7 200 OK\r\n\r\n",
    "HTTP/1.1 999 \u00dcbel\tx\r\n\r\n",
    `${OK}Content-Length: 5\r\nContent-Length: 5\r\n\r\n`,
    `${OK}Content-Length: 5, 5\r\n\r\n`,
  ]) {
    assert.equal(responseOutcome(text), "ok", JSON.stringify(text));
  }
  assert.equal(parsedResponse("HTTP/1.7 200 OK\r\n\r\n").head.minorVersion, 1);
});

const REFUSED: readonly (readonly [name: string, text: string, reason: string])[] = [
  ["a banner", "SSH-2.0-x\r\n", "not-http"],
  ["HTTP/2", "HTTP/2 200\r\n", "unsupported-version"],
  ["a version that is none", "HTTP/x", "bad-status-line"],
  ["ICY", "ICY 200 OK\r\n", "not-http"],
  ["two status digits", "HTTP/1.1 20\r\n", "bad-status-line"],
  ["four status digits", "HTTP/1.1 2000 OK\r\n", "bad-status-line"],
  ["status 099", "HTTP/1.1 099 x\r\n", "bad-status-line"],
  ["NUL in the reason", "HTTP/1.1 200 \0\r\n", "bad-status-line"],
  ["bare LF in the status line", "HTTP/1.1 200 OK\n\r\n", "bare-lf"],
  ["bare LF after the status", "HTTP/1.1 200\n", "bare-lf"],
  ["bare CR in the reason", "HTTP/1.1 200 OK\rX", "bare-cr"],
  ["bare LF after a field", `${OK}X: y\nZ: a\r\n\r\n`, "bare-lf"],
  ["obs-fold", `${OK}X: y\r\n z\r\n\r\n`, "obs-fold"],
  ["space before the colon", `${OK}X : y\r\n\r\n`, "space-before-colon"],
  ["bad Content-Length", `${OK}Content-Length: 5x\r\n\r\n`, "bad-content-length"],
  ["differing lengths in a list", `${OK}Content-Length: 5, 6\r\n\r\n`, "bad-content-length"],
  [
    "differing Content-Lengths",
    `${OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\n`,
    "differing-content-lengths",
  ],
  ["gzip coding", `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n`, "unknown-transfer-coding"],
  [
    "chunked twice",
    `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`,
    "bad-transfer-encoding",
  ],
];

for (const [name, text, reason] of REFUSED) {
  test(`parseResponseHead() refuses ${name}: ${reason} (RFC 9112 §4-§6)`, () => {
    assert.equal(responseOutcome(text), reason);
  });
}

test("RESPONSE_REJECTIONS has each reason at the index of its name, all answered 502", () => {
  for (const [name, index] of Object.entries(ResponseRejection)) {
    assert.equal(RESPONSE_REJECTIONS[index]!.reason, name.toLowerCase().replaceAll("_", "-"));
    assert.equal(RESPONSE_REJECTIONS[index]!.status, 502);
  }
});
