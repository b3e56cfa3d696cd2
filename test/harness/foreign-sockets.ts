/**
 * The TCP connections of another process and the options the kernel really applies to them, read through duplicates of its
 * descriptors: pidfd_open(2) and pidfd_getfd(2), Linux 5.6. Needs the right to trace the process (ptrace(2), "access mode checking").
 */
import { readdirSync, readlinkSync } from "node:fs";
import type { SocketAddress } from "../../src/config/types.ts";
import { SyscallError } from "../../src/sys/errno.ts";
import { pidfdGetfd, pidfdOpen } from "../../src/sys/pidfd.ts";
import { close, getpeername, getsockname } from "../../src/sys/socket.ts";
import { getTcpKeepalive, getTcpUserTimeout } from "../../src/sys/socket-options.ts";
import type { TcpKeepalive } from "../../src/tcp/so-keepalive.ts";

export interface ForeignConnection {
  readonly localPort: number;
  readonly peerPort: number;
  readonly tcpKeepalive: Required<TcpKeepalive>;
  readonly tcpUserTimeoutMs: number;
}

/** Connected TCP sockets of a process; listening and UNIX sockets are left out. */
export function foreignConnections(pid: number): ForeignConnection[] {
  const connections: ForeignConnection[] = [];
  const pidfd = granted("pidfd_open", pidfdOpen(pid), `pid ${pid}`);
  try {
    for (const name of readdirSync(`/proc/${pid}/fd`)) {
      if (!isSocket(`/proc/${pid}/fd/${name}`)) continue;
      const fd = granted("pidfd_getfd", pidfdGetfd(pidfd, Number(name)), `fd ${name}`);
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

function granted(syscall: string, result: number, detail: string): number {
  if (result < 0) throw new SyscallError(syscall, -result, detail);
  return result;
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
