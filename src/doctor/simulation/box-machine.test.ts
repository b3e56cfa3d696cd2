import assert from "node:assert/strict";
import test from "node:test";
import { box } from "../field-cases-fixtures.ts";
import { BoxMachine } from "./box-machine.ts";
import type { Packet } from "./packet.ts";

const PAYLOAD: Packet = { kind: "payload", content: "request" };
const PROBE: Packet = { kind: "probe" };
const ACKNOWLEDGEMENT: Packet = { kind: "acknowledgement" };
const FIN: Packet = { kind: "fin" };
const RESET: Packet = { kind: "reset" };

test("a box is refreshed by any packet, a kernel probe too", () => {
  const nat = new BoxMachine(box("nat", 350), 1, 0);
  assert.equal(nat.nextTimeout(), 350_000);
  assert.equal(nat.handlePacket(300_000, PROBE, "client"), "forward");
  assert.equal(nat.nextTimeout(), 650_000);
});

test("a half-closed connection has a time-out of its own (IPVS: 60 s in CLOSE_WAIT), where none is named that of established", () => {
  const lvs = new BoxMachine(box("lvs", 900, { halfClosed: 60 }), 1, 0);
  lvs.handlePacket(1000, FIN, "client");
  assert.equal(lvs.nextTimeout(), 61_000);
  const nat = new BoxMachine(box("nat", 900), 1, 0);
  nat.handlePacket(1000, FIN, "client");
  assert.equal(nat.nextTimeout(), 901_000);
});

test("after both FINs, or a RST, there is nothing left to forget", () => {
  const closed = new BoxMachine(box("nat", 350), 1, 0);
  closed.handlePacket(0, FIN, "client");
  closed.handlePacket(0, FIN, "server");
  assert.equal(closed.nextTimeout(), undefined);
  const reset = new BoxMachine(box("nat", 350), 1, 0);
  reset.handlePacket(0, RESET, "server");
  assert.equal(reset.nextTimeout(), undefined);
});

test("unanswered data shortens the memory (conntrack: 300 s), an answer restores it, and it never lengthens it", () => {
  const conntrack = new BoxMachine(box("conntrack", 432_000, { unanswered: 300 }), 1, 0);
  conntrack.handlePacket(0, PAYLOAD, "client");
  assert.equal(conntrack.nextTimeout(), 300_000);
  conntrack.handlePacket(1000, ACKNOWLEDGEMENT, "server");
  assert.equal(conntrack.nextTimeout(), 432_001_000);
  const short = new BoxMachine(box("nat", 60, { unanswered: 300 }), 1, 0);
  short.handlePacket(0, PAYLOAD, "client");
  assert.equal(short.nextTimeout(), 60_000);
});

test("what a forgotten connection's packet meets depends on its direction", () => {
  const nat = new BoxMachine(box("aws-nat-gateway", 350, { fromClient: "reset", fromServer: "drop" }), 1, 0);
  nat.handleTimeout();
  assert.equal(nat.handlePacket(400_000, PAYLOAD, "server"), "drop");
  assert.equal(nat.handlePacket(400_000, PAYLOAD, "client"), "reset");
  assert.equal(nat.isDeadEnd, true);
});

test("a reset is never answered with a reset (RFC 9293 §3.10.7.1)", () => {
  const lvs = new BoxMachine(box("lvs", 350, { fromClient: "reset", fromServer: "reset" }), 1, 0);
  lvs.handleTimeout();
  assert.equal(lvs.handlePacket(0, RESET, "client"), "drop");
});

test("adopting makes an entry for both directions, from the inside only where the box is told so", () => {
  const vpc = new BoxMachine(box("gcp-vpc", 600, { fromClient: "adopt", fromServer: "drop" }), 1, 0);
  vpc.handleTimeout();
  assert.equal(vpc.isDeadEnd, false);
  assert.equal(vpc.handlePacket(700_000, PAYLOAD, "server"), "drop");
  assert.equal(vpc.handlePacket(700_000, PAYLOAD, "client"), "adopt");
  assert.equal(vpc.handlePacket(700_000, ACKNOWLEDGEMENT, "server"), "forward");
  assert.equal(vpc.nextTimeout(), 1_300_000);
});

test("a reset is let through by a box that adopts, and makes no entry", () => {
  const conntrack = new BoxMachine(box("conntrack", 300, { fromClient: "adopt" }), 1, 0);
  conntrack.handleTimeout();
  assert.equal(conntrack.handlePacket(400_000, RESET, "client"), "adopt");
  assert.equal(conntrack.isForgotten, true);
});
