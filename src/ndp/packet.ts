/**
 * Neighbour discovery (RFC 4861) as whole Ethernet frames: unsolicited neighbour advertisements (§7.2.6), which say where an
 * address lives now, probes for a duplicate (RFC 4862 §5.4.2), and what others send. Pure.
 *
 *   0     14          54   55   56     58    62       78
 *   +-----+-----------+----+----+------+-----+--------+---------+
 *   | eth | IPv6 (40) |type|code| csum |flags| target | options |
 */
import { encodeIp, formatIpv6At, solicitedNodeAddress } from "../ip/address.ts";
import { internetChecksum, pseudoHeaderSum } from "../ip/checksum.ts";

export const ETHERTYPE_IPV6 = 0x86dd;

const ETHERTYPE = 12;
const IPV6 = 14;
const PAYLOAD_LENGTH = IPV6 + 4;
const NEXT_HEADER = IPV6 + 6;
const HOP_LIMIT = IPV6 + 7;
const SOURCE = IPV6 + 8;
const DESTINATION = IPV6 + 24;
const ICMPV6 = IPV6 + 40;
const CHECKSUM = ICMPV6 + 2;
const FLAGS = ICMPV6 + 4;
const TARGET = ICMPV6 + 8;
const OPTIONS = ICMPV6 + 24;

const PROTOCOL_ICMPV6 = 58;
const NEIGHBOUR_SOLICITATION = 135;
const NEIGHBOUR_ADVERTISEMENT = 136;
const SOURCE_LINK_LAYER_ADDRESS = 1;
const TARGET_LINK_LAYER_ADDRESS = 2;
const FLAG_ROUTER = 0x80;
const FLAG_SOLICITED = 0x40;
const FLAG_OVERRIDE = 0x20;
const ALL_NODES = encodeIp("ff02::1");
const UNSPECIFIED = new Uint8Array(16);

export interface NeighbourMessage {
  readonly kind: "solicitation" | "advertisement";
  /** Of the IPv6 header; "::" in a probe. */
  readonly source: string;
  readonly destination: string;
  /** The address it is about. */
  readonly target: string;
  /** From the Ethernet header. */
  readonly sourceHardware: Uint8Array;
  /** Of the source or target link-layer address option; undefined where there is none. */
  readonly linkLayerAddress: Uint8Array | undefined;
  readonly isRouter: boolean;
  readonly isSolicited: boolean;
  readonly isOverride: boolean;
}

export type DecodedNeighbourMessage =
  | { readonly ok: true; readonly value: NeighbourMessage }
  | {
      readonly ok: false;
      readonly reason:
        | "truncated"
        | "not-neighbour-discovery"
        | "bad-hop-limit"
        | "bad-checksum"
        | "bad-option";
    };

/** RFC 9568 §6.4.1: to all nodes, Override set, Solicited clear; the source is the address itself, as keepalived sends it. */
export function encodeUnsolicitedAdvertisement(
  hardware: Uint8Array,
  host: string,
  isRouter = false,
): Uint8Array {
  const target = encodeIp(host);
  const body = new Uint8Array(32);
  body[0] = NEIGHBOUR_ADVERTISEMENT;
  body[4] = FLAG_OVERRIDE | (isRouter ? FLAG_ROUTER : 0);
  body.set(target, 8);
  body[24] = TARGET_LINK_LAYER_ADDRESS;
  body[25] = 1; // in units of eight bytes
  body.set(hardware, 26);
  return encodeFrame(hardware, target, ALL_NODES, body);
}

/** "Does anybody use this address?": from the unspecified address, without an option (RFC 4862 §5.4.2). */
export function encodeNeighbourProbe(hardware: Uint8Array, host: string): Uint8Array {
  const target = encodeIp(host);
  const body = new Uint8Array(24);
  body[0] = NEIGHBOUR_SOLICITATION;
  body.set(target, 8);
  return encodeFrame(hardware, UNSPECIFIED, solicitedNodeAddress(target), body);
}

function encodeFrame(
  hardware: Uint8Array,
  source: Uint8Array,
  destination: Uint8Array,
  body: Uint8Array,
): Uint8Array {
  const frame = new Uint8Array(ICMPV6 + body.length);
  const view = new DataView(frame.buffer);
  // 33:33 and the last four bytes of the group: RFC 2464 §7.
  frame.set([0x33, 0x33, ...destination.subarray(12)], 0);
  frame.set(hardware, 6);
  view.setUint16(ETHERTYPE, ETHERTYPE_IPV6);
  view.setUint32(IPV6, 0x60000000);
  view.setUint16(PAYLOAD_LENGTH, body.length);
  frame[NEXT_HEADER] = PROTOCOL_ICMPV6;
  frame[HOP_LIMIT] = 255;
  frame.set(source, SOURCE);
  frame.set(destination, DESTINATION);
  frame.set(body, ICMPV6);
  const seed = pseudoHeaderSum(source, destination, PROTOCOL_ICMPV6, body.length);
  view.setUint16(CHECKSUM, internetChecksum(body, seed));
  return frame;
}

/** Reads a received Ethernet frame with the checks of RFC 4861 §7.1; extension headers are not followed (RFC 6980 forbids fragments). */
export function decodeNeighbourFrame(frame: Uint8Array): DecodedNeighbourMessage {
  if (frame.length < OPTIONS) return { ok: false, reason: "truncated" };
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const type = frame[ICMPV6]!;
  const isNeighbourDiscovery =
    view.getUint16(ETHERTYPE) === ETHERTYPE_IPV6 &&
    frame[IPV6]! >> 4 === 6 &&
    frame[NEXT_HEADER] === PROTOCOL_ICMPV6 &&
    (type === NEIGHBOUR_SOLICITATION || type === NEIGHBOUR_ADVERTISEMENT);
  if (!isNeighbourDiscovery) return { ok: false, reason: "not-neighbour-discovery" };
  // 255: no router forwarded it, so it comes from this link.
  if (frame[HOP_LIMIT] !== 255) return { ok: false, reason: "bad-hop-limit" };
  const length = view.getUint16(PAYLOAD_LENGTH);
  const end = ICMPV6 + length;
  if (end < OPTIONS || end > frame.length) return { ok: false, reason: "truncated" };
  const source = frame.subarray(SOURCE, DESTINATION);
  const destination = frame.subarray(DESTINATION, ICMPV6);
  const seed = pseudoHeaderSum(source, destination, PROTOCOL_ICMPV6, length);
  if (internetChecksum(frame.subarray(ICMPV6, end), seed) !== 0) return { ok: false, reason: "bad-checksum" };
  const isSolicitation = type === NEIGHBOUR_SOLICITATION;
  const option = findOption(
    frame.subarray(OPTIONS, end),
    isSolicitation ? SOURCE_LINK_LAYER_ADDRESS : TARGET_LINK_LAYER_ADDRESS,
  );
  if (option === "bad") return { ok: false, reason: "bad-option" };
  const flags = isSolicitation ? 0 : frame[FLAGS]!;
  return {
    ok: true,
    value: {
      kind: isSolicitation ? "solicitation" : "advertisement",
      source: formatIpv6At(frame, SOURCE),
      destination: formatIpv6At(frame, DESTINATION),
      target: formatIpv6At(frame, TARGET),
      sourceHardware: copyOf(frame, 6),
      linkLayerAddress: option,
      isRouter: (flags & FLAG_ROUTER) !== 0,
      isSolicited: (flags & FLAG_SOLICITED) !== 0,
      isOverride: (flags & FLAG_OVERRIDE) !== 0,
    },
  };
}

/** Six bytes of a link-layer address option. An option of length zero makes the packet invalid (RFC 4861 §4.6). */
function findOption(options: Uint8Array, wanted: number): Uint8Array | undefined | "bad" {
  let found: Uint8Array | undefined;
  for (let index = 0; index < options.length; ) {
    const length = (options[index + 1] ?? 0) * 8;
    if (length === 0 || index + length > options.length) return "bad";
    if (options[index] === wanted) found ??= copyOf(options, index + 2);
    index += length;
  }
  return found;
}

/** Buffer.prototype.slice() would be a view of memory that the next frame overwrites. */
function copyOf(frame: Uint8Array, start: number): Uint8Array {
  return new Uint8Array(frame.subarray(start, start + 6));
}
