/** The gateway's own answers are well-formed responses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeErrorResponse, REASON_PHRASES } from "./error-response.ts";
import { parsedResponse, textOf } from "./example-messages.ts";
import { octetsOf } from "./octets.ts";
import { REQUEST_REJECTIONS } from "./request-head.ts";

const date = octetsOf("Date: d\r\n");

test("encodeErrorResponse() says what happened in a body of the announced length", () => {
  const response = encodeErrorResponse(502, "The server closed early.", { isHead: false, close: true, date });
  const text = textOf(response, 0, response.length);
  assert.equal(
    text,
    "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: 41\r\nCache-Control: no-store\r\nConnection: close\r\nDate: d\r\n\r\n502 Bad Gateway\nThe server closed early.\n",
  );
  const { head } = parsedResponse(text);
  assert.equal(head.contentLength, text.length - head.end);
});

test("encodeErrorResponse() sends no body to HEAD, Allow with 405, and keep-alive to HTTP/1.0", () => {
  const response = encodeErrorResponse(405, "No CONNECT.", {
    isHead: true,
    close: false,
    date,
    isHttp10: true,
    allow: "GET, HEAD",
  });
  const text = textOf(response, 0, response.length);
  assert.match(text, /\r\nAllow: GET, HEAD\r\nConnection: keep-alive\r\nDate: d\r\n\r\n$/);
});

test("REASON_PHRASES covers every status a rejection has", () => {
  for (const { status } of REQUEST_REJECTIONS)
    assert.ok(REASON_PHRASES[status] !== undefined, String(status));
});
