/**
 * Opens the access log for the workers. They append to the inherited descriptor; after SIGUSR1 (log rotation) each opens
 * the path again, possibly as an unprivileged user, so the file is created here and given to that user first.
 */
import { chownSync } from "node:fs";
import type { GatewayConfig } from "../config/types.ts";
import { openAppend } from "../sys/process.ts";
import { close } from "../sys/socket.ts";
import { findUser } from "./privileges.ts";

/** A descriptor, or undefined when there is no access log. Throws SyscallError or PrivilegeError. */
export function openAccessLog(config: GatewayConfig): number | undefined {
  if (config.accessLog === undefined) {
    return undefined;
  }
  const fd = openAppend(config.accessLog.path);
  if (config.user !== undefined && process.getuid!() === 0) {
    const { uid, gid } = findUser(config.user);
    chownSync(config.accessLog.path, uid, gid);
  }
  return fd;
}

export function closeAccessLog(fd: number | undefined): void {
  if (fd !== undefined) {
    close(fd);
  }
}
