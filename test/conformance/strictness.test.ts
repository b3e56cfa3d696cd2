/**
 * What is refused, on the wire: request smuggling and every other ambiguity is answered 400 (or the status that fits better), the
 * connection is closed, and nothing of it reaches a server (RFC 9112 §2.2, §3, §5, §6, §11.2; RFC 9110 §15).
 */
import assert from "node:assert/strict";
import { get, post, type Scene, Stage } from "../harness/stage.ts";

const stage = new Stage();

/** Sends the bytes with a GET behind them; asserts the refusal, and that the server saw nothing. */
async function assertRefused(scene: Scene, bytes: string | Uint8Array, status: number): Promise<string> {
  const client = await scene.send(bytes);
  // Behind what is refused nothing may be served, however well-formed it is.
  await client.write(get("/smuggled")).catch(() => undefined);
  const answer = await client.readResponse();
  assert.equal(answer.status, status, answer.body.toString());
  assert.equal(answer.headers.get("connection"), "close");
  assert.equal((await client.ended).how, "fin");
  assert.equal(client.unread, "", "one answer and no more");
  assert.deepEqual(
    scene.origin.requests.map((request) => request.line),
    [],
  );
  client.destroy();
  return answer.body.toString();
}

const head = (...lines: string[]): string => `${lines.join("\r\n")}\r\n\r\n`;
const CHUNKED = "Transfer-Encoding: chunked";
const POST = ["POST / HTTP/1.1", "Host: test"];

const REFUSED: readonly (readonly [name: string, bytes: string, status: number])[] = [
  // Length: RFC 9112 §6.1, §6.3
  ["Content-Length and Transfer-Encoding", `${head(...POST, "Content-Length: 5", CHUNKED)}0\r\n\r\n`, 400],
  ["Transfer-Encoding and Content-Length", `${head(...POST, CHUNKED, "Content-Length: 5")}0\r\n\r\n`, 400],
  ["two Content-Lengths that differ", `${head(...POST, "Content-Length: 5", "Content-Length: 6")}hello`, 400],
  ["two Content-Lengths that agree", `${head(...POST, "Content-Length: 5", "Content-Length: 5")}hello`, 400],
  ["Content-Length: 5, 5", `${head(...POST, "Content-Length: 5, 5")}hello`, 400],
  ["Content-Length: 5, 6", `${head(...POST, "Content-Length: 5, 6")}hello`, 400],
  ["Content-Length: +5", `${head(...POST, "Content-Length: +5")}hello`, 400],
  ["Content-Length: -1", head(...POST, "Content-Length: -1"), 400],
  ["Content-Length: 0x5", `${head(...POST, "Content-Length: 0x5")}hello`, 400],
  ["Content-Length: 5e0", `${head(...POST, "Content-Length: 5e0")}hello`, 400],
  ["Content-Length: 5 5", `${head(...POST, "Content-Length: 5 5")}hello`, 400],
  ["an empty Content-Length", head(...POST, "Content-Length:"), 400],
  ["Content-Length beyond 2^53", head(...POST, "Content-Length: 9007199254740993"), 400],
  ["Content-Length beyond 2^64", head(...POST, "Content-Length: 18446744073709551621"), 400],
  ["Content-Length with a letter", `${head(...POST, "Content-Length: 5x")}hello`, 400],
  ["Content-Length in other digits", `${head(...POST, "Content-Length: \xb2")}hi`, 400],
  ["chunked, chunked", `${head(...POST, "Transfer-Encoding: chunked, chunked")}0\r\n\r\n`, 400],
  ["chunked on two lines", `${head(...POST, CHUNKED, CHUNKED)}0\r\n\r\n`, 400],
  ["chunked, identity", `${head(...POST, "Transfer-Encoding: chunked, identity")}0\r\n\r\n`, 400],
  [
    "gzip, chunked (unknown coding: 501)",
    `${head(...POST, "Transfer-Encoding: gzip, chunked")}0\r\n\r\n`,
    501,
  ],
  ["gzip (unknown coding: 501)", head(...POST, "Transfer-Encoding: gzip"), 501],
  ["xchunked (unknown coding: 501)", `${head(...POST, "Transfer-Encoding: xchunked")}0\r\n\r\n`, 501],
  ["identity", head(...POST, "Transfer-Encoding: identity"), 501],
  ["an empty Transfer-Encoding", head(...POST, "Transfer-Encoding:"), 400],
  ["chunked with a vertical tab", `${head(...POST, "Transfer-Encoding: \x0bchunked")}0\r\n\r\n`, 400],
  ["chunked in quotes", `${head(...POST, 'Transfer-Encoding: "chunked"')}0\r\n\r\n`, 400],
  ["Transfer-Encoding in HTTP/1.0", `${head("POST / HTTP/1.0", "Host: test", CHUNKED)}0\r\n\r\n`, 400],
  // Field lines: RFC 9112 §5
  ["whitespace before the colon", `${head(...POST, "Transfer-Encoding : chunked")}0\r\n\r\n`, 400],
  ["a tab before the colon", `${head(...POST, "Content-Length\t: 5")}hello`, 400],
  ["obs-fold", head("GET / HTTP/1.1", "Host: test", "X: a", " b"), 400],
  [
    "obs-fold hiding a Transfer-Encoding",
    `${head(...POST, "X: a", "\tTransfer-Encoding: chunked", "Content-Length: 5")}hello`,
    400,
  ],
  ["whitespace before the first field", head("GET / HTTP/1.1", " Host: test"), 400],
  ["a line without a colon", head("GET / HTTP/1.1", "Host: test", "nonsense"), 400],
  ["an empty field name", head("GET / HTTP/1.1", "Host: test", ": x"), 400],
  ["a space in a field name", head("GET / HTTP/1.1", "Host: test", "X Y: z"), 400],
  ["an octet above 0x7f in a field name", head("GET / HTTP/1.1", "Host: test", "X\xe9: z"), 400],
  ["a parenthesis in a field name", head("GET / HTTP/1.1", "Host: test", "X(): z"), 400],
  ["a NUL in a value", head("GET / HTTP/1.1", "Host: test", "X: a\0b"), 400],
  ["a bare CR in a value", head("GET / HTTP/1.1", "Host: test", "X: a\rb"), 400],
  [
    "a bare CR hiding a field",
    `${head(...POST, "X: a\rTransfer-Encoding: chunked", "Content-Length: 5")}hello`,
    400,
  ],
  ["a bare LF between fields", "GET / HTTP/1.1\r\nHost: test\nX: y\r\n\r\n", 400],
  ["bare LFs throughout", "GET / HTTP/1.1\nHost: test\n\n", 400],
  ["a bare LF for the empty line", "GET / HTTP/1.1\r\nHost: test\r\n\n", 400],
  ["DEL in a value", head("GET / HTTP/1.1", "Host: test", "X: a\x7fb"), 400],
  // Host: RFC 9112 §3.2
  ["no Host", head("GET / HTTP/1.1", "X: y"), 400],
  ["two Hosts", head("GET / HTTP/1.1", "Host: test", "Host: test"), 400],
  ["an empty Host", head("GET / HTTP/1.1", "Host:"), 400],
  ["a Host with a path", head("GET / HTTP/1.1", "Host: test/admin"), 400],
  ["a Host with userinfo", head("GET / HTTP/1.1", "Host: a@test"), 400],
  ["a Host that is a list", head("GET / HTTP/1.1", "Host: a, b"), 400],
  ["a Host with a bad port", head("GET / HTTP/1.1", "Host: test:99999"), 400],
  ["two Hosts beside an absolute-form target", head("GET http://a/ HTTP/1.1", "Host: a", "Host: a"), 400],
  // The request line: RFC 9112 §3
  ["two spaces in the request line", head("GET  / HTTP/1.1", "Host: test"), 400],
  ["a tab in the request line", head("GET\t/ HTTP/1.1", "Host: test"), 400],
  ["a space in the target", head("GET /a b HTTP/1.1", "Host: test"), 400],
  ["a fragment in the target", head("GET /a#b HTTP/1.1", "Host: test"), 400],
  ["a control character in the target", head("GET /a\x01b HTTP/1.1", "Host: test"), 400],
  ["a NUL in the target", head("GET /a\0b HTTP/1.1", "Host: test"), 400],
  ["a relative target", head("GET a HTTP/1.1", "Host: test"), 400],
  ["another scheme", head("GET ftp://test/ HTTP/1.1", "Host: test"), 400],
  ["userinfo in the target", head("GET http://a@test/ HTTP/1.1", "Host: test"), 400],
  ["an asterisk for GET", head("GET * HTTP/1.1", "Host: test"), 400],
  ["a space before the method", head(" GET / HTTP/1.1", "Host: test"), 400],
  ["a trailing space in the request line", head("GET / HTTP/1.1 ", "Host: test"), 400],
  ["no version: HTTP/0.9", "GET /\r\n\r\n", 400],
  ["a lower-case version", head("GET / http/1.1", "Host: test"), 400],
  ["a version with a sign", head("GET / HTTP/1.-1", "Host: test"), 400],
  ["HTTP/2.0 (505)", head("GET / HTTP/2.0", "Host: test"), 505],
  ["HTTP/1.2 (505)", head("GET / HTTP/1.2", "Host: test"), 505],
  ["the HTTP/2 preface (505)", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505],
  ["a method of 33 octets (501)", head(`${"M".repeat(33)} / HTTP/1.1`, "Host: test"), 501],
  ["a request line longer than max_header_size (414)", `GET /${"x".repeat(20_000)}`, 414],
  [
    "a head larger than max_header_size (431)",
    `GET / HTTP/1.1\r\nHost: test\r\n${`X: ${"y".repeat(1000)}\r\n`.repeat(20)}`,
    431,
  ],
  [
    "257 fields (431)",
    head("GET / HTTP/1.1", "Host: test", ...Array.from({ length: 256 }, () => "X: y")),
    431,
  ],
  [
    "65 nominations",
    head(
      "GET / HTTP/1.1",
      "Host: test",
      `Connection: ${Array.from({ length: 65 }, (_, n) => `x${n}`).join(",")}`,
    ),
    400,
  ],
  // Chunks: RFC 9112 §7.1
  ["a chunk size with 0x", `${head(...POST, CHUNKED)}0x5\r\nhello\r\n0\r\n\r\n`, 400],
  ["a negative chunk size", `${head(...POST, CHUNKED)}-5\r\nhello\r\n0\r\n\r\n`, 400],
  ["an empty chunk size", `${head(...POST, CHUNKED)}\r\nhello\r\n0\r\n\r\n`, 400],
  ["whitespace before a chunk size", `${head(...POST, CHUNKED)} 5\r\nhello\r\n0\r\n\r\n`, 400],
  ["a chunk size that overflows", `${head(...POST, CHUNKED)}10000000000000005\r\nhello\r\n0\r\n\r\n`, 400],
  ["a bare LF after a chunk size", `${head(...POST, CHUNKED)}5\nhello\r\n0\r\n\r\n`, 400],
  ["a bare CR after a chunk size", `${head(...POST, CHUNKED)}5\rhello\r\n0\r\n\r\n`, 400],
  ["a bare LF in a chunk extension", `${head(...POST, CHUNKED)}5;a\nhello\r\n0\r\n\r\n`, 400],
  ["a chunk longer than its size", `${head(...POST, CHUNKED)}3\r\nhello\r\n0\r\n\r\n`, 400],
  ["a bare LF after the chunk data", `${head(...POST, CHUNKED)}5\r\nhello\n0\r\n\r\n`, 400],
  ["a bare LF at the end of the chunks", `${head(...POST, CHUNKED)}0\r\n\n`, 400],
  ["a trailer with whitespace before its colon", `${head(...POST, CHUNKED)}0\r\nX : y\r\n\r\n`, 400],
  ["an obs-fold in the trailers", `${head(...POST, CHUNKED)}0\r\nX: y\r\n z\r\n\r\n`, 400],
  ["more than 16 KiB of chunk extensions", `${head(...POST, CHUNKED)}5;${"a".repeat(17_000)}`, 400],
  ["more than 8 KiB of trailers", `${head(...POST, CHUNKED)}0\r\nX: ${"y".repeat(9000)}`, 400],
  // Something else altogether
  ["a TLS ClientHello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400],
  ["binary garbage", Buffer.from(Array.from({ length: 256 }, (_, n) => 255 - n)).toString("latin1"), 400],
  ["SSH", "SSH-2.0-OpenSSH_9.2\r\n", 400],
  ["Redis", "*1\r\n$4\r\nPING\r\n", 400],
];

for (const [name, bytes, status] of REFUSED) {
  stage.test(`${name}: ${status}, closed, and nothing reaches the server (RFC 9112)`, {}, async (scene) => {
    const body = await assertRefused(scene, bytes, status);
    assert.match(body, new RegExp(`^${status} [^\\n]+\\n[A-Z][^\\n]+\\.\\n$`), "the body says what is wrong");
    await scene.closesAre({ "bad-request": 1 });
  });
}

stage.test("a refusal is the same however the bytes arrive", {}, async (scene) => {
  for (const [name, bytes, status] of REFUSED) {
    if (bytes.length > 200) continue;
    const client = await scene.connect();
    // One byte after the other; the gateway may answer and close before the last.
    for (const byte of bytes) {
      if (client.end !== undefined) break;
      await client.write(byte).catch(() => undefined);
    }
    assert.equal((await client.readResponse()).status, status, name);
    client.destroy();
  }
  assert.deepEqual(scene.origin.requests, []);
});

const ACCEPTED: readonly (readonly [name: string, bytes: string])[] = [
  ["an empty line before the request line (RFC 9112 §2.2)", `\r\n${get("/")}`],
  ["optional whitespace around a value (RFC 9112 §5)", head("GET / HTTP/1.1", "Host:\t test \t")],
  ["no whitespace before a value", head("GET / HTTP/1.1", "Host:test")],
  ["an unknown method (RFC 9110 §9.1)", head("BREW /pot HTTP/1.1", "Host: test")],
  ["a lower-case method: methods are case-sensitive (RFC 9110 §9.1)", head("get / HTTP/1.1", "Host: test")],
  ["an IPv6 Host", head("GET / HTTP/1.1", "Host: [::1]:8080")],
  ["a Host with an empty port (RFC 3986 §3.2.3)", head("GET / HTTP/1.1", "Host: test:")],
  ["obs-text in the target", head("GET /\xe9 HTTP/1.1", "Host: test")],
  ["CHUNKED in capitals", `${head(...POST, "TRANSFER-ENCODING: CHUNKED")}5\r\nhello\r\n0\r\n\r\n`],
  ["leading zeros in Content-Length", `${head(...POST, "Content-Length: 005")}hello`],
  ["leading zeros in a chunk size", `${head(...POST, CHUNKED)}0000000005\r\nhello\r\n000\r\n\r\n`],
  [
    "a chunk extension with a quoted CRLF look-alike",
    `${head(...POST, CHUNKED)}5;a="\\"x;y"\r\nhello\r\n0\r\n\r\n`,
  ],
  ["a body on GET (RFC 9110 §9.3.1)", `${head("GET / HTTP/1.1", "Host: test", "Content-Length: 5")}hello`],
  [
    "255 fields besides Host",
    head("GET / HTTP/1.1", "Host: test", ...Array.from({ length: 255 }, () => "X: y")),
  ],
  ["a head of exactly max_header_size", exactHead(16 * 1024)],
];

function exactHead(size: number): string {
  const rest = head("GET / HTTP/1.1", "Host: test", "X: ");
  return rest.replace("X: ", `X: ${"y".repeat(size - rest.length)}`);
}

for (const [name, bytes] of ACCEPTED) {
  stage.test(`${name}: served`, {}, async (scene) => {
    const { client, status, body } = await scene.ask(bytes);
    assert.equal(status, 200, body.toString());
    await client.write(get("/next"));
    assert.equal((await client.readResponse()).status, 200);
    assert.equal(scene.origin.requests.length, 2);
    if (bytes.includes("hello")) assert.equal(scene.origin.requests[0]!.body, "hello");
  });
}

stage.test(
  "a refusal in the second of two pipelined requests is answered after the first",
  {},
  async (scene) => {
    const client = await scene.send(
      post("/1", "hello") + head(...POST, "Content-Length: 5", CHUNKED) + get("/smuggled"),
    );
    assert.equal((await client.readResponse()).status, 200);
    assert.equal((await client.readResponse()).status, 400);
    await client.ended;
    assert.deepEqual(
      scene.origin.requests.map((request) => request.line),
      ["POST /1 HTTP/1.1"],
    );
  },
);

stage.test("heads of two connections that arrive in pieces do not mix", {}, async (scene) => {
  scene.origin.answer = (request) =>
    `HTTP/1.1 200 OK\r\nContent-Length: ${request.line.length}\r\n\r\n${request.line}`;
  const first = await scene.send("GET /first HTTP/1.1\r\nHo");
  await scene.metricIs("holdfast_listener_received_bytes_total", 23);
  const second = await scene.send("POST /second HTTP/1.1\r\nHost: other.example\r\nX: ");
  await scene.metricIs("holdfast_listener_received_bytes_total", 23 + 47);
  await first.write("st: test\r\n\r\n");
  assert.equal((await first.readResponse()).body.toString(), "GET /first HTTP/1.1");
  await second.write("y\r\n\r\n");
  assert.equal((await second.readResponse()).body.toString(), "POST /second HTTP/1.1");
});
