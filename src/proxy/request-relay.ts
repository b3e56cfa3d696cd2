/**
 * The request's way from the client to the server: checks the head against the listener's rules, finds the pool, writes
 * the head for the next hop, and moves the body (RFC 9112 §6, RFC 9110 §7.6). Called by client-connection.ts.
 */
import { hashBytes, hashIpv4 } from "../balance/key-hash.ts";
import { CHUNKED_REJECTIONS, writeTrailers } from "../http1/chunked.ts";
import { NO_NOMINATED_NAMES, nominatedNamesOf } from "../http1/connection-options.ts";
import { findField } from "../http1/field-table.ts";
import { requestHeadBytesMax, writeRequestHead } from "../http1/head-writer.ts";
import { ConnectionOption, Framing, MethodCode, type RequestHead } from "../http1/request-head.ts";
import type { ClientConnection } from "./client-connection.ts";
import type { Exchange } from "./exchange.ts";
import { Cause } from "./failure.ts";
import { BodyProgress, frameChunk, writeLastChunkSize } from "./message-body.ts";

/** A request whose head is in arena[head.start, bodyStart); more bytes follow up to `end`. */
export function beginExchange(
  client: ClientConnection,
  head: RequestHead,
  bodyStart: number,
  end: number,
): void {
  const { listener } = client;
  const { server: proxy } = listener;
  const exchange = proxy.takeExchange();
  exchange.begin(client);
  exchange.method = head.method;
  exchange.clientMinorVersion = head.minorVersion;
  exchange.requestConnectionOptions = head.connectionOptions;
  exchange.requestBody.begin(head.framing, head.contentLength);

  const routeIndex = listener.routes.match(
    proxy.arena.bytes,
    head.hostStart,
    head.hostEnd,
    head.pathStart,
    head.pathEnd,
  );
  if (
    routeIndex < 0 ||
    head.method === MethodCode.CONNECT ||
    isFinalRecipient(head) ||
    isTooLarge(exchange, head)
  ) {
    // Behind an empty body, too, comes the next request.
    client.hold(bodyStart, exchange.requestBody.isComplete ? end : bodyStart);
    if (proxy.accessLog !== undefined) keepHead(exchange, head);
    answerHere(exchange, head);
    return;
  }
  exchange.pool = listener.poolOfRoute(routeIndex);
  writeHead(exchange, head);
  if (head.framing === Framing.NONE) client.hold(bodyStart, end);
  else {
    if (head.framing === Framing.CHUNKED && (head.connectionOptions & ConnectionOption.OTHER) !== 0) {
      exchange.requestNominatedNames = nominatedNamesOf(proxy.arena.bytes, head.fields);
    }
    if (bodyStart < end && !takeBody(exchange, bodyStart, end)) return;
  }
  exchange.start();
}

/** RFC 9110 §7.6.2: Max-Forwards: 0 on OPTIONS or TRACE MUST NOT be forwarded; for other methods it means nothing. */
function isFinalRecipient(head: RequestHead): boolean {
  return head.maxForwards === 0 && (head.method === MethodCode.OPTIONS || head.method === MethodCode.TRACE);
}

function isTooLarge(exchange: Exchange, head: RequestHead): boolean {
  const { maxBodyBytes } = exchange.client.listener.config;
  return maxBodyBytes !== 0 && head.contentLength > maxBodyBytes;
}

/** The head as the client sent it: nobody needs it but the access log. */
function keepHead(exchange: Exchange, head: RequestHead): void {
  exchange.isAnsweredHere = true;
  exchange.reserveRequest(head.end - head.start);
  const source = exchange.proxy.arena.bytes.subarray(head.start, head.end);
  exchange.request.bytes.set(source, exchange.requestStart);
  exchange.requestEnd = exchange.requestHeadEnd = exchange.requestStart + source.length;
}

/** The request goes no further than this gateway. */
function answerHere(exchange: Exchange, head: RequestHead): void {
  if (head.method === MethodCode.CONNECT) {
    exchange.respond(405, "CONNECT is for forward proxies; this is a gateway.");
  } else if (isTooLarge(exchange, head)) {
    exchange.respond(413, "The request body is larger than max_body_size.");
  } else if (isFinalRecipient(head)) {
    if (head.method === MethodCode.OPTIONS) exchange.respond(200, "Max-Forwards ended at this gateway.");
    else exchange.respond(405, "TRACE is not answered by this gateway.");
  } else exchange.respond(404, "No route of this listener matches the request's host and path.");
}

function writeHead(exchange: Exchange, head: RequestHead): void {
  const { client, pool, proxy } = exchange;
  const { forwarding } = proxy;
  const { bytes } = proxy.arena;
  const isUpgrade = head.upgradeStart >= 0;
  exchange.isUpgradeAsked = isUpgrade;
  forwarding.via = client.listener.config.via;
  forwarding.persistent = pool.keepsConnections;
  forwarding.isUpgrade = isUpgrade;
  forwarding.trustsPeer = client.isPeerTrusted;
  forwarding.hostFallback = pool.hostFallback;
  forwarding.clientAddressLength = client.listener.writePeerAddress(client, forwarding.clientAddress);
  if (pool.config.balance.kind === "hash") exchange.keyHash = keyHashOf(exchange, head);
  exchange.reserveRequest(requestHeadBytesMax(head, forwarding));
  exchange.requestEnd = writeRequestHead(
    exchange.request.bytes,
    exchange.requestStart,
    bytes,
    head,
    forwarding,
  );
  exchange.requestHeadEnd = exchange.requestEnd;
}

function keyHashOf(exchange: Exchange, head: RequestHead): number {
  const { client, pool, proxy } = exchange;
  const { bytes } = proxy.arena;
  const { balance } = pool.config;
  if (balance.kind !== "hash") return 0;
  if (balance.key === "uri") return hashBytes(bytes, head.pathStart, head.pathEnd);
  if (balance.key === "header") {
    const row = findField(bytes, head.fields, pool.hashHeaderName);
    if (row < 0) return 0;
    return hashBytes(bytes, head.fields.valueStart[row]!, head.fields.valueEnd[row]!);
  }
  if (client.peerText === undefined) return hashIpv4(client.peerIpv4);
  const { forwarding } = proxy;
  return hashBytes(forwarding.clientAddress, 0, forwarding.clientAddressLength);
}

/** Body bytes arrived in arena[start, end). */
export function relayRequestBody(exchange: Exchange, start: number, end: number): void {
  if (!takeBody(exchange, start, end)) return;
  const { upstream, client } = exchange;
  if (upstream === undefined) return;
  // While the client is blocked its timer is send_timeout.
  if (exchange.requestBody.isComplete && !client.isBlocked) exchange.proxy.reactor.timers.cancel(client);
  if (!exchange.isSending || upstream.isBlocked) {
    if (!client.isBlocked) exchange.proxy.reactor.timers.cancel(client);
    if (!exchange.requestBody.isComplete) client.pauseReading();
    if (upstream.isBlocked) upstream.armSendTimeout();
  } else if (exchange.requestBody.isComplete && !client.isBlocked) upstream.armReadTimeout();
}

/**
 * Takes the body's part of arena[start, end), keeps what follows it for the next request, and passes it on with the framing
 * of the next hop. False when the exchange ended over it.
 */
function takeBody(exchange: Exchange, start: number, end: number): boolean {
  const { client, requestBody: body, proxy } = exchange;
  const { bytes } = proxy.arena;
  const progress = body.read(bytes, start, end);
  if (progress === BodyProgress.ERROR) return refuseBody(exchange);
  // The last chunk is written over what follows the body, so that has to be saved first.
  if (progress === BodyProgress.DONE && body.consumed < end) client.hold(body.consumed, end);
  const { maxBodyBytes } = client.listener.config;
  if (maxBodyBytes !== 0 && body.payloadBytes > maxBodyBytes) {
    exchange.endEarly(413, "The request body is larger than max_body_size.", Cause.REQUEST_REJECTED);
    return false;
  }
  let from = body.dataStart;
  let to = body.dataEnd;
  if (body.framing === Framing.CHUNKED) {
    if (from < to) {
      from = frameChunk(bytes, from, to);
      to += 2;
    }
    if (progress === BodyProgress.DONE) {
      to = writeLastChunkSize(bytes, to);
      to = writeTrailers(bytes, to, body.decoder, exchange.requestNominatedNames ?? NO_NOMINATED_NAMES);
    }
  }
  return from === to || passOn(exchange, from, to);
}

function refuseBody(exchange: Exchange): boolean {
  const { sentence } = CHUNKED_REJECTIONS[exchange.requestBody.decoder.reason]!;
  exchange.endEarly(400, sentence, Cause.BAD_REQUEST);
  return false;
}

/** Keeps arena[from, to) for a retry as far as allowed, and sends it when the server's connection is ready. False: that failed. */
function passOn(exchange: Exchange, from: number, to: number): boolean {
  const { proxy, upstream } = exchange;
  const { bytes } = proxy.arena;
  const fits =
    exchange.requestEnd - exchange.requestHeadEnd + to - from <= exchange.pool.config.replayBytesMax;
  // What has not been sent yet is at hand however large it is: it must be, to be sent at all.
  if (exchange.isReplayable && exchange.isSending && !fits) exchange.isReplayable = false;
  if (exchange.isReplayable || !exchange.isSending) {
    exchange.reserveRequest(exchange.requestEnd - exchange.requestStart + to - from);
    exchange.request.bytes.set(bytes.subarray(from, to), exchange.requestEnd);
    exchange.requestEnd += to - from;
  }
  if (!exchange.isSending || upstream === undefined) return true;
  const errno = upstream.write(proxy.arena, from, to);
  if (errno === 0) return true;
  exchange.handleSendFailure(-errno);
  return false;
}
