/**
 * The record of a simulation: what happened, who is to blame, and the events as people read them, with long runs of probes and
 * retransmissions folded to their first and last. Pure.
 */
import type { FateEvent } from "../fate.ts";
import { spokenDuration } from "../spoken-duration.ts";

/** An event that may stand for several like ones which the simulation jumped over. */
export interface RawEvent extends Omit<FateEvent, "folded"> {
  readonly repeated?: { readonly count: number; readonly sinceMs: number };
}

/**
 * Something that ended a connection. `orderly`: both ends are told and nothing is lost (a pool lets an idle connection go);
 * `cut`: against the will of an end that still wanted it.
 */
export interface Blame {
  readonly atMs: number;
  readonly hop: number;
  readonly leg: number | undefined;
  readonly kind: "orderly" | "cut";
  /** Without the time: "lvs forgets the connection, 90 s after the last packet". */
  readonly text: string;
}

const FOLDED: ReadonlySet<FateEvent["what"]> = new Set([
  "sends-probe",
  "probe-answered",
  "probe-lost",
  "retransmits",
  "drops-packet",
  "sends-payload",
]);
/** Runs up to this long are shown in full. */
const RUN_SHOWN_MAX = 3;

export class Timeline {
  readonly #events: RawEvent[] = [];
  readonly #blames: Blame[] = [];

  record(event: RawEvent): void {
    this.#events.push(event);
  }

  blame(blame: Blame): void {
    this.#blames.push(blame);
  }

  get blames(): readonly Blame[] {
    return this.#blames;
  }

  readableEvents(): readonly FateEvent[] {
    // Probes that were jumped over are recorded after the jump; the sort is stable.
    return foldRuns(this.#events.toSorted((a, b) => a.atMs - b.atMs));
  }
}

interface Run {
  readonly first: number;
  last: number;
  count: number;
  readonly members: number[];
}

/** A run is made of like events of one hop on one leg, between two events of other kinds. */
function foldRuns(events: readonly RawEvent[]): readonly FateEvent[] {
  const shown = new Map<number, FateEvent>();
  const runs = new Map<string, Run>();
  const endRuns = (): void => {
    for (const run of runs.values()) showRun(events, run, shown);
    runs.clear();
  };
  events.forEach((event, index) => {
    if (!FOLDED.has(event.what)) {
      endRuns();
      shown.set(index, withoutRepetition(event));
      return;
    }
    const content = event.what === "sends-payload" ? event.text : "";
    const key = `${event.leg}/${event.hop}/${event.to}/${event.what}/${content}`;
    const run = runs.get(key) ?? { first: index, last: index, count: 0, members: [] };
    run.last = index;
    run.count += event.repeated?.count ?? 1;
    run.members.push(index);
    runs.set(key, run);
  });
  endRuns();
  return [...shown.entries()].toSorted(([a], [b]) => a - b).map(([, event]) => event);
}

function showRun(events: readonly RawEvent[], run: Run, shown: Map<number, FateEvent>): void {
  if (run.count <= RUN_SHOWN_MAX) {
    for (const index of run.members) shown.set(index, withoutRepetition(events[index]!));
    return;
  }
  const first = events[run.first]!;
  const last = events[run.last]!;
  const sinceMs = first.repeated?.sinceMs ?? first.atMs;
  if (run.first !== run.last) shown.set(run.first, withoutRepetition(first));
  shown.set(run.last, {
    ...withoutRepetition(last),
    text: `${last.text} (${run.count} times since ${spokenDuration(sinceMs)})`,
    folded: { count: run.count, sinceMs },
  });
}

function withoutRepetition(event: RawEvent): FateEvent {
  const { repeated, ...rest } = event;
  return rest;
}
