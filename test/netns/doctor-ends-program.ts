/**
 * Many ends of TCP connections in one program, for the comparison of predictions with kernels. It says what each socket was told,
 * errno exact: the sockets are the kernel's own (src/sys), looked at every few milliseconds, not Node's, whose streams stop
 * looking after the end of the stream and so never see an EPIPE.
 *
 * stdin, one JSON order per line: {"do":"listen"|"connect","id",…options} · {"do":"say","id","text"} · {"do":"finish","id"} (FIN)
 * · {"do":"close","id"}.
 * stdout, one JSON record per line with `id` and `atMs` (wall clock): listening, open, data (text), fin, error (code), closed.
 * A client says "hello" when it is connected; a server answers "hello" with "welcome" and "ping" with "pong". An end that has sent
 * FIN and reads one closes.
 */
import readline from "node:readline";
import { Errno, errnoName } from "../../src/sys/errno.ts";
import { allocate } from "../../src/sys/memory.ts";
import { encodeSocketAddress } from "../../src/sys/sockaddr.ts";
import {
  AF_INET,
  accept,
  bind,
  close,
  connect,
  listen,
  recv,
  send,
  shutdownWrite,
  streamSocket,
} from "../../src/sys/socket.ts";
import {
  setNoDelay,
  setReuseAddress,
  setTcpKeepalive,
  setTcpUserTimeout,
  takeSocketError,
} from "../../src/sys/socket-options.ts";
import { getTcpInfo } from "../../src/sys/tcp-info.ts";

export interface EndOptions {
  readonly address: string;
  readonly port: number;
  /** Seconds; null: SO_KEEPALIVE off. */
  readonly keepalive: { readonly idle: number; readonly interval: number; readonly count: number } | null;
  readonly userTimeoutMs: number;
  /** Whether it closes as soon as it reads FIN, as programs without a half-close do. */
  readonly closesOnFin: boolean;
}

export type EndOrder =
  | ({ readonly do: "listen" | "connect"; readonly id: string } & EndOptions)
  | { readonly do: "say"; readonly id: string; readonly text: string }
  | { readonly do: "finish" | "close"; readonly id: string };

export interface EndRecord {
  readonly id: string;
  readonly event: "listening" | "open" | "data" | "fin" | "error" | "closed";
  readonly atMs: number;
  readonly text?: string;
  readonly code?: string;
}

const LOOK_EVERY_MS = 5;
const BUFFER_BYTES = 4096;

interface End {
  readonly id: string;
  readonly options: EndOptions;
  readonly role: "listener" | "client" | "server";
  fd: number;
  state: "waiting" | "open" | "gone";
  /** FIN has been ordered; it goes out when all that was said has been acknowledged. */
  wantsFin: boolean;
  hasSentFin: boolean;
  hasReceivedFin: boolean;
}

const ends = new Map<string, End>();
const buffer = allocate(BUFFER_BYTES);

function report(id: string, event: EndRecord["event"], more: { text?: string; code?: string } = {}): void {
  console.log(
    JSON.stringify({
      id,
      event,
      ...more,
      atMs: performance.timeOrigin + performance.now(),
    } satisfies EndRecord),
  );
}

function open(id: string, role: "listen" | "connect", options: EndOptions): void {
  const { address, port, keepalive, userTimeoutMs } = options;
  const fd = streamSocket(AF_INET);
  if (keepalive !== null) {
    setTcpKeepalive(fd, {
      enabled: true,
      idleSeconds: keepalive.idle,
      intervalSeconds: keepalive.interval,
      probeCount: keepalive.count,
    });
  }
  setTcpUserTimeout(fd, userTimeoutMs);
  setNoDelay(fd);
  const target = encodeSocketAddress({ family: "inet", host: address, port });
  const end: End = {
    id,
    options,
    role: role === "listen" ? "listener" : "client",
    fd,
    state: "waiting",
    wantsFin: false,
    hasSentFin: false,
    hasReceivedFin: false,
  };
  if (role === "listen") {
    setReuseAddress(fd);
    bind(fd, target);
    listen(fd, 8);
    report(id, "listening");
  } else {
    connect(fd, target);
  }
  ends.set(id, end);
}

function say(end: End, text: string): void {
  if (end.state !== "open") return;
  const length = buffer.bytes.write(text, 0, "latin1");
  const sent = send(end.fd, buffer.address, length);
  if (sent < 0) fail(end, -sent);
}

function fail(end: End, errno: number): void {
  report(end.id, "error", { code: errnoName(errno) });
  leave(end);
}

function leave(end: End): void {
  if (end.state === "gone") return;
  end.state = "gone";
  close(end.fd);
}

/** Not with data in flight: both would be sent again together, and a FIN that conntrack sees twice passes for both ends' FINs. */
function finishWhenQuiet(end: End): void {
  if (!end.wantsFin || getTcpInfo(end.fd)?.unackedSegments !== 0) return;
  end.wantsFin = false;
  end.hasSentFin = true;
  shutdownWrite(end.fd);
}

function closeInOrder(end: End): void {
  if (end.state !== "open") return;
  report(end.id, "closed");
  leave(end);
}

/** One look at a socket. The options of a listening socket are inherited by what it accepts. */
function look(end: End): void {
  if (end.role === "listener") {
    if (end.state !== "waiting") return;
    const fd = accept(end.fd);
    if (fd < 0) return;
    close(end.fd);
    Object.assign(end, { fd, role: "server", state: "open" });
    report(end.id, "open");
    return;
  }
  if (end.state === "gone") return;
  finishWhenQuiet(end);
  if (end.hasReceivedFin) {
    // recv(2) goes on to say 0 after the end: only SO_ERROR tells what came later.
    const errno = takeSocketError(end.fd);
    if (errno !== 0) fail(end, errno);
    return;
  }
  const received = recv(end.fd, buffer.address, BUFFER_BYTES);
  if (received === -Errno.EAGAIN || received === -Errno.EINTR || received === -Errno.ENOTCONN) {
    if (end.state === "waiting" && received === -Errno.EAGAIN) isConnected(end);
    return;
  }
  if (received < 0) fail(end, -received);
  else if (received === 0) handleFin(end);
  else handleData(end, buffer.bytes.toString("latin1", 0, received));
}

/** A connecting socket answers EAGAIN to recv(2) too; sending tells the difference. */
function isConnected(end: End): void {
  const length = buffer.bytes.write("hello", 0, "latin1");
  if (send(end.fd, buffer.address, length) !== length) return;
  end.state = "open";
  report(end.id, "open");
}

function handleFin(end: End): void {
  end.hasReceivedFin = true;
  report(end.id, "fin");
  if (end.options.closesOnFin || end.hasSentFin) closeInOrder(end);
}

function handleData(end: End, text: string): void {
  report(end.id, "data", { text });
  if (end.role === "server" && text === "hello") say(end, "welcome");
  if (end.role === "server" && text === "ping") say(end, "pong");
}

function obey(order: EndOrder): void {
  if (order.do === "listen" || order.do === "connect") {
    open(order.id, order.do, order);
    return;
  }
  const end = ends.get(order.id);
  if (end === undefined) throw new Error(`no such end: ${order.id}`);
  if (order.do === "say") say(end, order.text);
  else if (order.do === "finish") end.wantsFin = true;
  else closeInOrder(end);
}

readline
  .createInterface({ input: process.stdin })
  .on("line", (line) => obey(JSON.parse(line) as EndOrder))
  .on("close", () => process.exit());
setInterval(() => {
  for (const end of ends.values()) look(end);
}, LOOK_EVERY_MS);
