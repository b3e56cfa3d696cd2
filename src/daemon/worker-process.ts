/**
 * One worker as its parent sees it: spawns it with the mailbox, the shared counters and the listening sockets as
 * inherited descriptors (messages.ts has the numbers), and turns what happens to it into four calls.
 * Called by `supervisor.ts` only; decides nothing.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, readSync } from "node:fs";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import type { GatewayConfig } from "../config/types.ts";
import { CounterLayout } from "../observe/counter-layout.ts";
import type { WorkerFacts, WorkerState } from "../observe/gateway-facts.ts";
import { memfdCreate } from "../sys/memory.ts";
import { setCloseOnExec } from "../sys/process.ts";
import { close } from "../sys/socket.ts";
import type { ListeningSocket } from "./listening-sockets.ts";
import {
  COUNTERS_FD,
  encodeFrame,
  FIRST_INHERITED_FD,
  FrameDecoder,
  MAILBOX_FD,
  type SupervisorMessage,
  type WorkerMessage,
} from "./messages.ts";

/**
 * V8 flags of a worker. A young generation of 1 MiB stays in the second-level cache and an idle connection's objects move
 * out of it soon; the hot path is many small functions that are each used in one place, so that inlining them beyond V8's usual
 * bounds (460 and 920) saves calls without code being repeated: about 5 % of the user-space time of a request.
 */
export const WORKER_NODE_FLAGS: readonly string[] = [
  "--max-semi-space-size=1",
  "--max-inlined-bytecode-size=1500",
  "--max-inlined-bytecode-size-cumulative=4000",
];

const WORKER_MODULE = fileURLToPath(new URL("./worker-main.js", import.meta.url));

export interface WorkerProcessOptions {
  readonly index: number;
  readonly generation: number;
  readonly config: GatewayConfig;
  readonly sockets: readonly ListeningSocket[];
  readonly accessLogFd: number | undefined;
  /** Compiled module to run instead of the real worker: tests. */
  readonly workerModule: string | undefined;
  readonly nowMs: number;
  readonly handleMessage: (worker: WorkerProcess, message: WorkerMessage) => void;
  /** Called once, after the last message. */
  readonly handleEnd: (worker: WorkerProcess) => void;
}

export class WorkerProcess {
  readonly index: number;
  readonly generation: number;
  readonly config: GatewayConfig;
  readonly startedAtMs: number;
  state: WorkerState = "starting";
  /** Set when the supervisor asked it to end: its end is then no crash. */
  isEndExpected = false;
  /** How it ended, for humans: "exit status 1", "signal SIGKILL". */
  ending: string | undefined;
  fatalMessage: string | undefined;
  killTimer: NodeJS.Timeout | undefined;
  readonly #child: ChildProcess;
  readonly #mailbox: Duplex | null;
  readonly #layout: CounterLayout;
  readonly #countersFd: number;

  constructor(options: WorkerProcessOptions) {
    this.index = options.index;
    this.generation = options.generation;
    this.config = options.config;
    this.startedAtMs = options.nowMs;
    this.#layout = new CounterLayout(options.config);
    this.#countersFd = memfdCreate(`holdfast-counters-${options.index}`, this.#layout.bytes);
    // spawn() duplicates it for the child; no other child may inherit it.
    setCloseOnExec(this.#countersFd, true);
    const listeningFds = options.sockets.map((socket) => socket.fd);
    const accessLogFds = options.accessLogFd === undefined ? [] : [options.accessLogFd];
    this.#child = spawn(process.execPath, [...WORKER_NODE_FLAGS, options.workerModule ?? WORKER_MODULE], {
      stdio: ["ignore", "inherit", "inherit", "pipe", this.#countersFd, ...listeningFds, ...accessLogFds],
    });
    this.#mailbox = this.#child.stdio[MAILBOX_FD] as Duplex | null;
    this.#listen(options);
    this.#configure(options);
  }

  /** 0 when the process could not even be started. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  send(message: SupervisorMessage): void {
    if (this.#mailbox !== null && !this.#mailbox.destroyed) {
      this.#mailbox.write(encodeFrame(message));
    }
  }

  kill(): void {
    this.isEndExpected = true;
    this.#child.kill("SIGKILL");
  }

  /** A copy of what it has counted so far; works after its death too, until `release()`. */
  readCounters(): Float64Array {
    const counters = new Float64Array(this.#layout.slotCount);
    readSync(this.#countersFd, new Uint8Array(counters.buffer), 0, this.#layout.bytes, 0);
    return counters;
  }

  release(): void {
    clearTimeout(this.killTimer);
    close(this.#countersFd);
  }

  facts(): WorkerFacts {
    const { index, pid, generation, state, startedAtMs } = this;
    return { index, pid, generation, state, startedAtMs, residentBytes: residentBytesOf(pid) };
  }

  #configure(options: WorkerProcessOptions): void {
    const { index: workerIndex, generation, config, sockets, accessLogFd } = options;
    const listeningSockets = sockets.map(({ listener, listenerIndex, address }, position) => ({
      listener,
      listenerIndex,
      fd: FIRST_INHERITED_FD + position,
      address,
    }));
    this.send({
      type: "configure",
      workerIndex,
      generation,
      config,
      listeningSockets,
      countersFd: COUNTERS_FD,
      ...(accessLogFd === undefined ? {} : { accessLogFd: FIRST_INHERITED_FD + sockets.length }),
    });
  }

  #listen(options: WorkerProcessOptions): void {
    const decoder = new FrameDecoder();
    this.#mailbox?.on("data", (bytes: Uint8Array) => {
      decoder.push(bytes);
      for (let message = decoder.next(); message !== undefined; message = decoder.next()) {
        options.handleMessage(this, message as WorkerMessage);
      }
    });
    // EPIPE and ECONNRESET: the worker is gone, which "close" reports.
    this.#mailbox?.on("error", () => {});
    let hasEnded = false;
    const handleEnd = (ending: string) => {
      if (!hasEnded) {
        hasEnded = true;
        this.ending = ending;
        options.handleEnd(this);
      }
    };
    this.#child.on("error", (error) => {
      if (this.#child.pid === undefined) {
        handleEnd(`it could not be started: ${error.message}`);
      }
    });
    // "close", not "exit": its last message has been read by then.
    this.#child.on("close", (status, signal) => {
      handleEnd(signal === null ? `exit status ${status}` : `signal ${signal}`);
    });
  }
}

function residentBytesOf(pid: number): number | undefined {
  try {
    const kibibytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
  } catch {
    return undefined;
  }
}
