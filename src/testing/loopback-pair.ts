/** Two connected sockets on the loopback, and turns of a reactor until something has happened: for tests and benchmarks of what lies below the proxy. */
import assert from "node:assert/strict";
import type { Reactor } from "../reactor/reactor.ts";
import { Timed } from "../reactor/timer-wheel.ts";
import { encodeSocketAddress } from "../sys/sockaddr.ts";
import { AF_INET, accept, bind, close, connect, getsockname, listen, streamSocket } from "../sys/socket.ts";

const PATIENCE_MS = 5000;

/** The socket that connected, and the one that was accepted. Non-blocking; the caller closes both. */
export function loopbackPair(): { readonly near: number; readonly far: number } {
  const listening = streamSocket(AF_INET);
  bind(listening, encodeSocketAddress({ family: "inet", host: "127.0.0.1", port: 0 }));
  listen(listening, 1);
  const near = streamSocket(AF_INET);
  connect(near, encodeSocketAddress(getsockname(listening)));
  const far = accept(listening);
  close(listening);
  assert.ok(far >= 0, "a loopback connection is in the queue as soon as connect(2) has returned");
  return { near, far };
}

/** Fires when a test has waited for too long, or for as long as it wanted to. */
export class Alarm extends Timed {
  hasFired = false;
  override handleTimeout(): void {
    this.hasFired = true;
  }
}

export function turnUntil(reactor: Reactor, isDone: () => boolean): void {
  const alarm = new Alarm();
  reactor.timers.arm(alarm, PATIENCE_MS);
  while (!isDone()) {
    assert.ok(!alarm.hasFired, `nothing happened for ${PATIENCE_MS} ms`);
    reactor.turn();
  }
  reactor.timers.remove(alarm);
}
