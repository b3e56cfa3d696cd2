import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { decodeProxyHeader, encodeProxyHeader, PROXY_HEADER_FAULTS } from "./proxy-header.ts";

const port = fc.integer({ min: 0, max: 65_535 });
const ipv4 = fc.tuple(fc.ipV4(), port).map(([host, port]) => ({ family: "inet" as const, host, port }));
const ipv6 = fc
  .tuple(fc.array(fc.integer({ min: 0, max: 65_535 }), { minLength: 8, maxLength: 8 }), port)
  .map(([words, port]) => {
    const host = words.map((word, index) => (index === 0 ? 0x2001 : word).toString(16)).join(":");
    return { family: "inet6" as const, host, port };
  });
const endpoint = fc.oneof(ipv4, ipv6);
const version = fc.constantFrom("v1" as const, "v2" as const);
const header = fc
  .tuple(version, endpoint, endpoint)
  .map(([version, source, destination]) => encodeProxyHeader(version, source, destination));

test("decodeProxyHeader() reads back what encodeProxyHeader() wrote", () => {
  fc.assert(
    fc.property(version, endpoint, endpoint, (version, source, destination) => {
      const bytes = encodeProxyHeader(version, source, destination);
      const decoded = decodeProxyHeader(bytes);
      assert.equal(decoded.status, "complete");
      if (decoded.status !== "complete") return;
      assert.equal(decoded.length, bytes.length);
      assert.equal(decoded.header.source?.family, source.family);
      assert.equal(decoded.header.source?.port, source.port);
      assert.equal(decoded.header.destination?.port, destination.port);
      // The decoded spelling is the canonical one: writing it again changes nothing.
      const { source: from, destination: to } = decoded.header;
      const again = decodeProxyHeader(encodeProxyHeader(version, from!, to!));
      assert.deepEqual(again.status === "complete" && again.header, decoded.header);
      if (source.family === "inet") assert.equal(from!.host, source.host);
    }),
  );
});

test("decodeProxyHeader() gives the same answer wherever the bytes are split", () => {
  fc.assert(
    fc.property(header, fc.uint8Array({ maxLength: 20 }), (header, rest) => {
      const bytes = Uint8Array.of(...header, ...rest);
      for (let end = 0; end < header.length; end++) {
        assert.equal(decodeProxyHeader(bytes, 0, end).status, "incomplete", `first ${end} bytes`);
      }
      const whole = decodeProxyHeader(bytes);
      assert.equal(whole.status === "complete" && whole.length, header.length);
    }),
    { numRuns: 60 },
  );
});

test("decodeProxyHeader() never throws, and once malformed stays malformed, for damaged and random bytes", () => {
  const damaged = fc
    .tuple(header, fc.nat(), fc.integer({ min: 0, max: 255 }))
    .map(([bytes, at, octet]) => bytes.with(at % bytes.length, octet));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), damaged), (bytes) => {
      let isMalformed = false;
      for (let end = 0; end <= bytes.length; end++) {
        const decoded = decodeProxyHeader(bytes, 0, end);
        if (isMalformed) assert.equal(decoded.status, "malformed");
        if (decoded.status === "malformed") {
          isMalformed = true;
          assert.ok(Object.hasOwn(PROXY_HEADER_FAULTS, decoded.reason));
        } else if (decoded.status === "complete") assert.ok(decoded.length <= end);
      }
    }),
    { numRuns: 200 },
  );
});
