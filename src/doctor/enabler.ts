/**
 * Sets TCP keepalive and TCP_USER_TIMEOUT on live sockets and listeners of running programs, journal first, and puts them back.
 * A listener's options are inherited by every connection it accepts from then on (tcp(7), net/ipv4/tcp_minisocks.c).
 * Driver of option-plan.ts and undo-journal.ts; called by cli/enable.ts and cli/undo.ts.
 */
import { Errno, SyscallError } from "../sys/errno.ts";
import { pidfdOpen } from "../sys/pidfd.ts";
import { close } from "../sys/socket.ts";
import { getSocketOptions, setSocketOption } from "../sys/socket-options.ts";
import { type LiveSocket, type OtherHolders, processIdentity, withBorrowed } from "./live-sockets.ts";
import {
  afterChanges,
  type OptionValues,
  planChanges,
  planRestore,
  type SocketOptionChange,
  type SocketOptionName,
  type WantedOptions,
} from "./option-plan.ts";
import { socketName } from "./prober.ts";
import type { SocketChanged } from "./undo-journal.ts";
import type { UndoJournal } from "./undo-journal-files.ts";

export interface EnableResult {
  readonly socket: LiveSocket;
  /** `would-set`: a dry run. `already`: nothing to change. `failed`: see errno. */
  readonly outcome: "set" | "would-set" | "already" | "failed";
  readonly before: OptionValues | undefined;
  readonly changes: readonly SocketOptionChange[];
  readonly errno: number;
}

export interface EnableSettings {
  readonly wanted: WantedOptions;
  /** undefined: a dry run. */
  readonly journal: UndoJournal | undefined;
}

export function enableSocket(socket: LiveSocket, settings: EnableSettings): EnableResult {
  const nothing: EnableResult = { socket, outcome: "failed", before: undefined, changes: [], errno: 0 };
  const { holder, inode, startTicks } = socket;
  const result = withProcess(holder.pid, startTicks, (pidfd) =>
    withBorrowed(pidfd, holder.fd, inode, (fd) => setOptions(fd, socket, settings)),
  );
  return typeof result === "number" ? { ...nothing, errno: -result } : result;
}

function setOptions(fd: number, socket: LiveSocket, { wanted, journal }: EnableSettings): EnableResult {
  const before = getSocketOptions(fd);
  const changes = planChanges(before, wanted);
  const result = { socket, before, changes, errno: 0 };
  if (changes.length === 0) return { ...result, outcome: "already" };
  if (journal === undefined) return { ...result, outcome: "would-set" };
  const { holder, inode, startTicks } = socket;
  const after = afterChanges(before, changes);
  const entry = { entry: "socket", ...holder, startTicks, inode, socket: socketName(socket) } as const;
  try {
    journal.write({ ...entry, before, after });
    for (const { option, value } of changes) setSocketOption(fd, option, value);
    return { ...result, outcome: "set" };
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    return { ...result, outcome: "failed", errno: error.errno };
  }
}

export interface UndoResult {
  readonly change: SocketChanged;
  readonly outcome: "restored" | "as-before" | "process-ended" | "socket-closed" | "failed";
  readonly changes: readonly SocketOptionChange[];
  /** Changed by somebody else since, and left alone. */
  readonly foreign: readonly SocketOptionName[];
  readonly errno: number;
}

/**
 * Only when it is still the same socket, behind the same descriptor of the same process or in a process that shares it (nginx's master
 * and workers share a listener; HAProxy's next worker takes it over), and only values that are still ours.
 */
export function undoSocket(change: SocketChanged, others: OtherHolders): UndoResult {
  const { pid, startTicks, fd, inode } = change;
  const result = withProcess(pid, startTicks, (pidfd) =>
    withBorrowed(pidfd, fd, inode, (borrowed) => restoreOptions(borrowed, change)),
  );
  if (typeof result !== "number") return result;
  if (result === -Errno.ESRCH || result === -Errno.EBADF) {
    const isSame = (subject: LiveSocket["subject"]): boolean => socketName({ subject }) === change.socket;
    const elsewhere = others.withSocket(inode, isSame, (borrowed) => restoreOptions(borrowed, change));
    if (elsewhere !== undefined) return elsewhere;
  }
  const outcome =
    result === -Errno.ESRCH ? "process-ended" : result === -Errno.EBADF ? "socket-closed" : "failed";
  return { change, outcome, changes: [], foreign: [], errno: -result };
}

function restoreOptions(fd: number, change: SocketChanged): UndoResult {
  const { changes, foreign } = planRestore(change.before, change.after, getSocketOptions(fd));
  try {
    for (const { option, value } of changes) setSocketOption(fd, option, value);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    return { change, outcome: "failed", changes: [], foreign, errno: error.errno };
  }
  return { change, outcome: changes.length === 0 ? "as-before" : "restored", changes, foreign, errno: 0 };
}

function withProcess<T>(pid: number, startTicks: number, use: (pidfd: number) => T): T | number {
  const pidfd = pidfdOpen(pid);
  if (pidfd < 0) return pidfd;
  try {
    return processIdentity(pid)?.startTicks === startTicks ? use(pidfd) : -Errno.ESRCH;
  } finally {
    close(pidfd);
  }
}
