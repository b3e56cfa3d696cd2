/** The chunked coding: what is taken apart, what is refused, and which trailers travel on (RFC 9112 §7.1). */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CHUNKED_REJECTIONS,
  ChunkedDecoder,
  ChunkedProgress,
  ChunkedRejection,
  chunkHeaderLength,
  EXTENSION_BYTES_MAX,
  LAST_CHUNK,
  TRAILER_BYTES_MAX,
  trailersBytesMax,
  writeChunkHeader,
  writeTrailers,
} from "./chunked.ts";
import { NO_NOMINATED_NAMES, nominatedNamesOf } from "./connection-options.ts";
import { parsedRequest, textOf } from "./example-messages.ts";
import { octetsOf } from "./octets.ts";

/** "data|unread rest" of a whole message, "incomplete", or the reason it was refused. */
function decoded(text: string): string {
  const bytes = octetsOf(text);
  const decoder = new ChunkedDecoder();
  const progress = decoder.decode(bytes, 0, bytes.length);
  if (progress === ChunkedProgress.ERROR) return CHUNKED_REJECTIONS[decoder.reason]!.reason;
  if (progress === ChunkedProgress.MORE) return "incomplete";
  return `${textOf(bytes, decoder.dataStart, decoder.dataEnd)}|${text.slice(decoder.consumed)}`;
}

test("decode() puts the chunks together and stops after the message", () => {
  assert.equal(
    decoded("5\r\nhello\r\n1\r\n \r\n00a\r\n0123456789\r\n000\r\n\r\nGET /"),
    "hello 0123456789|GET /",
  );
  assert.equal(decoded("0\r\n\r\n"), "|");
  assert.equal(decoded("fF\r\n"), "incomplete");
  assert.equal(decoded(`${"0".repeat(12)}1\r\nx\r\n0\r\n\r\n`), "x|");
});

test("decode() drops well-formed extensions (RFC 9112 §7.1.1)", () => {
  for (const extension of [
    ";a",
    ";a=b",
    " ; a = b",
    ';a="q\\"; \u00e9"',
    ";a=b;c",
    ';a="";c=d',
    "\t;a \t;b",
    ';a="x" ;b',
  ]) {
    assert.equal(decoded(`1${extension}\r\nx\r\n0${extension}\r\n\r\n`), "x|", extension);
  }
});

const REFUSED: readonly (readonly [name: string, text: string, reason: string])[] = [
  ["an empty size", "\r\nx", "bad-chunk-size"],
  ["a size with sign", "+5\r\n", "bad-chunk-size"],
  ["a size with 0x", "0x5\r\n", "bad-chunk-size"],
  ["a size with leading space", " 5\r\n", "bad-chunk-size"],
  ["a size with trailing space", "5 \r\n", "bad-chunk-extension"],
  ["14 digits", "00000000000005\r\n", "chunk-size-too-large"],
  ["bare LF after the size", "5\nhello", "bare-lf"],
  ["CR without LF after the size", "5\rhello", "bare-cr"],
  ["bare LF after an extension", "5;a\nhello", "bare-lf"],
  ["bare LF in a quoted string", '5;a="\n"\r\n', "bare-lf"],
  ["an extension without name", "5;\r\n", "bad-chunk-extension"],
  ["an extension without value", "5;a=\r\n", "bad-chunk-extension"],
  ["an open quoted string", '5;a="x\r\n', "bad-chunk-extension"],
  ["junk after a quoted string", '5;a="x"y\r\n', "bad-chunk-extension"],
  ["data longer than its size", "5\r\nhelloX\r\n", "bad-chunk-end"],
  ["CR without LF after data", "5\r\nhello\rX", "bad-chunk-end"],
  ["bare LF after data", "5\r\nhello\n0\r\n\r\n", "bad-chunk-end"],
  ["data shorter than its size", "6\r\nhello\r\n0\r\n\r\n", "bad-chunk-end"],
  ["CR CR LF at the end", "0\r\n\r\r\n", "bare-cr"],
  ["bare LF at the end", "0\r\n\n", "bare-lf"],
  ["bare LF in a trailer", "0\r\nX: y\n\r\n", "bare-lf"],
  ["bare CR in a trailer", "0\r\nX: y\rz\r\n\r\n", "bare-cr"],
  ["obs-fold in a trailer", "0\r\nX: y\r\n z\r\n\r\n", "obs-fold"],
  ["space before a trailer's colon", "0\r\nX : y\r\n\r\n", "space-before-colon"],
  ["a trailer without colon", "0\r\nGET / HTTP/1.1\r\n\r\n", "space-before-colon"],
  ["too many extension octets", `1;${"a".repeat(EXTENSION_BYTES_MAX + 1)}`, "chunk-extensions-too-large"],
  ["too many trailer octets", `0\r\nX: ${"a".repeat(TRAILER_BYTES_MAX)}`, "trailers-too-large"],
  ["257 trailers", `0\r\n${"X: y\r\n".repeat(257)}\r\n`, "too-many-fields"],
];

for (const [name, text, reason] of REFUSED) {
  test(`decode() refuses ${name}: ${reason} (RFC 9112 §7.1, §11.2)`, () => {
    assert.equal(decoded(text), reason);
  });
}

test("decode() says how far it read and counts extensions over the whole message", () => {
  const chunk = octetsOf(`1;${"a".repeat(1000)}\r\nx\r\n`);
  const decoder = new ChunkedDecoder();
  let chunks = 0;
  while (decoder.decode(chunk.slice(), 0, chunk.length) === ChunkedProgress.MORE) chunks++;
  assert.equal(CHUNKED_REJECTIONS[decoder.reason]!.reason, "chunk-extensions-too-large");
  assert.equal(chunks, Math.floor(EXTENSION_BYTES_MAX / 1001));
  decoder.reset();
  assert.equal(decoder.decode(octetsOf("0\r\n\r\n"), 0, 5), ChunkedProgress.DONE);
});

test("writeTrailers() passes on what is a trailer and drops what is not (RFC 9110 §6.5.1, §7.6.1)", () => {
  const { bytes, head } = parsedRequest(
    "POST / HTTP/1.1\r\nHost: a\r\nConnection: X-Hop, close, digest-x\r\nTransfer-Encoding: chunked\r\n\r\n",
  );
  const nominated = nominatedNamesOf(bytes, head.fields);
  const forbidden = [
    "Content-Length: 5",
    "transfer-encoding: chunked",
    "Host: evil",
    "Connection: x",
    "Set-Cookie: a=b",
    "Authorization: x",
    "X-Forwarded-For: 1",
    "TE: x",
    "Trailer: y",
    "Content-Type: t",
    "Upgrade: h",
    "Keep-Alive: x",
  ];
  const text = `0\r\nChecksum: 1\r\n${forbidden.join("\r\n")}\r\nx-hop: 2\r\nX-Hope: 3\r\nDIGEST-X: 4\r\n\r\nrest`;
  const input = octetsOf(text);
  const decoder = new ChunkedDecoder();
  assert.equal(decoder.decode(input, 0, input.length), ChunkedProgress.DONE);
  assert.equal(text.slice(decoder.consumed), "rest");
  const out = new Uint8Array(trailersBytesMax(decoder));
  assert.equal(textOf(out, 0, writeTrailers(out, 0, decoder, nominated)), "Checksum: 1\r\nX-Hope: 3\r\n\r\n");
  assert.equal(
    textOf(out, 0, writeTrailers(out, 0, decoder, NO_NOMINATED_NAMES)),
    "Checksum: 1\r\nx-hop: 2\r\nX-Hope: 3\r\nDIGEST-X: 4\r\n\r\n",
  );
  decoder.reset();
  assert.equal(trailersBytesMax(decoder), 2);
  assert.equal(textOf(out, 0, writeTrailers(out, 0, decoder, nominated)), "\r\n");
});

test("writeChunkHeader() writes as many octets as chunkHeaderLength() says", () => {
  const out = new Uint8Array(32);
  for (const size of [1, 9, 10, 15, 16, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 40 + 5]) {
    const end = writeChunkHeader(out, 3, size);
    assert.equal(textOf(out, 3, end), `${size.toString(16)}\r\n`);
    assert.equal(end - 3, chunkHeaderLength(size));
  }
  assert.equal(textOf(LAST_CHUNK, 0, LAST_CHUNK.length), "0\r\n\r\n");
});

test("CHUNKED_REJECTIONS has each reason at the index of its name", () => {
  for (const [name, index] of Object.entries(ChunkedRejection)) {
    assert.equal(CHUNKED_REJECTIONS[index]!.reason, name.toLowerCase().replaceAll("_", "-"));
  }
});
