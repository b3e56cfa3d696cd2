/**
 * What supervisor and worker say to each other over the mailbox (file descriptor 3 of the worker, one end of a
 * UNIX socketpair): the one list of message types and the framing, a length (uint32, little-endian) and JSON in UTF-8.
 * Pure, and free of node:*, because the worker decodes it inside its reactor. Both ends run the same release, so a
 * frame that cannot be decoded is a programming error and throws.
 *
 *      0                   4
 *     +-------------------+----------------------+
 *     | length N, LE      | N bytes of JSON      |
 *     +-------------------+----------------------+
 */
import type { GatewayConfig, SocketAddress } from "../config/types.ts";

/** The worker's inherited descriptors; listening sockets follow. The supervisor's spawn() puts them there. */
export const MAILBOX_FD = 3;
export const COUNTERS_FD = 4;
export const FIRST_INHERITED_FD = 5;

/** One listening socket that a worker inherited. */
export interface InheritedListeningSocket {
  /** Name of the listener it belongs to. */
  readonly listener: string;
  /** Index of that listener in `config.listeners`, hence of its counters. */
  readonly listenerIndex: number;
  readonly fd: number;
  readonly address: SocketAddress;
}

export interface ConfigureMessage {
  readonly type: "configure";
  readonly workerIndex: number;
  /** Counts reloads: 1 after the start. */
  readonly generation: number;
  readonly config: GatewayConfig;
  readonly listeningSockets: readonly InheritedListeningSocket[];
  /** Shared memory to be mapped (MAP_SHARED), `CounterLayout(config).bytes` long, zeroed. */
  readonly countersFd: number;
  /** Opened by the supervisor with O_APPEND, present when `config.accessLog` is. */
  readonly accessLogFd?: number;
}

export interface ServerStateMessage {
  readonly poolIndex: number;
  readonly serverIndex: number;
  /** Health: false takes the server out of rotation. */
  readonly isUp: boolean;
  /** Operator: `drain` takes nothing new and keeps what is there, `maint` is as down. */
  readonly admin: "up" | "drain" | "maint";
  /** Weight in force. */
  readonly weight: number;
}

/** One live TCP session as `holdfast sessions` shows it. */
export interface SessionMessage {
  readonly id: number;
  readonly listener: string;
  readonly pool: string;
  readonly server: string;
  readonly client: string;
  readonly local: string;
  readonly upstreamLocal: string;
  readonly ageMs: number;
  readonly idleMs: number;
  /** Until it expires; -1 = never. */
  readonly leftMs: number;
  readonly bytesFromClient: number;
  readonly bytesFromServer: number;
  readonly state: "connecting" | "established" | "client-ended" | "server-ended";
  /** So_keepalive of the two sockets, as the kernel reports it. */
  readonly clientKeepalive: string;
  readonly serverKeepalive: string;
}

/** What live traffic said about a server since the last message. */
export interface ObservationMessage {
  readonly poolIndex: number;
  readonly serverIndex: number;
  readonly successes: number;
  /** In a row, after the last success. */
  readonly failures: number;
  /** How many of the failures were answers of class 5xx. */
  readonly responses5xx: number;
  /** Name of the close cause, or `response-5xx`, of the last failure; empty when there was none. */
  readonly lastFailure: string;
}

export type SupervisorMessage =
  | ConfigureMessage
  /** Stop accepting, finish what is in progress within so many milliseconds from now, say `drained`, exit 0. */
  | { readonly type: "drain"; readonly deadlineMs: number }
  /** Exit 0 now. */
  | { readonly type: "stop" }
  /** The verdict of health checks and of the operator; sent for every server after `configure`, then for each change. */
  | { readonly type: "server-states"; readonly states: readonly ServerStateMessage[] }
  /** Answered by `sessions`, in one message of at most `limit` entries. */
  | { readonly type: "list-sessions"; readonly requestId: number; readonly limit: number }
  /** Answered at once by `pong`: the reactor turns (daemon/worker-liveness.ts). */
  | { readonly type: "ping"; readonly id: number }
  /** Open `config.accessLog.path` again (the supervisor has created it, and gave it to `user`). */
  | { readonly type: "reopen-logs" };

export type WorkerMessage =
  /** Configured and accepting. */
  | { readonly type: "ready" }
  | { readonly type: "drained" }
  | {
      readonly type: "sessions";
      readonly requestId: number;
      readonly total: number;
      readonly sessions: readonly SessionMessage[];
    }
  | { readonly type: "pong"; readonly id: number }
  /** At most ten a second; only servers with something to say. */
  | { readonly type: "observations"; readonly observations: readonly ObservationMessage[] }
  /** Cannot go on; the worker exits after this. */
  | { readonly type: "fatal"; readonly message: string }
  | {
      readonly type: "log";
      readonly level: "info" | "warn" | "error";
      /** Stable name of what happened, for machines. */
      readonly event: string;
      readonly message: string;
      readonly fields?: Readonly<Record<string, string | number>>;
    };

const HEADER_BYTES = 4;
/** A configuration with 50,000 servers is about 12 MiB of JSON. */
export const FRAME_BYTES_MAX = 16 * 1024 * 1024;

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder("utf-8", { fatal: true });

export function encodeFrame(message: { readonly type: string }): Uint8Array {
  const body = textEncoder.encode(JSON.stringify(message));
  if (body.length > FRAME_BYTES_MAX) {
    throw new RangeError(`a message of ${body.length} bytes is longer than ${FRAME_BYTES_MAX}`);
  }
  const frame = new Uint8Array(HEADER_BYTES + body.length);
  new DataView(frame.buffer).setUint32(0, body.length, true);
  frame.set(body, HEADER_BYTES);
  return frame;
}

/** Collects bytes as they arrive and hands out whole messages. Copies what it is given. */
export class FrameDecoder {
  #buffer = new Uint8Array(4096);
  #start = 0;
  #end = 0;

  push(bytes: Uint8Array): void {
    if (this.#end + bytes.length > this.#buffer.length) {
      this.#makeRoom(bytes.length);
    }
    this.#buffer.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** The next message, or undefined when more bytes are needed. Throws on a frame no peer of this release writes. */
  next(): unknown | undefined {
    if (this.#end - this.#start < HEADER_BYTES) {
      return undefined;
    }
    const length = new DataView(this.#buffer.buffer, this.#start, HEADER_BYTES).getUint32(0, true);
    if (length > FRAME_BYTES_MAX) {
      throw new RangeError(`a frame announces ${length} bytes, more than ${FRAME_BYTES_MAX}`);
    }
    const bodyStart = this.#start + HEADER_BYTES;
    if (this.#end - bodyStart < length) {
      return undefined;
    }
    const text = textDecoder.decode(this.#buffer.subarray(bodyStart, bodyStart + length));
    this.#start = bodyStart + length;
    if (this.#start === this.#end) {
      this.#start = 0;
      this.#end = 0;
    }
    return JSON.parse(text);
  }

  #makeRoom(extraBytes: number): void {
    const pending = this.#buffer.subarray(this.#start, this.#end);
    let capacity = this.#buffer.length;
    while (capacity < pending.length + extraBytes) {
      capacity *= 2;
    }
    const target = capacity === this.#buffer.length ? this.#buffer : new Uint8Array(capacity);
    target.set(pending, 0);
    this.#buffer = target;
    this.#end = pending.length;
    this.#start = 0;
  }
}
