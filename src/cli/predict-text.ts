/**
 * `holdfast predict` for the terminal: the path with its values and where they come from, a sequence diagram and a verdict per scenario,
 * contradictions, and the smallest remedy. Pure: a report in, lines out. Called by predict.ts.
 */
import { printable } from "../config/diagnostics.ts";
import { formatDuration } from "../config/duration.ts";
import type { Contradiction } from "../doctor/fate.ts";
import type { Hop } from "../doctor/hop.ts";
import type { DescribedHop } from "../doctor/hop-settings.ts";
import { describeRemedy, otherRemedies, type Prediction, type PredictionReport } from "./predict-report.ts";
import { type SequenceRow, sequenceRows } from "./predict-sequence.ts";

export interface TextOptions {
  readonly isColoured: boolean;
  /** Diagrams also of what goes well. */
  readonly isVerbose: boolean;
}

type Paint = (colour: "red" | "green" | "yellow" | "bold" | "dim", text: string) => string;

const COLOUR = new RegExp(`(${"\u001b"}\\[(?:0|1|2|31|32|33)m)`);
const CODES = { red: "31", green: "32", yellow: "33", bold: "1", dim: "2" } as const;

export function reportText(report: PredictionReport, options: TextOptions): string {
  const paint: Paint = (colour, text) =>
    options.isColoured ? `\u001b[${CODES[colour]}m${text}\u001b[0m` : text;
  const { described, predictions } = report;
  const lines = [
    paint("bold", "Path"),
    ...described.hops.flatMap((hop, index) => hopLines(hop, index, paint)),
    "",
  ];
  for (const prediction of predictions)
    lines.push(...predictionLines(prediction, described.path.hops, options, paint), "");
  if (report.contradictions.length > 0) {
    lines.push(
      paint("bold", "Contradictions"),
      ...report.contradictions.flatMap((found) => contradictionLines(found, paint)),
      "",
    );
  }
  lines.push(...adviceLines(report, paint));
  return `${lines.map((line) => harmless(line.trimEnd())).join("\n")}\n`;
}

/** Names come from files: nothing in them may drive the terminal or break a line. Our own colours stay. */
function harmless(line: string): string {
  return line
    .split(COLOUR)
    .map((part, index) => (index % 2 === 1 ? part : printable(part).replaceAll("\n", " ")))
    .join("");
}

const KINDS = {
  "end-point": "end point",
  "packet-box": "packet box: any packet refreshes it",
  proxy: "proxy: ends TCP, only payload counts",
};

function hopLines({ hop, settings, notes }: DescribedHop, index: number, paint: Paint): string[] {
  const mark = hop.source.isUnverified === true ? paint("yellow", " unverified") : "";
  const head = `${String(index + 1).padStart(2)}  ${paint("bold", hop.name)}  ${KINDS[hop.kind]}`;
  const written = Object.values(settings).map(
    ({ label, text, source }) => [label, text, source.text] as const,
  );
  // One word for two fields (`after_expiry`, `idle_timeout`) is one line.
  const rows = written.filter(
    (row, at) => written.findIndex((other) => String(other) === String(row)) === at,
  );
  const widths = [0, 1].map((column) => Math.max(0, ...rows.map((row) => row[column as 0 | 1].length)));
  return [
    head,
    `      ${paint("dim", hop.source.text)}${mark}`,
    ...rows.map(
      ([label, text, source]) =>
        `      ${label.padEnd(widths[0]!)}  ${text.padEnd(widths[1]!)}  ${paint("dim", source)}`,
    ),
    ...notes.map((note) => `      note: ${note}`),
  ];
}

function predictionLines(
  { title, fate }: Prediction,
  hops: readonly Hop[],
  options: TextOptions,
  paint: Paint,
): string[] {
  const mark = fate.isHealthy ? paint("green", "✓") : paint("red", "✗");
  const verdict = `${mark} ${paint("bold", capital(title))}: ${fate.verdict}`;
  if (fate.isHealthy && !options.isVerbose) return [verdict];
  return [verdict, "", ...diagram(sequenceRows(fate, hops), hops)];
}

const TIME_WIDTH = 12;
const SPACING_MIN = 12;
const SPACING_MAX = 22;

/** Columns are hops; a row is a moment. */
export function diagram(rows: readonly SequenceRow[], hops: readonly Hop[]): string[] {
  const longest = Math.max(...hops.map(({ name }) => name.length));
  const spacing = Math.min(SPACING_MAX, Math.max(SPACING_MIN, longest + 2));
  const column = (hop: number): number => TIME_WIDTH + Math.floor(spacing / 2) + hop * spacing;
  const width = column(hops.length - 1) + Math.floor(spacing / 2) + 1;
  const head = new Canvas(width);
  for (const [index, { name }] of hops.entries())
    head.write(column(index) - Math.floor(Math.min(name.length, spacing - 1) / 2), clip(name, spacing - 1));
  let lastMs = -1;
  const lines = rows.map((row) => {
    const canvas = new Canvas(width);
    for (const [index] of hops.entries()) canvas.write(column(index), "│");
    if (row.atMs !== lastMs) canvas.write(0, formatMoment(row.atMs).padStart(TIME_WIDTH - 2));
    lastMs = row.atMs;
    drawRow(canvas, row, column);
    return `${canvas.text()}  ${row.text}`;
  });
  return [head.text(), ...lines];
}

const STROKES: Record<SequenceRow["style"], string> = {
  payload: "─",
  probe: "┄",
  retransmission: "╌",
  fin: "─",
  reset: "━",
  state: "·",
  bad: "·",
};

function drawRow(canvas: Canvas, row: SequenceRow, column: (hop: number) => number): void {
  if (row.to === undefined) {
    canvas.write(column(row.from), row.style === "bad" ? "✗" : "●");
    return;
  }
  const [from, to] = [column(row.from), column(row.to)];
  const [left, right] = [Math.min(from, to), Math.max(from, to)];
  for (let x = left + 1; x < right; x++) canvas.write(x, STROKES[row.style]);
  const word = ` ${row.word} `;
  if (row.word !== "" && right - left > word.length + 4)
    canvas.write(left + Math.floor((right - left - word.length) / 2) + 1, word);
  const isRight = to > from;
  if (row.isLost) canvas.write(isRight ? to - 1 : to + 1, "✗");
  else canvas.write(isRight ? to - 1 : to + 1, isRight ? "▶" : "◀");
  if (row.isAnswered) canvas.write(isRight ? from + 1 : from - 1, isRight ? "◀" : "▶");
}

/** One line of characters. */
class Canvas {
  readonly #cells: string[];

  constructor(width: number) {
    this.#cells = new Array<string>(width).fill(" ");
  }

  write(x: number, text: string): void {
    for (const [index, character] of [...text].entries())
      if (x + index >= 0 && x + index < this.#cells.length) this.#cells[x + index] = character;
  }

  text(): string {
    return this.#cells.join("");
  }
}

/** "0", "350s", "15m24s600ms": exact, because 350 and 360 are different boxes; seconds up to 20 minutes. */
export function formatMoment(atMs: number): string {
  const rounded = Math.round(atMs);
  if (rounded < 1000) return rounded === 0 ? "0s" : `${rounded}ms`;
  if (rounded <= 1_200_000) return `${Number((rounded / 1000).toFixed(1))}s`;
  return formatDuration(Math.round(rounded / 1000) * 1000);
}

function contradictionLines({ severity, text, fix, hops, rule }: Contradiction, paint: Paint): string[] {
  const where = hops.map((hop) => hop + 1).join(" and ");
  const mark = severity === "error" ? paint("red", "✗") : paint("yellow", "!");
  return [`${mark} hop ${where}: ${text}  ${paint("dim", `[${rule}]`)}`, `      ${fix}`];
}

function adviceLines({ advice, described }: PredictionReport, paint: Paint): string[] {
  const lines = [paint("bold", "Smallest change"), `  ${advice.text}`];
  const isDivided = advice.forDeadHosts.length > 0 && advice.forDeadHosts.length < advice.plan.length;
  for (const remedy of advice.plan) {
    if (isDivided && remedy === advice.forDeadHosts[0]) lines.push("  and for dead hosts:");
    lines.push(`  → ${describeRemedy(remedy, described)}`);
    for (const line of remedy.directive?.split("\n") ?? []) lines.push(`      ${paint("green", line)}`);
    if (remedy.cost !== "") lines.push(`      cost: ${remedy.cost}`);
  }
  const others = otherRemedies(advice).slice(0, 3);
  if (others.length > 0) {
    const isWhole = advice.plan.length === 1;
    lines.push(isWhole ? "  or:" : "  one value alone mends a part only:");
    lines.push(...others.map((remedy) => `    ${describeRemedy(remedy, described)}`));
  }
  return lines;
}

function capital(text: string): string {
  return text === "" ? text : text[0]!.toUpperCase() + text.slice(1);
}

function clip(text: string, length: number): string {
  const characters = [...text];
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join("")}…`;
}
