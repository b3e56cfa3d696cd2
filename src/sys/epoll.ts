/**
 * epoll(7). `struct epoll_event` is packed on x86-64 (12 bytes) and naturally aligned elsewhere (16 bytes):
 * include/uapi/linux/eventpoll.h, EPOLL_PACKED. The 64-bit data word carries the descriptor and a generation, so that
 * an event fetched for a descriptor that was closed and reused within one batch can be told from a fresh one.
 */
import { check } from "./errno.ts";
import { bindFunction, errno } from "./libc.ts";
import { allocate } from "./memory.ts";

const epollCreate1_ = bindFunction("int epoll_create1(int)");
const epollCtl_ = bindFunction("int epoll_ctl(int, int, int, uintptr_t)");
const epollWait_ = bindFunction("int epoll_wait(int, uintptr_t, int, int)");

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;

export const EPOLLIN = 0x1;
/** Urgent data (TCP): a read stops short of it although more has arrived behind it. */
export const EPOLLPRI = 0x2;
export const EPOLLOUT = 0x4;
export const EPOLLERR = 0x8;
export const EPOLLHUP = 0x10;
export const EPOLLRDHUP = 0x2000;
/** Report a change once, not for as long as it lasts. */
export const EPOLLET = 1 << 31;
/** Of the processes that wait on one listening socket, wake one, not all (Linux 4.5). */
export const EPOLLEXCLUSIVE = 1 << 28;

/** 32-bit words per struct epoll_event, by architecture: events, [padding,] data low, data high. */
const LAYOUT = process.arch === "x64" ? { words: 3, data: 1 } : { words: 4, data: 2 };

/** An epoll instance and the array its events are fetched into. */
export class Epoll {
  readonly #fd: number;
  readonly #capacity: number;
  readonly #eventsAddress: number;
  readonly #events: Int32Array;
  readonly #changeAddress: number;
  readonly #change: Int32Array;

  constructor(capacity: number) {
    this.#fd = check("epoll_create1", epollCreate1_(EPOLL_CLOEXEC));
    this.#capacity = capacity;
    const events = allocate(capacity * LAYOUT.words * 4);
    this.#eventsAddress = events.address;
    this.#events = new Int32Array(events.bytes.buffer, events.bytes.byteOffset, capacity * LAYOUT.words);
    const change = allocate(LAYOUT.words * 4);
    this.#changeAddress = change.address;
    this.#change = new Int32Array(change.bytes.buffer, change.bytes.byteOffset, LAYOUT.words);
  }

  /** Number of events fetched; 0 on time-out or on a signal. timeoutMs -1 waits for ever. */
  wait(timeoutMs: number): number {
    const count = epollWait_(this.#fd, this.#eventsAddress, this.#capacity, timeoutMs);
    return count === -1 ? 0 : count;
  }

  eventMask(index: number): number {
    return this.#events[index * LAYOUT.words]!;
  }

  eventFd(index: number): number {
    return this.#events[index * LAYOUT.words + LAYOUT.data]!;
  }

  eventGeneration(index: number): number {
    return this.#events[index * LAYOUT.words + LAYOUT.data + 1]!;
  }

  /** 0 or -errno. */
  add(fd: number, mask: number, generation: number): number {
    return this.#control(EPOLL_CTL_ADD, fd, mask, generation);
  }

  modify(fd: number, mask: number, generation: number): number {
    return this.#control(EPOLL_CTL_MOD, fd, mask, generation);
  }

  /** Not needed before close(2) unless another process or descriptor shares the socket. */
  remove(fd: number): number {
    return this.#control(EPOLL_CTL_DEL, fd, 0, 0);
  }

  #control(operation: number, fd: number, mask: number, generation: number): number {
    this.#change[0] = mask;
    this.#change[LAYOUT.data] = fd;
    this.#change[LAYOUT.data + 1] = generation;
    return epollCtl_(this.#fd, operation, fd, this.#changeAddress) === -1 ? -errno() : 0;
  }
}
