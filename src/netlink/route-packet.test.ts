import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeMessages, RequestBuilder } from "./message.ts";
import type { AddressToInstall, RouteEvent } from "./route.ts";
import {
  decodeRouteEvent,
  encodeCreateMacvlan,
  encodeGetAddresses,
  encodeGetLinks,
  encodeInstallAddress,
  encodeRemoveAddress,
  encodeSetLinkUp,
} from "./route-packet.ts";

const IPV4: AddressToInstall = {
  linkIndex: 3,
  family: "inet",
  host: "192.0.2.10",
  prefixLength: 24,
  validSeconds: 2,
};
const IPV6: AddressToInstall = { ...IPV4, family: "inet6", host: "2001:db8::a", validSeconds: undefined };

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const eventOf = (bytes: Uint8Array): RouteEvent | undefined => decodeRouteEvent(decodeMessages(bytes)[0]!);

test("encodeInstallAddress(): a lease in IFA_CACHEINFO, the owner in IFA_PROTO, create or replace", () => {
  assert.equal(
    hexOf(encodeInstallAddress(1, IPV4, 112)),
    "4400000014000505" +
      "0100000000000000" +
      "0218000003000000" +
      "08000200c000020a" +
      "08000100c000020a" +
      "1400060002000000020000000000000000000000" +
      "05000b0070000000",
  );
});

test("encodeInstallAddress(): IPv6 goes without duplicate address detection; no lifetime is for ever", () => {
  const text = hexOf(encodeInstallAddress(1, IPV6, undefined));
  assert.ok(text.includes("0800080002000000"), "IFA_FLAGS = IFA_F_NODAD");
  assert.ok(text.includes("14000600ffffffffffffffff"), "preferred and valid = infinity");
  assert.ok(!text.includes("05000b00"), "no IFA_PROTO");
});

test("an installed address is read back from the event the kernel makes of it", () => {
  for (const address of [IPV4, IPV6]) {
    const event = eventOf(encodeInstallAddress(1, address, 112));
    assert.ok(event?.kind === "address-added");
    assert.deepEqual(event.address, {
      ...address,
      scope: "global",
      protocol: 112,
      isTentative: false,
      isDuplicate: false,
    });
    assert.equal(eventOf(encodeRemoveAddress(1, address))?.kind, "address-removed");
  }
});

test("an address without IFA_LOCAL is IFA_ADDRESS (IPv6); flags say tentative and duplicate", () => {
  const host = Uint8Array.from([0xfe, 0x80, ...new Array(13).fill(0), 9]);
  const builder = new RequestBuilder(20, 0, 0).u8(10).u8(64).u8(0).u8(253).u32(4);
  const event = eventOf(builder.attribute(1, host).attributeU32(8, 0x48).finish());
  assert.ok(event?.kind === "address-added");
  assert.equal(event.address.host, "fe80::9");
  assert.equal(event.address.scope, "link");
  assert.ok(event.address.isTentative && event.address.isDuplicate);
});

/** RTM_NEWLINK with these device flags and operational state. */
function linkMessage(flags: number, state: number | undefined): Uint8Array {
  const builder = new RequestBuilder(16, 0, 0).u8(0).u8(0).u16(1).u32(5).u32(flags).u32(0);
  builder
    .attributeText(3, "lan0")
    .attribute(1, Uint8Array.of(2, 0, 0, 0, 0, 1))
    .attributeU32(4, 1400);
  if (state !== undefined) builder.attributeU8(16, state);
  return builder.finish();
}

test("a link is up when it is administratively, physically and operationally so (RFC 2863 ifOperStatus)", () => {
  const isUp = (flags: number, state?: number): boolean => {
    const event = eventOf(linkMessage(flags, state));
    assert.ok(event?.kind === "link-changed");
    return event.link.isUp;
  };
  assert.ok(isUp(0x10001, 6));
  assert.ok(isUp(0x10001, 0), "drivers that do not say: unknown");
  assert.ok(isUp(0x10001));
  assert.ok(!isUp(0x00001, 6), "no carrier");
  assert.ok(!isUp(0x10000, 6), "administratively down");
  for (const state of [1, 2, 3, 4, 5]) assert.ok(!isUp(0x10001, state));
});

test("a link's facts are copied: the receive buffer is used again", () => {
  const bytes = Buffer.from(linkMessage(0x10081, 6));
  const event = eventOf(bytes);
  bytes.fill(0xee);
  assert.ok(event?.kind === "link-changed");
  assert.deepEqual(event.link, {
    index: 5,
    name: "lan0",
    hardwareAddress: Uint8Array.of(2, 0, 0, 0, 0, 1),
    isUp: true,
    isNoArp: true,
    mtu: 1400,
    kind: "",
    parentIndex: undefined,
  });
});

test("encodeCreateMacvlan() is read back as a link of that kind", () => {
  const event = eventOf(encodeCreateMacvlan(1, "vrrp4.51", 3, Uint8Array.of(0, 0, 0x5e, 0, 1, 51)));
  assert.ok(event?.kind === "link-changed");
  assert.equal(event.link.name, "vrrp4.51");
  assert.equal(event.link.kind, "macvlan");
  assert.equal(event.link.parentIndex, 3);
  assert.deepEqual(event.link.hardwareAddress, Uint8Array.of(0, 0, 0x5e, 0, 1, 51));
});

test("encodeSetLinkUp() changes IFF_UP alone", () => {
  assert.equal(hexOf(encodeSetLinkUp(1, 3, true)).slice(32), "00000000030000000100000001000000");
  assert.equal(hexOf(encodeSetLinkUp(1, 3, false)).slice(32), "00000000030000000000000001000000");
});

test("bridge port messages (AF_BRIDGE) are no news of the link itself", () => {
  const bytes = linkMessage(0x10001, 6);
  bytes[16] = 7;
  assert.equal(eventOf(bytes), undefined);
});

test("no bytes make the decoder throw", () => {
  const samples = [
    linkMessage(0x10001, 6),
    encodeInstallAddress(1, IPV4, 112),
    encodeInstallAddress(1, IPV6, 112),
    encodeCreateMacvlan(1, "vrrp4.51", 3, new Uint8Array(6)),
    encodeGetLinks(1),
    encodeGetAddresses(1),
  ];
  const changes = fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 8 });
  fc.assert(
    fc.property(fc.constantFrom(...samples), changes, fc.nat(120), (sample, bytes, length) => {
      const damaged = Uint8Array.from(sample);
      for (const [offset, value] of bytes) if (offset < damaged.length) damaged[offset] = value;
      for (const message of decodeMessages(damaged)) {
        decodeRouteEvent(message);
        decodeRouteEvent({ ...message, payload: message.payload.subarray(0, length) });
      }
    }),
    { numRuns: 500 },
  );
});
