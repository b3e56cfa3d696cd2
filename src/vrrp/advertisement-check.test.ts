/** What a peer says against what is configured here. */
import assert from "node:assert/strict";
import test from "node:test";
import { advertisementMismatches, type ExpectedAdvertisement } from "./advertisement-check.ts";
import type { Advertisement } from "./packet.ts";

const RECEIVED: Advertisement = {
  version: 3,
  routerId: 51,
  priority: 100,
  intervalMs: 1000,
  addresses: ["192.0.2.10", "192.0.2.11"],
  authPass: undefined,
  checksum: "message",
};
const EXPECTED: ExpectedAdvertisement = {
  version: 3,
  advertIntervalMs: 1000,
  authPass: undefined,
  addresses: ["192.0.2.11", "192.0.2.10"],
};

function reasons(expected: ExpectedAdvertisement, received: Advertisement): string[] {
  return advertisementMismatches(expected, received).map(
    ({ reason, isFatal }) => `${reason}${isFatal ? " (fatal)" : ""}`,
  );
}

test("advertisementMismatches() has nothing to say about a peer that agrees; the order of addresses does not count", () => {
  assert.deepEqual(reasons(EXPECTED, RECEIVED), []);
});

test("another interval is fatal in version 2 (RFC 3768 §7.1), a warning in version 3 (RFC 9568 §7.1)", () => {
  const [v3] = advertisementMismatches({ ...EXPECTED, advertIntervalMs: 100 }, RECEIVED);
  assert.equal(v3?.isFatal, false);
  assert.match(v3!.detail, /every 1000 ms.*every 100 ms/);
  const expected = { ...EXPECTED, version: 2 as const, advertIntervalMs: 2000 };
  assert.deepEqual(reasons(expected, { ...RECEIVED, version: 2 }), ["interval-mismatch (fatal)"]);
});

test("other addresses are a warning that names them (RFC 9568 §7.1)", () => {
  const [mismatch] = advertisementMismatches(
    { ...EXPECTED, addresses: ["192.0.2.10", "192.0.2.12"] },
    RECEIVED,
  );
  assert.deepEqual([mismatch?.reason, mismatch?.isFatal], ["address-list-mismatch", false]);
  assert.equal(mismatch!.detail, "it has 192.0.2.11, which is not set here; it lacks 192.0.2.12");
});

test("no address in common: the warning says that the id may be taken on this segment", () => {
  const [mismatch] = advertisementMismatches({ ...EXPECTED, addresses: ["198.51.100.1"] }, RECEIVED);
  assert.match(mismatch!.detail, /no address in common: other routers .* this id, then choose another `id`/);
});

test("the other version is fatal", () => {
  assert.deepEqual(reasons({ ...EXPECTED, version: 2 }, RECEIVED), ["version-mismatch (fatal)"]);
});

test("a password that differs, is missing or not expected is fatal in version 2, and is never shown", () => {
  const expected = { ...EXPECTED, version: 2 as const };
  const received = { ...RECEIVED, version: 2 as const };
  const cases = [
    [
      { ...expected, authPass: "right" },
      { ...received, authPass: "wrong" },
    ],
    [{ ...expected, authPass: "right" }, received],
    [expected, { ...received, authPass: "wrong" }],
  ] as const;
  for (const [wanted, seen] of cases) {
    const [mismatch] = advertisementMismatches(wanted, seen);
    assert.deepEqual([mismatch?.reason, mismatch?.isFatal], ["auth-mismatch", true]);
    assert.doesNotMatch(mismatch!.detail, /right|wrong/);
  }
  assert.deepEqual(reasons({ ...expected, authPass: "right" }, { ...received, authPass: "right" }), []);
  // keepalived takes the first eight characters, too.
  assert.deepEqual(
    reasons({ ...expected, authPass: "123456789" }, { ...received, authPass: "12345678" }),
    [],
  );
});

test("the other kind of checksum is a warning that names the setting", () => {
  const [mismatch] = advertisementMismatches(
    { ...EXPECTED, checksum: "message" },
    { ...RECEIVED, checksum: "pseudo-header" },
  );
  assert.deepEqual([mismatch?.reason, mismatch?.isFatal], ["checksum-mismatch", false]);
  assert.match(mismatch!.detail, /checksum: pseudo-header/);
});

test("two owners are a warning, not a reason to discard (RFC 9568 erratum 8298)", () => {
  assert.deepEqual(reasons({ ...EXPECTED, priority: 255 }, { ...RECEIVED, priority: 255 }), [
    "owner-conflict",
  ]);
});
