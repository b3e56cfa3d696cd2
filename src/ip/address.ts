/**
 * IP addresses as text and as bytes in network order (RFC 4291 §2.2, RFC 5952). Pure; used by every codec that carries addresses.
 */

/** Dotted decimal, each part 0–255. */
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;

export function isIpv4(host: string): boolean {
  return IPV4.test(host);
}

/** Four or sixteen bytes in network order. Throws a TypeError where the text is no literal. */
export function encodeIp(host: string): Uint8Array {
  if (IPV4.test(host)) return Uint8Array.from(host.split(".").map(Number));
  const groups = ipv6Groups(host);
  if (groups.length !== 8 || !groups.every((group) => group >= 0 && group <= 0xffff)) {
    throw new TypeError(`not an IP address: ${host}`);
  }
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]));
}

/** Text of four or sixteen bytes, RFC 5952 for IPv6; `start` lets a packet be read in place. */
export function formatIpv4At(bytes: Uint8Array, start: number): string {
  return `${bytes[start]}.${bytes[start + 1]}.${bytes[start + 2]}.${bytes[start + 3]}`;
}

export function formatIpv6At(bytes: Uint8Array, start: number): string {
  const groups: number[] = [];
  for (let index = start; index < start + 16; index += 2)
    groups.push((bytes[index]! << 8) | bytes[index + 1]!);
  return formatIpv6(groups);
}

/** Four bytes are IPv4, sixteen IPv6; any other length is an error of the caller. */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return formatIpv4At(bytes, 0);
  if (bytes.length === 16) return formatIpv6At(bytes, 0);
  throw new TypeError(`an IP address has 4 or 16 bytes, not ${bytes.length}`);
}

/** Unsigned, in network order, as VRRP compares addresses (RFC 9568 §6.4.3): below zero where `a` is the lower one. */
export function compareIp(a: Uint8Array, b: Uint8Array): number {
  for (let index = 0; index < a.length && index < b.length; index++) {
    if (a[index] !== b[index]) return a[index]! - b[index]!;
  }
  return a.length - b.length;
}

/** ff02::1:ffXX:XXXX, where questions about an IPv6 address are sent (RFC 4291 §2.7.1). */
export function solicitedNodeAddress(address: Uint8Array): Uint8Array {
  const group = encodeIp("ff02::1:ff00:0");
  group.set(address.subarray(13), 13);
  return group;
}

/** The eight groups of an IPv6 literal (RFC 4291 §2.2), `::` expanded, an embedded IPv4 part included. */
export function ipv6Groups(host: string): number[] {
  const text = host.replace(/%.*$/, "").replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_match, a, b, c, d) => {
    return `${((Number(a) << 8) | Number(b)).toString(16)}:${((Number(c) << 8) | Number(d)).toString(16)}`;
  });
  const [head = "", tail, ...more] = text.split("::");
  if (more.length > 0) return [];
  const parse = (part: string) =>
    part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16));
  const left = parse(head);
  if (tail === undefined) return left;
  const right = parse(tail);
  if (left.length + right.length > 7) return [];
  return [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
}

/** RFC 5952 text of eight groups; IPv4-mapped addresses in the dotted form that people expect. */
export function formatIpv6(groups: readonly number[]): string {
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    const [high = 0, low = 0] = groups.slice(6);
    return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  }
  let bestStart = -1;
  let bestLength = 1;
  for (let start = 0; start < 8; start++) {
    let end = start;
    while (end < 8 && groups[end] === 0) end++;
    if (end - start > bestLength) {
      bestStart = start;
      bestLength = end - start;
    }
  }
  const hex = groups.map((group) => group.toString(16));
  if (bestStart === -1) return hex.join(":");
  return `${hex.slice(0, bestStart).join(":")}::${hex.slice(bestStart + bestLength).join(":")}`;
}
