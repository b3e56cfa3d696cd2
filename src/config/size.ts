/**
 * Sizes as nginx writes them (ngx_parse.c, ngx_parse_offset): `512`, `16k`, `1m`, `1g`; a bare number is bytes.
 * Pure. Called by the schema.
 */
import { type Parsed, parsed, quoted, refused } from "./parsed.ts";

const FACTORS: Readonly<Record<string, number>> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

export const SIZE_BYTES_MAX = 1024 ** 4;
export const SIZE_HINT = "write a size such as 512, 16k, 1m or 1g; a bare number is bytes";

export interface SizeRange {
  readonly minBytes: number;
  readonly maxBytes: number;
}

export function parseSizeBytes(
  input: unknown,
  range: SizeRange = { minBytes: 0, maxBytes: SIZE_BYTES_MAX },
): Parsed<number> {
  const match =
    typeof input === "string" || typeof input === "number" ? /^(\d{1,16})([kmg]?)$/i.exec(`${input}`) : null;
  if (match === null) return refused(`${quoted(input)} is not a size`, SIZE_HINT);
  const bytes = Number(match[1]) * FACTORS[match[2]!.toLowerCase()]!;
  if (bytes < range.minBytes || bytes > range.maxBytes) {
    return refused(`${quoted(input)} is out of range: allowed is ${formatSizeRange(range)}`);
  }
  return parsed(bytes);
}

export function formatSizeRange(range: SizeRange): string {
  return `${formatSize(range.minBytes)} to ${formatSize(range.maxBytes)}`;
}

/** The shortest exact spelling: `16384` is `16k`. */
export function formatSize(bytes: number): string {
  for (const [suffix, factor] of Object.entries(FACTORS).toReversed()) {
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${suffix}`;
  }
  return `${bytes}`;
}
