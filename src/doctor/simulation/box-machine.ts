/**
 * A packet box's memory of one connection: NAT, L4 balancer or firewall. Time-outs depend on the TCP state as the box sees it and
 * are refreshed by any packet that passes, a kernel probe too (net/netfilter/ipvs/ip_vs_proto_tcp.c,
 * net/netfilter/nf_conntrack_proto_tcp.c). Pure: a packet in, a judgement out. connection.ts puts it on the path.
 */
import type { PacketBoxHop } from "../hop.ts";
import type { Packet, Side } from "./packet.ts";

export type BoxJudgement = "forward" | "adopt" | "drop" | "reset";

type Entry = "established" | "half-closed" | "closed" | "forgotten";

export class BoxMachine {
  readonly hop: PacketBoxHop;
  readonly index: number;
  #entry: Entry = "established";
  #refreshedAtMs: number;
  /** Who sent data that nobody has acknowledged yet. */
  #unansweredFrom: Side | undefined;
  readonly #endedBy = new Set<Side>();

  constructor(hop: PacketBoxHop, index: number, nowMs: number) {
    this.hop = hop;
    this.index = index;
    this.#refreshedAtMs = nowMs;
  }

  get isForgotten(): boolean {
    return this.#entry === "forgotten";
  }

  get isHalfClosed(): boolean {
    return this.#entry === "half-closed";
  }

  /** Neither side gets a packet through any more, nor ever will. */
  get isDeadEnd(): boolean {
    const { fromClient, fromServer } = this.hop.afterExpiry;
    return this.#entry === "forgotten" && fromClient !== "adopt" && fromServer !== "adopt";
  }

  get timeoutMs(): number | undefined {
    const { establishedMs, halfClosedMs, unansweredMs } = this.hop.timeouts;
    if (this.#entry === "closed" || this.#entry === "forgotten") return undefined;
    const stateMs = this.#entry === "half-closed" ? (halfClosedMs ?? establishedMs) : establishedMs;
    if (this.#unansweredFrom === undefined || unansweredMs === undefined) return stateMs;
    return Math.min(stateMs ?? unansweredMs, unansweredMs);
  }

  nextTimeout(): number | undefined {
    const timeoutMs = this.timeoutMs;
    return timeoutMs === undefined ? undefined : this.#refreshedAtMs + timeoutMs;
  }

  handleTimeout(): void {
    this.#entry = "forgotten";
  }

  /** As if a packet had passed: for probes that the simulation jumps over. */
  refresh(nowMs: number): void {
    this.#refreshedAtMs = Math.max(this.#refreshedAtMs, nowMs);
  }

  handlePacket(nowMs: number, packet: Packet, from: Side): BoxJudgement {
    const isKnown = this.#entry !== "forgotten";
    const judgement = isKnown ? "forward" : this.#judgeStranger(packet, from);
    if (judgement === "drop" || judgement === "reset") return judgement;
    // A reset makes no entry: nf_conntrack calls it INVALID and lets it pass.
    if (!isKnown && packet.kind !== "reset") this.#entry = "established";
    this.#follow(packet, from);
    this.refresh(nowMs);
    return judgement;
  }

  #judgeStranger(packet: Packet, from: Side): BoxJudgement {
    const { fromClient, fromServer } = this.hop.afterExpiry;
    const action = from === "client" ? fromClient : fromServer;
    // RFC 9293 §3.10.7.1: a reset is never answered with a reset.
    return action === "reset" && packet.kind === "reset" ? "drop" : action;
  }

  #follow(packet: Packet, from: Side): void {
    if (this.#entry === "forgotten") return;
    if (packet.kind === "reset") this.#entry = "closed";
    if (packet.kind === "fin") {
      this.#endedBy.add(from);
      this.#entry = this.#endedBy.size === 2 ? "closed" : "half-closed";
    }
    // Payload acknowledges what came from the other side, and waits for its own acknowledgement.
    if (packet.kind === "payload" || packet.kind === "fin") this.#unansweredFrom = from;
    else if (this.#unansweredFrom !== from) this.#unansweredFrom = undefined;
  }
}
