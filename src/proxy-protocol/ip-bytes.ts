/**
 * IP addresses between their two forms in a PROXY header: text (version 1) and octets (version 2). Pure. An IPv4 address
 * inside IPv6 (`::ffff:192.0.2.1`, RFC 4291 §2.5.5.2) becomes IPv4 when it is read: that is who the client is. Called by the codec.
 */
import { canonicalIpAddress } from "../config/address.ts";

export type IpAddress = { readonly family: "inet" | "inet6"; readonly host: string };

/** The address in its one spelling; undefined when the text is none, or not of this family. */
export function parseIpText(family: "inet" | "inet6", text: string): IpAddress | undefined {
  const host = canonicalIpAddress(text);
  if (host === undefined || host.includes(":") !== (family === "inet6")) return undefined;
  return family === "inet" ? { family, host } : readIpv6(ipv6Octets(host), 0);
}

export function readIpv4(bytes: Uint8Array, at: number): IpAddress {
  const host = `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
  return { family: "inet", host };
}

export function readIpv6(bytes: Uint8Array, at: number): IpAddress {
  const words = Array.from({ length: 8 }, (_, index) => {
    return ((bytes[at + 2 * index]! << 8) | bytes[at + 2 * index + 1]!).toString(16);
  });
  const isMapped = words.slice(0, 5).every((word) => word === "0") && words[5] === "ffff";
  if (isMapped) return readIpv4(bytes, at + 12);
  return { family: "inet6", host: canonicalIpAddress(words.join(":"))! };
}

/** Four octets of a valid address. */
export function ipv4Octets(host: string): Uint8Array {
  return Uint8Array.from(host.split("."), Number);
}

/** Sixteen octets of a valid address; an IPv4 address in its mapped form. */
export function ipv6Octets(host: string): Uint8Array {
  const octets = new Uint8Array(16);
  if (!host.includes(":")) {
    octets.fill(0xff, 10, 12);
    octets.set(ipv4Octets(host), 12);
    return octets;
  }
  // Without a zone (it means nothing on another host), and in its one spelling: no dotted part, `::` at most once.
  const [head = "", tail] = (canonicalIpAddress(host.replace(/%.*$/, "")) ?? "::").split("::");
  writeWords(octets, 0, head);
  if (tail !== undefined && tail !== "") writeWords(octets, 16 - 2 * tail.split(":").length, tail);
  return octets;
}

function writeWords(octets: Uint8Array, at: number, text: string): void {
  if (text === "") return;
  for (const [index, word] of text.split(":").entries()) {
    const number = Number.parseInt(word, 16);
    octets[at + 2 * index] = number >> 8;
    octets[at + 2 * index + 1] = number & 255;
  }
}
