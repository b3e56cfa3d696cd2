/**
 * Check `exec`: runs a program; exit status 0 is good, and what it printed (up to 4 KiB) is the reason. As keepalived's
 * MISC_CHECK and HAProxy's external-check. No shell. It learns the server from its environment:
 * HOLDFAST_SERVER, HOLDFAST_ADDRESS, HOLDFAST_PORT, HOLDFAST_POOL. A program that is given up is killed with all its children.
 */
import { CommandRun, type ExecIdentity } from "../command-run.ts";
import type { Probe, ProbeResult, ProbeTarget } from "../probe.ts";

export class ExecProbe implements Probe {
  readonly #command: readonly string[];
  readonly #environment: Readonly<Record<string, string>>;
  readonly #identity: ExecIdentity | undefined;
  #run: CommandRun | undefined;

  constructor(target: ProbeTarget, command: readonly string[], identity: ExecIdentity | undefined) {
    this.#command = command;
    this.#identity = identity;
    const { address } = target;
    this.#environment = {
      HOLDFAST_POOL: target.pool,
      HOLDFAST_SERVER: target.name,
      HOLDFAST_ADDRESS: address.family === "unix" ? address.path : address.host,
      HOLDFAST_PORT: address.family === "unix" ? "" : String(address.port),
    };
  }

  start(done: (result: ProbeResult) => void): void {
    const options = { command: this.#command, environment: this.#environment, identity: this.#identity };
    this.#run = new CommandRun(options, (result) => {
      this.#run = undefined;
      done(result);
    });
  }

  cancel(): void {
    this.#run?.cancel();
    this.#run = undefined;
  }
}
