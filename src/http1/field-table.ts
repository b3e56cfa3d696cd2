/**
 * The field lines of a head or a trailer section as columns of offsets, and the one loop that fills them
 * (RFC 9112 §5, read §2.2 and §5.1 first). Syntax only: what a field means is decided by the caller.
 *
 *     field-line = field-name ":" OWS field-value OWS CRLF        no obs-fold, no bare CR or LF, no control character
 *
 * Called by `request-head.ts`, `response-head.ts` and `chunked.ts`.
 */
import { candidateFieldId, confirmedFieldId } from "./field-name.ts";
import { TOKEN as IMPORTED_TOKEN, isOptionalWhitespace, viewOf } from "./octets.ts";
import { FieldRejection } from "./rejection.ts";

// Imported bindings are loaded from a module cell at every use and never become constants in optimised code; constants of
// the file itself do. Measured: the scan takes a quarter less time with these copies.
const TOKEN = IMPORTED_TOKEN;
const HTAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SP = 0x20;
const COLON = 0x3a;
const DEL = 0x7f;

/** More than any honest message has (Apache: 100, HAProxy: 101, Node: 2000 by default). */
export const FIELDS_MAX = 256;

export class FieldTable {
  count = 0;
  /** How many entries of `notable` count. */
  notableCount = 0;
  /**
   * Row numbers, in order, of the fields that mean something to a gateway (id other than OTHER) or were nominated by
   * Connection. The writers look at these rows only; everything between them is copied as it came.
   */
  readonly notable = new Uint16Array(FIELDS_MAX);
  /** A FieldId. */
  readonly id = new Uint8Array(FIELDS_MAX);
  /** First octet of the name. */
  readonly lineStart = new Int32Array(FIELDS_MAX);
  /** The colon. */
  readonly nameEnd = new Int32Array(FIELDS_MAX);
  /** The value without the whitespace around it. */
  readonly valueStart = new Int32Array(FIELDS_MAX);
  readonly valueEnd = new Int32Array(FIELDS_MAX);
  /** Just after CRLF; also the lineStart of the next row. */
  readonly lineEnd = new Int32Array(FIELDS_MAX);
  /** 1: a Connection option names this field, so it ends at this hop (RFC 9110 §7.6.1). */
  readonly isNominated = new Uint8Array(FIELDS_MAX);
}

/**
 * Reads field lines from `p` up to and including the empty line.
 * > 0: offset after the empty line. 0: `scanEnd` came first. < 0: -(FieldRejection). `fields` then holds the lines before that.
 */
export function scanFieldLines(bytes: Uint8Array, p: number, scanEnd: number, fields: FieldTable): number {
  const view = viewOf(bytes);
  const { id: ids, lineStart: lineStarts, nameEnd: nameEnds, lineEnd: lineEnds, notable } = fields;
  const { valueStart: valueStarts, valueEnd: valueEnds } = fields;
  let count = 0;
  let notableCount = 0;
  fields.count = 0;
  fields.notableCount = 0;
  for (;;) {
    const lineStart = p;
    p = nameEndOf(bytes, view, p, scanEnd);
    if (p >= scanEnd) return 0;
    let octet = bytes[p]!;
    if (octet !== COLON || p === lineStart) return endOfLines(bytes, p, scanEnd, lineStart, count);
    if (count === ids.length) return -FieldRejection.TOO_MANY_FIELDS;
    const nameEnd = p++;

    if (p < scanEnd && bytes[p] === SP) p++;
    while (p < scanEnd) {
      octet = bytes[p]!;
      if (octet !== SP && octet !== HTAB) break;
      p++;
    }
    const valueStart = p;
    p = textEndOf(bytes, view, p, scanEnd);
    if (p < scanEnd) octet = bytes[p]!;
    if (octet !== CR || p + 1 >= scanEnd || bytes[p + 1] !== LF) {
      p = unusualLineEnd(bytes, p, scanEnd);
      if (p <= 0) return p;
    }
    lineEnds[count] = p + 2;
    let valueEnd = p;
    while (valueEnd > valueStart) {
      octet = bytes[valueEnd - 1]!;
      if (octet !== SP && octet !== HTAB) break;
      valueEnd--;
    }
    lineStarts[count] = lineStart;
    nameEnds[count] = nameEnd;
    valueStarts[count] = valueStart;
    valueEnds[count] = valueEnd;
    p += 2;
    let id = candidateFieldId(bytes, lineStart, nameEnd);
    if (id !== 0) {
      id = confirmedFieldId(bytes, lineStart, nameEnd, id);
      if (id !== 0) {
        notable[notableCount++] = count;
        fields.notableCount = notableCount;
      }
    }
    ids[count] = id;
    fields.count = ++count;
  }
}

/** The first octet from `p` on that is no token octet, or `scanEnd`. */
function nameEndOf(bytes: Uint8Array, view: DataView, p: number, scanEnd: number): number {
  for (const lastWord = scanEnd - 4; p <= lastWord; p += 4) {
    const word = view.getInt32(p, true);
    const isName =
      TOKEN[word & 255]! & TOKEN[(word >> 8) & 255]! & TOKEN[(word >> 16) & 255]! & TOKEN[word >>> 24]!;
    if (isName === 0) break;
  }
  while (p < scanEnd && TOKEN[bytes[p]!] !== 0) p++;
  return p;
}

/** The first control (a tab too) from `p` on, or `scanEnd`. */
function textEndOf(bytes: Uint8Array, view: DataView, p: number, scanEnd: number): number {
  for (const lastWord = scanEnd - 4; p <= lastWord; p += 4) {
    // Is one of four octets below SP, or DEL? ("hasless" and "haszero" of Bit Twiddling Hacks; octets above 0x7f never
    // count.) The lowest bit of the mask belongs to the first such octet.
    const word = view.getInt32(p, true);
    const del = word ^ 0x7f7f7f7f;
    const controls = (((word - 0x20202020) & ~word) | ((del - 0x01010101) & ~del)) & 0x80808080;
    if (controls !== 0) return p + ((31 - Math.clz32(controls & -controls)) >> 3);
  }
  while (p < scanEnd && bytes[p]! >= SP && bytes[p] !== DEL) p++;
  return p;
}

/**
 * The value stopped at `p` before anything but CRLF: a tab within it (rare, so the main loop has no case for it), the end of
 * the bytes, or a fault. > 0: offset of the CR of its CRLF. 0: more bytes are needed. < 0: -(FieldRejection).
 */
function unusualLineEnd(bytes: Uint8Array, start: number, scanEnd: number): number {
  let p = start;
  let octet = 0;
  while (p < scanEnd) {
    octet = bytes[p]!;
    if (octet !== HTAB && (octet < SP || octet === DEL)) break;
    p++;
  }
  if (p >= scanEnd) return 0;
  if (octet !== CR) return octet === LF ? -FieldRejection.BARE_LF : -FieldRejection.BAD_FIELD_VALUE;
  if (p + 1 >= scanEnd) return 0;
  return bytes[p + 1] === LF ? p : -FieldRejection.BARE_CR;
}

/** `bytes[p]` cannot continue a field line: the empty line, or the fault it is. */
function endOfLines(bytes: Uint8Array, p: number, scanEnd: number, lineStart: number, count: number): number {
  const octet = bytes[p]!;
  if (octet === LF) return -FieldRejection.BARE_LF;
  if (p > lineStart) {
    return isOptionalWhitespace(octet) ? -FieldRejection.SPACE_BEFORE_COLON : -FieldRejection.BAD_FIELD_NAME;
  }
  if (octet === CR) {
    if (p + 1 >= scanEnd) return 0;
    return bytes[p + 1] === LF ? p + 2 : -FieldRejection.BARE_CR;
  }
  if (!isOptionalWhitespace(octet)) return -FieldRejection.BAD_FIELD_NAME;
  return count === 0 ? -FieldRejection.SPACE_BEFORE_FIRST_FIELD : -FieldRejection.OBS_FOLD;
}

/** Row of the first field called `lowerCaseName`, or -1. Cold path: for `hash: "header:…"` and the like. */
export function findField(bytes: Uint8Array, fields: FieldTable, lowerCaseName: Uint8Array): number {
  for (let i = 0; i < fields.count; i++) {
    const start = fields.lineStart[i]!;
    if (fields.nameEnd[i]! - start !== lowerCaseName.length) continue;
    let k = 0;
    while (k < lowerCaseName.length) {
      const octet = bytes[start + k]!;
      const wanted = lowerCaseName[k]!;
      if (octet !== wanted && !((octet | 0x20) === wanted && octet >= 0x41 && octet <= 0x5a)) break;
      k++;
    }
    if (k === lowerCaseName.length) return i;
  }
  return -1;
}
