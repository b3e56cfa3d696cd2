/** The codec under random input; the seed of a failure is printed by fast-check. */
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { canonicalIpAddress } from "../config/address.ts";
import {
  type Advertisement,
  decodeAdvertisement,
  encodeAdvertisement,
  type PacketContext,
} from "./packet.ts";

const ipv4 = fc.ipV4();
const ipv6 = fc.ipV6().map((text) => canonicalIpAddress(text)!);

function contextOf(source: string, destination: string): PacketContext {
  const family = source.includes(":") ? "inet6" : "inet";
  return { family, source, destination, hopLimit: 255, isUnicast: false };
}

const contextV4 = fc.tuple(ipv4, ipv4).map(([source, destination]) => contextOf(source, destination));
const contextV6 = fc.tuple(ipv6, ipv6).map(([source, destination]) => contextOf(source, destination));
const common = { routerId: fc.integer({ min: 1, max: 255 }), priority: fc.integer({ min: 0, max: 255 }) };
const centiseconds = fc.integer({ min: 1, max: 4095 }).map((count) => count * 10);
const authPass = fc.option(
  fc.string({
    maxLength: 8,
    unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)),
  }),
  { nil: undefined },
);

const messageV2 = fc.record<Advertisement>(
  {
    ...common,
    version: fc.constant(2),
    intervalMs: fc.integer({ min: 1, max: 255 }).map((count) => count * 1000),
    addresses: fc.array(ipv4, { minLength: 1, maxLength: 255 }),
    authPass,
    checksum: fc.constant("message"),
  },
  { noNullPrototype: true },
);
const messageV3 = fc.record<Advertisement>(
  {
    ...common,
    version: fc.constant(3),
    intervalMs: centiseconds,
    addresses: fc.array(ipv4, { minLength: 1, maxLength: 255 }),
    authPass: fc.constant(undefined),
    checksum: fc.constantFrom("message", "pseudo-header"),
  },
  { noNullPrototype: true },
);
const messageV6 = fc.record<Advertisement>(
  {
    ...common,
    version: fc.constant(3),
    intervalMs: centiseconds,
    addresses: fc.array(ipv6, { minLength: 1, maxLength: 60 }),
    authPass: fc.constant(undefined),
    checksum: fc.constant("pseudo-header"),
  },
  { noNullPrototype: true },
);

test("decodeAdvertisement() never throws, whatever arrives", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.oneof(contextV4, contextV6), (bytes, context) => {
      decodeAdvertisement(bytes, context);
      // Most random octets fail at the first check: let some come further.
      bytes.set([context.family === "inet6" ? 0x31 : 0x21].slice(0, bytes.length));
      decodeAdvertisement(bytes, context);
    }),
    { numRuns: 3000 },
  );
});

for (const [name, message, context] of [
  ["version 2", messageV2, contextV4],
  ["version 3, IPv4", messageV3, contextV4],
  ["version 3, IPv6", messageV6, contextV6],
] as const) {
  test(`decodeAdvertisement() of encodeAdvertisement() is the same again: ${name}`, () => {
    fc.assert(
      fc.property(message, context, (advertisement, path) => {
        const decoded = decodeAdvertisement(encodeAdvertisement(advertisement, path), path);
        assert.deepEqual(decoded, { ok: true, value: advertisement });
      }),
    );
  });
}

test("every single flipped bit of a message over IPv6 is noticed", () => {
  fc.assert(
    fc.property(messageV6, contextV6, (advertisement, path) => {
      const bytes = encodeAdvertisement(advertisement, path);
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        const flipped = Uint8Array.from(bytes);
        flipped[bit >> 3] = flipped[bit >> 3]! ^ (0x80 >> (bit & 7));
        assert.equal(decodeAdvertisement(flipped, path).ok, false, `bit ${bit}`);
      }
    }),
    { numRuns: 20 },
  );
});
