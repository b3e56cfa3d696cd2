/**
 * Recognises the field names that mean something to a gateway (RFC 9110 §5.1: names are case-insensitive).
 * A name is looked up by length, first and last octet in a table without collisions, then compared: an unknown name
 * (User-Agent, Cookie, …) usually costs three loads and no comparison. Called by `field-table.ts` for every line.
 */
import { octetsOf, viewOf } from "./octets.ts";

/** 0 is every field the gateway only passes on. */
export const FieldId = {
  OTHER: 0,
  HOST: 1,
  CONNECTION: 2,
  CONTENT_LENGTH: 3,
  TRANSFER_ENCODING: 4,
  UPGRADE: 5,
  EXPECT: 6,
  TE: 7,
  KEEP_ALIVE: 8,
  PROXY_CONNECTION: 9,
  HTTP2_SETTINGS: 10,
  MAX_FORWARDS: 11,
  X_FORWARDED_FOR: 12,
  X_FORWARDED_PROTO: 13,
  X_FORWARDED_HOST: 14,
  DATE: 15,
  CLOSE: 16,
} as const;

/** Lower-case name of each id; index = id. */
export const FIELD_NAMES = [
  "",
  "host",
  "connection",
  "content-length",
  "transfer-encoding",
  "upgrade",
  "expect",
  "te",
  "keep-alive",
  "proxy-connection",
  "http2-settings",
  "max-forwards",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "date",
  "close",
] as const;

export const FIELD_ID_COUNT = FIELD_NAMES.length;

/** Longest name first fixed: names live in rows of this many octets. */
const ROW_BYTES = 32;

const NAME_ROWS = new Uint8Array(FIELD_ID_COUNT * ROW_BYTES);
/** The same rows, four octets at a time, little-endian. */
const NAME_WORDS = new Int32Array((FIELD_ID_COUNT * ROW_BYTES) / 4);
const NAME_LENGTH = new Uint8Array(FIELD_ID_COUNT);
const ID_BY_SLOT = new Uint8Array(64);

/** The multipliers were searched for: no two names share a slot, and only two of 33 common other names hit one. */
function slotOf(length: number, first: number, last: number): number {
  return (length * 2 + (first | 0x20) * 11 + (last | 0x20) * 10) & 63;
}

for (let id = 1; id < FIELD_ID_COUNT; id++) {
  const name = octetsOf(FIELD_NAMES[id]!);
  const slot = slotOf(name.length, name[0]!, name[name.length - 1]!);
  if (ID_BY_SLOT[slot] !== 0) throw new Error(`field names share slot ${slot}: choose other multipliers`);
  ID_BY_SLOT[slot] = id;
  NAME_LENGTH[id] = name.length;
  NAME_ROWS.set(name, id * ROW_BYTES);
}
const rowsView = new DataView(NAME_ROWS.buffer);
for (let i = 0; i < NAME_WORDS.length; i++) NAME_WORDS[i] = rowsView.getInt32(i * 4, true);

/**
 * The only id the field name `bytes[start, end)` (tokens only, not empty) can have, 0 for most others. Small, so that it is inlined
 * into the scan; what it finds must be confirmed by `confirmedFieldId`.
 */
export function candidateFieldId(bytes: Uint8Array, start: number, end: number): number {
  return ID_BY_SLOT[slotOf(end - start, bytes[start]!, bytes[end - 1]!)]!;
}

/** `candidate` if the name is that field's, else 0. */
export function confirmedFieldId(bytes: Uint8Array, start: number, end: number, candidate: number): number {
  const length = end - start;
  if (NAME_LENGTH[candidate] !== length) return 0;
  const row = candidate * ROW_BYTES;
  const view = viewOf(bytes);
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    if ((view.getInt32(start + i, true) | 0x20202020) !== NAME_WORDS[(row + i) >> 2]) return 0;
  }
  for (; i < length; i++) {
    // Letters fold by bit 5. "-" and "2" have that bit; the controls that would fold to them are no token octets.
    if ((bytes[start + i]! | 0x20) !== NAME_ROWS[row + i]) return 0;
  }
  return candidate;
}

export function fieldIdOf(bytes: Uint8Array, start: number, end: number): number {
  const candidate = candidateFieldId(bytes, start, end);
  return candidate === 0 ? 0 : confirmedFieldId(bytes, start, end, candidate);
}
