/** The page of `holdfast doctor`: facts of the host, then what is wrong with the commands that mend it. Pure. Called by doctor.ts. */
import type { Ability, Finding, HostFacts, Severity, SysctlJudgement } from "../doctor/host-facts.ts";
import { summarizeSockets } from "../doctor/socket-summary.ts";

export interface DoctorReport {
  readonly facts: HostFacts;
  readonly abilities: readonly Ability[];
  readonly sysctls: readonly SysctlJudgement[];
  readonly findings: readonly Finding[];
}

export interface DoctorTextOptions {
  readonly isColoured: boolean;
  /** Columns to wrap at. */
  readonly width: number;
}

export function doctorJson(report: DoctorReport): string {
  const { facts, abilities, sysctls, findings } = report;
  const document = {
    kernel: facts.kernel.release,
    root: facts.isRoot,
    capabilities: [...facts.capabilities],
    abilities: abilities.map((it) => ({ ...it, remark: it.remark ?? null })),
    sysctls: sysctls.map(({ isGood, ...it }) => ({ ...it, good: isGood })),
    sockets: summarizeSockets(facts.sockets, false).total,
    nodePrograms: facts.nodeProcesses,
    gateway:
      facts.gateway === undefined
        ? null
        : {
            address: facts.gateway.address,
            version: facts.gateway.status.version,
            pid: facts.gateway.status.pid,
            phase: facts.gateway.status.phase,
          },
    findings: findings.map((it) => ({ ...it, mend: it.mend ?? null })),
    partial: facts.gaps.length > 0,
    gaps: facts.gaps,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

export function doctorText(report: DoctorReport, options: DoctorTextOptions): string {
  const paint = painter(options.isColoured);
  const lines = [
    ...heading("This host", paint),
    ...hostLines(report).flatMap((line) => wrapped(line, "  ", "    ", options.width)),
    ...heading("What works here", paint),
    ...report.abilities.flatMap((it) => abilityLines(it, options, paint)),
    ...heading("Kernel settings (of this network namespace)", paint),
    ...sysctlLines(report.sysctls, options),
    ...heading("Findings", paint),
    ...(report.findings.length === 0 ? ["  nothing is wrong"] : []),
    ...report.findings.flatMap((it) => findingLines(it, options, paint)),
  ];
  if (report.facts.gaps.length > 0)
    lines.push(
      ...heading("Partial: what could not be looked at", paint),
      ...report.facts.gaps.flatMap((gap) => wrapped(gap, "  - ", "    ", options.width)),
    );
  lines.push("", verdictLine(report.findings, paint));
  return `${lines.slice(1).join("\n")}\n`;
}

function hostLines({ facts }: DoctorReport): string[] {
  const { total } = summarizeSockets(facts.sockets, false);
  const pids = new Set(facts.sockets.flatMap(({ socket }) => socket.holders.map(({ pid }) => pid)));
  const node = facts.nodeProcesses.filter(({ isHoldfast, pid }) => !isHoldfast && pids.has(pid)).length;
  return [
    `Linux ${facts.kernel.release}, ${facts.isRoot ? "as root" : "not as root"}`,
    `${total.open} open connections: ${total.unguarded} without keepalive, ${total.dying + total.probing} without answer, ${total.halfOpenSuspects} suspects; ${total.listening} listeners, ${total.timeWait} in TIME_WAIT`,
    `${node} Node ${node === 1 ? "program" : "programs"} with connections; ${gatewayText(facts)}`,
  ];
}

function gatewayText({ gateway }: HostFacts): string {
  if (gateway === undefined) return "no gateway answers";
  const { version, pid, phase } = gateway.status;
  return `gateway ${version} (pid ${pid}) is ${phase}`;
}

/** Beside the value where there is room, below it on a narrow terminal. */
function sysctlLines(sysctls: readonly SysctlJudgement[], { width }: DoctorTextOptions): string[] {
  const nameWidth = Math.max(0, ...sysctls.map(({ name }) => name.length));
  const valueWidth = Math.max(0, ...sysctls.map(({ value }) => value.length));
  const isNarrow = width < nameWidth + valueWidth + REMARK_WIDTH_MIN;
  return sysctls.flatMap(({ name, value, remark, isGood }) => {
    const setting = `  ${isGood ? " " : "!"} ${name.padEnd(nameWidth)}  ${value.padEnd(valueWidth)}  `;
    if (isNarrow)
      return [setting.trimEnd(), ...wrapped(remark, NARROW_INDENTATION, NARROW_INDENTATION, width)];
    return wrapped(remark, setting, " ".repeat(setting.length), width);
  });
}

const REMARK_WIDTH_MIN = 40;
const NARROW_INDENTATION = " ".repeat(8);

function abilityLines(ability: Ability, options: DoctorTextOptions, paint: Painter): string[] {
  const mark = ability.works ? "yes" : "no ";
  const remark = ability.remark === undefined ? "" : `: ${ability.remark}`;
  const [first = "", ...rest] = wrapped(`${ability.title}${remark}`, `  ${mark}  `, "       ", options.width);
  return [first.replace(mark, paint(mark, ability.works ? "good" : "risk")), ...rest];
}

function findingLines(finding: Finding, options: DoctorTextOptions, paint: Painter): string[] {
  const label = `${finding.severity}:`.padEnd(9);
  const [first = "", ...rest] = wrapped(finding.text, `  ${label}`, "           ", options.width);
  const mend =
    finding.mend === undefined ? [] : wrapped(finding.mend, "           → ", "             ", options.width);
  return [first.replace(label, paint(label, finding.severity)), ...rest, ...mend];
}

function verdictLine(findings: readonly Finding[], paint: Painter): string {
  const count = (severity: Severity) => findings.filter((it) => it.severity === severity).length;
  const [problems, risks] = [count("problem"), count("risk")];
  if (problems > 0)
    return paint(
      `Something is wrong: ${problems} ${plural(problems, "problem")}, ${risks} ${plural(risks, "risk")}.`,
      "problem",
    );
  if (risks > 0) return paint(`Nothing is broken now; ${risks} ${plural(risks, "risk")}.`, "risk");
  return paint("Nothing is wrong.", "good");
}

const plural = (count: number, word: string): string => (count === 1 ? word : `${word}s`);

type Colour = Severity | "good" | "bold";
type Painter = (text: string, colour: Colour) => string;

const COLOURS: Readonly<Record<Colour, string>> = {
  problem: "\u001b[31m",
  risk: "\u001b[33m",
  note: "\u001b[36m",
  good: "\u001b[32m",
  bold: "\u001b[1m",
};
const RESET = "\u001b[0m";

function painter(isColoured: boolean): Painter {
  return (text, colour) => (isColoured ? `${COLOURS[colour]}${text}${RESET}` : text);
}

function heading(text: string, paint: Painter): string[] {
  return ["", paint(text, "bold")];
}

/** Breaks at spaces; a word longer than the line stays whole, because people copy commands. */
function wrapped(text: string, first: string, others: string, width: number): string[] {
  const lines: string[] = [];
  let line = first;
  let isEmpty = true;
  // Names of processes are other people's text: no control character may reach the terminal.
  for (const word of text.replace(/\p{Cc}/gu, "?").split(" ")) {
    if (!isEmpty && line.length + 1 + word.length > width) {
      lines.push(line);
      line = others;
      isEmpty = true;
    }
    line += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return [...lines, line];
}
