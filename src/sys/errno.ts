/**
 * Error numbers (asm-generic/errno-base.h, asm-generic/errno.h: the same on x86-64 and arm64) and `SyscallError`.
 * Hot calls return `-errno` as a number; calls made once throw a `SyscallError`.
 */
import { errno } from "./libc.ts";

export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOSPC: 28,
  EROFS: 30,
  EPIPE: 32,
  ENOSYS: 38,
  EPROTO: 71,
  ENOTSOCK: 88,
  EMSGSIZE: 90,
  ENOPROTOOPT: 92,
  EPROTONOSUPPORT: 93,
  EOPNOTSUPP: 95,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ENOBUFS: 105,
  EISCONN: 106,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTDOWN: 112,
  EHOSTUNREACH: 113,
  EALREADY: 114,
  EINPROGRESS: 115,
  EDQUOT: 122,
} as const;

const NAME_BY_NUMBER = new Map<number, string>(Object.entries(Errno).map(([name, number]) => [number, name]));

/** "ECONNRESET" for 104; "errno 999" where the number is unknown. */
export function errnoName(number: number): string {
  return NAME_BY_NUMBER.get(number) ?? `errno ${number}`;
}

/** No descriptor, no memory, or no epoll watch is left for another socket. */
export function isOutOfRoom(number: number): boolean {
  return (
    number === Errno.EMFILE ||
    number === Errno.ENFILE ||
    number === Errno.ENOBUFS ||
    number === Errno.ENOMEM ||
    number === Errno.ENOSPC
  );
}

/** Likely cause and what to try, for errors that an operator meets. */
const HINTS: Record<string, string> = {
  "bind EADDRINUSE": "another process listens there; find it with: ss -tlnp",
  "bind EACCES":
    "ports below 1024 need CAP_NET_BIND_SERVICE: run as root, or sysctl net.ipv4.ip_unprivileged_port_start=0",
  "bind EADDRNOTAVAIL": "no interface has this address: ip address show",
  "socket EPERM":
    "raw and packet sockets need CAP_NET_RAW: run as root, or AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN in the systemd unit, or setcap cap_net_raw,cap_net_admin+ep on the node program",
  "setsockopt EPERM": "this socket option needs CAP_NET_ADMIN or CAP_NET_RAW: run as root, or grant them",
  "setsockopt ENODEV": "there is no such interface: ip link show",
  "sched_setscheduler EPERM":
    "real-time scheduling needs CAP_SYS_NICE or LimitRTPRIO= in the systemd unit; in a container also a real-time budget of its cgroup",
  "mlockall EPERM": "locking memory needs CAP_IPC_LOCK or LimitMEMLOCK=infinity in the systemd unit",
  "mlockall ENOMEM": "locking memory needs CAP_IPC_LOCK or LimitMEMLOCK=infinity in the systemd unit",
  "socket EMFILE": "the descriptor table is full: raise it with ulimit -n or LimitNOFILE=",
  "socket EAFNOSUPPORT": "the kernel has no support for this address family (IPv6 disabled?)",
  "connect EADDRNOTAVAIL":
    "no ephemeral port is free for this destination: see ss -s (TIME_WAIT) and net.ipv4.ip_local_port_range",
};

export class SyscallError extends Error {
  readonly syscall: string;
  readonly errno: number;
  /** "EADDRINUSE" */
  readonly code: string;
  readonly hint: string | undefined;

  constructor(syscall: string, number: number, detail = "") {
    const code = errnoName(number);
    super(`${syscall}${detail === "" ? "" : ` ${detail}`}: ${code}`);
    this.name = "SyscallError";
    this.syscall = syscall;
    this.errno = number;
    this.code = code;
    this.hint = HINTS[`${syscall} ${code}`];
  }
}

/** Result of a call that is made once: the value, or a SyscallError for -1. */
export function check(syscall: string, result: number, detail = ""): number {
  if (result === -1) throw new SyscallError(syscall, errno(), detail);
  return result;
}
