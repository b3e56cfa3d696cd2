import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { skipOrFail } from "../../test/harness/peers.ts";
import { heldCapabilities } from "./capabilities.ts";
import { preciseNowMs, realtimeOffsetMs } from "./clock.ts";
import { Errno, SyscallError } from "./errno.ts";
import { allocate } from "./memory.ts";
import {
  attachFilter,
  bindToDevice,
  DROP_EVERYTHING,
  encodeSource,
  interfaceIndex,
  joinGroup,
  leaveGroup,
  openRawSocket,
  PacketReceiver,
  requestPacketDetails,
  sendTo,
  setMulticastInterface,
  setReceiveBuffer,
  setTimeToLive,
} from "./raw-socket.ts";
import { encodeSocketAddress } from "./sockaddr.ts";
import { close } from "./socket.ts";

/** RFC 3692 §2.1: for experiments. Nothing else on this host listens to it. */
const PROTOCOL = 253;

function requireRawSockets(t: TestContext): boolean {
  return heldCapabilities().has("CAP_NET_RAW") || skipOrFail(t, "raw sockets need CAP_NET_RAW: run as root");
}

for (const [family, source, destination] of [
  ["inet", "127.0.0.7", "127.0.0.9"],
  ["inet6", "::1", "::1"],
] as const) {
  test(`sendTo() and PacketReceiver over ${family}: source, destination, TTL, interface, time of arrival`, (t) => {
    if (!requireRawSockets(t)) return;
    const sender = openRawSocket(family, PROTOCOL);
    const receiverFd = openRawSocket(family, PROTOCOL);
    const loopback = interfaceIndex("lo");
    attachFilter(sender, DROP_EVERYTHING);
    setTimeToLive(sender, family, 255);
    requestPacketDetails(receiverFd, family);
    bindToDevice(receiverFd, loopback);
    const message = allocate(32);
    message.bytes.fill(0xab);
    const target = encodeSocketAddress({ family, host: destination, port: 0 });
    const receiver = new PacketReceiver();
    assert.equal(receiver.receive(receiverFd), -Errno.EAGAIN);
    const beforeMs = preciseNowMs();
    assert.equal(sendTo(sender, message.address, 32, target, encodeSource(family, source, 0)), 32);
    assert.equal(receiver.receive(receiverFd), 32);
    const afterMs = preciseNowMs();
    assert.deepEqual(Buffer.from(receiver.bytes), message.bytes);
    assert.equal(receiver.source, source);
    assert.equal(receiver.destination, destination);
    assert.equal(receiver.ttl, 255);
    assert.equal(receiver.ifindex, loopback);
    const arrivedAtMs = receiver.arrivedAtUnixMs - realtimeOffsetMs();
    // The two clocks are read a moment apart: a tenth of a millisecond for that.
    assert.ok(
      arrivedAtMs > beforeMs - 0.1 && arrivedAtMs < afterMs + 0.1,
      `${beforeMs} ${arrivedAtMs} ${afterMs}`,
    );
    assert.equal(receiver.receive(receiverFd), -Errno.EAGAIN);
    const fresh = new PacketReceiver();
    assert.equal(fresh.receive(sender), -Errno.EAGAIN, "DROP_EVERYTHING: no copy for who only sends");
    close(sender);
    close(receiverFd);
  });
}

test("setReceiveBuffer() goes beyond net.core.rmem_max with CAP_NET_ADMIN", (t) => {
  if (!requireRawSockets(t)) return;
  const fd = openRawSocket("inet", PROTOCOL);
  assert.equal(setReceiveBuffer(fd, 4 << 20), 8 << 20);
  close(fd);
});

test("options that the kernel refuses are named, with a hint; a group on no interface is an answer", (t) => {
  if (!requireRawSockets(t)) return;
  const fd = openRawSocket("inet6", PROTOCOL);
  const isTold = (error: unknown): boolean =>
    error instanceof SyscallError &&
    /IPV6_MULTICAST_IF 2147483392: ENODEV/.test(error.message) &&
    /ip link/.test(error.hint ?? "");
  assert.throws(() => setMulticastInterface(fd, "inet6", 0x7fffff00), isTold);
  assert.equal(joinGroup(fd, "inet6", "ff02::12", 0x7fffff00), -Errno.ENODEV);
  const loopback = interfaceIndex("lo");
  assert.equal(joinGroup(fd, "inet6", "ff02::12", loopback), 0);
  assert.equal(joinGroup(fd, "inet6", "ff02::12", loopback), -Errno.EADDRINUSE);
  assert.equal(leaveGroup(fd, "inet6", "ff02::12", loopback), 0);
  assert.equal(joinGroup(fd, "inet6", "ff02::12", loopback), 0);
  close(fd);
});

test("interfaceIndex() is 0 where there is no such interface", () => {
  assert.equal(interfaceIndex("no-such-one"), 0);
  assert.ok(interfaceIndex("lo") > 0);
});
