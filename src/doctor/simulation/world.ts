/**
 * The simulated path: its legs, the connections on them, the applications at their ends, and a clock that jumps from one deadline to
 * the next. Same path and same script give the same history, always. Pure: the clock is a number in here.
 */
import type { EndPointHop, PacketBoxHop, Path, TcpEnd } from "../hop.ts";
import { type Application, earliest, type Surroundings } from "./application.ts";
import type { BoxMachine } from "./box-machine.ts";
import { Connection, type Socket, type SocketOwner, type SocketPlace } from "./connection.ts";
import { type EndPointBehaviour, EndPointSession } from "./end-point-machine.ts";
import { HttpProxyApplication, TcpProxySession } from "./proxy-machine.ts";
import { Timeline } from "./timeline.ts";

/** One TCP connection's way: from an end point or proxy to the next one. */
export interface Leg {
  readonly client: SocketPlace;
  readonly boxes: readonly { readonly hop: PacketBoxHop; readonly index: number }[];
  readonly server: SocketPlace;
}

export function legsOf(path: Path): readonly Leg[] {
  const legs: Leg[] = [];
  let client: SocketPlace | undefined;
  let boxes: { hop: PacketBoxHop; index: number }[] = [];
  path.hops.forEach((hop, index) => {
    if (hop.kind === "packet-box") {
      boxes.push({ hop, index });
      return;
    }
    const place = (tcp: TcpEnd): SocketPlace => ({ hop: index, name: hop.name, tcp });
    if (client !== undefined) {
      legs.push({ client, boxes, server: place(hop.kind === "proxy" ? hop.clientSide : hop.tcp) });
    }
    client = place(hop.kind === "proxy" ? hop.serverSide : hop.tcp);
    boxes = [];
  });
  return legs;
}

export interface ScriptStep {
  readonly atMs: number;
  readonly run: (nowMs: number) => void;
}

/** A guard against a path whose events never end; far above what any real one needs (a probe a second for two days). */
const STEPS_MAX = 400_000;

export class World implements Surroundings {
  readonly timeline = new Timeline();
  readonly connections: Connection[] = [];
  deliveredAtMs: number | undefined;
  isPreparing = false;
  readonly #path: Path;
  readonly #legs: readonly Leg[];
  readonly #behaviour: EndPointBehaviour;
  readonly #applications: Application[] = [];
  readonly #httpProxies = new Map<number, HttpProxyApplication>();
  readonly #vanishedHops = new Set<number>();
  #client: EndPointSession | undefined;
  #server: EndPointSession | undefined;

  constructor(path: Path, behaviour: EndPointBehaviour) {
    this.#path = path;
    this.#legs = legsOf(path);
    this.#behaviour = behaviour;
  }

  get client(): EndPointSession {
    return this.#client!;
  }

  /** The newest session of the server. */
  get server(): EndPointSession {
    return this.#server!;
  }

  connectClient(nowMs: number): void {
    this.#client = this.#newSession(nowMs, "client", this.#path.hops[0] as EndPointHop);
    this.#client.attach(this.connect(nowMs, 0, this.#client));
  }

  connect(nowMs: number, leg: number, owner: SocketOwner): Socket {
    const { client, boxes, server } = this.#legs[leg]!;
    const connection = new Connection(nowMs, leg, client, boxes, server, this.timeline);
    this.connections.push(connection);
    connection.client.owner = owner;
    if (this.#vanishedHops.has(server.hop)) connection.server.state = "vanished";
    else this.#accept(nowMs, connection.server);
    return connection.client;
  }

  #accept(nowMs: number, socket: Socket): void {
    const index = socket.place.hop;
    const hop = this.#path.hops[index]!;
    if (hop.kind === "end-point") {
      this.#server = this.#newSession(nowMs, "server", hop);
      this.#server.attach(socket);
      socket.owner = this.#server;
    } else if (hop.kind === "proxy" && hop.protocol === "tcp") {
      const session = new TcpProxySession(nowMs, this, hop, socket);
      this.#applications.push(session);
      socket.owner = session;
    } else if (hop.kind === "proxy") {
      const proxy = this.#httpProxies.get(index) ?? new HttpProxyApplication(nowMs, this, hop);
      if (!this.#httpProxies.has(index)) this.#applications.push(proxy);
      this.#httpProxies.set(index, proxy);
      proxy.accept(nowMs, socket);
      socket.owner = proxy;
    }
  }

  #newSession(nowMs: number, role: "client" | "server", hop: EndPointHop): EndPointSession {
    const counts = (): boolean => !this.isPreparing;
    const session = new EndPointSession(nowMs, this, role, hop, this.#behaviour, counts);
    this.#applications.push(session);
    return session;
  }

  reportDelivery(nowMs: number): void {
    this.deliveredAtMs ??= nowMs;
  }

  /** A host goes without a packet: its sockets, and whoever ran on it. */
  vanish(nowMs: number, who: "client" | "server"): void {
    const hop = who === "client" ? 0 : this.#path.hops.length - 1;
    const leg = who === "client" ? 0 : this.#legs.length - 1;
    this.#vanishedHops.add(hop);
    for (const socket of this.sockets()) {
      if (socket.place.hop === hop && socket.state === "open") socket.state = "vanished";
    }
    const text = `${this.#path.hops[hop]!.name}'s host is gone, without a packet`;
    this.timeline.record({ atMs: nowMs, hop, leg, what: "gives-up", errno: undefined, text });
    this.timeline.blame({ atMs: nowMs, hop, leg, kind: "cut", text });
  }

  sockets(): readonly Socket[] {
    return this.connections.flatMap((connection) => [connection.client, connection.server]);
  }

  get #liveConnections(): readonly Connection[] {
    return this.connections.filter((it) => it.client.state === "open" || it.server.state === "open");
  }

  /** Runs the script, then on until `isDecided` or nothing more can happen. Answers the time it stopped at. */
  run(script: readonly ScriptStep[], horizonMs: number, isDecided: () => boolean): number {
    let nowMs = 0;
    let next = 0;
    for (let step = 0; step < STEPS_MAX; step++) {
      if (next === script.length && isDecided()) return nowMs;
      const kept = this.#liveConnections.flatMap((connection) => keptSockets(connection));
      const deadline = earliest(this.#nextDeadline(kept), script[next]?.atMs);
      if (deadline === undefined) return nowMs;
      if (deadline > horizonMs) return horizonMs;
      this.#skipAnsweredProbes(kept, deadline);
      nowMs = deadline;
      if (this.#handleOneTimeout(nowMs)) continue;
      const due = script[next];
      if (due === undefined || due.atMs > nowMs) continue;
      next++;
      due.run(nowMs);
    }
    return nowMs;
  }

  /** The next moment at which something else than an answered probe happens. */
  #nextDeadline(kept: readonly Socket[]): number | undefined {
    let result = earliest(...this.#applications.map((application) => application.nextTimeout()));
    for (const connection of this.#liveConnections) {
      const keepers = kept.filter((socket) => socket.connection === connection);
      for (const socket of [connection.client, connection.server]) {
        if (!keepers.includes(socket)) result = earliest(result, socket.nextTimeout());
      }
      if (keepers.length > 0) continue; // its boxes hear a probe in time, always
      result = earliest(result, ...connection.boxes.map((box) => box.nextTimeout()));
    }
    return result;
  }

  #skipAnsweredProbes(kept: readonly Socket[], untilMs: number): void {
    const runs = kept.flatMap((socket) => {
      const dueMs = socket.tcp.keepaliveAtMs!;
      const firstMs = Math.max(dueMs, socket.tcp.firstProbeAtMs);
      const periodMs = socket.tcp.answeredProbePeriodMs!;
      if (firstMs >= untilMs) return [];
      const count = Math.ceil((untilMs - firstMs) / periodMs);
      return [{ socket, firstMs, count, lastMs: firstMs + (count - 1) * periodMs }];
    });
    for (const run of runs.toSorted((a, b) => a.firstMs - b.firstMs)) {
      run.socket.recordAnsweredProbes(run.firstMs, 1, run.firstMs);
    }
    for (const run of runs.toSorted((a, b) => a.lastMs - b.lastMs)) {
      if (run.count > 1) run.socket.recordAnsweredProbes(run.lastMs, run.count - 1, run.firstMs);
      run.socket.tcp.skipAnsweredProbes(run.lastMs);
      for (const box of run.socket.connection.boxes) box.refresh(run.lastMs);
    }
  }

  /** Boxes before kernels before applications: at a tie the box has forgotten already, the worse case for the connection. */
  #handleOneTimeout(nowMs: number): boolean {
    const isDue = (it: { nextTimeout(): number | undefined }): boolean =>
      (it.nextTimeout() ?? Infinity) <= nowMs;
    for (const connection of this.#liveConnections) {
      const box: BoxMachine | undefined = connection.boxes.find(isDue);
      if (box === undefined) continue;
      connection.expire(nowMs, box);
      return true;
    }
    const due = this.sockets().find(isDue) ?? this.#applications.find(isDue);
    due?.handleTimeout(nowMs);
    return due !== undefined;
  }
}

/** The ends of a connection whose probes alone keep it alive for ever. */
function keptSockets(connection: Connection): readonly Socket[] {
  return [connection.client, connection.server].filter((socket) => socket.isKeptAliveByProbes);
}
