/**
 * The response's way from the server to the client: the head rewritten for this hop, the body framed again, everything
 * of one read sent with one send(2). A body that the server cut short is never completed (RFC 9112 §8): no last chunk, the
 * connection is closed. Called by exchange.ts with the bytes of one read.
 */

import { writeTrailers } from "../http1/chunked.ts";
import { NO_NOMINATED_NAMES, nominatedNamesOf } from "../http1/connection-options.ts";
import { Framing, forwardedFraming } from "../http1/framing.ts";
import { editResponseHead, responseHeadBytesMax, writeResponseHead } from "../http1/head-writer.ts";
import { PERSISTENCE_DECISIONS, PersistenceLimit, upstreamPersistenceAfter } from "../http1/persistence.ts";
import { ConnectionOption } from "../http1/request-head.ts";
import { parseResponseHead, RESPONSE_REJECTIONS, type ResponseHead } from "../http1/response-head.ts";
import { closeCauseIndex } from "../observe/close-cause.ts";
import { ListenerSlot } from "../observe/counter-layout.ts";
import { RESPONSE_HEAD_BYTES_MAX, SCRATCH_START } from "./arena.ts";
import { Ending } from "./connection-state.ts";
import type { Exchange } from "./exchange.ts";
import { Cause } from "./failure.ts";
import { BodyProgress, frameChunk, writeEmptyTrailers, writeLastChunkSize } from "./message-body.ts";
import { startTunnel } from "./tunnel.ts";
import { failResponse } from "./upstream-failure.ts";

const SWITCHING_PROTOCOLS = 101;

/** arena[start, end) came from the server. */
export function relayResponse(exchange: Exchange, start: number, end: number): void {
  if (exchange.isResponseHeadDone) relayBody(exchange, start, end, start, 0);
  else relayHead(exchange, start, end);
}

function relayHead(exchange: Exchange, start: number, end: number): void {
  const { proxy } = exchange;
  const { bytes } = proxy.arena;
  const head = proxy.responseHead;
  for (;;) {
    const result = parseResponseHead(bytes, start, end, RESPONSE_HEAD_BYTES_MAX, exchange.method, head);
    if (result === 0) {
      exchange.upstream!.hold(start, end);
      return;
    }
    if (result < 0) {
      failResponse(exchange, RESPONSE_REJECTIONS[-result]!.sentence);
      return;
    }
    if (head.status === SWITCHING_PROTOCOLS) {
      switchProtocols(exchange, head, result, end);
      return;
    }
    if (head.status >= 200) {
      beginResponse(exchange, head);
      relayFinalHead(exchange, head, end);
      return;
    }
    if (!relayInformational(exchange, head)) return;
    // A server may send any number of these: no faster than the client takes them.
    if (exchange.client.isBlocked) exchange.upstream!.pauseReading();
    start = result;
    if (start === end) return;
  }
}

/** 1xx: any number may come before the final response, and all are forwarded (RFC 9110 §15.2), but not to HTTP/1.0. */
function relayInformational(exchange: Exchange, head: ResponseHead): boolean {
  const { client, proxy } = exchange;
  client.listener.count(ListenerSlot.responses1xx, 1);
  if (exchange.clientMinorVersion === 0) return true;
  prepareForwarding(exchange, head, false);
  const headBytes = writeHead(exchange, head);
  exchange.bytesToClient += headBytes;
  return client.send(proxy.arena, SCRATCH_START, SCRATCH_START + headBytes);
}

/** Decides, once the final head is known, how the body is framed and what becomes of both connections. */
function beginResponse(exchange: Exchange, head: ResponseHead): void {
  const { proxy, server } = exchange;
  exchange.isResponseHeadDone = true;
  exchange.status = head.status;
  exchange.responseBody.begin(head.framing, head.contentLength);
  exchange.responseFraming = forwardedFraming(head.framing, exchange.clientMinorVersion);
  exchange.decidePersistence(exchange.responseFraming !== Framing.UNTIL_CLOSE);
  server!.handleResponse(proxy.reactor.nowMs, head.status);
  if (exchange.wasReused) server!.learned.handleSurvival(proxy.reactor.nowMs, exchange.upstreamIdleMs);
  if (head.keepAliveTimeoutSeconds >= 0) {
    server!.learned.handleAdvertisedSeconds(proxy.reactor.nowMs, head.keepAliveTimeoutSeconds);
  }
  const decision = upstreamPersistenceAfter(
    head.minorVersion,
    head.connectionOptions,
    head.framing,
    head.isFramingFaulty ? PersistenceLimit.FAULTY_FRAMING : 0,
  );
  const { closeCause } = PERSISTENCE_DECISIONS[decision]!;
  exchange.upstreamRetirement = closeCause === undefined ? -1 : closeCauseIndex(closeCause);
  if (head.framing === Framing.CHUNKED && (head.connectionOptions & ConnectionOption.OTHER) !== 0) {
    exchange.responseNominatedNames = nominatedNamesOf(proxy.arena.bytes, head.fields);
  }
}

/** Sends the head with what has arrived of the body; a usual head is changed where it lies. */
function relayFinalHead(exchange: Exchange, head: ResponseHead, end: number): void {
  const { proxy } = exchange;
  prepareForwarding(exchange, head, false);
  const start = editResponseHead(proxy.arena.bytes, head, proxy.responseForwarding);
  if (start >= 0) relayBody(exchange, head.end, end, start, head.end - start);
  else relayBody(exchange, head.end, end, SCRATCH_START, writeHead(exchange, head));
}

/** Tells the writers how this head is to be forwarded. */
function prepareForwarding(exchange: Exchange, head: ResponseHead, isUpgrade: boolean): void {
  const { client, proxy } = exchange;
  const forwarding = proxy.responseForwarding;
  forwarding.clientMinorVersion = exchange.clientMinorVersion;
  forwarding.persistent = PERSISTENCE_DECISIONS[exchange.persistence]!.persists;
  forwarding.framing = exchange.responseFraming;
  forwarding.keepAliveHeaderSeconds = client.listener.config.keepaliveHeaderSeconds ?? -1;
  forwarding.isUpgrade = isUpgrade;
  if (!head.hasDate) forwarding.date = proxy.date();
}

/** Writes the head for the client into the scratch region; its length. */
function writeHead(exchange: Exchange, head: ResponseHead): number {
  const { proxy } = exchange;
  const { bytes } = proxy.arena;
  proxy.assertScratch(responseHeadBytesMax(head, proxy.responseForwarding));
  return writeResponseHead(bytes, SCRATCH_START, bytes, head, proxy.responseForwarding) - SCRATCH_START;
}

/** Sends what arena[start, end) holds of the body, behind the `headBytes` at `headStart`. */
function relayBody(
  exchange: Exchange,
  start: number,
  end: number,
  headStart: number,
  headBytes: number,
): void {
  const { client, proxy, responseBody: body } = exchange;
  const { bytes } = proxy.arena;
  const progress = body.read(bytes, start, end);
  let from = body.dataStart;
  let to = body.dataEnd;
  if (exchange.responseFraming === Framing.CHUNKED) {
    if (from < to) {
      from = frameChunk(bytes, from, to);
      to += 2;
    }
    // What follows the body is nobody's: it may be overwritten.
    if (progress === BodyProgress.DONE) to = writeEnd(exchange, to);
  }
  if (headBytes > 0) {
    from -= headBytes;
    if (from !== headStart) bytes.copyWithin(from, headStart, headStart + headBytes);
  }
  exchange.bytesToClient += to - from;
  if (from < to && !client.send(proxy.arena, from, to)) return;
  if (progress === BodyProgress.MORE) awaitMore(exchange);
  else if (progress === BodyProgress.ERROR) failResponse(exchange, "The chunked response body is malformed.");
  else finishResponse(exchange, body.consumed < end);
}

/** The last chunk, with the server's trailers where both sides speak chunked. */
function writeEnd(exchange: Exchange, offset: number): number {
  const { bytes } = exchange.proxy.arena;
  const end = writeLastChunkSize(bytes, offset);
  const { responseBody: body } = exchange;
  if (body.framing !== Framing.CHUNKED) return writeEmptyTrailers(bytes, end);
  return writeTrailers(bytes, end, body.decoder, exchange.responseNominatedNames ?? NO_NOMINATED_NAMES);
}

/** The body goes on: read it as fast as the client takes it. */
function awaitMore(exchange: Exchange): void {
  const upstream = exchange.upstream!;
  if (exchange.client.isBlocked) {
    upstream.pauseReading();
    if (!upstream.isBlocked) upstream.cancelTimeout();
  } else if (!exchange.wantsRequestBody()) upstream.armReadTimeout();
}

/** The server closed: that is the end of a close-delimited body. False when it is a truncation. */
export function finishUpstreamBody(exchange: Exchange): boolean {
  const { client, proxy, responseBody: body } = exchange;
  if (body.framing !== Framing.UNTIL_CLOSE) return false;
  body.isComplete = true;
  if (exchange.responseFraming === Framing.CHUNKED) {
    const to = writeEnd(exchange, SCRATCH_START);
    exchange.bytesToClient += to - SCRATCH_START;
    if (!client.send(proxy.arena, SCRATCH_START, to)) return true;
  }
  finishResponse(exchange, false);
  return true;
}

/** Both connections go on, or end, as decided when the head was seen. */
function finishResponse(exchange: Exchange, hasStrayBytes: boolean): void {
  exchange.isResponseDone = true;
  releaseUpstream(exchange, hasStrayBytes);
  const decision = PERSISTENCE_DECISIONS[exchange.persistence]!;
  if (decision.persists) {
    exchange.finish(Ending.PERSIST, -1);
    return;
  }
  const cause = closeCauseIndex(decision.closeCause!);
  const hasClientSaidClose = decision.closeCause === "client-asked-close" && exchange.requestBody.isComplete;
  exchange.finish(hasClientSaidClose ? Ending.CLOSE : Ending.LINGER, cause);
}

function releaseUpstream(exchange: Exchange, hasStrayBytes: boolean): void {
  const { pool, requestBody } = exchange;
  const upstream = exchange.upstream!;
  let retirement = exchange.upstreamRetirement;
  if (!requestBody.isComplete || exchange.isRequestGivenUp || upstream.isBlocked) {
    retirement = Cause.UPSTREAM_REQUEST_UNFINISHED;
  } else if (hasStrayBytes) retirement = Cause.UPSTREAM_STRAY_BYTES;
  if (retirement < 0) retirement = pool.retirementCause(upstream);
  if (retirement >= 0) {
    exchange.dropUpstream(retirement);
    return;
  }
  exchange.upstream = undefined;
  pool.checkIn(upstream);
}

/** 101: the head is forwarded, then both connections are a tunnel, with what each parser held (RFC 9110 §7.8). */
function switchProtocols(exchange: Exchange, head: ResponseHead, tunnelStart: number, end: number): void {
  if (!exchange.isUpgradeAsked || head.upgradeStart < 0) {
    failResponse(exchange, "The server switched protocols without being asked to.");
    return;
  }
  const { client, proxy } = exchange;
  exchange.isResponseHeadDone = true;
  exchange.status = head.status;
  prepareForwarding(exchange, head, true);
  const headBytes = writeHead(exchange, head);
  const from = tunnelStart - headBytes;
  proxy.arena.bytes.copyWithin(from, SCRATCH_START, SCRATCH_START + headBytes);
  exchange.bytesToClient += end - from;
  if (client.send(proxy.arena, from, end)) startTunnel(exchange);
}
