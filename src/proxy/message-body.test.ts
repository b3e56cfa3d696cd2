import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { writeTrailers } from "../http1/chunked.ts";
import { NO_NOMINATED_NAMES } from "../http1/connection-options.ts";
import { Framing } from "../http1/framing.ts";
import {
  BodyProgress,
  frameChunk,
  MessageBody,
  writeEmptyTrailers,
  writeLastChunkSize,
} from "./message-body.ts";

const MARGIN = 64;

test("MessageBody of a known length takes its part and leaves the rest", () => {
  const body = new MessageBody();
  body.begin(Framing.LENGTH, 10);
  const bytes = new Uint8Array(100);
  assert.equal(body.read(bytes, 0, 4), BodyProgress.MORE);
  assert.equal(body.read(bytes, 20, 40), BodyProgress.DONE);
  assert.deepEqual([body.dataStart, body.dataEnd, body.consumed, body.payloadBytes], [20, 26, 26, 10]);
});

test("MessageBody without a body, or with Content-Length: 0, is complete at once", () => {
  const body = new MessageBody();
  body.begin(Framing.NONE, -1);
  assert.ok(body.isComplete);
  body.begin(Framing.LENGTH, 0);
  assert.ok(body.isComplete);
  assert.equal(body.read(new Uint8Array(5), 0, 5), BodyProgress.DONE);
  assert.equal(body.consumed, 0);
});

test("MessageBody that ends with the connection takes everything and is never done by itself", () => {
  const body = new MessageBody();
  body.begin(Framing.UNTIL_CLOSE, -1);
  assert.equal(body.read(new Uint8Array(5), 1, 5), BodyProgress.MORE);
  assert.deepEqual([body.dataStart, body.dataEnd], [1, 5]);
  assert.ok(!body.isComplete);
});

test("a body that is framed as chunks again reads back the same, wherever it was split (RFC 9112 §7.1)", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 8 }),
      fc.nat(),
      (pieces, splitSeed) => {
        const wire: number[] = [];
        const scratch = new Uint8Array(256);
        for (const piece of pieces) {
          scratch.set(piece, MARGIN);
          const start = frameChunk(scratch, MARGIN, MARGIN + piece.length);
          wire.push(...scratch.subarray(start, MARGIN + piece.length + 2));
        }
        const end = writeEmptyTrailers(scratch, writeLastChunkSize(scratch, 0));
        wire.push(...scratch.subarray(0, end));

        const body = new MessageBody();
        body.begin(Framing.CHUNKED, -1);
        const read: number[] = [];
        let progress: number = BodyProgress.MORE;
        for (let at = 0; at < wire.length; ) {
          const step = 1 + ((splitSeed + at * 7) % 13);
          const bytes = Uint8Array.from(wire.slice(at, at + step));
          progress = body.read(bytes, 0, bytes.length);
          read.push(...bytes.subarray(body.dataStart, body.dataEnd));
          at += step;
        }
        assert.equal(progress, BodyProgress.DONE);
        assert.deepEqual(
          read,
          pieces.flatMap((piece) => [...piece]),
        );
      },
    ),
  );
});

test("trailers of a chunked body are written behind the last chunk", () => {
  const wire = new TextEncoder().encode("1\r\nx\r\n0\r\nX-Sum: 7\r\n\r\n");
  const bytes = new Uint8Array(256);
  bytes.set(wire);
  const body = new MessageBody();
  body.begin(Framing.CHUNKED, -1);
  assert.equal(body.read(bytes, 0, wire.length), BodyProgress.DONE);
  const end = writeTrailers(bytes, 100, body.decoder, NO_NOMINATED_NAMES);
  assert.equal(new TextDecoder().decode(bytes.subarray(100, end)), "X-Sum: 7\r\n\r\n");
});
