/**
 * The rows of a sequence diagram: what happened, who sent it to whom, with what a person need not see twice put together. Pure.
 * Drawn by predict-text.ts with characters and by predict-svg.ts with lines.
 */
import type { Fate, FateEvent } from "../doctor/fate.ts";
import type { Hop } from "../doctor/hop.ts";

export type RowStyle = "payload" | "probe" | "retransmission" | "fin" | "reset" | "state" | "bad";

export interface SequenceRow {
  readonly atMs: number;
  readonly from: number;
  /** undefined: something happens at `from` itself. */
  readonly to: number | undefined;
  /** The packet does not arrive: a box drops it, a host is gone. */
  readonly isLost: boolean;
  /** The answer comes back at once: both ends get an arrow. */
  readonly isAnswered: boolean;
  readonly style: RowStyle;
  /** One word for the arrow: "data", "probe", "FIN", "RST". */
  readonly word: string;
  readonly text: string;
}

export function sequenceRows(fate: Fate, hops: readonly Hop[]): readonly SequenceRow[] {
  const rows: SequenceRow[] = [];
  const { events } = fate;
  const dead = vanishedHop(fate, hops);
  let isGone = false;
  for (let at = 0; at < events.length; at++) {
    const event = events[at]!;
    const next = events[at + 1];
    const isPaired = next !== undefined && completes(event, next);
    if (event.hop === dead && event.what === "gives-up") isGone = true;
    const row = rowOf(event, isPaired ? next : undefined, hops);
    rows.push(isGone && row.to === dead ? { ...row, isLost: true } : row);
    if (isPaired) at++;
  }
  return rows;
}

/** The end point whose host goes away in this scenario: nothing reaches it afterwards. */
function vanishedHop({ scenario }: Fate, hops: readonly Hop[]): number | undefined {
  if (scenario.kind !== "host-dies-idle" && scenario.kind !== "host-dies-in-flight") return undefined;
  return scenario.who === "client" ? 0 : hops.length - 1;
}

/** The arrival of what has just been sent needs no row of its own. */
function completes(sent: FateEvent, got: FateEvent): boolean {
  const expected = ARRIVALS[sent.what];
  return (
    expected?.includes(got.what) === true &&
    got.atMs === sent.atMs &&
    got.leg === sent.leg &&
    sent.to === got.hop
  );
}

const ARRIVALS: Partial<Record<FateEvent["what"], readonly FateEvent["what"][]>> = {
  "sends-fin": ["gets-fin"],
  "sends-reset": ["gets-reset"],
  "sends-probe": ["probe-answered", "probe-lost"],
  "sends-payload": ["gets-answer", "gets-error", "drops-packet"],
  "answers-error": ["gets-error"],
  retransmits: ["drops-packet"],
};

const STYLES: Record<FateEvent["what"], readonly [style: RowStyle, word: string]> = {
  "sends-payload": ["payload", "data"],
  "sends-probe": ["probe", "probe"],
  "probe-answered": ["probe", "answer"],
  "probe-lost": ["probe", ""],
  retransmits: ["retransmission", "again"],
  forgets: ["bad", ""],
  adopts: ["state", ""],
  "drops-packet": ["bad", ""],
  "sends-reset": ["reset", "RST"],
  "sends-fin": ["fin", "FIN"],
  "gets-reset": ["reset", ""],
  "gets-fin": ["fin", ""],
  "gets-error": ["bad", ""],
  "gives-up": ["bad", ""],
  "answers-error": ["payload", "error"],
  "gets-answer": ["payload", ""],
};

function rowOf(event: FateEvent, got: FateEvent | undefined, hops: readonly Hop[]): SequenceRow {
  const [style, word] = STYLES[event.what];
  const to = event.to === event.hop ? undefined : event.to;
  const isLost =
    to !== undefined &&
    (got?.what === "probe-lost" ||
      got?.what === "drops-packet" ||
      (hops[to]?.kind === "packet-box" && got === undefined));
  const isAnswered = got?.what === "probe-answered";
  const told = got?.errno ?? event.errno;
  const said = got === undefined || isAnswered ? event.text : `${event.text}; ${got.text}`;
  const text = told === undefined || said.includes(told) ? said : `${said} (${told})`;
  return {
    atMs: event.atMs,
    from: event.hop,
    to,
    isLost,
    isAnswered,
    style,
    word,
    text: isAnswered ? `${text}: answered` : text,
  };
}
