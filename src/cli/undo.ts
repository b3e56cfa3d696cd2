/**
 * `holdfast undo`: puts back what `enable` (or a killed `probe`) changed in running programs. Exit status 0: put back, or nothing is
 * left to put back; 1: something could not be; 2: no such run. Driver of doctor/enabler.ts; called by program.ts.
 */
import { Command } from "commander";
import { type UndoResult, undoSocket } from "../doctor/enabler.ts";
import { OtherHolders } from "../doctor/live-sockets.ts";
import { detachNewSockets, newSocketsProblem } from "../doctor/new-sockets.ts";
import { formatChanges } from "../doctor/option-plan.ts";
import type { CgroupAttached, JournalEntry, JournalRun, SocketChanged } from "../doctor/undo-journal.ts";
import { bootId, isRunning, journalDirectory, readJournals, settle } from "../doctor/undo-journal-files.ts";
import { SyscallError } from "../sys/errno.ts";
import { borrowProblem } from "../sys/pidfd.ts";
import { EXIT_BAD_NEWS, EXIT_GOOD, EXIT_WRONG_QUESTION, fail } from "./exit-status.ts";
import { formatTable } from "./table.ts";

interface UndoOptions {
  readonly list?: boolean;
  readonly json?: boolean;
}

export function undoCommand(): Command {
  return new Command("undo")
    .description("put back what enable, or a probe that was killed, changed in running programs")
    .argument("[id]", "which run (see --list); last: the latest", "last")
    .option("--list", "print what can be put back, and change nothing")
    .option("--json", "print the answer as JSON")
    .addHelpText("after", HELP)
    .action(runUndo);
}

const HELP = `
A value is put back only on the very socket that was changed (also when only another process has it by now), and only
when the value is still the one that was set; what somebody else has changed since is left alone. Connections that a listener
accepted meanwhile keep what they inherited. The journal: $XDG_STATE_HOME/holdfast/undo, else /var/lib/holdfast/undo
for root and ~/.local/state/holdfast/undo for others.

Exit status: 0 put back, or nothing is left to put back; 1 something could not be; 2 no such run.

Examples:
  sudo holdfast undo --list
  sudo holdfast undo
  sudo holdfast undo 20261122-004512-4711`;

function runUndo(id: string, options: UndoOptions): void {
  const runs = readJournals();
  const isJson = options.json === true;
  if (options.list === true) {
    process.stdout.write(isJson ? `${JSON.stringify(runs.map(runJson), null, 2)}\n` : listText(runs));
    return;
  }
  const run = id === "last" ? runs.findLast((it) => !isRunning(it)) : runs.find((it) => it.run.id === id);
  if (run === undefined) {
    fail(id === "last" ? EXIT_GOOD : EXIT_WRONG_QUESTION, [
      id === "last"
        ? `nothing to undo in ${journalDirectory()}`
        : `no run ${JSON.stringify(id)} in ${journalDirectory()}; see holdfast undo --list`,
    ]);
    return;
  }
  if (isRunning(run)) {
    fail(EXIT_WRONG_QUESTION, [
      `${run.run.command} (pid ${run.run.pid}) is still at work and puts its changes back itself`,
    ]);
    return;
  }
  undo(run, isJson);
}

function undo(run: JournalRun, isJson: boolean): void {
  const isOldBoot = run.run.bootId !== bootId();
  const others = new OtherHolders();
  const sockets = run.sockets.map((change) => (isOldBoot ? afterReboot(change) : undoSocket(change, others)));
  const cgroups = run.cgroups.map((attached) => undoCgroup(attached, isOldBoot));
  const entries: JournalEntry[] = [
    ...sockets
      .filter(({ outcome }) => outcome !== "failed")
      .map(({ change: { pid, fd, inode } }) => ({ entry: "settled", pid, fd, inode }) as const),
    ...cgroups
      .filter(({ problem }) => problem === undefined)
      .map(({ attached: { programId } }) => ({ entry: "settled", programId }) as const),
  ];
  settle(run, entries);
  const isBad = entries.length < sockets.length + cgroups.length;
  process.exitCode = isBad ? EXIT_BAD_NEWS : EXIT_GOOD;
  process.stdout.write(isJson ? undoJson(run, sockets, cgroups) : undoText(run, sockets, cgroups));
}

function afterReboot(change: SocketChanged): UndoResult {
  return { change, outcome: "process-ended", changes: [], foreign: [], errno: 0 };
}

interface CgroupUndone {
  readonly attached: CgroupAttached;
  readonly wasAttached: boolean;
  readonly problem: string | undefined;
}

function undoCgroup(attached: CgroupAttached, isOldBoot: boolean): CgroupUndone {
  if (isOldBoot) return { attached, wasAttached: false, problem: undefined };
  try {
    return {
      attached,
      wasAttached: detachNewSockets(attached.cgroup, attached.programId),
      problem: undefined,
    };
  } catch (error) {
    const problem =
      error instanceof SyscallError ? newSocketsProblem(error, attached.cgroup) : (error as Error).message;
    return { attached, wasAttached: true, problem };
  }
}

function outcomeText({ outcome, changes, foreign, errno }: UndoResult): string {
  const left = foreign.length === 0 ? "" : `; left ${foreign.join(", ")}, which was changed since`;
  switch (outcome) {
    case "restored":
      return `put back: ${formatChanges(changes)}${left}`;
    case "as-before":
      return `nothing to put back${left}`;
    case "process-ended":
      return "the process has ended";
    case "socket-closed":
      return "the socket is closed";
    case "failed":
      return `FAILED: ${borrowProblem(errno)}`;
  }
}

function cgroupText({ attached, wasAttached, problem }: CgroupUndone): string {
  const what = `new connections of ${attached.cgroup}: eBPF program ${attached.programId}`;
  if (problem !== undefined) return `${what}: FAILED: ${problem}`;
  return wasAttached ? `${what} is detached` : `${what} was gone already`;
}

function undoText(run: JournalRun, sockets: readonly UndoResult[], cgroups: readonly CgroupUndone[]): string {
  const rows = sockets.map((result) => [
    result.change.socket,
    `${result.change.processName} ${result.change.pid}/${result.change.fd}`,
    outcomeText(result),
  ]);
  const columns = [{ title: "SOCKET" }, { title: "PROCESS" }, { title: "RESULT" }];
  const lines = [`undo of ${describeRun(run)}`];
  if (rows.length > 0) lines.push(...formatTable(columns, rows));
  return `${[...lines, ...cgroups.map(cgroupText)].join("\n")}\n`;
}

function undoJson(run: JournalRun, sockets: readonly UndoResult[], cgroups: readonly CgroupUndone[]): string {
  const answer = {
    id: run.run.id,
    sockets: sockets.map((result) => ({
      outcome: result.outcome,
      text: outcomeText(result),
      socket: result.change.socket,
      process: result.change.processName,
      pid: result.change.pid,
      fd: result.change.fd,
      changes: result.changes,
      foreign: result.foreign,
    })),
    cgroups: cgroups.map((it) => ({
      cgroup: it.attached.cgroup,
      programId: it.attached.programId,
      wasAttached: it.wasAttached,
      problem: it.problem ?? null,
    })),
  };
  return `${JSON.stringify(answer, null, 2)}\n`;
}

function describeRun({ run }: JournalRun): string {
  return `holdfast ${[run.command, ...run.arguments].join(" ")} (${run.startedAt})`;
}

function runJson(run: JournalRun): object {
  const { id, command, startedAt, arguments: words } = run.run;
  return {
    id,
    command,
    arguments: words,
    startedAt,
    isRunning: isRunning(run),
    sockets: run.sockets,
    cgroups: run.cgroups,
  };
}

function listText(runs: readonly JournalRun[]): string {
  if (runs.length === 0) return `nothing to undo in ${journalDirectory()}\n`;
  const rows = runs.map((run) => [
    run.run.id,
    isRunning(run) ? "at work" : "",
    String(run.sockets.length),
    String(run.cgroups.length),
    `holdfast ${[run.run.command, ...run.run.arguments].join(" ")}`,
  ]);
  const columns = [
    { title: "ID" },
    { title: "" },
    { title: "SOCKETS", align: "right" },
    { title: "CGROUPS", align: "right" },
    { title: "COMMAND" },
  ] as const;
  return `${formatTable(columns, rows).join("\n")}\n`;
}
