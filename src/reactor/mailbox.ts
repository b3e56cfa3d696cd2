/**
 * The worker's end of the conversation with the supervisor: length-prefixed JSON over the inherited UNIX socket
 * (daemon/messages.ts), read and written by the reactor. The end of the stream means that the supervisor is gone.
 */
import { encodeFrame, FrameDecoder, type SupervisorMessage, type WorkerMessage } from "../daemon/messages.ts";
import { Errno } from "../sys/errno.ts";
import { allocate } from "../sys/memory.ts";
import { setNonBlocking } from "../sys/process.ts";
import { recv } from "../sys/socket.ts";
import type { Reactor } from "./reactor.ts";
import { READ_INTEREST, Stream } from "./stream.ts";

export interface MailboxHandler {
  handleMessage(message: SupervisorMessage): void;
  handleSupervisorGone(): void;
}

export class Mailbox extends Stream {
  readonly #reactor: Reactor;
  readonly #handler: MailboxHandler;
  readonly #decoder = new FrameDecoder();
  readonly #received = allocate(64 * 1024);
  #isOpen = true;

  constructor(fd: number, reactor: Reactor, handler: MailboxHandler) {
    super(fd, READ_INTEREST);
    this.#reactor = reactor;
    this.#handler = handler;
    setNonBlocking(fd);
    reactor.register(fd, READ_INTEREST, this);
  }

  /** Queues the message; lost without a word when the supervisor is gone. */
  post(message: WorkerMessage): void {
    if (!this.#isOpen) return;
    const frame = encodeFrame(message);
    const source = allocate(frame.length);
    source.bytes.set(frame);
    if (this.write(source, 0, frame.length) !== 0) this.#close();
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
      this.#handler.handleMessage(message as SupervisorMessage);
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
