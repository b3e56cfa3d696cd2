/**
 * The access log: one line per request, gathered in memory and written at the end of a turn of the loop once there is enough,
 * or once a second. Off by default; when it is off the hot path does not come here. Formats: `combined` (Apache, nginx) and
 * `json`, which adds what explains a connection: its id, the number of the request on it, whether the server's
 * connection was reused, how many tries were needed, and the cause when the connection was closed.
 */
import type { AccessLogConfig } from "../config/types.ts";
import { findField } from "../http1/field-table.ts";
import { parseRequestHead, RequestHead } from "../http1/request-head.ts";
import { CLOSE_CAUSES, type CloseCause } from "../observe/close-cause.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { Timed } from "../reactor/timer-wheel.ts";
import { allocate, type NativeBuffer } from "../sys/memory.ts";
import { openAppend, write } from "../sys/process.ts";
import { close } from "../sys/socket.ts";
import type { ClientConnection } from "./client-connection.ts";
import type { Exchange } from "./exchange.ts";

const FLUSH_BYTES = 32 * 1024;
const BUFFER_BYTES = 256 * 1024;
const FLUSH_EVERY_MS = 1000;
const HEAD_BYTES_MAX = 128 * 1024;

const USER_AGENT = new TextEncoder().encode("user-agent");
const REFERER = new TextEncoder().encode("referer");

/** What a line says; undefined is written as null or "-". */
interface Entry {
  readonly time: Date;
  readonly listener: string;
  /** Process id of the worker: each numbers its connections itself. */
  readonly worker: number;
  readonly connection: number;
  readonly connectionRequest: number;
  readonly client: string;
  readonly method?: string | undefined;
  readonly target?: string | undefined;
  readonly protocol?: string | undefined;
  readonly host?: string | undefined;
  readonly referer?: string | undefined;
  readonly userAgent?: string | undefined;
  readonly status: number;
  readonly bytesSent: number;
  readonly requestBodyBytes?: number | undefined;
  readonly durationMs?: number | undefined;
  readonly pool?: string | undefined;
  readonly upstream?: string | undefined;
  readonly upstreamReused?: boolean | undefined;
  readonly tries?: number | undefined;
  readonly closeCause?: string | undefined;
  readonly rejection?: string | undefined;
}

export class AccessLog extends Timed {
  readonly #config: AccessLogConfig;
  readonly #reactor: Reactor;
  readonly #buffer: NativeBuffer = allocate(BUFFER_BYTES);
  readonly #head = new RequestHead();
  #fd: number;
  #end = 0;
  /** Lines lost because the file could not take them. */
  lostLines = 0;

  constructor(config: AccessLogConfig, fd: number, reactor: Reactor) {
    super();
    this.#config = config;
    this.#fd = fd;
    this.#reactor = reactor;
    reactor.onEndOfTurn(() => {
      if (this.#end >= FLUSH_BYTES) this.flush();
    });
  }

  /** The file was renamed: go on in a new one of the old name. */
  reopen(): void {
    this.flush();
    const fd = openAppend(this.#config.path);
    close(this.#fd);
    this.#fd = fd;
  }

  override handleTimeout(): void {
    this.flush();
  }

  flush(): void {
    let start = 0;
    while (start < this.#end) {
      const written = write(this.#fd, this.#buffer.address + start, this.#end - start);
      if (written <= 0) {
        this.lostLines++;
        break;
      }
      start += written;
    }
    this.#end = 0;
    this.#reactor.timers.cancel(this);
  }

  record(exchange: Exchange, durationMs: number, cause: number): void {
    const { client, server } = exchange;
    const { bytes } = exchange.request;
    const head = this.#head;
    const hasHead =
      parseRequestHead(bytes, exchange.requestStart, exchange.requestHeadEnd, HEAD_BYTES_MAX, head) > 0;
    const text = (start: number, end: number) =>
      start < 0 ? undefined : bytes.toString("latin1", start, end);
    const field = (name: Uint8Array) => {
      const row = findField(bytes, head.fields, name);
      return row < 0 ? undefined : text(head.fields.valueStart[row]!, head.fields.valueEnd[row]!);
    };
    this.#append({
      ...this.#connectionPart(client),
      protocol: `HTTP/1.${exchange.clientMinorVersion}`,
      ...(hasHead && {
        method: text(head.methodStart, head.methodEnd),
        target: text(head.targetStart, head.targetEnd),
        host: text(head.hostStart, head.hostEnd),
        referer: field(REFERER),
        userAgent: field(USER_AGENT),
      }),
      status: exchange.status,
      bytesSent: exchange.bytesToClient,
      requestBodyBytes: exchange.requestBody.payloadBytes,
      durationMs: Math.round(durationMs * 1000) / 1000,
      pool: !hasHead || exchange.isAnsweredHere ? undefined : exchange.pool.config.name,
      upstream: server?.backend.config.name,
      upstreamReused: server === undefined ? undefined : exchange.wasReused,
      tries: exchange.tries,
      closeCause: CLOSE_CAUSES[cause]?.name,
    });
  }

  /** Bytes that were no request. */
  recordRejected(
    client: ClientConnection,
    status: number,
    bytesSent: number,
    reason: string,
    closeCause: CloseCause = status === 408 ? "header-timeout" : "bad-request",
  ): void {
    this.#append({
      ...this.#connectionPart(client),
      status,
      bytesSent,
      closeCause,
      rejection: reason,
    });
  }

  #connectionPart(client: ClientConnection) {
    const address = new Uint8Array(64);
    const length = client.listener.writePeerAddress(client, address);
    return {
      time: new Date(),
      listener: client.listener.name,
      worker: process.pid,
      connection: client.id,
      connectionRequest: client.requestCount,
      client: length === 0 ? "unix" : Buffer.from(address.buffer, 0, length).toString("latin1"),
    };
  }

  #append(entry: Entry): void {
    const line = this.#config.format === "json" ? `${JSON.stringify(entry)}\n` : formatCombined(entry);
    const { bytes } = this.#buffer;
    if (this.#end + 3 * line.length > bytes.length) this.flush();
    this.#end += bytes.write(line, this.#end, "utf8");
    if (!this.#reactor.timers.isArmed(this)) this.#reactor.timers.arm(this, FLUSH_EVERY_MS);
  }
}

/** Whatever could end the quoted field or the line, or is not ASCII. */
const UNSAFE = /[^ !#-[\]-~]/g;

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/**
 * `host ident authuser [date] "request" status bytes "referer" "user-agent"`, times in UTC; then the connection's facts:
 * its id (worker.number), the number of the request on it, the server, `reused` or `fresh`, and the close cause.
 */
function formatCombined(entry: Entry): string {
  const { time } = entry;
  const two = (number: number) => String(number).padStart(2, "0");
  const date = `${two(time.getUTCDate())}/${MONTHS[time.getUTCMonth()]}/${time.getUTCFullYear()}`;
  const clock = `${two(time.getUTCHours())}:${two(time.getUTCMinutes())}:${two(time.getUTCSeconds())} +0000`;
  const request = entry.method === undefined ? "-" : `${entry.method} ${entry.target} ${entry.protocol}`;
  const quote = (text: string | undefined) => `"${(text ?? "-").replace(UNSAFE, escapeByte)}"`;
  const usual = `${entry.client} - - [${date}:${clock}] ${quote(request)} ${entry.status} ${entry.bytesSent} ${quote(entry.referer)} ${quote(entry.userAgent)}`;
  const reuse = entry.upstreamReused === undefined ? "-" : entry.upstreamReused ? "reused" : "fresh";
  return `${usual} ${entry.worker}.${entry.connection} ${entry.connectionRequest} ${entry.upstream ?? "-"} ${reuse} ${entry.closeCause ?? "-"}\n`;
}

function escapeByte(byte: string): string {
  return `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0").toUpperCase()}`;
}
