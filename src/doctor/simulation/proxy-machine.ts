/**
 * A proxy: ends TCP on both sides, so kernel probes never cross it and only payload refreshes its time-outs. A TCP proxy has one
 * session per client connection; an HTTP proxy answers its clients and keeps its connections to the server for itself. Pure.
 */
import type { ProxyHop } from "../hop.ts";
import { spokenDuration } from "../spoken-duration.ts";
import { type Application, earliest, type Surroundings } from "./application.ts";
import type { Socket } from "./connection.ts";
import type { Content } from "./packet.ts";

/** A relay of bytes: what one side says, ends or breaks is passed to the other. */
export class TcpProxySession implements Application {
  readonly #world: Surroundings;
  readonly #hop: ProxyHop;
  readonly #towardsClient: Socket;
  readonly #towardsServer: Socket;
  #lastPayloadMs: number;

  constructor(nowMs: number, world: Surroundings, hop: ProxyHop, accepted: Socket) {
    this.#world = world;
    this.#hop = hop;
    this.#towardsClient = accepted;
    this.#lastPayloadMs = nowMs;
    this.#towardsServer = world.connect(nowMs, accepted.connection.leg + 1, this);
  }

  #other(socket: Socket): Socket {
    return socket.side === "server" ? this.#towardsServer : this.#towardsClient;
  }

  handlePayload(nowMs: number, socket: Socket, content: Content): void {
    this.#lastPayloadMs = nowMs;
    const other = this.#other(socket);
    if (other.state === "open") other.send(nowMs, content);
  }

  handleFin(nowMs: number, socket: Socket): void {
    this.#lastPayloadMs = nowMs;
    if (!socket.hasSentFin) {
      this.#other(socket).shutdown(nowMs);
      return;
    }
    socket.close(nowMs, "fin", "fin");
    this.#other(socket).close(nowMs, "fin", "fin");
  }

  handleBroken(nowMs: number, socket: Socket): void {
    const how = this.#hop.passesResetAs === "reset" ? "reset" : "fin";
    this.#other(socket).close(nowMs, how, how);
  }

  /**
   * Payload in either direction refreshes both sides: HAProxy refreshes the read time-out of a side that it writes to, nginx's
   * proxy_timeout and Holdfast's idle_timeout are one clock for the session.
   */
  #timeout(): { readonly afterMs: number; readonly of: "client" | "server" | "half-closed" } | undefined {
    const { clientIdleTimeoutMs, serverIdleTimeoutMs, halfClosedTimeoutMs } = this.#hop;
    const isHalfClosed = this.#towardsClient.hasReceivedFin || this.#towardsServer.hasReceivedFin;
    if (isHalfClosed && halfClosedTimeoutMs !== undefined)
      return { afterMs: halfClosedTimeoutMs, of: "half-closed" };
    const afterMs = earliest(clientIdleTimeoutMs, serverIdleTimeoutMs);
    if (afterMs === undefined) return undefined;
    return { afterMs, of: afterMs === clientIdleTimeoutMs ? "client" : "server" };
  }

  nextTimeout(): number | undefined {
    if (this.#towardsClient.state !== "open" && this.#towardsServer.state !== "open") return undefined;
    const timeout = this.#timeout();
    return timeout === undefined ? undefined : this.#lastPayloadMs + timeout.afterMs;
  }

  handleTimeout(nowMs: number): void {
    const timeout = this.#timeout()!;
    const state = timeout.of === "half-closed" ? "half-closed session" : "session";
    const text = `${this.#hop.name} ends the ${state} after ${spokenDuration(timeout.afterMs)} without payload`;
    recordEnd(this.#world, nowMs, this.#towardsClient, text, "cut");
    const action = timeout.of === "client" ? this.#hop.onClientTimeout : this.#hop.onServerTimeout;
    const how = action === "reset" ? "reset" : "fin";
    this.#towardsClient.close(nowMs, how, "own-timeout");
    this.#towardsServer.close(nowMs, how, "own-timeout");
  }
}

/** Requests and answers; each leg's connection lives its own life between two requests. */
export class HttpProxyApplication implements Application {
  readonly #world: Surroundings;
  readonly #hop: ProxyHop;
  #towardsClient: Socket | undefined;
  #towardsServer: Socket | undefined;
  #lastAnswerMs: number;
  #awaitsAnswerSinceMs: number | undefined;

  constructor(nowMs: number, world: Surroundings, hop: ProxyHop) {
    this.#world = world;
    this.#hop = hop;
    this.#lastAnswerMs = nowMs;
  }

  accept(nowMs: number, socket: Socket): void {
    this.#towardsClient = socket;
    this.#lastAnswerMs = nowMs;
  }

  get #isAwaitingAnswer(): boolean {
    return this.#awaitsAnswerSinceMs !== undefined;
  }

  handlePayload(nowMs: number, socket: Socket, content: Content): void {
    // HTTP/2 PING and the like end at this hop and are no request (Envoy: idle = no active requests).
    if (content === "ping") return;
    if (socket === this.#towardsClient) this.#forwardRequest(nowMs, socket);
    else if (this.#isAwaitingAnswer) this.#forwardAnswer(nowMs, socket, content);
    else socket.close(nowMs, "fin", "fin"); // an answer that nobody asked for: the connection is not to be trusted
  }

  #forwardRequest(nowMs: number, socket: Socket): void {
    this.#awaitsAnswerSinceMs = nowMs;
    if (this.#towardsServer?.state !== "open") {
      this.#towardsServer = this.#world.connect(nowMs, socket.connection.leg + 1, this);
    }
    this.#towardsServer.send(nowMs, "request");
  }

  #forwardAnswer(nowMs: number, socket: Socket, content: Content): void {
    this.#finishExchange(nowMs);
    if (this.#hop.upstreamIdleTimeoutMs === 0) socket.close(nowMs, "fin", "own-timeout");
    this.#towardsClient!.send(nowMs, content);
  }

  #finishExchange(nowMs: number): void {
    this.#awaitsAnswerSinceMs = undefined;
    this.#lastAnswerMs = nowMs;
  }

  handleFin(nowMs: number, socket: Socket): void {
    socket.close(nowMs, "fin", "fin");
    if (!this.#isAwaitingAnswer) return;
    if (socket === this.#towardsClient) {
      // RFC 9112 §9.6 lets a server go on; nginx (499) and Envoy take the client's FIN for a change of mind.
      const text = `${this.#hop.name} takes the client's FIN for the end and drops the request`;
      recordEnd(this.#world, nowMs, socket, text, "cut");
      this.#finishExchange(nowMs);
      this.#towardsServer!.close(nowMs, "fin", "own-timeout");
    } else if (socket === this.#towardsServer) {
      this.#answerInstead(nowMs, this.#hop.passesResetAs === "reset" ? "close" : this.#hop.passesResetAs);
    }
  }

  handleBroken(nowMs: number, socket: Socket): void {
    if (!this.#isAwaitingAnswer) return;
    if (socket === this.#towardsServer) this.#answerInstead(nowMs, this.#hop.passesResetAs);
    else if (socket === this.#towardsClient) {
      this.#finishExchange(nowMs);
      this.#towardsServer!.close(nowMs, "fin", "fin");
    }
  }

  /** The server's answer will not come: what the client gets in its place. */
  #answerInstead(nowMs: number, how: "error-response" | "close" | "reset"): void {
    this.#finishExchange(nowMs);
    if (how === "error-response") this.#towardsClient!.send(nowMs, "error-response");
    else
      this.#towardsClient!.close(nowMs, how === "close" ? "fin" : "reset", how === "close" ? "fin" : "reset");
  }

  #clientIdleAt(): number | undefined {
    const { clientIdleTimeoutMs } = this.#hop;
    if (clientIdleTimeoutMs === undefined || this.#isAwaitingAnswer) return undefined;
    return this.#towardsClient?.state === "open" ? this.#lastAnswerMs + clientIdleTimeoutMs : undefined;
  }

  #upstreamIdleAt(): number | undefined {
    const { upstreamIdleTimeoutMs } = this.#hop;
    if (upstreamIdleTimeoutMs === undefined || this.#isAwaitingAnswer) return undefined;
    return this.#towardsServer?.state === "open" ? this.#lastAnswerMs + upstreamIdleTimeoutMs : undefined;
  }

  #answerOverdueAt(): number | undefined {
    const { serverIdleTimeoutMs } = this.#hop;
    if (serverIdleTimeoutMs === undefined || this.#awaitsAnswerSinceMs === undefined) return undefined;
    return this.#awaitsAnswerSinceMs + serverIdleTimeoutMs;
  }

  nextTimeout(): number | undefined {
    return earliest(this.#answerOverdueAt(), this.#clientIdleAt(), this.#upstreamIdleAt());
  }

  handleTimeout(nowMs: number): void {
    const isDue = (deadline: number | undefined): boolean => deadline !== undefined && deadline <= nowMs;
    if (isDue(this.#answerOverdueAt())) this.#endOverdueExchange(nowMs);
    else if (isDue(this.#clientIdleAt())) this.#endIdleClient(nowMs);
    else if (isDue(this.#upstreamIdleAt())) {
      const limit = spokenDuration(this.#hop.upstreamIdleTimeoutMs!);
      const text = `${this.#hop.name} closes its idle connection to the server after ${limit}`;
      recordEnd(this.#world, nowMs, this.#towardsServer!, text, "orderly");
      this.#towardsServer!.close(nowMs, "fin", "own-timeout");
    }
  }

  #endOverdueExchange(nowMs: number): void {
    const limit = spokenDuration(this.#hop.serverIdleTimeoutMs!);
    const text = `${this.#hop.name} gives up waiting for the server's answer after ${limit}`;
    recordEnd(this.#world, nowMs, this.#towardsServer!, text, "cut");
    this.#answerInstead(nowMs, this.#hop.onServerTimeout);
    this.#towardsServer!.close(nowMs, "fin", "own-timeout");
  }

  #endIdleClient(nowMs: number): void {
    const limit = spokenDuration(this.#hop.clientIdleTimeoutMs!);
    const text = `${this.#hop.name} closes the client's idle connection after ${limit}`;
    const how = this.#hop.onClientTimeout === "reset" ? "reset" : "fin";
    recordEnd(this.#world, nowMs, this.#towardsClient!, text, how === "reset" ? "cut" : "orderly");
    this.#towardsClient!.close(nowMs, how, "own-timeout");
  }
}

function recordEnd(
  world: Surroundings,
  nowMs: number,
  socket: Socket,
  text: string,
  kind: "orderly" | "cut",
): void {
  const { hop } = socket.place;
  const { leg } = socket.connection;
  world.timeline.record({ atMs: nowMs, hop, leg, what: "gives-up", errno: undefined, text });
  world.timeline.blame({ atMs: nowMs, hop, leg, kind, text });
}
