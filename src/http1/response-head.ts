/**
 * Parses the head of an HTTP/1.1 response where it lies, into offsets, and resolves how long its body is
 * (RFC 9112 §4, §6.3; read §6.3 first). Called once per response by the proxy, on the hot path: no allocation.
 *
 * Lenient where real servers are: the reason phrase and the space before it may be missing, any HTTP/1.x is taken,
 * Content-Length may be repeated with the same number, `Transfer-Encoding: identity` counts as absent.
 * Strict where two readers could disagree: bare LF, bare CR, control characters, obs-fold and space before the colon are refused
 * (RFC 9112 §5.1 and §5.2 allow mending the last two; servers that send them are not worth a second copy of every head).
 */
import { ConnectionOption, connectionOptionsOf, markNominatedFields } from "./connection-options.ts";
import { FieldId } from "./field-name.ts";
import { FieldTable, scanFieldLines } from "./field-table.ts";
import { repeatedContentLengthOf, responseFraming, TransferCoding, transferCodingOf } from "./framing.ts";
import { elementEnd, equalsIgnoringCase, octetsOf, skipWhitespace } from "./octets.ts";
import { FieldRejection, rejectionList } from "./rejection.ts";
import { MethodCode } from "./request-head.ts";

// Copies: an imported or exported binding is loaded from its module cell at every use, a private one is a constant in optimised
// code. Measured on whole heads: a quarter less time.
const CR = 0x0d;
const DEL = 0x7f;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const HTAB = 0x09;
const LF = 0x0a;
const SP = 0x20;
const ID_CONTENT_LENGTH = FieldId.CONTENT_LENGTH;
const ID_DATE = FieldId.DATE;
const ID_CONNECTION = FieldId.CONNECTION;
const ID_KEEP_ALIVE = FieldId.KEEP_ALIVE;
const ID_TRANSFER_ENCODING = FieldId.TRANSFER_ENCODING;
const ID_UPGRADE = FieldId.UPGRADE;
const HEAD_METHOD = MethodCode.HEAD;
const CONNECT_METHOD = MethodCode.CONNECT;
const OPTION_OTHER = ConnectionOption.OTHER;

/** Index into RESPONSE_REJECTIONS; 0 to 8 are `FieldRejection`. */
export const ResponseRejection = {
  ...FieldRejection,
  NOT_HTTP: 9,
  UNSUPPORTED_VERSION: 10,
  BAD_STATUS_LINE: 11,
  HEAD_TOO_LARGE: 12,
  BAD_CONTENT_LENGTH: 13,
  DIFFERING_CONTENT_LENGTHS: 14,
  BAD_TRANSFER_ENCODING: 15,
  UNKNOWN_TRANSFER_CODING: 16,
  TOO_MANY_NOMINATIONS: 17,
} as const;

export const RESPONSE_REJECTIONS = rejectionList(502, [
  { reason: "not-http", sentence: "The server's answer does not begin with HTTP/." },
  { reason: "unsupported-version", sentence: "The server's answer is not HTTP/1.x." },
  {
    reason: "bad-status-line",
    sentence: "The server's status line is not a version, three digits and a reason.",
  },
  { reason: "head-too-large", sentence: "The server's response head is larger than the buffer for it." },
  {
    reason: "bad-content-length",
    sentence: "The server's Content-Length is not a decimal number below 2^53.",
  },
  { reason: "differing-content-lengths", sentence: "The server sent two different Content-Lengths." },
  {
    reason: "bad-transfer-encoding",
    sentence: "The server's Transfer-Encoding does not end in one chunked coding.",
  },
  { reason: "unknown-transfer-coding", sentence: "The server used a transfer coding other than chunked." },
  { reason: "too-many-nominations", sentence: "The server's Connection field names more than 64 fields." },
]);

const TIMEOUT = octetsOf("timeout");
const EQUALS = 0x3d;
const SECONDS_MAX = 1_000_000;

/** One parsed response head: offsets into the bytes it was parsed from. Reused for every response. */
export class ResponseHead {
  start = 0;
  /** Just after the empty line. */
  end = 0;
  status = 0;
  minorVersion = 0;
  reasonStart = 0;
  reasonEnd = 0;
  /** First octet of the first field line. */
  fieldsStart = 0;
  /** A Framing, resolved for the method of the request. */
  framing = 0;
  /** Also set for HEAD and 304, where it describes a body that does not come; -1 when absent or overruled. */
  contentLength = -1;
  isChunked = false;
  /**
   * Content-Length beside Transfer-Encoding, or Transfer-Encoding in HTTP/1.0: the body is read as chunks, and the connection
   * must not be used again (RFC 9112 §6.1, §6.3 item 3).
   */
  isFramingFaulty = false;
  /** ConnectionOption bits. */
  connectionOptions = 0;
  /** N of `Keep-Alive: timeout=N`, -1 when absent. */
  keepAliveTimeoutSeconds = -1;
  hasDate = false;
  /** Value of Upgrade, -1 when absent. */
  upgradeStart = -1;
  upgradeEnd = -1;
  readonly fields: FieldTable = new FieldTable();

  get fieldCount(): number {
    return this.fields.count;
  }
}

/**
 * Parses `bytes[start, end)`, the answer to a request with `requestMethod`. > 0: offset just after the head, `head` is filled.
 * 0: more bytes are needed. < 0: -(index into RESPONSE_REJECTIONS); the connection is of no more use.
 */
export function parseResponseHead(
  bytes: Uint8Array,
  start: number,
  end: number,
  headBytesMax: number,
  requestMethod: number,
  head: ResponseHead,
): number {
  const limit = start + headBytesMax;
  const scanEnd = Math.min(end, limit);
  head.start = start;
  const fieldsStart = parseStatusLine(bytes, start, scanEnd, head);
  if (fieldsStart < 0) return fieldsStart;
  if (fieldsStart === 0) return end >= limit ? -ResponseRejection.HEAD_TOO_LARGE : 0;
  head.fieldsStart = fieldsStart;
  const fields = head.fields;
  const headEnd = scanFieldLines(bytes, fieldsStart, scanEnd, fields);
  const rejection = applyFields(bytes, fields, head);
  if (rejection !== 0) return -rejection;
  if (headEnd < 0) return headEnd;
  if (headEnd === 0) return end >= limit ? -ResponseRejection.HEAD_TOO_LARGE : 0;
  head.end = headEnd;
  if (head.isChunked) {
    head.isFramingFaulty = head.contentLength >= 0 || head.minorVersion === 0;
    // RFC 9112 §6.3 item 3: Transfer-Encoding overrides the Content-Length, which MUST be removed before forwarding.
    head.contentLength = -1;
  }
  head.framing = responseFraming(
    head.status,
    requestMethod === HEAD_METHOD,
    requestMethod === CONNECT_METHOD,
    head.isChunked,
    head.contentLength,
  );
  if ((head.connectionOptions & OPTION_OTHER) !== 0 && !markNominatedFields(bytes, fields)) {
    return -ResponseRejection.TOO_MANY_NOMINATIONS;
  }
  return headEnd;
}

/** HTTP-version SP status-code [ SP [ reason-phrase ] ] CRLF, RFC 9112 §4. */
function parseStatusLine(bytes: Uint8Array, start: number, scanEnd: number, head: ResponseHead): number {
  const isUsual =
    start + 13 < scanEnd &&
    bytes[start] === 0x48 &&
    bytes[start + 1] === 0x54 &&
    bytes[start + 2] === 0x54 &&
    bytes[start + 3] === 0x50 &&
    bytes[start + 4] === 0x2f &&
    bytes[start + 5] === 0x31 &&
    bytes[start + 6] === 0x2e &&
    bytes[start + 7] === 0x31 &&
    bytes[start + 8] === SP;
  if (!isUsual) {
    const fault = versionFault(bytes, start, scanEnd);
    if (fault !== 0) return -fault;
    if (start + 9 > scanEnd) return 0;
  }
  head.minorVersion = bytes[start + 7] === DIGIT_0 ? 0 : 1;
  let p = start + 9;
  let status = 0;
  for (const digitsEnd = p + 3; p < digitsEnd; p++) {
    if (p >= scanEnd) return 0;
    const digit = bytes[p]! - DIGIT_0;
    if (digit < 0 || digit > 9 || (status === 0 && digit === 0)) return -ResponseRejection.BAD_STATUS_LINE;
    status = status * 10 + digit;
  }
  head.status = status;
  if (p >= scanEnd) return 0;
  let octet = bytes[p]!;
  if (octet === SP) p++;
  else if (octet !== CR)
    return octet === LF ? -ResponseRejection.BARE_LF : -ResponseRejection.BAD_STATUS_LINE;
  head.reasonStart = p;
  while (p < scanEnd) {
    octet = bytes[p]!;
    if ((octet < SP && octet !== HTAB) || octet === DEL) break;
    p++;
  }
  if (p >= scanEnd) return 0;
  if (octet !== CR) return octet === LF ? -ResponseRejection.BARE_LF : -ResponseRejection.BAD_STATUS_LINE;
  head.reasonEnd = p;
  if (p + 1 >= scanEnd) return 0;
  return bytes[p + 1] === LF ? p + 2 : -ResponseRejection.BARE_CR;
}

const VERSION_PATTERN = octetsOf("HTTP/1.1 ");

/** The first octet that is not "HTTP/1.x ", as a rejection; 0: none yet. */
function versionFault(bytes: Uint8Array, start: number, scanEnd: number): number {
  for (let i = 0; i < VERSION_PATTERN.length && start + i < scanEnd; i++) {
    const octet = bytes[start + i]!;
    if (octet === VERSION_PATTERN[i]) continue;
    if (i < 5) return ResponseRejection.NOT_HTTP;
    const isDigit = octet >= DIGIT_0 && octet <= DIGIT_9;
    if (i === 7 && isDigit) continue;
    return i === 5 && isDigit ? ResponseRejection.UNSUPPORTED_VERSION : ResponseRejection.BAD_STATUS_LINE;
  }
  return 0;
}

/** Applies the fields that decide length and connection; the first rejection, or 0. */
function applyFields(bytes: Uint8Array, fields: FieldTable, head: ResponseHead): number {
  head.contentLength = -1;
  head.isChunked = false;
  head.isFramingFaulty = false;
  head.connectionOptions = 0;
  head.keepAliveTimeoutSeconds = -1;
  head.hasDate = false;
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

function applyField(bytes: Uint8Array, id: number, start: number, end: number, head: ResponseHead): number {
  switch (id) {
    case ID_CONTENT_LENGTH: {
      const length = repeatedContentLengthOf(bytes, start, end);
      if (length < 0) return ResponseRejection.BAD_CONTENT_LENGTH;
      if (head.contentLength >= 0 && head.contentLength !== length) {
        return ResponseRejection.DIFFERING_CONTENT_LENGTHS;
      }
      head.contentLength = length;
      return 0;
    }
    case ID_DATE:
      head.hasDate = true;
      return 0;
    case ID_CONNECTION:
      head.connectionOptions |= connectionOptionsOf(bytes, start, end);
      return 0;
    case ID_KEEP_ALIVE:
      head.keepAliveTimeoutSeconds = timeoutSecondsOf(bytes, start, end);
      return 0;
    case ID_TRANSFER_ENCODING:
      return applyTransferEncoding(bytes, start, end, head);
    case ID_UPGRADE:
      if (head.upgradeStart < 0 && end > start) {
        head.upgradeStart = start;
        head.upgradeEnd = end;
      }
      return 0;
    default:
      return 0;
  }
}

function applyTransferEncoding(bytes: Uint8Array, start: number, end: number, head: ResponseHead): number {
  const coding = transferCodingOf(bytes, start, end);
  if (coding === TransferCoding.IDENTITY) return 0;
  if (coding === TransferCoding.UNKNOWN) return ResponseRejection.UNKNOWN_TRANSFER_CODING;
  if (coding !== TransferCoding.CHUNKED || head.isChunked) return ResponseRejection.BAD_TRANSFER_ENCODING;
  head.isChunked = true;
  return 0;
}

/** N of `timeout=N` in a Keep-Alive value (RFC 2068 §19.7.1.1), or -1. */
function timeoutSecondsOf(bytes: Uint8Array, start: number, end: number): number {
  for (let p = start; p < end; p++) {
    const comma = elementEnd(bytes, p, end);
    const from = skipWhitespace(bytes, p, comma);
    const nameEnd = from + TIMEOUT.length;
    if (nameEnd < comma && bytes[nameEnd] === EQUALS && equalsIgnoringCase(bytes, from, nameEnd, TIMEOUT)) {
      let seconds = -1;
      for (let k = nameEnd + 1; k < comma; k++) {
        const digit = bytes[k]! - DIGIT_0;
        if (digit < 0 || digit > 9) break;
        seconds = seconds < 0 ? digit : seconds * 10 + digit;
        if (seconds > SECONDS_MAX) seconds = SECONDS_MAX;
      }
      return seconds;
    }
    p = comma;
  }
  return -1;
}
