import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeIp } from "./address.ts";
import { addToSum, foldSum, internetChecksum, pseudoHeaderSum } from "./checksum.ts";

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));

test("internetChecksum() of the example in RFC 1071 §3", () => {
  assert.equal(foldSum(addToSum(0, hex("0001 f203 f4f5 f6f7"))), ~0xddf2 & 0xffff);
});

test("internetChecksum() of VRRP with and without the pseudo-header (scapy's figures)", () => {
  const message = hex("3102fe020001 0000 14000102 14000103");
  assert.equal(internetChecksum(message), 0xa6f4);
  const seed = pseudoHeaderSum(encodeIp("20.0.0.3"), encodeIp("224.0.0.18"), 112, message.length);
  assert.equal(internetChecksum(message, seed), 0xb25e);
});

test("pseudoHeaderSum() of IPv6 (RFC 8200 §8.1), checked against scapy's VRRPv3", () => {
  const addresses = "20010db8000000000000000000000002 20010db8000000000000000000000003";
  const message = hex(`3102fe020001 0000 ${addresses}`);
  const seed = pseudoHeaderSum(encodeIp("2001:db8::1"), encodeIp("ff02::12"), 112, message.length);
  assert.equal(internetChecksum(message, seed), 0x481b);
});

test("an odd last byte is the upper half of a word (RFC 1071 §4.1)", () => {
  assert.equal(internetChecksum(hex("12")), ~0x1200 & 0xffff);
  assert.equal(internetChecksum(hex("123456")), ~(0x1234 + 0x5600) & 0xffff);
});

test("a message that carries its checksum sums to zero, and any changed bit shows", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 4, maxLength: 1500 }), fc.nat(), (bytes, bit) => {
      bytes.set([0, 0], 2);
      const checksum = internetChecksum(bytes);
      bytes.set([checksum >> 8, checksum & 255], 2);
      assert.equal(internetChecksum(bytes), 0);
      const position = bit % (bytes.length * 8);
      bytes[position >> 3]! ^= 1 << (position & 7);
      assert.notEqual(internetChecksum(bytes), 0);
    }),
  );
});

test("parts of even length may be summed one after the other", () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (first, second) => {
      const even = first.subarray(0, first.length & ~1);
      const whole = Uint8Array.from([...even, ...second]);
      assert.equal(foldSum(addToSum(addToSum(0, even), second)), internetChecksum(whole));
    }),
  );
});
