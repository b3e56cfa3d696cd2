/**
 * Whose sockets are whose: one pass over /proc/PID/fd of every process (proc(5)). Driver; the kernel has no faster answer that needs
 * no privilege. Processes come and go meanwhile; those of other users are counted when they may not be looked into.
 */
import { readdirSync, readFileSync } from "node:fs";
import { visitSocketDescriptors } from "../sys/descriptor-links.ts";
import type { SocketHolder } from "./selector.ts";

export interface SocketHolders {
  readonly byInode: ReadonlyMap<number, readonly SocketHolder[]>;
  /** Processes that may not be looked into. */
  readonly hiddenProcesses: number;
}

/** Holders of the sockets among `inodes`. `pids` narrows the search to some processes. */
export function findSocketHolders(
  inodes: ReadonlySet<number>,
  pids: readonly number[] = allPids(),
): SocketHolders {
  const byInode = new Map<number, SocketHolder[]>();
  let hiddenProcesses = 0;
  for (const pid of pids) {
    let processName: string | undefined;
    try {
      visitSocketDescriptors(pid, (inode, fd) => {
        if (!inodes.has(inode)) return;
        processName ??= readProcessName(pid);
        const holder = { pid, fd, processName };
        const holders = byInode.get(inode);
        if (holders === undefined) byInode.set(inode, [holder]);
        else holders.push(holder);
      });
    } catch (error) {
      if (isHidden(error)) hiddenProcesses += 1;
      else if (!isGone(error)) throw error;
    }
  }
  return { byInode, hiddenProcesses };
}

/** Inodes of the sockets of one process. Throws what open(2) says. */
export function socketInodesOf(pid: number): ReadonlySet<number> {
  const inodes = new Set<number>();
  visitSocketDescriptors(pid, (inode) => void inodes.add(inode));
  return inodes;
}

function allPids(): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0);
}

/** /proc/PID/comm: at most 15 characters. */
function readProcessName(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trimEnd();
  } catch {
    return "?";
  }
}

function isHidden(error: unknown): boolean {
  return ["EACCES", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "");
}

/** It ended between two looks. */
function isGone(error: unknown): boolean {
  return ["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "");
}
