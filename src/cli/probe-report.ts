/** The answer of `holdfast probe` as a table for people and as JSON. Pure. Called by probe.ts. */
import { formatChanges, type OptionValues, type SocketOptionChange } from "../doctor/option-plan.ts";
import { stayingExplicit } from "../doctor/probe-machine.ts";
import type { ProbeOutcome, ProbeResult } from "../doctor/prober.ts";
import { formatEnd } from "../doctor/selector.ts";
import { spokenDuration } from "../doctor/spoken-duration.ts";
import type { TcpKeepaliveSystemDefaults } from "../tcp/so-keepalive.ts";
import { formatTable } from "./table.ts";

/** The words of the table and of JSON's `verdict`. */
export type VerdictWord = ProbeOutcome["verdict"];

const ORDER: readonly VerdictWord[] = [
  "dead",
  "silent",
  "busy",
  "refused",
  "interrupted",
  "gone",
  "no-peer",
  "alive",
];

export interface ProbeReport {
  readonly results: readonly ProbeResult[];
  /** What is missing from the answer. */
  readonly problems: readonly string[];
  readonly borrowProblem: (error: number) => string;
  readonly system: TcpKeepaliveSystemDefaults;
}

/** `ALIVE (answered within 12 ms)`: the kernel's timer and its clock (jiffies, up to 10 ms) are in it. `DEAD (reset)`, `SILENT (no answer in 3 s)`, `BUSY (data in flight; gives up in 14 min)`. */
export function verdictText(outcome: ProbeOutcome, borrowProblem: (error: number) => string): string {
  switch (outcome.verdict) {
    case "alive":
      return outcome.how === "answered"
        ? `ALIVE (answered within ${Math.max(1, Math.ceil(outcome.ms))} ms)`
        : `ALIVE (heard ${spokenDuration(outcome.ms)} ago)`;
    case "dead":
      return outcome.how === "reset" ? "DEAD (reset)" : "DEAD (closed before; the program has not noticed)";
    case "silent":
      return `SILENT (no answer to ${outcome.probesSent} ${outcome.probesSent === 1 ? "probe" : "probes"}; last heard ${spokenDuration(outcome.heardMsAgo)} ago)`;
    case "busy":
      return `BUSY (data in flight, ${outcome.retransmits} retransmissions; gives up in ${spokenDuration(outcome.givesUpInMs)})`;
    case "no-peer":
      return outcome.state === 10 ? "NO PEER (a listener)" : "NO PEER (still connecting)";
    case "gone":
      return outcome.how === "process-ended" ? "GONE (the process ended)" : "GONE (the process closed it)";
    case "refused":
      return `REFUSED (${borrowProblem(outcome.error)})`;
    case "interrupted":
      return "INTERRUPTED";
  }
}

/** A socket that could not be asked is none that is well. */
export function isBadNews({ outcome, isRestored }: ProbeResult): boolean {
  return ["dead", "silent", "refused"].includes(outcome.verdict) || !isRestored;
}

export function probeText(report: ProbeReport, isColoured: boolean): string {
  const sorted = report.results.toSorted(
    (a, b) => ORDER.indexOf(a.outcome.verdict) - ORDER.indexOf(b.outcome.verdict),
  );
  const rows = sorted.map((result) => [
    verdictText(result.outcome, report.borrowProblem),
    ends(result).local,
    ends(result).remote,
    owner(result),
  ]);
  const columns = [{ title: "VERDICT" }, { title: "LOCAL" }, { title: "REMOTE" }, { title: "PROCESS" }];
  return `${[...formatTable(columns, rows, isColoured), "", ...notes(report)].join("\n")}\n`;
}

function notes({ results, problems, system }: ProbeReport): string[] {
  const lines = [summaryLine(results)];
  const changed = results.filter(({ changes }) => changes.length > 0);
  const explicit = new Set(
    changed.flatMap(({ before, changes }) =>
      before === undefined ? [] : stayingExplicit(before, changes, system),
    ),
  );
  if (explicit.size > 0)
    lines.push(
      `the values are as before; ${[...explicit].join(" and ")} of probed sockets no longer follow the sysctls, if they did (this cannot be undone from outside)`,
    );
  const hasty = results.filter(mayEndEarly).length;
  if (hasty > 0)
    lines.push(
      `${hasty} silent ${hasty === 1 ? "connection has" : "connections have"} TCP_USER_TIMEOUT or a small TCP_KEEPCNT: our unanswered probes count, the kernel ends them (ETIMEDOUT) at its next keepalive tick unless the peer is heard before`,
    );
  const left = results.filter(({ isRestored }) => !isRestored).length;
  if (left > 0) lines.push(`${left} could not be put back: holdfast undo --list`);
  return [...lines, ...problems.map((problem) => `partial: ${problem}`)];
}

/** icsk_probes_out cannot be reset from outside; tcp_keepalive_timer() in net/ipv4/tcp_timer.c then needs no probe of its own. */
function mayEndEarly({ outcome, before }: ProbeResult): boolean {
  if (outcome.verdict !== "silent" || before === undefined || !before.isKeepaliveOn) return false;
  return before.userTimeoutMs > 0 || before.probeCount <= outcome.probesSent;
}

/** `1000 sockets: 700 alive, 200 silent, 100 dead`. */
export function summaryLine(results: readonly ProbeResult[]): string {
  const counts = ORDER.map(
    (word) => [results.filter(({ outcome }) => outcome.verdict === word).length, word] as const,
  );
  const parts = counts.filter(([count]) => count > 0).map(([count, word]) => `${count} ${word}`);
  return `${results.length} ${results.length === 1 ? "socket" : "sockets"}: ${parts.join(", ")}`;
}

function ends({ socket: { subject } }: ProbeResult): { local: string; remote: string } {
  const local = formatEnd(subject.localHost, subject.localPort);
  return { local, remote: subject.isListening ? "*" : formatEnd(subject.remoteHost, subject.remotePort) };
}

function owner({ socket: { holder } }: ProbeResult): string {
  return `${holder.processName} ${holder.pid}/${holder.fd}`;
}

export function probeJson(report: ProbeReport): string {
  const { results, problems, system } = report;
  const summary = Object.fromEntries(
    ORDER.map((word) => [word, results.filter(({ outcome }) => outcome.verdict === word).length]),
  );
  const sockets = results.map((result) => ({
    ...outcomeJson(result.outcome),
    text: verdictText(result.outcome, report.borrowProblem),
    ...ends(result),
    process: result.socket.holder.processName,
    pid: result.socket.holder.pid,
    fd: result.socket.holder.fd,
    inode: result.socket.inode,
    options: result.before ?? null,
    wasProbed: result.changes.length > 0,
    isRestored: result.isRestored,
    stayingExplicit:
      result.before === undefined ? [] : stayingExplicit(result.before, result.changes, system),
  }));
  return `${JSON.stringify({ isPartial: problems.length > 0, problems, summary, sockets }, null, 2)}\n`;
}

function outcomeJson(outcome: ProbeOutcome): object {
  if (outcome.verdict === "alive")
    return outcome.how === "answered"
      ? { verdict: "alive", how: "answered", answeredWithinMs: Math.max(1, Math.ceil(outcome.ms)) }
      : { verdict: "alive", how: "heard", heardMsAgo: outcome.ms };
  if (outcome.verdict === "busy") return { ...outcome, givesUpInMs: Math.round(outcome.givesUpInMs) };
  return outcome;
}

/** One line of `--dry-run`. */
export function dryRunLine(
  socket: string,
  holder: string,
  before: OptionValues,
  changes: readonly SocketOptionChange[],
): string {
  const what = changes.length === 0 ? "nothing to set" : `would set ${formatChanges(changes)}`;
  const restored = before.isKeepaliveOn ? "and put all back" : "and put all back (SO_KEEPALIVE off again)";
  return `${socket}  ${holder}  ${what}${changes.length === 0 ? "" : ` ${restored}`}`;
}
