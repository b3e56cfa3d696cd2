/**
 * The application at one end of a path, on one connection: asks or answers, waits so long, lets an idle connection go, sends
 * heartbeats. The kernel below it is tcp-end-machine.ts. Pure.
 */
import type { EndPointHop } from "../hop.ts";
import { spokenDuration } from "../spoken-duration.ts";
import { type Application, earliest, type Surroundings } from "./application.ts";
import type { Socket } from "./connection.ts";
import type { Content } from "./packet.ts";

export interface EndPointBehaviour {
  /** The server's answer takes so long. */
  readonly responseTimeMs: number;
  /** Goes on sending after the other side has ended its own (half-close), until its answer is out. */
  readonly keepsItsSideOpen: boolean;
  /** A request that reaches the server is what the scenario is about (else: an answer that reaches the client). */
  readonly deliveryIsAtServer: boolean;
}

export class EndPointSession implements Application {
  readonly #world: Surroundings;
  readonly #hop: EndPointHop;
  readonly #behaviour: EndPointBehaviour;
  readonly #role: "client" | "server";
  readonly #counts: () => boolean;
  #socket: Socket | undefined;
  #lastPayloadMs: number;
  #lastPingMs: number;
  /** Client: asked, no answer yet. Server: was asked, computes. */
  #busySinceMs: number | undefined;
  #answersAtMs: number | undefined;
  #isAtWork = false;
  /** When the client was answered, but with an error. */
  #errorResponseAtMs: number | undefined;

  /** `counts`: whether what is exchanged now is the scenario's subject, not its preparation. */
  constructor(
    nowMs: number,
    world: Surroundings,
    role: "client" | "server",
    hop: EndPointHop,
    behaviour: EndPointBehaviour,
    counts: () => boolean,
  ) {
    this.#world = world;
    this.#role = role;
    this.#hop = hop;
    this.#behaviour = behaviour;
    this.#counts = counts;
    this.#lastPayloadMs = nowMs;
    this.#lastPingMs = nowMs;
  }

  attach(socket: Socket): void {
    this.#socket = socket;
  }

  get socket(): Socket | undefined {
    return this.#socket;
  }

  get errorResponseAtMs(): number | undefined {
    return this.#errorResponseAtMs;
  }

  get isOpen(): boolean {
    return this.#socket?.state === "open";
  }

  /** The scenario says that it is at work: it does not take the silence for idleness. */
  keepWorking(): void {
    this.#isAtWork = true;
  }

  request(nowMs: number): void {
    this.#busySinceMs = nowMs;
    this.#lastPayloadMs = nowMs;
    this.#socket!.send(nowMs, "request");
  }

  /** A word without being asked. */
  speak(nowMs: number): void {
    this.#lastPayloadMs = nowMs;
    this.#socket!.send(nowMs, this.#role === "client" ? "request" : "answer");
  }

  handlePayload(nowMs: number, _socket: Socket, content: Content): void {
    this.#lastPayloadMs = nowMs;
    if (content === "ping") return;
    if (this.#role === "client") this.#handleAnswer(nowMs, content);
    else this.#handleRequest(nowMs);
  }

  #handleAnswer(nowMs: number, content: Content): void {
    this.#busySinceMs = undefined;
    const { name } = this.#hop;
    const isError = content === "error-response";
    const text = isError ? `${name} gets an error response` : `${name} gets the answer`;
    this.#record(nowMs, isError ? "gets-error" : "gets-answer", text);
    if (isError) this.#errorResponseAtMs = nowMs;
    else if (this.#counts() && !this.#behaviour.deliveryIsAtServer) this.#world.reportDelivery(nowMs);
  }

  #handleRequest(nowMs: number): void {
    if (this.#behaviour.deliveryIsAtServer && this.#counts()) {
      this.#busySinceMs = undefined;
      this.#world.reportDelivery(nowMs);
      return;
    }
    this.#busySinceMs = nowMs;
    this.#answersAtMs = nowMs + this.#behaviour.responseTimeMs;
    if (this.#behaviour.responseTimeMs === 0) this.#answer(nowMs);
  }

  #answer(nowMs: number): void {
    this.#answersAtMs = undefined;
    this.#busySinceMs = undefined;
    this.#lastPayloadMs = nowMs;
    this.#socket!.send(nowMs, "answer");
    if (this.#socket!.hasReceivedFin) this.#socket!.close(nowMs, "fin", "fin");
  }

  handleFin(nowMs: number, socket: Socket): void {
    if (socket.hasSentFin) {
      socket.close(nowMs, "fin", "fin");
    } else if (!this.#behaviour.keepsItsSideOpen) {
      this.#stop();
      socket.close(nowMs, "fin", "fin");
    }
  }

  handleBroken(): void {
    this.#stop();
  }

  #stop(): void {
    this.#answersAtMs = undefined;
    this.#busySinceMs = undefined;
  }

  #idleCloseAt(): number | undefined {
    if (this.#hop.idleTimeoutMs === undefined || this.#busySinceMs !== undefined || this.#isAtWork)
      return undefined;
    return this.#lastPayloadMs + this.#hop.idleTimeoutMs;
  }

  #impatientAt(): number | undefined {
    if (this.#hop.responseTimeoutMs === undefined || this.#busySinceMs === undefined) return undefined;
    return this.#busySinceMs + this.#hop.responseTimeoutMs;
  }

  #pingAt(): number | undefined {
    const { pingIntervalMs } = this.#hop;
    if (pingIntervalMs === undefined || this.#socket?.hasSentFin || this.#socket?.tcp.isInFlight)
      return undefined;
    return Math.max(this.#lastPayloadMs, this.#lastPingMs) + pingIntervalMs;
  }

  nextTimeout(): number | undefined {
    if (!this.isOpen) return undefined;
    return earliest(this.#idleCloseAt(), this.#impatientAt(), this.#answersAtMs, this.#pingAt());
  }

  handleTimeout(nowMs: number): void {
    const isDue = (deadline: number | undefined): boolean => deadline !== undefined && deadline <= nowMs;
    if (isDue(this.#impatientAt())) this.#giveUp(nowMs);
    else if (isDue(this.#answersAtMs)) this.#answer(nowMs);
    else if (isDue(this.#idleCloseAt())) this.#letGo(nowMs);
    else if (isDue(this.#pingAt())) {
      this.#lastPingMs = nowMs;
      this.#socket!.send(nowMs, "ping");
    }
  }

  #giveUp(nowMs: number): void {
    const limit = spokenDuration(this.#hop.responseTimeoutMs!);
    const doing = this.#role === "client" ? "waiting for the answer" : "computing the answer";
    const text = `${this.#hop.name} gives up ${doing} after ${limit}`;
    this.#record(nowMs, "gives-up", text);
    this.#blame(nowMs, "cut", text);
    this.#stop();
    this.#socket!.close(nowMs, "fin", "own-timeout");
  }

  #letGo(nowMs: number): void {
    const text = `${this.#hop.name} closes its idle connection after ${spokenDuration(this.#hop.idleTimeoutMs!)}`;
    this.#blame(nowMs, "orderly", text);
    this.#socket!.close(nowMs, "fin", "own-timeout");
  }

  #blame(nowMs: number, kind: "orderly" | "cut", text: string): void {
    const { hop } = this.#socket!.place;
    this.#world.timeline.blame({ atMs: nowMs, hop, leg: this.#socket!.connection.leg, kind, text });
  }

  #record(nowMs: number, what: "gets-answer" | "gets-error" | "gives-up", text: string): void {
    const { hop } = this.#socket!.place;
    const { leg } = this.#socket!.connection;
    this.#world.timeline.record({ atMs: nowMs, hop, leg, what, errno: undefined, text });
  }
}
