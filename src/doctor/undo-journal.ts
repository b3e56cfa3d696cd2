/**
 * The undo journal: what `enable` and `probe` change in the sockets of others, written down BEFORE it is changed, so that it can be put
 * back also after a kill -9. One file per run, JSON lines; a file whose changes are all put back is deleted. Pure: lines in, a run with
 * its outstanding changes out. Files: undo-journal-files.ts; putting back: undo.ts.
 */
import type { OptionValues, SocketOptionChange } from "./option-plan.ts";

/** First line of a file. */
export interface RunStarted {
  readonly entry: "run";
  readonly version: 1;
  /** Name of the file, and the ID of `holdfast undo ID`: UTC date and time. */
  readonly id: string;
  readonly command: "enable" | "probe";
  readonly arguments: readonly string[];
  readonly startedAt: string;
  /** pids and inodes mean nothing after a reboot: /proc/sys/kernel/random/boot_id. */
  readonly bootId: string;
  readonly pid: number;
  readonly startTicks: number;
}

export interface SocketChanged {
  readonly entry: "socket";
  readonly pid: number;
  /** Start of the process, /proc/PID/stat field 22: a reused pid has another. */
  readonly startTicks: number;
  readonly processName: string;
  readonly fd: number;
  readonly inode: number;
  /** `10.0.0.1:80->10.0.0.2:5000`, or `listen 0.0.0.0:80`. */
  readonly socket: string;
  readonly before: OptionValues;
  readonly after: OptionValues;
}

export interface CgroupAttached {
  readonly entry: "cgroup";
  readonly cgroup: string;
  readonly programId: number;
  readonly changes: readonly SocketOptionChange[];
}

/** Put back, or nothing is left to put back. */
export type Settled =
  | { readonly entry: "settled"; readonly pid: number; readonly fd: number; readonly inode: number }
  | { readonly entry: "settled"; readonly programId: number };

export type JournalEntry = RunStarted | SocketChanged | CgroupAttached | Settled;

export interface JournalRun {
  readonly run: RunStarted;
  /** Not settled yet, in the order of the changes. */
  readonly sockets: readonly SocketChanged[];
  readonly cgroups: readonly CgroupAttached[];
}

export function formatEntry(entry: JournalEntry): string {
  return `${JSON.stringify(entry)}\n`;
}

/** undefined: no journal. A last line that was cut off (a full disk, a crash) is passed over: its change was never made. */
export function parseJournal(text: string): JournalRun | undefined {
  let run: RunStarted | undefined;
  const sockets = new Map<string, SocketChanged>();
  const cgroups = new Map<number, CgroupAttached>();
  for (const line of text.split("\n")) {
    const entry = parseLine(line);
    if (entry?.entry === "run") run = entry;
    else if (entry?.entry === "socket") sockets.set(keyOf(entry), sockets.get(keyOf(entry)) ?? entry);
    else if (entry?.entry === "cgroup") cgroups.set(entry.programId, entry);
    else if (entry?.entry === "settled") {
      if ("programId" in entry) cgroups.delete(entry.programId);
      else sockets.delete(keyOf(entry));
    }
  }
  return run === undefined
    ? undefined
    : { run, sockets: [...sockets.values()], cgroups: [...cgroups.values()] };
}

/** What an entry is about: the same for a change and for its being settled. */
export function keyOf(entry: SocketChanged | CgroupAttached | Settled): string {
  return "programId" in entry ? `program ${entry.programId}` : `${entry.pid}/${entry.fd}/${entry.inode}`;
}

function parseLine(line: string): JournalEntry | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== "object" || value === null || !("entry" in value)) return undefined;
    if (value.entry === "run" && (value as { version?: unknown }).version !== 1) return undefined;
    return value as JournalEntry;
  } catch {
    return undefined;
  }
}

export function isSettled({ sockets, cgroups }: JournalRun): boolean {
  return sockets.length === 0 && cgroups.length === 0;
}
