/**
 * client – gateway – origin, each in a network namespace of its own, with programs in each: what the TCP keepalive tests share.
 *
 *     client 10.71.0.2 ── 10.71.0.1 gateway 10.72.0.1 ── 10.72.0.2 origin (and 10.72.0.3, a second server)
 */
import path from "node:path";
import type { TestContext } from "node:test";
import { createTopology, type Topology, whyNoNamespaces } from "../../src/testing/netns.ts";
import { compiledRoot } from "../harness/paths.ts";
import { requirePeer, skipOrFail } from "../harness/peers.ts";
import { type Program, startProgram } from "../harness/program.ts";
import { type HoldfastServer, startHoldfast } from "../harness/servers.ts";

export const GATEWAY_ADDRESS = "10.71.0.1";
export const CLIENT_ADDRESS = "10.71.0.2";
export const ORIGIN_ADDRESS = "10.72.0.2";
export const SECOND_ORIGIN_ADDRESS = "10.72.0.3";
export const PORT = 8080;

export function requireNamespaces(t: TestContext): boolean {
  if (!requirePeer(t, "ip", "nft", "unshare", "nsenter", "ss")) return false;
  const reason = whyNoNamespaces();
  return reason === undefined || skipOrFail(t, `no network namespaces here: ${reason}`);
}

export class ThreeNodes implements AsyncDisposable {
  readonly topology: Topology;
  readonly gateway: HoldfastServer;
  readonly #programs: Program[] = [];

  constructor(topology: Topology, gateway: HoldfastServer) {
    this.topology = topology;
    this.gateway = gateway;
  }

  /** A program of test/netns/ in a node; it prints JSON lines. */
  async start(node: string, script: string, ...args: string[]): Promise<Program> {
    const program = await startProgram({
      name: `${script} in ${node}`,
      command: process.execPath,
      args: [path.join(compiledRoot, "test/netns", script), ...args],
      prefix: this.topology.inside(node),
    });
    this.#programs.push(program);
    return program;
  }

  /** `ss -tno` inside the gateway's node, established connections with the given filter. */
  sockets(filter: string): string {
    return this.topology.run("gateway", "ss", "-Htno", "state", "established", ...filter.split(" "));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.#programs) await program.stop("SIGKILL");
    await this.gateway.stop();
    await this.topology[Symbol.asyncDispose]();
  }
}

export async function startThreeNodes(
  config: string,
  gatewaySysctls: Readonly<Record<string, string>> = {},
): Promise<ThreeNodes> {
  const topology = await createTopology({
    nodes: ["client", "gateway", "origin"],
    sysctls: { gateway: gatewaySysctls },
    links: [
      [
        { node: "client", interface: "eth0", address: `${CLIENT_ADDRESS}/24` },
        { node: "gateway", interface: "front", address: `${GATEWAY_ADDRESS}/24` },
      ],
      [
        { node: "origin", interface: "eth0", address: `${ORIGIN_ADDRESS}/24` },
        { node: "gateway", interface: "back", address: "10.72.0.1/24" },
      ],
    ],
  });
  try {
    topology.run("origin", "ip", "address", "add", `${SECOND_ORIGIN_ADDRESS}/24`, "dev", "eth0");
    return new ThreeNodes(topology, await startHoldfast({ config, prefix: topology.inside("gateway") }));
  } catch (error) {
    await topology[Symbol.asyncDispose]();
    throw error;
  }
}
