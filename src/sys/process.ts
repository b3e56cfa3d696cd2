/**
 * Process-wide settings: signal(7) dispositions, resource limits (getrlimit(2)), open(2) and write(2) of plain files.
 * A worker is blocked in epoll_wait and has no event loop, so Node's own signal handlers would never run there.
 */
import { check } from "./errno.ts";
import { bindFunction, errno } from "./libc.ts";
import { allocate } from "./memory.ts";

const signal_ = bindFunction("uintptr_t signal(int, uintptr_t)");
const getrlimit_ = bindFunction("int getrlimit(int, uintptr_t)");
const setrlimit_ = bindFunction("int setrlimit(int, uintptr_t)");
const open_ = bindFunction("int open(const char *, int, int)");
const write_ = bindFunction("int64_t write(int, uintptr_t, ulong)");
const fcntl_ = bindFunction("int fcntl(int, int, int)");
const prctl_ = bindFunction("int prctl(int, ulong, ulong, ulong, ulong)");

const SIG_IGN = 1;
export const Signal = { SIGHUP: 1, SIGINT: 2, SIGUSR1: 10, SIGPIPE: 13, SIGTERM: 15 } as const;
const RLIMIT_NOFILE = 7;
const F_GETFL = 3;
const F_SETFL = 4;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const O_RDONLY = 0;
const O_WRONLY = 1;
const O_CREAT = 0o100;
const O_APPEND = 0o2000;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const PR_SET_DUMPABLE = 4;

export function ignoreSignal(signal: number): void {
  signal_(signal, SIG_IGN);
}

export interface DescriptorLimit {
  readonly soft: number;
  readonly hard: number;
}

/** RLIMIT_NOFILE. */
export function getDescriptorLimit(): DescriptorLimit {
  const limit = allocate(16);
  check("getrlimit", getrlimit_(RLIMIT_NOFILE, limit.address));
  return { soft: Number(limit.bytes.readBigUInt64LE(0)), hard: Number(limit.bytes.readBigUInt64LE(8)) };
}

/** Raises the soft limit on descriptors to the hard one; children inherit it. Returns the limit now in force. */
export function raiseDescriptorLimit(): number {
  const { hard } = getDescriptorLimit();
  const limit = allocate(16);
  limit.bytes.writeBigUInt64LE(BigInt(hard), 0);
  limit.bytes.writeBigUInt64LE(BigInt(hard), 8);
  check("setrlimit", setrlimit_(RLIMIT_NOFILE, limit.address));
  return hard;
}

/** Opens a file for appending, created with mode 0644. */
export function openAppend(path: string): number {
  return check("open", open_(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644), path);
}

/** Opens a file for reading: a descriptor or -errno. */
export function tryOpenRead(path: string): number {
  const fd = open_(path, O_RDONLY | O_CLOEXEC, 0);
  return fd === -1 ? -errno() : fd;
}

/** write(2): bytes taken, or -errno. */
export function write(fd: number, address: number, length: number): number {
  const written = write_(fd, address, length);
  return written === -1 ? -errno() : written;
}

/** O_NONBLOCK on an inherited descriptor. */
export function setNonBlocking(fd: number): void {
  const flags = check("fcntl", fcntl_(fd, F_GETFL, 0), `F_GETFL fd ${fd}`);
  check("fcntl", fcntl_(fd, F_SETFL, flags | O_NONBLOCK), `F_SETFL fd ${fd}`);
}

/** Whether exec keeps the descriptor open. */
export function setCloseOnExec(fd: number, closes: boolean): void {
  check("fcntl", fcntl_(fd, F_SETFD, closes ? FD_CLOEXEC : 0), `F_SETFD fd ${fd}`);
}

/** Lets this process be inspected again (core dump, /proc) after it changed its user id: prctl(2) PR_SET_DUMPABLE. */
export function setDumpable(): void {
  prctl_(PR_SET_DUMPABLE, 1, 0, 0, 0);
}
