/**
 * Socket options as values: socket(7), tcp(7), ip(7). Numbers from asm-generic/socket.h, linux/tcp.h, linux/in.h
 * (the same on x86-64 and arm64). TCP keepalive facts: an option set on a listening socket is inherited by every
 * socket it accepts (net/ipv4/tcp_minisocks.c), which is how a listener's `so_keepalive` costs nothing per connection.
 */
import type { OptionValues, SocketOptionName } from "../doctor/option-plan.ts";
import type { TcpKeepalive } from "../tcp/so-keepalive.ts";
import { check } from "./errno.ts";
import { bindFunction, errno } from "./libc.ts";
import { allocate } from "./memory.ts";

const setsockopt_ = bindFunction("int setsockopt(int, int, int, uintptr_t, uint)");
const getsockopt_ = bindFunction("int getsockopt(int, int, int, uintptr_t, uintptr_t)");

const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_ERROR = 4;
const SO_KEEPALIVE = 9;
const SO_LINGER = 13;
const IPPROTO_IP = 0;
const IP_BIND_ADDRESS_NO_PORT = 24;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_USER_TIMEOUT = 18;
const TCP_REPAIR = 19;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;

const value = allocate(16);
const words = new Int32Array(value.bytes.buffer, value.bytes.byteOffset, 4);

function setInteger(fd: number, level: number, option: number, name: string, number: number): void {
  words[0] = number;
  check("setsockopt", setsockopt_(fd, level, option, value.address, 4), `${name} ${number}`);
}

function getInteger(fd: number, level: number, option: number, name: string): number {
  words[1] = 4;
  check("getsockopt", getsockopt_(fd, level, option, value.address, value.address + 4), name);
  return words[0]!;
}

/** SO_REUSEADDR: bind although connections of an earlier listener are in TIME_WAIT. */
export function setReuseAddress(fd: number): void {
  setInteger(fd, SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR", 1);
}

/** IPV6_V6ONLY: `[::]:80` takes IPv6 alone, so that `0.0.0.0:80` can be bound beside it. */
export function setIpv6Only(fd: number): void {
  setInteger(fd, IPPROTO_IPV6, IPV6_V6ONLY, "IPV6_V6ONLY", 1);
}

/** TCP_NODELAY: every message is sent whole, Nagle's delay would only add latency. */
export function setNoDelay(fd: number): void {
  setInteger(fd, IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY", 1);
}

/** IP_BIND_ADDRESS_NO_PORT: the port is chosen at connect(2), per destination, so 28,000 ports serve each server. */
export function setBindAddressNoPort(fd: number): void {
  setInteger(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, "IP_BIND_ADDRESS_NO_PORT", 1);
}

/** SO_LINGER {1, 0}: close(2) discards unsent data and sends RST. */
export function setResetOnClose(fd: number): void {
  words[0] = 1;
  words[1] = 0;
  check("setsockopt", setsockopt_(fd, SOL_SOCKET, SO_LINGER, value.address, 8), "SO_LINGER");
}

/**
 * TCP_REPAIR (tcp(7), Linux 3.5): close(2) then drops the connection without sending anything. False without CAP_NET_ADMIN, and
 * for a socket that is no connected TCP socket.
 */
export function setRepairMode(fd: number): boolean {
  words[0] = 1;
  return setsockopt_(fd, IPPROTO_TCP, TCP_REPAIR, value.address, 4) === 0;
}

/** Pending error of the socket (an errno, 0 = none); reading clears it. */
export function takeSocketError(fd: number): number {
  words[1] = 4;
  if (getsockopt_(fd, SOL_SOCKET, SO_ERROR, value.address, value.address + 4) === -1) return errno();
  return words[0]!;
}

/** Sets what the value defines and leaves the rest at the system's default. */
export function setTcpKeepalive(fd: number, tcpKeepalive: TcpKeepalive): void {
  const { enabled, idleSeconds, intervalSeconds, probeCount } = tcpKeepalive;
  if (enabled !== undefined) setInteger(fd, SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE", enabled ? 1 : 0);
  if (idleSeconds !== undefined) setInteger(fd, IPPROTO_TCP, TCP_KEEPIDLE, "TCP_KEEPIDLE", idleSeconds);
  if (intervalSeconds !== undefined)
    setInteger(fd, IPPROTO_TCP, TCP_KEEPINTVL, "TCP_KEEPINTVL", intervalSeconds);
  if (probeCount !== undefined) setInteger(fd, IPPROTO_TCP, TCP_KEEPCNT, "TCP_KEEPCNT", probeCount);
}

/** What the kernel will really do on this socket: every part filled in. */
export function getTcpKeepalive(fd: number): Required<TcpKeepalive> {
  return {
    enabled: getInteger(fd, SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE") !== 0,
    idleSeconds: getInteger(fd, IPPROTO_TCP, TCP_KEEPIDLE, "TCP_KEEPIDLE"),
    intervalSeconds: getInteger(fd, IPPROTO_TCP, TCP_KEEPINTVL, "TCP_KEEPINTVL"),
    probeCount: getInteger(fd, IPPROTO_TCP, TCP_KEEPCNT, "TCP_KEEPCNT"),
  };
}

/** TCP_USER_TIMEOUT in milliseconds; 0 = the kernel's default. */
export function setTcpUserTimeout(fd: number, timeoutMs: number): void {
  setInteger(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT", timeoutMs);
}

export function getTcpUserTimeout(fd: number): number {
  return getInteger(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT");
}

const LEVEL_AND_NUMBER: Readonly<Record<SocketOptionName, readonly [level: number, option: number]>> = {
  SO_KEEPALIVE: [SOL_SOCKET, SO_KEEPALIVE],
  TCP_KEEPIDLE: [IPPROTO_TCP, TCP_KEEPIDLE],
  TCP_KEEPINTVL: [IPPROTO_TCP, TCP_KEEPINTVL],
  TCP_KEEPCNT: [IPPROTO_TCP, TCP_KEEPCNT],
  TCP_USER_TIMEOUT: [IPPROTO_TCP, TCP_USER_TIMEOUT],
};

/** One option by name, for the doctor, whose plans are lists of these. Throws SyscallError. */
export function setSocketOption(fd: number, option: SocketOptionName, number: number): void {
  const [level, code] = LEVEL_AND_NUMBER[option];
  setInteger(fd, level, code, option, number);
}

/** All that keepalive and TCP_USER_TIMEOUT do on this socket. Throws SyscallError. */
export function getSocketOptions(fd: number): OptionValues {
  const { enabled, idleSeconds, intervalSeconds, probeCount } = getTcpKeepalive(fd);
  return {
    isKeepaliveOn: enabled === true,
    idleSeconds: idleSeconds ?? 0,
    intervalSeconds: intervalSeconds ?? 0,
    probeCount: probeCount ?? 0,
    userTimeoutMs: getTcpUserTimeout(fd),
  };
}
