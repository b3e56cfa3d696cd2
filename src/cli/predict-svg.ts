/**
 * The sequence diagrams of `holdfast predict` as SVG: self-contained, readable in light and dark, every text escaped (names come from
 * configuration files). Pure. Called by predict.ts (`--svg`) and predict-html.ts.
 */
import type { Hop } from "../doctor/hop.ts";
import type { Prediction, PredictionReport } from "./predict-report.ts";
import { type SequenceRow, sequenceRows } from "./predict-sequence.ts";
import { formatMoment } from "./predict-text.ts";

const COLUMN_WIDTH = 150;
const TIME_WIDTH = 90;
const ROW_HEIGHT = 26;
const HEAD_HEIGHT = 64;
const CHARACTER_WIDTH = 6.4;
const TEXT_WIDTH_MIN = 300;

/** All scenarios, one below the other. */
export function reportSvg({ described, predictions }: PredictionReport): string {
  const { hops } = described.path;
  const parts = predictions.map((prediction) => diagramParts(prediction, hops));
  const width = Math.max(...parts.map((part) => part.width), TEXT_WIDTH_MIN);
  let y = 0;
  const placed = parts.map(({ body, height }) => {
    const part = `<g transform="translate(0 ${y})">\n${body}\n</g>`;
    y += height + 24;
    return part;
  });
  return `${svgStart(width, Math.max(y, 1))}${placed.join("\n")}\n</svg>\n`;
}

/** One scenario, to stand within a page. */
export function predictionSvg(prediction: Prediction, hops: readonly Hop[]): string {
  const { body, width, height } = diagramParts(prediction, hops);
  return `${svgStart(width, height)}${body}\n</svg>`;
}

const STYLE = `
  .holdfast { font: 12px system-ui, sans-serif; --ink: #1d2430; --dim: #6b7482; --line: #c8ced8; --paper: #fff; --bad: #c22f2f; --good: #217a3c; --data: #2458c5; --probe: #7a55b8; }
  @media (prefers-color-scheme: dark) { .holdfast { --ink: #e6e9ef; --dim: #98a1b0; --line: #454d5a; --paper: #15181d; --bad: #ff7b72; --good: #5fce84; --data: #7fabff; --probe: #c3a6ff; } }
  .holdfast text { fill: var(--ink); } .holdfast .dim { fill: var(--dim); } .holdfast .title { font-weight: 600; font-size: 14px; }
  .holdfast .verdict-bad { fill: var(--bad); } .holdfast .verdict-good { fill: var(--good); }
  .holdfast .life { stroke: var(--line); } .holdfast .paper { fill: var(--paper); }
  .holdfast .arrow { stroke-width: 1.6; fill: none; } .holdfast .word { font-size: 10px; text-anchor: middle; }
  .holdfast .payload { stroke: var(--data); } .holdfast .probe { stroke: var(--probe); stroke-dasharray: 2 3; }
  .holdfast .retransmission { stroke: var(--data); stroke-dasharray: 6 4; } .holdfast .fin { stroke: var(--ink); }
  .holdfast .reset { stroke: var(--bad); stroke-width: 2.4; } .holdfast .bad { stroke: var(--bad); } .holdfast .state { stroke: var(--ink); }
`;

function svgStart(width: number, height: number): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" class="holdfast" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">\n<style>${STYLE}</style>\n<rect class="paper" width="${width}" height="${height}"/>\n`;
}

function diagramParts(
  { title, fate }: Prediction,
  hops: readonly Hop[],
): { body: string; width: number; height: number } {
  const rows = sequenceRows(fate, hops);
  const height = HEAD_HEIGHT + rows.length * ROW_HEIGHT + 8;
  const textX = columnX(hops.length - 1) + 60;
  const longest = Math.max(0, ...rows.map(({ text }) => text.length * CHARACTER_WIDTH));
  const width = Math.ceil(
    Math.max(textX + longest + 20, fate.verdict.length * CHARACTER_WIDTH + 40, title.length * 9 + 40),
  );
  const lines = [
    text(12, 18, title, "title"),
    text(
      12,
      36,
      `${fate.isHealthy ? "✓" : "✗"} ${fate.verdict}`,
      fate.isHealthy ? "verdict-good" : "verdict-bad",
    ),
    ...hops.flatMap((hop, index) => [
      `<line class="life" x1="${columnX(index)}" y1="${HEAD_HEIGHT - 4}" x2="${columnX(index)}" y2="${height - 4}"/>`,
      `<text x="${columnX(index)}" y="${HEAD_HEIGHT - 9}" text-anchor="middle">${escapeXml(clip(hop.name))}<title>${escapeXml(hop.name)}</title></text>`,
    ]),
    ...rows.flatMap((row, index) =>
      rowParts(row, HEAD_HEIGHT + index * ROW_HEIGHT + ROW_HEIGHT / 2, rows[index - 1]?.atMs, textX),
    ),
  ];
  return { body: lines.join("\n"), width, height };
}

function columnX(hop: number): number {
  return TIME_WIDTH + COLUMN_WIDTH / 2 + hop * COLUMN_WIDTH;
}

function rowParts(row: SequenceRow, y: number, previousMs: number | undefined, textX: number): string[] {
  const parts = [text(textX, y + 4, row.text, "")];
  if (row.atMs !== previousMs)
    parts.push(
      `<text class="dim" x="${TIME_WIDTH - 8}" y="${y + 4}" text-anchor="end">${formatMoment(row.atMs)}</text>`,
    );
  const from = columnX(row.from);
  if (row.to === undefined) {
    parts.push(
      row.style === "bad"
        ? cross(from, y)
        : `<circle class="arrow ${row.style}" cx="${from}" cy="${y}" r="4"/>`,
    );
    return parts;
  }
  const direction = row.to > row.from ? 1 : -1;
  const to = columnX(row.to) - direction * 4;
  parts.push(
    `<line class="arrow ${row.style}" x1="${from + direction * 4}" y1="${y}" x2="${to}" y2="${y}"/>`,
  );
  parts.push(row.isLost ? cross(to, y) : arrowHead(to, y, direction, row.style));
  if (row.isAnswered) parts.push(arrowHead(from + direction * 4, y, -direction, row.style));
  if (row.word !== "")
    parts.push(`<text class="word" x="${(from + to) / 2}" y="${y - 4}">${row.word}</text>`);
  return parts;
}

function arrowHead(x: number, y: number, direction: number, style: string): string {
  const back = x - direction * 7;
  return `<path class="arrow ${style}" style="stroke-dasharray:none" d="M${back} ${y - 4}L${x} ${y}L${back} ${y + 4}"/>`;
}

function cross(x: number, y: number): string {
  return `<path class="arrow bad" d="M${x - 4} ${y - 4}L${x + 4} ${y + 4}M${x - 4} ${y + 4}L${x + 4} ${y - 4}"/>`;
}

function text(x: number, y: number, content: string, className: string): string {
  return `<text${className === "" ? "" : ` class="${className}"`} x="${x}" y="${y}">${escapeXml(content)}</text>`;
}

function clip(name: string): string {
  const characters = [...name];
  return characters.length <= 22 ? name : `${characters.slice(0, 21).join("")}…`;
}

/** Characters that XML 1.0 forbids altogether, whatever the escape. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const FORBIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;

export function escapeXml(content: string): string {
  return content
    .replaceAll(/\p{Surrogate}/gu, "�")
    .replaceAll(FORBIDDEN, "�")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}
