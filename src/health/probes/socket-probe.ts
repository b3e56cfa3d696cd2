/**
 * What the probes over a connection share: one socket per check, opened by `start`, destroyed when the check is decided or given
 * up; never kept for the next one, because a new connection is part of the question. Node's sockets, in the supervisor.
 * Extended by tcp.ts, http.ts and redis.ts.
 */
import { connect, isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import type { SocketAddress } from "../../config/types.ts";
import type { Probe, ProbeResult } from "../probe.ts";

/** An answer longer than this is not read further. */
export const ANSWER_BYTES_MAX = 64 * 1024;

export abstract class SocketProbe implements Probe {
  /** Sent before anything else, TLS included: a PROXY header, to servers that expect one. */
  opening: Uint8Array | undefined = undefined;
  readonly #address: SocketAddress;
  readonly #tls: ConnectionOptions | undefined;
  #socket: Socket | undefined;
  #done: ((result: ProbeResult) => void) | undefined;

  constructor(address: SocketAddress, tls?: ConnectionOptions) {
    this.#address = address;
    this.#tls = tls;
  }

  start(done: (result: ProbeResult) => void): void {
    this.#done = done;
    const socket = this.#open();
    this.#socket = socket;
    socket.on("error", (error: NodeJS.ErrnoException) => this.fail(describeError(error)));
    socket.on(this.#tls === undefined ? "connect" : "secureConnect", () => this.handleConnected(socket));
    socket.on("data", (bytes: Buffer) => this.handleBytes(bytes, socket));
    socket.on("end", () => this.handleEnd());
  }

  cancel(): void {
    this.#done = undefined;
    // An error that comes after destroy() has nobody to tell.
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  protected abstract handleConnected(socket: Socket): void;
  protected abstract handleBytes(bytes: Buffer, socket: Socket): void;

  /** The server ended its direction while the check was undecided. */
  protected handleEnd(): void {
    this.fail("the server closed the connection without an answer");
  }

  protected succeed(reason: string): void {
    this.#finish({ ok: true, reason });
  }

  protected fail(reason: string): void {
    this.#finish({ ok: false, reason });
  }

  #finish(verdict: ProbeResult): void {
    const done = this.#done;
    if (done === undefined) return;
    const certificateExpiresAtMs = this.#certificateEnd();
    this.cancel();
    done(certificateExpiresAtMs === undefined ? verdict : { ...verdict, certificateExpiresAtMs });
  }

  #open(): Socket {
    const address = this.#address;
    const where =
      address.family === "unix" ? { path: address.path } : { host: address.host, port: address.port };
    if (this.opening === undefined)
      return this.#tls === undefined ? connect(where) : connectTls({ ...where, ...this.#tls });
    const socket = connect(where);
    socket.write(this.opening); // is sent as soon as the connection is there, and TLS begins after that
    return this.#tls === undefined ? socket : connectTls({ ...this.#tls, socket });
  }

  #certificateEnd(): number | undefined {
    if (this.#tls === undefined || this.#socket === undefined) return undefined;
    const endMs = Date.parse((this.#socket as TLSSocket).getPeerCertificate()?.valid_to ?? "");
    return Number.isNaN(endMs) ? undefined : endMs;
  }
}

/** For a connection to the server that calls itself `host`: an IP address is no server name (RFC 6066 §3). */
export function tlsOptions(host: string, verify: boolean): ConnectionOptions {
  const name = { ...(isIP(host) === 0 ? { servername: host } : { host }) };
  return { ...name, rejectUnauthorized: verify, ALPNProtocols: ["http/1.1"] };
}

const SENTENCES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset by the server",
  EPIPE: "connection reset by the server",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "network unreachable",
  EHOSTDOWN: "host down",
  ETIMEDOUT: "the kernel gave up connecting",
  ENOENT: "there is no such UNIX socket",
  EACCES: "not allowed to connect to the UNIX socket",
  EMFILE: "the gateway has no free descriptor for the check",
  ENFILE: "the system has no free descriptor for the check",
  EADDRNOTAVAIL: "no local port is free",
};

export function describeError(error: NodeJS.ErrnoException): string {
  // OpenSSL's message is a line with a pointer in it, another one each time.
  const { reason } = error as { reason?: unknown };
  if (typeof reason === "string" && error.code?.startsWith("ERR_SSL_") === true) return `TLS: ${reason}`;
  return (
    SENTENCES[error.code ?? ""] ?? (error.message === "" ? (error.code ?? "unknown error") : error.message)
  );
}

/** What a peer sent, for a reason: one line, printable, short. */
export function quote(text: string, lengthMax = 80): string {
  const line = text.replace(/[^\x20-\x7e]+/g, " ").trim();
  return `"${line.length > lengthMax ? `${line.slice(0, lengthMax)}…` : line}"`;
}
