/**
 * The router process as its parent sees it: spawns it with the mailbox as descriptor 3 and turns what happens to it into two
 * calls. Called by router-supervision.ts only; decides nothing. Messages are in router-messages.ts.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { encodeFrame, FrameDecoder, MAILBOX_FD } from "./messages.ts";
import type { RouterReport, RouterRequest } from "./router-messages.ts";

/**
 * V8 flags of the router process. It runs with a real-time priority, V8's helper threads do not: where the processors are busy, a
 * collection that waits for a helper would wait for as long as the helper is not scheduled. So everything is done by the one thread, and
 * a young generation of 1 MiB keeps each scavenge below a millisecond. A takeover runs code that has perhaps never run before, or not for
 * months: compiled at the start and never thrown away, it has the addresses announced after 1.3 ms; compiled when it is needed,
 * after 2.5 to 3.1 ms (median of 12 takeovers each).
 */
export const ROUTER_NODE_FLAGS: readonly string[] = [
  "--max-semi-space-size=1",
  "--single-threaded",
  "--no-lazy",
  "--no-flush-bytecode",
];

const ROUTER_MODULE = fileURLToPath(new URL("./router-main.js", import.meta.url));

export interface RouterProcessOptions {
  /** Compiled module to run instead of the real one: tests. */
  readonly routerModule: string | undefined;
  readonly nowMs: number;
  readonly handleReport: (process: RouterProcess, report: RouterReport) => void;
  /** Called once, after the last report. */
  readonly handleEnd: (process: RouterProcess) => void;
}

export class RouterProcess {
  readonly startedAtMs: number;
  /** It said `ready`. */
  isReady = false;
  /** Set when it was asked to end: its end is then no crash. */
  isEndExpected = false;
  /** How it ended, for humans: "exit status 1", "signal SIGKILL". */
  ending: string | undefined;
  fatalMessage: string | undefined;
  killTimer: NodeJS.Timeout | undefined;
  readonly #child: ChildProcess;
  readonly #mailbox: Duplex | null;

  constructor(options: RouterProcessOptions) {
    this.startedAtMs = options.nowMs;
    this.#child = spawn(process.execPath, [...ROUTER_NODE_FLAGS, options.routerModule ?? ROUTER_MODULE], {
      stdio: ["ignore", "inherit", "inherit", "pipe"],
    });
    this.#mailbox = this.#child.stdio[MAILBOX_FD] as Duplex | null;
    this.#listen(options);
  }

  /** 0 when the process could not even be started. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  send(request: RouterRequest): void {
    if (this.#mailbox !== null && !this.#mailbox.destroyed) this.#mailbox.write(encodeFrame(request));
  }

  /** Its addresses stay until their lease is over: only for a process that does not do what it is told. */
  kill(): void {
    this.isEndExpected = true;
    this.#child.kill("SIGKILL");
  }

  #listen(options: RouterProcessOptions): void {
    const decoder = new FrameDecoder();
    this.#mailbox?.on("data", (bytes: Uint8Array) => {
      decoder.push(bytes);
      for (let report = decoder.next(); report !== undefined; report = decoder.next()) {
        options.handleReport(this, report as RouterReport);
      }
    });
    // EPIPE and ECONNRESET: it is gone, which "close" reports.
    this.#mailbox?.on("error", () => {});
    let hasEnded = false;
    const handleEnd = (ending: string): void => {
      if (hasEnded) return;
      hasEnded = true;
      this.ending = ending;
      clearTimeout(this.killTimer);
      options.handleEnd(this);
    };
    this.#child.on("error", (error) => {
      if (this.#child.pid === undefined) handleEnd(`it could not be started: ${error.message}`);
    });
    // "close", not "exit": its last report has been read by then.
    this.#child.on("close", (status, signal) => {
      handleEnd(signal === null ? `exit status ${status}` : `signal ${signal}`);
    });
  }
}
