import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeArpProbe, encodeGratuitousReply, encodeGratuitousRequest } from "../arp/packet.ts";
import { encodeNeighbourProbe, encodeUnsolicitedAdvertisement } from "../ndp/packet.ts";
import { claimOfArpFrame, claimOfNeighbourFrame } from "./duplicate-watch.ts";

const HARDWARE = Uint8Array.of(2, 0, 0, 0, 0, 9);

test("claimOfArpFrame(): requests and replies claim the sender's pair, a probe claims nothing (RFC 5227 §2.1)", () => {
  for (const encode of [encodeGratuitousRequest, encodeGratuitousReply]) {
    assert.deepEqual(claimOfArpFrame(encode(HARDWARE, "192.0.2.10")), {
      host: "192.0.2.10",
      hardware: HARDWARE,
    });
  }
  assert.equal(claimOfArpFrame(encodeArpProbe(HARDWARE, "192.0.2.10")), undefined);
  assert.equal(claimOfArpFrame(new Uint8Array(10)), undefined);
});

test("claimOfNeighbourFrame(): an advertisement claims its target, a solicitation nothing (RFC 4862 §5.4)", () => {
  const claim = claimOfNeighbourFrame(encodeUnsolicitedAdvertisement(HARDWARE, "2001:db8::10"));
  assert.deepEqual(claim, { host: "2001:db8::10", hardware: HARDWARE });
  assert.equal(claimOfNeighbourFrame(encodeNeighbourProbe(HARDWARE, "2001:db8::10")), undefined);
});
