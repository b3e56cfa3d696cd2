/**
 * Exact bytes on real sockets: a client that sends what it is told and records what arrives, and an origin server that
 * runs a script per connection. Both ends are the same class. For tests where node:http would hide what happens.
 */
import { once } from "node:events";
import net from "node:net";
import { withTimeout } from "./program.ts";

export interface ReceivedChunk {
  readonly atMs: number;
  readonly bytes: Buffer;
}

/** How a connection ended, as this end saw it. */
export interface WireEnd {
  readonly how: "fin" | "reset" | "error";
  readonly code: string | undefined;
  readonly atMs: number;
}

export interface WireResponse {
  readonly status: number;
  readonly head: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

const WAIT_MS = 10_000;

export class WireConnection {
  readonly socket: net.Socket;
  readonly received: ReceivedChunk[] = [];
  /** Resolves when the other side ended its direction (FIN) or the connection broke. */
  readonly ended: Promise<WireEnd>;
  /** What was not consumed yet, in the pieces it came in: joined when somebody looks at it. */
  #unread: Buffer[] = [];
  #unreadLength = 0;
  #end: WireEnd | undefined;
  #wake: (() => void)[] = [];

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    let settle: (end: WireEnd) => void = () => {};
    this.ended = new Promise((resolve) => {
      settle = resolve;
    });
    const finish = (how: WireEnd["how"], code?: string): void => {
      if (this.#end !== undefined) return;
      this.#end = { how, code, atMs: performance.now() };
      settle(this.#end);
      this.#notify();
    };
    socket.on("data", (bytes: Buffer) => {
      this.received.push({ atMs: performance.now(), bytes });
      this.#unread.push(bytes);
      this.#unreadLength += bytes.length;
      this.#notify();
    });
    socket.on("end", () => finish("fin"));
    socket.on("error", (error: NodeJS.ErrnoException) =>
      finish(error.code === "ECONNRESET" || error.code === "EPIPE" ? "reset" : "error", error.code),
    );
    socket.on("close", () => finish("fin"));
  }

  get end(): WireEnd | undefined {
    return this.#end;
  }

  /** Everything that arrived, as latin1 text: what a test compares. */
  get text(): string {
    return Buffer.concat(this.received.map((chunk) => chunk.bytes)).toString("latin1");
  }

  /** Bytes that arrived and were not consumed by a read yet. */
  get unread(): string {
    return this.#joined().toString("latin1");
  }

  write(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? Buffer.from(data, "latin1") : data;
    return new Promise((resolve, reject) =>
      this.socket.write(bytes, (error) => (error ? reject(error) : resolve())),
    );
  }

  /** FIN; the other direction stays open. Done when shutdown(2) was called: over a loopback the peer's kernel then has it. */
  finish(): Promise<void> {
    return new Promise((resolve) => this.socket.end(() => resolve()));
  }

  /** RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** Consumes up to and including the marker. */
  async readUntil(marker: string, timeoutMs = WAIT_MS): Promise<string> {
    await this.#wait(
      () => this.#joined().includes(marker, 0, "latin1"),
      timeoutMs,
      `marker ${JSON.stringify(marker)}`,
    );
    return this.#take(this.#joined().indexOf(marker, 0, "latin1") + marker.length).toString("latin1");
  }

  async readBytes(count: number, timeoutMs = WAIT_MS): Promise<Buffer> {
    await this.#wait(() => this.#unreadLength >= count, timeoutMs, `${count} bytes`);
    return this.#take(count);
  }

  /** One request or response head, its final empty line included. */
  readHead(timeoutMs = WAIT_MS): Promise<string> {
    return this.readUntil("\r\n\r\n", timeoutMs);
  }

  /** One complete request whose body, if any, has a Content-Length. */
  async readRequest(
    timeoutMs = WAIT_MS,
  ): Promise<{ head: string; headers: ReadonlyMap<string, string>; body: Buffer }> {
    const head = await this.readHead(timeoutMs);
    const headers = parseFields(head);
    const body = await this.readBody(headers, timeoutMs, false);
    return { head, headers, body };
  }

  /** One complete response, framed by Content-Length, chunked coding or the end of the connection (RFC 9112 §6.3). */
  async readResponse(options: { timeoutMs?: number; isHead?: boolean } = {}): Promise<WireResponse> {
    const timeoutMs = options.timeoutMs ?? WAIT_MS;
    const head = await this.readHead(timeoutMs);
    const status = Number(head.slice(9, 12));
    const headers = parseFields(head);
    const hasNoBody = options.isHead === true || status < 200 || status === 204 || status === 304;
    const body = hasNoBody ? Buffer.alloc(0) : await this.readBody(headers, timeoutMs, true);
    return { status, head, headers, body };
  }

  async readBody(
    headers: ReadonlyMap<string, string>,
    timeoutMs: number,
    untilClose: boolean,
  ): Promise<Buffer> {
    const length = headers.get("content-length");
    if (headers.get("transfer-encoding")?.toLowerCase() === "chunked") return this.#readChunked(timeoutMs);
    if (length !== undefined) return this.readBytes(Number(length), timeoutMs);
    if (!untilClose) return Buffer.alloc(0);
    await withTimeout(this.ended, timeoutMs, `no end of the response within ${timeoutMs} ms`);
    return this.#take(this.#unreadLength);
  }

  async #readChunked(timeoutMs: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (;;) {
      const size = Number.parseInt(await this.readUntil("\r\n", timeoutMs), 16);
      if (size === 0) {
        while ((await this.readUntil("\r\n", timeoutMs)) !== "\r\n");
        return Buffer.concat(parts);
      }
      parts.push(await this.readBytes(size, timeoutMs));
      await this.readUntil("\r\n", timeoutMs);
    }
  }

  #take(count: number): Buffer {
    const all = this.#joined();
    this.#unread = [all.subarray(count)];
    this.#unreadLength = all.length - count;
    return all.subarray(0, count);
  }

  #joined(): Buffer {
    if (this.#unread.length !== 1) this.#unread = [Buffer.concat(this.#unread)];
    return this.#unread[0]!;
  }

  #notify(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const wake of waiting) wake();
  }

  async #wait(holds: () => boolean, timeoutMs: number, what: string): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!holds()) {
      if (this.#end !== undefined) {
        throw new Error(
          `${what}: the connection ended first (${this.#end.how} ${this.#end.code ?? ""}); unread: ${JSON.stringify(this.unread.slice(0, 500))}`,
        );
      }
      const woken = new Promise<void>((resolve) => this.#wake.push(resolve));
      // The message is made only when it is needed: it joins everything that has arrived.
      await withTimeout(woken, Math.max(1, deadline - performance.now()), "").catch(() => {
        const unread = JSON.stringify(this.unread.slice(0, 500));
        throw new Error(`${what}: not within ${timeoutMs} ms; unread: ${unread}`);
      });
    }
  }
}

/** Field lines of a head as a map, names in lower case, repeated fields joined with ", ". */
export function parseFields(head: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of head.split("\r\n").slice(1)) {
    const colon = line.indexOf(":");
    if (colon < 0) continue;
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = fields.get(name);
    fields.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return fields;
}

/** Connects; the connection is half-open capable (our FIN does not close their direction). */
export async function connectWire(port: number, host = "127.0.0.1"): Promise<WireConnection> {
  const socket = net.connect({ port, host, allowHalfOpen: true });
  await once(socket, "connect");
  return new WireConnection(socket);
}

/** A server whose every connection runs a script; an error in a script fails `stop()`. */
export class ScriptedOrigin {
  readonly port: number;
  readonly connections: WireConnection[] = [];
  readonly #server: net.Server;
  readonly #failures: unknown[] = [];
  #waiting: (() => void)[] = [];

  constructor(server: net.Server, script: (connection: WireConnection, index: number) => Promise<void>) {
    this.#server = server;
    this.port = (server.address() as net.AddressInfo).port;
    server.on("connection", (socket) => {
      const connection = new WireConnection(socket);
      const index = this.connections.push(connection) - 1;
      for (const wake of this.#waiting.splice(0)) wake();
      script(connection, index).catch((error: unknown) => this.#failures.push(error));
    });
  }

  /** The n-th connection, waiting until it has been accepted. */
  async connection(index: number, timeoutMs = WAIT_MS): Promise<WireConnection> {
    const deadline = performance.now() + timeoutMs;
    while (this.connections[index] === undefined) {
      const accepted = new Promise<void>((resolve) => this.#waiting.push(resolve));
      await withTimeout(
        accepted,
        Math.max(1, deadline - performance.now()),
        `connection ${index} was not made`,
      );
    }
    return this.connections[index];
  }

  /** What went wrong in scripts so far. */
  get failures(): readonly unknown[] {
    return this.#failures;
  }

  /** Stops accepting: further connections are refused; those that exist go on. */
  async refuse(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const connection of this.connections) connection.destroy();
    await closed;
  }

  async stop(): Promise<void> {
    for (const connection of this.connections) connection.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

export async function startScriptedOrigin(
  script: (connection: WireConnection, index: number) => Promise<void>,
  port = 0,
): Promise<ScriptedOrigin> {
  const server = net.createServer({ allowHalfOpen: true });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return new ScriptedOrigin(server, script);
}
