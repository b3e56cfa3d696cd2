/**
 * splice(2) and the pipes it needs, pipe2(2): payload goes from socket to socket as references to the kernel's pages, without a
 * copy through this process. A pipe holds a number of buffers, not of bytes: one buffer is one fragment of a received
 * segment, up to 32 KiB on a loopback, 1448 bytes on many network cards. Called by relay/pipe-pool.ts and relay/session-end.ts.
 */
import { bindFunction, errno } from "./libc.ts";
import { allocate } from "./memory.ts";

const pipe2_ = bindFunction("int pipe2(uintptr_t, int)");
// int in place of size_t and ssize_t, and null offsets as plain zeros: see socket.ts.
const splice_ = bindFunction("int splice(int, uintptr_t, int, uintptr_t, uint, uint)");
const fcntl_ = bindFunction("int fcntl(int, int, int)");

const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const F_SETPIPE_SZ = 1031;
const SPLICE_F_MOVE = 1;
const SPLICE_F_NONBLOCK = 2;

const pair = allocate(8);
const pairWords = new Int32Array(pair.bytes.buffer, pair.bytes.byteOffset, 2);

/** Both ends of a pipe. */
export interface PipeDescriptors {
  readonly readFd: number;
  readonly writeFd: number;
}

/** A non-blocking pipe that exec closes, or -errno. */
export function openPipe(): PipeDescriptors | number {
  if (pipe2_(pair.address, O_NONBLOCK | O_CLOEXEC) === -1) return -errno();
  return { readFd: pairWords[0]!, writeFd: pairWords[1]! };
}

/**
 * Room for so many pages' worth of buffers; the size in force, or -errno. EPERM: the user has `fs.pipe-user-pages-soft` pages in
 * pipes already (64 MiB by default), the pipe keeps its size.
 */
export function setPipeSize(fd: number, bytes: number): number {
  const size = fcntl_(fd, F_SETPIPE_SZ, bytes);
  return size === -1 ? -errno() : size;
}

/** Moves up to `length` bytes; one side is a pipe. Bytes moved, 0 at the end of a socket's stream, or -errno. */
export function splice(fromFd: number, toFd: number, length: number): number {
  const moved = splice_(fromFd, 0, toFd, 0, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  return moved === -1 ? -errno() : moved;
}
