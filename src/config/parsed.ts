/**
 * The result of reading one value that an operator wrote: a value, or a reason in words that a person can act on.
 * Operators' input never throws. Used by the value parsers (duration, size, address, so_keepalive) and the schema.
 */
export type Parsed<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly reason: string; readonly hint?: string };

export function parsed<Value>(value: Value): Parsed<Value> {
  return { ok: true, value };
}

export function refused(reason: string, hint?: string): { ok: false; reason: string; hint?: string } {
  return hint === undefined ? { ok: false, reason } : { ok: false, reason, hint };
}

/** A value as it is quoted in a message: strings in quotes, everything else as JSON, never longer than a line. */
export function quoted(input: unknown): string {
  if (input === undefined) return "nothing";
  if (input === null) return "an empty value";
  if (Array.isArray(input)) return "a list";
  if (typeof input === "object") return "a map";
  const text = JSON.stringify(input) ?? String(input);
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}
