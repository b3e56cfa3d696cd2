/**
 * Durations as nginx writes them (ngx_parse.c, ngx_parse_time): `500ms`, `75s`, `30m`, `1h30m`, `1h 30m`; a bare
 * number is seconds. Units from large to small, each at most once. Pure. Called by the schema and so_keepalive.
 */
import { type Parsed, parsed, quoted, refused } from "./parsed.ts";

/** Units in the order in which they may follow each other; `M` is a month of 30 days, `y` a year of 365, as in nginx. */
const UNITS: readonly (readonly [unit: string, ms: number])[] = [
  ["y", 31_536_000_000],
  ["M", 2_592_000_000],
  ["w", 604_800_000],
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
];

/** Timers count in signed 32-bit milliseconds (24.8 days); 24 days is the number a person can remember. */
export const DURATION_MS_MAX = 24 * 86_400_000;

export const DURATION_HINT = "write a duration such as 500ms, 75s, 30m or 1h30m; a bare number is seconds";

export interface DurationRange {
  readonly minMs: number;
  readonly maxMs: number;
}

/** Range check included: the reason names the value and the range. */
export function parseDurationMs(
  input: unknown,
  range: DurationRange = { minMs: 0, maxMs: DURATION_MS_MAX },
): Parsed<number> {
  const ms =
    typeof input === "number" ? secondsToMs(input) : typeof input === "string" ? durationToMs(input) : -1;
  if (ms < 0) {
    const isFraction =
      typeof input === "number"
        ? !Number.isInteger(input)
        : typeof input === "string" && /^\s*\d+\.\d/.test(input);
    const hint = isFraction ? "fractions are not allowed: write 1500ms instead of 1.5s" : DURATION_HINT;
    return refused(`${quoted(input)} is not a duration`, hint);
  }
  if (ms < range.minMs || ms > range.maxMs) {
    return refused(`${quoted(input)} is out of range: allowed is ${formatDurationRange(range)}`);
  }
  return parsed(ms);
}

export function formatDurationRange(range: DurationRange): string {
  return `${formatDuration(range.minMs)} to ${formatDuration(range.maxMs)}`;
}

/** The shortest spelling: `90000` is `1m30s`. */
export function formatDuration(durationMs: number): string {
  if (durationMs === 0) return "0";
  let rest = durationMs;
  let text = "";
  for (const [unit, unitMs] of UNITS) {
    if (unit === "y" || unit === "M" || unit === "w") continue; // nobody reads "1M6d" as 36 days
    const count = Math.floor(rest / unitMs);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * unitMs;
  }
  return text === "" ? `${durationMs}ms` : text;
}

function secondsToMs(seconds: number): number {
  return Number.isSafeInteger(seconds) && seconds >= 0 ? seconds * 1000 : -1;
}

function durationToMs(text: string): number {
  const part = /(\d{1,15})(ms|[yMwdhms])?\s*/y;
  let total = 0;
  let nextUnit = 0;
  do {
    const match = part.exec(text);
    if (match === null) return -1;
    // A number without a unit is seconds and can only be the last part: "1m30".
    const unit = UNITS.findIndex(([name]) => name === (match[2] ?? "s"));
    if (unit < nextUnit) return -1;
    nextUnit = match[2] === undefined ? UNITS.length : unit + 1;
    total += Number(match[1]) * UNITS[unit]![1];
  } while (part.lastIndex < text.length);
  return Number.isSafeInteger(total) ? total : -1;
}
