/**
 * Addresses in the configuration: where to listen (literal addresses), where servers are (names allowed, resolved
 * later by resolve.ts), and CIDR ranges. Pure. Read RFC 4291 §2.2 (IPv6 text) and RFC 5952 (its canonical form) first.
 */
import { type Parsed, parsed, quoted, refused } from "./parsed.ts";
import type { AddressPrefix, SocketAddress } from "./types.ts";

/** sun_path holds 108 bytes with its NUL: unix(7). */
const UNIX_PATH_BYTES_MAX = 107;
const BIND_HINT =
  "write ADDRESS:PORT such as 0.0.0.0:8080, 127.0.0.1:8080 or [::]:8080, a port alone, or unix:/path";
const SERVER_HINT =
  "write HOST:PORT such as 10.0.0.11:80, app.internal:8080 or [2001:db8::1]:80, or unix:/path";

/**
 * Where a listener or the admin server binds. `*`, an empty host and a port alone mean every IPv4 address (as in
 * nginx and HAProxy); IPv6 is asked for by `[::]`. `localhost` is 127.0.0.1.
 */
export function parseBindAddress(input: unknown): Parsed<SocketAddress> {
  if ((typeof input !== "string" && typeof input !== "number") || input === "") {
    // YAML reads [::]:8080 without quotes as a list.
    const isUnquoted = typeof input === "object" && input !== null;
    return refused(
      `${quoted(input)} is not an address`,
      isUnquoted ? 'put IPv6 addresses in quotes: "[::]:8080"' : BIND_HINT,
    );
  }
  const text = /^\d+$/.test(`${input}`) ? `*:${input}` : `${input}`;
  if (text.startsWith("unix:")) return parseUnixAddress(text);
  const split = splitHostPort(text, BIND_HINT);
  if (!split.ok) return split;
  const { host, port, isBracketed } = split.value;
  if (isBracketed) return parsed({ family: "inet6", host, port });
  if (host === "" || host === "*") return parsed({ family: "inet", host: "0.0.0.0", port });
  if (host.toLowerCase() === "localhost") return parsed({ family: "inet", host: "127.0.0.1", port });
  if (parseIpv4(host) === undefined) {
    const reason = looksLikeIpv4(host)
      ? `${quoted(text)}: ${host} is not an IPv4 address`
      : `${quoted(text)}: a name cannot be bound, only an address of this machine`;
    return refused(reason, BIND_HINT);
  }
  return parsed({ family: "inet", host, port });
}

/** A server's address. A host name stays in `host` (with family `inet`) until resolve.ts replaces it. */
export function parseServerAddress(input: unknown): Parsed<SocketAddress> {
  if (typeof input !== "string" || input === "")
    return refused(`${quoted(input)} is not an address`, SERVER_HINT);
  if (/^[a-z]+:\/\//i.test(input)) {
    return refused(`${quoted(input)} is a URL, not an address`, SERVER_HINT);
  }
  if (input.startsWith("unix:")) return parseUnixAddress(input);
  const split = splitHostPort(input, SERVER_HINT);
  if (!split.ok) return split;
  const { host, port, isBracketed } = split.value;
  if (isBracketed) return parsed({ family: "inet6", host, port });
  if (parseIpv4(host) !== undefined) return parsed({ family: "inet", host, port });
  if (looksLikeIpv4(host)) return refused(`${quoted(input)}: ${host} is not an IPv4 address`, SERVER_HINT);
  if (!isHostName(host)) return refused(`${quoted(input)}: ${quoted(host)} is not a host name`, SERVER_HINT);
  return parsed({ family: "inet", host: host.toLowerCase(), port });
}

/** An address without a port: `source_address`. */
export function parseIpAddress(input: unknown): Parsed<string> {
  const canonical = typeof input === "string" ? canonicalIpAddress(input) : undefined;
  if (canonical === undefined) {
    return refused(
      `${quoted(input)} is not an IP address`,
      "write an address of this machine without a port, such as 10.0.0.5",
    );
  }
  return parsed(canonical);
}

/** `10.0.0.0/8`, `::1`; a bare address gets its full prefix length, so that readers see one form only. */
export function parseCidr(input: unknown): Parsed<string> {
  const hint = "write an address or a range such as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32";
  const match = typeof input === "string" ? /^([^/]+)(?:\/(\d{1,3}))?$/.exec(input) : null;
  const canonical = match === null ? undefined : canonicalIpAddress(match[1]!);
  if (match === null || canonical === undefined)
    return refused(`${quoted(input)} is not an address range`, hint);
  const lengthMax = canonical.includes(":") ? 128 : 32;
  const length = match[2] === undefined ? lengthMax : Number(match[2]);
  if (length > lengthMax)
    return refused(`${quoted(input)}: the prefix length must be 0 to ${lengthMax}`, hint);
  return parsed(`${canonical}/${length}`);
}

export function formatAddress(address: SocketAddress): string {
  if (address.family === "unix") return `unix:${address.path}`;
  return address.family === "inet6" ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** As it is written in the file and by ip-address(8). */
export function formatAddressPrefix({ host, prefixLength }: AddressPrefix): string {
  return `${host}/${prefixLength}`;
}

/** True when both cannot be bound at once: equal, or one is the wildcard of the same family and port. */
export function addressesOverlap(a: SocketAddress, b: SocketAddress): boolean {
  if (a.family === "unix") return b.family === "unix" && a.path === b.path;
  if (b.family === "unix") return false;
  // IPV6_V6ONLY is set on IPv6 listeners, so 0.0.0.0:80 and [::]:80 live side by side, as in nginx.
  if (a.family !== b.family || a.port !== b.port) return false;
  return a.host === b.host || isWildcard(a) || isWildcard(b);
}

/** The peer is on this machine: no router, NAT or balancer lies on the way. */
export function isLocalAddress(address: SocketAddress): boolean {
  return (
    address.family === "unix" ||
    address.host === "::1" ||
    address.host === "localhost" ||
    address.host.startsWith("127.")
  );
}

export function isIpLiteral(host: string): boolean {
  return canonicalIpAddress(host) !== undefined;
}

/** The one spelling of an IP address (RFC 5952), or undefined when it is none. */
export function canonicalIpAddress(text: string): string | undefined {
  if (parseIpv4(text) !== undefined) return text;
  const words = parseIpv6(text);
  return words === undefined ? undefined : formatIpv6(words);
}

function isWildcard(address: SocketAddress): boolean {
  return address.family !== "unix" && (address.host === "0.0.0.0" || address.host === "::");
}

function parseUnixAddress(text: string): Parsed<SocketAddress> {
  const path = text.slice("unix:".length);
  if (!path.startsWith("/")) {
    return refused(`${quoted(text)}: the path must be absolute`, "write unix:/run/holdfast.sock");
  }
  if (path.includes("\0") || new TextEncoder().encode(path).length > UNIX_PATH_BYTES_MAX) {
    return refused(`${quoted(text)}: a socket path has at most ${UNIX_PATH_BYTES_MAX} bytes (unix(7))`);
  }
  return parsed({ family: "unix", path });
}

interface HostPort {
  readonly host: string;
  readonly port: number;
  readonly isBracketed: boolean;
}

function splitHostPort(text: string, hint: string): Parsed<HostPort> {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([^:]*))?$/.exec(text);
  if (match === null) {
    const isIpv6 = parseIpv6(text) !== undefined;
    return refused(
      isIpv6
        ? `${quoted(text)}: an IPv6 address needs brackets and a port`
        : `${quoted(text)} is not an address`,
      isIpv6 ? `write [${text}]:80` : hint,
    );
  }
  const [, bracketed, plain, portText] = match;
  if (portText === undefined)
    return refused(`${quoted(text)} has no port`, `write ${text}:80, or whichever port it is`);
  const port = /^\d{1,5}$/.test(portText) ? Number(portText) : 0;
  if (port < 1 || port > 65_535) return refused(`${quoted(text)}: the port must be 1 to 65535`, hint);
  if (bracketed === undefined) return parsed({ host: plain!, port, isBracketed: false });
  const words = parseIpv6(bracketed);
  if (words === undefined) {
    const reason = bracketed.includes("%")
      ? "zone identifiers are not supported"
      : `${quoted(bracketed)} is not an IPv6 address`;
    return refused(`${quoted(text)}: ${reason}`, hint);
  }
  return parsed({ host: formatIpv6(words), port, isBracketed: true });
}

/** Digits and dots only cannot be a host name (RFC 1123 §2.1): 10.0.0.300 is a mistyped address. */
function looksLikeIpv4(host: string): boolean {
  return /^[\d.]+$/.test(host);
}

function isHostName(host: string): boolean {
  return host.length <= 253 && /^[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*\.?$/i.test(host);
}

function parseIpv4(text: string): readonly number[] | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  const octets = match.slice(1).map(Number);
  // A leading zero is octal to some readers and decimal to others (RFC 6943 §3.1.1): refused.
  return octets.every((octet, index) => octet <= 255 && match[index + 1] === String(octet))
    ? octets
    : undefined;
}

/** The eight words of an IPv6 address. */
function parseIpv6(text: string): readonly number[] | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = parseIpv6Words(halves[0]!, halves.length === 1);
  const tail = halves.length === 1 ? [] : parseIpv6Words(halves[1]!, true);
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  return [...head, ...new Array<number>(missing).fill(0), ...tail];
}

function parseIpv6Words(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === "") return [];
  const words: number[] = [];
  const groups = text.split(":");
  for (const [index, group] of groups.entries()) {
    const octets = mayEndInIpv4 && index === groups.length - 1 ? parseIpv4(group) : undefined;
    if (octets !== undefined) words.push(octets[0]! * 256 + octets[1]!, octets[2]! * 256 + octets[3]!);
    else if (/^[0-9a-f]{1,4}$/i.test(group)) words.push(Number.parseInt(group, 16));
    else return undefined;
  }
  return words;
}

/** RFC 5952 §4: lower case, no leading zeros, the longest run of two or more zero words as `::`. */
function formatIpv6(words: readonly number[]): string {
  let bestStart = -1;
  let bestLength = 1;
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && words[start + length] === 0) length++;
    if (length > bestLength) [bestStart, bestLength] = [start, length];
  }
  const hex = (part: readonly number[]) => part.map((word) => word.toString(16)).join(":");
  if (bestStart < 0) return hex(words);
  return `${hex(words.slice(0, bestStart))}::${hex(words.slice(bestStart + bestLength))}`;
}
