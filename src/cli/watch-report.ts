/** What `holdfast watch` prints: a line per end of a connection, and the histogram of idle ages. Pure; called by watch.ts. */
import type { ConnectionEnd, EndCause } from "../doctor/connection-ends.ts";
import { findHeaps, type Heap, histogramOf } from "../doctor/death-histogram.ts";
import { stateName } from "../doctor/socket-record.ts";
import { spokenDuration } from "../doctor/spoken-duration.ts";
import { formatAge } from "./figures.ts";

export interface NamedEnd {
  readonly end: ConnectionEnd;
  /** `nginx/1234`; undefined: not known. */
  readonly process: string | undefined;
  /** ISO 8601. */
  readonly at: string;
}

const CAUSE_WORDS: Readonly<Record<EndCause, string>> = {
  "closed-by-us": "closed here first",
  "closed-by-peer": "closed by the peer first",
  "probes-unanswered": "keepalive probes unanswered",
  "data-unanswered": "data never acknowledged",
  vanished: "reset, aborted or killed",
  "never-opened": "never opened",
};
const BAR_LENGTH = 40;

export function endLine({ end, process, at }: NamedEnd): string {
  const who = process === undefined ? "" : `  ${process}`;
  const about = end.isExact ? "" : "about ";
  return `${at.slice(11, 19)}  ${end.local} → ${end.remote}${who}  ${CAUSE_WORDS[end.cause]}, idle for ${about}${spokenDuration(end.idleMs)}`;
}

export function endJson({ end, process, at }: NamedEnd): string {
  const { cause, idleMs, isExact, bytesReceived, bytesAcked } = end;
  return JSON.stringify({
    event: "end",
    at,
    local: end.local,
    remote: end.remote,
    process: process ?? null,
    cause,
    lastState: stateName(end.lastState),
    idleMs,
    isExact,
    bytesReceived,
    bytesAcked,
  });
}

/** What is kept of an end until the summary: a watch may last for days. */
export type CountedEnd = Pick<ConnectionEnd, "cause" | "idleMs" | "isExact">;

export interface WatchSummary {
  readonly watchedMs: number;
  readonly open: number;
  readonly ends: readonly CountedEnd[];
  readonly intervalMs: number;
  readonly gaps: readonly string[];
}

export function summaryLines(summary: WatchSummary): string[] {
  const { ends, watchedMs, open, gaps } = summary;
  const lines = [
    "",
    `${ends.length} ${ends.length === 1 ? "connection" : "connections"} ended in ${spokenDuration(watchedMs)}, ${open} still there`,
  ];
  if (ends.length === 0) return [...lines, ...gaps.map((gap) => `partial: ${gap}`)];
  lines.push("", ...causeLines(ends), "", "Idle age at the end:", ...histogramLines(ends), "");
  const heaps = heapsOf(summary);
  lines.push(...(heaps.length === 0 ? ["No age stands out."] : heaps.map(heapLine)));
  return [...lines, ...gaps.map((gap) => `partial: ${gap}`)];
}

function causeLines(ends: readonly CountedEnd[]): string[] {
  return [...countCauses(ends)]
    .sort((a, b) => b[1] - a[1])
    .map(([cause, count]) => `${String(count).padStart(7)}  ${CAUSE_WORDS[cause]}`);
}

function countCauses(ends: readonly CountedEnd[]): Map<EndCause, number> {
  const counts = new Map<EndCause, number>();
  for (const { cause } of ends) counts.set(cause, (counts.get(cause) ?? 0) + 1);
  return counts;
}

/** From the first to the last bucket that has something. */
function histogramLines(ends: readonly CountedEnd[]): string[] {
  const buckets = histogramOf(ends.map(({ idleMs }) => idleMs));
  const filled = buckets.map(({ count }) => count > 0);
  const shown = buckets.slice(filled.indexOf(true), filled.lastIndexOf(true) + 1);
  const largest = Math.max(...shown.map(({ count }) => count));
  return shown.map(({ fromMs, toMs, count }) => {
    const range =
      toMs === undefined ? `${formatAge(fromMs)} or more` : `${formatAge(fromMs)} to ${formatAge(toMs)}`;
    const bar = "#".repeat(Math.ceil((count / largest) * BAR_LENGTH));
    return `${range.padStart(18)}  ${String(count).padStart(6)}  ${bar}`.trimEnd();
  });
}

function heapsOf({ ends, intervalMs }: WatchSummary): Heap[] {
  const isExact = ends.every((end) => end.isExact);
  return findHeaps(
    ends.map(({ idleMs }) => idleMs),
    isExact ? 0 : intervalMs,
  );
}

function heapLine({ ageMs, count, suspects }: Heap): string {
  const names =
    suspects.length === 0
      ? "no box that Holdfast knows has this time-out: holdfast measure HOST:PORT looks for it"
      : `the idle time-out of ${suspects.join(", ")}`;
  return `${count} connections ended ${spokenDuration(ageMs)} after their last payload: ${names}`;
}

export function summaryJson(summary: WatchSummary): string {
  const { watchedMs, open, ends, gaps } = summary;
  return JSON.stringify({
    event: "summary",
    watchedMs: Math.round(watchedMs),
    open,
    ended: ends.length,
    causes: Object.fromEntries(countCauses(ends)),
    histogram: histogramOf(ends.map(({ idleMs }) => idleMs))
      .filter(({ count }) => count > 0)
      .map(({ fromMs, toMs, count }) => ({ fromMs, toMs: toMs ?? null, count })),
    heaps: heapsOf(summary),
    isPartial: gaps.length > 0,
    gaps,
  });
}
