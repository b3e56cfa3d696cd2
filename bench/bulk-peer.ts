/**
 * Both ends of the bulk measurement, as cheap as the kernel allows, so that the proxy between them is what is measured: the source
 * sends from one buffer, the sink has the kernel throw away what arrived (MSG_TRUNC, tcp(7)) and counts it.
 * Usage: node bulk-peer.js source PORT · node bulk-peer.js sink PORT CONNECTIONS SECONDS
 * The source prints `ready`. The sink prints `started` when the counting begins and `done BYTES NANOSECONDS`.
 */
import { writeSync } from "node:fs";
import { type EventHandler, Reactor } from "../src/reactor/reactor.ts";
import { Timed } from "../src/reactor/timer-wheel.ts";
import { EPOLLIN, EPOLLOUT } from "../src/sys/epoll.ts";
import { Errno } from "../src/sys/errno.ts";
import { allocateLow } from "../src/sys/memory.ts";
import { AF_INET, encodeSocketAddress } from "../src/sys/sockaddr.ts";
import { accept, bind, connect, discard, listen, send, streamSocket } from "../src/sys/socket.ts";
import { setReuseAddress } from "../src/sys/socket-options.ts";

const SEND_BYTES = 256 * 1024;
const DISCARD_BYTES = 4 * 1024 * 1024;
/** For the kernel's windows to open and for the proxy to notice that this is bulk. */
const WARM_UP_MS = 500;

const [role, portText, connectionsText, secondsText] = process.argv.slice(2);
const address = encodeSocketAddress({ family: "inet", host: "127.0.0.1", port: Number(portText) });
const reactor = new Reactor();
// A worker has no Node event loop: nothing flushes a stream, so lines are written at once.
const print = (line: string): void => void writeSync(1, `${line}\n`);

class Sender implements EventHandler {
  static readonly payload = allocateLow(SEND_BYTES);
  readonly #fd: number;
  constructor(fd: number) {
    this.#fd = fd;
    reactor.register(fd, EPOLLOUT, this);
  }
  handleEvents(): void {
    const sent = send(this.#fd, Sender.payload.address, SEND_BYTES);
    if (sent < 0 && sent !== -Errno.EAGAIN) reactor.close(this.#fd);
  }
}

class Source implements EventHandler {
  readonly #fd = streamSocket(AF_INET);
  constructor() {
    setReuseAddress(this.#fd);
    bind(this.#fd, address);
    listen(this.#fd, 1024);
    reactor.register(this.#fd, EPOLLIN, this);
  }
  handleEvents(): void {
    for (;;) {
      const fd = accept(this.#fd);
      if (fd < 0) return;
      new Sender(fd);
    }
  }
}

let bytesReceived = 0;

class Receiver implements EventHandler {
  readonly #fd = streamSocket(AF_INET);
  constructor() {
    const result = connect(this.#fd, address);
    if (result !== 0 && result !== -Errno.EINPROGRESS) throw new Error(`connect: errno ${-result}`);
    reactor.register(this.#fd, EPOLLIN, this);
  }
  handleEvents(): void {
    const received = discard(this.#fd, DISCARD_BYTES);
    if (received > 0) bytesReceived += received;
    else if (received !== -Errno.EAGAIN) throw new Error(`the proxy ended a connection (${received})`);
  }
}

/** Begins to count, then ends. */
class Stopwatch extends Timed {
  #startedAt = 0n;
  constructor() {
    super();
    reactor.timers.arm(this, WARM_UP_MS);
  }
  override handleTimeout(): void {
    if (this.#startedAt === 0n) {
      bytesReceived = 0;
      this.#startedAt = process.hrtime.bigint();
      reactor.timers.arm(this, Number(secondsText) * 1000);
      print("started");
      return;
    }
    print(`done ${bytesReceived} ${process.hrtime.bigint() - this.#startedAt}`);
    process.exit(0);
  }
}

if (role === "source") {
  new Source();
  print("ready");
} else {
  for (let n = 0; n < Number(connectionsText); n++) new Receiver();
  new Stopwatch();
}
reactor.run();
