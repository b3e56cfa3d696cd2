import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  decodeArpFrame,
  encodeArpProbe,
  encodeGratuitousReply,
  encodeGratuitousRequest,
  formatHardwareAddress,
} from "./packet.ts";

const VIRTUAL_MAC = Uint8Array.of(0, 0, 0x5e, 0, 1, 0x33);
const hexOf = (frame: Uint8Array): string => Buffer.from(frame).toString("hex");

/** Bytes as scapy 2.5 writes them. */
const BROADCAST_FROM_VIRTUAL_MAC = "ffffffffffff00005e000133";

test("encodeGratuitousRequest(): sender and target are the address, to everybody (RFC 9568 §6.4.1)", () => {
  assert.equal(
    hexOf(encodeGratuitousRequest(VIRTUAL_MAC, "10.0.1.5")),
    `${BROADCAST_FROM_VIRTUAL_MAC}0806000108000604000100005e0001330a000105ffffffffffff0a000105`,
  );
});

test("encodeGratuitousReply(): the same as a reply", () => {
  assert.equal(
    hexOf(encodeGratuitousReply(VIRTUAL_MAC, "10.0.1.5")),
    `${BROADCAST_FROM_VIRTUAL_MAC}0806000108000604000200005e0001330a00010500005e0001330a000105`,
  );
});

test("encodeArpProbe(): the sender's address is zero, no cache learns from it (RFC 5227 §2.1.1)", () => {
  assert.equal(
    hexOf(encodeArpProbe(VIRTUAL_MAC, "10.0.1.5")),
    `${BROADCAST_FROM_VIRTUAL_MAC}0806000108000604000100005e000133000000000000000000000a000105`,
  );
});

test("decodeArpFrame() reads what was encoded, padding of short frames included", () => {
  const frame = Buffer.concat([encodeGratuitousReply(VIRTUAL_MAC, "10.0.1.5"), Buffer.alloc(18)]);
  const decoded = decodeArpFrame(frame);
  assert.ok(decoded.ok);
  frame.fill(0xee);
  assert.equal(decoded.value.operation, "reply");
  assert.equal(decoded.value.senderAddress, "10.0.1.5");
  assert.equal(decoded.value.targetAddress, "10.0.1.5");
  assert.equal(
    formatHardwareAddress(decoded.value.senderHardware),
    "00:00:5e:00:01:33",
    "is a copy: the buffer is used again",
  );
});

test("decodeArpFrame() says why it refuses", () => {
  const reasonAfter = (offset: number, value: number): string => {
    const frame = encodeArpProbe(VIRTUAL_MAC, "10.0.1.5");
    frame[offset] = value;
    const decoded = decodeArpFrame(frame);
    return decoded.ok ? "accepted" : decoded.reason;
  };
  assert.equal(reasonAfter(13, 0x00), "not-arp");
  assert.equal(reasonAfter(15, 6), "not-ethernet-ipv4");
  assert.equal(reasonAfter(17, 1), "not-ethernet-ipv4");
  assert.equal(reasonAfter(19, 16), "not-ethernet-ipv4");
  assert.equal(reasonAfter(21, 3), "bad-operation");
  assert.deepEqual(decodeArpFrame(new Uint8Array(41)), { ok: false, reason: "truncated" });
});

test("decodeArpFrame() never throws", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.boolean(), (noise, looksRight) => {
      if (looksRight)
        noise.set(encodeArpProbe(VIRTUAL_MAC, "1.2.3.4").subarray(0, Math.min(20, noise.length)));
      decodeArpFrame(noise);
    }),
  );
});
