/** Advertisements whose octets others wrote down: golden.jsonl, one a line, with where they come from. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import {
  type AddressFamily,
  type Advertisement,
  decodeAdvertisement,
  encodeAdvertisement,
} from "../../../src/vrrp/packet.ts";
import { projectRoot } from "../../harness/paths.ts";

interface GoldenVector {
  readonly name: string;
  readonly family: AddressFamily;
  readonly source: string;
  readonly destination: string;
  readonly bytes: string;
  readonly advertisement: Omit<Advertisement, "authPass">;
  readonly origin: string;
}

const FILE = path.join(projectRoot, "test/conformance/vrrp/golden.jsonl");
const vectors = readFileSync(FILE, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as GoldenVector);

for (const { name, bytes, advertisement, origin, ...rest } of vectors) {
  const context = { ...rest, hopLimit: 255, isUnicast: false };
  const value: Advertisement = { ...advertisement, authPass: undefined };

  test(`${name}: decodes as ${origin} have it`, () => {
    assert.deepEqual(decodeAdvertisement(Buffer.from(bytes, "hex"), context), { ok: true, value });
  });

  test(`${name}: is encoded as ${origin} have it`, () => {
    assert.equal(Buffer.from(encodeAdvertisement(value, context)).toString("hex"), bytes);
  });
}

test("keepalived's HMAC trailer (draft-cassen-vrrp-auth-hmac) is passed over: the checksum over IPv4 does not cover it", () => {
  const bytes = Buffer.from(
    "3133c80100644402c0000264010100006800000080000000" + "1b84bc4e8e43892dc6d98448f8ee2265",
    "hex",
  );
  const decoded = decodeAdvertisement(bytes, {
    family: "inet",
    source: "198.51.100.10",
    destination: "224.0.0.18",
    hopLimit: 255,
    isUnicast: false,
  });
  assert.ok(decoded.ok);
  assert.deepEqual([decoded.value.priority, decoded.value.addresses], [200, ["192.0.2.100"]]);
});

test("keepalived's HMAC trailer is passed over: the checksum over IPv6 covers it", () => {
  const bytes = Buffer.from(
    "3133c8010064a2e9fe800000000000000000000000000100" +
      "010100006800000080000000c8c56146ebfd66ee10ec4d8186461b78",
    "hex",
  );
  const decoded = decodeAdvertisement(bytes, {
    family: "inet6",
    source: "fe80::10",
    destination: "fe80::20",
    hopLimit: 255,
    isUnicast: true,
  });
  assert.ok(decoded.ok);
  assert.deepEqual(decoded.value.addresses, ["fe80::100"]);
});
