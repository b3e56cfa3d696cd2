import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeNeighbourFrame, encodeNeighbourProbe, encodeUnsolicitedAdvertisement } from "./packet.ts";

const VIRTUAL_MAC = Uint8Array.of(0, 0, 0x5e, 0, 2, 0x33);
const hexOf = (frame: Uint8Array): string => Buffer.from(frame).toString("hex");

/** Bytes as scapy 2.5 writes them. */
const SOLICITATION_WITH_OPTION =
  "3333ff12345600005e00023386dd6000000000203afffe800000000000000000000000000001ff0200000000000000000001ff123456870084600000000020010db8000000000000000000123456010100005e000233";

test("encodeUnsolicitedAdvertisement(): to all nodes, Override set (RFC 4861 §7.2.6, RFC 9568 §6.4.1)", () => {
  assert.equal(
    hexOf(encodeUnsolicitedAdvertisement(VIRTUAL_MAC, "2001:db8::5")),
    "33330000000100005e00023386dd6000000000203aff20010db8000000000000000000000005ff02000000000000000000000000000188009af02000000020010db8000000000000000000000005020100005e000233",
  );
  assert.equal(
    hexOf(encodeUnsolicitedAdvertisement(VIRTUAL_MAC, "fe80::5", true)),
    "33330000000100005e00023386dd6000000000203afffe800000000000000000000000000005ff02000000000000000000000000000188007960a0000000fe800000000000000000000000000005020100005e000233",
  );
});

test("encodeNeighbourProbe(): from nobody to the solicited-node group, without an option (RFC 4862 §5.4.2)", () => {
  assert.equal(
    hexOf(encodeNeighbourProbe(VIRTUAL_MAC, "2001:db8::12:3456")),
    "3333ff12345600005e00023386dd6000000000183aff00000000000000000000000000000000ff0200000000000000000001ff1234568700e41e0000000020010db8000000000000000000123456",
  );
});

test("decodeNeighbourFrame() reads solicitations and advertisements", () => {
  const solicitation = decodeNeighbourFrame(Buffer.from(SOLICITATION_WITH_OPTION, "hex"));
  assert.ok(solicitation.ok);
  assert.equal(solicitation.value.kind, "solicitation");
  assert.equal(solicitation.value.source, "fe80::1");
  assert.equal(solicitation.value.destination, "ff02::1:ff12:3456");
  assert.equal(solicitation.value.target, "2001:db8::12:3456");
  assert.deepEqual(solicitation.value.linkLayerAddress, VIRTUAL_MAC);
  const frame = Buffer.from(encodeUnsolicitedAdvertisement(VIRTUAL_MAC, "fe80::5", true));
  const advertisement = decodeNeighbourFrame(frame);
  frame.fill(0);
  assert.ok(advertisement.ok);
  assert.deepEqual(advertisement.value, {
    kind: "advertisement",
    source: "fe80::5",
    destination: "ff02::1",
    target: "fe80::5",
    sourceHardware: VIRTUAL_MAC,
    linkLayerAddress: VIRTUAL_MAC,
    isRouter: true,
    isSolicited: false,
    isOverride: true,
  });
});

test("decodeNeighbourFrame() checks what RFC 4861 §7.1 demands", () => {
  const reasonAfter = (offset: number, value: number): string => {
    const frame = encodeUnsolicitedAdvertisement(VIRTUAL_MAC, "fe80::5");
    frame[offset] = value;
    const decoded = decodeNeighbourFrame(frame);
    return decoded.ok ? "accepted" : decoded.reason;
  };
  assert.equal(reasonAfter(21, 254), "bad-hop-limit");
  assert.equal(reasonAfter(80, 9), "bad-checksum");
  assert.equal(reasonAfter(54, 128), "not-neighbour-discovery");
  assert.equal(reasonAfter(20, 17), "not-neighbour-discovery");
  assert.equal(reasonAfter(19, 200), "truncated");
  assert.equal(reasonAfter(19, 8), "truncated");
  assert.deepEqual(decodeNeighbourFrame(new Uint8Array(77)), { ok: false, reason: "truncated" });
});

test("decodeNeighbourFrame() refuses an option of length zero (RFC 4861 §4.6)", () => {
  const frame = encodeUnsolicitedAdvertisement(VIRTUAL_MAC, "fe80::5");
  frame[79] = 0;
  // The checksum that makes up for the changed byte, so that the option is reached.
  const view = new DataView(frame.buffer);
  view.setUint16(56, view.getUint16(56) + 1);
  assert.deepEqual(decodeNeighbourFrame(frame), { ok: false, reason: "bad-option" });
});

test("decodeNeighbourFrame() never throws", () => {
  const frames = [
    encodeUnsolicitedAdvertisement(VIRTUAL_MAC, "fe80::5"),
    encodeNeighbourProbe(VIRTUAL_MAC, "fe80::5"),
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...frames),
      fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { maxLength: 4 }),
      fc.nat(100),
      (frame, changes, length) => {
        const damaged = Uint8Array.from(frame).subarray(0, length);
        for (const [offset, value] of changes) if (offset < damaged.length) damaged[offset] = value;
        decodeNeighbourFrame(damaged);
      },
    ),
  );
});
