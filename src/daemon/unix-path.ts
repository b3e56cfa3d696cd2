/**
 * Socket files: a gateway that was killed leaves its socket file behind, and bind(2) then fails although nobody is there.
 * Called before binding a `unix:` listener or the admin socket. See unix(7).
 */
import { lstatSync, unlinkSync } from "node:fs";
import { Errno } from "../sys/errno.ts";
import { AF_UNIX, encodeSocketAddress } from "../sys/sockaddr.ts";
import { close, connect, streamSocket } from "../sys/socket.ts";

/** Removes the socket file when nobody answers on it. Leaves every other kind of file alone: bind(2) will complain. */
export function removeStaleSocketFile(path: string): void {
  if (isSocketFile(path) && !isAnswering(path)) {
    unlinkSync(path);
  }
}

export function removeSocketFile(path: string): void {
  if (isSocketFile(path)) {
    unlinkSync(path);
  }
}

function isSocketFile(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true;
}

/** Anything but "connection refused" counts as an answer: a full accept queue is a living server. */
function isAnswering(path: string): boolean {
  const fd = streamSocket(AF_UNIX);
  try {
    return connect(fd, encodeSocketAddress({ family: "unix", path })) !== -Errno.ECONNREFUSED;
  } finally {
    close(fd);
  }
}
