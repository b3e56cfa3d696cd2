import assert from "node:assert/strict";
import { test } from "node:test";
import { EPOLLET, EPOLLIN, EPOLLRDHUP, Epoll } from "./epoll.ts";
import { Errno, SyscallError } from "./errno.ts";
import { allocate, allocateLow, mapShared, memfdCreate } from "./memory.ts";
import { encodeSocketAddress } from "./sockaddr.ts";
import {
  AF_INET,
  accept,
  acceptedPeer,
  bind,
  close,
  connect,
  getpeername,
  getsockname,
  listen,
  peek,
  recv,
  send,
  shutdownWrite,
  streamSocket,
} from "./socket.ts";
import {
  getTcpKeepalive,
  getTcpUserTimeout,
  setResetOnClose,
  setTcpKeepalive,
  setTcpUserTimeout,
  takeSocketError,
} from "./socket-options.ts";
import { getTcpInfo, TcpState } from "./tcp-info.ts";

const LOOPBACK = { family: "inet", host: "127.0.0.1", port: 0 } as const;

/** A listening socket on a free port of 127.0.0.1. */
function listeningSocket() {
  const fd = streamSocket(AF_INET);
  bind(fd, encodeSocketAddress(LOOPBACK));
  listen(fd, 16);
  return { fd, address: getsockname(fd) };
}

/** Two connected sockets: what connected and what was accepted. */
function connectedPair(prepare?: (listeningFd: number) => void) {
  const listening = listeningSocket();
  prepare?.(listening.fd);
  const client = streamSocket(AF_INET);
  assert.equal(connect(client, encodeSocketAddress(listening.address)), -Errno.EINPROGRESS);
  const server = accept(listening.fd);
  assert.ok(server >= 0);
  close(listening.fd);
  return { client, server };
}

function closeAll(...fds: number[]): void {
  for (const fd of fds) close(fd);
}

const NEVER_MS = 5000;

test("accept() reports the peer's address, and -EAGAIN when nobody waits", () => {
  const listening = listeningSocket();
  assert.equal(accept(listening.fd), -Errno.EAGAIN);
  const client = streamSocket(AF_INET);
  connect(client, encodeSocketAddress(listening.address));
  const server = accept(listening.fd);
  assert.deepEqual([...acceptedPeer.bytes.subarray(4, 8)], [127, 0, 0, 1]);
  assert.deepEqual(getpeername(server), getsockname(client));
  closeAll(listening.fd, client, server);
});

test("send(), peek() and recv() move bytes; recv() is 0 after the peer's FIN and -EAGAIN before anything came", () => {
  const { client, server } = connectedPair();
  const memory = allocate(16);
  assert.equal(recv(server, memory.address, 16), -Errno.EAGAIN);
  memory.bytes.write("holdfast");
  assert.equal(send(client, memory.address, 8), 8);
  memory.bytes.fill(0);
  assert.equal(peek(server, memory.address, 1), 1);
  assert.equal(recv(server, memory.address + 4, 12), 8);
  assert.equal(memory.bytes.toString("latin1", 4, 12), "holdfast");
  assert.equal(shutdownWrite(client), 0);
  const poll = new Epoll(4);
  poll.add(server, EPOLLIN, 1);
  assert.equal(poll.wait(NEVER_MS), 1);
  assert.equal(recv(server, memory.address, 16), 0);
  closeAll(client, server);
});

test("bind() of a taken address throws a SyscallError that names the call, the code and what to try", () => {
  const listening = listeningSocket();
  const fd = streamSocket(AF_INET);
  assert.throws(
    () => bind(fd, encodeSocketAddress(listening.address)),
    (error: SyscallError) => {
      assert.ok(error instanceof SyscallError);
      assert.deepEqual([error.syscall, error.code, error.errno], ["bind", "EADDRINUSE", 98]);
      assert.match(error.hint ?? "", /ss -tlnp/);
      return true;
    },
  );
  closeAll(listening.fd, fd);
});

test("TCP keepalive set on a listening socket is inherited by what it accepts (tcp(7))", () => {
  const tcpKeepalive = { enabled: true, idleSeconds: 77, intervalSeconds: 7, probeCount: 3 };
  const { client, server } = connectedPair((fd) => {
    setTcpKeepalive(fd, tcpKeepalive);
    setTcpUserTimeout(fd, 9000);
  });
  assert.deepEqual(getTcpKeepalive(server), tcpKeepalive);
  assert.equal(getTcpUserTimeout(server), 9000);
  assert.equal(getTcpKeepalive(client).enabled, false);
  closeAll(client, server);
});

test("setTcpKeepalive() leaves undefined parts at the system's default", () => {
  const fd = streamSocket(AF_INET);
  const before = getTcpKeepalive(fd);
  setTcpKeepalive(fd, { enabled: true, idleSeconds: undefined, intervalSeconds: 11, probeCount: undefined });
  assert.deepEqual(getTcpKeepalive(fd), { ...before, enabled: true, intervalSeconds: 11 });
  close(fd);
});

test("setTcpKeepalive() reports a value beyond the kernel's range by name", () => {
  const fd = streamSocket(AF_INET);
  const outOfRange = { enabled: true, idleSeconds: 32768, intervalSeconds: undefined, probeCount: undefined };
  assert.throws(() => setTcpKeepalive(fd, outOfRange), /TCP_KEEPIDLE 32768: EINVAL/);
  close(fd);
});

test("setResetOnClose() makes close() send RST; takeSocketError() reads it once", () => {
  const { client, server } = connectedPair();
  setResetOnClose(server);
  close(server);
  const poll = new Epoll(4);
  poll.add(client, EPOLLIN, 1);
  assert.equal(poll.wait(NEVER_MS), 1);
  assert.equal(takeSocketError(client), Errno.ECONNRESET);
  assert.equal(takeSocketError(client), 0);
  close(client);
});

test("getTcpInfo() counts acknowledged payload bytes; the SYN of an active open counts as one", () => {
  const { client, server } = connectedPair();
  const memory = allocate(100);
  assert.equal(getTcpInfo(client)?.bytesAcked, 1);
  send(client, memory.address, 100);
  // Loopback: the acknowledgement is delivered by the time the receiver has read and answered.
  assert.equal(recv(server, memory.address, 100), 100);
  send(server, memory.address, 1);
  const poll = new Epoll(4);
  poll.add(client, EPOLLIN, 1);
  assert.equal(poll.wait(NEVER_MS), 1);
  const info = getTcpInfo(client);
  assert.equal(info?.bytesAcked, 101);
  assert.equal(info?.state, TcpState.ESTABLISHED);
  closeAll(client, server);
  assert.equal(getTcpInfo(client), undefined);
});

test("Epoll returns the descriptor and generation it was given, and an edge only once", () => {
  const { client, server } = connectedPair();
  const poll = new Epoll(4);
  const memory = allocate(1);
  assert.equal(poll.add(server, EPOLLIN | EPOLLRDHUP | EPOLLET, 0x7abcdef0), 0);
  assert.equal(poll.wait(0), 0);
  send(client, memory.address, 1);
  assert.equal(poll.wait(NEVER_MS), 1);
  assert.deepEqual(
    [poll.eventFd(0), poll.eventGeneration(0), poll.eventMask(0)],
    [server, 0x7abcdef0, EPOLLIN],
  );
  assert.equal(poll.wait(0), 0, "the unread byte is not reported again");
  assert.equal(poll.modify(server, EPOLLIN | EPOLLRDHUP | EPOLLET, 2), 0);
  assert.equal(poll.wait(NEVER_MS), 1, "arming again reports what is still there");
  assert.equal(poll.eventGeneration(0), 2);
  closeAll(client, server);
  assert.equal(poll.add(server, EPOLLIN, 1), -Errno.EBADF);
});

test("memory of a memfd is shared: what one mapping writes the other reads", () => {
  const fd = memfdCreate("test", 4096);
  const one = new Float64Array(mapShared(fd, 4096));
  const other = new Float64Array(mapShared(fd, 4096));
  one[7] = 1.5;
  assert.equal(other[7], 1.5);
  close(fd);
});

test("allocateLow() gives writable memory whose address is a small integer", () => {
  const low = allocateLow(1 << 20);
  low.bytes[low.bytes.length - 1] = 42;
  assert.equal(low.bytes.at(-1), 42);
  assert.ok(low.address < 0x8000_0000, `0x${low.address.toString(16)}`);
});
