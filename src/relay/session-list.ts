/**
 * The live TCP sessions of a worker, for `holdfast sessions`, `on_down` and the end of a drain: found among the reactor's handlers,
 * so that sessions keep no register. The kernel is asked for addresses and keepalive options only here. Called by
 * daemon/worker.ts and proxy-server.ts.
 */
import type { SessionMessage } from "../daemon/messages.ts";
import { Cause } from "../proxy/failure.ts";
import type { PoolServer } from "../proxy/upstream-pool.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { formatSocketAddress } from "../sys/sockaddr.ts";
import { getsockname } from "../sys/socket.ts";
import { getTcpKeepalive } from "../sys/socket-options.ts";
import { formatSoKeepalive } from "../tcp/so-keepalive.ts";
import type { Session } from "./session.ts";
import { sessionLeftMs } from "./session-clock.ts";
import { SessionEnd } from "./session-end.ts";
import { SessionState } from "./session-state.ts";

/** Every live session, in the order of descriptors. */
export function liveSessions(reactor: Reactor): Session[] {
  const sessions: Session[] = [];
  for (let fd = 0; fd < reactor.descriptorEnd; fd++) {
    const handler = reactor.handlerOf(fd);
    if (handler instanceof SessionEnd && handler.isClient) sessions.push(handler.session);
  }
  return sessions;
}

/** `on_down: reset`: the server has left, and what goes on there ends at once. */
export function resetSessionsOf(server: PoolServer, reactor: Reactor): void {
  for (const session of liveSessions(reactor)) {
    // One that is still connecting fails by itself and may be given to another server.
    const isOfServer = session.state === SessionState.RELAYING && session.poolServer === server;
    if (isOfServer) session.close(Cause.SERVER_DOWN, true);
  }
}

export function describeSession(session: Session, nowMs: number): SessionMessage {
  const { client, server, listener, poolServer } = session;
  return {
    id: session.id,
    listener: listener.name,
    pool: listener.pool.config.name,
    server: poolServer?.backend.config.name ?? "",
    client: formatSocketAddress(session.clientAddress()),
    local: orNothing(() => formatSocketAddress(getsockname(client.fd))),
    upstreamLocal: server === undefined ? "" : orNothing(() => formatSocketAddress(getsockname(server.fd))),
    ageMs: nowMs - session.acceptedAtMs,
    idleMs: nowMs - session.lastPayloadMs,
    leftMs: session.state === SessionState.RELAYING ? sessionLeftMs(session, listener.config, nowMs) : -1,
    bytesFromClient: session.bytesFromClient,
    bytesFromServer: session.bytesFromServer,
    state: stateOf(session),
    clientKeepalive: keepaliveOf(client),
    serverKeepalive: server === undefined ? "" : keepaliveOf(server),
  };
}

function stateOf({ state, client, server }: Session): SessionMessage["state"] {
  if (state !== SessionState.RELAYING) return "connecting";
  if (client.hasEnded) return "client-ended";
  return server?.hasEnded ? "server-ended" : "established";
}

/** As `so_keepalive` is written, every part filled in; "off"; empty for a UNIX socket. */
function keepaliveOf(end: SessionEnd): string {
  return orNothing(() => formatSoKeepalive(getTcpKeepalive(end.fd)));
}

/** A connection may break between being found and being asked. */
function orNothing(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}
