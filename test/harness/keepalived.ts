/**
 * The real keepalived in a node of a test LAN, configured from parameters. In the foreground, with its pid files in a scratch directory;
 * nothing of the system's is touched. Debian 12 has 2.2.7, whose version 3 over IPv4 has the pseudo-header in the checksum, always.
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import {
  address6Of,
  addressOf,
  INTERFACE,
  type RouterDaemon,
  type RouterLan,
  type RouterNode,
  type RouterParameters,
} from "./lan.ts";
import { makeScratchDirectory } from "./paths.ts";
import { peerPath } from "./peers.ts";
import { childPids } from "./process-usage.ts";
import { eventually, type Program, startProgram } from "./program.ts";

export interface KeepalivedOptions {
  /** Lines for `global_defs`: `vrrp_rt_priority 10`. */
  readonly globals?: readonly string[];
}

export async function startKeepalived(
  lan: RouterLan,
  node: RouterNode,
  parameters: RouterParameters,
  options: KeepalivedOptions = {},
): Promise<RouterDaemon> {
  const scratch = makeScratchDirectory("keepalived");
  const configPath = path.join(scratch.directory, "keepalived.conf");
  writeFileSync(configPath, keepalivedConfig(node, parameters, options));
  const pidFile = (name: string): string => path.join(scratch.directory, `${name}.pid`);
  const program = await startProgram({
    name: `keepalived in ${node}`,
    command: peerPath("keepalived"),
    args: [
      ..."--dont-fork --log-console --log-detail --vrrp --dont-respawn".split(" "),
      ...[
        "-f",
        configPath,
        "-p",
        pidFile("main"),
        "-r",
        pidFile("vrrp"),
        "-c",
        pidFile("check"),
        "-b",
        pidFile("bfd"),
      ],
    ],
    prefix: lan.topology.inside(node),
  });
  const daemon = new KeepalivedDaemon(program, scratch.remove);
  lan.ownDaemon(daemon);
  await eventually("keepalived has its VRRP process", 5000, () => {
    if (program.hasExited) throw new Error(`keepalived exited: ${daemon.log()}`);
    return /Entering BACKUP STATE|Entering MASTER STATE|VRRP sockpool/.test(daemon.log());
  });
  return daemon;
}

export function keepalivedConfig(
  node: RouterNode,
  parameters: RouterParameters,
  options: KeepalivedOptions = {},
): string {
  const isIpv6 = parameters.addresses[0]!.includes(":");
  const ownAddress = isIpv6 ? address6Of : addressOf;
  const unicast =
    parameters.peers === undefined
      ? ""
      : `unicast_src_ip ${ownAddress(node)}
  unicast_peer {
${parameters.peers.map((peer) => `    ${ownAddress(peer)}`).join("\n")}
  }`;
  const authentication =
    parameters.authPass === undefined
      ? ""
      : `authentication {
    auth_type PASS
    auth_pass ${parameters.authPass}
  }`;
  return `global_defs {
  router_id ${node}
  ${(options.globals ?? []).join("\n  ")}
}
vrrp_instance edge {
  state BACKUP
  interface ${INTERFACE}
  version ${parameters.version}
  virtual_router_id ${parameters.id}
  priority ${parameters.priority}
  advert_int ${parameters.intervalMs / 1000}
  ${parameters.preempt ? "" : "nopreempt"}
  ${authentication}
  ${unicast}
  virtual_ipaddress {
${parameters.addresses.map((address) => `    ${address} dev ${INTERFACE}`).join("\n")}
  }
}
`;
}

class KeepalivedDaemon implements RouterDaemon {
  readonly name = "keepalived";
  readonly #program: Program;
  readonly #removeScratch: () => void;

  constructor(program: Program, removeScratch: () => void) {
    this.#program = program;
    this.#removeScratch = removeScratch;
  }

  log(): string {
    return this.#program.stdout + this.#program.stderr;
  }

  async stop(): Promise<void> {
    await this.#program.stop("SIGTERM");
    this.#removeScratch();
  }

  /** The parent first hears nothing (SIGSTOP): else it, or the signal for orphans, would let the child say goodbye. */
  async kill(): Promise<void> {
    this.#signalAll("SIGSTOP");
    this.#signalAll("SIGKILL");
    await this.#program.stop("SIGKILL");
    this.#removeScratch();
  }

  freeze(): void {
    this.#signalAll("SIGSTOP");
  }

  thaw(): void {
    this.#signalAll("SIGCONT");
  }

  #signalAll(signal: NodeJS.Signals): void {
    if (this.#program.hasExited) return;
    for (const pid of [...childPids(this.#program.pid), this.#program.pid]) process.kill(pid, signal);
  }
}
