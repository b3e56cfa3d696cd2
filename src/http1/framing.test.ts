/** Body length by RFC 9112 §6.3, and the two fields it is read from. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  contentLengthOf,
  Framing,
  forwardedFraming,
  repeatedContentLengthOf,
  responseFraming,
  TransferCoding,
  transferCodingOf,
} from "./framing.ts";
import { octetsOf } from "./octets.ts";

test("contentLengthOf() takes 1*DIGIT up to 2^53 - 1 and nothing else (RFC 9112 §6.3)", () => {
  const cases: readonly [string, number][] = [
    ["0", 0],
    ["00042", 42],
    ["9007199254740991", Number.MAX_SAFE_INTEGER],
    ["9007199254740992", -1],
    ["99999999999999999999", -1],
    ["", -1],
    ["+5", -1],
    ["-5", -1],
    ["0x10", -1],
    ["5 5", -1],
    ["5,5", -1],
    ["5;", -1],
    ["1e3", -1],
    ["1_000", -1],
    ["\u00b2", -1],
  ];
  for (const [text, wanted] of cases) {
    assert.equal(contentLengthOf(octetsOf(text), 0, text.length), wanted, JSON.stringify(text));
  }
});

test("repeatedContentLengthOf() folds a list of one number and refuses any other (RFC 9112 §6.3 item 5)", () => {
  const cases: readonly [string, number][] = [
    ["5", 5],
    ["5, 5", 5],
    ["5,5 ,5", 5],
    ["5, 05", 5],
    ["5, 6", -1],
    ["5,", -1],
    [",5", -1],
    ["", -1],
  ];
  for (const [text, wanted] of cases) {
    assert.equal(repeatedContentLengthOf(octetsOf(text), 0, text.length), wanted, JSON.stringify(text));
  }
});

test("transferCodingOf() knows chunked alone (RFC 9112 §6.1, §7)", () => {
  const { CHUNKED, IDENTITY, UNKNOWN, MALFORMED } = TransferCoding;
  const cases: readonly [string, number][] = [
    ["chunked", CHUNKED],
    ["ChUnKeD", CHUNKED],
    ["identity", IDENTITY],
    ["gzip", UNKNOWN],
    ["gzip, chunked", UNKNOWN],
    ["xchunked", UNKNOWN],
    ["chunkedx", UNKNOWN],
    ["identity, chunked", UNKNOWN],
    ["chunked, gzip", MALFORMED],
    ["chunked, chunked", MALFORMED],
    ["chunked;q=1", MALFORMED],
    ['"chunked"', MALFORMED],
    ["chu nked", MALFORMED],
    ["", MALFORMED],
    [",", MALFORMED],
    ["\u00e7hunked", MALFORMED],
  ];
  for (const [text, wanted] of cases) {
    assert.equal(transferCodingOf(octetsOf(text), 0, text.length), wanted, JSON.stringify(text));
  }
});

test("responseFraming() resolves every combination in the order of RFC 9112 §6.3", () => {
  for (const status of [100, 101, 103, 200, 204, 205, 206, 301, 304, 404, 500]) {
    for (const isToHead of [false, true]) {
      for (const isToConnect of [false, true]) {
        for (const isChunked of [false, true]) {
          for (const contentLength of [-1, 0, 7]) {
            const hasNoBody = isToHead || status < 200 || status === 204 || status === 304;
            let wanted: number = contentLength < 0 ? Framing.UNTIL_CLOSE : Framing.LENGTH;
            if (isChunked) wanted = Framing.CHUNKED;
            if (hasNoBody || (isToConnect && status >= 200 && status <= 299)) wanted = Framing.NONE;
            const got = responseFraming(status, isToHead, isToConnect, isChunked, contentLength);
            assert.equal(got, wanted, `${status} ${isToHead} ${isToConnect} ${isChunked} ${contentLength}`);
          }
        }
      }
    }
  }
});

test("forwardedFraming() re-chunks for HTTP/1.1 and closes for HTTP/1.0 (RFC 9112 §6.1)", () => {
  const { NONE, LENGTH, CHUNKED, UNTIL_CLOSE } = Framing;
  assert.deepEqual(
    [NONE, LENGTH, CHUNKED, UNTIL_CLOSE].map((f) => forwardedFraming(f, 1)),
    [NONE, LENGTH, CHUNKED, CHUNKED],
  );
  assert.deepEqual(
    [NONE, LENGTH, CHUNKED, UNTIL_CLOSE].map((f) => forwardedFraming(f, 0)),
    [NONE, LENGTH, UNTIL_CLOSE, UNTIL_CLOSE],
  );
});
