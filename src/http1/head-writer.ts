/**
 * Writes a parsed head for the next hop (RFC 9110 §7.6, RFC 9112 §3.2; read §7.6.1 first): whole runs of lines are copied
 * as they came, lines that end at this hop are left out, and our own are added at the end. Header bytes are never
 * turned into strings. Called once per request and once per response by the proxy, on the hot path: no allocation.
 *
 * The caller makes room for `requestHeadBytesMax` / `responseHeadBytesMax` octets first.
 */
import { ConnectionOption } from "./connection-options.ts";
import { FieldId } from "./field-name.ts";
import { Framing } from "./framing.ts";
import { IS_HOP_BY_HOP as IMPORTED_IS_HOP_BY_HOP } from "./hop-by-hop.ts";
import { copyOctets, copyShort, literalOf, writeDecimal, writeLiteral } from "./octets.ts";
import { MethodCode, type RequestHead } from "./request-head.ts";
import { TargetForm } from "./request-target.ts";
import type { ResponseHead } from "./response-head.ts";

// Copies: an imported or exported binding is loaded from its module cell at every use, a private one is a constant in optimised
// code. Measured on whole heads: a quarter less time.
const IS_HOP_BY_HOP = IMPORTED_IS_HOP_BY_HOP;
const COMMA = 0x2c;
const CR = 0x0d;
const DIGIT_0 = 0x30;
const LF = 0x0a;
const SLASH = 0x2f;
const SP = 0x20;
const ID_HOST = FieldId.HOST;
const ID_CONTENT_LENGTH = FieldId.CONTENT_LENGTH;
const ID_EXPECT = FieldId.EXPECT;
const ID_MAX_FORWARDS = FieldId.MAX_FORWARDS;
const ID_X_FORWARDED_FOR = FieldId.X_FORWARDED_FOR;
const ID_X_FORWARDED_PROTO = FieldId.X_FORWARDED_PROTO;
const ID_X_FORWARDED_HOST = FieldId.X_FORWARDED_HOST;
const FRAMED_BY_LENGTH = Framing.LENGTH;
const FRAMED_BY_CHUNKS = Framing.CHUNKED;
const ORIGIN_FORM = TargetForm.ORIGIN;
const ABSOLUTE_FORM = TargetForm.ABSOLUTE;
const OPTION_OTHER = ConnectionOption.OTHER;
const OPTIONS_METHOD = MethodCode.OPTIONS;
const TRACE_METHOD = MethodCode.TRACE;

const SP_HTTP11_CRLF = literalOf(" HTTP/1.1\r\n");
const HTTP11_SP = literalOf("HTTP/1.1 ");
const HOST = literalOf("Host: ");
const CONTENT_LENGTH = literalOf("Content-Length: ");
const TRANSFER_ENCODING_CHUNKED = literalOf("Transfer-Encoding: chunked\r\n");
const CONNECTION_CLOSE = literalOf("Connection: close\r\n");
const CONNECTION_KEEP_ALIVE = literalOf("Connection: keep-alive\r\n");
const CONNECTION_UPGRADE = literalOf("Connection: upgrade\r\nUpgrade: ");
const CONNECTION_TE = literalOf("Connection: TE\r\nTE: trailers\r\n");
const CONNECTION_CLOSE_TE = literalOf("Connection: close, TE\r\nTE: trailers\r\n");
const KEEP_ALIVE_TIMEOUT = literalOf("Keep-Alive: timeout=");
const MAX_FORWARDS = literalOf("Max-Forwards: ");
const X_FORWARDED_FOR = literalOf("X-Forwarded-For: ");
const X_FORWARDED_PROTO = literalOf("X-Forwarded-Proto: http\r\n");
const X_FORWARDED_HOST = literalOf("X-Forwarded-Host: ");
const PROTO_AND_FOR = literalOf("X-Forwarded-Proto: http\r\nX-Forwarded-For: ");
const CRLF_FORWARDED_HOST = literalOf("\r\nX-Forwarded-Host: ");
const CRLF_VIA_11_END = literalOf("\r\nVia: 1.1 holdfast\r\n\r\n");
const VIA_11 = literalOf("Via: 1.1 holdfast\r\n");
const VIA_10 = literalOf("Via: 1.0 holdfast\r\n");
const ASTERISK = literalOf("*");

/** More than all literals above together. */
const OWN_LINES_BYTES_MAX = 512;

/** How one request is to be forwarded. Reused; all fields are set by the caller where they differ from the defaults. */
export class RequestForwarding {
  /** RFC 9110 §7.6.3: a gateway MUST send Via on requests. */
  via = true;
  /** False: `Connection: close`, the connection to the server will not be reused. */
  persistent = true;
  /** Pass the client's Upgrade on (`head.upgradeStart >= 0`). */
  isUpgrade = false;
  /** The peer's X-Forwarded-Proto and X-Forwarded-Host are believed; X-Forwarded-For is always continued. */
  trustsPeer = false;
  /** Host for an HTTP/1.0 request that names none: usually the pool's or server's name. */
  hostFallback: Uint8Array = new Uint8Array(0);
  /** The client's IP address as text; only the first `clientAddressLength` octets count. 0: unknown (a UNIX socket). */
  clientAddress: Uint8Array = new Uint8Array(0);
  clientAddressLength = 0;
}

/** An upper bound of what `writeRequestHead` writes. */
export function requestHeadBytesMax(head: RequestHead, forwarding: RequestForwarding): number {
  const hostBytes = head.hostStart < 0 ? forwarding.hostFallback.length : head.hostEnd - head.hostStart;
  return head.end - head.start + OWN_LINES_BYTES_MAX + 2 * hostBytes + forwarding.clientAddressLength;
}

/** Bits: which of the peer's forwarding fields are there. */
const HAS_FOR = 1;
const KEEPS_PROTO = 2;
const KEEPS_HOST = 4;

/** Writes the head that goes to the server; the new offset. */
export function writeRequestHead(
  out: Uint8Array,
  offset: number,
  bytes: Uint8Array,
  head: RequestHead,
  forwarding: RequestForwarding,
): number {
  const fields = head.fields;
  const { notable, notableCount, id: ids, lineStart, lineEnd } = fields;
  const hasNominations = (head.connectionOptions & OPTION_OTHER) !== 0;
  let runStart = head.start;
  if (head.targetForm !== ORIGIN_FORM || head.minorVersion === 0) {
    offset = writeRequestLine(out, offset, bytes, head, forwarding.hostFallback);
    runStart = head.fieldsStart;
  }
  let seen = 0;
  for (let k = 0; k < notableCount; k++) {
    const row = notable[k]!;
    const id = ids[row]!;
    if (id === ID_X_FORWARDED_FOR) seen |= HAS_FOR;
    else if (IS_HOP_BY_HOP[id] === 0 && !(hasNominations && fields.isNominated[row] === 1)) {
      if (keepsRequestField(id, head, forwarding)) {
        if (id === ID_X_FORWARDED_PROTO) seen |= KEEPS_PROTO;
        if (id === ID_X_FORWARDED_HOST) seen |= KEEPS_HOST;
        continue;
      }
    }
    offset = copyOctets(out, offset, bytes, runStart, lineStart[row]!);
    runStart = lineEnd[row]!;
  }
  offset = copyOctets(out, offset, bytes, runStart, head.end - 2);
  offset = writeRequestControl(out, offset, bytes, head, forwarding);
  return writeForwarded(out, offset, bytes, head, forwarding, seen);
}

/** Request line in the form an origin server takes, and Host where the client's own does not stand for it (RFC 9112 §3.2). */
function writeRequestLine(
  out: Uint8Array,
  offset: number,
  bytes: Uint8Array,
  head: RequestHead,
  hostFallback: Uint8Array,
): number {
  offset = copyOctets(out, offset, bytes, head.methodStart, head.methodEnd);
  out[offset++] = SP;
  const isPathEmpty = head.pathStart === head.pathEnd;
  if (head.targetForm === TargetForm.AUTHORITY) {
    offset = copyOctets(out, offset, bytes, head.targetStart, head.targetEnd);
  } else if (isPathEmpty && head.method === OPTIONS_METHOD) {
    // RFC 9112 §3.2.4: the last proxy sends "*" for an absolute-form OPTIONS with no path and no query.
    offset = writeLiteral(out, offset, ASTERISK);
  } else {
    if (head.targetForm === ABSOLUTE_FORM && (isPathEmpty || bytes[head.pathStart] !== SLASH)) {
      out[offset++] = SLASH;
    }
    offset = copyOctets(out, offset, bytes, head.pathStart, head.pathEnd);
  }
  offset = writeLiteral(out, offset, SP_HTTP11_CRLF);
  if (head.hostStart >= 0 && head.targetForm !== ABSOLUTE_FORM) return offset;
  if (head.hostStart < 0 && hostFallback.length === 0) return offset;
  offset = writeLiteral(out, offset, HOST);
  offset =
    head.hostStart < 0
      ? copyShort(out, offset, hostFallback, hostFallback.length)
      : copyOctets(out, offset, bytes, head.hostStart, head.hostEnd);
  return writeCrlf(out, offset);
}

/** Is a notable end-to-end field copied as it stands? Otherwise it is left out, or written anew below. */
function keepsRequestField(id: number, head: RequestHead, forwarding: RequestForwarding): boolean {
  switch (id) {
    case ID_HOST:
      return head.targetForm !== ABSOLUTE_FORM;
    case ID_CONTENT_LENGTH:
      return false;
    case ID_EXPECT:
      return head.minorVersion !== 0;
    case ID_MAX_FORWARDS:
      return !countsForwards(head);
    case ID_X_FORWARDED_PROTO:
    case ID_X_FORWARDED_HOST:
      return forwarding.trustsPeer;
    default:
      return true;
  }
}

/** RFC 9110 §7.6.2: Max-Forwards is defined for OPTIONS and TRACE. A count of 0 is for the caller to answer itself. */
function countsForwards(head: RequestHead): boolean {
  return head.maxForwards >= 0 && (head.method === OPTIONS_METHOD || head.method === TRACE_METHOD);
}

/** Framing and connection options of our own hop. */
function writeRequestControl(
  out: Uint8Array,
  offset: number,
  bytes: Uint8Array,
  head: RequestHead,
  forwarding: RequestForwarding,
): number {
  if (head.framing === FRAMED_BY_LENGTH) offset = writeContentLength(out, offset, head.contentLength);
  else if (head.framing === FRAMED_BY_CHUNKS) offset = writeLiteral(out, offset, TRANSFER_ENCODING_CHUNKED);
  if (countsForwards(head)) {
    offset = writeLiteral(out, offset, MAX_FORWARDS);
    offset = writeDecimal(out, offset, head.maxForwards > 0 ? head.maxForwards - 1 : 0);
    offset = writeCrlf(out, offset);
  }
  if (forwarding.isUpgrade && head.upgradeStart >= 0) {
    offset = writeLiteral(out, offset, CONNECTION_UPGRADE);
    offset = copyOctets(out, offset, bytes, head.upgradeStart, head.upgradeEnd);
    return writeCrlf(out, offset);
  }
  if (head.offersTrailers) {
    return writeLiteral(out, offset, forwarding.persistent ? CONNECTION_TE : CONNECTION_CLOSE_TE);
  }
  return forwarding.persistent ? offset : writeLiteral(out, offset, CONNECTION_CLOSE);
}

function writeForwarded(
  out: Uint8Array,
  offset: number,
  bytes: Uint8Array,
  head: RequestHead,
  forwarding: RequestForwarding,
  seen: number,
): number {
  const addressLength = forwarding.clientAddressLength;
  const hasHost = head.hostStart >= 0;
  if (seen === 0 && hasHost && addressLength > 0 && forwarding.via && head.minorVersion !== 0) {
    // The usual request: four fields as three literals around two copies.
    offset = writeLiteral(out, offset, PROTO_AND_FOR);
    offset = copyShort(out, offset, forwarding.clientAddress, addressLength);
    offset = writeLiteral(out, offset, CRLF_FORWARDED_HOST);
    offset = copyOctets(out, offset, bytes, head.hostStart, head.hostEnd);
    return writeLiteral(out, offset, CRLF_VIA_11_END);
  }
  if ((seen & HAS_FOR) !== 0 || addressLength > 0) {
    offset = writeForwardedFor(out, offset, bytes, head, forwarding);
  }
  if ((seen & KEEPS_PROTO) === 0) offset = writeLiteral(out, offset, X_FORWARDED_PROTO);
  if (hasHost && (seen & KEEPS_HOST) === 0) {
    offset = writeLiteral(out, offset, X_FORWARDED_HOST);
    offset = copyOctets(out, offset, bytes, head.hostStart, head.hostEnd);
    offset = writeCrlf(out, offset);
  }
  if (forwarding.via) offset = writeLiteral(out, offset, head.minorVersion === 0 ? VIA_10 : VIA_11);
  return writeCrlf(out, offset);
}

/** The peer's lines and its own address as one list: the last element is the only one the gateway vouches for. */
function writeForwardedFor(
  out: Uint8Array,
  offset: number,
  bytes: Uint8Array,
  head: RequestHead,
  forwarding: RequestForwarding,
): number {
  const fields = head.fields;
  const lineStart = offset;
  offset = writeLiteral(out, offset, X_FORWARDED_FOR);
  const listStart = offset;
  for (let k = 0; k < fields.notableCount; k++) {
    const row = fields.notable[k]!;
    if (fields.id[row] !== ID_X_FORWARDED_FOR || fields.valueStart[row] === fields.valueEnd[row]) continue;
    if (offset > listStart) offset = writeSeparator(out, offset);
    offset = copyOctets(out, offset, bytes, fields.valueStart[row]!, fields.valueEnd[row]!);
  }
  if (forwarding.clientAddressLength > 0) {
    if (offset > listStart) offset = writeSeparator(out, offset);
    offset = copyShort(out, offset, forwarding.clientAddress, forwarding.clientAddressLength);
  }
  return offset === listStart ? lineStart : writeCrlf(out, offset);
}

/** How one response is to be forwarded. Reused; all fields are set by the caller where they differ from the defaults. */
export class ResponseForwarding {
  clientMinorVersion = 1;
  /** False: `Connection: close`, this is the last response on the client's connection. */
  persistent = true;
  /** A Framing, usually `forwardedFraming(head.framing, clientMinorVersion)`. NONE keeps a Content-Length that describes a body not sent (HEAD, 304). */
  framing = 0;
  /** N ≥ 0 sends `Keep-Alive: timeout=N` while the connection persists. */
  keepAliveHeaderSeconds = -1;
  /** The 101 that begins a tunnel. */
  isUpgrade = false;
  /** A whole line, "Date: …\r\n", for a response without one (RFC 9110 §6.6.1). */
  date: Uint8Array = new Uint8Array(0);
}

/** An upper bound of what `writeResponseHead` writes. */
export function responseHeadBytesMax(head: ResponseHead, forwarding: ResponseForwarding): number {
  return head.end - head.start + OWN_LINES_BYTES_MAX + forwarding.date.length;
}

/** Writes the head that goes to the client; the new offset. */
export function writeResponseHead(
  out: Uint8Array,
  offset: number,
  bytes: Uint8Array,
  head: ResponseHead,
  forwarding: ResponseForwarding,
): number {
  const fields = head.fields;
  const { notable, notableCount, id: ids, lineStart, lineEnd } = fields;
  const hasNominations = (head.connectionOptions & OPTION_OTHER) !== 0;
  let runStart = head.start;
  if (bytes[runStart + 7] !== DIGIT_0 + 1 || bytes[runStart + 12] !== SP) {
    offset = writeStatusLine(out, offset, bytes, head);
    runStart = head.fieldsStart;
  }
  for (let k = 0; k < notableCount; k++) {
    const row = notable[k]!;
    const id = ids[row]!;
    if (
      id !== ID_CONTENT_LENGTH &&
      IS_HOP_BY_HOP[id] === 0 &&
      !(hasNominations && fields.isNominated[row] === 1)
    )
      continue;
    offset = copyOctets(out, offset, bytes, runStart, lineStart[row]!);
    runStart = lineEnd[row]!;
  }
  offset = copyOctets(out, offset, bytes, runStart, head.end - 2);
  if (head.status >= 200) offset = writeResponseControl(out, offset, head, forwarding);
  else if (forwarding.isUpgrade && head.upgradeStart >= 0) {
    offset = writeLiteral(out, offset, CONNECTION_UPGRADE);
    offset = copyOctets(out, offset, bytes, head.upgradeStart, head.upgradeEnd);
    offset = writeCrlf(out, offset);
  }
  return writeCrlf(out, offset);
}

/**
 * The usual response, changed where it lies instead of written anew: the lines that end at this hop are taken out by moving
 * what is before them, everything else stays. The head is then `bytes[result, head.end)`. -1, and nothing was changed, for a
 * response that needs more than that: another framing, our own connection options, a Date.
 */
export function editResponseHead(
  bytes: Uint8Array,
  head: ResponseHead,
  forwarding: ResponseForwarding,
): number {
  if (!forwarding.persistent || forwarding.keepAliveHeaderSeconds >= 0 || forwarding.clientMinorVersion === 0)
    return -1;
  if (head.framing > FRAMED_BY_LENGTH || head.isFramingFaulty || !head.hasDate) return -1;
  if (head.status < 200 || head.status === 204 || head.minorVersion === 0 || bytes[head.start + 12] !== SP)
    return -1;
  const { notable, notableCount, id: ids, lineStart, lineEnd, isNominated } = head.fields;
  const hasNominations = (head.connectionOptions & OPTION_OTHER) !== 0;
  let lengths = 0;
  for (let k = 0; k < notableCount; k++) {
    const row = notable[k]!;
    if (ids[row] === ID_CONTENT_LENGTH && (++lengths > 1 || !isOneNumber(bytes, head, row))) return -1;
  }
  let start = head.start;
  for (let k = 0; k < notableCount; k++) {
    const row = notable[k]!;
    if (IS_HOP_BY_HOP[ids[row]!] === 0 && !(hasNominations && isNominated[row] === 1)) continue;
    const removed = lineEnd[row]! - lineStart[row]!;
    bytes.copyWithin(start + removed, start, lineStart[row]!);
    start += removed;
  }
  return start;
}

/** A Content-Length that is not a list: the list of equal numbers that a server may send is written anew. */
function isOneNumber(bytes: Uint8Array, head: ResponseHead, row: number): boolean {
  const end = head.fields.valueEnd[row]!;
  for (let p = head.fields.valueStart[row]!; p < end; p++) {
    const digit = bytes[p]! - DIGIT_0;
    if (digit < 0 || digit > 9) return false;
  }
  return true;
}

/** Our own version (RFC 9110 §6.2: intermediaries MUST send their own), and the space a missing reason phrase still needs. */
function writeStatusLine(out: Uint8Array, offset: number, bytes: Uint8Array, head: ResponseHead): number {
  offset = writeLiteral(out, offset, HTTP11_SP);
  offset = writeDecimal(out, offset, head.status);
  out[offset++] = SP;
  offset = copyOctets(out, offset, bytes, head.reasonStart, head.reasonEnd);
  return writeCrlf(out, offset);
}

/** Framing, connection options and Date of a final response. */
function writeResponseControl(
  out: Uint8Array,
  offset: number,
  head: ResponseHead,
  forwarding: ResponseForwarding,
): number {
  const isChunked = forwarding.framing === FRAMED_BY_CHUNKS && forwarding.clientMinorVersion !== 0;
  // RFC 9112 §6.1, RFC 9110 §8.6: neither Transfer-Encoding nor Content-Length in a 204.
  if (head.status !== 204) {
    if (isChunked) offset = writeLiteral(out, offset, TRANSFER_ENCODING_CHUNKED);
    else if (forwarding.framing <= FRAMED_BY_LENGTH && head.contentLength >= 0) {
      offset = writeContentLength(out, offset, head.contentLength);
    }
  }
  if (!forwarding.persistent) offset = writeLiteral(out, offset, CONNECTION_CLOSE);
  else if (forwarding.keepAliveHeaderSeconds >= 0) {
    offset = writeLiteral(out, offset, CONNECTION_KEEP_ALIVE);
    offset = writeLiteral(out, offset, KEEP_ALIVE_TIMEOUT);
    offset = writeDecimal(out, offset, forwarding.keepAliveHeaderSeconds);
    offset = writeCrlf(out, offset);
  } else if (forwarding.clientMinorVersion === 0) offset = writeLiteral(out, offset, CONNECTION_KEEP_ALIVE);
  if (head.hasDate) return offset;
  return copyShort(out, offset, forwarding.date, forwarding.date.length);
}

function writeContentLength(out: Uint8Array, offset: number, contentLength: number): number {
  return writeCrlf(out, writeDecimal(out, writeLiteral(out, offset, CONTENT_LENGTH), contentLength));
}

function writeCrlf(out: Uint8Array, offset: number): number {
  out[offset] = CR;
  out[offset + 1] = LF;
  return offset + 2;
}

function writeSeparator(out: Uint8Array, offset: number): number {
  out[offset] = COMMA;
  out[offset + 1] = SP;
  return offset + 2;
}
