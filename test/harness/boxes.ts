/**
 * Middle boxes with a memory of seconds, each in a network namespace between the same two hosts, and each with the hop that
 * describes it to a prediction: packet boxes of conntrack and nftables (nf_conntrack-sysctl in the kernel's documentation, nft(8)), a
 * box that resets both ends, and Holdfast's own relay with every way of letting an idle session go.
 *
 *     client 10.80.N.2 ── 10.80.N.1 box N 10.81.N.1 ── 10.81.N.2 server          one client and one server host for all boxes
 */
import path from "node:path";
import type { PacketBoxHop, ProxyHop, TcpEnd } from "../../src/doctor/hop.ts";
import { createTopology, type LinkEnd, type Topology } from "../../src/testing/netns.ts";
import { compiledRoot } from "./paths.ts";
import { type Program, startProgram } from "./program.ts";
import { type HoldfastServer, startHoldfast } from "./servers.ts";

export const ESTABLISHED_MS = 4000;
export const HALF_CLOSED_MS = 2000;
/** For data that nobody acknowledges: conntrack's `unacknowledged` and `max_retrans`. */
export const UNANSWERED_MS = 1000;

/**
 * Of the hosts and boxes, so that giving up on data is a matter of seconds. The kernel gives up at the first retransmission timer past
 * (2^(n+1) - 1) × 200 ms after the first retransmission, and the timers double from 200 ms + round trip: whether the (n+2)nd or the
 * (n+3)rd is past it depends on milliseconds of round trip for n from 3 to 8, but not for 2.
 */
export const TCP_RETRIES2 = 2;

type Treatment = PacketBoxHop["afterExpiry"]["fromClient"];

export interface PacketBoxKind {
  readonly kind: "packet-box";
  readonly name: string;
  readonly hop: PacketBoxHop;
  readonly fromClient: Treatment;
  readonly fromServer: Treatment;
}

export interface RelayKind {
  readonly kind: "relay";
  readonly name: string;
  readonly onIdle: "close" | "reset" | "silent";
  /** What the relay's kernel does on both legs. */
  readonly soKeepalive: string;
  readonly hop: ProxyHop | PacketBoxHop;
}

export type BoxKind = PacketBoxKind | RelayKind;

const SOURCE = { text: "test/harness/boxes.ts" };

function conntrackBox(fromClient: Treatment, fromServer: Treatment): PacketBoxKind {
  // What conntrack takes up from a probe counts as unacknowledged from its first packet on.
  const unansweredMs = fromClient === "adopt" ? ESTABLISHED_MS : UNANSWERED_MS;
  const name =
    fromClient === fromServer
      ? `forgets, then ${fromClient}s`
      : `forgets, then ${fromClient}s/${fromServer}s`;
  const hop: PacketBoxHop = {
    kind: "packet-box",
    name,
    timeouts: {
      establishedMs: ESTABLISHED_MS,
      halfClosedMs: HALF_CLOSED_MS,
      unansweredMs,
    },
    atExpiry: "silent",
    afterExpiry: { fromClient, fromServer },
    source: SOURCE,
  };
  return { kind: "packet-box", name, hop, fromClient, fromServer };
}

/** resetting-box-program.ts: its one clock is refreshed by every packet, retransmissions too. */
const RESETS_BOTH: PacketBoxKind = {
  kind: "packet-box",
  name: "resets both",
  fromClient: "drop",
  fromServer: "drop",
  hop: {
    kind: "packet-box",
    name: "resets both",
    timeouts: { establishedMs: ESTABLISHED_MS, halfClosedMs: HALF_CLOSED_MS, unansweredMs: undefined },
    atExpiry: "reset-both",
    afterExpiry: { fromClient: "drop", fromServer: "drop" },
    source: SOURCE,
  },
};

export const PACKET_BOXES: readonly PacketBoxKind[] = [
  conntrackBox("drop", "drop"),
  conntrackBox("reset", "reset"),
  conntrackBox("reset", "drop"),
  conntrackBox("adopt", "adopt"),
  conntrackBox("adopt", "drop"),
  RESETS_BOTH,
];

/** The hosts of these tests: their kernels' defaults but for tcp_retries2. */
export function tcpEnd(overrides: Partial<TcpEnd> = {}): TcpEnd {
  return {
    keepalive: undefined,
    userTimeoutMs: 0,
    retransmissionTimeoutMs: RETRANSMISSION_TIMEOUT_MS,
    ...overrides,
  };
}

/** tcp_model_timeout() in net/ipv4/tcp_timer.c for TCP_RETRIES2 below nine: (2^(n+1) - 1) × 200 ms. */
export const RETRANSMISSION_TIMEOUT_MS = (2 ** (TCP_RETRIES2 + 1) - 1) * 200;

function relay(onIdle: "close" | "reset", soKeepalive: string, side: TcpEnd, suffix: string): RelayKind {
  const name = `relay, on_idle: ${onIdle}${suffix}`;
  return {
    kind: "relay",
    name,
    onIdle,
    soKeepalive,
    hop: {
      kind: "proxy",
      name,
      protocol: "tcp",
      clientSide: side,
      serverSide: side,
      clientIdleTimeoutMs: ESTABLISHED_MS,
      serverIdleTimeoutMs: ESTABLISHED_MS,
      upstreamIdleTimeoutMs: undefined,
      halfClosedTimeoutMs: HALF_CLOSED_MS,
      onServerTimeout: onIdle,
      onClientTimeout: onIdle,
      passesResetAs: "reset",
      source: SOURCE,
    },
  };
}

const PROBING_RELAY = tcpEnd({ keepalive: { idleMs: 1000, intervalMs: 1000, probeCount: 2 } });

export const RELAYS: readonly RelayKind[] = [
  relay("close", "off", tcpEnd(), ""),
  relay("reset", "off", tcpEnd(), ""),
  relay("close", "1s:1s:2", PROBING_RELAY, ", so_keepalive 1s:1s:2"),
];

/** As a session table that forgets and answers for nobody: a packet box, as long as neither end probes (its kernel answers those). */
export const SILENT_RELAY: RelayKind = {
  kind: "relay",
  name: "relay, on_idle: silent",
  onIdle: "silent",
  soKeepalive: "off",
  hop: {
    kind: "packet-box",
    name: "relay, on_idle: silent",
    timeouts: { establishedMs: ESTABLISHED_MS, halfClosedMs: HALF_CLOSED_MS, unansweredMs: undefined },
    atExpiry: "silent",
    afterExpiry: { fromClient: "reset", fromServer: "reset" },
    source: SOURCE,
  },
};

/** Where a connection through a box goes: the client connects to `connectTo`, the server listens on `listenOn`. */
export interface Route {
  readonly connectTo: string;
  readonly listenOn: string;
  /** The same for both. */
  readonly port: number;
}

export class BoxRow implements AsyncDisposable {
  readonly topology: Topology;
  readonly #programs: Program[] = [];
  readonly #gateways: HoldfastServer[] = [];

  constructor(topology: Topology) {
    this.topology = topology;
  }

  /** Starts a program of test/netns/ in one of the two hosts or a box. */
  async start(node: string, script: string, args: readonly string[], readyLine?: string): Promise<Program> {
    const program = await startProgram({
      name: `${script} in ${node}`,
      command: process.execPath,
      args: [path.join(compiledRoot, "test/netns", script), ...args],
      prefix: this.topology.inside(node),
      ...(readyLine === undefined ? {} : { readyLine }),
    });
    this.#programs.push(program);
    return program;
  }

  async startRelay(box: number, config: string): Promise<void> {
    const prefix = this.topology.inside(boxNode(box));
    this.#gateways.push(await startHoldfast({ config, prefix }));
  }

  /** From now on nothing comes from these ports of a host nor reaches them: as if its power had failed. */
  silence(host: "client" | "server", ports: readonly number[]): void {
    if (ports.length === 0) return;
    this.topology.run(host, "nft", `add element inet holdfast dead { ${ports.join(", ")} }`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.#programs) await program.stop();
    for (const gateway of this.#gateways) await gateway.stop();
    await this.topology[Symbol.asyncDispose]();
  }
}

export const boxNode = (box: number): string => `box${box}`;

export function routeThrough(kind: BoxKind, box: number, port: number): Route {
  const listenOn = `10.81.${box}.2`;
  return { connectTo: kind.kind === "relay" ? `10.80.${box}.1` : listenOn, listenOn, port };
}

/** One box per kind, in this order, between the nodes `client` and `server`. Relays are started with startRelay(). */
export async function createBoxRow(kinds: readonly BoxKind[]): Promise<BoxRow> {
  const boxes = kinds.map((_, index) => boxNode(index));
  const hostSysctls = { "net.ipv4.tcp_retries2": String(TCP_RETRIES2) };
  const topology = await createTopology({
    nodes: ["client", "server", ...boxes],
    links: kinds.flatMap((_, index) => linksOf(index)),
    routes: {
      client: kinds.map((_, index) => `10.81.${index}.0/24 via 10.80.${index}.1`),
      server: kinds.map((_, index) => `10.80.${index}.0/24 via 10.81.${index}.1`),
    },
    forwarding: boxes.filter((_, index) => kinds[index]!.kind === "packet-box"),
    sysctls: Object.fromEntries(["client", "server", ...boxes].map((node) => [node, hostSysctls])),
  });
  const row = new BoxRow(topology);
  try {
    for (const host of ["client", "server"]) topology.run(host, "nft", POWER_SWITCH);
    for (const [index, kind] of kinds.entries()) {
      if (kind.kind === "packet-box") await furnish(row, index, kind);
    }
    return row;
  } catch (error) {
    await row[Symbol.asyncDispose]();
    throw error;
  }
}

function linksOf(box: number): (readonly [LinkEnd, LinkEnd])[] {
  const end = (node: string, name: string, address: string): LinkEnd => ({
    node,
    interface: name,
    address: `${address}/24`,
  });
  return [
    [end("client", `to-box${box}`, `10.80.${box}.2`), end(boxNode(box), "front", `10.80.${box}.1`)],
    [end("server", `to-box${box}`, `10.81.${box}.2`), end(boxNode(box), "back", `10.81.${box}.1`)],
  ];
}

const POWER_SWITCH = `table inet holdfast {
  set dead { type inet_service; }
  chain input { type filter hook input priority 0; tcp dport @dead drop; tcp sport @dead drop; }
  chain output { type filter hook output priority 0; tcp dport @dead drop; tcp sport @dead drop; }
}`;

async function furnish(row: BoxRow, box: number, kind: PacketBoxKind): Promise<void> {
  const node = boxNode(box);
  if (kind.hop.atExpiry === "reset-both") {
    const args = [ESTABLISHED_MS, HALF_CLOSED_MS].map(String);
    await row.start(node, "resetting-box-program.js", args, "ready");
    return;
  }
  row.topology.run(node, "nft", forwardRules(kind));
  const unansweredMs = kind.hop.timeouts.unansweredMs!;
  const seconds = { established: ESTABLISHED_MS, unacknowledged: unansweredMs, max_retrans: unansweredMs };
  const halfClosed = { fin_wait: HALF_CLOSED_MS, close_wait: HALF_CLOSED_MS };
  const adopts = kind.fromClient === "adopt" || kind.fromServer === "adopt";
  const settings = [
    ["loose", adopts ? 1 : 0],
    ...Object.entries({ ...seconds, ...halfClosed }).map(([state, ms]) => [`timeout_${state}`, ms / 1000]),
  ];
  const commands = settings.map(
    ([name, value]) => `echo ${value} > /proc/sys/net/netfilter/nf_conntrack_tcp_${name}`,
  );
  row.topology.run(node, "sh", "-ec", commands.join("\n"));
}

/**
 * conntrack calls a packet in the middle of a connection that it does not know `invalid` (tcp_loose = 0), or `new` and takes it up
 * (tcp_loose = 1), but never a FIN or RST.
 */
function forwardRules(kind: PacketBoxKind): string {
  const action = { drop: "drop", reset: "reject with tcp reset", adopt: "accept" };
  const unknown =
    kind.fromClient === "adopt"
      ? ["ct state new", "ct state invalid tcp flags & (fin | rst) != 0"]
      : ["ct state invalid"];
  const rules = (side: "front" | "back", treatment: Treatment): string[] =>
    unknown.map((match) => `iifname ${side} meta l4proto tcp ${match} ${action[treatment]};`);
  return `table inet holdfast {
  chain forward {
    type filter hook forward priority 0;
    ${[...rules("front", kind.fromClient), ...rules("back", kind.fromServer)].join("\n    ")}
  }
}`;
}
