/**
 * What to do when a server's connection fails under an exchange: gather the facts, ask the table of retry-policy.ts, act.
 * Once the client has seen the response's head nothing can be mended: the connection is cut, visibly (RFC 9112 §8).
 */
import { Framing } from "../http1/framing.ts";
import { CLOSE_CAUSES } from "../observe/close-cause.ts";
import { PoolSlot, ServerSlot } from "../observe/counter-layout.ts";
import { Errno } from "../sys/errno.ts";
import { Ending } from "./connection-state.ts";
import type { Exchange } from "./exchange.ts";
import { Cause, upstreamFailureCause } from "./failure.ts";
import {
  countsAgainstServer,
  FailureKind,
  FailurePhase,
  NonIdempotentRetry,
  RETRY_DECISIONS,
  retryDecision,
} from "./retry-policy.ts";

/** connect(2) failed, at once or later; our own connect_timeout comes as ETIMEDOUT. */
export function failConnect(exchange: Exchange, errno: number): void {
  const cause =
    errno === Errno.ETIMEDOUT ? Cause.UPSTREAM_CONNECT_TIMEOUT : upstreamFailureCause(errno, false);
  exchange.server!.count(ServerSlot.connectFailures, 1);
  const kind = errno === Errno.ETIMEDOUT ? FailureKind.TIMEOUT : FailureKind.REFUSED;
  settle(exchange, cause, FailurePhase.CONNECTING, kind, false);
}

/** The connection broke, ended or was silent for too long while the exchange used it. */
export function failUpstream(exchange: Exchange, cause: number, _errno: number): void {
  if (exchange.isTunnel) {
    exchange.dropUpstream(cause);
    exchange.finish(cause === Cause.UPSTREAM_RESET ? Ending.RESET : Ending.CLOSE, Cause.TUNNEL_FINISHED);
    return;
  }
  if (exchange.isResponseHeadDone) {
    cutShort(exchange, cause);
    return;
  }
  const upstream = exchange.upstream!;
  const kind = kindOf(cause);
  const phase = phaseOf(exchange);
  if (cause === Cause.UPSTREAM_FIN_STALE) {
    exchange.server!.learned.handleIdleFin(exchange.proxy.reactor.nowMs, exchange.upstreamIdleMs);
  }
  const isProven =
    phase === FailurePhase.WRITTEN && kind === FailureKind.FIN && upstream.isProvablyUnprocessed();
  settle(exchange, cause, phase, kind, isProven);
}

/** The server's bytes are no HTTP/1.1 response: nobody else may be asked, and nothing of it is forwarded. */
export function failResponse(exchange: Exchange, sentence: string): void {
  if (exchange.isResponseHeadDone) {
    cutShort(exchange, Cause.UPSTREAM_BAD_RESPONSE);
    return;
  }
  noteFailure(exchange, Cause.UPSTREAM_BAD_RESPONSE);
  exchange.dropUpstream(Cause.UPSTREAM_BAD_RESPONSE);
  exchange.respond(502, `The server's response cannot be understood: ${sentence}`);
}

function settle(exchange: Exchange, cause: number, phase: number, kind: number, isProven: boolean): void {
  const { pool, proxy, wasReused } = exchange;
  const { nextUpstream } = pool.config;
  if (countsAgainstServer(phase, kind, wasReused)) noteFailure(exchange, cause);
  const elapsedMs = proxy.reactor.nowMs - exchange.startedMs - exchange.waitedMs;
  const index = retryDecision(
    phase,
    kind,
    wasReused,
    exchange.isIdempotent,
    isProven,
    exchange.isReplayable,
    nextUpstream.tries - exchange.tries,
    nextUpstream.timeoutMs === 0 || elapsedMs < nextUpstream.timeoutMs,
    nextUpstream.nonIdempotent === "provable" ? NonIdempotentRetry.PROVABLE : NonIdempotentRetry.NEVER,
  );
  const decision = RETRY_DECISIONS[index]!;
  exchange.dropUpstream(cause);
  exchange.failureStatus = kind === FailureKind.TIMEOUT ? 504 : 502;
  exchange.failureSentence = CLOSE_CAUSES[cause]!.help;
  if (decision.action === "give-up") {
    exchange.respond(exchange.failureStatus, `${exchange.failureSentence} ${decision.help}`);
    return;
  }
  if (phase === FailurePhase.WRITTEN && wasReused) pool.count(PoolSlot.retriesStale, 1);
  if (isProven && !exchange.isIdempotent) pool.count(PoolSlot.retriesProvable, 1);
  exchange.retry(decision.action === "retry-same-server");
}

function noteFailure(exchange: Exchange, cause: number): void {
  exchange.server!.handleFailure(exchange.proxy.reactor.nowMs, cause);
}

/** The client has the head and perhaps part of the body: make sure that it cannot take the part for the whole. */
function cutShort(exchange: Exchange, cause: number): void {
  noteFailure(exchange, cause);
  exchange.dropUpstream(cause);
  const endsByClose = exchange.responseFraming === Framing.UNTIL_CLOSE;
  exchange.finish(endsByClose ? Ending.RESET : Ending.CLOSE, Cause.UPSTREAM_TRUNCATED);
}

function phaseOf(exchange: Exchange): number {
  const upstream = exchange.upstream!;
  if (exchange.hasResponseBytes) return FailurePhase.RESPONDING;
  return upstream.bytesSent === upstream.bytesSentBeforeRequest
    ? FailurePhase.UNWRITTEN
    : FailurePhase.WRITTEN;
}

function kindOf(cause: number): number {
  switch (cause) {
    case Cause.UPSTREAM_FIN_STALE:
    case Cause.UPSTREAM_FIN_EARLY:
      return FailureKind.FIN;
    case Cause.UPSTREAM_READ_TIMEOUT:
    case Cause.UPSTREAM_SEND_TIMEOUT:
    case Cause.UPSTREAM_TCP_KEEPALIVE:
    case Cause.UPSTREAM_TCP_USER_TIMEOUT:
      return FailureKind.TIMEOUT;
    default:
      return FailureKind.RESET;
  }
}
