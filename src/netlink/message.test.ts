import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  decodeAttributes,
  decodeMessages,
  decodeOutcome,
  NLM_F_ACK,
  NLMSG_DONE,
  NLMSG_ERROR,
  RequestBuilder,
  readText,
  readU8,
  readU32,
} from "./message.ts";

const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;

/** An answer as the kernel writes it. */
function answer(type: number, flags: number, fill: (builder: RequestBuilder) => void): Uint8Array {
  const builder = new RequestBuilder(type, flags, 7);
  fill(builder);
  return builder.finish();
}

test("RequestBuilder aligns attributes to four bytes and counts lengths without the padding (netlink(7))", () => {
  const builder = new RequestBuilder(20, NLM_F_ACK, 0x01020304);
  const bytes = builder.u8(2).u8(24).u16(0).attributeText(3, "lan0").attributeU8(11, 112).finish();
  assert.equal(
    Buffer.from(bytes).toString("hex"),
    // length 40, type, flags, sequence, port | header | 9 bytes of "lan0\0" padded to 12 | 5 bytes padded to 8
    "28000000140005000403020100000000" + "02180000" + "090003006c616e3000000000" + "05000b0070000000",
  );
});

test("RequestBuilder nests attributes and grows beyond its first buffer", () => {
  const builder = new RequestBuilder(16, 0, 1);
  builder.nested(18, () => {
    builder.attributeText(1, "macvlan");
    builder.nested(2, () => {
      builder.attributeU32(1, 1);
    });
    builder.attribute(9, new Uint8Array(1000).fill(5));
  });
  const [message] = decodeMessages(builder.finish());
  const information = decodeAttributes(decodeAttributes(message!.payload).get(18)!);
  assert.equal(readText(information, 1), "macvlan");
  assert.equal(readU32(decodeAttributes(information.get(2)!), 1), 1);
  assert.equal(information.get(9)!.length, 1000);
});

test("decodeMessages() splits a datagram of several messages", () => {
  const datagram = Buffer.concat([
    answer(16, 2, (it) => it.u32(1)),
    answer(16, 2, (it) => it.attributeText(3, "x")),
    answer(NLMSG_DONE, 2, (it) => it.u32(0)),
  ]);
  const messages = decodeMessages(datagram);
  assert.deepEqual(
    messages.map((it) => [it.type, it.sequence, it.payload.length]),
    [
      [16, 7, 4],
      [16, 7, 8],
      [NLMSG_DONE, 7, 4],
    ],
  );
  assert.deepEqual(decodeOutcome(messages[2]!), { errno: 0, text: "", offset: undefined });
});

test("a message or attribute that is not whole ends the list", () => {
  const whole = answer(16, 0, (it) => it.attributeU32(1, 5).attributeU32(2, 6));
  assert.equal(decodeMessages(whole.subarray(0, whole.length - 1)).length, 0);
  const [message] = decodeMessages(whole);
  const shortened = decodeAttributes(message!.payload.subarray(0, 13));
  assert.deepEqual([...shortened.keys()], [1]);
  assert.equal(decodeAttributes(Uint8Array.of(3, 0, 1, 0, 8, 0, 2, 0)).size, 0, "shorter than its header");
});

test("decodeOutcome() reads the kernel's own words, capped or behind the repeated request (NETLINK_EXT_ACK)", () => {
  const capped = answer(NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, (it) => {
    it.u32(-22 >>> 0).bytes(new Uint8Array(16));
    it.attributeText(1, "ipv4: Invalid prefix length").attributeU32(2, 24);
  });
  const expected = { errno: 22, text: "ipv4: Invalid prefix length", offset: 24 };
  assert.deepEqual(decodeOutcome(decodeMessages(capped)[0]!), expected);
  const request = new RequestBuilder(20, 0, 7).u32(1).u32(2).finish();
  const repeated = answer(NLMSG_ERROR, NLM_F_ACK_TLVS, (it) => {
    it.u32(-22 >>> 0).bytes(request);
    it.attributeText(1, "ipv4: Invalid prefix length").attributeU32(2, 24);
  });
  assert.deepEqual(decodeOutcome(decodeMessages(repeated)[0]!), expected);
});

test("decodeOutcome() of an acknowledgement is 0, of anything else undefined", () => {
  const acknowledged = answer(NLMSG_ERROR, NLM_F_CAPPED, (it) => it.u32(0).bytes(new Uint8Array(16)));
  assert.equal(decodeOutcome(decodeMessages(acknowledged)[0]!)!.errno, 0);
  assert.equal(decodeOutcome(decodeMessages(answer(20, 0, (it) => it.u32(0)))[0]!), undefined);
  assert.equal(decodeOutcome(decodeMessages(answer(NLMSG_ERROR, 0, () => {}))[0]!), undefined);
});

test("no bytes make the decoder throw", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.nat(40),
      fc.constantFrom(2, 3, 16),
      (noise, at, type) => {
        // A header that looks right in front, so that the noise is reached.
        const framed = answer(type, noise[0] ?? 0, (it) => it.bytes(noise));
        for (const message of [...decodeMessages(noise), ...decodeMessages(framed)]) {
          decodeOutcome(message);
          const attributes = decodeAttributes(message.payload, at);
          for (const key of attributes.keys()) {
            readU8(attributes, key);
            readU32(attributes, key, 4);
            readText(attributes, key);
          }
        }
      },
    ),
  );
});
