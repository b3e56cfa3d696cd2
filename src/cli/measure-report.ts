/** What `holdfast measure` prints: the human report, the JSON document, lines of progress. Pure. Called by measure.ts. */

import type { RungResult, RungVerdict } from "../doctor/ladder.ts";
import type { LadderProgress } from "../doctor/ladder-driver.ts";
import type { FittingBox } from "../doctor/measure-boxes.ts";
import type { LadderConclusion, LadderDirection } from "../doctor/measure-conclusion.ts";
import { spokenDuration } from "../doctor/spoken-duration.ts";
import { formatSoKeepalive } from "../tcp/so-keepalive.ts";
import { counted } from "./figures.ts";
import { formatTable } from "./table.ts";

export interface MeasureReport {
  readonly target: string;
  readonly address: string;
  readonly direction: LadderDirection;
  readonly startedAt: string;
  readonly results: readonly RungResult[];
  readonly conclusion: LadderConclusion;
  readonly boxes: readonly FittingBox[];
}

const VERDICTS: Readonly<Record<RungVerdict, string>> = {
  answered: "alive: the probe was acknowledged",
  reset: "lost: RST for the probe",
  silent: "lost: no answer",
  "reset-unasked": "reset, before any probe",
  "peer-closed": "closed by the other end (FIN)",
  "never-idle": "never idle for so long: the other end speaks by itself",
  "no-connection": "no connection",
  error: "ended with an error",
  unfinished: "not waited for",
};

export function reportJson(report: MeasureReport): string {
  const { conclusion, results, boxes, ...asked } = report;
  const { bracket, soKeepalive } = conclusion;
  const document = {
    ...asked,
    outcome: conclusion.outcome,
    verdict: conclusion.verdict,
    partial: conclusion.isPartial,
    consistent: conclusion.isConsistent,
    timeoutLowerMs: bracket?.lowerMs ?? null,
    timeoutUpperMs: bracket?.upperMs ?? null,
    manner: conclusion.manner ?? null,
    aliveMs: conclusion.aliveMs,
    peerClosedAfterMs: conclusion.peerClosedAfterMs ?? null,
    soKeepalive: soKeepalive === undefined ? null : { text: formatSoKeepalive(soKeepalive), ...soKeepalive },
    boxes,
    advice: conclusion.advice,
    caveats: conclusion.caveats,
    rungs: results.map((result) => ({ ...result, errno: result.errno ?? null })),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

export function reportText(report: MeasureReport, isColoured: boolean): string {
  const { conclusion, results, boxes } = report;
  const where = report.target === report.address ? report.target : `${report.target} (${report.address})`;
  const lines = [
    `${report.direction === "from-client" ? "Towards" : "Connections accepted at"} ${where}`,
    "",
  ];
  const known = results.filter(({ verdict }) => verdict !== "unfinished");
  lines.push(
    ...formatTable(
      [{ title: "IDLE", align: "right" }, { title: "RESULT" }],
      known.map((result) => [spokenDuration(shownIdleMs(result)), resultText(result)]),
      isColoured,
    ),
    ...unfinishedLines(results.filter(({ verdict }) => verdict === "unfinished")),
    "",
    sentence(conclusion.verdict, isColoured ? colourOf(conclusion) : undefined),
  );
  if (boxes.length > 0) lines.push("", "Known boxes and programs with this time-out:", ...boxLines(boxes));
  const soKeepalive = conclusion.soKeepalive;
  if (soKeepalive !== undefined) lines.push("", `Set so_keepalive: ${formatSoKeepalive(soKeepalive)}`);
  lines.push(...conclusion.advice.map((line) => `  ${line}`));
  if (conclusion.caveats.length > 0)
    lines.push("", "Mind:", ...conclusion.caveats.map((line) => `  - ${line}`));
  return `${lines.join("\n")}\n`;
}

function unfinishedLines(unfinished: readonly RungResult[]): string[] {
  const [first, last] = [unfinished[0], unfinished.at(-1)];
  if (first === undefined || last === undefined) return [];
  const range =
    first === last
      ? spokenDuration(first.rungMs)
      : `${spokenDuration(first.rungMs)} to ${spokenDuration(last.rungMs)}`;
  return [
    `${unfinished.length} ${unfinished.length === 1 ? "rung was" : "rungs were"} not waited for (${range})`,
  ];
}

function shownIdleMs(result: RungResult): number {
  return result.verdict === "no-connection" ? result.rungMs : result.idleMs;
}

function resultText(result: RungResult): string {
  const errno = result.errno === undefined ? "" : ` (${result.errno})`;
  return `${VERDICTS[result.verdict]}${errno}`;
}

function boxLines(boxes: readonly FittingBox[]): string[] {
  const rows = boxes.map((box) => [
    `  ${box.name}`,
    spokenDuration(box.timeoutMs),
    box.fitsManner ? "time and manner fit" : "only the time fits",
    `${box.title}${box.isUnverified ? " (unverified)" : ""}`,
  ]);
  return formatTable(
    [{ title: "" }, { title: "", align: "right" }, { title: "" }, { title: "" }],
    rows,
  ).slice(1);
}

const RED = "\u001b[31m";
const GREEN = "\u001b[32m";
const RESET = "\u001b[0m";

function colourOf(conclusion: LadderConclusion): string {
  return conclusion.outcome === "keeps" ? GREEN : RED;
}

function sentence(text: string, colour: string | undefined): string {
  const capital = `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
  return colour === undefined ? capital : `${colour}${capital}${RESET}`;
}

/** undefined: no news. */
export function newsLine(result: RungResult): string | undefined {
  if (result.verdict === "unfinished") return undefined;
  return `${spokenDuration(shownIdleMs(result)).padStart(8)}  ${resultText(result)}`;
}

/** One line that is written over and over again on a terminal. */
export function progressLine(progress: LadderProgress): string {
  const next =
    progress.nextProbeInMs === undefined
      ? ""
      : `, next in ${spokenDuration(Math.ceil(progress.nextProbeInMs / 1000) * 1000)}`;
  const elapsed = spokenDuration(Math.floor(progress.elapsedMs / 1000) * 1000);
  return `${elapsed}: ${counted(progress.connected, "connection")} ${progress.connected === 1 ? "is" : "are"} quiet, ${progress.results.length} of ${counted(progress.total, "rung")} known${next}`;
}
