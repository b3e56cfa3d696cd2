/**
 * Which route a request takes, by its host and the beginning of its path. Pure. Compiled once from `routes:` of a listener;
 * `match` runs once per request on the bytes of the request head and allocates nothing.
 *
 *  - Host: exact, then the longest wildcard (`*.example.org` = any subdomain, not example.org itself), then routes without a
 *    host. Compared without regard to case, to `:port` and to one trailing dot (RFC 9110 §4.2.3, RFC 3986 §3.2.2); IPv6
 *    literals in brackets.
 *  - Path: the longest prefix within the host. A prefix ends at a segment's end: `/v1` matches `/v1`, `/v1/x` and
 *    `/v1?x`, not `/v10`; `/v1/` matches what begins with it. `/` matches every target, `*` of OPTIONS included.
 *  - When no path of a host matches, the next less specific host is asked: wildcards from longest to shortest, then
 *    the routes without a host. (nginx answers 404 there.)
 *  - Paths are compared byte by byte, as sent: no percent-decoding, no `..`. The server sees the same bytes.
 *
 * How: the host is hashed from its last byte to its first, so that one pass yields the hash of every suffix; each label boundary
 * looks into a table of wildcards. Prefixes of one host are sorted; the greatest one that is not above the path is
 * found by binary search, and from it links lead to ever shorter prefixes. The fallback from host to host is a link
 * made at compile time.
 */
import type { RouteConfig } from "../config/types.ts";

const COLON = 0x3a;
const DOT = 0x2e;
const SLASH = 0x2f;
const QUESTION_MARK = 0x3f;
const BRACKET_OPEN = 0x5b;
const BRACKET_CLOSE = 0x5d;
const NONE = -1;

export class RouteTable {
  /** Set when one route takes everything: nothing needs to be looked at. */
  readonly #onlyRoute: number;
  readonly #default: PathGroup;
  /** undefined when no route names a host. */
  readonly #hosts: HostTable | undefined;

  constructor(routes: readonly RouteConfig[]) {
    const pathsByHost = new Map<string, [path: string, route: number][]>([["", []]]);
    routes.forEach((route, index) => {
      const host = route.host === undefined ? "" : normalizeHost(route.host);
      const paths = pathsByHost.get(host) ?? [];
      pathsByHost.set(host, paths);
      if (!paths.some(([path]) => path === route.path)) paths.push([route.path, index]); // the first of two equals wins
    });
    const groups = compileGroups(pathsByHost);
    this.#default = groups.get("")!;
    groups.delete("");
    this.#hosts = groups.size === 0 ? undefined : new HostTable(groups);
    this.#onlyRoute = groups.size === 0 && this.#default.isRootAlone() ? this.#default.rootRoute : NONE;
  }

  /**
   * @param hostStart -1 when the request has no host; the range may hold `:port` and any case
   * @param pathStart the path with its query
   * @returns index into the routes the table was made from, -1 when none matches
   */
  match(bytes: Uint8Array, hostStart: number, hostEnd: number, pathStart: number, pathEnd: number): number {
    if (this.#onlyRoute !== NONE) return this.#onlyRoute;
    let group: PathGroup | undefined = this.#default;
    if (this.#hosts !== undefined && hostStart !== NONE) {
      group = this.#hosts.find(bytes, hostStart, hostEnd) ?? this.#default;
    }
    for (; group !== undefined; group = group.fallback) {
      const route = group.find(bytes, pathStart, pathEnd);
      if (route !== NONE) return route;
    }
    return NONE;
  }
}

/** The routes of one host. */
class PathGroup {
  /** Route of "/", which takes what no longer prefix takes; -1 when there is none. */
  readonly rootRoute: number;
  /** Routes of the next less specific host; undefined for the routes without a host. */
  readonly fallback: PathGroup | undefined;
  /** All prefixes but "/", in byte order. */
  readonly #prefixes: readonly Uint8Array[];
  readonly #routes: Int32Array;
  /** Index of the longest other prefix that this one begins with, -1 when there is none. */
  readonly #parents: Int32Array;

  constructor(paths: readonly [path: string, route: number][], fallback: PathGroup | undefined) {
    const encoder = new TextEncoder();
    const sorted = paths
      .filter(([path]) => path !== "/")
      .map(([path, route]) => ({ bytes: encoder.encode(path), route }))
      .sort((a, b) => compareBytes(a.bytes, b.bytes));
    this.rootRoute = paths.find(([path]) => path === "/")?.[1] ?? NONE;
    this.fallback = fallback;
    this.#prefixes = sorted.map(({ bytes }) => bytes);
    this.#routes = Int32Array.from(sorted, ({ route }) => route);
    this.#parents = Int32Array.from(sorted, ({ bytes }, n) => {
      let parent = n - 1;
      while (parent >= 0 && commonLength(sorted[parent]!.bytes, bytes) < sorted[parent]!.bytes.length)
        parent--;
      return parent;
    });
  }

  isRootAlone(): boolean {
    return this.rootRoute !== NONE && this.#prefixes.length === 0;
  }

  find(bytes: Uint8Array, start: number, end: number): number {
    let low = 0;
    let high = this.#prefixes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (comparePrefix(this.#prefixes[middle]!, bytes, start, end) <= 0) low = middle + 1;
      else high = middle;
    }
    // Every prefix of the path sorts at or below it, and whatever sorts between the two begins with that prefix:
    // so the links that start just below the path lead past all prefixes of it, longest first.
    for (let n = low - 1; n >= 0; n = this.#parents[n]!) {
      if (endsSegment(this.#prefixes[n]!, bytes, start, end)) return this.#routes[n]!;
    }
    return this.rootRoute;
  }
}

/** Negative when `prefix` sorts before bytes[start, end) or begins it, positive when it sorts after. */
function comparePrefix(prefix: Uint8Array, bytes: Uint8Array, start: number, end: number): number {
  const length = Math.min(prefix.length, end - start);
  for (let n = 0; n < length; n++) {
    const difference = prefix[n]! - bytes[start + n]!;
    if (difference !== 0) return difference;
  }
  return prefix.length <= end - start ? -1 : 1;
}

/** Whether bytes[start, end) begins with `prefix` and the prefix ends where a path segment does. */
function endsSegment(prefix: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  const length = prefix.length;
  if (length > end - start) return false;
  for (let n = length - 1; n >= 0; n--) if (prefix[n] !== bytes[start + n]) return false;
  if (length === end - start || (length > 0 && prefix[length - 1] === SLASH)) return true;
  const next = bytes[start + length]!;
  return next === SLASH || next === QUESTION_MARK;
}

/** Groups by the hash of their host, read backwards. Open addressing, at most half full. */
class HostTable {
  /** Hosts in lower case, without the asterisk of a wildcard: ".example.org". */
  readonly #names: (Uint8Array | undefined)[];
  readonly #groups: (PathGroup | undefined)[];
  readonly #mask: number;

  constructor(groups: ReadonlyMap<string, PathGroup>) {
    let size = 2;
    while (size < groups.size * 2) size *= 2;
    this.#mask = size - 1;
    this.#names = new Array<Uint8Array | undefined>(size).fill(undefined);
    this.#groups = new Array<PathGroup | undefined>(size).fill(undefined);
    for (const [host, group] of groups) {
      const name = new TextEncoder().encode(nameOf(host));
      let hash = HASH_START;
      for (let n = name.length - 1; n >= 0; n--) hash = hashStep(hash, name[n]!);
      let slot = spread(hash) & this.#mask;
      while (this.#names[slot] !== undefined) slot = (slot + 1) & this.#mask;
      this.#names[slot] = name;
      this.#groups[slot] = group;
    }
  }

  /** The group of the exact host, else of the longest wildcard, else undefined. */
  find(bytes: Uint8Array, start: number, end: number): PathGroup | undefined {
    const nameEnd = endOfName(bytes, start, end);
    if (nameEnd === start) return undefined;
    let longest: PathGroup | undefined;
    let hash = HASH_START;
    for (let at = nameEnd - 1; at > start; at--) {
      const byte = bytes[at]!;
      hash = hashStep(hash, byte);
      if (byte === DOT) longest = this.#lookUp(hash, bytes, at, nameEnd) ?? longest;
    }
    return this.#lookUp(hashStep(hash, bytes[start]!), bytes, start, nameEnd) ?? longest;
  }

  #lookUp(hash: number, bytes: Uint8Array, start: number, end: number): PathGroup | undefined {
    for (let slot = spread(hash) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const name = this.#names[slot];
      if (name === undefined) return undefined;
      if (name.length === end - start && equalsIgnoringCase(name, bytes, start)) return this.#groups[slot];
    }
  }
}

/** Where the name ends: before the port and one trailing dot. The brackets of an IPv6 literal belong to the name. */
function endOfName(bytes: Uint8Array, start: number, end: number): number {
  if (bytes[start] === BRACKET_OPEN) {
    for (let at = start + 1; at < end; at++) if (bytes[at] === BRACKET_CLOSE) return at + 1;
    return end;
  }
  let digits = end;
  while (digits > start && isDigit(bytes[digits - 1]!)) digits--;
  const nameEnd = digits > start && bytes[digits - 1] === COLON ? digits - 1 : end;
  return nameEnd > start && bytes[nameEnd - 1] === DOT ? nameEnd - 1 : nameEnd;
}

const HASH_START = 0x811c9dc5 | 0;

/** One step of FNV-1a over the byte in lower case. */
function hashStep(hash: number, byte: number): number {
  return Math.imul(hash ^ toLowerCase(byte), 0x01000193);
}

/** FNV's low bits are its weakest. */
function spread(hash: number): number {
  return hash ^ (hash >>> 15);
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function toLowerCase(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}

function equalsIgnoringCase(name: Uint8Array, bytes: Uint8Array, start: number): boolean {
  for (let n = 0; n < name.length; n++) if (name[n] !== toLowerCase(bytes[start + n]!)) return false;
  return true;
}

function normalizeHost(host: string): string {
  const lower = host.toLowerCase();
  if (lower.startsWith("[")) return lower;
  if (lower.includes(":")) return `[${lower}]`; // an IPv6 address; a port is not part of the setting
  return lower.endsWith(".") ? lower.slice(0, -1) : lower;
}

/** A host without the asterisk of a wildcard: what must be found at the end of a request's host. */
function nameOf(host: string): string {
  return host.startsWith("*") ? host.slice(1) : host;
}

/** Groups by host; "" holds the routes without one. Shorter hosts first, so that each can link to those it falls back to. */
function compileGroups(
  pathsByHost: ReadonlyMap<string, readonly [path: string, route: number][]>,
): Map<string, PathGroup> {
  const groups = new Map<string, PathGroup>();
  const hosts = [...pathsByHost.keys()].sort((a, b) => nameOf(a).length - nameOf(b).length);
  for (const host of hosts) {
    const name = nameOf(host);
    let fallback = host === "" ? undefined : groups.get("");
    for (const [other, group] of groups) {
      // Hosts are visited from short to long, so the last wildcard that fits is the longest.
      if (other.startsWith("*") && name.endsWith(nameOf(other)) && name !== nameOf(other)) fallback = group;
    }
    groups.set(host, new PathGroup(pathsByHost.get(host)!, fallback));
  }
  return groups;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const common = commonLength(a, b);
  if (common < a.length && common < b.length) return a[common]! - b[common]!;
  return a.length - b.length;
}

function commonLength(a: Uint8Array, b: Uint8Array): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return n;
}
