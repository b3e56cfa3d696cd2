/**
 * Sockets: one function per system call (socket(2), bind(2), listen(2), accept(2), connect(2), recv(2), send(2),
 * shutdown(2), getsockopt(2), close(2)). Calls on the hot path take addresses and return `-errno`; calls made once
 * throw a SyscallError. Socket options as values are in socket-options.ts.
 */
import type { SocketAddress } from "../config/types.ts";
import { check, SyscallError } from "./errno.ts";
import { bindFunction, errno } from "./libc.ts";
import { allocate } from "./memory.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  decodeSocketAddress,
  type EncodedAddress,
  SOCKADDR_LENGTH_MAX,
} from "./sockaddr.ts";

const socket_ = bindFunction("int socket(int, int, int)");
const bind_ = bindFunction("int bind(int, uintptr_t, uint)");
const listen_ = bindFunction("int listen(int, int)");
const connect_ = bindFunction("int connect(int, uintptr_t, uint)");
const accept4_ = bindFunction("int accept4(int, uintptr_t, uintptr_t, int)");
// Declared with int in place of ssize_t and size_t: no buffer here reaches 2 GiB, and an int crosses the border faster.
const recv_ = bindFunction("int recv(int, uintptr_t, uint, int)");
const send_ = bindFunction("int send(int, uintptr_t, uint, int)");
const shutdown_ = bindFunction("int shutdown(int, int)");
const close_ = bindFunction("int close(int)");
const getsockname_ = bindFunction("int getsockname(int, uintptr_t, uintptr_t)");
const getpeername_ = bindFunction("int getpeername(int, uintptr_t, uintptr_t)");

const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_PEEK = 0x2;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
export const SHUT_WR = 1;

/** A non-blocking stream socket that exec closes. Throws SyscallError. */
export function streamSocket(family: number): number {
  return check("socket", socket_(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

/** As streamSocket(), but returns -errno: for the data plane, which must survive a full descriptor table. */
export function openStreamSocket(family: number): number {
  const fd = socket_(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return fd === -1 ? -errno() : fd;
}

export function bind(fd: number, address: EncodedAddress): void {
  check("bind", bind_(fd, address.address, address.length));
}

/** bind(2) returning 0 or -errno. */
export function tryBind(fd: number, address: EncodedAddress): number {
  return bind_(fd, address.address, address.length) === -1 ? -errno() : 0;
}

export function listen(fd: number, backlog: number): void {
  check("listen", listen_(fd, backlog));
}

/** 0 when connected at once, otherwise -errno; -EINPROGRESS is the usual answer. */
export function connect(fd: number, address: EncodedAddress): number {
  return connect_(fd, address.address, address.length) === -1 ? -errno() : 0;
}

/** The peer's address as the last accept() left it: read it before accepting again. */
export const acceptedPeer = allocate(SOCKADDR_LENGTH_MAX + 8);
const acceptedPeerLength = new DataView(
  acceptedPeer.bytes.buffer,
  acceptedPeer.bytes.byteOffset + SOCKADDR_LENGTH_MAX,
  8,
);

/** accept4(2) with SOCK_NONBLOCK and SOCK_CLOEXEC: a descriptor, or -errno. The peer is in `acceptedPeer`. */
export function accept(fd: number): number {
  acceptedPeerLength.setUint32(0, SOCKADDR_LENGTH_MAX, true);
  const accepted = accept4_(
    fd,
    acceptedPeer.address,
    acceptedPeer.address + SOCKADDR_LENGTH_MAX,
    SOCK_NONBLOCK | SOCK_CLOEXEC,
  );
  return accepted === -1 ? -errno() : accepted;
}

/** Bytes received, 0 at the end of the stream, or -errno. */
export function recv(fd: number, address: number, length: number): number {
  const received = recv_(fd, address, length, 0);
  return received === -1 ? -errno() : received;
}

/** As recv(), leaving the bytes in the socket. */
export function peek(fd: number, address: number, length: number): number {
  const received = recv_(fd, address, length, MSG_PEEK | MSG_DONTWAIT);
  return received === -1 ? -errno() : received;
}

/** As recv(), but the kernel throws the bytes away in place of copying them (MSG_TRUNC on TCP, tcp(7)). */
export function discard(fd: number, length: number): number {
  const discarded = recv_(fd, 0, length, MSG_TRUNC);
  return discarded === -1 ? -errno() : discarded;
}

/** Bytes the kernel took, or -errno. Never raises SIGPIPE. */
export function send(fd: number, address: number, length: number): number {
  const sent = send_(fd, address, length, MSG_NOSIGNAL);
  return sent === -1 ? -errno() : sent;
}

/** shutdown(2), SHUT_WR: 0 or -errno. */
export function shutdownWrite(fd: number): number {
  return shutdown_(fd, SHUT_WR) === -1 ? -errno() : 0;
}

/** close(2). An error is of no use to the caller: the descriptor is gone in every case on Linux. */
export function close(fd: number): void {
  close_(fd);
}

/** The local address of a socket. */
export function getsockname(fd: number): SocketAddress {
  return readAddress("getsockname", getsockname_, fd);
}

/** The peer's address of a connected socket. */
export function getpeername(fd: number): SocketAddress {
  return readAddress("getpeername", getpeername_, fd);
}

function readAddress(syscall: string, call: typeof getsockname_, fd: number): SocketAddress {
  const target = allocate(SOCKADDR_LENGTH_MAX + 8);
  target.bytes.writeUInt32LE(SOCKADDR_LENGTH_MAX, SOCKADDR_LENGTH_MAX);
  check(syscall, call(fd, target.address, target.address + SOCKADDR_LENGTH_MAX), `fd ${fd}`);
  return decodeSocketAddress(target.bytes, target.bytes.readUInt32LE(SOCKADDR_LENGTH_MAX));
}

export { AF_INET, AF_INET6, AF_UNIX, SyscallError };
