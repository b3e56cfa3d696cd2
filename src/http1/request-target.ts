/**
 * The request-target's four forms and the host they or the Host field name (RFC 9112 §3.2, RFC 9110 §7.2, RFC 3986 §3.2.2).
 * Called by `request-head.ts`; the absolute and authority forms are cold paths.
 */
import { equalsIgnoringCase, REG_NAME as IMPORTED_REG_NAME, IPV6_LITERAL, octetsOf } from "./octets.ts";

// Copies: an imported or exported binding is loaded from its module cell at every use, a private one is a constant in optimised
// code. Measured on whole heads: a quarter less time.
const REG_NAME = IMPORTED_REG_NAME;
const AT = 0x40;
const COLON = 0x3a;
const DIGIT_0 = 0x30;
const QUESTION_MARK = 0x3f;
const SLASH = 0x2f;

export const TargetForm = { ORIGIN: 0, ABSOLUTE: 1, ASTERISK: 2, AUTHORITY: 3 } as const;

const HTTP_SCHEME = octetsOf("http://");
const HTTPS_SCHEME = octetsOf("https://");
const OPENING_BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;

/**
 * Is `bytes[start, end)` a `uri-host [ ":" port ]`? An empty host is refused: the http scheme forbids it (RFC 9110 §4.2.1),
 * and a server that guesses one is how requests get routed to the wrong tenant.
 */
export function isHostAndPort(bytes: Uint8Array, start: number, end: number): boolean {
  let p = start;
  if (p < end && bytes[p] === OPENING_BRACKET) {
    p++;
    while (p < end && IPV6_LITERAL[bytes[p]!] !== 0) p++;
    if (p >= end || p === start + 1 || bytes[p] !== CLOSING_BRACKET) return false;
    p++;
  } else {
    while (p < end && REG_NAME[bytes[p]!] !== 0) p++;
    if (p === start) return false;
  }
  return p === end || (bytes[p] === COLON && isPort(bytes, p + 1, end));
}

/** `*DIGIT`, at most 65535; empty means the scheme's default. */
function isPort(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start > 5) return false;
  let port = 0;
  for (let p = start; p < end; p++) {
    const digit = bytes[p]! - DIGIT_0;
    if (digit < 0 || digit > 9) return false;
    port = port * 10 + digit;
  }
  return port <= 65535;
}

/** Offset of the authority in an absolute-form target, or -1 when it is not http:// or https://. */
export function authorityStartOf(bytes: Uint8Array, start: number, end: number): number {
  const afterHttp = start + HTTP_SCHEME.length;
  if (afterHttp <= end && equalsIgnoringCase(bytes, start, afterHttp, HTTP_SCHEME)) return afterHttp;
  const afterHttps = start + HTTPS_SCHEME.length;
  if (afterHttps <= end && equalsIgnoringCase(bytes, start, afterHttps, HTTPS_SCHEME)) return afterHttps;
  return -1;
}

/** End of the authority: the first "/" or "?". An "@" (userinfo) is not a host octet, so `isHostAndPort` refuses it. */
export function authorityEndOf(bytes: Uint8Array, start: number, end: number): number {
  let p = start;
  while (p < end && bytes[p] !== SLASH && bytes[p] !== QUESTION_MARK && bytes[p] !== AT) p++;
  return p;
}
