import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compareIp, encodeIp, formatIp, solicitedNodeAddress } from "./address.ts";

test("encodeIp() and formatIp() are inverse", () => {
  assert.deepEqual([...encodeIp("192.0.2.10")], [192, 0, 2, 10]);
  assert.equal(formatIp(encodeIp("FE80:0::0:12")), "fe80::12");
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
  );
  fc.assert(
    fc.property(bytes, (address) => {
      // The text of an IPv4-mapped address is the dotted one: its bytes come back as four.
      const text = formatIp(address);
      assert.deepEqual([...encodeIp(text)], [...address].slice(text.includes(".") ? -4 : 0));
    }),
  );
});

test("encodeIp() refuses what is no address", () => {
  for (const text of ["", "1.2.3", "1.2.3.256", "1.2.3.4.5", "::1::", "1:2:3:4:5:6:7:8:9", "host", "g::"])
    assert.throws(() => encodeIp(text), TypeError, text);
});

test("compareIp() compares unsigned in network order (RFC 9568 §6.4.3)", () => {
  assert.ok(compareIp(encodeIp("10.0.0.9"), encodeIp("10.0.0.10")) < 0);
  assert.ok(compareIp(encodeIp("200.0.0.1"), encodeIp("100.0.0.2")) > 0);
  assert.ok(compareIp(encodeIp("fe80::ff"), encodeIp("fe80::1:0")) < 0);
  assert.equal(compareIp(encodeIp("::1"), encodeIp("0::1")), 0);
});

test("solicitedNodeAddress() is the example of RFC 4291 §2.7.1", () => {
  assert.equal(formatIp(solicitedNodeAddress(encodeIp("4037::01:800:200E:8C6C"))), "ff02::1:ff0e:8c6c");
});
