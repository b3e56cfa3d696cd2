/** The codec of advertisements, field by field; golden vectors are in test/conformance/vrrp. */
import assert from "node:assert/strict";
import test from "node:test";
import { internetChecksum } from "../ip/checksum.ts";
import {
  type Advertisement,
  compareAddresses,
  type DecodeFailure,
  decodeAdvertisement,
  encodeAdvertisement,
  encodedLength,
  formatAdvertisement,
  type PacketContext,
  peekRouterId,
} from "./packet.ts";

const V4: PacketContext = {
  family: "inet",
  source: "10.0.0.1",
  destination: "224.0.0.18",
  hopLimit: 255,
  isUnicast: false,
};
const V6: PacketContext = { ...V4, family: "inet6", source: "fe80::1", destination: "ff02::12" };

const ADVERTISEMENT: Advertisement = {
  version: 3,
  routerId: 51,
  priority: 150,
  intervalMs: 100,
  addresses: ["192.0.2.10", "192.0.2.11"],
  authPass: undefined,
  checksum: "message",
};
const V2: Advertisement = { ...ADVERTISEMENT, version: 2, intervalMs: 1000 };
const V3_V6: Advertisement = {
  ...ADVERTISEMENT,
  addresses: ["fe80::100", "2001:db8::100"],
  checksum: "pseudo-header",
};

/** A message over IPv4 without pseudo-header, changed, and its checksum made right again. */
function altered(advertisement: Advertisement, change: (bytes: Uint8Array) => void): Uint8Array {
  const bytes = encodeAdvertisement(advertisement, V4);
  change(bytes);
  bytes.set([0, 0], 6);
  const checksum = internetChecksum(bytes);
  bytes.set([checksum >> 8, checksum & 255], 6);
  return bytes;
}

function assertRefused(bytes: Uint8Array, reason: DecodeFailure, context = V4): void {
  assert.deepEqual(decodeAdvertisement(bytes, context), { ok: false, reason });
}

function assertDecoded(bytes: Uint8Array, expected: Advertisement, context = V4): void {
  assert.deepEqual(decodeAdvertisement(bytes, context), { ok: true, value: expected });
}

test("decodeAdvertisement() reads what encodeAdvertisement() wrote: version 2, version 3, IPv6, both checksums", () => {
  assertDecoded(encodeAdvertisement(V2, V4), V2);
  assertDecoded(encodeAdvertisement(ADVERTISEMENT, V4), ADVERTISEMENT);
  assertDecoded(encodeAdvertisement(V3_V6, V6), V3_V6, V6);
  const withPseudoHeader: Advertisement = { ...ADVERTISEMENT, checksum: "pseudo-header" };
  assertDecoded(encodeAdvertisement(withPseudoHeader, V4), withPseudoHeader);
});

test("decodeAdvertisement() knows a pseudo-header with the group for its destination, as FRR makes it for unicast peers", () => {
  const sent: Advertisement = { ...ADVERTISEMENT, checksum: "pseudo-header" };
  const unicast: PacketContext = { ...V4, destination: "10.0.0.2", isUnicast: true };
  assertDecoded(encodeAdvertisement(sent, unicast), sent, unicast);
  assertDecoded(encodeAdvertisement(sent, V4), sent, unicast);
});

test("decodeAdvertisement() discards a hop limit other than 255 (RFC 9568 §7.1), except from unicast peers", () => {
  const bytes = encodeAdvertisement(ADVERTISEMENT, V4);
  assertRefused(bytes, "bad-ttl", { ...V4, hopLimit: 254 });
  assertDecoded(bytes, ADVERTISEMENT, { ...V4, hopLimit: 64, isUnicast: true });
  assertDecoded(bytes, ADVERTISEMENT, { ...V4, hopLimit: undefined });
});

test("decodeAdvertisement() discards other versions and types, and version 2 over IPv6 (RFC 9568 §7.1)", () => {
  assertRefused(
    altered(ADVERTISEMENT, (bytes) => bytes.set([0x41], 0)),
    "bad-version",
  );
  assertRefused(
    altered(ADVERTISEMENT, (bytes) => bytes.set([0x11], 0)),
    "bad-version",
  );
  assertRefused(
    altered(ADVERTISEMENT, (bytes) => bytes.set([0x32], 0)),
    "bad-type",
  );
  assertRefused(encodeAdvertisement(V2, V4), "bad-version", V6);
});

test("decodeAdvertisement() discards a message that is cut anywhere (RFC 9568 §7.1)", () => {
  for (const [advertisement, context] of [
    [V2, V4],
    [ADVERTISEMENT, V4],
    [V3_V6, V6],
  ] as const) {
    const bytes = encodeAdvertisement(advertisement, context);
    for (let length = 0; length < bytes.length; length++)
      assertRefused(bytes.subarray(0, length), "truncated", context);
  }
});

test("decodeAdvertisement() wants the authentication data of version 2, also when there is none (RFC 3768 §5.3.10)", () => {
  assert.equal(encodeAdvertisement(V2, V4).length, 8 + 2 * 4 + 8);
  assertRefused(encodeAdvertisement(V2, V4).subarray(0, 16), "truncated");
});

test("decodeAdvertisement() tolerates the padding of an Ethernet frame", () => {
  const padded = new Uint8Array(26);
  padded.set(encodeAdvertisement(ADVERTISEMENT, V4));
  padded.fill(0xee, 16);
  assertDecoded(padded, ADVERTISEMENT);
});

test("decodeAdvertisement() discards an empty list, interval 0 and virtual router 0 (errata 8299, 8301)", () => {
  assertRefused(
    altered({ ...ADVERTISEMENT, addresses: [] }, () => {}),
    "no-addresses",
  );
  assertRefused(
    altered(ADVERTISEMENT, (bytes) => bytes.set([0, 0], 4)),
    "zero-interval",
  );
  assertRefused(
    altered(V2, (bytes) => bytes.set([0], 5)),
    "zero-interval",
  );
  assertRefused(
    altered(ADVERTISEMENT, (bytes) => bytes.set([0], 1)),
    "bad-id",
  );
});

test("decodeAdvertisement() ignores the reserved bits of version 3 (RFC 9568 §5.2.6)", () => {
  assertDecoded(
    altered(ADVERTISEMENT, (bytes) => {
      bytes[4] = bytes[4]! | 0xf0;
    }),
    ADVERTISEMENT,
  );
});

test("decodeAdvertisement() reads the password of version 2 and discards other authentication types", () => {
  const withPass: Advertisement = { ...V2, authPass: "s3cret" };
  const bytes = encodeAdvertisement(withPass, V4);
  assert.equal(Buffer.from(bytes.subarray(16)).toString("latin1"), "s3cret\0\0");
  assertDecoded(bytes, withPass);
  assertRefused(
    altered(V2, (it) => it.set([2], 4)),
    "bad-auth",
  );
  const tooLong = encodeAdvertisement({ ...V2, authPass: "123456789" }, V4);
  assertDecoded(tooLong, { ...V2, authPass: "12345678" });
});

test("encodeAdvertisement() keeps the interval within 1 to 4095 centiseconds and 1 to 255 seconds", () => {
  const interval = (version: 2 | 3, intervalMs: number) => {
    const decoded = decodeAdvertisement(
      encodeAdvertisement({ ...ADVERTISEMENT, version, intervalMs }, V4),
      V4,
    );
    return decoded.ok ? decoded.value.intervalMs : decoded.reason;
  };
  assert.equal(interval(3, 10), 10);
  assert.equal(interval(3, 4), 10);
  assert.equal(interval(3, 40_950), 40_950);
  assert.equal(interval(3, 60_000), 40_950);
  assert.equal(interval(2, 400), 1000);
  assert.equal(interval(2, 300_000), 255_000);
});

test("encodedLength(): 8 octets, the addresses, in version 2 another 8 (RFC 9568 §5.1, RFC 3768 §5.1)", () => {
  assert.equal(encodedLength(V2, "inet"), 24);
  assert.equal(encodedLength(ADVERTISEMENT, "inet"), 16);
  assert.equal(encodedLength(V3_V6, "inet6"), 40);
});

test("formatAdvertisement() reads like tcpdump, and never shows a password", () => {
  assert.equal(
    formatAdvertisement(ADVERTISEMENT, "10.0.0.1"),
    "10.0.0.1: VRRPv3, Advertisement, vrid 51, prio 150, intvl 10cs, length 16, addrs(2): 192.0.2.10,192.0.2.11",
  );
  assert.equal(
    formatAdvertisement({ ...V2, addresses: ["10.0.1.5"], authPass: "s3cret" }),
    "VRRPv2, Advertisement, vrid 51, prio 150, authtype simple, intvl 1s, length 20, addrs: 10.0.1.5",
  );
});

test("peekRouterId() finds the virtual router of any message", () => {
  assert.equal(peekRouterId(encodeAdvertisement(ADVERTISEMENT, V4)), 51);
  assert.equal(peekRouterId(new Uint8Array(1)), undefined);
});

test("compareAddresses() compares unsigned in network byte order, not as text (RFC 9568 §6.4.3)", () => {
  assert.ok(compareAddresses("10.0.0.9", "10.0.0.10") < 0);
  assert.ok(compareAddresses("200.0.0.1", "100.0.0.1") > 0);
  assert.equal(compareAddresses("10.0.0.1", "10.0.0.1"), 0);
  assert.ok(compareAddresses("fe80::a", "fe80::9") > 0);
  assert.ok(compareAddresses("fe80::ffff", "fe80::1:0") < 0);
  assert.equal(compareAddresses("fe80::1%eth0", "fe80::1"), 0);
});
