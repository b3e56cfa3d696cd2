import assert from "node:assert/strict";
import { isIPv4, isIPv6 } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import type { SocketAddress } from "../config/types.ts";
import {
  decodeSocketAddress,
  encodeSocketAddress,
  formatIpv6,
  formatSocketAddress,
  ipv6Groups,
} from "./sockaddr.ts";

function roundTrip(address: SocketAddress): SocketAddress {
  const encoded = encodeSocketAddress(address);
  return decodeSocketAddress(encoded.bytes, encoded.length);
}

test("encodeSocketAddress() writes struct sockaddr_in: family little-endian, port and address big-endian", () => {
  const encoded = encodeSocketAddress({ family: "inet", host: "192.0.2.10", port: 8080 });
  assert.equal(encoded.length, 16);
  assert.deepEqual([...encoded.bytes.subarray(0, 8)], [2, 0, 0x1f, 0x90, 192, 0, 2, 10]);
});

test("encodeSocketAddress() writes struct sockaddr_in6 with the address at offset 8", () => {
  const encoded = encodeSocketAddress({ family: "inet6", host: "2001:db8::1", port: 443 });
  assert.equal(encoded.length, 28);
  assert.deepEqual([...encoded.bytes.subarray(0, 4)], [10, 0, 0x01, 0xbb]);
  assert.equal(encoded.bytes.subarray(8, 24).toString("hex"), "20010db8000000000000000000000001");
});

test("a socket address survives encoding and decoding", () => {
  for (const address of [
    { family: "inet", host: "0.0.0.0", port: 1 },
    { family: "inet", host: "255.255.255.255", port: 65535 },
    { family: "inet6", host: "::", port: 80 },
    { family: "inet6", host: "fe80::1:0:0:2", port: 80 },
    { family: "unix", path: "/run/holdfast.sock" },
  ] as const) {
    assert.deepEqual(roundTrip(address), address);
  }
});

test("encodeSocketAddress() refuses what is no literal address", () => {
  for (const host of ["example.org", "1.2.3", "1.2.3.256", "1.2.3.4.", ""]) {
    assert.throws(() => encodeSocketAddress({ family: "inet", host, port: 1 }), TypeError, host);
  }
  for (const host of ["1::2::3", "12345::", "g::", "1:2:3:4:5:6:7"]) {
    assert.throws(() => encodeSocketAddress({ family: "inet6", host, port: 1 }), TypeError, host);
  }
});

test("formatIpv6() and ipv6Groups() are inverse, and Node accepts the text", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(0, 0, 0, 1, 0xffff, 0x12ab), { minLength: 8, maxLength: 8 }),
      (groups) => {
        const text = formatIpv6(groups);
        if (isIPv4(text)) assert.deepEqual(groups.slice(0, 6), [0, 0, 0, 0, 0, 0xffff]);
        else {
          assert.ok(isIPv6(text), text);
          assert.deepEqual(ipv6Groups(text), groups, text);
        }
      },
    ),
  );
});

test("formatIpv6() follows RFC 5952: the longest run of zeros is shortened, a single zero is not", () => {
  assert.equal(formatIpv6([0x2001, 0xdb8, 0, 0, 1, 0, 0, 1]), "2001:db8::1:0:0:1");
  assert.equal(formatIpv6([1, 0, 2, 3, 4, 5, 6, 7]), "1:0:2:3:4:5:6:7");
  assert.equal(formatIpv6([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x020a]), "192.0.2.10");
});

test("formatSocketAddress() brackets IPv6 and marks UNIX paths", () => {
  assert.equal(formatSocketAddress({ family: "inet6", host: "::1", port: 80 }), "[::1]:80");
  assert.equal(formatSocketAddress({ family: "unix", path: "/a b" }), "unix:/a b");
});
