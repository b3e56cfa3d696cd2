/**
 * VRRP advertisements: version 2 (RFC 3768 §5) and version 3 (RFC 9568 §5), without their IP header. Pure: what a peer sends never
 * throws. Read RFC 9568 §7.1 and errata 8298, 8299 and 8301 before changing the order of the checks. Called by the sockets of
 * virtual routers and by tests.
 */
import { canonicalIpAddress } from "../config/address.ts";
import { internetChecksum, pseudoHeaderSum } from "../ip/checksum.ts";
import { ipv4Octets, ipv6Octets, readIpv4 } from "../proxy-protocol/ip-bytes.ts";

/*
 * Version 3 (RFC 9568 §5.1)
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |Version| Type  | Virtual Rtr ID|   Priority    |  IPvX Addr Cnt|
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |Reserve| Max Advertise Interval|          Checksum             |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                       IPvX Address(es) …                      |
 *
 * Version 2 (RFC 3768 §5.1) differs in the second word, and ends with 8 octets of authentication data, always:
 *
 * |   Auth Type   |   Adver Int   |          Checksum             |
 */
const VERSION_AND_TYPE = 0;
const ROUTER_ID = 1;
const PRIORITY = 2;
const ADDRESS_COUNT = 3;
/** Version 3: 4 reserved bits, then 12 bits of centiseconds. Version 2: authentication type, then seconds. */
const INTERVAL = 4;
const AUTH_TYPE = 4;
const INTERVAL_SECONDS = 5;
const CHECKSUM = 6;
const ADDRESSES = 8;

const AUTH_DATA_LENGTH = 8;
const AUTH_NONE = 0;
/** Simple password: RFC 2338 §5.3.6; gone from RFC 3768, still found in the field. */
const AUTH_SIMPLE = 1;

const TYPE_ADVERTISEMENT = 1;
export const VRRP_PROTOCOL = 112;
/** "A VRRP Router receiving a packet with the TTL not equal to 255 MUST discard the packet" (RFC 9568 §5.1.1.3). */
const HOP_LIMIT = 255;
const INTERVAL_CENTISECONDS_MAX = 4095;

export const MULTICAST_GROUP = { inet: "224.0.0.18", inet6: "ff02::12" } as const;

export type AddressFamily = "inet" | "inet6";
/** RFC 9568 §5.2.8: over IPv4 the message only. keepalived and FRR prepend a pseudo-header by default, as over IPv6. */
export type ChecksumKind = "message" | "pseudo-header";

export interface Advertisement {
  readonly version: 2 | 3;
  readonly routerId: number;
  readonly priority: number;
  readonly intervalMs: number;
  readonly addresses: readonly string[];
  /** Version 2 simple password; undefined: no authentication. Always undefined in version 3. */
  readonly authPass: string | undefined;
  /** Decoded: of which kind it was; to be encoded: which is to be made. Only version 3 over IPv4 has a choice. */
  readonly checksum: ChecksumKind;
}

export interface PacketContext {
  readonly family: AddressFamily;
  readonly source: string;
  readonly destination: string;
  /** TTL or hop limit; undefined when the kernel did not tell. */
  readonly hopLimit: number | undefined;
  /** Unicast peers may be some hops away: 255 cannot be asked of them. */
  readonly isUnicast: boolean;
}

/** In the order of the checks. The reasons are metric labels and log fields. */
export const DECODE_FAILURES = {
  truncated: "it ends before its addresses, or before its authentication data",
  "bad-ttl": "TTL or hop limit is not 255: it was forwarded, or is no VRRP",
  "bad-version": "neither version 2 nor 3, or version 2 over IPv6",
  "bad-type": "it is not an advertisement",
  "bad-checksum": "its checksum fits neither RFC 9568 nor the pseudo-header that keepalived and FRR add",
  "bad-id": "virtual router 0",
  "no-addresses": "it lists no address (RFC 9568 erratum 8299)",
  "zero-interval":
    "its interval is 0, which would end every backup's patience at once (RFC 9568 erratum 8301)",
  "bad-auth": "an authentication type other than none and simple password",
} as const;
export type DecodeFailure = keyof typeof DECODE_FAILURES;
export type Decoded<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: DecodeFailure };

/** Whom a message is for, before anything is checked: a socket is shared by all virtual routers of an interface. */
export function peekRouterId(bytes: Uint8Array): number | undefined {
  return bytes[ROUTER_ID];
}

/** Octets after the last address and authentication are ignored over IPv4: Ethernet pads frames to 60 octets, and some stacks hand it on. */
export function decodeAdvertisement(bytes: Uint8Array, context: PacketContext): Decoded<Advertisement> {
  if (bytes.length < ADDRESSES) return refused("truncated");
  if (!context.isUnicast && context.hopLimit !== undefined && context.hopLimit !== HOP_LIMIT)
    return refused("bad-ttl");
  const version = bytes[VERSION_AND_TYPE]! >> 4;
  if (version !== 3 && (version !== 2 || context.family === "inet6")) return refused("bad-version");
  if ((bytes[VERSION_AND_TYPE]! & 15) !== TYPE_ADVERTISEMENT) return refused("bad-type");
  const count = bytes[ADDRESS_COUNT]!;
  const length = messageLength(version, context.family, count);
  if (bytes.length < length) return refused("truncated");
  const checksum = checksumKind(bytes, version, length, context);
  if (checksum === undefined) return refused("bad-checksum");
  if (bytes[ROUTER_ID] === 0) return refused("bad-id");
  if (count === 0) return refused("no-addresses");
  const intervalMs = readIntervalMs(bytes, version);
  if (intervalMs === 0) return refused("zero-interval");
  if (version === 2 && bytes[AUTH_TYPE]! > AUTH_SIMPLE) return refused("bad-auth");
  return {
    ok: true,
    value: {
      version,
      routerId: bytes[ROUTER_ID]!,
      priority: bytes[PRIORITY]!,
      intervalMs,
      addresses: Array.from({ length: count }, (_, index) => readAddress(bytes, context.family, index)),
      authPass: version === 2 && bytes[AUTH_TYPE] === AUTH_SIMPLE ? readAuthPass(bytes, length) : undefined,
      checksum,
    },
  };
}

export function encodedLength(
  advertisement: Pick<Advertisement, "version" | "addresses">,
  family: AddressFamily,
): number {
  return messageLength(advertisement.version, family, advertisement.addresses.length);
}

/** Fields must be in range: the configuration was checked. Intervals are rounded to what the version can say. */
export function encodeAdvertisement(
  advertisement: Advertisement,
  path: Pick<PacketContext, "family" | "source" | "destination">,
): Uint8Array {
  const { version, addresses } = advertisement;
  const bytes = new Uint8Array(encodedLength(advertisement, path.family));
  bytes[VERSION_AND_TYPE] = (version << 4) | TYPE_ADVERTISEMENT;
  bytes[ROUTER_ID] = advertisement.routerId;
  bytes[PRIORITY] = advertisement.priority;
  bytes[ADDRESS_COUNT] = addresses.length;
  writeInterval(bytes, advertisement);
  const size = addressSize(path.family);
  for (const [index, address] of addresses.entries())
    bytes.set(addressOctets(address, path.family), ADDRESSES + index * size);
  if (version === 2 && advertisement.authPass !== undefined) writeAuthPass(bytes, advertisement.authPass);
  const hasPseudoHeader =
    path.family === "inet6" || (version === 3 && advertisement.checksum === "pseudo-header");
  const seed = hasPseudoHeader ? pseudoHeader(path, path.destination, bytes.length) : 0;
  const checksum = internetChecksum(bytes, seed);
  bytes[CHECKSUM] = checksum >> 8;
  bytes[CHECKSUM + 1] = checksum & 0xff;
  return bytes;
}

/** As tcpdump prints it, without the password: `VRRPv3, Advertisement, vrid 2, prio 254, intvl 1cs, length 16, addrs(2): …`. */
export function formatAdvertisement(advertisement: Advertisement, source?: string): string {
  const { version, routerId, priority, intervalMs, addresses, authPass } = advertisement;
  const family = addresses[0]?.includes(":") ? "inet6" : "inet";
  const length = encodedLength(advertisement, family);
  const auth = version === 3 ? "" : `authtype ${authPass === undefined ? "none" : "simple"}, `;
  const interval = version === 3 ? `${Math.round(intervalMs / 10)}cs` : `${Math.round(intervalMs / 1000)}s`;
  const count = addresses.length > 1 ? `(${addresses.length})` : "";
  const text = `VRRPv${version}, Advertisement, vrid ${routerId}, prio ${priority}, ${auth}intvl ${interval}, length ${length}, addrs${count}: ${addresses.join(",")}`;
  return source === undefined ? text : `${source}: ${text}`;
}

/** Unsigned, in network byte order (RFC 9568 §6.4.3): negative when `left` is the lower one. Zones do not count. */
export function compareAddresses(left: string, right: string): number {
  const family = left.includes(":") ? "inet6" : "inet";
  if (right.includes(":") !== (family === "inet6")) return family === "inet6" ? 1 : -1;
  const [a, b] = [addressOctets(left, family), addressOctets(right, family)];
  const at = a.findIndex((octet, index) => octet !== b[index]);
  return at === -1 ? 0 : a[at]! - b[at]!;
}

function refused(reason: DecodeFailure): { readonly ok: false; readonly reason: DecodeFailure } {
  return { ok: false, reason };
}

function addressSize(family: AddressFamily): number {
  return family === "inet" ? 4 : 16;
}

function messageLength(version: 2 | 3, family: AddressFamily, count: number): number {
  return ADDRESSES + count * addressSize(family) + (version === 2 ? AUTH_DATA_LENGTH : 0);
}

function addressOctets(address: string, family: AddressFamily): Uint8Array {
  return family === "inet" ? ipv4Octets(address) : ipv6Octets(address);
}

function pseudoHeader(
  path: Pick<PacketContext, "family" | "source">,
  destination: string,
  length: number,
): number {
  const { family } = path;
  return pseudoHeaderSum(
    addressOctets(path.source, family),
    addressOctets(destination, family),
    VRRP_PROTOCOL,
    length,
  );
}

/** Which checksum the message carries; undefined: none that is known. */
function checksumKind(
  bytes: Uint8Array,
  version: 2 | 3,
  length: number,
  context: PacketContext,
): ChecksumKind | undefined {
  const isRight = (end: number, seed: number) => internetChecksum(bytes.subarray(0, end), seed) === 0;
  if (context.family === "inet6") {
    // IPv6 knows its length: all of it is covered, also what an extension may append.
    const seed = pseudoHeader(context, context.destination, bytes.length);
    return isRight(bytes.length, seed) ? "pseudo-header" : undefined;
  }
  if (isRight(length, 0)) return "message";
  if (version === 2) return undefined;
  // FRR, and keepalived up to 1.3.6, take the group for the destination also when they send to a unicast peer.
  const destinations = [context.destination, MULTICAST_GROUP.inet];
  return destinations.some((destination) => isRight(length, pseudoHeader(context, destination, length)))
    ? "pseudo-header"
    : undefined;
}

function readIntervalMs(bytes: Uint8Array, version: 2 | 3): number {
  if (version === 2) return bytes[INTERVAL_SECONDS]! * 1000;
  // "Reserved: set to zero on transmission and ignored on reception" (RFC 9568 §5.2.6).
  return (((bytes[INTERVAL]! & 15) << 8) | bytes[INTERVAL + 1]!) * 10;
}

function writeInterval(bytes: Uint8Array, { version, intervalMs, authPass }: Advertisement): void {
  if (version === 2) {
    bytes[AUTH_TYPE] = authPass === undefined ? AUTH_NONE : AUTH_SIMPLE;
    bytes[INTERVAL_SECONDS] = Math.min(255, Math.max(1, Math.round(intervalMs / 1000)));
    return;
  }
  const centiseconds = Math.min(INTERVAL_CENTISECONDS_MAX, Math.max(1, Math.round(intervalMs / 10)));
  bytes[INTERVAL] = centiseconds >> 8;
  bytes[INTERVAL + 1] = centiseconds & 0xff;
}

function readAddress(bytes: Uint8Array, family: AddressFamily, index: number): string {
  const at = ADDRESSES + index * addressSize(family);
  if (family === "inet") return readIpv4(bytes, at).host;
  const words = Array.from({ length: 8 }, (_, word) =>
    ((bytes[at + 2 * word]! << 8) | bytes[at + 2 * word + 1]!).toString(16),
  );
  return canonicalIpAddress(words.join(":"))!;
}

function readAuthPass(bytes: Uint8Array, length: number): string {
  const data = bytes.subarray(length - AUTH_DATA_LENGTH, length);
  return String.fromCharCode(...data).replace(/\0+$/, "");
}

function writeAuthPass(bytes: Uint8Array, authPass: string): void {
  const at = bytes.length - AUTH_DATA_LENGTH;
  for (let index = 0; index < Math.min(authPass.length, AUTH_DATA_LENGTH); index++)
    bytes[at + index] = authPass.charCodeAt(index);
}
