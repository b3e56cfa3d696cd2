import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  AddressTexts,
  AF_INET,
  AF_INET6,
  type DiagSocket,
  decodeSocket,
  encodeDumpRequest,
  INET_DIAG_MESSAGE_LENGTH,
} from "./inet-diag.ts";

const INFO_LENGTH = 232;

/** One message without its netlink header; attributes as given. */
function messageOf(family: number, attributes: readonly (readonly [number, Uint8Array])[] = []): Uint8Array {
  const length = attributes.reduce(
    (sum, [, value]) => sum + 4 + ((value.length + 3) & ~3),
    INET_DIAG_MESSAGE_LENGTH,
  );
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  bytes.set([family, 1, 2, 3]);
  view.setUint16(4, 443);
  view.setUint16(6, 50_000);
  bytes.set(
    family === AF_INET ? [192, 0, 2, 1] : [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    8,
  );
  bytes.set([198, 51, 100, 255], 24);
  view.setUint32(44, 77, true);
  view.setUint32(48, 1, true);
  view.setUint32(52, 119_000, true);
  view.setUint32(56, 5, true);
  view.setUint32(60, 6, true);
  view.setUint32(64, 1000, true);
  view.setUint32(68, 3_000_000_000, true);
  let at = INET_DIAG_MESSAGE_LENGTH;
  for (const [type, value] of attributes) {
    view.setUint16(at, 4 + value.length, true);
    view.setUint16(at + 2, type, true);
    bytes.set(value, at + 4);
    at += 4 + ((value.length + 3) & ~3);
  }
  return bytes;
}

function infoOf(fields: Readonly<Record<number, number>>, length = INFO_LENGTH): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  for (const [offset, value] of Object.entries(fields))
    if (Number(offset) + 4 <= length) view.setUint32(Number(offset), value, true);
  return bytes;
}

function decode(bytes: Uint8Array, end = bytes.length): DiagSocket | undefined {
  return decodeSocket(bytes, new DataView(bytes.buffer, bytes.byteOffset), 0, end, new AddressTexts());
}

test("a socket's addresses, ports, timer, queues and identity are read from struct inet_diag_msg", () => {
  const socket = decode(messageOf(AF_INET))!;
  assert.equal(socket.family, 4);
  assert.equal(socket.state, 1);
  assert.deepEqual([socket.timer, socket.timerCount, socket.timerLeftMs], [2, 3, 119_000]);
  assert.deepEqual([socket.localAddress, socket.localPort], ["192.0.2.1", 443]);
  assert.deepEqual([socket.peerAddress, socket.peerPort], ["198.51.100.255", 50_000]);
  assert.equal(socket.cookie, 77 + 2 ** 32);
  assert.deepEqual([socket.receiveQueueBytes, socket.sendQueueBytes], [5, 6]);
  assert.deepEqual([socket.uid, socket.inode], [1000, 3_000_000_000]);
  assert.equal(socket.hasInfo, false);
  assert.equal(socket.lastAckReceivedMs, 0);
});

test("IPv6 addresses are written as RFC 5952 has them", () => {
  assert.equal(decode(messageOf(AF_INET6))!.localAddress, "2001:db8::1");
});

test("tcp_info is found behind other attributes, and 64-bit counters keep their upper half", () => {
  const info = infoOf({
    8: 204_000,
    24: 4,
    44: 10,
    52: 20,
    56: 30,
    68: 1500,
    120: 7,
    124: 2,
    128: 9,
    140: 11,
    144: 12,
  });
  info[2] = 5;
  info[3] = 6;
  info[4] = 7;
  const socket = decode(
    messageOf(AF_INET, [
      [8, Uint8Array.of(1)],
      [2, info],
    ]),
  )!;
  assert.equal(socket.hasInfo, true);
  assert.deepEqual([socket.retransmits, socket.probes, socket.backoff], [5, 6, 7]);
  assert.deepEqual([socket.rtoUs, socket.rttUs, socket.unackedSegments], [204_000, 1500, 4]);
  assert.deepEqual(
    [socket.lastDataSentMs, socket.lastDataReceivedMs, socket.lastAckReceivedMs],
    [10, 20, 30],
  );
  assert.equal(socket.bytesAcked, 7 + 2 * 2 ** 32);
  assert.deepEqual([socket.bytesReceived, socket.segmentsIn, socket.notSentBytes], [9, 11, 12]);
});

test("a tcp_info of an old kernel ends early: the fields it lacks are 0", () => {
  const socket = decode(messageOf(AF_INET, [[2, infoOf({ 8: 1, 120: 9, 144: 9 }, 104)]]))!;
  assert.equal(socket.rtoUs, 1);
  assert.equal(socket.bytesAcked, 0);
  assert.equal(socket.notSentBytes, 0);
});

test("a timer that is overdue has nothing left, also where the kernel writes that as a huge number", () => {
  const bytes = messageOf(AF_INET);
  new DataView(bytes.buffer).setUint32(52, 2 ** 32 - 4, true);
  assert.equal(decode(bytes)!.timerLeftMs, 0);
});

test("what is too short or of another family is no socket", () => {
  assert.equal(decode(messageOf(AF_INET), INET_DIAG_MESSAGE_LENGTH - 1), undefined);
  assert.equal(decode(messageOf(1)), undefined);
});

test("the dump request asks for tcp_info of the wanted states (struct inet_diag_req_v2)", () => {
  const request = encodeDumpRequest(AF_INET6, 0xfff, 9);
  assert.equal(request.length, 16 + 56);
  assert.deepEqual([...request.subarray(16, 24)], [AF_INET6, 6, 2, 0, 0xff, 0xf, 0, 0]);
});

test("whatever the bytes are, decoding and reading never throw (fuzz)", () => {
  const anything = fc.record({
    family: fc.constantFrom(AF_INET, AF_INET6, 0),
    bytes: fc.uint8Array({ minLength: 0, maxLength: 420 }),
    attributeLength: fc.integer({ min: 0, max: 0xffff }),
  });
  fc.assert(
    fc.property(anything, ({ family, bytes, attributeLength }) => {
      const input = Uint8Array.from([family, ...bytes]);
      if (input.length > INET_DIAG_MESSAGE_LENGTH + 4) {
        new DataView(input.buffer).setUint16(INET_DIAG_MESSAGE_LENGTH, attributeLength, true);
        input.set([2, 0], INET_DIAG_MESSAGE_LENGTH + 2);
      }
      const socket = decode(input);
      if (socket === undefined) return;
      for (const key of Object.keys(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(socket)))) {
        const value = socket[key as keyof DiagSocket];
        assert.notEqual(value, undefined, key);
        if (typeof value === "number") assert.ok(value >= 0, `${key} = ${value}`);
      }
    }),
    { numRuns: 2000 },
  );
});
