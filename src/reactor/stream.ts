/**
 * A buffered, non-blocking stream socket in a reactor. What the kernel does not take at once is queued; whoever feeds the
 * stream must stop feeding it while `isBlocked` (and stop *reading* the other side), so the queue never holds more than
 * one receive buffer. Subclasses say what happens on readable, drained, failed and timed out.
 *
 * Sending is direct: one send(2) per message on the normal path, no queue, no copy, no epoll change.
 *
 * Edge-triggered (EPOLLET), because a level-triggered descriptor is polled by the kernel a second time after every event. A read
 * that returned less than it asked for has emptied the socket (epoll(7), questions and answers, 9); after any other one, and
 * when the event said that the peer has ended too, the descriptor is armed again, which reports what is still there.
 */
import { EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from "../sys/epoll.ts";
import { Errno } from "../sys/errno.ts";
import { allocate, type NativeBuffer } from "../sys/memory.ts";
import { send } from "../sys/socket.ts";
import type { EventHandler, Reactor } from "./reactor.ts";
import { Timed } from "./timer-wheel.ts";

/** Bytes the kernel would not take yet: `buffer.bytes[start, end)`. */
class Backlog {
  buffer: NativeBuffer;
  start = 0;
  end = 0;
  constructor(capacity: number) {
    this.buffer = allocate(capacity);
  }
}

const BACKLOG_BYTES_MIN = 16 * 1024;

/** What a stream that reads is watched for. */
export const READ_INTEREST = EPOLLIN | EPOLLRDHUP | EPOLLET;
const READING = EPOLLIN | EPOLLRDHUP;

export abstract class Stream extends Timed implements EventHandler {
  readonly fd: number;
  /** What epoll watches for at present. */
  #interest: number;
  #backlog: Backlog | undefined = undefined;

  constructor(fd: number, interest: number) {
    super();
    this.fd = fd;
    this.#interest = interest;
  }

  protected abstract reactor(): Reactor;
  /**
   * Bytes (or the end of the stream, or an error) can be read. True when the socket was emptied: the last read got less
   * than it asked for. Pausing counts as emptied: resuming reports what is there.
   */
  protected abstract handleReadable(): boolean;
  /** The backlog was sent; the stream may be fed again. */
  protected abstract handleDrained(): void;
  /** EPOLLERR, or a send failed later than the call that queued it: the connection is gone. `errno` 0: ask SO_ERROR. */
  protected abstract handleFailure(errno: number): void;

  /** Bytes are queued: the peer reads too slowly. */
  get isBlocked(): boolean {
    return this.#backlog !== undefined;
  }

  get backlogBytes(): number {
    return this.#backlog === undefined ? 0 : this.#backlog.end - this.#backlog.start;
  }

  get isReading(): boolean {
    return (this.#interest & EPOLLIN) !== 0;
  }

  handleEvents(mask: number): void {
    if ((mask & EPOLLOUT) !== 0 && this.#backlog !== undefined && (mask & (EPOLLERR | EPOLLHUP)) === 0) {
      if (!this.#sendBacklog()) return;
    }
    if ((mask & (EPOLLIN | EPOLLHUP | EPOLLERR)) === 0) return;
    if ((mask & EPOLLIN) === 0 && (mask & EPOLLERR) !== 0) this.handleFailure(0);
    else {
      const isEmptied = this.handleReadable();
      if (!isEmptied || (mask & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) !== 0) this.rearm();
    }
  }

  /** Asks epoll to report again what is still there; not for a stream that was closed meanwhile. */
  protected rearm(): void {
    const reactor = this.reactor();
    if (reactor.handlerOf(this.fd) === this && this.isReading) reactor.watch(this.fd, this.#interest);
  }

  /** False when the stream is no longer in use after it. */
  #sendBacklog(): boolean {
    const backlog = this.#backlog!;
    const sent = send(this.fd, backlog.buffer.address + backlog.start, backlog.end - backlog.start);
    if (sent < 0) {
      if (sent === -Errno.EAGAIN) return true;
      this.handleFailure(-sent);
      return false;
    }
    backlog.start += sent;
    if (backlog.start < backlog.end) {
      this.noteSent(sent);
      // A short send filled the socket again: the next edge tells when there is room.
      return true;
    }
    this.#backlog = undefined;
    this.noteSent(sent);
    if (!this.watchesWritable) this.#setInterest(this.#interest & ~EPOLLOUT);
    this.handleDrained();
    return true;
  }

  /** Overridden by streams that are watched for EPOLLOUT all the time: edge-triggered, that costs nothing. */
  protected get watchesWritable(): boolean {
    return false;
  }

  /**
   * Sends `source.bytes[start, end)`; what the kernel does not take is copied and queued. Returns 0, or -errno when the
   * connection is broken (EPIPE, ECONNRESET, ETIMEDOUT, …): nothing is queued then, and no callback follows.
   */
  write(source: NativeBuffer, start: number, end: number): number {
    if (start === end) return 0;
    let sent = 0;
    if (this.#backlog === undefined) {
      sent = send(this.fd, source.address + start, end - start);
      if (sent === end - start) {
        this.noteSent(sent);
        return 0;
      }
      if (sent < 0) {
        if (sent !== -Errno.EAGAIN) return sent;
        sent = 0;
      }
      this.noteSent(sent);
    }
    this.#enqueue(source.bytes, start + sent, end);
    return 0;
  }

  /** Counts bytes the kernel took. */
  protected noteSent(_bytes: number): void {}

  pauseReading(): void {
    this.#setInterest(this.#interest & ~READING);
  }

  resumeReading(): void {
    this.#setInterest(this.#interest | READING);
  }

  /** Drops what is queued: the peer will not get it. */
  protected discardBacklog(): void {
    this.#backlog = undefined;
  }

  #setInterest(interest: number): void {
    if (interest === this.#interest) return;
    this.#interest = interest;
    this.reactor().watch(this.fd, interest);
  }

  #enqueue(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    let backlog = this.#backlog;
    if (backlog === undefined) {
      backlog = this.#backlog = new Backlog(Math.max(length, BACKLOG_BYTES_MIN));
      this.#setInterest(this.#interest | EPOLLOUT);
    } else if (backlog.end + length > backlog.buffer.bytes.length) {
      const larger = allocate(2 * (backlog.end - backlog.start + length));
      larger.bytes.set(backlog.buffer.bytes.subarray(backlog.start, backlog.end));
      backlog.end -= backlog.start;
      backlog.start = 0;
      backlog.buffer = larger;
    }
    backlog.buffer.bytes.set(bytes.subarray(start, end), backlog.end);
    backlog.end += length;
  }
}
