/**
 * Routers and a client on one Ethernet segment, each in a network namespace of its own, and what can be seen of them from outside:
 * which node has an address, and which advertisements pass. For the tests of virtual routers beside keepalived and FRR.
 *
 *     a 10.90.0.1, b 10.90.0.2, c 10.90.0.3, client 10.90.0.9, web1 and web2 10.90.0.11 and .12 ── bridge in node "switch"
 */
import { readFileSync } from "node:fs";
import type { TestContext } from "node:test";
import { createTopology, type Topology, whyNoNamespaces } from "../../src/testing/netns.ts";
import { peerPath, requirePeer, skipOrFail } from "./peers.ts";
import { eventually, type Program, startProgram } from "./program.ts";

export type RouterNode = "a" | "b" | "c";
export type ServerNode = "web1" | "web2";
export type LanNode = RouterNode | ServerNode | "client";

const LAST_OCTET: Readonly<Record<LanNode, number>> = { a: 1, b: 2, c: 3, client: 9, web1: 11, web2: 12 };

export const INTERFACE = "eth0";
export const addressOf = (node: LanNode): string => `10.90.0.${LAST_OCTET[node]}`;
export const address6Of = (node: LanNode): string => `fd00:90::${LAST_OCTET[node]}`;

/** What one virtual router is configured to be, in words that every implementation has. */
export interface RouterParameters {
  readonly id: number;
  readonly version: 2 | 3;
  readonly priority: number;
  readonly intervalMs: number;
  readonly preempt: boolean;
  /** With prefix length. IPv6: a link-local one first (RFC 9568 erratum 8300). */
  readonly addresses: readonly string[];
  /** Nodes; undefined: multicast. */
  readonly peers?: readonly RouterNode[];
  /** Version 2 simple password. */
  readonly authPass?: string;
}

/** A router daemon that runs in a node. */
export interface RouterDaemon {
  readonly name: string;
  /** SIGTERM, and waits until it is gone. */
  stop(): Promise<void>;
  /** SIGKILL of every process of it at once: none can say goodbye. */
  kill(): Promise<void>;
  /** SIGSTOP and SIGCONT of every process of it. */
  freeze(): void;
  thaw(): void;
  /** What it printed so far. */
  log(): string;
}

export function requireLan(t: TestContext): boolean {
  if (!requirePeer(t, "ip", "nft", "unshare", "nsenter", "tcpdump")) return false;
  const reason = whyNoNamespaces();
  return reason === undefined || skipOrFail(t, `no network namespaces here: ${reason}`);
}

export class RouterLan implements AsyncDisposable {
  readonly topology: Topology;
  readonly #nodes: readonly LanNode[];
  readonly #watches = new Map<LanNode, AddressWatch>();
  readonly #programs: AsyncDisposable[] = [];
  /** In the order in which they were started. */
  readonly daemons: RouterDaemon[] = [];

  constructor(topology: Topology, nodes: readonly LanNode[]) {
    this.topology = topology;
    this.#nodes = nodes;
  }

  /** Stops it (SIGKILL) when the LAN is disposed, whatever the test did with it. */
  own(program: AsyncDisposable): void {
    this.#programs.push(program);
  }

  ownDaemon<Daemon extends RouterDaemon>(daemon: Daemon): Daemon {
    this.daemons.push(daemon);
    this.own({ [Symbol.asyncDispose]: () => daemon.kill() });
    return daemon;
  }

  /** Nodes that have an address now, `10.90.0.100`, whoever put it there. */
  holders(address: string): LanNode[] {
    return this.#nodes.filter((node) => this.#watches.get(node)?.has(address));
  }

  hasAddress(node: LanNode, address: string): boolean {
    return this.#watches.get(node)!.has(address);
  }

  /** How often a node got the address since the beginning; a renewed lease is none. */
  arrivals(address: string): number {
    let sum = 0;
    for (const watch of this.#watches.values()) sum += watch.arrivals(address);
    return sum;
  }

  /** Asks the kernel, which is slower, and certain even right after a change. */
  hasAddressNow(node: LanNode, address: string): boolean {
    const text = this.topology.run(node, "ip", "-o", "address", "show");
    return text.split("\n").some((line) => line.split(/\s+/)[3]?.split("/")[0] === address);
  }

  /** From here on holders() and hasAddress() know what comes and goes; what was there before does not count. */
  async watchAddresses(): Promise<void> {
    for (const node of this.#nodes.filter((it) => it === "a" || it === "b" || it === "c")) {
      const program = await startProgram({
        name: `ip monitor in ${node}`,
        command: peerPath("ip"),
        args: ["-o", "monitor", "address"],
        prefix: this.topology.inside(node),
      });
      this.own(program);
      this.#watches.set(node, new AddressWatch(program));
      await eventually("ip monitor has subscribed", 10_000, () => hasNetlinkGroups(program.pid));
    }
  }

  /** Waits until exactly this node has the address; resolves with the milliseconds it took. */
  async untilHeldBy(node: LanNode, address: string, timeoutMs: number): Promise<number> {
    const beganMs = performance.now();
    await eventually(`${node} alone has ${address}`, timeoutMs, () => this.holders(address).join() === node);
    return performance.now() - beganMs;
  }

  /** Waits until this node has the address too: a killed keepalived leaves its own behind. */
  async untilHas(node: LanNode, address: string, timeoutMs: number): Promise<number> {
    const beganMs = performance.now();
    await eventually(`${node} has ${address}`, timeoutMs, () => this.hasAddress(node, address));
    return performance.now() - beganMs;
  }

  /** `ip monitor address` in a node: every address that comes or is renewed, and "Deleted …" for those that go. */
  async monitorAddresses(node: LanNode): Promise<Program> {
    const program = await startProgram({
      name: `ip monitor address in ${node}`,
      command: peerPath("ip"),
      args: ["-o", "monitor", "address"],
      prefix: this.topology.inside(node),
    });
    this.own(program);
    await eventually("ip monitor tells of changes", 10_000, () => {
      this.topology.run(node, "ip", "address", "replace", "127.0.0.2/8", "dev", "lo");
      return program.lines.length > 0;
    });
    return program;
  }

  setCable(node: LanNode, state: "up" | "down"): void {
    this.topology.setLink("switch", `lan-${this.#nodes.indexOf(node)}`, state);
  }

  /** Advertisements that pass this node's port, both directions, as tcpdump tells them. */
  async capture(node: LanNode): Promise<AdvertisementCapture> {
    const port = `lan-${this.#nodes.indexOf(node)}`;
    const program = await startProgram({
      name: `tcpdump at ${port}`,
      command: peerPath("tcpdump"),
      // tcpdump buffers by itself where the snapshot length is small: --immediate-mode.
      args: ["-i", port, "-l", "-n", "-v", "-tt", "--immediate-mode", "proto 112 or (ip6 and ip6[6] == 112)"],
      prefix: this.topology.inside("switch"),
    });
    this.own(program);
    await eventually("tcpdump listens", 5000, () => program.stderr.includes("listening on"));
    return new AdvertisementCapture(program);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#programs.map((program) => program[Symbol.asyncDispose]()));
    await this.topology[Symbol.asyncDispose]();
  }
}

/** Whether the process belongs to a multicast group of rtnetlink: a row `sk Eth Pid Groups …` of proc's net/netlink. */
function hasNetlinkGroups(pid: number): boolean {
  const rows = readFileSync(`/proc/${pid}/net/netlink`, "latin1").split("\n");
  return rows.some((row) => {
    const [, protocol, owner, groups] = row.trim().split(/\s+/);
    return protocol === "0" && owner === String(pid) && Number.parseInt(groups!, 16) !== 0;
  });
}

/** What `ip -o monitor address` tells: `2: eth0 inet 10.90.0.100/24 …`, and the same after `Deleted`. */
class AddressWatch {
  readonly #program: Program;
  readonly #present = new Set<string>();
  readonly #arrivals = new Map<string, number>();
  #linesRead = 0;

  constructor(program: Program) {
    this.#program = program;
  }

  has(address: string): boolean {
    this.#readOn();
    return this.#present.has(address);
  }

  arrivals(address: string): number {
    this.#readOn();
    return this.#arrivals.get(address) ?? 0;
  }

  #readOn(): void {
    const { lines } = this.#program;
    for (const line of lines.slice(this.#linesRead)) {
      const found = line.match(/^(Deleted )?.*? inet6? ([0-9a-f.:]+)\//);
      if (found === null) continue;
      const address = found[2]!;
      if (found[1] !== undefined) this.#present.delete(address);
      else if (!this.#present.has(address)) {
        this.#present.add(address);
        this.#arrivals.set(address, (this.#arrivals.get(address) ?? 0) + 1);
      }
    }
    this.#linesRead = lines.length;
  }
}

/** One advertisement as tcpdump -v understood it. */
export interface CapturedAdvertisement {
  readonly source: string;
  readonly version: number;
  readonly id: number;
  readonly priority: number;
  readonly text: string;
}

export class AdvertisementCapture {
  readonly #program: Program;

  constructor(program: Program) {
    this.#program = program;
  }

  /**
   * tcpdump -v writes a line of the IP header and, indented, one of the message; for IPv6 both are on one line:
   * `    10.90.0.1 > 224.0.0.18: VRRPv3, Advertisement, vrid 51, prio 200, intvl 100cs, length 12, addrs: 10.90.0.100`.
   */
  get advertisements(): CapturedAdvertisement[] {
    return this.#program.lines.flatMap((text) => {
      const found = text.match(
        /([0-9a-f.:]+) > [0-9a-f.:]+: (?:ip-proto-112|.*?VRRPv(\d), Advertisement, .*?vrid (\d+), prio (\d+))/,
      );
      if (found?.[2] === undefined) return [];
      const [, source, version, id, priority] = found;
      return [
        { source: source!, version: Number(version), id: Number(id), priority: Number(priority), text },
      ];
    });
  }

  count(predicate: (advertisement: CapturedAdvertisement) => boolean): number {
    return this.advertisements.filter(predicate).length;
  }
}

export async function startRouterLan(
  nodes: readonly RouterNode[] = ["a", "b"],
  servers: readonly ServerNode[] = [],
): Promise<RouterLan> {
  const all: readonly LanNode[] = [...nodes, ...servers, "client"];
  const topology = await createTopology({
    nodes: [...all, "switch"],
    links: [],
    bridges: [
      {
        node: "switch",
        interface: "lan",
        ends: all.map((node) => ({ node, interface: INTERFACE, address: `${addressOf(node)}/24` })),
      },
    ],
    // Link-local addresses are usable at once, and a backup's own address is not doubted.
    sysctls: Object.fromEntries(
      all.map((node) => [node, { [`net.ipv6.conf.${INTERFACE}.accept_dad`]: "0" }]),
    ),
  });
  const lan = new RouterLan(topology, all);
  try {
    for (const node of all) {
      // The link-local address that was made before the sysctl is still tentative: a new one.
      topology.setLink(node, INTERFACE, "down");
      topology.setLink(node, INTERFACE, "up");
      topology.run(node, "ip", "address", "add", `${address6Of(node)}/64`, "dev", INTERFACE);
    }
    await lan.watchAddresses();
    return lan;
  } catch (error) {
    await lan[Symbol.asyncDispose]();
    throw error;
  }
}
