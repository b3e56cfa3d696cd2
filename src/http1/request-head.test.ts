/** Request heads: what is taken, what is refused and with which reason, and how early. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionOption } from "./connection-options.ts";
import { HEAD_BYTES_MAX, parsedRequest, requestOutcome, textOf } from "./example-messages.ts";
import { FIELDS_MAX, findField } from "./field-table.ts";
import { Framing } from "./framing.ts";
import { octetsOf } from "./octets.ts";
import { REFUSED_REQUESTS } from "./refused-requests.ts";
import {
  MethodCode,
  parseRequestHead,
  REQUEST_REJECTIONS,
  RequestHead,
  RequestRejection,
  TargetForm,
} from "./request-head.ts";

const H = "Host: a\r\n";

test("parseRequestHead() reports method, target, host and version as offsets", () => {
  const text =
    "POST /p/a?q=1 HTTP/1.1\r\nHost: example.org:8080 \r\nContent-Length:\t12\r\nConnection: Keep-Alive, X-Foo\r\n\r\nbody";
  const { bytes, head } = parsedRequest(text);
  assert.equal(head.method, MethodCode.POST);
  assert.equal(textOf(bytes, head.methodStart, head.methodEnd), "POST");
  assert.equal(head.targetForm, TargetForm.ORIGIN);
  assert.equal(textOf(bytes, head.pathStart, head.pathEnd), "/p/a?q=1");
  assert.equal(textOf(bytes, head.hostStart, head.hostEnd), "example.org:8080");
  assert.equal(head.minorVersion, 1);
  assert.equal(head.framing, Framing.LENGTH);
  assert.equal(head.contentLength, 12);
  assert.equal(head.connectionOptions, ConnectionOption.KEEP_ALIVE | ConnectionOption.OTHER);
  assert.equal(head.fieldCount, 3);
  assert.equal(text.slice(head.end), "body");
});

test("parseRequestHead() knows every method by its exact name (RFC 9110 §9.1)", () => {
  for (const [name, code] of Object.entries(MethodCode)) {
    if (name === "OTHER" || name === "CONNECT") continue;
    assert.equal(parsedRequest(`${name} / HTTP/1.1\r\n${H}\r\n`).head.method, code, name);
    assert.equal(parsedRequest(`${name}X / HTTP/1.1\r\n${H}\r\n`).head.method, MethodCode.OTHER);
    assert.equal(parsedRequest(`${name.toLowerCase()} / HTTP/1.1\r\n${H}\r\n`).head.method, MethodCode.OTHER);
  }
  const { head, bytes } = parsedRequest(`CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n`);
  assert.equal(head.method, MethodCode.CONNECT);
  assert.equal(head.targetForm, TargetForm.AUTHORITY);
  assert.equal(textOf(bytes, head.authorityStart, head.authorityEnd), "a.example:443");
});

test("parseRequestHead() takes the host of an absolute-form target, not of Host (RFC 9112 §3.2.2)", () => {
  const { bytes, head } = parsedRequest("GET http://Real.example:81?x HTTP/1.1\r\nHost: other\r\n\r\n");
  assert.equal(head.targetForm, TargetForm.ABSOLUTE);
  assert.equal(textOf(bytes, head.hostStart, head.hostEnd), "Real.example:81");
  assert.equal(textOf(bytes, head.pathStart, head.pathEnd), "?x");
});

test("parseRequestHead() skips a few empty lines before the request line (RFC 9112 §2.2)", () => {
  assert.equal(requestOutcome(`\r\n\r\nGET / HTTP/1.1\r\n${H}\r\n`), "ok");
  assert.equal(requestOutcome(`${"\r\n".repeat(5)}GET / HTTP/1.1\r\n${H}\r\n`), "bad-method");
  assert.equal(requestOutcome("\r\n\r"), "incomplete");
});

test("parseRequestHead() reads Expect, TE, Max-Forwards and Upgrade only where they count", () => {
  assert.equal(
    parsedRequest(`PUT / HTTP/1.1\r\n${H}Expect: 100-Continue\r\n\r\n`).head.expectsContinue,
    true,
  );
  assert.equal(
    parsedRequest(`PUT / HTTP/1.0\r\n${H}Expect: 100-continue\r\n\r\n`).head.expectsContinue,
    false,
  );
  const te = (connection: string): boolean =>
    parsedRequest(`GET / HTTP/1.1\r\n${H}TE: deflate, Trailers;q=0.5\r\n${connection}\r\n`).head
      .offersTrailers;
  assert.equal(te("Connection: te\r\n"), true);
  assert.equal(te("Connection: close\r\n"), false);
  assert.equal(te(""), false);
  assert.equal(parsedRequest(`OPTIONS * HTTP/1.1\r\n${H}Max-Forwards: 3\r\n\r\n`).head.maxForwards, 3);
  assert.equal(parsedRequest(`OPTIONS * HTTP/1.1\r\n${H}Max-Forwards: -3\r\n\r\n`).head.maxForwards, -1);
  const upgrade = (version: string, lines: string): boolean =>
    parsedRequest(`GET / HTTP/${version}\r\n${H}${lines}\r\n`).head.upgradeStart >= 0;
  assert.equal(upgrade("1.1", "Upgrade: websocket\r\nConnection: Upgrade\r\n"), true);
  assert.equal(upgrade("1.0", "Upgrade: websocket\r\nConnection: Upgrade\r\n"), false);
  assert.equal(upgrade("1.1", "Upgrade: websocket\r\n"), false);
  assert.equal(upgrade("1.1", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"), false);
});

for (const [name, text, reason] of REFUSED_REQUESTS) {
  test(`parseRequestHead() refuses ${name}: ${reason} (RFC 9112 §2-§6, §11.2)`, () => {
    assert.equal(requestOutcome(text), reason);
  });
}

test("REQUEST_REJECTIONS has each reason at the index of its name, with its status", () => {
  for (const [name, index] of Object.entries(RequestRejection)) {
    assert.equal(REQUEST_REJECTIONS[index]!.reason, name.toLowerCase().replaceAll("_", "-"));
  }
  const statusOf = (index: number): number => REQUEST_REJECTIONS[index]!.status;
  assert.equal(statusOf(RequestRejection.TARGET_TOO_LONG), 414);
  assert.equal(statusOf(RequestRejection.HEAD_TOO_LARGE), 431);
  assert.equal(statusOf(RequestRejection.TOO_MANY_FIELDS), 431);
  assert.equal(statusOf(RequestRejection.UNSUPPORTED_VERSION), 505);
  assert.equal(statusOf(RequestRejection.UNKNOWN_TRANSFER_CODING), 501);
  assert.equal(statusOf(RequestRejection.METHOD_TOO_LONG), 501);
  assert.equal(statusOf(RequestRejection.BARE_LF), 400);
});

test("parseRequestHead() refuses every control but tab at every place of a value (RFC 9110 §5.5)", () => {
  for (let octet = 0; octet < 256; octet++) {
    const isRefused = (octet < 0x20 && octet !== 0x09) || octet === 0x7f;
    for (let place = 1; place < 9; place++) {
      const value = `${"a".repeat(place)}${String.fromCharCode(octet)}${"b".repeat(9 - place)}`;
      const outcome = requestOutcome(`GET / HTTP/1.1\r\n${H}X: ${value}\r\n\r\n`);
      assert.equal(outcome === "ok", !isRefused, `${octet} at ${place}: ${outcome}`);
    }
  }
});

test("parseRequestHead() accepts what is unusual but unambiguous", () => {
  for (const text of [
    "GET / HTTP/1.0\r\n\r\n",
    `GET /%zz|"{}^\\ HTTP/1.1\r\n${H}\r\n`,
    `GET /\u00e9 HTTP/1.1\r\n${H}\r\n`,
    `GET / HTTP/1.1\r\nHost:a\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: a:\r\n\r\n`,
    `GET / HTTP/1.1\r\n${H}X:\r\nY: \t \r\nZ: a\tb\r\nÀ: x\r\n\r\n`.replace("À: x\r\n", ""),
    `GET / HTTP/1.1\r\n${H}X: \u00ff\u0080 obs-text\r\n\r\n`,
    `OPTIONS * HTTP/1.1\r\n${H}\r\n`,
    `GET HTTPS://A/ HTTP/1.1\r\n${H}\r\n`,
    `GET / HTTP/1.1\r\n${H}${"X: y\r\n".repeat(FIELDS_MAX - 1)}\r\n`,
  ]) {
    assert.equal(requestOutcome(text), "ok", JSON.stringify(text.slice(0, 60)));
  }
});

test("parseRequestHead() answers 414 within the request line and 431 within the fields", () => {
  const head = `GET / HTTP/1.1\r\n${H}X: ${"y".repeat(100)}\r\n\r\n`;
  assert.equal(requestOutcome(head, head.length), "ok");
  assert.equal(requestOutcome(head, head.length - 1), "head-too-large");
  assert.equal(requestOutcome(`GET /${"y".repeat(100)}`, 80), "target-too-long");
  assert.equal(requestOutcome(`GET /${"y".repeat(100)}`, 200), "incomplete");
});

test("parseRequestHead() finds garbage at its first wrong octet", () => {
  assert.equal(requestOutcome("\x16"), "bad-method");
  assert.equal(requestOutcome("GET \r"), "bad-request-line");
  assert.equal(requestOutcome("GET / HTTQ"), "bad-request-line");
  assert.equal(requestOutcome("GET / HTTP/3"), "unsupported-version");
  assert.equal(requestOutcome(`GET / HTTP/1.1\r\nHost: a b\r\nX`), "bad-host");
  assert.equal(requestOutcome(`GET / HTTP/1.1\r\n${H}X: \0`), "bad-field-value");
});

test("parseRequestHead() parses where the head lies and leaves the bytes after it alone", () => {
  const text = `junkGET / HTTP/1.1\r\n${H}\r\nGET /2 HTTP/1.1\r\n`;
  const bytes = octetsOf(text);
  const head = new RequestHead();
  const end = parseRequestHead(bytes, 4, bytes.length, HEAD_BYTES_MAX, head);
  assert.equal(text.slice(end), "GET /2 HTTP/1.1\r\n");
  assert.equal(parseRequestHead(bytes, end, bytes.length, HEAD_BYTES_MAX, head), 0);
});

test("findField() finds the first field of a name, whatever its case", () => {
  const { bytes, head } = parsedRequest(`GET / HTTP/1.1\r\n${H}X-Users: 0\r\nX-USER: 1\r\nx-user: 2\r\n\r\n`);
  const row = findField(bytes, head.fields, octetsOf("x-user"));
  assert.equal(textOf(bytes, head.fields.valueStart[row]!, head.fields.valueEnd[row]!), "1");
  assert.equal(findField(bytes, head.fields, octetsOf("x-use")), -1);
  assert.equal(findField(bytes, head.fields, octetsOf("x\ruser")), -1);
});
