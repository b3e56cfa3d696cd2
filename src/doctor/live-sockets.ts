/**
 * The TCP sockets of running processes, by what the processes have open: /proc/PID/fd says which descriptors are sockets, and a
 * borrowed descriptor says what each is. Works for processes of other network namespaces too. Partial answers say so.
 * Driver; called by probe, enable and undo. The whole socket table, sockets without a process included, is socket-table.ts.
 */
import { existsSync, fstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { Errno } from "../sys/errno.ts";
import { borrowProblem, pidfdGetfd, pidfdOpen } from "../sys/pidfd.ts";
import { close, getpeername, getsockname, SyscallError } from "../sys/socket.ts";
import { getTcpInfo, TcpState } from "../sys/tcp-info.ts";
import {
  matchesHolder,
  matchesSocket,
  type Selector,
  type SelectorSubject,
  type SocketHolder,
} from "./selector.ts";

export interface LiveSocket {
  readonly holder: SocketHolder;
  /** /proc/PID/stat field 22: with the pid it names one process for ever (until the next boot). */
  readonly startTicks: number;
  readonly inode: number;
  readonly subject: SelectorSubject;
}

export interface LiveSockets {
  readonly sockets: readonly LiveSocket[];
  /** What is missing from the answer, one sentence each. */
  readonly problems: readonly string[];
}

/** Each socket once, also where several processes hold it. */
export function findLiveSockets(selector: Selector): LiveSockets {
  const search = new Search(selector);
  for (const pid of candidatePids(selector)) search.visitProcess(pid);
  const problems = search.problems();
  return { sockets: search.sockets, problems: areProcessesHidden() ? [...problems, HIDDEN] : problems };
}

/** Every /proc shows process 1, but to those from whom it hides the processes of others: proc(5), hidepid=2. */
export function areProcessesHidden(): boolean {
  return !existsSync("/proc/1");
}

const HIDDEN =
  "/proc does not show the processes of others (hidepid=2, or it is not mounted): run it with sudo";

function candidatePids(selector: Selector): number[] {
  const named = selector.flatMap((term) => (term.kind === "pid" || term.kind === "fd" ? [term.pid] : []));
  if (named.length > 0) return [...new Set(named)];
  return processIds();
}

/** Everybody but ourselves. */
function processIds(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid);
}

class Search {
  readonly sockets: LiveSocket[] = [];
  readonly #selector: Selector;
  readonly #seen = new Set<number>();
  /** Sentence → how many processes. */
  readonly #refused = new Map<string, number>();
  readonly #named: boolean;

  constructor(selector: Selector) {
    this.#selector = selector;
    this.#named = selector.some((term) => term.kind === "pid" || term.kind === "fd");
  }

  problems(): string[] {
    return [...this.#refused].map(([sentence, count]) =>
      this.#named
        ? sentence
        : `${count} ${count === 1 ? "process" : "processes"} could not be looked into: ${sentence}`,
    );
  }

  visitProcess(pid: number): void {
    const identity = processIdentity(pid);
    const wantedName = this.#selector.find((term) => term.kind === "process")?.name;
    if (identity === undefined) {
      if (this.#named) this.#refuse(`pid ${pid}: there is no such process`);
      return;
    }
    if (wantedName !== undefined && identity.processName !== wantedName) return;
    const inodes = socketInodes(pid);
    if (typeof inodes === "string") {
      if (inodes !== "ENOENT" && inodes !== "ESRCH") this.#refuse(borrowProblem(Errno.EPERM));
      return;
    }
    if (inodes.length === 0) return;
    const pidfd = pidfdOpen(pid);
    if (pidfd < 0) {
      if (pidfd !== -Errno.ESRCH) this.#refuse(borrowProblem(-pidfd));
      return;
    }
    for (const [fd, inode] of inodes) {
      const holder = { pid, fd, processName: identity.processName };
      if (this.#seen.has(inode) || !matchesHolder(this.#selector, holder)) continue;
      const error = this.#visitDescriptor(pidfd, holder, identity.startTicks, inode);
      if (error === Errno.EPERM || error === Errno.ENOSYS) {
        this.#refuse(borrowProblem(error));
        break;
      }
    }
    close(pidfd);
  }

  /** 0, or the errno that kept us out. */
  #visitDescriptor(pidfd: number, holder: SocketHolder, startTicks: number, inode: number): number {
    const borrowed = pidfdGetfd(pidfd, holder.fd);
    if (borrowed < 0) return -borrowed;
    const subject = describe(borrowed);
    close(borrowed);
    this.#seen.add(inode);
    if (subject !== undefined && matchesSocket(this.#selector, subject))
      this.sockets.push({ holder, startTicks, inode, subject });
    return 0;
  }

  #refuse(sentence: string): void {
    this.#refused.set(sentence, (this.#refused.get(sentence) ?? 0) + 1);
  }
}

/** undefined: no TCP socket. */
function describe(fd: number): SelectorSubject | undefined {
  const info = getTcpInfo(fd);
  if (info === undefined) return undefined;
  const isListening = info.state === TcpState.LISTEN;
  try {
    const local = getsockname(fd);
    if (local.family === "unix") return undefined;
    const remote = isListening ? undefined : getpeername(fd);
    return {
      isListening,
      localHost: local.host,
      localPort: local.port,
      remoteHost: remote === undefined || remote.family === "unix" ? "*" : remote.host,
      remotePort: remote === undefined || remote.family === "unix" ? 0 : remote.port,
    };
  } catch (error) {
    // ENOTCONN: made but not connected, or dead already: nothing to ask and nothing to guard.
    if (error instanceof SyscallError) return undefined;
    throw error;
  }
}

/** [descriptor, inode] of every socket, or the error code that kept us from reading the list. */
function socketInodes(pid: number): (readonly [fd: number, inode: number])[] | string {
  const found: (readonly [number, number])[] = [];
  let names: string[];
  try {
    names = readdirSync(`/proc/${pid}/fd`);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "EIO";
  }
  for (const name of names) {
    try {
      const target = readlinkSync(`/proc/${pid}/fd/${name}`);
      if (target.startsWith("socket:[")) found.push([Number(name), Number(target.slice(8, -1))]);
    } catch {
      // closed since the directory was read
    }
  }
  return found;
}

export interface ProcessIdentity {
  readonly processName: string;
  readonly startTicks: number;
}

/** undefined: no such process. */
export function processIdentity(pid: number): ProcessIdentity | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // `pid (comm) state ppid …`: comm may contain anything, also parentheses; field 22 is the 20th after it.
    const end = stat.lastIndexOf(")");
    return {
      processName: stat.slice(stat.indexOf("(") + 1, end),
      startTicks: Number(stat.slice(end + 2).split(" ")[19]),
    };
  } catch {
    return undefined;
  }
}

/**
 * Borrows the descriptor, makes sure that it still is this socket (a process reuses numbers), hands it to `use` and closes it.
 * A negative result of ours is -errno: ESRCH the process is gone, EBADF the socket is.
 */
export function withBorrowed<T>(
  pidfd: number,
  fd: number,
  inode: number,
  use: (fd: number) => T,
): T | number {
  const borrowed = pidfdGetfd(pidfd, fd);
  if (borrowed < 0) return borrowed;
  try {
    return fstatSync(borrowed).ino === inode ? use(borrowed) : -Errno.EBADF;
  } finally {
    close(borrowed);
  }
}

/**
 * Sockets whose first holder has closed them or has ended, found again in another process: a reload hands listeners over, a fork
 * shares connections. The list of all descriptors is read once, when it is needed first.
 */
export class OtherHolders {
  #byInode: ReadonlyMap<number, readonly [pid: number, fd: number]> | undefined;

  /** What `use` returns, or undefined: nobody (whom we may look into) has this socket. `isSame` guards against a reused inode. */
  withSocket<T>(
    inode: number,
    isSame: (subject: SelectorSubject) => boolean,
    use: (fd: number) => T,
  ): T | undefined {
    this.#byInode ??= socketsOfAll();
    const [pid, fd] = this.#byInode.get(inode) ?? [];
    const pidfd = pid === undefined ? -1 : pidfdOpen(pid);
    if (pidfd < 0 || fd === undefined) return undefined;
    try {
      const result = withBorrowed(pidfd, fd, inode, (borrowed): { readonly value: T } | undefined => {
        const subject = describe(borrowed);
        return subject !== undefined && isSame(subject) ? { value: use(borrowed) } : undefined;
      });
      return typeof result === "object" ? result.value : undefined;
    } finally {
      close(pidfd);
    }
  }
}

function socketsOfAll(): ReadonlyMap<number, readonly [pid: number, fd: number]> {
  const found = new Map<number, readonly [number, number]>();
  for (const pid of processIds()) {
    const inodes = socketInodes(pid);
    if (typeof inodes === "string") continue;
    for (const [fd, inode] of inodes) found.set(inode, [pid, fd]);
  }
  return found;
}
