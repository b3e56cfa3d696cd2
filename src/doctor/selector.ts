/**
 * SELECTOR: which sockets a command is about. `pid:1234`, `process:nginx`, `port:443`, `peer:10.0.0.0/8`, `listen:80`, `fd:PID/FD`,
 * `LOCAL->REMOTE` (or `LOCAL→REMOTE`), `all`; several mean "and". Pure: a question about one socket and those who hold it.
 * Used by probe, enable, sockets and watch.
 */
import { type Parsed, parsed, quoted, refused } from "../config/parsed.ts";
import { encodeIp, formatIp } from "../ip/address.ts";

/** One process that has a socket among its descriptors; a socket may have several (nginx's workers share a listener). */
export interface SocketHolder {
  readonly pid: number;
  readonly fd: number;
  /** /proc/PID/comm */
  readonly processName: string;
}

/** What a selector looks at. Addresses are literals as formatIp() writes them; remotePort is 0 for a listener. */
export interface SelectorSubject {
  readonly isListening: boolean;
  readonly localHost: string;
  readonly localPort: number;
  readonly remoteHost: string;
  readonly remotePort: number;
}

/** A network in CIDR notation (RFC 4632): four or sixteen bytes in network order. */
export interface Network {
  readonly bytes: Uint8Array;
  readonly prefixBits: number;
}

/** An end of a connection; undefined: any. */
export interface EndPattern {
  readonly host: string | undefined;
  readonly port: number | undefined;
}

export type SelectorTerm =
  | { readonly kind: "all" }
  | { readonly kind: "pid"; readonly pid: number }
  | { readonly kind: "process"; readonly name: string }
  | { readonly kind: "fd"; readonly pid: number; readonly fd: number }
  | { readonly kind: "port"; readonly port: number }
  | { readonly kind: "listen"; readonly port: number | undefined }
  | { readonly kind: "peer"; readonly network: Network }
  | { readonly kind: "pair"; readonly local: EndPattern; readonly remote: EndPattern };

export type Selector = readonly SelectorTerm[];

export const SELECTOR_HELP = `  pid:1234              sockets of this process
  process:nginx         sockets of every process of this name (/proc/PID/comm)
  fd:1234/17            descriptor 17 of process 1234
  port:443              local or remote port
  listen:80             the listening socket of this port (listen:* for all)
  peer:10.0.0.0/8       the remote address is in this network
  '10.0.0.1:80->10.0.0.2:5000'
                        this connection (in quotes: to a shell, > means a file); either end may be *, or lack
                        its host or port: '*:80->*'
  all                   every socket
Several mean "and": process:nginx port:443`;

const HINT =
  "write pid:1234, process:nginx, port:443, peer:10.0.0.0/8, listen:80, fd:PID/FD, 'LOCAL->REMOTE' or all; several mean and";

/** Words of the command line; a comma also separates (`process:nginx,port:443`). */
export function parseSelector(words: readonly string[]): Parsed<Selector> {
  const terms: SelectorTerm[] = [];
  for (const word of words.flatMap((it) => it.split(",")).map((it) => it.trim())) {
    if (word === "") continue;
    const term = parseTerm(word);
    if (!term.ok) return term;
    terms.push(term.value);
  }
  return terms.length === 0 ? refused("no selector named", HINT) : parsed(terms);
}

function parseTerm(word: string): Parsed<SelectorTerm> {
  if (word === "all") return parsed({ kind: "all" });
  const arrow = /->|→/.exec(word);
  if (arrow !== null) return parsePair(word, arrow.index, arrow[0].length);
  const match = /^([a-z]+):(.+)$/.exec(word);
  const [, kind = "", value = ""] = match ?? [];
  switch (kind) {
    case "pid":
      return withNumber(word, value, 1, 2 ** 31 - 1, (pid) => ({ kind: "pid", pid }));
    case "process":
      return parsed({ kind: "process", name: value });
    case "port":
      return withNumber(word, value, 1, 65535, (port) => ({ kind: "port", port }));
    case "listen":
      if (value === "*") return parsed({ kind: "listen", port: undefined });
      return withNumber(word, value, 1, 65535, (port) => ({ kind: "listen", port }));
    case "fd":
      return parseDescriptor(word, value);
    case "peer":
      return parsePeer(word, value);
    default:
      return refused(`${quoted(word)} is no selector`, HINT);
  }
}

function withNumber(
  word: string,
  text: string,
  minimum: number,
  maximum: number,
  make: (number: number) => SelectorTerm,
): Parsed<SelectorTerm> {
  const number = /^\d{1,10}$/.test(text) ? Number(text) : -1;
  if (number >= minimum && number <= maximum) return parsed(make(number));
  return refused(`${quoted(word)}: ${quoted(text)} is not a number from ${minimum} to ${maximum}`);
}

function parseDescriptor(word: string, value: string): Parsed<SelectorTerm> {
  const match = /^(\d{1,10})\/(\d{1,10})$/.exec(value);
  if (match === null) return refused(`${quoted(word)} is not fd:PID/FD`, "for example fd:1234/17");
  return parsed({ kind: "fd", pid: Number(match[1]), fd: Number(match[2]) });
}

function parsePeer(word: string, value: string): Parsed<SelectorTerm> {
  const [host = "", bits, ...more] = value.split("/");
  const bytes = literal(host);
  if (bytes === undefined || more.length > 0)
    return refused(
      `${quoted(word)}: ${quoted(value)} is no address or network`,
      "for example peer:10.0.0.0/8 or peer:2001:db8::/32",
    );
  const width = bytes.length * 8;
  const prefixBits = bits === undefined ? width : /^\d{1,3}$/.test(bits) ? Number(bits) : -1;
  if (prefixBits < 0 || prefixBits > width)
    return refused(`${quoted(word)}: the prefix length is not a number from 0 to ${width}`);
  return parsed({ kind: "peer", network: { bytes, prefixBits } });
}

function parsePair(word: string, at: number, arrowLength: number): Parsed<SelectorTerm> {
  const local = parseEnd(word.slice(0, at).trim());
  const remote = parseEnd(word.slice(at + arrowLength).trim());
  if (local === undefined || remote === undefined)
    return refused(
      `${quoted(word)} is not LOCAL->REMOTE`,
      "for example '10.0.0.1:80->10.0.0.2:5000' or '*:80->*', in quotes for a shell",
    );
  return parsed({ kind: "pair", local, remote });
}

/** `10.0.0.1:80`, `[2001:db8::1]:80`, `10.0.0.1`, `*:80`, `:80`, `*`. */
function parseEnd(text: string): EndPattern | undefined {
  if (text === "*") return { host: undefined, port: undefined };
  const match = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d{1,5}|\*))?$/.exec(text);
  if (match === null) {
    const bytes = literal(text); // IPv6 without port and brackets
    return bytes === undefined ? undefined : { host: formatIp(bytes), port: undefined };
  }
  const host = match[1] ?? match[2] ?? "";
  const port = match[3] === undefined || match[3] === "*" ? undefined : Number(match[3]);
  if (text === "" || (port !== undefined && port > 65535)) return undefined;
  if (host === "*" || host === "") return { host: undefined, port };
  const bytes = literal(host);
  return bytes === undefined ? undefined : { host: formatIp(bytes), port };
}

/** Bytes of an address literal; an IPv4-mapped one counts as IPv4, as everywhere. */
function literal(text: string): Uint8Array | undefined {
  try {
    return encodeIp(formatIp(encodeIp(text)));
  } catch {
    return undefined;
  }
}

/** Whether the answer depends on who holds the socket: if not, /proc need not be searched to find the sockets. */
export function needsHolders(selector: Selector): boolean {
  return selector.some(isAboutHolder);
}

function isAboutHolder(term: SelectorTerm): boolean {
  return term.kind === "pid" || term.kind === "process" || term.kind === "fd";
}

/** The part about addresses and state; `pid:`, `process:` and `fd:` are passed over. */
export function matchesSocket(selector: Selector, subject: SelectorSubject): boolean {
  return selector.every((term) => isAboutHolder(term) || matchesTerm(term, subject));
}

/** The part about the holder; true when the selector does not ask. */
export function matchesHolder(selector: Selector, holder: SocketHolder): boolean {
  return selector.every((term) => {
    if (term.kind === "pid") return holder.pid === term.pid;
    if (term.kind === "process") return holder.processName === term.name;
    if (term.kind === "fd") return holder.pid === term.pid && holder.fd === term.fd;
    return true;
  });
}

/** Both: one holder has to satisfy every term about holders. */
export function matchesSelector(
  selector: Selector,
  subject: SelectorSubject,
  holders: readonly SocketHolder[],
): boolean {
  if (!matchesSocket(selector, subject)) return false;
  return !needsHolders(selector) || holders.some((holder) => matchesHolder(selector, holder));
}

function matchesTerm(term: SelectorTerm, subject: SelectorSubject): boolean {
  switch (term.kind) {
    case "port":
      return subject.localPort === term.port || subject.remotePort === term.port;
    case "listen":
      return subject.isListening && (term.port === undefined || subject.localPort === term.port);
    case "peer":
      return !subject.isListening && isWithin(subject.remoteHost, term.network);
    case "pair":
      return (
        !subject.isListening &&
        matchesEnd(term.local, subject.localHost, subject.localPort) &&
        matchesEnd(term.remote, subject.remoteHost, subject.remotePort)
      );
    default:
      return true;
  }
}

function matchesEnd(pattern: EndPattern, host: string, port: number): boolean {
  return (
    (pattern.host === undefined || pattern.host === host) &&
    (pattern.port === undefined || pattern.port === port)
  );
}

function isWithin(host: string, network: Network): boolean {
  const bytes = literal(host);
  if (bytes === undefined || bytes.length !== network.bytes.length) return false;
  for (let bit = 0; bit < network.prefixBits; bit += 8) {
    const mask = (0xff << (8 - Math.min(8, network.prefixBits - bit))) & 0xff;
    if (((bytes[bit >> 3]! ^ network.bytes[bit >> 3]!) & mask) !== 0) return false;
  }
  return true;
}

/** `10.0.0.1:80`, `[2001:db8::1]:80`. */
export function formatEnd(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
