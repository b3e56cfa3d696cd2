/**
 * Topologies of network namespaces: nodes, links between them, dropped packets, links that go down. For tests of what a
 * network does to connections (tcp(7), veth(4), network_namespaces(7), nft(8)); shipped, so that users can test with them.
 *
 * Root uses the host's namespaces directly; anybody else gets a user namespace of their own (unshare(1)), where the same
 * commands are allowed if the kernel permits unprivileged user namespaces. Names carry the pid, and everything is removed on
 * dispose and, failing that, when the process exits.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";

export interface LinkEnd {
  readonly node: string;
  /** Interface name within the node, at most 15 characters. */
  readonly interface: string;
  /** With prefix length: `10.0.1.1/24`. */
  readonly address: string;
}

/** A network segment: a bridge(8) inside a node of its own, with a cable to each end. */
export interface Bridge {
  /** The node the bridge lives in, one of the plan's nodes. */
  readonly node: string;
  /** Name of the bridge; its ports are called after it and numbered: `lan` has `lan-0`, `lan-1`, … in the order of `ends`. */
  readonly interface: string;
  readonly ends: readonly LinkEnd[];
}

export interface TopologyPlan {
  readonly nodes: readonly string[];
  readonly links: readonly (readonly [LinkEnd, LinkEnd])[];
  /** Segments that several nodes share. */
  readonly bridges?: readonly Bridge[];
  /** `ip route add …` per node: `{ client: ["default via 10.0.1.1"] }`. */
  readonly routes?: Readonly<Record<string, readonly string[]>>;
  /** Nodes that forward packets between their interfaces. */
  readonly forwarding?: readonly string[];
  /** Sysctls per node: `{ gateway: { "net.ipv4.tcp_retries2": "5" } }`. */
  readonly sysctls?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

const COMMAND_TIMEOUT_MS = 10_000;
let topologiesMade = 0;

/** undefined when namespaces can be made here; otherwise the reason why not. */
export function whyNoNamespaces(): string | undefined {
  const words = process.getuid?.() === 0 ? ["unshare", "-n"] : ["unshare", "-Urnm"];
  const result = spawnSync(words[0]!, [...words.slice(1), "ip", "link", "show", "lo"], {
    encoding: "utf8",
    env: withSbin(),
  });
  if (result.error !== undefined) return `${words.join(" ")}: ${result.error.message}`;
  return result.status === 0
    ? undefined
    : `${words.join(" ")}: ${result.stderr.trim() || `exit status ${result.status}`}`;
}

export class Topology implements AsyncDisposable {
  readonly #prefix: string;
  readonly #nodes = new Set<string>();
  /** `nsenter …` into the user namespace, when we are not root. */
  readonly #enter: readonly string[];
  readonly #holder: ChildProcess | undefined;
  readonly #removeAtExit = (): void => this.#remove();
  #isRemoved = false;

  constructor(holder: ChildProcess | undefined) {
    this.#prefix = `hf${process.pid}-${++topologiesMade}`;
    this.#holder = holder;
    this.#enter =
      holder === undefined
        ? []
        : ["nsenter", "-t", String(holder.pid), "-U", "-m", "-n", "--preserve-credentials", "--"];
    process.once("exit", this.#removeAtExit);
  }

  /** The words to put before a command so that it runs inside a node. */
  inside(node: string): string[] {
    if (!this.#nodes.has(node)) throw new Error(`no such node: ${node}`);
    return [...this.#enter, "nsenter", `--net=/run/netns/${this.#namespace(node)}`, "--"];
  }

  /** Runs a command inside a node to its end; returns stdout; a non-zero exit is an error with stderr in it. */
  run(node: string, ...words: string[]): string {
    return execute([...this.inside(node), ...words]);
  }

  /** Drops packets as a broken network does, silently: `output` = what the node sends, `input` = what reaches it. */
  dropPackets(node: string, direction: "input" | "output", match: string): void {
    this.#ensureFilter(node, direction);
    this.run(node, "nft", `add rule inet holdfast ${direction} ${match} counter drop`);
  }

  /** Lets everything through again. */
  dropNothing(node: string): void {
    this.run(node, "nft", "flush ruleset");
  }

  setLink(node: string, interfaceName: string, state: "up" | "down"): void {
    this.run(node, "ip", "link", "set", interfaceName, state);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off("exit", this.#removeAtExit);
    this.#remove();
  }

  build(plan: TopologyPlan): void {
    for (const node of plan.nodes) {
      execute([...this.#enter, "ip", "netns", "add", this.#namespace(node)]);
      this.#nodes.add(node);
      this.run(node, "ip", "link", "set", "lo", "up");
      if (plan.forwarding?.includes(node)) this.#setSysctl(node, "net.ipv4.ip_forward", "1");
    }
    for (const [index, ends] of plan.links.entries()) this.#link(ends, index);
    for (const bridge of plan.bridges ?? []) this.#connectBridge(bridge);
    for (const [node, routes] of Object.entries(plan.routes ?? {})) {
      for (const route of routes) this.run(node, "ip", "route", "add", ...route.split(" "));
    }
    for (const [node, sysctls] of Object.entries(plan.sysctls ?? {})) {
      for (const [name, value] of Object.entries(sysctls)) this.#setSysctl(node, name, value);
    }
  }

  #setSysctl(node: string, name: string, value: string): void {
    this.run(node, "sh", "-c", 'printf %s "$1" > "/proc/sys/$2"', "sh", value, name.replaceAll(".", "/"));
  }

  #connectBridge(bridge: Bridge): void {
    const { node, interface: name, ends } = bridge;
    // Without spanning tree and without the multicast snooping that would wait for a querier nobody runs.
    this.run(
      node,
      ..."ip link add".split(" "),
      name,
      ..."type bridge stp_state 0 mcast_snooping 0".split(" "),
    );
    this.run(node, "ip", "link", "set", name, "up");
    for (const [index, end] of ends.entries()) {
      const port = `${name}-${index}`;
      this.run(end.node, ..."ip link add".split(" "), end.interface, "type", "veth", "peer", "name", port);
      this.run(end.node, "ip", "link", "set", port, "netns", this.#namespace(node));
      this.run(node, "ip", "link", "set", port, "master", name, "up");
      this.run(end.node, "ip", "address", "add", end.address, "dev", end.interface);
      this.run(end.node, "ip", "link", "set", end.interface, "up");
    }
  }

  #link(ends: readonly [LinkEnd, LinkEnd], index: number): void {
    // Both ends are born inside their nodes: no name is ever visible in the host's namespace.
    const [a, b] = ends;
    this.run(
      a.node,
      ..."ip link add".split(" "),
      a.interface,
      "type",
      "veth",
      "peer",
      "name",
      `peer${index}`,
    );
    this.run(
      a.node,
      "ip",
      "link",
      "set",
      `peer${index}`,
      "netns",
      this.#namespace(b.node),
      "name",
      b.interface,
    );
    for (const end of ends) {
      this.run(end.node, "ip", "address", "add", end.address, "dev", end.interface);
      this.run(end.node, "ip", "link", "set", end.interface, "up");
    }
  }

  #ensureFilter(node: string, direction: "input" | "output"): void {
    this.run(node, "nft", "add table inet holdfast");
    this.run(
      node,
      "nft",
      `add chain inet holdfast ${direction} { type filter hook ${direction} priority 0; policy accept; }`,
    );
  }

  #namespace(node: string): string {
    return `${this.#prefix}-${node}`;
  }

  #remove(): void {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    if (this.#holder !== undefined) {
      // The namespaces live in the holder's mount namespace and vanish with it.
      this.#holder.kill("SIGKILL");
      return;
    }
    for (const node of this.#nodes)
      spawnSync("ip", ["netns", "delete", this.#namespace(node)], { env: withSbin() });
  }
}

/** Makes the namespaces, links, addresses and routes of a plan. Use with `await using`, or dispose in `t.after`. */
export async function createTopology(plan: TopologyPlan): Promise<Topology> {
  const topology = new Topology(process.getuid?.() === 0 ? undefined : await startHolder());
  try {
    topology.build(plan);
    return topology;
  } catch (error) {
    await topology[Symbol.asyncDispose]();
    throw error;
  }
}

/** A process that owns a user, mount and network namespace with a /run of its own; the others are made inside it. */
async function startHolder(): Promise<ChildProcess> {
  const script = "mount -t tmpfs tmpfs /run && mkdir /run/netns && echo ready && exec sleep infinity";
  const holder = spawn("unshare", ["-Urnm", "--propagation", "private", "--kill-child", "sh", "-c", script], {
    stdio: ["ignore", "pipe", "pipe"],
    env: withSbin(),
  });
  await new Promise<void>((resolve, reject) => {
    let errors = "";
    holder.stderr.on("data", (text: Buffer) => {
      errors += text.toString();
    });
    holder.stdout.once("data", () => resolve());
    holder.once("error", reject);
    holder.once("exit", (status) => reject(new Error(`unshare exited with ${status}: ${errors}`)));
  });
  holder.unref();
  return holder;
}

function execute(words: readonly string[]): string {
  try {
    return execFileSync(words[0]!, words.slice(1), {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      timeout: COMMAND_TIMEOUT_MS,
      env: withSbin(),
    });
  } catch (error) {
    const stderr = (error as { stderr?: string }).stderr ?? "";
    throw new Error(`${words.join(" ")}: ${stderr.trim() || (error as Error).message}`, { cause: error });
  }
}

/** A plain user's PATH lacks the directories ip(8) and nft(8) are in. */
function withSbin(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin` };
}
