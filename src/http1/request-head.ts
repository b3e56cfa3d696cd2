/**
 * Parses the head of an HTTP/1.1 request where it lies, into offsets (RFC 9112 §2–§3, §5–§6; read §2.2 and §11.2 first).
 * A pure function of the bytes: a head that arrives in pieces is parsed again from its start, and a prefix is either
 * incomplete or already wrong in the way every extension of it is. Called once per request by the proxy, on the hot path:
 * no allocation, no strings, no exceptions.
 *
 * Strict where two parsers could disagree (request smuggling); the rules refused are REQUEST_REJECTIONS.
 */
import { ConnectionOption, connectionOptionsOf, markNominatedFields } from "./connection-options.ts";
import { FieldId } from "./field-name.ts";
import { FieldTable, scanFieldLines } from "./field-table.ts";
import { contentLengthOf, Framing, TransferCoding, transferCodingOf } from "./framing.ts";
import {
  elementEnd,
  equalsIgnoringCase,
  TOKEN as IMPORTED_TOKEN,
  octetsOf,
  skipWhitespace,
  trimWhitespace,
  viewOf,
} from "./octets.ts";
import { FieldRejection, rejectionList } from "./rejection.ts";
import { authorityEndOf, authorityStartOf, isHostAndPort, TargetForm } from "./request-target.ts";

export { ConnectionOption } from "./connection-options.ts";
export { Framing } from "./framing.ts";
export { TargetForm } from "./request-target.ts";

// Copies: an imported or exported binding is loaded from its module cell at every use, a private one is a constant in optimised
// code. Measured on whole heads: a quarter less time.
const TOKEN = IMPORTED_TOKEN;
const ASTERISK = 0x2a;
const COLON = 0x3a;
const CR = 0x0d;
const DEL = 0x7f;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const HASH = 0x23;
const LF = 0x0a;
const SLASH = 0x2f;
const SP = 0x20;
const ID_HOST = FieldId.HOST;
const ID_CONNECTION = FieldId.CONNECTION;
const ID_CONTENT_LENGTH = FieldId.CONTENT_LENGTH;
const ID_TRANSFER_ENCODING = FieldId.TRANSFER_ENCODING;
const ID_UPGRADE = FieldId.UPGRADE;
const ID_EXPECT = FieldId.EXPECT;
const ID_TE = FieldId.TE;
const ID_MAX_FORWARDS = FieldId.MAX_FORWARDS;
const FRAMED_NOT = Framing.NONE;
const FRAMED_BY_LENGTH = Framing.LENGTH;
const FRAMED_BY_CHUNKS = Framing.CHUNKED;
const ORIGIN_FORM = TargetForm.ORIGIN;
const ABSOLUTE_FORM = TargetForm.ABSOLUTE;
const OPTION_OTHER = ConnectionOption.OTHER;

export const MethodCode = {
  OTHER: 0,
  GET: 1,
  HEAD: 2,
  POST: 3,
  PUT: 4,
  DELETE: 5,
  OPTIONS: 6,
  TRACE: 7,
  PATCH: 8,
  CONNECT: 9,
} as const;

/** Index into REQUEST_REJECTIONS; 0 to 8 are `FieldRejection`. */
export const RequestRejection = {
  ...FieldRejection,
  BAD_METHOD: 9,
  METHOD_TOO_LONG: 10,
  BAD_TARGET: 11,
  BAD_REQUEST_LINE: 12,
  UNSUPPORTED_VERSION: 13,
  TARGET_TOO_LONG: 14,
  HEAD_TOO_LARGE: 15,
  BAD_HOST: 16,
  MISSING_HOST: 17,
  DUPLICATE_HOST: 18,
  BAD_CONTENT_LENGTH: 19,
  DUPLICATE_CONTENT_LENGTH: 20,
  CONTENT_LENGTH_WITH_TRANSFER_ENCODING: 21,
  BAD_TRANSFER_ENCODING: 22,
  UNKNOWN_TRANSFER_CODING: 23,
  TRANSFER_ENCODING_IN_HTTP10: 24,
  TOO_MANY_NOMINATIONS: 25,
} as const;

export const REQUEST_REJECTIONS = rejectionList(400, [
  {
    reason: "bad-method",
    sentence: "The request does not begin with a method and a space; this port speaks HTTP/1.1.",
  },
  { reason: "method-too-long", sentence: "The method is longer than any this gateway knows.", status: 501 },
  {
    reason: "bad-target",
    sentence: "The request target is not a path, an http URI, or the form its method asks for.",
  },
  { reason: "bad-request-line", sentence: "The request line does not end in HTTP/1.1 or HTTP/1.0." },
  { reason: "unsupported-version", sentence: "This port speaks HTTP/1.1 and HTTP/1.0 only.", status: 505 },
  { reason: "target-too-long", sentence: "The request line is longer than max_header_size.", status: 414 },
  { reason: "head-too-large", sentence: "The request head is larger than max_header_size.", status: 431 },
  { reason: "bad-host", sentence: "The Host field or the target's authority is not a host with a port." },
  { reason: "missing-host", sentence: "An HTTP/1.1 request must carry a Host field." },
  { reason: "duplicate-host", sentence: "The request carries more than one Host field." },
  { reason: "bad-content-length", sentence: "The Content-Length is not a decimal number below 2^53." },
  { reason: "duplicate-content-length", sentence: "The request carries more than one Content-Length." },
  {
    reason: "content-length-with-transfer-encoding",
    sentence: "The request carries both Content-Length and Transfer-Encoding.",
  },
  { reason: "bad-transfer-encoding", sentence: "The Transfer-Encoding does not end in one chunked coding." },
  {
    reason: "unknown-transfer-coding",
    sentence: "The only transfer coding this gateway knows is chunked.",
    status: 501,
  },
  {
    reason: "transfer-encoding-in-http10",
    sentence: "An HTTP/1.0 request cannot carry Transfer-Encoding.",
  },
  { reason: "too-many-nominations", sentence: "The Connection field names more than 64 fields." },
]);

/** Room for any method; RFC 9112 §3: longer than any implemented SHOULD be answered 501. */
const METHOD_BYTES_MAX = 32;
/** RFC 9112 §2.2: a server SHOULD ignore at least one empty line before the request line (old clients sent one after a POST). */
const LEADING_EMPTY_LINES_MAX = 4;
const MAX_FORWARDS_CAP = 999_999_999;

const HUNDRED_CONTINUE = octetsOf("100-continue");
const TRAILERS = octetsOf("trailers");
const H2C = octetsOf("h2c");

/** One parsed request head: offsets into the bytes it was parsed from. Reused for every request. */
export class RequestHead {
  /** First octet of the method (empty lines before it are skipped). */
  start = 0;
  /** Just after the empty line. */
  end = 0;
  /** A MethodCode; methods are case-sensitive. */
  method = 0;
  methodStart = 0;
  methodEnd = 0;
  /** A TargetForm. */
  targetForm = 0;
  targetStart = 0;
  targetEnd = 0;
  /** Path and query as the server will see them; empty or beginning with "?" means the path is "/". */
  pathStart = 0;
  pathEnd = 0;
  /** The authority of an absolute-form or authority-form target, else -1. */
  authorityStart = -1;
  authorityEnd = -1;
  /** First octet of the first field line. */
  fieldsStart = 0;
  minorVersion = 0;
  /** The effective host with its port: of an absolute-form target, else of Host; -1 when there is none. */
  hostStart = -1;
  hostEnd = -1;
  /** A Framing: NONE, LENGTH or CHUNKED. */
  framing = 0;
  /** -1 when there is no Content-Length. */
  contentLength = -1;
  /** ConnectionOption bits. */
  connectionOptions = 0;
  expectsContinue = false;
  /** The client takes trailers: TE: trailers, with TE among the connection options. */
  offersTrailers = false;
  /** -1: absent or not a number. */
  maxForwards = -1;
  /** Value of Upgrade when the client asks for one this gateway can tunnel, else -1. */
  upgradeStart = -1;
  upgradeEnd = -1;
  readonly fields: FieldTable = new FieldTable();

  get fieldCount(): number {
    return this.fields.count;
  }
}

/**
 * Parses `bytes[start, end)`. > 0: offset just after the head, `head` is filled. 0: more bytes are needed.
 * < 0: -(index into REQUEST_REJECTIONS); the connection cannot be used for another request.
 */
export function parseRequestHead(
  bytes: Uint8Array,
  start: number,
  end: number,
  headBytesMax: number,
  head: RequestHead,
): number {
  const limit = start + headBytesMax;
  const scanEnd = Math.min(end, limit);
  const lineStart = afterEmptyLines(bytes, start, scanEnd);
  if (lineStart < 0) return lineStart;
  const fieldsStart = parseRequestLine(bytes, lineStart, scanEnd, head);
  if (fieldsStart < 0) return fieldsStart;
  if (fieldsStart === 0) return end >= limit ? -RequestRejection.TARGET_TOO_LONG : 0;
  head.fieldsStart = fieldsStart;
  const fields = head.fields;
  const headEnd = scanFieldLines(bytes, fieldsStart, scanEnd, fields);
  // What the complete lines mean comes before a fault or the end of the bytes after them: so the first error stays the first.
  const rejection = applyFields(bytes, fields, head);
  if (rejection !== 0) return -rejection;
  if (headEnd < 0) return headEnd;
  if (headEnd === 0) return end >= limit ? -RequestRejection.HEAD_TOO_LARGE : 0;
  head.end = headEnd;
  if (head.hostStart < 0 && head.minorVersion !== 0) return -RequestRejection.MISSING_HOST;
  if (head.targetForm === ABSOLUTE_FORM) {
    // RFC 9112 §3.2.2: "must ignore the received Host header field (if any) and instead replace it with the host information of the request-target".
    head.hostStart = head.authorityStart;
    head.hostEnd = head.authorityEnd;
  }
  if (head.connectionOptions !== 0 || head.upgradeStart >= 0 || head.offersTrailers) {
    if (!settleConnection(bytes, head)) return -RequestRejection.TOO_MANY_NOMINATIONS;
  }
  return headEnd;
}

/** Offset of the request line, or a rejection. An unfinished CRLF counts as the start: the method scan finds out. */
function afterEmptyLines(bytes: Uint8Array, start: number, scanEnd: number): number {
  let p = start;
  while (p < scanEnd && bytes[p] === CR && p - start < 2 * LEADING_EMPTY_LINES_MAX) {
    if (p + 1 >= scanEnd) return scanEnd;
    if (bytes[p + 1] !== LF) return -RequestRejection.BARE_CR;
    p += 2;
  }
  return p;
}

/** method SP request-target SP HTTP-version CRLF, RFC 9112 §3: exactly one space each, nothing after the version. */
function parseRequestLine(bytes: Uint8Array, lineStart: number, scanEnd: number, head: RequestHead): number {
  let p = lineStart;
  let octet = 0;
  while (p < scanEnd) {
    octet = bytes[p]!;
    if (TOKEN[octet] === 0) break;
    p++;
  }
  if (p - lineStart > METHOD_BYTES_MAX) return -RequestRejection.METHOD_TOO_LONG;
  if (p >= scanEnd) return 0;
  if (octet !== SP || p === lineStart) {
    return octet === LF ? -RequestRejection.BARE_LF : -RequestRejection.BAD_METHOD;
  }
  const method = methodCodeOf(bytes, lineStart, p);
  head.start = lineStart;
  head.method = method;
  head.methodStart = lineStart;
  head.methodEnd = p;
  const targetStart = ++p;
  p = targetEndOf(bytes, targetStart, scanEnd);
  if (p < scanEnd) octet = bytes[p]!;
  if (p > targetStart && !canBeginTarget(bytes[targetStart]!, method)) return -RequestRejection.BAD_TARGET;
  if (p >= scanEnd) return 0;
  if (octet !== SP || p === targetStart) return faultAfterTarget(octet);
  head.targetStart = targetStart;
  head.targetEnd = p;
  const rejection = parseTarget(bytes, targetStart, p, head);
  return parseVersion(bytes, p + 1, scanEnd, head, rejection);
}

/** The first octet that is no part of a target: a control, SP, DEL or "#" (a fragment is never sent, RFC 9112 §3.2). */
function targetEndOf(bytes: Uint8Array, start: number, scanEnd: number): number {
  const view = viewOf(bytes);
  const lastWord = scanEnd - 4;
  let p = start;
  while (p <= lastWord) {
    // As in the scan of field values, for octets below "!" and for "#".
    const word = view.getInt32(p, true);
    const del = word ^ 0x7f7f7f7f;
    const hash = word ^ 0x23232323;
    const found = ((word - 0x21212121) & ~word) | ((del - 0x01010101) & ~del) | ((hash - 0x01010101) & ~hash);
    if ((found & 0x80808080) !== 0) break;
    p += 4;
  }
  while (p < scanEnd) {
    const octet = bytes[p]!;
    if (octet <= SP || octet === DEL || octet === HASH) break;
    p++;
  }
  return p;
}

function faultAfterTarget(octet: number): number {
  if (octet === LF) return -RequestRejection.BARE_LF;
  return octet === CR ? -RequestRejection.BAD_REQUEST_LINE : -RequestRejection.BAD_TARGET;
}

function canBeginTarget(octet: number, method: number): boolean {
  if (octet === SLASH) return method !== MethodCode.CONNECT;
  return octet === ASTERISK || method === MethodCode.CONNECT || TOKEN[octet] !== 0;
}

/** Sets the target's form and parts; the rejection is 0 when it is well-formed. */
function parseTarget(bytes: Uint8Array, start: number, end: number, head: RequestHead): number {
  head.pathStart = start;
  head.pathEnd = end;
  head.authorityStart = -1;
  head.authorityEnd = -1;
  if (bytes[start] === SLASH) {
    head.targetForm = ORIGIN_FORM;
    return 0;
  }
  if (end === start + 1 && bytes[start] === ASTERISK) {
    head.targetForm = TargetForm.ASTERISK;
    return head.method === MethodCode.OPTIONS ? 0 : RequestRejection.BAD_TARGET;
  }
  const isConnect = head.method === MethodCode.CONNECT;
  const authorityStart = isConnect ? start : authorityStartOf(bytes, start, end);
  if (authorityStart < 0) return RequestRejection.BAD_TARGET;
  const authorityEnd = isConnect ? end : authorityEndOf(bytes, authorityStart, end);
  head.targetForm = isConnect ? TargetForm.AUTHORITY : ABSOLUTE_FORM;
  head.authorityStart = authorityStart;
  head.authorityEnd = authorityEnd;
  head.pathStart = authorityEnd;
  if (!isHostAndPort(bytes, authorityStart, authorityEnd)) return RequestRejection.BAD_HOST;
  const isPathOk = authorityEnd === end || bytes[authorityEnd] !== 0x40;
  return isPathOk ? 0 : RequestRejection.BAD_HOST;
}

/**
 * "HTTP/1." and "0" or "1" and CRLF; the offset after it. The version is judged before `targetRejection` counts:
 * `PRI * HTTP/2.0` is another version, not a bad target.
 */
function parseVersion(
  bytes: Uint8Array,
  p: number,
  scanEnd: number,
  head: RequestHead,
  targetRejection: number,
): number {
  const isWhole =
    p + 10 <= scanEnd &&
    bytes[p] === 0x48 &&
    bytes[p + 1] === 0x54 &&
    bytes[p + 2] === 0x54 &&
    bytes[p + 3] === 0x50 &&
    bytes[p + 4] === SLASH &&
    bytes[p + 5] === 0x31 &&
    bytes[p + 6] === 0x2e &&
    (bytes[p + 7]! | 1) === 0x31 &&
    bytes[p + 8] === CR &&
    bytes[p + 9] === LF;
  if (!isWhole) return -lineFault(bytes, p, scanEnd, targetRejection) | 0;
  if (targetRejection !== 0) return -targetRejection;
  head.minorVersion = bytes[p + 7]! - DIGIT_0;
  return p + 10;
}

const VERSION_PATTERN = octetsOf("HTTP/1.1\r\n");

/** What is wrong with a request line that is not whole, in the order of its octets; 0: nothing yet. */
function lineFault(bytes: Uint8Array, start: number, scanEnd: number, targetRejection: number): number {
  const versionEnd = start + 8;
  if (scanEnd < versionEnd) return versionFault(bytes, start, 0, scanEnd);
  const fault = versionFault(bytes, start, 0, versionEnd);
  if (fault !== 0) return fault;
  return targetRejection !== 0 ? targetRejection : versionFault(bytes, start, 8, scanEnd);
}

/** From the octet `first` on, the first that is not "HTTP/1.[01]\r\n", as a rejection; 0: none yet. */
function versionFault(bytes: Uint8Array, start: number, first: number, scanEnd: number): number {
  for (let i = first; i < VERSION_PATTERN.length && start + i < scanEnd; i++) {
    const octet = bytes[start + i]!;
    if (octet === VERSION_PATTERN[i] || (i === 7 && octet === DIGIT_0)) continue;
    const isDigit = octet >= DIGIT_0 && octet <= DIGIT_9;
    if ((i === 5 || i === 7) && isDigit) return RequestRejection.UNSUPPORTED_VERSION;
    if (i === 9) return RequestRejection.BARE_CR;
    return octet === LF && i > 0 ? RequestRejection.BARE_LF : RequestRejection.BAD_REQUEST_LINE;
  }
  return 0;
}

const METHOD_NAMES = [
  ["GET", MethodCode.GET],
  ["HEAD", MethodCode.HEAD],
  ["POST", MethodCode.POST],
  ["PUT", MethodCode.PUT],
  ["DELETE", MethodCode.DELETE],
  ["OPTIONS", MethodCode.OPTIONS],
  ["TRACE", MethodCode.TRACE],
  ["PATCH", MethodCode.PATCH],
  ["CONNECT", MethodCode.CONNECT],
] as const;

/** Slot = (length + 3 × second octet) mod 32: no two of the nine share one. */
const METHOD_BY_SLOT = new Uint8Array(32);
const METHOD_ROWS = new Uint8Array(10 * 8);
const METHOD_LENGTH = new Uint8Array(10);
for (const [name, code] of METHOD_NAMES) {
  const octets = octetsOf(name);
  const slot = (octets.length + octets[1]! * 3) & 31;
  if (METHOD_BY_SLOT[slot] !== 0) throw new Error(`methods share slot ${slot}`);
  METHOD_BY_SLOT[slot] = code;
  METHOD_LENGTH[code] = octets.length;
  METHOD_ROWS.set(octets, code * 8);
}

function methodCodeOf(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length < 3) return MethodCode.OTHER;
  const code = METHOD_BY_SLOT[(length + bytes[start + 1]! * 3) & 31]!;
  if (METHOD_LENGTH[code] !== length) return MethodCode.OTHER;
  for (let i = 0; i < length; i++) {
    if (bytes[start + i] !== METHOD_ROWS[code * 8 + i]) return MethodCode.OTHER;
  }
  return code;
}

/** Applies the fields that decide host, length and connection; the first rejection, or 0. */
function applyFields(bytes: Uint8Array, fields: FieldTable, head: RequestHead): number {
  head.hostStart = -1;
  head.hostEnd = -1;
  head.framing = FRAMED_NOT;
  head.contentLength = -1;
  head.connectionOptions = 0;
  head.expectsContinue = false;
  head.offersTrailers = false;
  head.maxForwards = -1;
  head.upgradeStart = -1;
  head.upgradeEnd = -1;
  const { notable, notableCount } = fields;
  for (let k = 0; k < notableCount; k++) {
    const row = notable[k]!;
    const rejection = applyField(
      bytes,
      fields.id[row]!,
      fields.valueStart[row]!,
      fields.valueEnd[row]!,
      head,
    );
    if (rejection !== 0) return rejection;
  }
  return 0;
}

function applyField(bytes: Uint8Array, id: number, start: number, end: number, head: RequestHead): number {
  switch (id) {
    case ID_HOST:
      if (head.hostStart >= 0) return RequestRejection.DUPLICATE_HOST;
      if (!isHostAndPort(bytes, start, end)) return RequestRejection.BAD_HOST;
      head.hostStart = start;
      head.hostEnd = end;
      return 0;
    case ID_CONNECTION:
      head.connectionOptions |= connectionOptionsOf(bytes, start, end);
      return 0;
    case ID_CONTENT_LENGTH:
      return applyContentLength(bytes, start, end, head);
    case ID_TRANSFER_ENCODING:
      return applyTransferEncoding(bytes, start, end, head);
    case ID_UPGRADE:
      if (head.upgradeStart < 0 && end > start) {
        head.upgradeStart = start;
        head.upgradeEnd = end;
      }
      return 0;
    case ID_EXPECT:
      // RFC 9110 §10.1.1: a 100-continue expectation in an HTTP/1.0 request MUST be ignored.
      if (head.minorVersion !== 0 && equalsIgnoringCase(bytes, start, end, HUNDRED_CONTINUE)) {
        head.expectsContinue = true;
      }
      return 0;
    case ID_TE:
      if (listHas(bytes, start, end, TRAILERS)) head.offersTrailers = true;
      return 0;
    case ID_MAX_FORWARDS:
      if (head.maxForwards < 0) {
        const count = contentLengthOf(bytes, start, end);
        head.maxForwards = Math.min(count, MAX_FORWARDS_CAP);
      }
      return 0;
    default:
      return 0;
  }
}

function applyContentLength(bytes: Uint8Array, start: number, end: number, head: RequestHead): number {
  if (head.framing === FRAMED_BY_CHUNKS) return RequestRejection.CONTENT_LENGTH_WITH_TRANSFER_ENCODING;
  if (head.contentLength >= 0) return RequestRejection.DUPLICATE_CONTENT_LENGTH;
  const length = contentLengthOf(bytes, start, end);
  if (length < 0) return RequestRejection.BAD_CONTENT_LENGTH;
  head.contentLength = length;
  head.framing = FRAMED_BY_LENGTH;
  return 0;
}

/** RFC 9112 §6.1: unknown coding SHOULD be 501; §6.3 item 4: chunked not last MUST be 400; §11.2: with Content-Length it smells of smuggling. */
function applyTransferEncoding(bytes: Uint8Array, start: number, end: number, head: RequestHead): number {
  if (head.minorVersion === 0) return RequestRejection.TRANSFER_ENCODING_IN_HTTP10;
  if (head.framing === FRAMED_BY_LENGTH) return RequestRejection.CONTENT_LENGTH_WITH_TRANSFER_ENCODING;
  if (head.framing === FRAMED_BY_CHUNKS) return RequestRejection.BAD_TRANSFER_ENCODING;
  const coding = transferCodingOf(bytes, start, end);
  if (coding === TransferCoding.MALFORMED) return RequestRejection.BAD_TRANSFER_ENCODING;
  if (coding !== TransferCoding.CHUNKED) return RequestRejection.UNKNOWN_TRANSFER_CODING;
  head.framing = FRAMED_BY_CHUNKS;
  return 0;
}

/** What needs all Connection lines at once; false when they name too many fields. */
function settleConnection(bytes: Uint8Array, head: RequestHead): boolean {
  const options = head.connectionOptions;
  if (head.upgradeStart >= 0) {
    // RFC 9110 §7.8: Upgrade in HTTP/1.0 MUST be ignored, and without the connection option it was not meant for us.
    // h2c is never tunnelled: what follows would bypass every rule of this file.
    const isAsked = (options & ConnectionOption.UPGRADE) !== 0 && head.minorVersion !== 0;
    if (!isAsked || listHas(bytes, head.upgradeStart, head.upgradeEnd, H2C)) {
      head.upgradeStart = -1;
      head.upgradeEnd = -1;
    }
  }
  if ((options & ConnectionOption.TE) === 0) head.offersTrailers = false;
  if ((options & OPTION_OTHER) === 0) return true;
  return markNominatedFields(bytes, head.fields);
}

/** Does the list `bytes[start, end)` have `lowerCase` as one of its elements (parameters ignored)? Cold path. */
function listHas(bytes: Uint8Array, start: number, end: number, lowerCase: Uint8Array): boolean {
  for (let p = start; p < end; p++) {
    const comma = elementEnd(bytes, p, end);
    const from = skipWhitespace(bytes, p, comma);
    let to = from;
    while (to < comma && bytes[to] !== 0x3b && bytes[to] !== COLON) to++;
    if (equalsIgnoringCase(bytes, from, trimWhitespace(bytes, from, to), lowerCase)) return true;
    p = comma;
  }
  return false;
}
