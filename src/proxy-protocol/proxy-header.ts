/**
 * The PROXY protocol, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt: read §2.1 and §2.2 first): the header that a proxy
 * sends before anything else on a connection, to say whose connection it is. Pure; peer input never throws. Receivers give it
 * what has arrived so far and ask again when more has. Called by the listeners with `proxy_protocol: accept` and, for
 * pools with `send_proxy`, by whoever opens a connection to a server.
 *
 *     version 1   PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n
 *     version 2   | signature (12) | version, command | family, protocol | length (2) | addresses | TLVs |
 */
import type { SocketAddress } from "../config/types.ts";
import { crc32c } from "./crc32c.ts";
import { type IpAddress, ipv4Octets, ipv6Octets, parseIpText, readIpv4, readIpv6 } from "./ip-bytes.ts";

export type ProxyVersion = "v1" | "v2";

export interface ProxyHeader {
  readonly version: ProxyVersion;
  /**
   * Who the client is and what it connected to. undefined: the header says nothing about that (LOCAL, UNKNOWN, a family other than
   * TCP over IP), and the connection's own addresses stand: a health check of the proxy, as a rule.
   */
  readonly source: InetEndpoint | undefined;
  readonly destination: InetEndpoint | undefined;
}

export type InetEndpoint = Exclude<SocketAddress, { family: "unix" }>;

/** Why bytes are no PROXY header; for humans and log lines. */
export const PROXY_HEADER_FAULTS = {
  "no-header": "The connection does not begin with a PROXY protocol header.",
  "v1-too-long": "The version 1 header has no CRLF within its 107 bytes.",
  "v1-line-end": "The version 1 header ends in LF without CR.",
  "v1-protocol": "The version 1 header names neither TCP4, TCP6 nor UNKNOWN.",
  "v1-addresses": "The version 1 header does not consist of two addresses and two ports, one space between.",
  "v2-version": "The binary header is of a version other than 2.",
  "v2-command": "The version 2 header has a command other than LOCAL and PROXY.",
  "v2-family": "The version 2 header has an address family or protocol that is not assigned.",
  "v2-too-long": "The version 2 header is longer than 4096 bytes.",
  "v2-addresses": "The version 2 header is too short for its addresses.",
  "v2-tlv": "A TLV of the version 2 header is longer than the header.",
  "v2-checksum": "The CRC32c of the version 2 header is wrong.",
} as const;

export type ProxyHeaderFault = keyof typeof PROXY_HEADER_FAULTS;

export type DecodedProxyHeader =
  | { readonly status: "incomplete" }
  | { readonly status: "malformed"; readonly reason: ProxyHeaderFault }
  /** `length`: bytes of the header; what follows belongs to the connection's own protocol. */
  | { readonly status: "complete"; readonly length: number; readonly header: ProxyHeader };

/** §2.1: "a 108-byte buffer is always enough to store all the line and a trailing zero". */
const V1_BYTES_MAX = 107;
/** The whole header with its TLVs. A client's certificate fits (nginx: 4096; HAProxy: its buffer of 16k). */
export const PROXY_HEADER_BYTES_MAX = 4096;

const V1_PREFIX = ascii("PROXY ");
const V2_SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);

// Offsets in a version 2 header.
const V2_COMMAND = 12;
const V2_FAMILY = 13;
const V2_LENGTH = 14;
const V2_ADDRESSES = 16;

const COMMAND_LOCAL = 0x20;
const COMMAND_PROXY = 0x21;
const TCP_OVER_IPV4 = 0x11;
const TCP_OVER_IPV6 = 0x21;
const UNSPECIFIED = 0x00;
/** Octets of the address block by family: none, IPv4, IPv6, UNIX. */
const ADDRESS_BYTES = [0, 12, 36, 216] as const;
const PROTOCOL_DGRAM = 2;
const TLV_HEADER_BYTES = 3;
const TLV_CRC32C = 0x03;

const INCOMPLETE: DecodedProxyHeader = { status: "incomplete" };

/** Reads the header at the beginning of bytes[start, end). */
export function decodeProxyHeader(bytes: Uint8Array, start = 0, end = bytes.length): DecodedProxyHeader {
  if (start === end) return INCOMPLETE;
  if (startsAs(bytes, start, end, V2_SIGNATURE)) return decodeVersion2(bytes, start, end);
  if (startsAs(bytes, start, end, V1_PREFIX)) return decodeVersion1(bytes, start, end);
  return malformed("no-header");
}

/** What there is of bytes[start, end) agrees with `beginning`. */
function startsAs(bytes: Uint8Array, start: number, end: number, beginning: Uint8Array): boolean {
  const length = Math.min(end - start, beginning.length);
  for (let index = 0; index < length; index++) if (bytes[start + index] !== beginning[index]) return false;
  return true;
}

function malformed(reason: ProxyHeaderFault): DecodedProxyHeader {
  return { status: "malformed", reason };
}

// ── version 1 ────────────────────────────────────────────────────────────────────────────────────────────────

function decodeVersion1(bytes: Uint8Array, start: number, end: number): DecodedProxyHeader {
  const lineEnd = bytes.subarray(start, Math.min(end, start + V1_BYTES_MAX)).indexOf(10);
  if (lineEnd < 0) return end - start >= V1_BYTES_MAX ? malformed("v1-too-long") : INCOMPLETE;
  if (bytes[start + lineEnd - 1] !== 13) return malformed("v1-line-end");
  const length = lineEnd + 1;
  const line = String.fromCharCode(...bytes.subarray(start + V1_PREFIX.length, start + lineEnd - 1));
  const [protocol, ...words] = line.split(" ");
  if (protocol === "UNKNOWN") return { status: "complete", length, header: nobody("v1") };
  if (protocol !== "TCP4" && protocol !== "TCP6") return malformed("v1-protocol");
  const family = protocol === "TCP4" ? "inet" : "inet6";
  const source = endpoint(parseIpText(family, words[0] ?? ""), parsePort(words[2]));
  const destination = endpoint(parseIpText(family, words[1] ?? ""), parsePort(words[3]));
  if (words.length !== 4 || source === undefined || destination === undefined)
    return malformed("v1-addresses");
  return { status: "complete", length, header: { version: "v1", source, destination } };
}

/** §2.1: decimal, "Heading zeroes are not permitted in front of numbers". */
function parsePort(text: string | undefined): number | undefined {
  if (text === undefined || !/^(?:0|[1-9]\d{0,4})$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65_535 ? port : undefined;
}

function endpoint(address: IpAddress | undefined, port: number | undefined): InetEndpoint | undefined {
  return address === undefined || port === undefined ? undefined : { ...address, port };
}

function nobody(version: ProxyVersion): ProxyHeader {
  return { version, source: undefined, destination: undefined };
}

// ── version 2 ────────────────────────────────────────────────────────────────────────────────────────────────

function decodeVersion2(bytes: Uint8Array, start: number, end: number): DecodedProxyHeader {
  if (end - start <= V2_COMMAND) return INCOMPLETE;
  const command = bytes[start + V2_COMMAND]!;
  if (command >> 4 !== 2) return malformed("v2-version");
  // §2.2: "Receivers must drop connections presenting unexpected values here."
  if (command !== COMMAND_LOCAL && command !== COMMAND_PROXY) return malformed("v2-command");
  if (end - start < V2_ADDRESSES) return INCOMPLETE;
  const length = V2_ADDRESSES + readUint16(bytes, start + V2_LENGTH);
  if (length > PROXY_HEADER_BYTES_MAX) return malformed("v2-too-long");
  if (end - start < length) return INCOMPLETE;
  // §2.2: a LOCAL header's family and addresses are discarded, whatever they are.
  if (command === COMMAND_LOCAL) return { status: "complete", length, header: nobody("v2") };
  const family = bytes[start + V2_FAMILY]!;
  const addressBytes = ADDRESS_BYTES[family >> 4];
  if (addressBytes === undefined || (family & 15) > PROTOCOL_DGRAM) return malformed("v2-family");
  if (length < V2_ADDRESSES + addressBytes) return malformed("v2-addresses");
  const fault = faultOfTlvs(bytes, start, start + V2_ADDRESSES + addressBytes, start + length);
  if (fault !== undefined) return malformed(fault);
  return { status: "complete", length, header: headerOf(family, bytes, start + V2_ADDRESSES) };
}

function headerOf(family: number, bytes: Uint8Array, at: number): ProxyHeader {
  if (family !== TCP_OVER_IPV4 && family !== TCP_OVER_IPV6) return nobody("v2");
  const isIpv4 = family === TCP_OVER_IPV4;
  const read = isIpv4 ? readIpv4 : readIpv6;
  const size = isIpv4 ? 4 : 16;
  const ports = at + 2 * size;
  return {
    version: "v2",
    source: { ...read(bytes, at), port: readUint16(bytes, ports) },
    destination: { ...read(bytes, at + size), port: readUint16(bytes, ports + 2) },
  };
}

/** TLVs are skipped; only a checksum is looked at (§2.2.4: "the receiver … should verify"). */
function faultOfTlvs(
  bytes: Uint8Array,
  headerStart: number,
  start: number,
  end: number,
): ProxyHeaderFault | undefined {
  for (let at = start; at < end; ) {
    if (end - at < TLV_HEADER_BYTES) return "v2-tlv";
    const value = at + TLV_HEADER_BYTES;
    const next = value + readUint16(bytes, at + 1);
    if (next > end) return "v2-tlv";
    if (bytes[at] === TLV_CRC32C) {
      if (next - value !== 4 || readUint32(bytes, value) !== crc32c(bytes, headerStart, end, value))
        return "v2-checksum";
    }
    at = next;
  }
  return undefined;
}

function readUint16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

function readUint32(bytes: Uint8Array, at: number): number {
  return readUint16(bytes, at) * 65_536 + readUint16(bytes, at + 2);
}

// ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * The header for a connection that is made on behalf of a client. Where either end is no IP address (a UNIX socket), it says
 * that nothing is known: UNKNOWN, or PROXY with the family UNSPEC.
 */
export function encodeProxyHeader(
  version: ProxyVersion,
  source: SocketAddress,
  destination: SocketAddress,
): Uint8Array {
  if (source.family === "unix" || destination.family === "unix") {
    return version === "v1" ? ascii("PROXY UNKNOWN\r\n") : version2(COMMAND_PROXY, UNSPECIFIED, []);
  }
  return version === "v1" ? encodeVersion1(source, destination) : encodeVersion2(source, destination);
}

/** The header for a connection of the gateway's own, such as a health check: UNKNOWN or LOCAL. */
export function encodeOwnProxyHeader(version: ProxyVersion): Uint8Array {
  return version === "v1" ? ascii("PROXY UNKNOWN\r\n") : version2(COMMAND_LOCAL, UNSPECIFIED, []);
}

function encodeVersion1(source: InetEndpoint, destination: InetEndpoint): Uint8Array {
  const isIpv4 = !source.host.includes(":") && !destination.host.includes(":");
  const [from, to] = [source, destination].map(({ host }) => {
    if (isIpv4) return host;
    return host.includes(":") ? host.replace(/%.*$/, "") : `::ffff:${host}`;
  });
  return ascii(`PROXY ${isIpv4 ? "TCP4" : "TCP6"} ${from} ${to} ${source.port} ${destination.port}\r\n`);
}

function encodeVersion2(source: InetEndpoint, destination: InetEndpoint): Uint8Array {
  const isIpv4 = !source.host.includes(":") && !destination.host.includes(":");
  const octets = isIpv4 ? ipv4Octets : ipv6Octets;
  return version2(COMMAND_PROXY, isIpv4 ? TCP_OVER_IPV4 : TCP_OVER_IPV6, [
    ...octets(source.host),
    ...octets(destination.host),
    ...uint16(source.port),
    ...uint16(destination.port),
  ]);
}

function version2(command: number, family: number, block: readonly number[]): Uint8Array {
  return Uint8Array.of(...V2_SIGNATURE, command, family, ...uint16(block.length), ...block);
}

function uint16(number: number): [high: number, low: number] {
  return [number >> 8, number & 255];
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
