/**
 * What the situation tests share: a client and a backend that talk over TCP through a gateway, each a real kernel in a namespace of
 * its own, with a masquerading NAT between two of them where the test asks for one.
 *
 *     client 10.71.0.2 ── 10.71.0.1 gateway 10.72.0.1 ── 10.72.0.2 origin                              without NAT
 *     client 10.71.0.2 ── 10.71.0.1 gateway 10.73.0.1 ── 10.73.0.2 nat 10.72.0.1 ── 10.72.0.2 origin       NAT before the origin
 *     client 10.73.0.2 ── 10.73.0.1 nat 10.71.0.2 ── 10.71.0.1 gateway 10.72.0.1 ── 10.72.0.2 origin       NAT before the gateway
 */
import assert from "node:assert/strict";
import path from "node:path";
import { createTopology, type LinkEnd, type Topology } from "../../src/testing/netns.ts";
import { compiledRoot } from "../harness/paths.ts";
import { eventually, type Program, startProgram } from "../harness/program.ts";
import { type HoldfastServer, startHoldfast } from "../harness/servers.ts";
import { GATEWAY_ADDRESS, ORIGIN_ADDRESS, PORT } from "./three-nodes.ts";

export type NatPlace = "none" | "before-origin" | "before-gateway";

/** One thing that happened at one end. */
export interface TalkEvent {
  readonly event: string;
  readonly atMs: number;
  readonly text?: string;
  readonly code?: string;
  readonly local?: string;
}

/** One end of the conversation. */
export class Talker {
  readonly program: Program;
  constructor(program: Program) {
    this.program = program;
  }

  get events(): TalkEvent[] {
    return this.program.lines.map((line) => JSON.parse(line) as TalkEvent);
  }

  say(text: string): number {
    this.program.child.stdin!.write(`${text}\n`);
    return Date.now();
  }

  async sees(event: string, timeoutMs: number): Promise<TalkEvent> {
    return JSON.parse(await this.program.line((line) => line.includes(`"event":"${event}"`), timeoutMs));
  }

  async hears(text: string, timeoutMs: number): Promise<TalkEvent> {
    return eventually(`${this.program.name} hears ${text}`, timeoutMs, () => {
      const events = this.events.filter((it) => it.event === "data");
      return (
        events
          .map((it) => it.text)
          .join("")
          .includes(text) && events.at(-1)
      );
    });
  }

  /** What ended the connection, or undefined while it lives. */
  get ending(): TalkEvent | undefined {
    return this.events.find((it) => it.event === "error" || it.event === "end");
  }
}

export class Conversation implements AsyncDisposable {
  readonly topology: Topology;
  readonly gateway: HoldfastServer;
  readonly client: Talker;
  readonly origin: Talker;

  constructor(topology: Topology, gateway: HoldfastServer, client: Talker, origin: Talker) {
    this.topology = topology;
    this.gateway = gateway;
    this.client = client;
    this.origin = origin;
  }

  /** State of the node's side of the conversation, as ss(8) sees it: `ESTAB`, …, or "" when there is no socket. */
  socketState(node: string, filter = `( sport = :${PORT} or dport = :${PORT} )`): string {
    const text = this.topology.run(node, "ss", "-Htna", ...filter.split(" "));
    const states = text.split("\n").map((line) => line.split(/\s+/)[0] ?? "");
    return states.filter((state) => state !== "" && state !== "LISTEN").join(" ");
  }

  /** Keepalive probes the node's kernel has sent (nstat TcpExtTCPKeepAlive). */
  probesSent(node: string): number {
    const [names, values] = this.topology
      .run(node, "grep", "^TcpExt:", "/proc/net/netstat")
      .split("\n")
      .map((line) => line.split(" "));
    return Number(values![names!.indexOf("TCPKeepAlive")]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.program.stop("SIGKILL");
    await this.origin.program.stop("SIGKILL");
    await this.gateway.stop();
    await this.topology[Symbol.asyncDispose]();
  }
}

export interface ConversationOptions {
  /** Lines of `listeners.relay.tcp`, `listeners.relay` and `pools.relay`. */
  readonly tcp: string;
  readonly listener?: string;
  readonly pool?: string;
  /** Both ends send keepalive probes after so many seconds. */
  readonly endsKeepIdleSeconds?: number;
  readonly nat?: NatPlace;
  readonly natTimeoutSeconds?: number;
}

/** Client and origin connected through the gateway, having exchanged one word each way. */
export async function startConversation(options: ConversationOptions): Promise<Conversation> {
  const topology = await createTopology(planOf(options.nat ?? "none"));
  const started: { stop: (signal?: NodeJS.Signals) => Promise<void> }[] = [];
  try {
    if (options.nat !== undefined && options.nat !== "none") masquerade(topology, options.natTimeoutSeconds!);
    const talk = async (node: string, role: string, address: string): Promise<Talker> => {
      const keepIdle = options.endsKeepIdleSeconds;
      const program = await startProgram({
        name: node,
        command: process.execPath,
        args: [
          path.join(compiledRoot, "test/netns/talker-program.js"),
          role,
          address,
          String(PORT),
          ...(keepIdle === undefined ? [] : [String(keepIdle)]),
        ],
        prefix: topology.inside(node),
      });
      started.push(program);
      return new Talker(program);
    };
    const origin = await talk("origin", "listen", ORIGIN_ADDRESS);
    await origin.sees("listening", 5000);
    const gateway = await startHoldfast({ config: configOf(options), prefix: topology.inside("gateway") });
    started.push(gateway);
    const client = await talk("client", "connect", GATEWAY_ADDRESS);
    client.say("hello");
    await origin.hears("hello", 5000);
    origin.say("welcome");
    await client.hears("welcome", 5000);
    return new Conversation(topology, gateway, client, origin);
  } catch (error) {
    for (const program of started.reverse()) await program.stop("SIGKILL");
    await topology[Symbol.asyncDispose]();
    throw error;
  }
}

function configOf(options: ConversationOptions): string {
  return `workers: 1
listeners:
  relay:
    bind: ${GATEWAY_ADDRESS}:${PORT}
    ${options.listener ?? "so_keepalive: off"}
    tcp: { pool: relay, ${options.tcp} }
pools:
  relay:
    ${options.pool ?? "so_keepalive: off"}
    servers: ["${ORIGIN_ADDRESS}:${PORT}"]
`;
}

function planOf(nat: NatPlace): Parameters<typeof createTopology>[0] {
  const link = (a: string, aAddress: string, b: string, bAddress: string): readonly [LinkEnd, LinkEnd] => [
    { node: a, interface: `to-${b}`, address: `${aAddress}/24` },
    { node: b, interface: `to-${a}`, address: `${bAddress}/24` },
  ];
  const clientLink = link("client", "10.71.0.2", "gateway", GATEWAY_ADDRESS);
  const originLink = link("gateway", "10.72.0.1", "origin", ORIGIN_ADDRESS);
  switch (nat) {
    case "none":
      return { nodes: ["client", "gateway", "origin"], links: [clientLink, originLink] };
    case "before-origin":
      return {
        nodes: ["client", "gateway", "nat", "origin"],
        links: [
          clientLink,
          link("gateway", "10.73.0.1", "nat", "10.73.0.2"),
          link("nat", "10.72.0.1", "origin", ORIGIN_ADDRESS),
        ],
        routes: { gateway: ["10.72.0.0/24 via 10.73.0.2"] },
        forwarding: ["nat"],
      };
    case "before-gateway":
      return {
        nodes: ["client", "gateway", "nat", "origin"],
        links: [
          link("client", "10.73.0.2", "nat", "10.73.0.1"),
          link("nat", "10.71.0.2", "gateway", GATEWAY_ADDRESS),
          originLink,
        ],
        routes: { client: ["10.71.0.0/24 via 10.73.0.1"] },
        forwarding: ["nat"],
      };
  }
}

/** Source NAT with conntrack, as a home router or a cloud's NAT gateway does it, but impatient. */
function masquerade(topology: Topology, establishedTimeoutSeconds: number): void {
  const rules = `table ip nat { chain postrouting { type nat hook postrouting priority srcnat; masquerade; }; }`;
  topology.run("nat", "nft", rules);
  topology.run(
    "nat",
    "sh",
    "-c",
    `echo ${establishedTimeoutSeconds} > /proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established`,
  );
}

/** Asserts that something took as long as expected, a little longer at most. */
export function assertTook(elapsedMs: number, expectedMs: number, toleranceMs: number, what: string): void {
  assert.ok(
    elapsedMs >= expectedMs - 20 && elapsedMs <= expectedMs + toleranceMs,
    `${what} after ${Math.round(elapsedMs)} ms, expected ${expectedMs} ms (+ ${toleranceMs})`,
  );
}
