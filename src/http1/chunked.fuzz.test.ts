/** Property tests of the chunked coding: decode(encode) with any split, and no piece of garbage breaks the bounds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ChunkedDecoder, ChunkedProgress, writeChunkHeader } from "./chunked.ts";
import { octetsOf } from "./octets.ts";

const GUARD = 7;

interface Outcome {
  readonly progress: number;
  readonly reason: number;
  readonly data: readonly number[];
  readonly used: number;
  readonly trailers: readonly number[];
}

/** Decodes `message` in pieces, each in a buffer with guard octets around it that must stay as they are. */
function decodeInPieces(message: Uint8Array, cuts: readonly number[]): Outcome {
  const decoder = new ChunkedDecoder();
  const data: number[] = [];
  const bounds = [...new Set([0, ...cuts.map((cut) => cut % (message.length + 1)), message.length])].sort(
    (a, b) => a - b,
  );
  let progress: number = ChunkedProgress.MORE;
  let used = 0;
  for (let i = 0; i + 1 < bounds.length && progress === ChunkedProgress.MORE; i++) {
    const piece = message.subarray(bounds[i]!, bounds[i + 1]!);
    const buffer = new Uint8Array(piece.length + 2 * GUARD).fill(0xaa);
    buffer.set(piece, GUARD);
    const end = GUARD + piece.length;
    progress = decoder.decode(buffer, GUARD, end);
    assert.ok(
      decoder.dataStart >= GUARD &&
        decoder.dataStart <= decoder.dataEnd &&
        decoder.dataEnd <= decoder.consumed,
    );
    assert.ok(decoder.consumed <= end && (progress !== ChunkedProgress.MORE || decoder.consumed === end));
    assert.ok(buffer.subarray(0, GUARD).every((octet) => octet === 0xaa));
    assert.ok(buffer.subarray(end).every((octet) => octet === 0xaa));
    data.push(...buffer.subarray(decoder.dataStart, decoder.dataEnd));
    used = bounds[i]! + decoder.consumed - GUARD;
  }
  const trailers = [...decoder.trailers.subarray(0, decoder.trailerLength)];
  return { progress, reason: decoder.reason, data, used, trailers };
}

function encoded(chunks: readonly Uint8Array[], trailers: string): Uint8Array {
  const out: number[] = [];
  const header = new Uint8Array(16);
  for (const chunk of chunks) {
    out.push(...header.subarray(0, writeChunkHeader(header, 0, chunk.length)), ...chunk, 13, 10);
  }
  out.push(...octetsOf(`0\r\n${trailers}\r\n`));
  return Uint8Array.from(out);
}

const cutList = fc.array(fc.nat(4000), { maxLength: 12 });

test("decode(encode(x)) is x whatever the chunks and the pieces (RFC 9112 §7.1)", () => {
  const chunkList = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 8 });
  fc.assert(
    fc.property(chunkList, cutList, fc.boolean(), (chunks, cuts, hasTrailers) => {
      const message = encoded(chunks, hasTrailers ? "X: y\r\n" : "");
      const outcome = decodeInPieces(Uint8Array.from([...message, 71, 69, 84]), cuts);
      assert.equal(outcome.progress, ChunkedProgress.DONE);
      assert.deepEqual(
        outcome.data,
        chunks.flatMap((chunk) => [...chunk]),
      );
      assert.equal(outcome.used, message.length);
      assert.equal(outcome.trailers.length, hasTrailers ? 6 : 0);
    }),
    { numRuns: 300 },
  );
});

const fragment = fc.constantFrom(
  "0",
  "1",
  "5",
  "a",
  "F",
  "\r\n",
  "\r\n",
  "\r",
  "\n",
  ";",
  "=",
  '"',
  "\\",
  " ",
  "hello",
  "x",
  "X: y",
  ":",
  "\0",
);

test("decode() ends the same however the bytes arrive, within its bounds", () => {
  fc.assert(
    fc.property(fc.array(fragment, { maxLength: 30 }), cutList, (fragments, cuts) => {
      const message = octetsOf(fragments.join(""));
      assert.deepEqual(decodeInPieces(message, cuts), decodeInPieces(message, []));
      const everyOctet = Array.from({ length: message.length }, (_, i) => i);
      assert.deepEqual(decodeInPieces(message, everyOctet), decodeInPieces(message, []));
    }),
    { numRuns: 500 },
  );
});
