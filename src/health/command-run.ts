/**
 * One run of a program that the configuration names: no shell, a process group of its own that is killed as a whole when it is given up,
 * exit status 0 is good, and what it printed (up to 4 KiB) is the reason. Whoever starts it keeps the time. Used by the check `exec`
 * (probes/exec.ts) and, for virtual routers, by tracked checks and notifications (daemon/check-watch.ts, daemon/notify-runner.ts).
 */
import { type ChildProcess, spawn } from "node:child_process";

const OUTPUT_BYTES_MAX = 4096;
/** How long after its end a program's last words are waited for. */
const OUTPUT_WAIT_MS = 100;

/** Who runs it, when the gateway is root and gives its workers to a user. */
export interface ExecIdentity {
  readonly uid: number;
  readonly gid: number;
}

export interface CommandOptions {
  readonly command: readonly string[];
  /** Added to the gateway's own environment. */
  readonly environment: Readonly<Record<string, string>>;
  readonly identity: ExecIdentity | undefined;
  /** Written to its standard input; without one that is /dev/null. */
  readonly input?: string;
}

export interface CommandResult {
  readonly ok: boolean;
  readonly reason: string;
}

export class CommandRun {
  readonly #options: CommandOptions;
  #child: ChildProcess | undefined;
  #done: ((result: CommandResult) => void) | undefined;

  /** Starts at once. `done` is called once, never before the constructor has returned, unless `cancel()` comes first. */
  constructor(options: CommandOptions, done: (result: CommandResult) => void) {
    this.#options = options;
    this.#done = done;
    let child: ChildProcess;
    try {
      child = this.#spawn();
    } catch (error) {
      // Some errors come as 'error', others are thrown: ETXTBSY of a program that is being written, ENOTDIR, EPERM, E2BIG.
      setImmediate(() => this.#finish(cannotBeRun(error as Error)));
      return;
    }
    this.#child = child;
    child.on("error", (error) => this.#finish(cannotBeRun(error)));
    let output = "";
    const collect = (text: string): void => {
      if (output.length < OUTPUT_BYTES_MAX) output = (output + text).slice(0, OUTPUT_BYTES_MAX);
    };
    // Without a free descriptor (EMFILE) there are no pipes, whatever the types say.
    child.stdout?.setEncoding("utf8").on("data", collect);
    child.stderr?.setEncoding("utf8").on("data", collect);
    child.stdin?.on("error", () => {}); // EPIPE: it need not read
    child.stdin?.end(options.input);
    const settle = (status: number | null, signal: string | null): void =>
      this.#finish(verdictOf(status, signal, output.trim()));
    child.on("close", settle);
    // A process that it left behind may hold the pipes open for ever.
    child.on("exit", (status, signal) => setTimeout(settle, OUTPUT_WAIT_MS, status, signal).unref());
  }

  /** Kills it with everything it started; `done` is not called any more. */
  cancel(): void {
    this.#done = undefined;
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
    child.stdin?.destroy();
    child.stdout?.destroy();
    child.stderr?.destroy();
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // it has just ended
    }
  }

  #spawn(): ChildProcess {
    const { command, environment, identity, input } = this.#options;
    const [program, ...args] = command;
    return spawn(program!, args, {
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      env: { ...process.env, ...environment },
      detached: true, // a process group of its own
      ...identity,
    });
  }

  #finish(result: CommandResult): void {
    const done = this.#done;
    if (done === undefined) return;
    this.cancel();
    done(result);
  }
}

function cannotBeRun(error: Error): CommandResult {
  return { ok: false, reason: `cannot be run: ${error.message}` };
}

function verdictOf(status: number | null, signal: string | null, output: string): CommandResult {
  const ending = signal === null ? `exit status ${status}` : `killed by ${signal}`;
  return { ok: status === 0, reason: output === "" ? ending : `${ending}: ${output}` };
}
