/**
 * The TCP sockets of a network namespace as records: the kernel's dump, the processes, the namespace's sysctls, and the options
 * where they are wanted. Driver; the only place where these come together. Used by sockets, watch, probe, enable and doctor.
 */
import { existsSync, fstatSync, readFileSync, statSync } from "node:fs";
import { type DiagSocket, TcpDiagState } from "../netlink/inet-diag.ts";
import { DestroyedSockets, InetDiagClient } from "../netlink/inet-diag-client.ts";
import { Errno, SyscallError } from "../sys/errno.ts";
import { insideNetworkNamespace } from "../sys/namespace.ts";
import { pidfdGetfd, pidfdOpen } from "../sys/pidfd.ts";
import { close } from "../sys/socket.ts";
import { getTcpKeepalive, getTcpUserTimeout } from "../sys/socket-options.ts";
import { DEFAULT_TCP_SYSCTLS, type TcpSysctls } from "./detection-time.ts";
import { areProcessesHidden } from "./live-sockets.ts";
import type { SocketHolder } from "./selector.ts";
import { findSocketHolders, socketInodesOf } from "./socket-owner.ts";
import type { SocketOptions, SocketRecord } from "./socket-record.ts";

/** A question that cannot be answered at all: one sentence with the fix. */
export class SocketTableError extends Error {}

export interface SocketSource {
  /** The namespace's file; undefined: the own namespace. */
  readonly namespaceFile: string | undefined;
  /** Only sockets that this process has. */
  readonly pid: number | undefined;
}

export const OWN_NAMESPACE: SocketSource = { namespaceFile: undefined, pid: undefined };

export interface SocketTable {
  readonly sockets: readonly SocketRecord[];
  readonly sysctls: TcpSysctls;
  /** Why something is missing, each with what to do about it; empty: the answer is whole. */
  readonly gaps: readonly string[];
}

/** An open question to one namespace, which can be asked again and again. */
export class SocketTableReader {
  readonly sysctls: TcpSysctls;
  readonly #client: InetDiagClient;
  readonly #destroyed: DestroyedSockets | undefined;
  readonly #pid: number | undefined;

  /** `hearsEnds`: drainDestroyed() will be called. Throws SocketTableError. */
  constructor(source: SocketSource = OWN_NAMESPACE, hearsEnds = false) {
    this.#pid = source.pid;
    const open = (): [InetDiagClient, TcpSysctls, DestroyedSockets | undefined] => [
      new InetDiagClient(),
      readTcpSysctls(),
      hearsEnds ? new DestroyedSockets() : undefined,
    ];
    const { namespaceFile } = source;
    const isElsewhere = namespaceFile !== undefined && !isOwnNamespace(namespaceFile);
    [this.#client, this.sysctls, this.#destroyed] = isElsewhere ? visit(namespaceFile, open) : open();
  }

  /** The sockets of now. Without `withHolders` nobody looks into /proc. Throws SocketTableError. */
  read(states: number, withHolders = true): SocketTable {
    const gaps: string[] = [];
    const own = this.#pid === undefined ? undefined : inodesOf(this.#pid);
    const { sockets, isInterrupted } = this.#client.dump(states);
    if (isInterrupted)
      gaps.push("the kernel's table changed while it was read: a few sockets may be missing");
    const wanted = own === undefined ? sockets : sockets.filter(({ inode }) => own.has(inode));
    const holders = withHolders ? this.#holders(wanted, gaps) : NOBODY;
    return {
      sockets: wanted.map((diag) => ({ diag, holders: holders.get(diag.inode) ?? NONE, options: undefined })),
      sysctls: this.sysctls,
      gaps,
    };
  }

  #holders(sockets: readonly DiagSocket[], gaps: string[]): ReadonlyMap<number, readonly SocketHolder[]> {
    const inodes = new Set<number>();
    for (const { inode } of sockets) if (inode !== 0) inodes.add(inode);
    const pids = this.#pid === undefined ? undefined : [this.#pid];
    const { byInode, hiddenProcesses } = findSocketHolders(inodes, pids);
    if (hiddenProcesses > 0 && byInode.size < inodes.size)
      gaps.push(
        `${hiddenProcesses} processes of other users could not be looked into, and ${inodes.size - byInode.size} of the sockets have no process name: run it with sudo (CAP_SYS_PTRACE)`,
      );
    else if (byInode.size < inodes.size && areProcessesHidden())
      gaps.push(
        `/proc does not show the processes of others (hidepid=2, or it is not mounted), and ${inodes.size - byInode.size} of the sockets have no process name: run it with sudo`,
      );
    else if (byInode.size < inodes.size && isInContainer())
      gaps.push(
        `${inodes.size - byInode.size} of the sockets belong to no process that is seen from this container (PID namespace): run it on the host, or share the host's (docker run --pid=host)`,
      );
    return byInode;
  }

  /** Sockets that the kernel has destroyed since the last call; whether messages were lost. */
  drainDestroyed(visit: (socket: DiagSocket) => void): boolean {
    return this.#destroyed?.drain(visit) ?? false;
  }

  close(): void {
    this.#destroyed?.close();
    this.#client.close();
  }
}

/** PROC_PID_INIT_INO (include/linux/proc_ns.h): the first PID namespace, which sees every process. */
const FIRST_PID_NAMESPACE = 0xeffffffc;

function isInContainer(): boolean {
  try {
    return statSync("/proc/self/ns/pid").ino !== FIRST_PID_NAMESPACE;
  } catch {
    return false;
  }
}

const NONE: readonly SocketHolder[] = [];
const NOBODY: ReadonlyMap<number, readonly SocketHolder[]> = new Map();

function isOwnNamespace(file: string): boolean {
  try {
    return statSync(file).ino === statSync("/proc/thread-self/ns/net").ino;
  } catch {
    return false;
  }
}

function visit<T>(file: string, look: () => T): T {
  try {
    return insideNetworkNamespace(file, look);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (error instanceof SyscallError && error.syscall === "setns")
      throw new SocketTableError(
        error.errno === Errno.EINVAL
          ? `${file} is no network namespace: name one of ip netns list, a file of ip netns, or a process id`
          : `entering the network namespace ${file} needs CAP_SYS_ADMIN: run it with sudo`,
      );
    if (code === "ENOENT" || code === "ESRCH") {
      const pid = /^\/proc\/(\d+)\/ns\/net$/.exec(file)?.[1];
      throw new SocketTableError(
        pid === undefined
          ? `there is no network namespace ${file}: see ip netns list`
          : `there is no process ${pid}: see ps -e`,
      );
    }
    if (code === "EACCES" || code === "EPERM")
      throw new SocketTableError(
        `${file} may not be opened: run it with sudo (CAP_SYS_PTRACE, CAP_SYS_ADMIN)`,
      );
    throw error;
  }
}

function inodesOf(pid: number): ReadonlySet<number> {
  try {
    return socketInodesOf(pid);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH")
      throw new SocketTableError(`there is no process ${pid}: see ps -e`);
    if (code === "EACCES" || code === "EPERM")
      throw new SocketTableError(`process ${pid} is another user's: run it with sudo (CAP_SYS_PTRACE)`);
    throw error;
  }
}

/** NAME of `ip netns`, a path, or a process id; where its file is. Throws SocketTableError. */
export function namespaceFileOf(word: string): string {
  const file = word.includes("/") ? word : /^\d+$/.test(word) ? `/proc/${word}/ns/net` : `/run/netns/${word}`;
  if (!existsSync(file)) {
    const what = file.startsWith("/proc/") ? `process ${word}` : `network namespace ${word}`;
    throw new SocketTableError(`there is no ${what}: see ip netns list, or name a process id`);
  }
  return file;
}

/** net.ipv4.tcp_* of the namespace of the calling thread. */
function readTcpSysctls(): TcpSysctls {
  const read = (name: string, otherwise: number): number => {
    try {
      const value = Number(readFileSync(`/proc/sys/net/ipv4/${name}`, "latin1"));
      return Number.isFinite(value) ? value : otherwise;
    } catch {
      return otherwise;
    }
  };
  const usual = DEFAULT_TCP_SYSCTLS;
  return {
    keepaliveIdleMs: read("tcp_keepalive_time", usual.keepaliveIdleMs / 1000) * 1000,
    keepaliveIntervalMs: read("tcp_keepalive_intvl", usual.keepaliveIntervalMs / 1000) * 1000,
    keepaliveProbeCount: read("tcp_keepalive_probes", usual.keepaliveProbeCount),
    retries2: read("tcp_retries2", usual.retries2),
    orphanRetries: read("tcp_orphan_retries", usual.orphanRetries),
    rtoMaxMs: read("tcp_rto_max_ms", usual.rtoMaxMs),
  };
}

export interface OptionsRead {
  readonly sockets: readonly SocketRecord[];
  /** Sockets whose process did not let us. */
  readonly refused: number;
}

/** The same sockets with their options, read through a duplicate of the holder's descriptor (pidfd_getfd(2)), one process after the other. */
export function readSocketOptions(sockets: readonly SocketRecord[]): OptionsRead {
  const pidfds = new Map<number, number>();
  let refused = 0;
  try {
    const filled = sockets.map((socket) => {
      const [holder] = socket.holders;
      if (holder === undefined || socket.diag.state === TcpDiagState.TIME_WAIT) return socket;
      let pidfd = pidfds.get(holder.pid);
      if (pidfd === undefined) {
        pidfd = pidfdOpen(holder.pid);
        pidfds.set(holder.pid, pidfd);
      }
      const options = pidfd < 0 ? undefined : optionsOf(pidfd, holder.fd, socket.diag.inode);
      if (options === undefined) refused += 1;
      return options === undefined ? socket : { ...socket, options };
    });
    return { sockets: filled, refused };
  } finally {
    for (const pidfd of pidfds.values()) if (pidfd >= 0) close(pidfd);
  }
}

function optionsOf(pidfd: number, fd: number, inode: number): SocketOptions | undefined {
  const borrowed = pidfdGetfd(pidfd, fd);
  if (borrowed < 0) return undefined;
  try {
    // The number may lead to another socket by now.
    if (fstatSync(borrowed).ino !== inode) return undefined;
    const { enabled, idleSeconds, intervalSeconds, probeCount } = getTcpKeepalive(borrowed);
    return {
      isKeepaliveOn: enabled === true,
      idleMs: (idleSeconds ?? 0) * 1000,
      intervalMs: (intervalSeconds ?? 0) * 1000,
      probeCount: probeCount ?? 0,
      userTimeoutMs: getTcpUserTimeout(borrowed),
    };
  } catch (error) {
    if (error instanceof SyscallError) return undefined;
    throw error;
  } finally {
    close(borrowed);
  }
}
