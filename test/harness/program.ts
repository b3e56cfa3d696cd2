/**
 * Starting and stopping real programs in tests and benchmarks: readiness by polling connect, bounded; stopped by their
 * own pid, never by name; and killed by the kernel when the test itself dies (PR_SET_PDEATHSIG through setpriv(1)).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { findPeer } from "./peers.ts";

export type ReadyAddress = { readonly host: string; readonly port: number } | { readonly path: string };

export interface ProgramOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Ready when a connection to every one of these succeeds. */
  readonly ready?: readonly ReadyAddress[];
  /** Ready when stdout has printed a line that begins so. */
  readonly readyLine?: string;
  readonly readyTimeoutMs?: number;
  /** Pins the program to one processor (taskset). */
  readonly processor?: number;
  /** Words put before the command: `["nsenter", "--net=…"]`. */
  readonly prefix?: readonly string[];
  /** How long stop() waits after its signal before SIGKILL. */
  readonly stopTimeoutMs?: number;
}

export class Program {
  readonly name: string;
  readonly child: ChildProcess;
  readonly pid: number;
  readonly #stopTimeoutMs: number;
  #stdout = "";
  #stderr = "";
  #lineListeners: (() => void)[] = [];

  constructor(options: ProgramOptions) {
    this.name = options.name;
    this.#stopTimeoutMs = options.stopTimeoutMs ?? 5000;
    const words = [
      ...(options.prefix ?? []),
      ...(findPeer("setpriv") === undefined ? [] : ["setpriv", "--pdeathsig", "TERM", "--"]),
      ...(options.processor === undefined ? [] : ["taskset", "-c", String(options.processor)]),
      options.command,
      ...options.args,
    ];
    this.child = spawn(words[0]!, words.slice(1), {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin`, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    this.child.on("error", (error) => {
      this.#stderr += `\n${error.message}`;
    });
    this.child.stdin!.on("error", () => {});
    if (this.child.pid === undefined) throw new Error(`${options.name}: ${words[0]} could not be started`);
    this.pid = this.child.pid;
    this.child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
      for (const listener of this.#lineListeners) listener();
    });
    this.child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-65536);
    });
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  get hasExited(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** The lines of stdout so far that are complete. */
  get lines(): string[] {
    return this.#stdout.split("\n").slice(0, -1);
  }

  /** The first line of stdout (from `fromIndex` on) that satisfies the predicate, waiting for it if need be. */
  async line(predicate: (line: string) => boolean, timeoutMs: number, fromIndex = 0): Promise<string> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const found = this.lines.slice(fromIndex).find(predicate);
      if (found !== undefined) return found;
      const leftMs = deadline - Date.now();
      if (leftMs <= 0 || this.hasExited) {
        throw new Error(
          `${this.name}: expected line did not come within ${timeoutMs} ms\n${this.#stdout}\n${this.#stderr}`,
        );
      }
      await new Promise<void>((resolve) => {
        const finish = (): void => {
          clearTimeout(timer);
          this.child.off("exit", finish);
          this.#lineListeners = this.#lineListeners.filter((listener) => listener !== finish);
          resolve();
        };
        const timer = setTimeout(finish, leftMs);
        this.child.once("exit", finish);
        this.#lineListeners.push(finish);
      });
    }
  }

  /** Resolves with the exit status (128 + n for a signal is not invented: -1 then). */
  async exited(timeoutMs: number): Promise<number> {
    if (!this.hasExited) {
      await withTimeout(
        once(this.child, "exit"),
        timeoutMs,
        `${this.name} did not exit within ${timeoutMs} ms`,
      );
    }
    return this.child.exitCode ?? -1;
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.hasExited) return;
    const gone = once(this.child, "exit");
    this.child.kill(signal);
    // A stopped process gets no signal but KILL and CONT.
    this.child.kill("SIGCONT");
    const timer = setTimeout(() => this.child.kill("SIGKILL"), this.#stopTimeoutMs);
    await gone;
    clearTimeout(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Starts a program and waits until it is ready; when it never is, the error carries what it printed. */
export async function startProgram(options: ProgramOptions): Promise<Program> {
  const program = new Program(options);
  const timeoutMs = options.readyTimeoutMs ?? 10_000;
  try {
    if (options.readyLine !== undefined) {
      await program.line((line) => line.startsWith(options.readyLine!), timeoutMs);
    }
    for (const address of options.ready ?? []) await waitForConnect(address, timeoutMs, program);
    return program;
  } catch (error) {
    await program.stop("SIGKILL");
    throw new Error(`${options.name} did not become ready\n${program.stdout}\n${program.stderr}`, {
      cause: error,
    });
  }
}

/** Runs a program to its end and returns what it printed; a non-zero exit is an error. */
export async function runProgram(options: ProgramOptions & { timeoutMs?: number }): Promise<string> {
  const program = new Program(options);
  try {
    const status = await program.exited(options.timeoutMs ?? 60_000);
    if (status !== 0)
      throw new Error(`${options.name} exited with ${status}\n${program.stdout}\n${program.stderr}`);
    return program.stdout;
  } finally {
    await program.stop("SIGKILL");
  }
}

/** Polls connect(2) until it succeeds; bounded. */
export async function waitForConnect(
  address: ReadyAddress,
  timeoutMs: number,
  program?: Program,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await canConnect(address))) {
    if (program?.hasExited) throw new Error(`${program.name} exited before it accepted connections`);
    if (Date.now() > deadline)
      throw new Error(`no connection to ${JSON.stringify(address)} within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export function canConnect(address: ReadyAddress): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(address);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Polls a condition until it holds; bounded. For what has no event to wait for (the state of another process). */
export async function eventually<T>(
  what: string,
  timeoutMs: number,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function withTimeout<T>(promise: Promise<T>, timeoutMs: number, message: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expiry = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(message)), timeoutMs);
  });
  try {
    return await Promise.race([promise, expiry]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Ports of this process: a block below the range the kernel takes ephemeral ports from (ip_local_port_range), so that no outgoing
 * connection and no `listen(0)` anywhere can take one between the choice and its use, and test files that run side by
 * side do not meet either.
 */
const PORT_MIN = 10_000;
const PORTS_PER_PROCESS = 200;
const PORT_BLOCKS = 110;
let portsHandedOut = 0;

/** Loopback ports nobody listens on just now, each handed out once per process (until the block wraps). */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let tried = 0; ports.length < count; tried++) {
    if (tried > PORTS_PER_PROCESS) throw new Error(`no ${count} free ports from ${PORT_MIN} on`);
    const block = PORT_MIN + (process.pid % PORT_BLOCKS) * PORTS_PER_PROCESS;
    const port = block + (portsHandedOut++ % PORTS_PER_PROCESS);
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

async function isFree(port: number): Promise<boolean> {
  const server = net.createServer();
  try {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
  } catch {
    return false;
  }
  await new Promise((resolve) => server.close(resolve));
  return true;
}

export async function freePort(): Promise<number> {
  return (await freePorts(1))[0]!;
}
