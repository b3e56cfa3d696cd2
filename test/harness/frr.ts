/**
 * The real VRRP daemon of FRR (zebra and vrrpd, Debian's 8.4.4) in a node of a test LAN. It wants a macvlan with the virtual MAC address
 * and the addresses on it, which it sets up and down; so the address is always "there", and who is active is seen on the wire. It changes to
 * the user frr, whom a user namespace does not have: root only.
 */
import { accessSync, chmodSync, constants, writeFileSync } from "node:fs";
import path from "node:path";
import type { TestContext } from "node:test";
import {
  INTERFACE,
  type RouterDaemon,
  type RouterLan,
  type RouterNode,
  type RouterParameters,
} from "./lan.ts";
import { makeScratchDirectory } from "./paths.ts";
import { skipOrFail } from "./peers.ts";
import { eventually, type Program, startProgram } from "./program.ts";

const DIRECTORY = "/usr/lib/frr";

/** False after a skip. Without root there is no way to run it, which is no reason to fail. */
export function requireFrr(t: TestContext): boolean {
  if (process.getuid?.() !== 0) {
    t.diagnostic("SKIPPED: FRR needs root");
    t.skip("FRR needs root");
    return false;
  }
  try {
    accessSync(path.join(DIRECTORY, "vrrpd"), constants.X_OK);
    return true;
  } catch {
    return skipOrFail(t, "needs FRR: apt-get install frr");
  }
}

/** IPv4 only, multicast. */
export async function startFrr(
  lan: RouterLan,
  node: RouterNode,
  parameters: RouterParameters,
): Promise<RouterDaemon> {
  makeMacvlan(lan, node, parameters);
  const scratch = makeScratchDirectory("frr");
  // The user frr makes its sockets in it.
  chmodSync(scratch.directory, 0o777);
  const zebra = await startDaemon(lan, node, "zebra", "", scratch.directory);
  await eventually("zebra has its socket", 10_000, () => exists(path.join(scratch.directory, "zserv.api")));
  const vrrpd = await startDaemon(lan, node, "vrrpd", vrrpdConfig(parameters), scratch.directory);
  return lan.ownDaemon(new FrrDaemon(zebra, vrrpd, scratch.remove));
}

function makeMacvlan(lan: RouterLan, node: RouterNode, { id, addresses }: RouterParameters): void {
  const name = `vrrp4-${id}`;
  const ip = (...words: string[]): string => lan.topology.run(node, "ip", ...words);
  if (ip("-br", "link").includes(`${name}@`)) return;
  const hardwareAddress = `00:00:5e:00:01:${id.toString(16).padStart(2, "0")}`;
  ip("link", "add", name, "link", INTERFACE, "address", hardwareAddress, "type", "macvlan", "mode", "bridge");
  for (const address of addresses) ip("address", "add", address, "dev", name);
  ip("link", "set", name, "up");
}

function vrrpdConfig({ id, version, priority, intervalMs, preempt, addresses }: RouterParameters): string {
  return `interface ${INTERFACE}
 vrrp ${id} version ${version}
 vrrp ${id} priority ${priority}
 vrrp ${id} advertisement-interval ${intervalMs}
 ${preempt ? "" : "no "}vrrp ${id} preempt
${addresses.map((address) => ` vrrp ${id} ip ${address.split("/")[0]}`).join("\n")}
`;
}

function startDaemon(
  lan: RouterLan,
  node: RouterNode,
  name: "zebra" | "vrrpd",
  config: string,
  directory: string,
): Promise<Program> {
  const file = (suffix: string): string => path.join(directory, `${name}.${suffix}`);
  writeFileSync(file("conf"), `log stdout\n${config}`);
  return startProgram({
    name: `${name} in ${node}`,
    command: path.join(DIRECTORY, name),
    args: [
      ...["-u", "frr", "-g", "frr", "--vty_socket", directory, "-z", path.join(directory, "zserv.api")],
      ...["-f", file("conf"), "-i", file("pid")],
    ],
    prefix: lan.topology.inside(node),
  });
}

function exists(file: string): boolean {
  try {
    accessSync(file);
    return true;
  } catch {
    return false;
  }
}

class FrrDaemon implements RouterDaemon {
  readonly name = "FRR";
  readonly #programs: readonly Program[];
  readonly #removeScratch: () => void;

  constructor(zebra: Program, vrrpd: Program, removeScratch: () => void) {
    this.#programs = [vrrpd, zebra];
    this.#removeScratch = removeScratch;
  }

  log(): string {
    return this.#programs.map((program) => program.stdout + program.stderr).join("\n");
  }

  async stop(): Promise<void> {
    for (const program of this.#programs) await program.stop("SIGTERM");
    this.#removeScratch();
  }

  async kill(): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.stop("SIGKILL")));
    this.#removeScratch();
  }

  freeze(): void {
    for (const program of this.#programs) program.child.kill("SIGSTOP");
  }

  thaw(): void {
    for (const program of this.#programs) program.child.kill("SIGCONT");
  }
}
