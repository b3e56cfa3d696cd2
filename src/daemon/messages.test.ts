/** Tests of messages.ts: framing, however the bytes arrive. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeFrame, FRAME_BYTES_MAX, FrameDecoder, type WorkerMessage } from "./messages.ts";

function decodeAll(decoder: FrameDecoder): unknown[] {
  const messages: unknown[] = [];
  for (let message = decoder.next(); message !== undefined; message = decoder.next()) {
    messages.push(message);
  }
  return messages;
}

test("encodeFrame() writes a little-endian length and JSON", () => {
  const frame = encodeFrame({ type: "ready" });
  assert.deepEqual([...frame.subarray(0, 4)], [16, 0, 0, 0]);
  assert.equal(new TextDecoder().decode(frame.subarray(4)), '{"type":"ready"}');
});

test("FrameDecoder gives the same messages however the bytes arrive", () => {
  const messages: WorkerMessage[] = [
    { type: "ready" },
    { type: "log", level: "warn", event: "e", message: "ä".repeat(3000), fields: { a: 1 } },
    { type: "drained" },
  ];
  const stream = Buffer.concat(messages.map((message) => encodeFrame(message)));
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 20 }), (sizes) => {
      const decoder = new FrameDecoder();
      const decoded: unknown[] = [];
      for (let at = 0, turn = 0; at < stream.length; turn++) {
        const end = at + sizes[turn % sizes.length]!;
        decoder.push(stream.subarray(at, end));
        decoded.push(...decodeAll(decoder));
        at = end;
      }
      assert.deepEqual(decoded, messages);
    }),
    { numRuns: 50 },
  );
});

test("FrameDecoder keeps no reference to the bytes it was given", () => {
  const decoder = new FrameDecoder();
  const bytes = encodeFrame({ type: "drained" });
  decoder.push(bytes);
  bytes.fill(0);
  assert.deepEqual(decodeAll(decoder), [{ type: "drained" }]);
});

test("FrameDecoder refuses a length above the limit", () => {
  const decoder = new FrameDecoder();
  const head = new Uint8Array(4);
  new DataView(head.buffer).setUint32(0, FRAME_BYTES_MAX + 1, true);
  decoder.push(head);
  assert.throws(() => decoder.next(), RangeError);
});
