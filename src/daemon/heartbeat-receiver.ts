/**
 * Where applications tell that they live (`heartbeats:` in the configuration): HTTP PUT, and datagrams on the UDP port of the same
 * number; heartbeat/beat-format.ts says how they look. One health/heartbeat-machine.ts per server with `health: { heartbeat: told }`
 * decides what follows; the results go to the health checker. Runs in the supervisor, on Node's event loop. There is no
 * authentication: bind it where only the applications can reach it. Beats for names that are not configured count for nothing.
 */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { HeartbeatCheckConfig, PoolConfig, SocketAddress } from "../config/types.ts";
import type { CheckedServer, CheckResult, HealthSource } from "../health/check-result.ts";
import { HeartbeatMachine } from "../health/heartbeat-machine.ts";
import {
  BEAT_BYTES_MAX,
  BEAT_REFUSED,
  type Beat,
  parseBeatBody,
  parseBeatDatagram,
  parseBeatPath,
} from "../heartbeat/beat-format.ts";
import { formatSocketAddress } from "../sys/sockaddr.ts";
import { describePortHolder } from "./port-holder.ts";
import { removeStaleSocketFile } from "./unix-path.ts";

type ToldConfig = Extract<HeartbeatCheckConfig, { mode: "told" }>;
type OnResult = (server: CheckedServer, result: CheckResult) => void;

/** Applications beat every few seconds: their connection is kept in between. */
const KEEPALIVE_TIMEOUT_MS = 75_000;
const REQUEST_TIMEOUT_MS = 10_000;
/** Names listed to somebody who used another one. */
const LISTED_MAX = 50;
/** Refusals of datagrams per second: the sender's address may be forged, and the answer is longer than the question. */
const REFUSALS_PER_SECOND = 10;
const REFUSAL_BYTES_MAX = 1000;
/** A timer later than this says that the gateway itself did not run, and beats wait in its sockets. */
const TARDINESS_MS_MAX = 100;

export class HeartbeatReceiver implements HealthSource {
  readonly address: SocketAddress;
  readonly #http: Server;
  readonly #udp: Socket | undefined;
  readonly #hearts = new Map<string, Heart>();
  #pools: readonly PoolConfig[] = [];
  #onResult: OnResult | undefined;
  #refusalsLeft = REFUSALS_PER_SECOND;
  #refusalSecond = -1;

  private constructor(address: SocketAddress, http: Server, udp: Socket | undefined) {
    this.address = address;
    this.#http = http;
    this.#udp = udp;
  }

  /** Binds; an error says what is in the way. */
  static async listen(address: SocketAddress): Promise<HeartbeatReceiver> {
    const http = createServer({ keepAliveTimeout: KEEPALIVE_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS });
    await bindHttp(http, address);
    const bound = address.family === "unix" ? address : { ...address, port: portOf(http) };
    let udp: Socket | undefined;
    try {
      udp = bound.family === "unix" ? undefined : await bindUdp(bound);
    } catch (error) {
      http.close();
      throw error;
    }
    const receiver = new HeartbeatReceiver(bound, http, udp);
    http.on("request", (request, response) => receiver.#handleRequest(request, response));
    udp?.on("message", (bytes, from) => receiver.#handleDatagram(bytes, from));
    udp?.on("error", () => {}); // an ICMP error about a refusal that was sent: nobody's concern
    return receiver;
  }

  /** Which beats count. Servers that stay as they are keep their state: a reload is no reason to wait for them anew. */
  configure(pools: readonly PoolConfig[]): void {
    this.#pools = pools;
    if (this.#onResult !== undefined) this.#update(this.#onResult);
  }

  /** From now on beats are awaited: the first of each server within its deadline. */
  start(onResult: OnResult): void {
    this.#onResult = onResult;
    this.#update(onResult);
  }

  stop(): void {
    this.#onResult = undefined;
    for (const heart of this.#hearts.values()) heart.stop();
    this.#hearts.clear();
  }

  close(): void {
    this.stop();
    this.#http.close();
    this.#http.closeAllConnections();
    this.#udp?.close();
  }

  #update(onResult: OnResult): void {
    const wanted = new Map(toldServers(this.#pools).map((told) => [keyOf(told), told]));
    for (const [key, heart] of this.#hearts) {
      if (heart.isFor(wanted.get(key))) continue;
      heart.stop();
      this.#hearts.delete(key);
    }
    for (const [key, told] of wanted) {
      if (!this.#hearts.has(key)) this.#hearts.set(key, new Heart(told, onResult));
    }
  }

  /** Why the beat does not count, or undefined. */
  #take(beat: Beat): string | undefined {
    const heart = this.#hearts.get(keyOf(beat));
    if (heart === undefined) return this.#unknown(beat);
    heart.handleBeat(beat.progress);
    return undefined;
  }

  #unknown({ pool, server }: Beat): string {
    if (this.#onResult === undefined) return "the gateway is starting, or stopping: it awaits no beats now";
    const names = [...this.#hearts.values()].map(({ told }) => `${told.pool} ${told.server}`);
    const listed = names.slice(0, LISTED_MAX).join("\n");
    const rest = names.length > LISTED_MAX ? `\n… and ${names.length - LISTED_MAX} more` : "";
    const known =
      names.length === 0
        ? "No pool has `health: { heartbeat: told }`."
        : `Beats are awaited from (POOL SERVER):\n${listed}${rest}`;
    return `no beat is awaited from server "${server}" of pool "${pool}". ${known}`;
  }

  // ── HTTP ─────────────────────────────────────────────────────────────────────────────────────────────────

  #handleRequest(request: IncomingMessage, response: ServerResponse): void {
    const names = parseBeatPath(request.url ?? "");
    // A web page somebody looks at on this machine can send requests here, too; its browser then names the page's origin.
    if (request.headers.origin !== undefined) refuse(response, 403, "requests from web pages are refused");
    else if (names === undefined) refuse(response, 404, "beats go to /heartbeat/POOL/SERVER");
    else if (request.method !== "PUT") {
      response.setHeader("Allow", "PUT");
      refuse(response, 405, "a beat is sent with PUT");
    } else
      readBody(request, (body) => {
        const progress = body === undefined ? Number.NaN : parseBeatBody(body);
        const isBeat = progress === undefined || Number.isFinite(progress);
        const fault = isBeat
          ? this.#take({ ...names, progress })
          : 'the body is empty or {"progress": NUMBER}';
        if (fault !== undefined) refuse(response, isBeat ? 404 : 400, fault);
        else response.writeHead(204).end();
      });
  }

  // ── datagrams ────────────────────────────────────────────────────────────────────────────────────────────

  #handleDatagram(bytes: Buffer, from: RemoteInfo): void {
    const beat = bytes.length > BEAT_BYTES_MAX ? undefined : parseBeatDatagram(bytes.toString("utf8"));
    const fault = beat === undefined ? "a beat is: holdfast-beat 1 POOL SERVER [PROGRESS]" : this.#take(beat);
    if (fault === undefined || !this.#mayRefuse()) return;
    const answer = Buffer.from(`${BEAT_REFUSED} ${fault}\n`).subarray(0, REFUSAL_BYTES_MAX);
    this.#udp?.send(answer, from.port, from.address, () => {});
  }

  #mayRefuse(): boolean {
    const second = Math.floor(performance.now() / 1000);
    if (second !== this.#refusalSecond) {
      this.#refusalSecond = second;
      this.#refusalsLeft = REFUSALS_PER_SECOND;
    }
    return this.#refusalsLeft-- > 0;
  }
}

interface ToldServer extends CheckedServer {
  readonly check: ToldConfig;
}

function toldServers(pools: readonly PoolConfig[]): ToldServer[] {
  return pools.flatMap((pool) => {
    const check = pool.health?.check;
    if (check?.kind !== "heartbeat" || check.mode !== "told") return [];
    return pool.servers.map((server) => ({ pool: pool.name, server: server.name, check }));
  });
}

function keyOf({ pool, server }: CheckedServer): string {
  return `${pool} ${server}`;
}

/** One server's machine and its timer. */
class Heart {
  readonly told: ToldServer;
  readonly #machine: HeartbeatMachine;
  readonly #onResult: OnResult;
  #timer: NodeJS.Timeout | undefined;
  #wakesAtMs = Number.POSITIVE_INFINITY;
  #wasLate = false;

  constructor(told: ToldServer, onResult: OnResult) {
    this.told = told;
    this.#onResult = onResult;
    this.#machine = new HeartbeatMachine(told.check, performance.now());
    this.#arm();
  }

  isFor(told: ToldServer | undefined): boolean {
    const { deadlineMs, progressDeadlineMs } = this.told.check;
    return told?.check.deadlineMs === deadlineMs && told.check.progressDeadlineMs === progressDeadlineMs;
  }

  handleBeat(progress: number | undefined): void {
    this.#wasLate = false;
    this.#report(this.#machine.handleBeat(performance.now(), progress));
    this.#arm();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** A timer that would wake earlier than needed stays: it arms itself again, so a beat costs no timer work as a rule. */
  #arm(): void {
    const dueMs = this.#machine.nextTimeout();
    if (this.#timer !== undefined && this.#wakesAtMs <= dueMs) return;
    this.#armFor(dueMs);
  }

  #armFor(dueMs: number): void {
    clearTimeout(this.#timer);
    this.#wakesAtMs = dueMs;
    this.#timer = setTimeout(() => this.#wake(), Math.max(1, Math.ceil(dueMs - performance.now())));
  }

  #wake(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    if (nowMs - this.#wakesAtMs > TARDINESS_MS_MAX && !this.#wasLate) {
      // First take what has arrived while the gateway was blocked or stopped; only then is silence silence.
      this.#wasLate = true;
      this.#armFor(nowMs + TARDINESS_MS_MAX);
      return;
    }
    this.#report(this.#machine.handleTime(nowMs));
    this.#arm();
  }

  #report(result: CheckResult | undefined): void {
    if (result !== undefined) this.#onResult(this.told, result);
  }
}

function readBody(request: IncomingMessage, done: (body: string | undefined) => void): void {
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (text: string) => {
    if (body.length <= BEAT_BYTES_MAX) body += text;
  });
  request.on("end", () => done(body.length > BEAT_BYTES_MAX ? undefined : body));
  request.on("error", () => {});
}

function refuse(response: ServerResponse, status: number, text: string): void {
  response.req.resume();
  response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8" }).end(`${text}\n`);
}

function bindHttp(server: Server, address: SocketAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(explain(address, error, "TCP")));
    server.once("listening", resolve);
    if (address.family === "unix") {
      removeStaleSocketFile(address.path);
      // As open to applications as a port is; the directory decides who may come in.
      server.listen({ path: address.path, readableAll: true, writableAll: true });
    } else server.listen({ host: address.host, port: address.port, ipv6Only: true });
  });
}

function bindUdp(address: Exclude<SocketAddress, { family: "unix" }>): Promise<Socket> {
  const isIpv6 = address.family === "inet6";
  const socket = createSocket({ type: isIpv6 ? "udp6" : "udp4", ipv6Only: isIpv6 });
  return new Promise((resolve, reject) => {
    socket.once("error", (error) => {
      socket.close();
      reject(explain(address, error, "UDP"));
    });
    socket.bind({ address: address.host, port: address.port }, () => {
      socket.removeAllListeners("error");
      resolve(socket);
    });
  });
}

function portOf(server: Server): number {
  const bound = server.address();
  return typeof bound === "object" && bound !== null ? bound.port : 0;
}

function explain(address: SocketAddress, error: NodeJS.ErrnoException, protocol: "TCP" | "UDP"): Error {
  const where = `heartbeats cannot be received on ${formatSocketAddress(address)} (${protocol})`;
  if (error.code !== "EADDRINUSE") return new Error(`${where}: ${error.code ?? error.message}`);
  const isTcp = address.family !== "unix" && protocol === "TCP";
  const holder = isTcp ? describePortHolder(address.port) : undefined;
  return new Error(`${where}: the address is in use${holder === undefined ? "" : ` by ${holder}`}`);
}
