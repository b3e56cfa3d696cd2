/**
 * One inherited listening socket in one worker, for listeners of every kind: accept(2) until the queue is empty, a batch at a time.
 * Accepting survives a full descriptor table without spinning: the server makes room by closing the connections that have
 * been idle longest, and accepting rests for a moment. Owned by http-listener.ts and relay/tcp-listener.ts.
 */
import type { EventHandler, Reactor } from "../reactor/reactor.ts";
import { Timed } from "../reactor/timer-wheel.ts";
import { EPOLLEXCLUSIVE, EPOLLIN } from "../sys/epoll.ts";
import { Errno, isOutOfRoom } from "../sys/errno.ts";
import { accept, close } from "../sys/socket.ts";

/**
 * Connections accepted per event at most, so that a burst does not keep the others waiting for long (one takes about 5 µs). Too few,
 * and the last of a burst wait for as many turns of a busy loop: with 32, a thousand clients that came at once made up the
 * slowest 1 % of all requests.
 */
const ACCEPTS_PER_EVENT = 256;
/** How long accepting rests when descriptors have run out (nginx: accept_mutex_delay, 500 ms). */
const REST_MS = 100;

/** Whoever takes the accepted connections. */
export interface AcceptingListener {
  readonly server: { readonly reactor: Reactor; handleDescriptorsExhausted(): void };
  /** The peer's address is in `acceptedPeer` (sys/socket.ts). */
  adopt(fd: number): void;
}

export class Acceptor extends Timed implements EventHandler {
  readonly fd: number;
  readonly #listener: AcceptingListener;
  #isRegistered = false;
  #isPaused = false;
  #isStopped = false;

  constructor(fd: number, listener: AcceptingListener) {
    super();
    this.fd = fd;
    this.#listener = listener;
  }

  start(): void {
    this.#listener.server.reactor.register(this.fd, EPOLLIN | EPOLLEXCLUSIVE, this);
    this.#isRegistered = true;
  }

  /** Stops for good, after taking what is in the queue; the supervisor and other workers keep the socket. */
  stop(): void {
    while (this.#isRegistered && this.#acceptBatch());
    this.#rest();
    this.#listener.server.reactor.timers.remove(this);
    this.#isStopped = true;
    close(this.fd);
  }

  /** Leaves new connections in the kernel's queue, or to other workers, until resume(). */
  pause(): void {
    this.#isPaused = true;
    this.#rest();
  }

  resume(): void {
    // Stopped: the descriptor is closed, and its number may be somebody else's already.
    if (!this.#isPaused || this.#isStopped) return;
    this.#isPaused = false;
    if (!this.#isRegistered) this.start();
  }

  handleEvents(): void {
    this.#acceptBatch();
  }

  /** True when the queue may hold more. */
  #acceptBatch(): boolean {
    const { server } = this.#listener;
    for (let count = 0; count < ACCEPTS_PER_EVENT && this.#isRegistered; count++) {
      const fd = accept(this.fd);
      if (fd >= 0) this.#listener.adopt(fd);
      else if (fd === -Errno.EAGAIN) return false;
      else if (isOutOfRoom(-fd)) {
        server.handleDescriptorsExhausted();
        this.#rest();
        server.reactor.timers.arm(this, REST_MS);
        return false;
      }
      // ECONNABORTED, EPROTO, a network error of the new connection: accept(2) says to go on as with EAGAIN.
    }
    return this.#isRegistered;
  }

  override handleTimeout(): void {
    if (!this.#isRegistered && !this.#isPaused) this.start();
  }

  #rest(): void {
    if (this.#isRegistered) this.#listener.server.reactor.unregister(this.fd);
    this.#isRegistered = false;
  }
}
