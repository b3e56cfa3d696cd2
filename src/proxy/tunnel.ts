/**
 * After a 101 (RFC 9110 §7.8) the two connections of an exchange carry bytes that are nobody's business here. Each
 * direction ends for itself: the end of one side is passed on as a half-close when everything before it was sent.
 * `tunnel_timeout` counts silence in both directions together.
 */
import { Errno } from "../sys/errno.ts";
import { recv, shutdownWrite } from "../sys/socket.ts";
import { READ_BYTES, RECEIVE_START } from "./arena.ts";
import { Ending, UpstreamState } from "./connection-state.ts";
import type { Exchange } from "./exchange.ts";
import { Cause } from "./failure.ts";

/** Both connections leave HTTP. What the client sent right behind its request goes first. */
export function startTunnel(exchange: Exchange): void {
  const { client, proxy } = exchange;
  const upstream = exchange.upstream!;
  exchange.isTunnel = true;
  upstream.state = UpstreamState.TUNNEL;
  upstream.cancelTimeout();
  const early = client.takeHeld();
  client.enterTunnel();
  if (early === undefined) return;
  const source = proxy.place(early);
  const errno = upstream.write(source, 0, early.length);
  if (errno !== 0) exchange.handleUpstreamFailure(Cause.UPSTREAM_RESET, -errno);
}

export function relayClientTunnel(exchange: Exchange): boolean {
  const { client, proxy } = exchange;
  const upstream = exchange.upstream!;
  const received = recv(client.fd, proxy.arena.address + RECEIVE_START, READ_BYTES);
  if (received > 0) {
    client.noteTunnelBytes(received);
    const errno = upstream.write(proxy.arena, RECEIVE_START, RECEIVE_START + received);
    if (errno !== 0) exchange.handleUpstreamFailure(Cause.UPSTREAM_RESET, -errno);
    else if (upstream.isBlocked) client.pauseReading();
  } else if (received === 0) {
    exchange.hasClientEnded = true;
    client.pauseReading();
    settleEnds(exchange);
  } else if (received !== -Errno.EAGAIN) client.abort(Cause.PEER_RESET);
  return received < READ_BYTES;
}

export function relayUpstreamTunnel(exchange: Exchange): boolean {
  const { client, proxy } = exchange;
  const upstream = exchange.upstream!;
  const received = recv(upstream.fd, proxy.arena.address + RECEIVE_START, READ_BYTES);
  if (received > 0) {
    client.noteTunnelActivity();
    exchange.bytesToClient += received;
    if (!client.send(proxy.arena, RECEIVE_START, RECEIVE_START + received)) return true;
    if (client.isBlocked) upstream.pauseReading();
  } else if (received === 0) {
    exchange.hasUpstreamEnded = true;
    upstream.pauseReading();
    settleEnds(exchange);
  } else if (received !== -Errno.EAGAIN) exchange.handleUpstreamFailure(Cause.UPSTREAM_RESET, -received);
  return received < READ_BYTES;
}

/** Called when a side has ended and when a backlog has been sent: passes ends on, and finishes when both have ended. */
export function settleEnds(exchange: Exchange): void {
  const { client } = exchange;
  const upstream = exchange.upstream!;
  if (exchange.hasClientEnded && !upstream.isBlocked) shutdownWrite(upstream.fd);
  if (exchange.hasUpstreamEnded && !client.isBlocked) shutdownWrite(client.fd);
  if (!exchange.hasClientEnded || !exchange.hasUpstreamEnded || upstream.isBlocked || client.isBlocked)
    return;
  exchange.dropUpstream(Cause.UPSTREAM_FIN);
  exchange.finish(Ending.CLOSE, Cause.TUNNEL_FINISHED);
}
