/**
 * `holdfast enable`: TCP keepalive on live sockets and listeners of running programs, and on every new connection of a cgroup; no
 * restart. Everything is in the undo journal. Exit status 0: done (or nothing to do); 1: a socket could not be changed; 2: wrong
 * question. Driver of doctor/enabler.ts and doctor/new-sockets.ts; called by program.ts.
 */
import path from "node:path";
import { Command } from "commander";
import { parseDurationMs } from "../config/duration.ts";
import { readHostFacts } from "../config/host-facts.ts";
import { type EnableResult, enableSocket } from "../doctor/enabler.ts";
import { attachNewSockets, newSocketsProblem, whyNoCgroup } from "../doctor/new-sockets.ts";
import { afterChanges, formatChanges, type WantedOptions, wantedChanges } from "../doctor/option-plan.ts";
import { socketName } from "../doctor/prober.ts";
import { SELECTOR_HELP } from "../doctor/selector.ts";
import { UndoJournal } from "../doctor/undo-journal-files.ts";
import { SyscallError } from "../sys/errno.ts";
import { borrowProblem } from "../sys/pidfd.ts";
import { lintTcpKeepalive, parseSoKeepalive, type TcpKeepalive } from "../tcp/so-keepalive.ts";
import { EXIT_BAD_NEWS, EXIT_GOOD, EXIT_WRONG_QUESTION, fail } from "./exit-status.ts";
import { selectedSockets, valueOrFail } from "./selected-sockets.ts";
import { formatTable } from "./table.ts";

interface EnableOptions {
  readonly soKeepalive?: string;
  readonly tcpUserTimeout?: string;
  readonly newSockets?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export function enableCommand(): Command {
  return new Command("enable")
    .description(
      "switch TCP keepalive on for live sockets and listeners of running programs, without a restart",
    )
    .argument("[selector...]", "which sockets; see below")
    .option("--so-keepalive <value>", "on, off or idle:interval:count, as in nginx: 60s:10s:3")
    .option(
      "--tcp-user-timeout <duration>",
      "TCP_USER_TIMEOUT: for data in flight, too; 0 for the kernel's default",
    )
    .option("--new-sockets <cgroup>", "every connection that this cgroup (v2) makes or accepts from now on")
    .option("--dry-run", "say what would be set, and change nothing")
    .option("--json", "print the answer as JSON")
    .addHelpText("after", HELP)
    .action(runEnable);
}

const HELP = `
Selectors:
${SELECTOR_HELP}

A listener's options are inherited by every connection that it accepts from then on, until the program is restarted:
process:nginx changes its listeners and its live connections. What is so already is left alone. A connection that is
quiet is probed one idle time from now, not at once (holdfast probe asks at once).
Put back with holdfast undo; nothing is changed when the undo journal cannot be written. Needs your own processes, or
CAP_SYS_PTRACE (sudo).

--new-sockets attaches an eBPF program to the cgroup (Linux 5.9, cgroup v2, CAP_BPF and CAP_NET_ADMIN). It sets the
options when a connection is established and stays until holdfast undo or until the cgroup is removed. What the
program itself sets after that wins; live connections are not touched.

Exit status: 0 done, or it was so already; 1 a socket could not be changed; 2 wrong question.

Examples:
  sudo holdfast enable process:nginx --so-keepalive 60s:10s:3 --dry-run
  sudo holdfast enable listen:5432 --so-keepalive 60s:10s:6 --tcp-user-timeout 115s
  sudo holdfast enable --new-sockets /sys/fs/cgroup/system.slice/app.service --so-keepalive 60s:10s:6
  sudo holdfast undo`;

function runEnable(words: readonly string[], options: EnableOptions): void {
  const wanted = readWanted(options);
  if (wanted === undefined) return;
  const cgroup = options.newSockets === undefined ? undefined : path.resolve(options.newSockets);
  const cgroupProblem = cgroup === undefined ? undefined : whyNoCgroup(cgroup);
  if (cgroupProblem !== undefined) {
    fail(EXIT_WRONG_QUESTION, [`--new-sockets: ${cgroupProblem}`]);
    return;
  }
  if (words.length === 0 && cgroup === undefined) {
    fail(EXIT_WRONG_QUESTION, [
      "no sockets named; example: holdfast enable process:nginx --so-keepalive 60s:10s:3 --dry-run",
    ]);
    return;
  }
  const found = words.length === 0 ? { sockets: [], problems: [] } : selectedSockets(words);
  if (found === undefined) return;
  const isDryRun = options.dryRun === true;
  const journal = new UndoJournal("enable", [...words, ...optionWords(options)]);
  const journalProblem = isDryRun ? undefined : journal.open();
  if (journalProblem !== undefined) {
    fail(EXIT_WRONG_QUESTION, [`nothing was changed: ${journalProblem}`]);
    return;
  }
  const settings = { wanted, journal: isDryRun ? undefined : journal };
  const results = found.sockets.map((socket) => enableSocket(socket, settings));
  const attached = cgroup === undefined ? undefined : attach(cgroup, wanted, settings.journal);
  const isKept = isDryRun ? false : journal.close();
  const report: Report = {
    results,
    attached,
    problems: found.problems,
    warnings: lintAll(results, wanted),
    undoId: isKept ? journal.id : undefined,
  };
  process.stdout.write(options.json === true ? reportJson(report) : reportText(report));
  const isBad = results.some(({ outcome }) => outcome === "failed") || attached?.problem !== undefined;
  process.exitCode = isBad ? EXIT_BAD_NEWS : EXIT_GOOD;
}

function optionWords({ soKeepalive, tcpUserTimeout, newSockets }: EnableOptions): string[] {
  return [
    ...(soKeepalive === undefined ? [] : ["--so-keepalive", soKeepalive]),
    ...(tcpUserTimeout === undefined ? [] : ["--tcp-user-timeout", tcpUserTimeout]),
    ...(newSockets === undefined ? [] : ["--new-sockets", newSockets]),
  ];
}

/** undefined: wrong, which has been said. */
function readWanted(options: EnableOptions): WantedOptions | undefined {
  const { soKeepalive, tcpUserTimeout } = options;
  if (soKeepalive === undefined && tcpUserTimeout === undefined) {
    fail(EXIT_WRONG_QUESTION, [
      "nothing to set: name --so-keepalive 60s:10s:3, --tcp-user-timeout 85s or both",
    ]);
    return undefined;
  }
  let keepalive: TcpKeepalive | undefined;
  let userTimeoutMs: number | undefined;
  if (soKeepalive !== undefined) {
    keepalive = valueOrFail("--so-keepalive", parseSoKeepalive(soKeepalive));
    if (keepalive === undefined) return undefined;
  }
  if (tcpUserTimeout !== undefined) {
    userTimeoutMs = valueOrFail("--tcp-user-timeout", parseDurationMs(tcpUserTimeout));
    if (userTimeoutMs === undefined) return undefined;
  }
  return { keepalive, userTimeoutMs };
}

interface Attached {
  readonly cgroup: string;
  readonly programId: number | undefined;
  readonly problem: string | undefined;
  readonly isDryRun: boolean;
}

function attach(cgroup: string, wanted: WantedOptions, journal: UndoJournal | undefined): Attached {
  const changes = wantedChanges(wanted);
  const nothing = { cgroup, programId: undefined, problem: undefined, isDryRun: journal === undefined };
  if (journal === undefined) return nothing;
  let loadedId: number | undefined;
  try {
    const programId = attachNewSockets(cgroup, changes, (id) => {
      journal.write({ entry: "cgroup", cgroup, programId: id, changes });
      loadedId = id;
    });
    return { ...nothing, programId };
  } catch (error) {
    if (loadedId !== undefined) journal.settle({ entry: "settled", programId: loadedId });
    if (error instanceof SyscallError) return { ...nothing, problem: newSocketsProblem(error, cgroup) };
    return { ...nothing, problem: (error as Error).message };
  }
}

/** Combinations that do not do what they seem to say, as the sockets will have them. Each once. */
function lintAll(results: readonly EnableResult[], wanted: WantedOptions): string[] {
  const { tcpKeepaliveDefaults: system } = readHostFacts();
  const off = { isKeepaliveOn: false, ...system, userTimeoutMs: 0 };
  const befores = [off, ...results.flatMap(({ before }) => (before === undefined ? [] : [before]))];
  const sentences = befores.slice(results.length > 0 ? 1 : 0).flatMap((before) => {
    const after = afterChanges(before, wantedChanges(wanted));
    const keepalive = {
      enabled: after.isKeepaliveOn,
      idleSeconds: after.idleSeconds,
      intervalSeconds: after.intervalSeconds,
      probeCount: after.probeCount,
    };
    const found = lintTcpKeepalive(keepalive, after.userTimeoutMs, system, { isLocal: false });
    return found.map(({ key, message, hint }) => `${key}: ${message}; ${hint}`);
  });
  return [...new Set(sentences)];
}

interface Report {
  readonly results: readonly EnableResult[];
  readonly attached: Attached | undefined;
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
  readonly undoId: string | undefined;
}

function outcomeText({ outcome, changes, errno }: EnableResult): string {
  if (outcome === "failed") return `FAILED: ${borrowProblem(errno)}`;
  if (outcome === "already") return "already so";
  return `${outcome === "set" ? "set" : "would set"} ${formatChanges(changes)}`;
}

function reportText(report: Report): string {
  const { results, attached, problems, warnings, undoId } = report;
  const rows = results.map((result) => {
    const { processName, pid, fd } = result.socket.holder;
    return [socketName(result.socket), `${processName} ${pid}/${fd}`, outcomeText(result)];
  });
  const lines =
    rows.length === 0
      ? []
      : [...formatTable([{ title: "SOCKET" }, { title: "PROCESS" }, { title: "OPTIONS" }], rows), ""];
  if (rows.length > 0) lines.push(summary(results));
  if (attached !== undefined) lines.push(attachedText(attached));
  for (const warning of warnings) lines.push(`warning: ${warning}`);
  for (const problem of problems) lines.push(`partial: ${problem}`);
  if (undoId !== undefined) lines.push(`put back with: holdfast undo ${undoId}`);
  return `${lines.join("\n")}\n`;
}

function summary(results: readonly EnableResult[]): string {
  const words = { set: "set", "would-set": "would be set", already: "already so", failed: "failed" } as const;
  const count = (outcome: EnableResult["outcome"]) => results.filter((it) => it.outcome === outcome).length;
  const parts = (Object.keys(words) as (keyof typeof words)[])
    .filter((outcome) => count(outcome) > 0)
    .map((outcome) => `${count(outcome)} ${words[outcome]}`);
  const listeners = results.filter(({ socket }) => socket.subject.isListening).length;
  return `${results.length} ${results.length === 1 ? "socket" : "sockets"} (${listeners} listening): ${parts.join(", ")}`;
}

function attachedText({ cgroup, problem, programId, isDryRun }: Attached): string {
  if (problem !== undefined) return `new connections of ${cgroup}: FAILED: ${problem}`;
  if (isDryRun) return `new connections of ${cgroup}: would attach an eBPF program`;
  return `new connections of ${cgroup}: eBPF program ${programId} is attached`;
}

function reportJson({ results, attached, problems, warnings, undoId }: Report): string {
  const sockets = results.map((result) => ({
    outcome: result.outcome,
    text: outcomeText(result),
    socket: socketName(result.socket),
    isListening: result.socket.subject.isListening,
    process: result.socket.holder.processName,
    pid: result.socket.holder.pid,
    fd: result.socket.holder.fd,
    before: result.before ?? null,
    changes: result.changes,
  }));
  const answer = {
    isPartial: problems.length > 0,
    problems,
    warnings,
    undoId: undoId ?? null,
    cgroup: attached ?? null,
    sockets,
  };
  return `${JSON.stringify(answer, null, 2)}\n`;
}
