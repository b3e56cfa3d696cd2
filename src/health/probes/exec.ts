/**
 * Check `exec`: runs a program; exit status 0 is good, and what it printed (up to 4 KiB) is the reason. As keepalived's
 * MISC_CHECK and HAProxy's external-check. No shell. It learns the server from its environment:
 * HOLDFAST_SERVER, HOLDFAST_ADDRESS, HOLDFAST_PORT, HOLDFAST_POOL. A program that is given up is killed with all its children.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Probe, ProbeResult, ProbeTarget } from "../probe.ts";

const OUTPUT_BYTES_MAX = 4096;
/** How long after its end a program's last words are waited for. */
const OUTPUT_WAIT_MS = 100;

export interface ExecIdentity {
  readonly uid: number;
  readonly gid: number;
}

export class ExecProbe implements Probe {
  readonly #command: readonly string[];
  readonly #environment: NodeJS.ProcessEnv;
  readonly #identity: ExecIdentity | undefined;
  #child: ChildProcess | undefined;
  #done: ((result: ProbeResult) => void) | undefined;

  /** `identity`: who runs it, when the gateway is root and gives its workers to a user. */
  constructor(target: ProbeTarget, command: readonly string[], identity: ExecIdentity | undefined) {
    this.#command = command;
    this.#identity = identity;
    const { address } = target;
    this.#environment = {
      ...process.env,
      HOLDFAST_POOL: target.pool,
      HOLDFAST_SERVER: target.name,
      HOLDFAST_ADDRESS: address.family === "unix" ? address.path : address.host,
      HOLDFAST_PORT: address.family === "unix" ? "" : String(address.port),
    };
  }

  start(done: (result: ProbeResult) => void): void {
    this.#done = done;
    let child: ChildProcess;
    try {
      child = this.#spawn();
    } catch (error) {
      // Some errors come as 'error', others are thrown: ETXTBSY of a program that is being written, ENOTDIR, EPERM, E2BIG.
      // Told later, as everything is: start() must have returned by then.
      setImmediate(() => this.#finish(cannotBeRun(error as Error)));
      return;
    }
    this.#child = child;
    child.on("error", (error) => {
      if (this.#child === child) this.#finish(cannotBeRun(error));
    });
    let output = "";
    const collect = (text: string): void => {
      if (output.length < OUTPUT_BYTES_MAX) output = (output + text).slice(0, OUTPUT_BYTES_MAX);
    };
    // Without a free descriptor (EMFILE) there are no pipes, whatever the types say.
    child.stdout?.setEncoding("utf8").on("data", collect);
    child.stderr?.setEncoding("utf8").on("data", collect);
    const settle = (status: number | null, signal: string | null): void => {
      if (this.#child === child) this.#finish(verdictOf(status, signal, output.trim()));
    };
    child.on("close", settle);
    // A process that it left behind may hold the pipes open for ever.
    child.on("exit", (status, signal) => setTimeout(settle, OUTPUT_WAIT_MS, status, signal).unref());
  }

  cancel(): void {
    this.#done = undefined;
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
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
    const [program, ...args] = this.#command;
    // A process group of its own, so that what it starts can be killed with it.
    return spawn(program!, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: this.#environment,
      detached: true,
      ...this.#identity,
    });
  }

  #finish(result: ProbeResult): void {
    const done = this.#done;
    if (done === undefined) return;
    this.cancel();
    done(result);
  }
}

function cannotBeRun(error: Error): ProbeResult {
  return { ok: false, reason: `cannot be run: ${error.message}` };
}

function verdictOf(status: number | null, signal: string | null, output: string): ProbeResult {
  const ending = signal === null ? `exit status ${status}` : `killed by ${signal}`;
  return { ok: status === 0, reason: output === "" ? ending : `${ending}: ${output}` };
}
