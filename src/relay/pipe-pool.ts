/**
 * The pipes of a worker, for splice(2). A direction borrows one only while bytes are in it: for the length of one event, or until a
 * slow reader has taken them. So there are as many pipes as stalled bulk transfers, not as sessions. Called by session-end.ts.
 */
import { close } from "../sys/socket.ts";
import { openPipe, setPipeSize } from "../sys/splice.ts";

/**
 * Room of a pipe. 256 KiB is 64 buffers: 2 MiB on a loopback, 92 KiB with a network card's 1448-byte fragments; 256 such pipes are
 * what an unprivileged user may have at this size.
 */
const PIPE_BYTES = 256 * 1024;
/** Empty pipes kept for the next transfer. */
const IDLE_MAX = 32;
/** After a pipe could not be had, so many requests are turned down without a system call. */
const REFUSALS_AFTER_FAILURE = 1000;

export class Pipe {
  readonly readFd: number;
  readonly writeFd: number;
  /** Bytes in it. */
  length = 0;

  constructor(readFd: number, writeFd: number) {
    this.readFd = readFd;
    this.writeFd = writeFd;
  }
}

export class PipePool {
  readonly #idle: Pipe[] = [];
  #refusals = 0;

  get idleCount(): number {
    return this.#idle.length;
  }

  /** An empty pipe, or undefined when the descriptor table is full: copy instead. */
  take(): Pipe | undefined {
    return this.#idle.pop() ?? this.#open();
  }

  giveBack(pipe: Pipe): void {
    if (pipe.length === 0 && this.#idle.length < IDLE_MAX) this.#idle.push(pipe);
    else closePipe(pipe);
  }

  /** Descriptors are short: empty pipes make room. */
  closeIdle(): void {
    for (const pipe of this.#idle.splice(0)) closePipe(pipe);
  }

  #open(): Pipe | undefined {
    if (this.#refusals > 0) {
      this.#refusals--;
      return undefined;
    }
    const descriptors = openPipe();
    if (typeof descriptors === "number") {
      this.#refusals = REFUSALS_AFTER_FAILURE;
      return undefined;
    }
    // Refused beyond fs.pipe-user-pages-soft: the pipe is smaller then, and works.
    setPipeSize(descriptors.writeFd, PIPE_BYTES);
    return new Pipe(descriptors.readFd, descriptors.writeFd);
  }
}

function closePipe(pipe: Pipe): void {
  close(pipe.readFd);
  close(pipe.writeFd);
}
