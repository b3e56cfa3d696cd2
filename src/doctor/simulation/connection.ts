/**
 * One TCP connection on one leg: two sockets and the boxes between them, in order. Packets travel in no time; a packet dies or is
 * answered at the first box that has forgotten the connection, and refreshes only the boxes it got through. Pure.
 */
import type { EndFate, Errno, FateEvent } from "../fate.ts";
import type { PacketBoxHop, TcpEnd } from "../hop.ts";
import { spokenDuration } from "../spoken-duration.ts";
import { BoxMachine } from "./box-machine.ts";
import { type Content, otherSide, type Packet, type Side } from "./packet.ts";
import { TcpEndMachine } from "./tcp-end-machine.ts";
import type { Timeline } from "./timeline.ts";

/** The application at an end: an end point's or a proxy's. */
export interface SocketOwner {
  handlePayload(nowMs: number, socket: Socket, content: Content): void;
  handleFin(nowMs: number, socket: Socket): void;
  /** The connection is gone: reset, or given up by this end's own kernel. */
  handleBroken(nowMs: number, socket: Socket): void;
}

export interface SocketPlace {
  readonly hop: number;
  readonly name: string;
  readonly tcp: TcpEnd;
}

export type SocketFate = Pick<EndFate, "learnsAtMs" | "how" | "errno">;

type Transit =
  | { readonly kind: "delivered"; readonly passed: readonly BoxMachine[] }
  | { readonly kind: "lost"; readonly at: "box" | "vanished-host" }
  | { readonly kind: "answered-by-reset" };

/** net.ipv4.tcp_fin_timeout. */
const FIN_TIMEOUT_MS = 60_000;

export class Socket {
  readonly connection: Connection;
  readonly side: Side;
  readonly place: SocketPlace;
  readonly tcp: TcpEndMachine;
  owner: SocketOwner | undefined;
  state: "open" | "closed" | "vanished" = "open";
  hasSentFin = false;
  hasReceivedFin = false;
  fate: SocketFate | undefined;
  /** Closed in order while the peer had not ended its side (FIN_WAIT_2): its kernel acknowledges until then, and data gets RST. */
  #lingersUntilMs = 0;
  /** Sent or waiting behind what was sent, not acknowledged. */
  readonly #pending: Packet[] = [];

  constructor(connection: Connection, side: Side, place: SocketPlace, nowMs: number) {
    this.connection = connection;
    this.side = side;
    this.place = place;
    this.tcp = new TcpEndMachine(place.tcp, nowMs);
  }

  get peer(): Socket {
    return this.connection.socket(otherSide(this.side));
  }

  /** Open, while nobody is there to talk to, or nothing gets through for ever. */
  get isHalfOpen(): boolean {
    if (this.state !== "open") return false;
    return this.peer.state !== "open" || this.connection.boxes.some((box) => box.isDeadEnd);
  }

  nextTimeout(): number | undefined {
    return this.state === "open" ? this.tcp.nextTimeout() : undefined;
  }

  /** Kernel probes keep everything on this connection alive for ever: the simulation may jump over them. */
  get isKeptAliveByProbes(): boolean {
    const periodMs = this.tcp.answeredProbePeriodMs;
    if (periodMs === undefined || this.state !== "open" || this.peer.state !== "open") return false;
    if (this.tcp.isInFlight || this.tcp.probesOut > 0) return false;
    return this.connection.boxes.every((box) => !box.isForgotten && periodMs < (box.timeoutMs ?? Infinity));
  }

  send(nowMs: number, content: Content): void {
    const to = this.peer.place;
    const text = `${this.place.name} sends ${DESCRIPTIONS[content]} to ${to.name}`;
    this.#record(nowMs, content === "error-response" ? "answers-error" : "sends-payload", text, to.hop);
    this.#enqueue(nowMs, { kind: "payload", content });
  }

  /** Ends this side only: shutdown(2) with SHUT_WR. */
  shutdown(nowMs: number): void {
    if (this.state !== "open" || this.hasSentFin) return;
    this.hasSentFin = true;
    this.#record(nowMs, "sends-fin", `${this.place.name} ends its side (FIN)`, this.peer.place.hop);
    this.#enqueue(nowMs, { kind: "fin" });
  }

  /** close(2). A FIN that is lost is not followed up: what lost it loses the next one too. */
  close(nowMs: number, how: "fin" | "reset", fate: SocketFate["how"]): void {
    if (this.state !== "open") return;
    this.state = "closed";
    this.fate = { learnsAtMs: nowMs, how: fate, errno: undefined };
    if (how === "fin" && !this.hasReceivedFin) this.#lingersUntilMs = nowMs + FIN_TIMEOUT_MS;
    if (how === "fin" && this.hasSentFin) return;
    const word = how === "fin" ? "closes the connection (FIN)" : "resets the connection (RST)";
    this.#record(
      nowMs,
      how === "fin" ? "sends-fin" : "sends-reset",
      `${this.place.name} ${word}`,
      this.peer.place.hop,
    );
    this.hasSentFin = true;
    this.connection.carry(nowMs, this, { kind: how });
  }

  /** Whether its kernel answers a probe although the application has closed it. */
  isLingering(nowMs: number): boolean {
    return nowMs < this.#lingersUntilMs;
  }

  handleTimeout(nowMs: number): void {
    const action = this.tcp.handleTimeout(nowMs);
    const { name } = this.place;
    const to = this.peer.place.hop;
    if (action.kind === "probe") this.#probe(nowMs, action.number);
    if (action.kind === "retransmit") {
      this.#record(nowMs, "retransmits", `${name} sends the unacknowledged data again`, to);
      this.#attempt(nowMs);
    }
    if (action.kind === "give-up") {
      const why = action.reason === "probes" ? "no answer to its probes" : "its data is never acknowledged";
      this.#record(nowMs, "gives-up", `${name}'s kernel gives up: ${why}`, undefined);
      this.break(nowMs, "error", "ETIMEDOUT");
      if (action.sendsReset) {
        this.#record(nowMs, "sends-reset", `${name}'s kernel sends RST`, to);
        this.connection.carry(nowMs, this, { kind: "reset" });
      }
    }
  }

  /** A packet has come through to this end. */
  handleArrival(nowMs: number, packet: Packet): void {
    if (packet.kind === "reset") this.handleReset(nowMs);
    if (packet.kind !== "payload" && packet.kind !== "fin") return;
    this.tcp.handleData(nowMs);
    if (packet.kind === "payload") {
      this.owner?.handlePayload(nowMs, this, packet.content);
      return;
    }
    this.hasReceivedFin = true;
    this.#record(nowMs, "gets-fin", `${this.place.name} reads the end of the connection`, undefined);
    this.owner?.handleFin(nowMs, this);
  }

  handleReset(nowMs: number): void {
    if (this.state !== "open") return;
    // tcp_reset() in net/ipv4/tcp_input.c: EPIPE in CLOSE_WAIT.
    this.break(nowMs, "reset", this.hasReceivedFin && !this.hasSentFin ? "EPIPE" : "ECONNRESET");
  }

  break(nowMs: number, how: "reset" | "error", errno: Errno): void {
    this.state = "closed";
    this.fate = { learnsAtMs: nowMs, how, errno };
    const { hop, name } = this.place;
    this.connection.timeline.record({
      atMs: nowMs,
      hop,
      leg: this.connection.leg,
      what: how === "reset" ? "gets-reset" : "gets-error",
      errno,
      text: `${name}'s application is told ${errno}`,
    });
    this.owner?.handleBroken(nowMs, this);
  }

  #probe(nowMs: number, number: number): void {
    const { name } = this.place;
    this.#recordQuestion(nowMs);
    const transit = this.connection.carry(nowMs, this, { kind: "probe" });
    if (transit.kind === "delivered") this.#recordAnswer(nowMs);
    if (transit.kind === "lost") {
      this.#record(nowMs, "probe-lost", `probe ${number} of ${name} is not answered`, undefined);
    }
  }

  /** For probes that the simulation jumps over: `count` of them, the last at `nowMs`. */
  recordAnsweredProbes(nowMs: number, count: number, sinceMs: number): void {
    const repeated = { count, sinceMs };
    this.#recordQuestion(nowMs, repeated);
    this.#recordAnswer(nowMs, repeated);
  }

  #recordQuestion(nowMs: number, repeated = { count: 1, sinceMs: nowMs }): void {
    const { hop, name } = this.place;
    const to = this.peer.place;
    const text = `${name}'s kernel asks whether ${to.name} is there`;
    const base = { atMs: nowMs, leg: this.connection.leg, errno: undefined, repeated };
    this.connection.timeline.record({ ...base, hop, to: to.hop, what: "sends-probe", text });
  }

  #recordAnswer(nowMs: number, repeated = { count: 1, sinceMs: nowMs }): void {
    const { hop } = this.place;
    const from = this.peer.place;
    const text = `${from.name}'s kernel answers the probe`;
    const base = { atMs: nowMs, leg: this.connection.leg, errno: undefined, repeated };
    this.connection.timeline.record({ ...base, hop: from.hop, to: hop, what: "probe-answered", text });
  }

  #enqueue(nowMs: number, packet: Packet): void {
    if (this.state !== "open") return;
    this.#pending.push(packet);
    this.tcp.handleSent(nowMs);
    if (this.#pending.length === 1) this.#attempt(nowMs);
  }

  /** Sends what is pending until something is lost. */
  #attempt(nowMs: number): void {
    while (this.#pending.length > 0 && this.state === "open") {
      const packet = this.#pending[0]!;
      const transit = this.connection.carry(nowMs, this, packet, () => this.#pending.shift());
      if (transit.kind !== "delivered") return;
    }
  }

  /** The peer's kernel has acknowledged something. */
  handleAcknowledgement(nowMs: number): void {
    this.tcp.handleAcknowledgement(nowMs);
    if (this.#pending.length > 0) this.tcp.handleSent(nowMs);
  }

  #record(nowMs: number, what: FateEvent["what"], text: string, to: number | undefined): void {
    this.connection.timeline.record({
      atMs: nowMs,
      hop: this.place.hop,
      leg: this.connection.leg,
      what,
      errno: undefined,
      text,
      ...(to === undefined ? {} : { to }),
    });
  }
}

const DESCRIPTIONS: Readonly<Record<Content, string>> = {
  request: "a request",
  answer: "an answer",
  "error-response": "an error response",
  ping: "a heartbeat",
};

export class Connection {
  readonly leg: number;
  readonly boxes: readonly BoxMachine[];
  readonly client: Socket;
  readonly server: Socket;
  readonly timeline: Timeline;

  constructor(
    nowMs: number,
    leg: number,
    client: SocketPlace,
    boxes: readonly { readonly hop: PacketBoxHop; readonly index: number }[],
    server: SocketPlace,
    timeline: Timeline,
  ) {
    this.leg = leg;
    this.timeline = timeline;
    this.boxes = boxes.map(({ hop, index }) => new BoxMachine(hop, index, nowMs));
    this.client = new Socket(this, "client", client, nowMs);
    this.server = new Socket(this, "server", server, nowMs);
  }

  socket(side: Side): Socket {
    return side === "client" ? this.client : this.server;
  }

  /**
   * Takes a packet from one end towards the other. The acknowledgement is back before the peer's application acts on the packet;
   * `acknowledged` runs in between.
   */
  carry(nowMs: number, from: Socket, packet: Packet, acknowledged: () => void = () => {}): Transit {
    const passed: BoxMachine[] = [];
    for (const box of this.#boxesFrom(from.side)) {
      const judgement = box.handlePacket(nowMs, packet, from.side);
      if (judgement === "drop") {
        this.#recordAtBox(nowMs, box, "drops-packet", `${box.hop.name} drops it: no such connection`);
        return { kind: "lost", at: "box" };
      }
      if (judgement === "reset") {
        const text = `${box.hop.name} does not know the connection and answers ${from.place.name} with RST`;
        this.#recordAtBox(nowMs, box, "sends-reset", text, from.place.hop);
        this.#carryResetBack(nowMs, passed, from);
        return { kind: "answered-by-reset" };
      }
      if (judgement === "adopt") {
        this.#recordAtBox(nowMs, box, "adopts", `${box.hop.name} makes a new entry and lets it through`);
      }
      passed.push(box);
    }
    return this.#arrive(nowMs, from, packet, passed, acknowledged);
  }

  #arrive(
    nowMs: number,
    from: Socket,
    packet: Packet,
    passed: readonly BoxMachine[],
    acknowledged: () => void,
  ): Transit {
    const { peer } = from;
    if (peer.state === "vanished") return { kind: "lost", at: "vanished-host" };
    if (peer.state === "closed" && !this.#isLateButExpected(nowMs, packet, peer)) {
      if (packet.kind === "reset") return { kind: "delivered", passed };
      const text = `${peer.place.name}'s kernel has no such connection any more and answers with RST`;
      this.timeline.record({
        atMs: nowMs,
        hop: peer.place.hop,
        leg: this.leg,
        what: "sends-reset",
        errno: undefined,
        text,
        to: from.place.hop,
      });
      this.#carryResetBack(nowMs, passed, from);
      return { kind: "answered-by-reset" };
    }
    if (packet.kind !== "reset") {
      for (const box of passed.toReversed()) {
        box.handlePacket(nowMs, { kind: "acknowledgement" }, peer.side);
      }
      acknowledged();
      if (from.state === "open") from.handleAcknowledgement(nowMs);
    }
    if (peer.state === "open") peer.handleArrival(nowMs, packet);
    return { kind: "delivered", passed };
  }

  /** The FIN that answers a FIN, or a probe before that: the closed end waits for it (FIN_WAIT_2, TIME_WAIT). */
  #isLateButExpected(nowMs: number, packet: Packet, peer: Socket): boolean {
    return packet.kind === "probe" ? peer.isLingering(nowMs) : packet.kind === "fin" && peer.hasSentFin;
  }

  #carryResetBack(nowMs: number, passed: readonly BoxMachine[], to: Socket): void {
    for (const box of passed.toReversed()) box.handlePacket(nowMs, { kind: "reset" }, otherSide(to.side));
    to.handleReset(nowMs);
  }

  #boxesFrom(side: Side): readonly BoxMachine[] {
    return side === "client" ? this.boxes : this.boxes.toReversed();
  }

  /** A box's time is over: it forgets, and tells both ends when that is its way. */
  expire(nowMs: number, box: BoxMachine): void {
    const { name, atExpiry, afterExpiry } = box.hop;
    const state = box.isHalfClosed ? "half-closed connection" : "connection";
    const text = `${name} forgets the ${state}, ${spokenDuration(box.timeoutMs ?? 0)} after the last packet`;
    box.handleTimeout();
    this.#recordAtBox(nowMs, box, "forgets", text);
    const isHarmless =
      atExpiry === "silent" && afterExpiry.fromClient === "adopt" && afterExpiry.fromServer === "adopt";
    if (!isHarmless) this.timeline.blame({ atMs: nowMs, hop: box.index, leg: this.leg, kind: "cut", text });
    if (atExpiry === "silent") return;
    this.#resetTowards(nowMs, box, this.client);
    this.#resetTowards(nowMs, box, this.server);
  }

  #resetTowards(nowMs: number, box: BoxMachine, end: Socket): void {
    const text = `${box.hop.name} sends RST to ${end.place.name}`;
    this.#recordAtBox(nowMs, box, "sends-reset", text, end.place.hop);
    const from = otherSide(end.side);
    const route = this.#boxesFrom(from);
    for (const next of route.slice(route.indexOf(box) + 1)) {
      if (next.handlePacket(nowMs, { kind: "reset" }, from) === "drop") return;
    }
    end.handleReset(nowMs);
  }

  #recordAtBox(nowMs: number, box: BoxMachine, what: FateEvent["what"], text: string, to?: number): void {
    const base = { atMs: nowMs, hop: box.index, leg: this.leg, what, errno: undefined, text };
    this.timeline.record(to === undefined ? base : { ...base, to });
  }
}
