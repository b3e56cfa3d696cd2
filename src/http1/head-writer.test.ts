/** What the next hop gets: every rule of RFC 9110 §7.6 and RFC 9112 §3.2 that a gateway applies to heads. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { forwardedRequest, forwardedResponse } from "./example-messages.ts";
import { Framing } from "./framing.ts";
import { octetsOf } from "./octets.ts";
import { MethodCode } from "./request-head.ts";

const H = "Host: a\r\n";
const OWN = "X-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\nVia: 1.1 holdfast\r\n\r\n";
const CLIENT = { clientAddress: octetsOf("192.0.2.9xxx"), clientAddressLength: 9 };

/** Lines of a written head that are not the gateway's own forwarding fields. */
function rest(head: string): string {
  return head.replace(/(X-Forwarded-Proto|X-Forwarded-Host|Via): [^\r]*\r\n/g, "");
}

test("writeRequestHead() copies the head and appends the forwarding fields", () => {
  assert.equal(
    forwardedRequest(`GET /x?y HTTP/1.1\r\n${H}Accept: */*\r\n\r\n`, CLIENT),
    `GET /x?y HTTP/1.1\r\n${H}Accept: */*\r\nX-Forwarded-Proto: http\r\nX-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Host: a\r\nVia: 1.1 holdfast\r\n\r\n`,
  );
  assert.equal(forwardedRequest(`GET / HTTP/1.1\r\n${H}\r\n`), `GET / HTTP/1.1\r\n${H}${OWN}`);
});

test("writeRequestHead() drops hop-by-hop fields and all that Connection nominates (RFC 9110 §7.6.1)", () => {
  const head = forwardedRequest(
    `GET / HTTP/1.1\r\n${H}Connection: keep-alive, X-Secret ,close\r\nKeep-Alive: 300\r\nx-secret: 1\r\nProxy-Connection: x\r\nKept: 1\r\nTE: gzip\r\nUpgrade: x\r\nHTTP2-Settings: x\r\nClose: x\r\nX-SECRET: 2\r\nconnection: Other\r\nOther: x\r\nOthers: kept\r\n\r\n`,
  );
  assert.equal(rest(head), `GET / HTTP/1.1\r\n${H}Kept: 1\r\nOthers: kept\r\n\r\n`);
});

test("writeRequestHead() ignores nominations of end-to-end fields (RFC 9110 §7.6.1)", () => {
  const head = forwardedRequest(
    `POST / HTTP/1.1\r\n${H}Connection: host, content-length, Authorization, cookie, x-forwarded-for, X-Forwarded-Port, Date\r\nContent-Length: 3\r\nAuthorization: b\r\nCookie: c\r\nX-Forwarded-Port: 1\r\nX-Forwarded-For: 192.0.2.1\r\nDate: d\r\n\r\n`,
  );
  assert.equal(
    rest(head),
    `POST / HTTP/1.1\r\n${H}Authorization: b\r\nCookie: c\r\nX-Forwarded-Port: 1\r\nDate: d\r\nContent-Length: 3\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n`,
  );
});

test("writeRequestHead() sends origin-form and regenerates Host (RFC 9112 §3.2)", () => {
  const line = (request: string): string => rest(forwardedRequest(request));
  assert.equal(
    line(`GET http://b:81/p?q HTTP/1.1\r\n${H}X: y\r\n\r\n`),
    "GET /p?q HTTP/1.1\r\nHost: b:81\r\nX: y\r\n\r\n",
  );
  assert.equal(line(`GET http://b HTTP/1.1\r\n${H}\r\n`), "GET / HTTP/1.1\r\nHost: b\r\n\r\n");
  assert.equal(line(`GET http://b?q HTTP/1.1\r\n${H}\r\n`), "GET /?q HTTP/1.1\r\nHost: b\r\n\r\n");
  assert.equal(line(`OPTIONS http://b HTTP/1.1\r\n${H}\r\n`), "OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n");
  assert.equal(line(`OPTIONS * HTTP/1.1\r\n${H}\r\n`), `OPTIONS * HTTP/1.1\r\n${H}\r\n`);
  assert.equal(line(`GET / HTTP/1.1\r\nX: y\r\n${H}\r\n`), `GET / HTTP/1.1\r\nX: y\r\n${H}\r\n`);
});

test("writeRequestHead() speaks HTTP/1.1 for an HTTP/1.0 client (RFC 9110 §6.2)", () => {
  const head = forwardedRequest("GET /p HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", {
    hostFallback: octetsOf("pool"),
  });
  assert.equal(head, "GET /p HTTP/1.1\r\nHost: pool\r\nX-Forwarded-Proto: http\r\nVia: 1.0 holdfast\r\n\r\n");
  assert.equal(rest(forwardedRequest(`GET /p HTTP/1.0\r\n${H}\r\n`)), `GET /p HTTP/1.1\r\n${H}\r\n`);
});

test("writeRequestHead() writes framing anew and passes Expect on", () => {
  const line = (fields: string): string => rest(forwardedRequest(`POST / HTTP/1.1\r\n${H}${fields}\r\n`));
  assert.equal(line("Content-Length:  007\r\n"), `POST / HTTP/1.1\r\n${H}Content-Length: 7\r\n\r\n`);
  assert.equal(line("Content-Length: 0\r\n"), `POST / HTTP/1.1\r\n${H}Content-Length: 0\r\n\r\n`);
  assert.equal(
    line("Content-Length: 9007199254740991\r\n"),
    `POST / HTTP/1.1\r\n${H}Content-Length: 9007199254740991\r\n\r\n`,
  );
  assert.equal(
    line("Transfer-encoding: CHUNKED\r\nTrailer: X\r\n"),
    `POST / HTTP/1.1\r\n${H}Trailer: X\r\nTransfer-Encoding: chunked\r\n\r\n`,
  );
  assert.equal(line("Expect: 100-continue\r\n"), `POST / HTTP/1.1\r\n${H}Expect: 100-continue\r\n\r\n`);
});

test("writeRequestHead() sends our own connection options", () => {
  const upgrade = `GET / HTTP/1.1\r\n${H}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`;
  assert.equal(
    rest(forwardedRequest(upgrade, { isUpgrade: true })),
    `GET / HTTP/1.1\r\n${H}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`,
  );
  assert.equal(rest(forwardedRequest(upgrade)), `GET / HTTP/1.1\r\n${H}\r\n`);
  const te = `GET / HTTP/1.1\r\n${H}Connection: TE\r\nTE: trailers, gzip\r\n\r\n`;
  assert.equal(rest(forwardedRequest(te)), `GET / HTTP/1.1\r\n${H}Connection: TE\r\nTE: trailers\r\n\r\n`);
  assert.equal(
    rest(forwardedRequest(te, { persistent: false })),
    `GET / HTTP/1.1\r\n${H}Connection: close, TE\r\nTE: trailers\r\n\r\n`,
  );
  assert.equal(
    rest(forwardedRequest(`GET / HTTP/1.1\r\n${H}\r\n`, { persistent: false })),
    `GET / HTTP/1.1\r\n${H}Connection: close\r\n\r\n`,
  );
});

test("writeRequestHead() merges X-Forwarded-For and replaces the other two unless the peer is trusted", () => {
  const request = `GET / HTTP/1.1\r\n${H}X-Forwarded-For: 192.0.2.1, 192.0.2.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For:\r\nx-forwarded-for: 192.0.2.3\r\nX-Forwarded-Host: evil\r\n\r\n`;
  const list = "X-Forwarded-For: 192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.9\r\n";
  assert.equal(forwardedRequest(request, CLIENT), `GET / HTTP/1.1\r\n${H}${list}${OWN}`);
  assert.equal(
    forwardedRequest(request, { ...CLIENT, trustsPeer: true }),
    `GET / HTTP/1.1\r\n${H}X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n${list}Via: 1.1 holdfast\r\n\r\n`,
  );
  assert.equal(
    forwardedRequest(`GET / HTTP/1.1\r\n${H}\r\n`, { ...CLIENT, trustsPeer: true, via: false }),
    `GET / HTTP/1.1\r\n${H}X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n\r\n`,
  );
});

test("writeRequestHead() decrements Max-Forwards of OPTIONS and TRACE only (RFC 9110 §7.6.2)", () => {
  const value = (method: string): string =>
    /Max-Forwards: \d+/.exec(forwardedRequest(`${method} /x HTTP/1.1\r\n${H}Max-Forwards: 10\r\n\r\n`))![0];
  assert.deepEqual(["OPTIONS", "TRACE", "GET"].map(value), [
    "Max-Forwards: 9",
    "Max-Forwards: 9",
    "Max-Forwards: 10",
  ]);
});

const NGINX =
  "HTTP/1.1 200 OK\r\nServer: x\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nContent-Length: 5\r\nETag: e\r\n\r\n";

test("writeResponseHead() drops hop-by-hop and nominated fields and writes framing anew", () => {
  assert.equal(
    forwardedResponse(NGINX),
    "HTTP/1.1 200 OK\r\nServer: x\r\nETag: e\r\nContent-Length: 5\r\n\r\n",
  );
  assert.equal(
    forwardedResponse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n"),
    "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n",
  );
  assert.equal(
    forwardedResponse(
      "HTTP/1.1 200 OK\r\nConnection: Set-Cookie\r\nSet-Cookie: s\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
    ),
    "HTTP/1.1 200 OK\r\nSet-Cookie: s\r\nContent-Length: 1\r\n\r\n",
  );
});

test("writeResponseHead() sends our own version and mends the status line (RFC 9110 §6.2, RFC 9112 §4)", () => {
  assert.equal(
    forwardedResponse("HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
  );
  assert.equal(forwardedResponse("HTTP/1.1 204\r\n\r\n"), "HTTP/1.1 204 \r\n\r\n");
  assert.equal(forwardedResponse("HTTP/1.9 204 x\r\n\r\n"), "HTTP/1.1 204 x\r\n\r\n");
});

test("writeResponseHead() frames for the client it has", () => {
  const closing = "HTTP/1.1 200 OK\r\n\r\n";
  assert.equal(
    forwardedResponse(closing, { framing: Framing.CHUNKED }),
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
  );
  assert.equal(
    forwardedResponse(closing, { framing: Framing.UNTIL_CLOSE, clientMinorVersion: 0, persistent: false }),
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
  );
  assert.equal(
    forwardedResponse(closing, { framing: Framing.CHUNKED, clientMinorVersion: 0, persistent: false }),
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
  );
});

test("writeResponseHead() keeps Content-Length for HEAD and 304, never sends one with 1xx and 204 (RFC 9110 §8.6)", () => {
  assert.equal(
    forwardedResponse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", {}, MethodCode.HEAD),
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
  );
  assert.equal(
    forwardedResponse("HTTP/1.1 304 N\r\nContent-Length: 5\r\n\r\n"),
    "HTTP/1.1 304 N\r\nContent-Length: 5\r\n\r\n",
  );
  assert.equal(
    forwardedResponse("HTTP/1.1 204 N\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "HTTP/1.1 204 N\r\n\r\n",
  );
  assert.equal(
    forwardedResponse("HTTP/1.1 204 N\r\nContent-Length: 0\r\n\r\n", { framing: Framing.CHUNKED }),
    "HTTP/1.1 204 N\r\n\r\n",
  );
  assert.equal(forwardedResponse("HTTP/1.1 204 N\r\nContent-Length: 0\r\n\r\n"), "HTTP/1.1 204 N\r\n\r\n");
  assert.equal(
    forwardedResponse("HTTP/1.1 103 E\r\nContent-Length: 5\r\nConnection: close\r\nLink: l\r\n\r\n", {
      persistent: false,
      date: octetsOf("Date: d\r\n"),
    }),
    "HTTP/1.1 103 E\r\nLink: l\r\n\r\n",
  );
});

test("writeResponseHead() announces how the client's connection goes on (RFC 9112 §9.3, §9.6)", () => {
  const base = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
  assert.equal(
    forwardedResponse(`${base}\r\n`, { persistent: false, keepAliveHeaderSeconds: 60 }),
    `${base}Connection: close\r\n\r\n`,
  );
  assert.equal(
    forwardedResponse(`${base}\r\n`, { clientMinorVersion: 0 }),
    `${base}Connection: keep-alive\r\n\r\n`,
  );
  assert.equal(
    forwardedResponse(`${base}\r\n`, { keepAliveHeaderSeconds: 60 }),
    `${base}Connection: keep-alive\r\nKeep-Alive: timeout=60\r\n\r\n`,
  );
  assert.equal(forwardedResponse(`${base}\r\n`, { date: octetsOf("Date: d\r\n") }), `${base}Date: d\r\n\r\n`);
  const dated = "HTTP/1.1 200 OK\r\nDate: own\r\nContent-Length: 0\r\n\r\n";
  assert.equal(forwardedResponse(dated, { date: octetsOf("Date: d\r\n") }), dated);
});

test("writeResponseHead() keeps Upgrade in the 101 that begins a tunnel and nowhere else (RFC 9110 §7.8)", () => {
  assert.equal(
    forwardedResponse("HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX: y\r\n\r\n", {
      isUpgrade: true,
    }),
    "HTTP/1.1 101 S\r\nX: y\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
  );
  assert.equal(
    forwardedResponse("HTTP/1.1 200 O\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n"),
    "HTTP/1.1 200 O\r\nContent-Length: 0\r\n\r\n",
  );
});
