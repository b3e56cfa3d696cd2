/**
 * What a process costs, read from /proc (proc(5)): CPU time in nanoseconds, memory in bytes, its children.
 * Used by the benchmarks and by the soak runs that assert bounded memory.
 */
import { readdirSync, readFileSync } from "node:fs";

/** CPU nanoseconds of all threads that live now (`/proc/PID/task/TID/schedstat`, first number). */
export function cpuNanoseconds(pid: number): number {
  let total = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      total += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1").split(" ")[0]);
    } catch {
      // the thread ended between the two reads
    }
  }
  return total;
}

/** User and system time of the whole process, ended threads included, in clock ticks of 10 ms. */
export function cpuTicks(pid: number): { user: number; system: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { user: Number(fields[11]), system: Number(fields[12]) };
}

export interface MemoryUsage {
  /** Resident, pages shared with other processes counted in full. */
  readonly rssBytes: number;
  /** Resident, shared pages divided among their users. */
  readonly pssBytes: number;
  /** Anonymous (heap, stacks, mmapped arenas): what the program itself allocated. */
  readonly anonymousBytes: number;
}

export function memoryUsage(pid: number): MemoryUsage {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
  const kilobytes = (name: string): number => {
    const match = rollup.match(new RegExp(`^${name}:\\s+(\\d+) kB`, "m"));
    return match === null ? 0 : Number(match[1]) * 1024;
  };
  return { rssBytes: kilobytes("Rss"), pssBytes: kilobytes("Pss"), anonymousBytes: kilobytes("Anonymous") };
}

/** Pids of the direct children, youngest last. A thread that ends meanwhile has none. */
export function childPids(pid: number): number[] {
  const pids: number[] = [];
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const children = childrenOf(pid, thread);
    if (children !== "") pids.push(...children.split(" ").map(Number));
  }
  return pids;
}

function childrenOf(pid: number, thread: string): string {
  try {
    return readFileSync(`/proc/${pid}/task/${thread}/children`, "latin1").trim();
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return "";
    throw error;
  }
}

export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3) !== "Z";
  } catch {
    return false;
  }
}

export function openDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** The command line, words separated by a blank. */
export function commandLine(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0").join(" ").trim();
}
