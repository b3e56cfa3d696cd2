/**
 * The chunked transfer coding, read and written (RFC 9112 §7.1; read §7.1.1 and §11.2 first). Sans-I/O: bytes in a buffer,
 * offsets out. The decoder takes a message in pieces of any size and moves the body together in place.
 *
 *     chunk      = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
 *     last-chunk = 1*("0") [ chunk-ext ] CRLF, then the trailer section, then CRLF
 *     chunk-ext  = *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )
 *
 * Strict: CRLF only (a bare LF after a chunk size is how requests are smuggled), at most 13 hexadecimal digits
 * (2^52, so no precision is lost), extensions must be well-formed and are dropped. Called by `proxy/message-body.ts`.
 */
import { isAmongNominated, NO_NOMINATED_NAMES } from "./connection-options.ts";
import { FieldTable, scanFieldLines } from "./field-table.ts";
import { isForbiddenInTrailers } from "./hop-by-hop.ts";
import {
  CR,
  copyOctets,
  DEL,
  EQUALS,
  HEX_VALUE,
  HTAB,
  isOptionalWhitespace,
  LF,
  octetsOf,
  SEMICOLON,
  SP,
  TOKEN,
} from "./octets.ts";
import { FieldRejection, rejectionList } from "./rejection.ts";

/** What `ChunkedDecoder.decode` returns. */
export const ChunkedProgress = { MORE: 0, DONE: 1, ERROR: 2 } as const;

/** Index into CHUNKED_REJECTIONS; 0 to 8 are `FieldRejection`, about trailers. */
export const ChunkedRejection = {
  ...FieldRejection,
  BAD_CHUNK_SIZE: 9,
  CHUNK_SIZE_TOO_LARGE: 10,
  BAD_CHUNK_EXTENSION: 11,
  CHUNK_EXTENSIONS_TOO_LARGE: 12,
  BAD_CHUNK_END: 13,
  TRAILERS_TOO_LARGE: 14,
} as const;

export const CHUNKED_REJECTIONS = rejectionList(400, [
  { reason: "bad-chunk-size", sentence: "A chunk does not begin with its size in hexadecimal." },
  { reason: "chunk-size-too-large", sentence: "A chunk size has more than 13 digits." },
  { reason: "bad-chunk-extension", sentence: "A chunk extension is malformed." },
  { reason: "chunk-extensions-too-large", sentence: "The chunk extensions are larger than 16 KiB in all." },
  { reason: "bad-chunk-end", sentence: "A chunk is not followed by CRLF where its size says it ends." },
  { reason: "trailers-too-large", sentence: "The trailer section is larger than 8 KiB." },
]);

const CHUNK_SIZE_DIGITS_MAX = 13;
/** Per message. Node has 16 KiB too; nothing real uses chunk extensions, floods of them were CVE-2023-39326 and CVE-2024-22019. */
export const EXTENSION_BYTES_MAX = 16 * 1024;
export const TRAILER_BYTES_MAX = 8 * 1024;
const TRAILER_BYTES_FIRST = 512;
const DOUBLE_QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Moving fewer bytes than this by a loop is cheaper than one `copyWithin`. */
const LOOP_MOVE_BYTES_MAX = 128;

const State = {
  SIZE_FIRST: 0,
  SIZE: 1,
  EXTENSION_BEFORE: 2,
  EXTENSION_NAME_FIRST: 3,
  EXTENSION_NAME: 4,
  EXTENSION_NAME_AFTER: 5,
  EXTENSION_VALUE_FIRST: 6,
  EXTENSION_TOKEN: 7,
  EXTENSION_QUOTED: 8,
  EXTENSION_QUOTED_PAIR: 9,
  EXTENSION_VALUE_AFTER: 10,
  SIZE_LF: 11,
  DATA: 12,
  DATA_CR: 13,
  DATA_LF: 14,
  TRAILER_LINE_FIRST: 15,
  TRAILER_LINE: 16,
  TRAILER_LINE_LF: 17,
  TRAILER_END_LF: 18,
  DONE: 19,
  ERROR: 20,
} as const;

/** Reads one chunked body; `reset()` makes it ready for the next. Plain public fields: read by the proxy on its hot path. */
export class ChunkedDecoder {
  /** After decode(): the body bytes of this piece are bytes[dataStart, dataEnd). */
  dataStart = 0;
  dataEnd = 0;
  /** Input was used up to here: `end`, unless the message ended or broke before. */
  consumed = 0;
  /** Index into CHUNKED_REJECTIONS after ERROR. */
  reason = 0;
  /** Octets of the trailer lines, the empty line not counted; 0 without trailers. */
  trailerLength = 0;
  /** Allocated for the first message that has trailers. */
  trailers: Uint8Array = NO_NOMINATED_NAMES;
  #state: number = State.SIZE_FIRST;
  /** The size being read, then the bytes of the chunk still to come. */
  #remaining = 0;
  #digits = 0;
  #extensionBytes = 0;

  reset(): void {
    this.dataStart = 0;
    this.dataEnd = 0;
    this.consumed = 0;
    this.reason = 0;
    this.trailerLength = 0;
    this.#state = State.SIZE_FIRST;
    this.#remaining = 0;
    this.#digits = 0;
    this.#extensionBytes = 0;
  }

  /** Takes bytes[start, end); a ChunkedProgress. Body bytes of several chunks are moved together, so that they form one run. */
  decode(bytes: Uint8Array, start: number, end: number): number {
    this.dataStart = start;
    this.dataEnd = start;
    let p = start;
    while (p < end && this.#state < State.DONE) {
      if (this.#state === State.DATA) p = this.#takeData(bytes, p, end);
      else if (this.#step(bytes[p]!)) p++;
    }
    this.consumed = p;
    if (this.#state === State.DONE) return ChunkedProgress.DONE;
    return this.#state === State.ERROR ? ChunkedProgress.ERROR : ChunkedProgress.MORE;
  }

  #takeData(bytes: Uint8Array, p: number, end: number): number {
    const available = end - p;
    const taken = Math.min(available, this.#remaining);
    if (this.dataEnd === this.dataStart) {
      this.dataStart = p;
      this.dataEnd = p;
    }
    const to = this.dataEnd;
    if (to !== p) {
      if (taken > LOOP_MOVE_BYTES_MAX) bytes.copyWithin(to, p, p + taken);
      else for (let i = 0; i < taken; i++) bytes[to + i] = bytes[p + i]!;
    }
    this.dataEnd = to + taken;
    this.#remaining -= taken;
    if (this.#remaining === 0) this.#state = State.DATA_CR;
    return p + taken;
  }

  /** One octet outside of chunk data. False: refused, `reason` says why. */
  #step(octet: number): boolean {
    const state = this.#state;
    if (state <= State.SIZE) return this.#stepSize(octet);
    if (state <= State.EXTENSION_VALUE_AFTER) return this.#stepExtension(octet);
    if (state >= State.TRAILER_LINE_FIRST) return this.#stepTrailer(octet);
    if (state === State.SIZE_LF) {
      if (octet !== LF) return this.#fail(ChunkedRejection.BARE_CR);
      this.#state = this.#remaining === 0 ? State.TRAILER_LINE_FIRST : State.DATA;
      return true;
    }
    if (octet !== (state === State.DATA_CR ? CR : LF)) return this.#fail(ChunkedRejection.BAD_CHUNK_END);
    this.#state = state === State.DATA_CR ? State.DATA_LF : State.SIZE_FIRST;
    this.#digits = 0;
    return true;
  }

  #stepSize(octet: number): boolean {
    const digit = HEX_VALUE[octet]!;
    if (digit < 16) {
      if (this.#digits === CHUNK_SIZE_DIGITS_MAX) return this.#fail(ChunkedRejection.CHUNK_SIZE_TOO_LARGE);
      this.#digits++;
      this.#remaining = this.#remaining * 16 + digit;
      this.#state = State.SIZE;
      return true;
    }
    if (this.#state === State.SIZE_FIRST) return this.#fail(ChunkedRejection.BAD_CHUNK_SIZE);
    if (octet === CR) this.#state = State.SIZE_LF;
    else if (octet === SEMICOLON) this.#state = State.EXTENSION_NAME_FIRST;
    else if (isOptionalWhitespace(octet)) this.#state = State.EXTENSION_BEFORE;
    else return this.#fail(octet === LF ? ChunkedRejection.BARE_LF : ChunkedRejection.BAD_CHUNK_SIZE);
    return true;
  }

  #stepExtension(octet: number): boolean {
    if (++this.#extensionBytes > EXTENSION_BYTES_MAX) {
      return this.#fail(ChunkedRejection.CHUNK_EXTENSIONS_TOO_LARGE);
    }
    const next = extensionStateAfter(this.#state, octet);
    if (next === State.ERROR) {
      return this.#fail(octet === LF ? ChunkedRejection.BARE_LF : ChunkedRejection.BAD_CHUNK_EXTENSION);
    }
    this.#state = next;
    return true;
  }

  #stepTrailer(octet: number): boolean {
    switch (this.#state) {
      case State.TRAILER_LINE_FIRST:
        this.#state = octet === CR ? State.TRAILER_END_LF : State.TRAILER_LINE;
        return octet === CR || this.#keepTrailer(octet);
      case State.TRAILER_LINE:
        if (octet === CR) this.#state = State.TRAILER_LINE_LF;
        return this.#keepTrailer(octet);
      case State.TRAILER_LINE_LF:
        this.#state = State.TRAILER_LINE_FIRST;
        return octet === LF ? this.#keepTrailer(octet) : this.#fail(ChunkedRejection.BARE_CR);
      default:
        if (octet !== LF) return this.#fail(ChunkedRejection.BARE_CR);
        this.#state = State.DONE;
        return this.trailerLength === 0 || this.#checkTrailers();
    }
  }

  #keepTrailer(octet: number): boolean {
    if (octet === LF && this.#state === State.TRAILER_LINE) return this.#fail(ChunkedRejection.BARE_LF);
    if (this.trailerLength >= TRAILER_BYTES_MAX) return this.#fail(ChunkedRejection.TRAILERS_TOO_LARGE);
    // Two octets stay free for the empty line that completes the section.
    if (this.trailerLength + 3 > this.trailers.length) this.#growTrailers();
    this.trailers[this.trailerLength++] = octet;
    return true;
  }

  #growTrailers(): void {
    const length = this.trailers.length === 0 ? TRAILER_BYTES_FIRST : this.trailers.length * 2;
    const grown = new Uint8Array(Math.min(length, TRAILER_BYTES_MAX + 2));
    grown.set(this.trailers.subarray(0, this.trailerLength));
    this.trailers = grown;
  }

  #checkTrailers(): boolean {
    const result = scanTrailers(this);
    return result > 0 || this.#fail(-result);
  }

  #fail(reason: number): boolean {
    this.reason = reason;
    this.#state = State.ERROR;
    return false;
  }
}

/** The state after one octet of `chunk-ext`, State.ERROR when the grammar has no place for it. */
function extensionStateAfter(state: number, octet: number): number {
  const isToken = TOKEN[octet] !== 0;
  const isSpace = isOptionalWhitespace(octet);
  switch (state) {
    case State.EXTENSION_BEFORE:
      if (isSpace) return state;
      return octet === SEMICOLON ? State.EXTENSION_NAME_FIRST : State.ERROR;
    case State.EXTENSION_NAME_FIRST:
      if (isSpace) return state;
      return isToken ? State.EXTENSION_NAME : State.ERROR;
    case State.EXTENSION_NAME:
      if (isToken) return state;
      if (isSpace) return State.EXTENSION_NAME_AFTER;
      return octet === EQUALS ? State.EXTENSION_VALUE_FIRST : extensionEnd(octet);
    case State.EXTENSION_NAME_AFTER:
      if (isSpace) return state;
      if (octet === EQUALS) return State.EXTENSION_VALUE_FIRST;
      return octet === SEMICOLON ? State.EXTENSION_NAME_FIRST : State.ERROR;
    case State.EXTENSION_VALUE_FIRST:
      if (isSpace) return state;
      if (octet === DOUBLE_QUOTE) return State.EXTENSION_QUOTED;
      return isToken ? State.EXTENSION_TOKEN : State.ERROR;
    case State.EXTENSION_TOKEN:
      if (isToken) return state;
      return isSpace ? State.EXTENSION_BEFORE : extensionEnd(octet);
    case State.EXTENSION_QUOTED:
      if (octet === DOUBLE_QUOTE) return State.EXTENSION_VALUE_AFTER;
      if (octet === BACKSLASH) return State.EXTENSION_QUOTED_PAIR;
      return isText(octet) ? state : State.ERROR;
    case State.EXTENSION_QUOTED_PAIR:
      return isText(octet) ? State.EXTENSION_QUOTED : State.ERROR;
    default:
      return isSpace ? State.EXTENSION_BEFORE : extensionEnd(octet);
  }
}

function extensionEnd(octet: number): number {
  if (octet === CR) return State.SIZE_LF;
  return octet === SEMICOLON ? State.EXTENSION_NAME_FIRST : State.ERROR;
}

function isText(octet: number): boolean {
  return octet === HTAB || (octet >= SP && octet !== DEL);
}

/** Used within one call only, for whichever decoder finishes: columns for 256 trailer lines are not worth keeping per body. */
const trailerFields = new FieldTable();

function scanTrailers(decoder: ChunkedDecoder): number {
  const { trailers, trailerLength } = decoder;
  trailers[trailerLength] = CR;
  trailers[trailerLength + 1] = LF;
  return scanFieldLines(trailers, 0, trailerLength + 2, trailerFields);
}

/** An upper bound of what `writeTrailers` writes. */
export function trailersBytesMax(decoder: ChunkedDecoder): number {
  return decoder.trailerLength + 2;
}

/**
 * Writes the trailer section of a finished message with its final CRLF; the new offset. Left out are fields that have no business
 * there (framing, routing, authentication, … RFC 9110 §6.5.1) and those the head's Connection nominated:
 * `nominatedNames` is what `nominatedNamesOf` returned at head time, or NO_NOMINATED_NAMES.
 */
export function writeTrailers(
  out: Uint8Array,
  offset: number,
  decoder: ChunkedDecoder,
  nominatedNames: Uint8Array,
): number {
  if (decoder.trailerLength > 0 && scanTrailers(decoder) > 0) {
    const { trailers } = decoder;
    for (let row = 0; row < trailerFields.count; row++) {
      const start = trailerFields.lineStart[row]!;
      const nameEnd = trailerFields.nameEnd[row]!;
      if (isForbiddenInTrailers(trailers, start, nameEnd)) continue;
      if (isAmongNominated(nominatedNames, trailers, start, nameEnd)) continue;
      offset = copyOctets(out, offset, trailers, start, trailerFields.lineEnd[row]!);
    }
  }
  out[offset] = CR;
  out[offset + 1] = LF;
  return offset + 2;
}

/** The end of a chunked message without trailers. */
export const LAST_CHUNK: Uint8Array = octetsOf("0\r\n\r\n");

/** Octets of `size CRLF`, the size in hexadecimal. */
export function chunkHeaderLength(size: number): number {
  let digits = 1;
  for (let rest = size; rest >= 16; rest = Math.floor(rest / 16)) digits++;
  return digits + 2;
}

/** Writes `size CRLF`; the new offset. `size` is at least 1: a chunk of 0 would end the message. */
export function writeChunkHeader(out: Uint8Array, offset: number, size: number): number {
  const end = offset + chunkHeaderLength(size);
  let rest = size;
  for (let p = end - 3; p >= offset; p--) {
    const digit = rest % 16;
    out[p] = digit < 10 ? 0x30 + digit : 0x57 + digit;
    rest = Math.floor(rest / 16);
  }
  out[end - 2] = CR;
  out[end - 1] = LF;
  return end;
}
