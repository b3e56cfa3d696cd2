/**
 * TCP keepalive for every connection that a cgroup makes from now on: an eBPF sock_ops program that calls bpf_setsockopt() when a
 * connection is established, in either direction. The program stays attached until undo or until the cgroup is removed; no process
 * has to run for it. Linux 5.9 (SO_KEEPALIVE and the TCP_KEEP* options in bpf_setsockopt), cgroup v2. Driver; called by cli/enable.ts.
 */
import { closeSync, openSync, readFileSync, statfsSync } from "node:fs";
import path from "node:path";
import {
  attachedSockOps,
  attachSockOps,
  BPF_ATTACH_NAME,
  Bpf,
  detachSockOps,
  type Instruction,
  loadSockOps,
  programById,
  programId,
} from "../sys/bpf.ts";
import { heldCapabilities } from "../sys/capabilities.ts";
import { Errno, SyscallError } from "../sys/errno.ts";
import type { SocketOptionChange } from "./option-plan.ts";

/** include/uapi/linux/magic.h */
const CGROUP2_SUPER_MAGIC = 0x63677270;
const BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB = 4;
const BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB = 5;
const BPF_FUNC_SETSOCKOPT = 49;
const PROGRAM_NAME = "holdfast_tcp";

/** Instructions of one bpf_setsockopt() call. */
const CALL_LENGTH = 8;

/** Level and number of each option: asm-generic/socket.h, linux/tcp.h. */
const NUMBERS = {
  SO_KEEPALIVE: [1, 9],
  TCP_KEEPIDLE: [6, 4],
  TCP_KEEPINTVL: [6, 5],
  TCP_KEEPCNT: [6, 6],
  TCP_USER_TIMEOUT: [6, 18],
} as const;

/** The program: `if (op is an establishment) for each option bpf_setsockopt(ctx, level, option, &value, 4); return 1`. */
export function sockOpsProgram(changes: readonly SocketOptionChange[]): Instruction[] {
  const length = changes.length * CALL_LENGTH;
  return [
    { code: Bpf.MOV_REGISTER, target: 6, source: 1 },
    { code: Bpf.LOAD_WORD, target: 2, source: 6, offset: 0 },
    { code: Bpf.JUMP_EQUAL, target: 2, immediate: BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, offset: 1 },
    { code: Bpf.JUMP_NOT_EQUAL, target: 2, immediate: BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, offset: length },
    ...changes.flatMap(({ option, value }): Instruction[] => [
      { code: Bpf.STORE_WORD_IMMEDIATE, target: 10, offset: -4, immediate: value },
      { code: Bpf.MOV_REGISTER, target: 1, source: 6 },
      { code: Bpf.MOV_IMMEDIATE, target: 2, immediate: NUMBERS[option][0] },
      { code: Bpf.MOV_IMMEDIATE, target: 3, immediate: NUMBERS[option][1] },
      { code: Bpf.MOV_REGISTER, target: 4, source: 10 },
      { code: Bpf.ADD_IMMEDIATE, target: 4, immediate: -4 },
      { code: Bpf.MOV_IMMEDIATE, target: 5, immediate: 4 },
      { code: Bpf.CALL, immediate: BPF_FUNC_SETSOCKOPT },
    ]),
    // 1: the packet or call is allowed; the reply of other programs of this cgroup is left alone.
    { code: Bpf.MOV_IMMEDIATE, target: 0, immediate: 1 },
    { code: Bpf.EXIT },
  ];
}

/** undefined: this directory is a cgroup of version 2; otherwise a sentence with the way out. */
export function whyNoCgroup(directory: string): string | undefined {
  try {
    if (statfsSync(directory).type === CGROUP2_SUPER_MAGIC) return undefined;
  } catch (error) {
    return `${directory} cannot be read (${(error as NodeJS.ErrnoException).code}): name a directory of the cgroup v2 tree, for example ${cgroupMounts()[0] ?? "/sys/fs/cgroup"}/system.slice/nginx.service`;
  }
  const mounts = cgroupMounts();
  const where =
    mounts.length > 0
      ? `cgroup v2 is mounted at ${mounts.join(", ")}: name a directory below it`
      : "cgroup v2 is not mounted here: mount -t cgroup2 none /sys/fs/cgroup/unified, or boot with systemd.unified_cgroup_hierarchy=1";
  return `${directory} is no cgroup of version 2; ${where}`;
}

function cgroupMounts(): string[] {
  try {
    return readFileSync("/proc/self/mounts", "utf8")
      .split("\n")
      .map((line) => line.split(" "))
      .filter((fields) => fields[2] === "cgroup2")
      .map((fields) => fields[1]!);
  } catch {
    return [];
  }
}

/** Loads, says the program's id (for the journal), attaches; the id. Throws SyscallError (see newSocketsProblem()). */
export function attachNewSockets(
  cgroup: string,
  changes: readonly SocketOptionChange[],
  onLoaded: (programId: number) => void,
): number {
  return withCgroup(cgroup, (cgroupFd) => {
    const programFd = loadSockOps(sockOpsProgram(changes), PROGRAM_NAME, "MIT");
    try {
      const id = programId(programFd);
      onLoaded(id);
      attachSockOps(cgroupFd, programFd);
      return id;
    } finally {
      closeSync(programFd);
    }
  });
}

/** False when there was nothing to detach any more (the cgroup or the program is gone). Throws SyscallError. */
export function detachNewSockets(cgroup: string, id: number): boolean {
  const programFd = programById(id);
  if (programFd === -Errno.ENOENT) return false;
  if (programFd < 0) throw new SyscallError("bpf", -programFd, "BPF_PROG_GET_FD_BY_ID");
  try {
    return withCgroup(cgroup, (cgroupFd) => {
      const result = detachSockOps(cgroupFd, programFd);
      if (result < 0 && result !== -Errno.ENOENT) throw new SyscallError("bpf", -result, "BPF_PROG_DETACH");
      return result === 0;
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  } finally {
    closeSync(programFd);
  }
}

/** Whether the program of this id is attached to this cgroup. Throws SyscallError. */
export function isAttached(cgroup: string, id: number): boolean {
  return withCgroup(cgroup, (cgroupFd) => attachedSockOps(cgroupFd).ids.includes(id));
}

function withCgroup<T>(cgroup: string, use: (fd: number) => T): T {
  const fd = openSync(cgroup, "r");
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * The cgroup at or above this one whose program was attached without BPF_F_ALLOW_MULTI: the kernel then refuses ours with EPERM
 * (hierarchy_allows_attach() and the flags' comparison in __cgroup_bpf_attach(), kernel/bpf/cgroup.c). undefined: none is seen.
 */
export function cgroupThatBearsNoOther(cgroup: string): string | undefined {
  try {
    for (let directory = cgroup; whyNoCgroup(directory) === undefined; directory = path.dirname(directory)) {
      const { ids, isShared } = withCgroup(directory, attachedSockOps);
      if (ids.length > 0 && !isShared) return directory;
      if (directory === path.dirname(directory)) return undefined;
    }
  } catch {
    // Not permitted, or the cgroup is gone: then nobody is named.
  }
  return undefined;
}

/** One sentence for an operator. */
export function newSocketsProblem(
  error: SyscallError,
  cgroup: string,
  held: ReadonlySet<string> = heldCapabilities(),
): string {
  if (error.errno === Errno.EPERM) return whyNotPermitted(error, cgroup, held);
  if (error.errno === Errno.ENOSYS) return "this kernel was built without bpf(2) (CONFIG_BPF_SYSCALL)";
  if (error.errno === Errno.EINVAL)
    return `this kernel refuses the program (${error.message}): it needs Linux 5.9 with CONFIG_CGROUP_BPF`;
  return error.message;
}

function whyNotPermitted(error: SyscallError, cgroup: string, held: ReadonlySet<string>): string {
  const isPrivileged = held.has("CAP_SYS_ADMIN") || (held.has("CAP_BPF") && held.has("CAP_NET_ADMIN"));
  if (!isPrivileged)
    return "eBPF programs at a cgroup need CAP_BPF and CAP_NET_ADMIN (before Linux 5.8: CAP_SYS_ADMIN), and undo needs CAP_SYS_ADMIN: run it with sudo";
  if (error.message.includes(BPF_ATTACH_NAME)) {
    const owner = cgroupThatBearsNoOther(cgroup);
    const whose = owner === undefined ? "this cgroup or one above it" : owner;
    return `${whose} has an eBPF program that bears no other beside it (attached without BPF_F_ALLOW_MULTI): see bpftool cgroup show ${owner ?? cgroup}, then name a cgroup that is not below it, or have its owner attach it with multi`;
  }
  if (!held.has("CAP_SYS_ADMIN"))
    return "finding the attached program again needs CAP_SYS_ADMIN: run it with sudo";
  return `the capabilities are there, but the kernel forbids it (${error.message}): a container's seccomp profile, kernel lockdown or a security module; run it on the host`;
}
