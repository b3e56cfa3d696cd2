/**
 * Borrowing a descriptor of a running process: pidfd_open(2) (Linux 5.3), pidfd_getfd(2) (Linux 5.6). The borrowed descriptor is the
 * same open socket: getsockopt(2) reads the owner's options, setsockopt(2) changes them, and the owner is not stopped for it.
 * Two traps. A socket lives until its LAST descriptor is closed: while we hold one, the owner's close(2) sends no FIN, so borrow for
 * microseconds and close. And SO_ERROR is cleared by whoever reads it: never read it here. Used by the drivers of doctor/.
 */
import { Errno, errnoName } from "./errno.ts";
import { bindFunction, errno } from "./libc.ts";
import { close } from "./socket.ts";

// The C library wraps these only since glibc 2.36. On x86-64 and arm64 a variadic call passes integers as an ordinary one does.
const syscall_ = bindFunction("long syscall(long, long, long, long)");

/** The same on every architecture (include/uapi/asm-generic/unistd.h, arch/x86/entry/syscalls/syscall_64.tbl). */
const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;

/** A descriptor of the process that no reused pid can confuse, or -errno. The caller closes it. */
export function pidfdOpen(pid: number): number {
  const pidfd = syscall_(SYS_PIDFD_OPEN, pid, 0, 0);
  return pidfd === -1 ? -errno() : pidfd;
}

/** A duplicate of the process's descriptor (close-on-exec), or -errno: EBADF when it has none of this number. */
export function pidfdGetfd(pidfd: number, fd: number): number {
  const borrowed = syscall_(SYS_PIDFD_GETFD, pidfd, fd, 0);
  return borrowed === -1 ? -errno() : borrowed;
}

/** Both in one, for a single look. A descriptor or -errno; the caller closes it at once. */
export function borrowDescriptor(pid: number, fd: number): number {
  const pidfd = pidfdOpen(pid);
  if (pidfd < 0) return pidfd;
  const borrowed = pidfdGetfd(pidfd, fd);
  close(pidfd);
  return borrowed;
}

/**
 * One sentence for an operator: why a socket could not be borrowed, or its options not be read or set, and what to do about it.
 * ENOSPC, EIO and EROFS come of the undo journal, no system call on a socket knows them.
 */
export function borrowProblem(error: number): string {
  switch (error) {
    case Errno.EPERM:
      return "not permitted: the process must belong to you and be dumpable (with Yama, kernel.yama.ptrace_scope=0), or you need CAP_SYS_PTRACE: run it with sudo";
    case Errno.ESRCH:
      return "the process has ended";
    case Errno.EBADF:
      return "the process has closed the socket";
    case Errno.ENOSYS:
      return "the kernel is older than Linux 5.6 and has no pidfd_getfd(2), or a seccomp profile forbids it";
    case Errno.EMFILE:
    case Errno.ENFILE:
      return "no descriptor is left here: raise the limit with ulimit -n";
    case Errno.ENOSPC:
      return "left as it was: the undo journal cannot be written, the disk is full (set XDG_STATE_HOME to another)";
    case Errno.EIO:
    case Errno.EROFS:
    case Errno.EDQUOT:
      return `left as it was: the undo journal cannot be written (${errnoName(error)}; set XDG_STATE_HOME to another directory)`;
    default:
      return `the kernel refused to have the socket's options read or set (${errnoName(error)})`;
  }
}
