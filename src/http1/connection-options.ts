/**
 * The Connection field (RFC 9110 §7.6.1): its options as bits, and the fields it nominates.
 * Options are compared as whole tokens (never as substrings) and without regard to case. Called by the head parsers.
 */
import { FieldId } from "./field-name.ts";
import type { FieldTable } from "./field-table.ts";
import { isNeverNominated } from "./hop-by-hop.ts";
import {
  elementEnd,
  equalsIgnoringCase,
  lowerCaseOf,
  octetsOf,
  SP,
  sameNameIgnoringCase,
  skipWhitespace,
  trimWhitespace,
} from "./octets.ts";

/** A bit set. */
export const ConnectionOption = { CLOSE: 1, KEEP_ALIVE: 2, UPGRADE: 4, TE: 8, OTHER: 16 } as const;

/** Each nomination is compared with each field: without a bound, one head of 16 KiB could cost milliseconds. */
export const NOMINATIONS_MAX = 64;

// Private copies: constants in optimised code, which exported bindings are not.
const OPTION_CLOSE = ConnectionOption.CLOSE;
const OPTION_KEEP_ALIVE = ConnectionOption.KEEP_ALIVE;
const OPTION_UPGRADE = ConnectionOption.UPGRADE;
const OPTION_TE = ConnectionOption.TE;
const OPTION_OTHER = ConnectionOption.OTHER;

const CLOSE = octetsOf("close");
const KEEP_ALIVE = octetsOf("keep-alive");
const UPGRADE = octetsOf("upgrade");
const TE = octetsOf("te");

function optionBit(bytes: Uint8Array, start: number, end: number): number {
  if (equalsIgnoringCase(bytes, start, end, KEEP_ALIVE)) return OPTION_KEEP_ALIVE;
  if (equalsIgnoringCase(bytes, start, end, CLOSE)) return OPTION_CLOSE;
  if (equalsIgnoringCase(bytes, start, end, UPGRADE)) return OPTION_UPGRADE;
  if (equalsIgnoringCase(bytes, start, end, TE)) return OPTION_TE;
  return OPTION_OTHER;
}

/** The options of one Connection line; several lines are or-ed together. */
export function connectionOptionsOf(bytes: Uint8Array, start: number, end: number): number {
  // By far the most frequent value, alone on its line.
  if (equalsIgnoringCase(bytes, start, end, KEEP_ALIVE)) return OPTION_KEEP_ALIVE;
  let options = 0;
  for (let p = start; p < end; p++) {
    const comma = elementEnd(bytes, p, end);
    const from = skipWhitespace(bytes, p, comma);
    const to = trimWhitespace(bytes, from, comma);
    if (to > from) options |= optionBit(bytes, from, to);
    p = comma;
  }
  return options;
}

/**
 * Marks every field a Connection line names, except end-to-end fields that a peer must not be able to remove.
 * False: more than NOMINATIONS_MAX options. Needed only when the options contain OTHER; a cold path.
 */
export function markNominatedFields(bytes: Uint8Array, fields: FieldTable): boolean {
  // The table is reused: marks of an earlier message would strip fields that nobody nominated.
  fields.isNominated.fill(0, 0, fields.count);
  let nominations = 0;
  for (let i = 0; i < fields.count; i++) {
    if (fields.id[i] !== FieldId.CONNECTION) continue;
    const end = fields.valueEnd[i]!;
    for (let p = fields.valueStart[i]!; p < end; p++) {
      const comma = elementEnd(bytes, p, end);
      const from = skipWhitespace(bytes, p, comma);
      const to = trimWhitespace(bytes, from, comma);
      p = comma;
      if (to === from || optionBit(bytes, from, to) !== OPTION_OTHER) continue;
      if (++nominations > NOMINATIONS_MAX) return false;
      if (!isNeverNominated(bytes, from, to)) markFieldsCalled(bytes, fields, from, to);
    }
  }
  listNotableAgain(fields);
  return true;
}

function markFieldsCalled(bytes: Uint8Array, fields: FieldTable, from: number, to: number): void {
  for (let i = 0; i < fields.count; i++) {
    const start = fields.lineStart[i]!;
    if (fields.nameEnd[i]! - start !== to - from) continue;
    if (sameNameIgnoringCase(bytes, from, to, bytes, start)) fields.isNominated[i] = 1;
  }
}

function listNotableAgain(fields: FieldTable): void {
  let notableCount = 0;
  for (let i = 0; i < fields.count; i++) {
    if (fields.id[i] !== FieldId.OTHER || fields.isNominated[i] === 1) fields.notable[notableCount++] = i;
  }
  fields.notableCount = notableCount;
}

/** No name was nominated. */
export const NO_NOMINATED_NAMES: Uint8Array = new Uint8Array(0);

/**
 * The nominated names, lower-cased, each followed by one space: what `writeTrailers` needs after the head's bytes are gone.
 * Allocates; call it only for a chunked message whose Connection options contain OTHER.
 */
export function nominatedNamesOf(bytes: Uint8Array, fields: FieldTable): Uint8Array {
  const names: number[] = [];
  for (let i = 0; i < fields.count; i++) {
    if (fields.id[i] !== FieldId.CONNECTION) continue;
    const end = fields.valueEnd[i]!;
    for (let p = fields.valueStart[i]!; p < end; p++) {
      const comma = elementEnd(bytes, p, end);
      const from = skipWhitespace(bytes, p, comma);
      const to = trimWhitespace(bytes, from, comma);
      p = comma;
      if (to === from || isNeverNominated(bytes, from, to)) continue;
      for (let k = from; k < to; k++) names.push(lowerCaseOf(bytes[k]!));
      names.push(SP);
    }
  }
  return names.length === 0 ? NO_NOMINATED_NAMES : Uint8Array.from(names);
}

/** Is the field name `bytes[start, end)` among `nominatedNames`? */
export function isAmongNominated(
  nominatedNames: Uint8Array,
  bytes: Uint8Array,
  start: number,
  end: number,
): boolean {
  let from = 0;
  while (from < nominatedNames.length) {
    let to = from;
    while (nominatedNames[to] !== SP) to++;
    if (to - from === end - start && sameNameIgnoringCase(bytes, start, end, nominatedNames, from))
      return true;
    from = to + 1;
  }
  return false;
}
