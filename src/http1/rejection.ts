/**
 * Why a message was refused, as a value: the index is what a parser returns (negated), the reason is the metric label
 * and the log field, the sentence is what the client reads. The first entries are shared by requests, responses and trailers:
 * they are the rules of a field line (RFC 9112 §2.2, §5). Called by the two head parsers and the chunked decoder.
 */

export interface Rejection {
  readonly reason: string;
  readonly status: number;
  readonly sentence: string;
}

/** Indices shared by REQUEST_REJECTIONS, RESPONSE_REJECTIONS and CHUNKED_REJECTIONS. */
export const FieldRejection = {
  NONE: 0,
  BARE_LF: 1,
  BARE_CR: 2,
  OBS_FOLD: 3,
  SPACE_BEFORE_FIRST_FIELD: 4,
  SPACE_BEFORE_COLON: 5,
  BAD_FIELD_NAME: 6,
  BAD_FIELD_VALUE: 7,
  TOO_MANY_FIELDS: 8,
} as const;

interface Entry {
  readonly reason: string;
  readonly sentence: string;
  /** When it is not the list's usual status. */
  readonly status?: number;
}

const FIELD_ENTRIES: readonly Entry[] = [
  { reason: "none", sentence: "" },
  { reason: "bare-lf", sentence: "A line ends in LF without CR." },
  { reason: "bare-cr", sentence: "A CR is not followed by LF." },
  { reason: "obs-fold", sentence: "A field continues on a second line, which HTTP/1.1 no longer allows." },
  {
    reason: "space-before-first-field",
    sentence: "There is whitespace between the first line and the fields.",
  },
  { reason: "space-before-colon", sentence: "There is whitespace between a field name and its colon." },
  { reason: "bad-field-name", sentence: "A field name is empty or holds an octet that is not allowed." },
  { reason: "bad-field-value", sentence: "A field value holds a control character." },
  { reason: "too-many-fields", sentence: "The message has more than 256 fields.", status: 431 },
];

/** The shared entries, then `own`. A response or a chunked body is always answered with the list's usual status. */
export function rejectionList(usualStatus: number, own: readonly Entry[]): readonly Rejection[] {
  return [...FIELD_ENTRIES, ...own].map(({ reason, sentence, status }) => ({
    reason,
    sentence,
    status: usualStatus === 400 ? (status ?? usualStatus) : usualStatus,
  }));
}
