/**
 * A child's end of the conversation with the supervisor: length-prefixed JSON over the inherited UNIX socket, read and written
 * by the reactor. What is said is a matter of the two ends: daemon/messages.ts for workers, daemon/router-messages.ts for
 * the router process. The end of the stream means that the supervisor is gone.
 */
import { encodeFrame, FrameDecoder } from "../daemon/messages.ts";
import { Errno } from "../sys/errno.ts";
import { allocate } from "../sys/memory.ts";
import { setNonBlocking } from "../sys/process.ts";
import { recv } from "../sys/socket.ts";
import type { Reactor } from "./reactor.ts";
import { READ_INTEREST, Stream } from "./stream.ts";

export interface MailboxHandler<Incoming> {
  handleMessage(message: Incoming): void;
  handleSupervisorGone(): void;
}

export class Mailbox<Incoming, Outgoing extends { readonly type: string }> extends Stream {
  readonly #reactor: Reactor;
  readonly #handler: MailboxHandler<Incoming>;
  readonly #decoder = new FrameDecoder();
  readonly #received = allocate(64 * 1024);
  #isOpen = true;

  constructor(fd: number, reactor: Reactor, handler: MailboxHandler<Incoming>) {
    super(fd, READ_INTEREST);
    this.#reactor = reactor;
    this.#handler = handler;
    setNonBlocking(fd);
    reactor.register(fd, READ_INTEREST, this);
  }

  /** Queues the message; lost without a word when the supervisor is gone. */
  post(message: Outgoing): void {
    if (!this.#isOpen) return;
    const frame = encodeFrame(message);
    const source = allocate(frame.length);
    source.bytes.set(frame);
    if (this.write(source, 0, frame.length) !== 0) this.#close();
  }

  /**
   * For what the next message of its kind replaces: not queued while the supervisor (stopped, swapped out) leaves so many bytes unread, or
   * this process would grow for as long as it lasts. False: it was not queued.
   */
  postUnlessBehind(message: Outgoing, backlogBytesMax: number): boolean {
    if (this.backlogBytes > backlogBytesMax) return false;
    this.post(message);
    return true;
  }

  protected override reactor(): Reactor {
    return this.#reactor;
  }

  protected override handleReadable(): boolean {
    const received = recv(this.fd, this.#received.address, this.#received.bytes.length);
    if (received === -Errno.EAGAIN) return true;
    if (received <= 0) {
      this.#close();
      return true;
    }
    this.#decoder.push(this.#received.bytes.subarray(0, received));
    for (let message = this.#decoder.next(); message !== undefined; message = this.#decoder.next()) {
      this.#handler.handleMessage(message as Incoming);
    }
    return received < this.#received.bytes.length;
  }

  protected override handleDrained(): void {}

  protected override handleFailure(): void {
    this.#close();
  }

  override handleTimeout(): void {}

  #close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.discardBacklog();
    this.#reactor.close(this.fd);
    this.#handler.handleSupervisorGone();
  }
}
