/**
 * The TCP connections of another process and the options the kernel really applies to them, read through duplicates of its
 * descriptors: pidfd_open(2) and pidfd_getfd(2), Linux 5.6. Needs the right to trace the process (ptrace(2), "access mode checking").
 */
import { readdirSync, readlinkSync } from "node:fs";
import type { SocketAddress } from "../../src/config/types.ts";
import { check } from "../../src/sys/errno.ts";
import { bindFunction } from "../../src/sys/libc.ts";
import { close, getpeername, getsockname } from "../../src/sys/socket.ts";
import { getTcpKeepalive, getTcpUserTimeout } from "../../src/sys/socket-options.ts";
import type { TcpKeepalive } from "../../src/tcp/so-keepalive.ts";

// Not every C library wraps these; the numbers are the same on every architecture.
const syscall_ = bindFunction("int64_t syscall(int64_t, int64_t, int64_t, int64_t)");
const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;

export interface ForeignConnection {
  readonly localPort: number;
  readonly peerPort: number;
  readonly tcpKeepalive: Required<TcpKeepalive>;
  readonly tcpUserTimeoutMs: number;
}

/** Connected TCP sockets of a process; listening and UNIX sockets are left out. */
export function foreignConnections(pid: number): ForeignConnection[] {
  const connections: ForeignConnection[] = [];
  const pidfd = check("pidfd_open", syscall_(SYS_PIDFD_OPEN, pid, 0, 0), `pid ${pid}`);
  try {
    for (const name of readdirSync(`/proc/${pid}/fd`)) {
      if (!isSocket(`/proc/${pid}/fd/${name}`)) continue;
      const fd = check("pidfd_getfd", syscall_(SYS_PIDFD_GETFD, pidfd, Number(name), 0), `fd ${name}`);
      try {
        const [local, peer] = [portOf(() => getsockname(fd)), portOf(() => getpeername(fd))];
        if (local === undefined || peer === undefined) continue;
        connections.push({
          localPort: local,
          peerPort: peer,
          tcpKeepalive: getTcpKeepalive(fd),
          tcpUserTimeoutMs: getTcpUserTimeout(fd),
        });
      } finally {
        close(fd);
      }
    }
  } finally {
    close(pidfd);
  }
  return connections;
}

function isSocket(link: string): boolean {
  try {
    return readlinkSync(link).startsWith("socket:");
  } catch {
    return false;
  }
}

function portOf(read: () => SocketAddress): number | undefined {
  try {
    const address = read();
    return "port" in address ? address.port : undefined;
  } catch {
    // ENOTCONN: a listening socket has no peer.
    return undefined;
  }
}
