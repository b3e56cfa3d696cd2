import assert from "node:assert/strict";
import { test } from "node:test";
import { EPOLLIN } from "../sys/epoll.ts";
import { Errno } from "../sys/errno.ts";
import { allocate, type NativeBuffer } from "../sys/memory.ts";
import { AF_INET, close, recv, send, streamSocket } from "../sys/socket.ts";
import { Alarm, loopbackPair, turnUntil } from "../testing/loopback-pair.ts";
import { elapsedUs, Reactor } from "./reactor.ts";
import { READ_INTEREST, Stream } from "./stream.ts";

/** Counts what it is told; reads up to `readBytes` at a time. */
class TestStream extends Stream {
  readonly #reactor: Reactor;
  readonly #buffer: NativeBuffer;
  received = 0;
  reads = 0;
  drains = 0;
  failures: number[] = [];
  hasEnded = false;

  constructor(fd: number, reactor: Reactor, readBytes = 1024) {
    super(fd, READ_INTEREST);
    this.#reactor = reactor;
    this.#buffer = allocate(readBytes);
    reactor.register(fd, READ_INTEREST, this);
  }
  protected override reactor(): Reactor {
    return this.#reactor;
  }
  protected override handleReadable(): boolean {
    const { length } = this.#buffer.bytes;
    const received = recv(this.fd, this.#buffer.address, length);
    this.reads++;
    if (received > 0) this.received += received;
    if (received === 0) this.hasEnded = true;
    return received < length;
  }
  protected override handleDrained(): void {
    this.drains++;
  }
  protected override handleFailure(errno: number): void {
    this.failures.push(errno);
  }
  override handleTimeout(): void {}
}

test("Reactor delivers events to the owner of the descriptor, and none after close()", () => {
  const reactor = new Reactor();
  const { near, far } = loopbackPair();
  const seen: number[] = [];
  reactor.register(far, EPOLLIN, { handleEvents: (mask) => seen.push(mask) });
  assert.equal(reactor.descriptorCount, 1);
  send(near, allocate(1).address, 1);
  turnUntil(reactor, () => seen.length > 0);
  assert.deepEqual(seen, [EPOLLIN]);
  reactor.close(far);
  assert.equal(reactor.descriptorCount, 0);
  assert.equal(reactor.handlerOf(far), undefined);
  close(near);
});

test("Reactor drops the event of a descriptor that was closed and reused within the same batch", () => {
  const reactor = new Reactor();
  const first = loopbackPair();
  const second = loopbackPair();
  const byte = allocate(1);
  let staleEvents = 0;
  const closeOther = (other: number) => {
    reactor.close(other);
    // The kernel hands out the lowest free descriptor; there may be lower ones.
    const lower: number[] = [];
    let reused = streamSocket(AF_INET);
    for (; reused < other; reused = streamSocket(AF_INET)) lower.push(reused);
    assert.equal(reused, other);
    for (const fd of lower) close(fd);
    reactor.register(reused, EPOLLIN, { handleEvents: (mask) => (mask & EPOLLIN) !== 0 && staleEvents++ });
  };
  let handled = 0;
  const register = (fd: number, other: number) =>
    reactor.register(fd, EPOLLIN, {
      handleEvents: () => {
        recv(fd, byte.address, 1);
        if (handled++ === 0) closeOther(other);
      },
    });
  register(first.far, second.far);
  register(second.far, first.far);
  send(first.near, byte.address, 1);
  send(second.near, byte.address, 1);
  turnUntil(reactor, () => handled > 0);
  assert.equal(handled, 1, "the second event belonged to a closed connection");
  assert.equal(staleEvents, 0);
});

test("Reactor wakes up for a timer when no descriptor is ready", () => {
  const reactor = new Reactor();
  const alarm = new Alarm();
  reactor.timers.arm(alarm, 20);
  const startMs = reactor.nowMs;
  while (!alarm.hasFired) reactor.turn();
  assert.ok(reactor.nowMs - startMs >= 20);
});

test("Reactor counts a delay that is armed in a callback from the present turn, however long ago the last one was", () => {
  const { near, far } = loopbackPair();
  const reactor = new Reactor();
  const [other, alarm] = [new Alarm(), new Alarm()];
  reactor.timers.arm(other, 60_000);
  reactor.register(near, EPOLLIN, { handleEvents: () => reactor.timers.arm(alarm, 40) });
  const { address } = allocate(1);
  send(far, address, 1);
  for (const startedMs = performance.now(); performance.now() - startedMs < 100; );
  reactor.turn();
  assert.ok(reactor.timers.isArmed(alarm));
  assert.equal(alarm.hasFired, false);
  reactor.close(near);
  close(far);
});

test("elapsedUs() is right across the wrap of the 32-bit clock", () => {
  assert.equal(elapsedUs(0x7fffffff, -0x80000000), 1);
  assert.equal(elapsedUs(-5, 5), 10);
});

test("Stream queues what the kernel does not take, reports being blocked, and sends it in order when there is room", () => {
  const reactor = new Reactor();
  const { near, far } = loopbackPair();
  const stream = new TestStream(near, reactor);
  const block = allocate(256 * 1024);
  for (let index = 0; index < block.bytes.length; index++) block.bytes[index] = index % 251;
  let written = 0;
  while (!stream.isBlocked) {
    assert.equal(stream.write(block, 0, block.bytes.length), 0);
    written += block.bytes.length;
  }
  assert.ok(stream.backlogBytes > 0 && stream.backlogBytes <= block.bytes.length);
  const sink = allocate(64 * 1024);
  let expected = 0;
  let readBytes = 0;
  turnUntilReadAll();
  assert.equal(readBytes, written);
  assert.equal(stream.drains, 1);
  assert.equal(stream.isBlocked, false);

  function turnUntilReadAll(): void {
    const alarm = new Alarm();
    reactor.timers.arm(alarm, 5000);
    while (readBytes < written) {
      assert.ok(!alarm.hasFired, "the backlog was not sent within five seconds");
      const received = recv(far, sink.address, sink.bytes.length);
      if (received === -Errno.EAGAIN) {
        reactor.turn();
        continue;
      }
      for (let index = 0; index < received; index++) {
        assert.equal(sink.bytes[index], expected % 251, `byte ${readBytes + index}`);
        expected = expected + 1 === block.bytes.length ? 0 : expected + 1;
      }
      readBytes += received;
    }
    reactor.timers.remove(alarm);
    turnUntil(reactor, () => !stream.isBlocked);
  }
});

test("Stream reads everything although it is edge-triggered and reads in pieces, and sees the FIN behind the data", () => {
  const reactor = new Reactor();
  const { near, far } = loopbackPair();
  const stream = new TestStream(far, reactor, 10);
  send(near, allocate(95).address, 95);
  close(near);
  turnUntil(reactor, () => stream.hasEnded);
  assert.equal(stream.received, 95);
});

test("Stream that is paused reads nothing; resuming delivers what came meanwhile", () => {
  const reactor = new Reactor();
  const { near, far } = loopbackPair();
  const stream = new TestStream(far, reactor);
  stream.pauseReading();
  send(near, allocate(5).address, 5);
  const alarm = new Alarm();
  reactor.timers.arm(alarm, 30);
  while (!alarm.hasFired) reactor.turn();
  assert.equal(stream.reads, 0);
  stream.resumeReading();
  turnUntil(reactor, () => stream.received > 0);
  assert.equal(stream.received, 5);
  close(near);
});

test("Stream.write() returns -errno on a broken connection", () => {
  const reactor = new Reactor();
  const { near, far } = loopbackPair();
  const stream = new TestStream(near, reactor);
  close(far);
  const block = allocate(10);
  assert.equal(stream.write(block, 0, 10), 0, "the FIN alone does not stop us from writing");
  turnUntil(reactor, () => stream.hasEnded || stream.failures.length > 0);
  const errno = -stream.write(block, 0, 10);
  assert.ok(errno === Errno.EPIPE || errno === Errno.ECONNRESET, String(errno));
});
