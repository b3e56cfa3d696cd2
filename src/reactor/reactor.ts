/**
 * The event loop of a worker: epoll, a timer wheel, and nothing else. A process that runs it has no Node event loop:
 * no promises, no timers, no `process.on`. Everything happens in `handleEvents` and `handleTimeout`, to completion.
 *
 * Time is read once per turn (`nowMs`), like nginx's ngx_current_msec: every deadline and every latency is counted in it.
 */
import { MonotonicClock } from "../sys/clock.ts";
import { Epoll } from "../sys/epoll.ts";
import { SyscallError } from "../sys/errno.ts";
import { close } from "../sys/socket.ts";
import { TimerWheel } from "./timer-wheel.ts";

const EVENTS_PER_TURN = 512;

/** Microseconds between two values of `nowUs`, for spans below 35 minutes. */
export function elapsedUs(fromUs: number, toUs: number): number {
  return (toUs - fromUs) | 0;
}

/** Whoever owns a descriptor. */
export interface EventHandler {
  /** EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, … (sys/epoll.ts) that are ready now. */
  handleEvents(mask: number): void;
}

export class Reactor {
  readonly #clock = new MonotonicClock();
  /**
   * Monotonic time at the start of this turn, in whole milliseconds since the reactor began. An integer on purpose: V8 keeps
   * it unboxed wherever it is passed or stored (for 24 days; after that it is merely slower).
   */
  nowMs = this.#clock.nowMs;
  /** The same in microseconds, modulo 2^32 as a signed integer: for differences, see elapsedUs(). */
  nowUs = this.#clock.nowUs;
  readonly timers = new TimerWheel(this.nowMs);
  /** Turns of the loop so far. */
  turns = 0;
  #busyMsMax = 0;
  /** Registered descriptors. */
  descriptorCount = 0;

  readonly #epoll = new Epoll(EVENTS_PER_TURN);
  readonly #handlers: (EventHandler | undefined)[] = [];
  /** By descriptor: counts its registrations, so that events of an earlier owner are recognised. */
  #generations = new Int32Array(1024);
  readonly #endOfTurn: (() => void)[] = [];
  #isRunning = false;

  /** Watches a descriptor. Throws SyscallError where epoll refuses it (EPERM: a plain file; ENOSPC: max_user_watches). */
  register(fd: number, mask: number, handler: EventHandler): void {
    const result = this.tryRegister(fd, mask, handler);
    if (result < 0) throw new SyscallError("epoll_ctl", -result, `ADD fd ${fd}`);
  }

  /** As register(), but returns 0 or -errno (ENOSPC, ENOMEM): for the data plane, which must survive it. */
  tryRegister(fd: number, mask: number, handler: EventHandler): number {
    if (fd >= this.#generations.length) this.#growTo(fd);
    const generation = (this.#generations[fd]! + 1) | 0;
    this.#generations[fd] = generation;
    const result = this.#epoll.add(fd, mask, generation);
    if (result < 0) return result;
    this.#handlers[fd] = handler;
    this.descriptorCount++;
    return 0;
  }

  /** Changes what a registered descriptor is watched for. */
  watch(fd: number, mask: number): void {
    this.#epoll.modify(fd, mask, this.#generations[fd]!);
  }

  /** Stops watching without closing: for descriptors that other processes share. */
  unregister(fd: number): void {
    this.#epoll.remove(fd);
    this.#drop(fd);
  }

  /** Closes a registered descriptor; epoll forgets it by itself. */
  close(fd: number): void {
    this.#drop(fd);
    close(fd);
  }

  handlerOf(fd: number): EventHandler | undefined {
    return this.#handlers[fd];
  }

  /** One more than the highest descriptor that was ever registered. */
  get descriptorEnd(): number {
    return this.#handlers.length;
  }

  /** Runs after the events of every turn: flush what was gathered. */
  onEndOfTurn(callback: () => void): void {
    this.#endOfTurn.push(callback);
  }

  /** Blocks until stop(). */
  run(): void {
    this.#isRunning = true;
    while (this.#isRunning) this.turn();
  }

  stop(): void {
    this.#isRunning = false;
  }

  /** Waits for events, or for the next deadline, and handles them. */
  turn(): void {
    const count = this.#epoll.wait(this.timers.nextTimeoutMs(this.nowMs));
    const clock = this.#clock;
    clock.read();
    this.nowMs = clock.nowMs;
    this.nowUs = clock.nowUs;
    this.timers.noteTime(this.nowMs);
    this.turns++;
    for (let index = 0; index < count; index++) {
      const fd = this.#epoll.eventFd(index);
      if (this.#epoll.eventGeneration(index) !== this.#generations[fd]) continue;
      const handler = this.#handlers[fd];
      if (handler !== undefined) handler.handleEvents(this.#epoll.eventMask(index));
    }
    this.timers.advance(this.nowMs);
    for (let index = 0; index < this.#endOfTurn.length; index++) this.#endOfTurn[index]!();
    if ((this.turns & 15) === 0) this.#noteBusy();
  }

  /** The clock is read a second time only now and then, so that idle turns and tiny batches stay cheap. */
  #noteBusy(): void {
    this.#clock.read();
    const busyMs = elapsedUs(this.nowUs, this.#clock.nowUs) / 1000;
    if (busyMs > this.#busyMsMax) this.#busyMsMax = busyMs;
  }

  /** Longest time seen in one turn since the last call, in milliseconds. */
  takeBusyMsMax(): number {
    const busyMsMax = this.#busyMsMax;
    this.#busyMsMax = 0;
    return busyMsMax;
  }

  #drop(fd: number): void {
    if (this.#handlers[fd] === undefined) return;
    this.#handlers[fd] = undefined;
    this.descriptorCount--;
  }

  #growTo(fd: number): void {
    const larger = new Int32Array(Math.max(fd + 1, this.#generations.length * 2));
    larger.set(this.#generations);
    this.#generations = larger;
  }
}
