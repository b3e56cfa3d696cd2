/**
 * How long connections had been idle when they ended, as a histogram, and the heaps in it: many ends at one age are a clock, not
 * chance. A heap at 350 s names the box that has this idle time-out. Pure; fed by death-watch.ts, shown by cli/watch.ts.
 */

import { parseDurationMs } from "../config/duration.ts";
import { CATALOGUE } from "./catalogue.ts";
import { defaultSettings } from "./catalogue-entry.ts";

export interface HistogramBucket {
  readonly fromMs: number;
  /** Exclusive; undefined: no end. */
  readonly toMs: number | undefined;
  readonly count: number;
}

/** Ends at one age. */
export interface Heap {
  /** The middle one. */
  readonly ageMs: number;
  readonly count: number;
  /** Of all ends that were idle for at least MIN_AGE_MS. */
  readonly share: number;
  /** Boxes and programs whose default idle time-out that is. */
  readonly suspects: readonly string[];
}

export interface KnownTimeout {
  readonly name: string;
  readonly timeoutMs: number;
}

/** Lower edges, in seconds: the time-outs of well-known boxes lie inside of a bucket, not on its edge. */
const EDGES_S = [
  0, 1, 5, 10, 20, 45, 75, 110, 150, 200, 270, 330, 400, 550, 700, 850, 1000, 1700, 2000, 3400, 4000, 7000,
  7600,
];
/** Younger ones ended because their work was done. */
const MIN_AGE_MS = 10_000;
/** What chance alone would put into a window is estimated from neighbourhoods so many times as wide, and is never taken for nothing. */
const NEIGHBOURHOODS = [8, 32];
const EXPECTED_MIN = 0.45;
/** Standard deviations above it (of a Poisson distribution): many windows are looked at, so a few would not be enough. Five ends at least. */
const DEVIATIONS = 6;
const WIDTH_SHARE = 0.02;
const WIDTH_MIN_MS = 2000;
const HEAPS_MAX = 10;

export function histogramOf(agesMs: readonly number[]): HistogramBucket[] {
  const counts = new Array<number>(EDGES_S.length).fill(0);
  for (const age of agesMs) {
    let index = EDGES_S.length - 1;
    while (index > 0 && age < EDGES_S[index]! * 1000) index -= 1;
    counts[index]! += 1;
  }
  return EDGES_S.map((edge, index) => {
    const next = EDGES_S[index + 1];
    return { fromMs: edge * 1000, toMs: next === undefined ? undefined : next * 1000, count: counts[index]! };
  });
}

/** Heaps, largest first. `blurMs`: how inexact the ages are (the sampling interval; 0 when the kernel itself told them). */
export function findHeaps(
  agesMs: readonly number[],
  blurMs: number,
  known: readonly KnownTimeout[] = KNOWN_TIMEOUTS,
): Heap[] {
  let left = agesMs.filter((age) => age >= MIN_AGE_MS).sort((a, b) => a - b);
  const total = left.length;
  const heaps: Heap[] = [];
  while (heaps.length < HEAPS_MAX) {
    const window = densestWindow(left, blurMs);
    if (window === undefined) break;
    const members = left.slice(window.start, window.end);
    const ageMs = members[members.length >> 1]!;
    heaps.push({
      ageMs,
      count: members.length,
      share: members.length / total,
      suspects: suspectsOf(ageMs, widthMs(ageMs, blurMs), known),
    });
    left = [...left.slice(0, window.start), ...left.slice(window.end)];
  }
  return heaps;
}

function widthMs(ageMs: number, blurMs: number): number {
  return Math.max(WIDTH_MIN_MS, ageMs * WIDTH_SHARE) + blurMs;
}

/** Indices of the ages of the fullest window that is a heap, in a sorted list. */
function densestWindow(
  sorted: readonly number[],
  blurMs: number,
): { start: number; end: number } | undefined {
  let best: { start: number; end: number } | undefined;
  for (let start = 0, end = 0; start < sorted.length; start++) {
    const width = widthMs(sorted[start]!, blurMs);
    while (end < sorted.length && sorted[end]! <= sorted[start]! + width) end += 1;
    const count = end - start;
    if (best !== undefined && count <= best.end - best.start) continue;
    if (isDenserThanAround(sorted, start, end, width)) best = { start, end };
  }
  return best;
}

/** Either side counts for itself: ages end somewhere (the watch was no longer than that), and an edge is no heap. */
function isDenserThanAround(sorted: readonly number[], start: number, end: number, width: number): boolean {
  const from = sorted[start]!;
  const to = from + width;
  const rates = NEIGHBOURHOODS.flatMap((times) => {
    const sides = (times - 1) / 2;
    const reach = width * sides;
    const below = start - firstAtLeast(sorted, from - reach);
    const above = firstAtLeast(sorted, to + reach) - end;
    return [below / sides, above / sides];
  });
  const expected = Math.max(EXPECTED_MIN, ...rates);
  return end - start >= expected + DEVIATIONS * Math.sqrt(expected);
}

/** Index of the first age that is not below `age`, by halving: there may be a hundred thousand. */
function firstAtLeast(sorted: readonly number[], age: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < age) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A box cuts at its time-out or a little later: its own timer is coarse, and the next packet has to come. */
function suspectsOf(ageMs: number, tolerance: number, known: readonly KnownTimeout[]): string[] {
  return known.filter(({ timeoutMs }) => Math.abs(timeoutMs - ageMs) <= tolerance).map(({ name }) => name);
}

/** The idle time-outs of the catalogue: boxes by packet, proxies and programs by payload. */
export const KNOWN_TIMEOUTS: readonly KnownTimeout[] = CATALOGUE.flatMap((entry) => {
  const roles = entry.roles === "server" ? (["server"] as const) : (["client", "server"] as const);
  const texts = roles.flatMap((role) => {
    const settings = defaultSettings(entry, role);
    return ["timeout", "idle_timeout", "client_idle_timeout", "server_timeout", "upstream_idle_timeout"].map(
      (field) => settings[field]?.text,
    );
  });
  return [...new Set(texts)].flatMap((text) => {
    const parsed =
      text === undefined ? undefined : parseDurationMs(text, { minMs: 1, maxMs: Number.MAX_SAFE_INTEGER });
    return parsed?.ok === true ? [{ name: entry.name, timeoutMs: parsed.value }] : [];
  });
});
