/**
 * Where the undo journal lies and how it is written: one file per run in $XDG_STATE_HOME/holdfast/undo, else /var/lib/holdfast/undo
 * for root and ~/.local/state/holdfast/undo for everybody else. Driver of undo-journal.ts; called by enable, probe and undo.
 */
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, unlinkSync, writeSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { Errno, errnoName, SyscallError } from "../sys/errno.ts";
import { processIdentity } from "./live-sockets.ts";
import {
  formatEntry,
  isSettled,
  type JournalEntry,
  type JournalRun,
  keyOf,
  parseJournal,
  type RunStarted,
  type Settled,
} from "./undo-journal.ts";

export function journalDirectory(): string {
  const state = process.env.XDG_STATE_HOME;
  if (state !== undefined && path.isAbsolute(state)) return path.join(state, "holdfast", "undo");
  return process.geteuid?.() === 0
    ? "/var/lib/holdfast/undo"
    : path.join(homedir(), ".local", "state", "holdfast", "undo");
}

export function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  } catch {
    return "unknown";
  }
}

/** The file of one run. Made at the first entry, removed at the end when nothing is outstanding. */
export class UndoJournal {
  readonly id: string;
  readonly file: string;
  readonly #run: RunStarted;
  #fd: number | undefined;
  #isLineCut = false;
  /** Known here, too: on a full disk the file does not learn what has been put back. */
  readonly #outstanding = new Set<string>();

  constructor(command: RunStarted["command"], words: readonly string[]) {
    const startedAt = new Date().toISOString();
    this.id = `${startedAt.replace(/[-:]/g, "").replace("T", "-").slice(0, 15)}-${process.pid}`;
    this.file = path.join(journalDirectory(), `${this.id}.jsonl`);
    const startTicks = processIdentity(process.pid)?.startTicks ?? 0;
    this.#run = {
      entry: "run",
      version: 1,
      id: this.id,
      command,
      arguments: words,
      startedAt,
      bootId: bootId(),
      pid: process.pid,
      startTicks,
    };
  }

  /** undefined, or why nothing can be written: then nothing should be changed either. */
  open(): string | undefined {
    try {
      mkdirSync(path.dirname(this.file), { recursive: true, mode: 0o700 });
      this.#fd = openSync(this.file, "ax", 0o600);
      this.write(this.#run);
      return undefined;
    } catch (error) {
      this.#removeEmpty();
      return `the undo journal ${this.file} cannot be written (${codeOf(error)}): set XDG_STATE_HOME to a directory that you may write to`;
    }
  }

  /**
   * In the page cache when this returns: it outlives this process, however that ends. Throws SyscallError, then nothing may be changed:
   * on a full disk write(2) takes a part of the line, which undo cannot read.
   */
  write(entry: JournalEntry): void {
    if (this.#fd === undefined) return;
    const line = Buffer.from(`${this.#isLineCut ? "\n" : ""}${formatEntry(entry)}`);
    try {
      const written = writeSync(this.#fd, line);
      if (written > 0) this.#isLineCut = written < line.length;
    } catch (error) {
      throw journalError(error);
    }
    if (this.#isLineCut) throw new SyscallError("write", Errno.ENOSPC, this.file);
    if (entry.entry === "socket" || entry.entry === "cgroup") this.#outstanding.add(keyOf(entry));
  }

  /** What has been put back already is not put back again when this fails: the values are no longer ours. */
  settle(entry: Settled): void {
    this.#outstanding.delete(keyOf(entry));
    try {
      this.write(entry);
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
    }
  }

  #removeEmpty(): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
    unlinkSync(this.file);
  }

  /** Keeps the file only when something is left to undo; true when it is kept. */
  close(): boolean {
    if (this.#fd === undefined) return false;
    closeSync(this.#fd);
    this.#fd = undefined;
    if (this.#outstanding.size > 0) return true;
    unlinkSync(this.file);
    return false;
  }
}

function codeOf(error: unknown): string {
  return error instanceof SyscallError
    ? errnoName(error.errno)
    : ((error as NodeJS.ErrnoException).code ?? "EIO");
}

/** Node's numbers are negative; without one it is no error of the system. */
function journalError(error: unknown): unknown {
  const { errno, syscall } = error as NodeJS.ErrnoException;
  return errno === undefined ? error : new SyscallError(syscall ?? "write", Math.abs(errno), "undo journal");
}

/** All runs with something to undo, oldest first; those at work, too. */
export function readJournals(): JournalRun[] {
  let names: string[];
  try {
    names = readdirSync(journalDirectory());
  } catch {
    return [];
  }
  return names
    .filter((name) => name.endsWith(".jsonl"))
    .sort()
    .map((name) => readRun(path.join(journalDirectory(), name)))
    .filter((run) => run !== undefined)
    .filter((run) => !isSettled(run) || isRunning(run));
}

function readRun(file: string): JournalRun | undefined {
  try {
    return parseJournal(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}

/** Adds what has been settled; deletes the file when nothing is left. A full disk keeps the file: undo then finds values as before. */
export function settle(run: JournalRun, entries: readonly JournalEntry[]): void {
  const file = path.join(journalDirectory(), `${run.run.id}.jsonl`);
  if (entries.length === run.sockets.length + run.cgroups.length) {
    unlinkSync(file);
    return;
  }
  const fd = openSync(file, "a");
  try {
    // A line of its own: the last one may have been cut off.
    writeSync(fd, `\n${entries.map(formatEntry).join("")}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  } finally {
    closeSync(fd);
  }
}

/** The command that made this run is still at work: its changes are not left over. */
export function isRunning({ run }: JournalRun): boolean {
  return run.bootId === bootId() && processIdentity(run.pid)?.startTicks === run.startTicks;
}
