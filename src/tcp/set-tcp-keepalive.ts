/**
 * `setTcpKeepalive(target, "60s:10s:6", { userTimeoutMs })` of holdfast/tcp, for sockets, servers and agents of Node.
 *
 * Why Node's own setKeepAlive() is not enough (measured on Node 20): the interval is always 1 s and the count 10; https.Agent sets
 * nothing while a request is in flight; tls.connect() ignores `keepAlive`; an agent sets its own values again each time a socket
 * becomes free. So the value is set on the descriptor when the connection is there, and set again after each setKeepAlive() of Node.
 */
import http from "node:http";
import https from "node:https";
import net from "node:net";
import { type SocketOptionChange, wantedChanges } from "../doctor/option-plan.ts";
import { setSocketOption } from "../sys/socket-options.ts";
import { getTcpInfo } from "../sys/tcp-info.ts";
import {
  parseSoKeepalive,
  SO_KEEPALIVE_COUNT_MAX,
  SO_KEEPALIVE_SECONDS_MAX,
  type TcpKeepalive,
} from "./so-keepalive.ts";
import { descriptorOf } from "./socket-fd.ts";

/** Parts that are left out keep the system's default (net.ipv4.tcp_keepalive_time, _intvl, _probes). */
export interface KeepaliveTiming {
  /** false: SO_KEEPALIVE off. Default: true. */
  readonly enabled?: boolean;
  /** 1 to 32767 */
  readonly idleSeconds?: number;
  /** 1 to 32767 */
  readonly intervalSeconds?: number;
  /** 1 to 127 */
  readonly probeCount?: number;
}

/** `"on"`, `"off"`, nginx's `"idle:interval:count"` such as `"60s:10s:6"` or `"30m::10"`; or the parts. */
export type KeepaliveSetting = string | KeepaliveTiming;

/** tls.TLSSocket is a net.Socket; tls.Server, http.Server, https.Server and the servers of http2 are a net.Server. */
export type KeepaliveTarget = net.Socket | net.Server | http.Agent | https.Agent;

export interface SetTcpKeepaliveOptions {
  /** TCP_USER_TIMEOUT: for data in flight, which keepalive never sees; 0 for the kernel's default. Not touched when left out. */
  readonly userTimeoutMs?: number;
}

/**
 * A socket: now, or as soon as it is connected. A server: the listening socket, whose options every accepted connection inherits
 * (connections that exist are not touched). An agent: every socket that it has and makes, also while a request is in flight.
 * Throws TypeError or RangeError for a wrong value, and an error with `code` and `hint` when the kernel refuses.
 */
export function setTcpKeepalive(
  target: KeepaliveTarget,
  keepalive: KeepaliveSetting,
  options: SetTcpKeepaliveOptions = {},
): void {
  const changes = wantedChanges({
    keepalive: readKeepalive(keepalive),
    userTimeoutMs: readUserTimeout(options),
  });
  if (target instanceof http.Agent || target instanceof https.Agent) applyToAgent(target, changes);
  else if (target instanceof net.Server) applyToServer(target, changes);
  else if (target instanceof net.Socket) applyToSocket(target, changes);
  else throw new TypeError("setTcpKeepalive() takes a net.Socket, a net.Server or an http.Agent");
}

function readKeepalive(keepalive: KeepaliveSetting): TcpKeepalive {
  if (typeof keepalive === "string") {
    const result = parseSoKeepalive(keepalive);
    if (!result.ok) throw new TypeError([result.reason, result.hint].filter(Boolean).join("; "));
    return result.value;
  }
  const { enabled = true, idleSeconds, intervalSeconds, probeCount } = keepalive;
  checkRange("idleSeconds", idleSeconds, 1, SO_KEEPALIVE_SECONDS_MAX);
  checkRange("intervalSeconds", intervalSeconds, 1, SO_KEEPALIVE_SECONDS_MAX);
  checkRange("probeCount", probeCount, 1, SO_KEEPALIVE_COUNT_MAX);
  return { enabled, idleSeconds, intervalSeconds, probeCount };
}

function readUserTimeout({ userTimeoutMs }: SetTcpKeepaliveOptions): number | undefined {
  checkRange("userTimeoutMs", userTimeoutMs, 0, 2 ** 31 - 1);
  return userTimeoutMs;
}

function checkRange(name: string, value: number | undefined, minimum: number, maximum: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= minimum && value <= maximum)) return;
  throw new RangeError(`${name} is ${value}; it must be a whole number from ${minimum} to ${maximum}`);
}

/** What was asked for last; a socket, server or agent is instrumented once. */
const wantedBy = new WeakMap<KeepaliveTarget, readonly SocketOptionChange[]>();

/** True the first time. */
function remember(target: KeepaliveTarget, changes: readonly SocketOptionChange[]): boolean {
  const isFirst = !wantedBy.has(target);
  wantedBy.set(target, changes);
  return isFirst;
}

function setNow(target: net.Socket | net.Server): void {
  const fd = descriptorOf(target);
  // A UNIX socket (an agent's socketPath) has no keepalive and needs none; to throw here would end the program.
  if (fd === undefined || getTcpInfo(fd) === undefined) return;
  for (const { option, value } of wantedBy.get(target) ?? []) setSocketOption(fd, option, value);
}

function applyToSocket(socket: net.Socket, changes: readonly SocketOptionChange[]): void {
  const isFirst = remember(socket, changes);
  const isConnected = !socket.connecting && descriptorOf(socket) !== undefined;
  if (isConnected) setNow(socket);
  if (!isFirst) return;
  // Before 'connect' Node may try several addresses (autoSelectFamily), each with a descriptor of its own.
  if (!isConnected) socket.on("connect", () => setNow(socket));
  const { setKeepAlive } = socket;
  socket.setKeepAlive = function reapply(this: net.Socket, ...values: Parameters<typeof setKeepAlive>) {
    setKeepAlive.apply(this, values);
    setNow(this);
    return this;
  };
}

function applyToServer(server: net.Server, changes: readonly SocketOptionChange[]): void {
  const isFirst = remember(server, changes);
  if (server.listening) setNow(server);
  if (!isFirst) return;
  server.on("listening", () => setNow(server));
  server.prependListener("connection", (socket: net.Socket) => {
    if (isInherited(server)) return;
    applyToSocket(socket, wantedBy.get(server) ?? []);
  });
}

/** Not with `keepAlive: true`, which Node sets on each accepted socket, and not in a cluster worker, which has no listening socket. */
function isInherited(server: net.Server): boolean {
  return descriptorOf(server) !== undefined && (server as { keepAlive?: boolean }).keepAlive !== true;
}

type CreateConnection = (
  options: object,
  callback?: (error: Error | null, socket: net.Socket) => void,
) => unknown;

function applyToAgent(agent: http.Agent, changes: readonly SocketOptionChange[]): void {
  const isFirst = remember(agent, changes);
  for (const list of [...Object.values(agent.sockets), ...Object.values(agent.freeSockets)]) {
    for (const socket of list ?? []) applyToSocket(socket, changes);
  }
  if (!isFirst) return;
  const maker = agent as unknown as { createConnection: CreateConnection };
  const { createConnection } = maker;
  const apply = (socket: unknown): void => {
    if (socket instanceof net.Socket) applyToSocket(socket, wantedBy.get(agent) ?? []);
  };
  maker.createConnection = function create(this: unknown, options, callback) {
    const made = createConnection.call(this, options, (error, socket) => {
      apply(socket);
      callback?.(error, socket);
    });
    apply(made);
    return made;
  };
}
