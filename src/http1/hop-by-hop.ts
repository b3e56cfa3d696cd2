/**
 * Which fields end at this hop (RFC 9110 §7.6.1), which can never be made to end here by a peer that nominates them,
 * and which have no business in a trailer section (RFC 9110 §6.5.1). Called by the writers of heads and trailers.
 */
import { FIELD_ID_COUNT, FieldId } from "./field-name.ts";
import { lowerCaseOf, octetsOf } from "./octets.ts";

/**
 * By FieldId: 1 = removed from every message. Connection and what goes with it; Transfer-Encoding, Upgrade and TE are
 * written anew where they apply. `Close` is the field a `close` option would nominate (reserved by RFC 9112 §12.1).
 */
export const IS_HOP_BY_HOP: Uint8Array = new Uint8Array(FIELD_ID_COUNT);
for (const id of [
  FieldId.CONNECTION,
  FieldId.KEEP_ALIVE,
  FieldId.PROXY_CONNECTION,
  FieldId.TE,
  FieldId.TRANSFER_ENCODING,
  FieldId.UPGRADE,
  FieldId.HTTP2_SETTINGS,
  FieldId.CLOSE,
]) {
  IS_HOP_BY_HOP[id] = 1;
}

/**
 * RFC 9110 §7.6.1: "A sender MUST NOT send a connection option corresponding to a field that is intended for all
 * recipients of the content." A client that does is trying to strip a field the server relies on (Cookie,
 * Authorization, X-Forwarded-For, …): the nomination is ignored and the field passed on.
 */
const NEVER_NOMINATED = nameSet([
  "host content-length content-type content-encoding content-language content-location content-range content-disposition",
  "content-security-policy transfer-encoding authorization www-authenticate cookie set-cookie cache-control pragma",
  "date age expires etag last-modified vary location retry-after accept-ranges allow server",
  "if-match if-none-match if-modified-since if-unmodified-since if-range range expect max-forwards",
  "accept accept-encoding accept-language user-agent referer origin via forwarded x-real-ip x-request-id traceparent",
  "strict-transport-security access-control-allow-origin access-control-allow-credentials",
]);

/**
 * Framing, routing, request modifiers, authentication, and what tells how to process the content (RFC 9110 §6.5.1),
 * plus everything hop-by-hop.
 */
const FORBIDDEN_IN_TRAILERS = nameSet([
  "connection close keep-alive proxy-connection te trailer transfer-encoding upgrade http2-settings",
  "host content-length content-type content-encoding content-range content-location cache-control expect max-forwards pragma range",
  "if-match if-none-match if-modified-since if-unmodified-since if-range",
  "authorization proxy-authenticate proxy-authorization www-authenticate cookie set-cookie",
  "age date expires location retry-after vary warning via forwarded x-real-ip",
]);

const X_FORWARDED = octetsOf("x-forwarded-");

export function isNeverNominated(bytes: Uint8Array, start: number, end: number): boolean {
  return startsWithForwarded(bytes, start, end) || NEVER_NOMINATED.has(nameAsText(bytes, start, end));
}

export function isForbiddenInTrailers(bytes: Uint8Array, start: number, end: number): boolean {
  return startsWithForwarded(bytes, start, end) || FORBIDDEN_IN_TRAILERS.has(nameAsText(bytes, start, end));
}

function startsWithForwarded(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < X_FORWARDED.length) return false;
  for (let i = 0; i < X_FORWARDED.length; i++) {
    if (lowerCaseOf(bytes[start + i]!) !== X_FORWARDED[i]) return false;
  }
  return true;
}

function nameSet(lines: readonly string[]): ReadonlySet<string> {
  return new Set(lines.flatMap((line) => line.split(" ")));
}

/** Nominations and trailers are rare: a string is fine here. Longer names than any in the sets are not built. */
function nameAsText(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > 40) return "";
  let text = "";
  for (let p = start; p < end; p++) text += String.fromCharCode(lowerCaseOf(bytes[p]!));
  return text;
}
