import assert from "node:assert/strict";
import { test } from "node:test";
import { exampleAddress, exampleRouter } from "./driver-fixtures.ts";
import { chooseSource, missingSource } from "./source-address.ts";

const isVirtual = (host: string): boolean => host === "192.0.2.10" || host === "fe80::10";

test("chooseSource() takes the first address of the family that is not virtual (RFC 9568 §5.1.1.1)", () => {
  const addresses = [exampleAddress("fe80::1"), exampleAddress("192.0.2.10"), exampleAddress("192.0.2.1")];
  assert.equal(chooseSource(exampleRouter(), addresses, isVirtual), "192.0.2.1");
  assert.equal(chooseSource(exampleRouter(), addresses.slice(0, 2), isVirtual), undefined);
});

test("chooseSource() lets the owner send from the address that it owns", () => {
  const addresses = [exampleAddress("192.0.2.10")];
  assert.equal(chooseSource(exampleRouter({ priority: 255 }), addresses, isVirtual), "192.0.2.10");
});

test("chooseSource() takes the link-local address for IPv6, a global one for unicast peers beyond the link", () => {
  const addresses = [
    exampleAddress("2001:db8::1"),
    exampleAddress("fe80::10", { scope: "link" }),
    exampleAddress("fe80::1", { scope: "link" }),
  ];
  const router = exampleRouter({ family: "inet6" });
  assert.equal(chooseSource(router, addresses, isVirtual), "fe80::1");
  assert.equal(chooseSource({ ...router, unicastPeers: ["fe80::2"] }, addresses, isVirtual), "fe80::1");
  assert.equal(
    chooseSource({ ...router, unicastPeers: ["2001:db8::2"] }, addresses, isVirtual),
    "2001:db8::1",
  );
});

test("chooseSource() does not use an address that is still tentative or a duplicate (RFC 4862 §5.4)", () => {
  const router = exampleRouter({ family: "inet6" });
  for (const doubt of [{ isTentative: true }, { isDuplicate: true }]) {
    assert.equal(
      chooseSource(router, [exampleAddress("fe80::1", { scope: "link", ...doubt })], isVirtual),
      undefined,
    );
  }
});

test("a configured source address must be there; missingSource() says what is missing", () => {
  const router = exampleRouter({ sourceAddress: "192.0.2.5" });
  assert.equal(
    chooseSource(router, [exampleAddress("192.0.2.1"), exampleAddress("192.0.2.5")], isVirtual),
    "192.0.2.5",
  );
  assert.equal(chooseSource(router, [exampleAddress("192.0.2.1")], isVirtual), undefined);
  assert.equal(missingSource(router), "interface eth0 does not have the source address 192.0.2.5");
  assert.equal(
    missingSource(exampleRouter({ family: "inet6" })),
    "interface eth0 has no link-local IPv6 address to send from",
  );
});
