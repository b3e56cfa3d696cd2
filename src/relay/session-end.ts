/**
 * One of the two sockets of a TCP session: reads what its peer sent and passes it to the other end. Back-pressure: while the other
 * end has bytes that its kernel would not take, this one is not read, so a stalled reader costs one read's worth of memory, whatever
 * the sender has. What begins and ends a session is in session.ts.
 *
 * Small payload goes through the worker's one receive buffer: recv(2), send(2). Once a direction fills that buffer SPLICE_AFTER times
 * in a row it is bulk, and goes through a pipe by splice(2), until it runs thin. Measured on a loopback, CPU of the worker per GiB
 * and per event: bench/splice-crossover.ts.
 *
 * Not a reactor/stream.ts: that one is fed by parsers and must queue whatever they make. Here a source that is not read needs no
 * epoll_ctl(2): the descriptors are edge-triggered, an event that comes at the wrong time is ignored, and the end of the blockage
 * reads again. EPOLLOUT is watched for all the time; edge-triggered, it is reported only after a send was refused.
 */
import { READ_BYTES, RECEIVE_START } from "../proxy/arena.ts";
import type { EventHandler } from "../reactor/reactor.ts";
import { Timed } from "../reactor/timer-wheel.ts";
import { EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP } from "../sys/epoll.ts";
import { Errno } from "../sys/errno.ts";
import { allocate, type NativeBuffer } from "../sys/memory.ts";
import { recv, send } from "../sys/socket.ts";
import { splice } from "../sys/splice.ts";
import type { Pipe } from "./pipe-pool.ts";
import type { Session } from "./session.ts";
import { SessionState } from "./session-state.ts";

export const END_INTEREST = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLOUT | EPOLLET;
const READABLE = EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
const ENDING = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

/** Full reads in a row that make a direction bulk. */
const SPLICE_AFTER = 2;
/** Bytes asked for by one splice(2). The pipe's number of buffers is the limit, not this. */
const SPLICE_BYTES = 1024 * 1024;
/** An event that moved less than this by splice was thin; after THIN_EVENTS of them in a row the direction is copied again. */
const THIN_BYTES = 32 * 1024;
const THIN_EVENTS = 8;
/** What one event moves at most, so that a fast pair does not keep the others waiting. */
const BYTES_PER_EVENT = 1024 * 1024;
/** What a broken end had sent before is still read and passed on, so many bytes at most. */
const SALVAGE_READS = 16;

/** Bytes for an end that its kernel would not take: `buffer.bytes[start, …)`. */
interface Rest {
  readonly buffer: NativeBuffer;
  start: number;
}

export class SessionEnd extends Timed implements EventHandler {
  readonly fd: number;
  readonly session: Session;
  readonly isClient: boolean;
  /** The other end; a client has one as soon as a server is being connected to. */
  peer: SessionEnd | undefined = undefined;
  /** It has shut its direction (FIN), and everything before that was read. */
  hasEnded = false;
  #rest: Rest | undefined = undefined;
  #pipe: Pipe | undefined = undefined;
  #fullReads = 0;
  #thinEvents = 0;
  /** There is an urgent byte among what can be read: recv(2) stops short of it once, splice(2) does not get past it at all. */
  #hasUrgent = false;

  constructor(fd: number, session: Session, isClient: boolean) {
    super();
    this.fd = fd;
    this.session = session;
    this.isClient = isClient;
  }

  /** Bytes wait for this end to read: its peer is not read meanwhile. */
  get isBlocked(): boolean {
    return this.#rest !== undefined || this.#pipe !== undefined;
  }

  override handleTimeout(): void {
    this.session.handleTimeout(this);
  }

  handleEvents(mask: number): void {
    const { session } = this;
    if ((mask & EPOLLPRI) !== 0) this.#hasUrgent = true;
    if (session.state !== SessionState.RELAYING) {
      session.handleEarlyEvents(this, mask);
      return;
    }
    if ((mask & EPOLLOUT) !== 0 && this.isBlocked && (mask & EPOLLERR) === 0) {
      this.#flush();
      if (session.state !== SessionState.RELAYING) return;
    }
    if ((mask & READABLE) === 0) return;
    if (!this.hasEnded && !this.peer!.isBlocked) this.pump((mask & ENDING) !== 0);
    // Not read at present: only that the connection broke is news.
    else if ((mask & EPOLLERR) !== 0) session.handleFailure(this, 0);
  }

  // ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

  /** Passes on what has arrived. `hasMore`: go on after a short read, for there is an end or an error behind it. */
  pump(hasMore: boolean): void {
    if (this.hasEnded || this.peer!.isBlocked) return;
    if (this.#hasUrgent) {
      this.#fullReads = 0;
      this.#pumpByBuffer(true);
      return;
    }
    if (this.#fullReads >= SPLICE_AFTER) {
      const pipe = this.session.listener.server.pipes.take();
      if (pipe !== undefined) {
        this.#pumpByPipe(pipe);
        return;
      }
    }
    this.#pumpByBuffer(hasMore);
  }

  #pumpByBuffer(hasMore: boolean): void {
    const { session, fd } = this;
    const peer = this.peer!;
    const { arena, reactor } = session.listener.server;
    for (let moved = 0; moved < BYTES_PER_EVENT; ) {
      const received = recv(fd, arena.address + RECEIVE_START, READ_BYTES);
      if (received <= 0) {
        this.#handleNothing(received);
        return;
      }
      session.lastPayloadMs = reactor.nowMs;
      this.#noteReceived(received);
      if (!peer.send(arena, RECEIVE_START, received)) return;
      moved += received;
      const isFull = received === READ_BYTES;
      this.#fullReads = isFull ? this.#fullReads + 1 : 0;
      if (peer.isBlocked || !(isFull || hasMore)) return;
      if (this.#fullReads === SPLICE_AFTER) break;
    }
    this.#rearm();
  }

  #pumpByPipe(pipe: Pipe): void {
    const { session, fd } = this;
    const peer = this.peer!;
    const { pipes, reactor } = session.listener.server;
    let moved = 0;
    while (moved < BYTES_PER_EVENT) {
      const received = splice(fd, pipe.writeFd, SPLICE_BYTES);
      if (received <= 0) {
        pipes.giveBack(pipe);
        this.#noteThin(moved);
        this.#handleNothing(received);
        return;
      }
      session.lastPayloadMs = reactor.nowMs;
      this.#noteReceived(received);
      moved += received;
      pipe.length = received;
      const errno = peer.#empty(pipe);
      if (errno !== 0) {
        pipes.giveBack(pipe);
        session.handleSendFailure(peer, errno);
        return;
      }
      if (pipe.length !== 0) {
        peer.#pipe = pipe;
        return;
      }
    }
    pipes.giveBack(pipe);
    this.#rearm();
  }

  /** Few bytes per event cost more by splice than by copying. */
  #noteThin(moved: number): void {
    this.#thinEvents = moved < THIN_BYTES ? this.#thinEvents + 1 : 0;
    if (this.#thinEvents < THIN_EVENTS) return;
    this.#thinEvents = 0;
    this.#fullReads = 0;
  }

  /** A read brought no bytes: the end, an error, or nothing left. */
  #handleNothing(received: number): void {
    if (received === -Errno.EAGAIN) {
      this.#hasUrgent = false;
      return;
    }
    if (received === 0) {
      this.hasEnded = true;
      this.session.handleEnd(this);
    } else this.session.handleFailure(this, -received);
  }

  /** Asks epoll to report again what is still there. */
  #rearm(): void {
    this.#hasUrgent = false;
    this.session.listener.server.reactor.watch(this.fd, END_INTEREST);
  }

  // ── writing ──────────────────────────────────────────────────────────────────────────────────────────────

  /** Sends `source.bytes[start, start + length)`, keeping what the kernel does not take. False: the session is over. */
  send(source: NativeBuffer, start: number, length: number): boolean {
    const sent = send(this.fd, source.address + start, length);
    if (sent === length) {
      this.#noteSent(sent);
      return true;
    }
    if (sent < 0 && sent !== -Errno.EAGAIN) {
      this.session.handleSendFailure(this, -sent);
      return false;
    }
    const taken = Math.max(0, sent);
    this.#noteSent(taken);
    const buffer = allocate(length - taken);
    buffer.bytes.set(source.bytes.subarray(start + taken, start + length));
    this.#rest = { buffer, start: 0 };
    return true;
  }

  /** There is room again: what waits goes first, then the other end is read on. */
  #flush(): void {
    const { session } = this;
    const { pipes, reactor } = session.listener.server;
    const pipe = this.#pipe;
    const errno = pipe === undefined ? this.#sendRest() : this.#empty(pipe);
    if (errno !== 0) {
      session.handleSendFailure(this, errno);
      return;
    }
    session.lastPayloadMs = reactor.nowMs;
    if (pipe !== undefined) {
      if (pipe.length !== 0) return;
      this.#pipe = undefined;
      pipes.giveBack(pipe);
    }
    if (this.#rest !== undefined) return;
    if (this.peer!.hasEnded) session.handleFlushed(this);
    else this.peer!.pump(true);
  }

  /** 0, or the errno of a broken connection. */
  #sendRest(): number {
    const rest = this.#rest!;
    const { bytes, address } = rest.buffer;
    const sent = send(this.fd, address + rest.start, bytes.length - rest.start);
    if (sent < 0) return sent === -Errno.EAGAIN ? 0 : -sent;
    this.#noteSent(sent);
    rest.start += sent;
    if (rest.start === bytes.length) this.#rest = undefined;
    return 0;
  }

  /** Moves what is in the pipe to this end until it is empty or the kernel refuses. 0, or the errno of a broken connection. */
  #empty(pipe: Pipe): number {
    while (pipe.length > 0) {
      const sent = splice(pipe.readFd, this.fd, pipe.length);
      if (sent < 0) return sent === -Errno.EAGAIN ? 0 : -sent;
      if (sent === 0) return Errno.EPIPE;
      this.#noteSent(sent);
      pipe.length -= sent;
    }
    return 0;
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────────────────

  /** This end broke while it was written to: what it had said before that is still passed on. */
  salvage(): void {
    const { arena } = this.session.listener.server;
    const peer = this.peer!;
    if (this.hasEnded || peer.isBlocked) return;
    for (let reads = 0; reads < SALVAGE_READS; reads++) {
      const received = recv(this.fd, arena.address + RECEIVE_START, READ_BYTES);
      if (received <= 0) return;
      this.#noteReceived(received);
      if (send(peer.fd, arena.address + RECEIVE_START, received) < received) return;
      peer.#noteSent(received);
    }
  }

  /** Drops what waits; the session is over. */
  discard(): void {
    this.#rest = undefined;
    const pipe = this.#pipe;
    if (pipe === undefined) return;
    this.#pipe = undefined;
    this.session.listener.server.pipes.giveBack(pipe);
  }

  #noteReceived(bytes: number): void {
    const { session } = this;
    if (this.isClient) session.noteFromClient(bytes);
    else session.noteFromServer(bytes);
  }

  #noteSent(bytes: number): void {
    const { session } = this;
    if (this.isClient) session.noteToClient(bytes);
    else session.noteToServer(bytes);
  }
}
