/** Properties of the value parsers: what is formatted is read back, and no input throws. */

import assert from "node:assert/strict";
import { isIP } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { formatSoKeepalive, parseSoKeepalive } from "../tcp/so-keepalive.ts";
import { canonicalIpAddress, parseBindAddress, parseCidr, parseServerAddress } from "./address.ts";
import { formatDuration, parseDurationMs } from "./duration.ts";
import { formatSize, parseSizeBytes } from "./size.ts";

const noise = fc.oneof(
  fc.string(),
  fc.string({ unit: fc.constantFrom(..."0123456789:.[]/-smhdkgM unix*") }),
  fc.anything(),
);

test("value parsers never throw, whatever stands in the file", () => {
  fc.assert(
    fc.property(noise, (input) => {
      for (const parse of [parseDurationMs, parseSizeBytes, parseBindAddress, parseServerAddress, parseCidr])
        parse(input);
      if (typeof input === "string") parseSoKeepalive(input);
    }),
  );
});

test("formatDuration() and formatSize() are read back as the same value", () => {
  fc.assert(
    fc.property(fc.nat(2_073_600_000), fc.maxSafeNat(), (ms, bytes) => {
      assert.deepEqual(parseDurationMs(formatDuration(ms)), { ok: true, value: ms });
      assert.deepEqual(parseSizeBytes(formatSize(bytes), { minBytes: 0, maxBytes: 2 ** 53 }), {
        ok: true,
        value: bytes,
      });
    }),
  );
});

test("formatSoKeepalive() is read back as the same value", () => {
  const part = (max: number) => fc.option(fc.integer({ min: 1, max }), { nil: undefined });
  fc.assert(
    fc.property(part(32_767), part(32_767), part(127), (idleSeconds, intervalSeconds, probeCount) => {
      const keepalive = { enabled: true, idleSeconds, intervalSeconds, probeCount };
      assert.deepEqual(parseSoKeepalive(formatSoKeepalive(keepalive)), { ok: true, value: keepalive });
    }),
  );
});

test("canonicalIpAddress() accepts what node:net accepts, zone identifiers excepted, and is idempotent", () => {
  const text = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string({ unit: fc.constantFrom(..."0123456789abf:.") }));
  fc.assert(
    fc.property(text, (address) => {
      const canonical = canonicalIpAddress(address);
      assert.equal(canonical !== undefined, isIP(address) !== 0, address);
      if (canonical !== undefined) assert.equal(canonicalIpAddress(canonical), canonical);
    }),
  );
});

test("parseDurationMs() refuses a map with a key `toString`, as YAML can make it", () => {
  assert.equal(parseDurationMs({ toString: [] }).ok, false);
});
