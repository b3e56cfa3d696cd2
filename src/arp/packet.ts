/**
 * ARP over Ethernet with IPv4 (RFC 826), as whole Ethernet frames: announcements of an address (RFC 5227 §3, "gratuitous ARP"),
 * probes for a duplicate (RFC 5227 §2.1.1), and what others send. Pure.
 *
 *   0      6      12     14 15 16 18 19 20   22        28        32        38        42
 *   +------+------+------+-----+-----+--+--+----+---------+---------+---------+---------+
 *   | dst  | src  | 0806 | hrd | pro |6 |4 | op | sender hw | sender ip | target hw | target ip |
 */
import { encodeIp, formatIpv4At } from "../ip/address.ts";

export const ETHERTYPE_ARP = 0x0806;
export const ARP_FRAME_LENGTH = 42;

const ETHERTYPE = 12;
const HARDWARE_TYPE = 14;
const PROTOCOL_TYPE = 16;
const HARDWARE_LENGTH = 18;
const PROTOCOL_LENGTH = 19;
const OPERATION = 20;
const SENDER_HARDWARE = 22;
const SENDER_ADDRESS = 28;
const TARGET_HARDWARE = 32;
const TARGET_ADDRESS = 38;

const HARDWARE_TYPE_ETHERNET = 1;
const PROTOCOL_TYPE_IPV4 = 0x0800;
const REQUEST = 1;
const REPLY = 2;
const BROADCAST = Uint8Array.of(255, 255, 255, 255, 255, 255);
const NO_HARDWARE = new Uint8Array(6);

export interface ArpPacket {
  readonly operation: "request" | "reply";
  /** Six bytes. */
  readonly senderHardware: Uint8Array;
  /** Text; "0.0.0.0" in a probe. */
  readonly senderAddress: string;
  readonly targetHardware: Uint8Array;
  readonly targetAddress: string;
}

export type DecodedArp =
  | { readonly ok: true; readonly value: ArpPacket }
  | { readonly ok: false; readonly reason: "truncated" | "not-arp" | "not-ethernet-ipv4" | "bad-operation" };

/** The whole Ethernet frame, 42 bytes; the driver pads it to the minimum of the medium. */
export function encodeArpFrame(destinationHardware: Uint8Array, packet: ArpPacket): Uint8Array {
  const frame = new Uint8Array(ARP_FRAME_LENGTH);
  const view = new DataView(frame.buffer);
  frame.set(destinationHardware, 0);
  frame.set(packet.senderHardware, 6);
  view.setUint16(ETHERTYPE, ETHERTYPE_ARP);
  view.setUint16(HARDWARE_TYPE, HARDWARE_TYPE_ETHERNET);
  view.setUint16(PROTOCOL_TYPE, PROTOCOL_TYPE_IPV4);
  frame[HARDWARE_LENGTH] = 6;
  frame[PROTOCOL_LENGTH] = 4;
  view.setUint16(OPERATION, packet.operation === "request" ? REQUEST : REPLY);
  frame.set(packet.senderHardware, SENDER_HARDWARE);
  frame.set(encodeIp(packet.senderAddress), SENDER_ADDRESS);
  frame.set(packet.targetHardware, TARGET_HARDWARE);
  frame.set(encodeIp(packet.targetAddress), TARGET_ADDRESS);
  return frame;
}

/**
 * The gratuitous ARP of RFC 9568 §6.4.1, in the request form, which RFC 5227 §3 recommends: stacks exist that ignore an
 * unsolicited reply. Target hardware address as keepalived sends it; receivers ignore it in a request.
 */
export function encodeGratuitousRequest(hardware: Uint8Array, host: string): Uint8Array {
  return encodeArpFrame(BROADCAST, {
    operation: "request",
    senderHardware: hardware,
    senderAddress: host,
    targetHardware: BROADCAST,
    targetAddress: host,
  });
}

/** The reply form (RFC 5944 §4.6), for neighbours that learn from replies only. */
export function encodeGratuitousReply(hardware: Uint8Array, host: string): Uint8Array {
  return encodeArpFrame(BROADCAST, {
    operation: "reply",
    senderHardware: hardware,
    senderAddress: host,
    targetHardware: hardware,
    targetAddress: host,
  });
}

/** "Does anybody use this address?", without polluting a cache: the sender address is zero (RFC 5227 §2.1.1). */
export function encodeArpProbe(hardware: Uint8Array, host: string): Uint8Array {
  return encodeArpFrame(BROADCAST, {
    operation: "request",
    senderHardware: hardware,
    senderAddress: "0.0.0.0",
    targetHardware: NO_HARDWARE,
    targetAddress: host,
  });
}

/** Reads a received Ethernet frame; padding behind the packet is ignored. */
export function decodeArpFrame(frame: Uint8Array): DecodedArp {
  if (frame.length < ARP_FRAME_LENGTH) return { ok: false, reason: "truncated" };
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  if (view.getUint16(ETHERTYPE) !== ETHERTYPE_ARP) return { ok: false, reason: "not-arp" };
  const isEthernet = view.getUint16(HARDWARE_TYPE) === HARDWARE_TYPE_ETHERNET && frame[HARDWARE_LENGTH] === 6;
  const isIpv4 = view.getUint16(PROTOCOL_TYPE) === PROTOCOL_TYPE_IPV4 && frame[PROTOCOL_LENGTH] === 4;
  if (!isEthernet || !isIpv4) return { ok: false, reason: "not-ethernet-ipv4" };
  const operation = view.getUint16(OPERATION);
  if (operation !== REQUEST && operation !== REPLY) return { ok: false, reason: "bad-operation" };
  return {
    ok: true,
    value: {
      operation: operation === REQUEST ? "request" : "reply",
      senderHardware: copyOf(frame, SENDER_HARDWARE),
      senderAddress: formatIpv4At(frame, SENDER_ADDRESS),
      targetHardware: copyOf(frame, TARGET_HARDWARE),
      targetAddress: formatIpv4At(frame, TARGET_ADDRESS),
    },
  };
}

/** "00:00:5e:00:01:33" */
export function formatHardwareAddress(hardware: Uint8Array): string {
  return Array.from(hardware, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** Buffer.prototype.slice() would be a view of memory that the next frame overwrites. */
function copyOf(frame: Uint8Array, start: number): Uint8Array {
  return new Uint8Array(frame.subarray(start, start + 6));
}
