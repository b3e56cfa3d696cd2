/**
 * May this connection serve another message? (RFC 9112 §9.3, read it first.) One decision per leg, made when a response head is
 * known; nobody else decides. Small integers in and out: the result is an index into PERSISTENCE_DECISIONS, whose close cause
 * is what the close is counted under. Called by the proxy once per exchange and leg.
 *
 * | rule, in this order               | client's connection | server's connection          |
 * |------------------------------------|---------------------|------------------------------|
 * | the peer's `close` option          | CLIENT_ASKED_CLOSE  | SERVER_SAID_CLOSE            |
 * | HTTP/1.0 without `keep-alive`      | CLIENT_IS_HTTP10    | SERVER_IS_HTTP10             |
 * | the body ends only by closing      | LENGTH_UNKNOWN      | SERVER_ENDS_BY_CLOSE (first) |
 * | our own limits, in their bit order | as named            | as named                     |
 * | otherwise                          | PERSIST             | PERSIST                      |
 */
import type { CloseCause } from "../observe/close-cause.ts";
import { ConnectionOption } from "./connection-options.ts";
import { Framing } from "./framing.ts";

/** Our own reasons to end a connection after this response; a bit set. Where several hold, the first counts. */
export const PersistenceLimit = {
  /** Server's leg: `ResponseHead.isFramingFaulty`. */
  FAULTY_FRAMING: 1,
  /** The request body was not read to its end (client's leg) or not sent to its end (server's leg). */
  UNREAD_BODY: 2,
  DRAINING: 4,
  REQUESTS: 8,
  AGE: 16,
  /** keepalive_timeout 0; on the server's leg: the pool keeps no idle connections, or we sent `Connection: close`. */
  DISABLED: 32,
} as const;

/** Index into PERSISTENCE_DECISIONS; 0 persists. */
export const PersistenceDecision = {
  PERSIST: 0,
  CLIENT_ASKED_CLOSE: 1,
  CLIENT_IS_HTTP10: 2,
  LENGTH_UNKNOWN: 3,
  CLIENT_UNREAD_BODY: 4,
  CLIENT_DRAINING: 5,
  CLIENT_REQUEST_LIMIT: 6,
  CLIENT_AGE_LIMIT: 7,
  CLIENT_DISABLED: 8,
  SERVER_ENDS_BY_CLOSE: 9,
  SERVER_FAULTY_FRAMING: 10,
  SERVER_SAID_CLOSE: 11,
  SERVER_IS_HTTP10: 12,
  SERVER_REQUEST_UNFINISHED: 13,
  SERVER_DRAINING: 14,
  SERVER_REQUEST_LIMIT: 15,
  SERVER_AGE_LIMIT: 16,
  SERVER_DISABLED: 17,
} as const;

export interface PersistenceDecisionEntry {
  readonly name: string;
  readonly persists: boolean;
  /** What the close is counted under; undefined: the connection persists. */
  readonly closeCause: CloseCause | undefined;
}

function closes(name: string, closeCause: CloseCause): PersistenceDecisionEntry {
  return { name, persists: false, closeCause };
}

export const PERSISTENCE_DECISIONS: readonly PersistenceDecisionEntry[] = [
  { name: "persist", persists: true, closeCause: undefined },
  closes("client-asked-close", "client-asked-close"),
  closes("client-is-http10", "client-asked-close"),
  closes("length-unknown", "upstream-asked-close"),
  closes("client-unread-body", "request-rejected"),
  closes("client-draining", "drain"),
  closes("client-request-limit", "request-limit"),
  closes("client-age-limit", "age-limit"),
  closes("client-disabled", "idle-timeout"),
  closes("server-ends-by-close", "upstream-fin"),
  closes("server-faulty-framing", "upstream-bad-response"),
  closes("server-said-close", "upstream-said-close"),
  closes("server-is-http10", "upstream-said-close"),
  closes("server-request-unfinished", "upstream-request-unfinished"),
  closes("server-draining", "upstream-drain"),
  closes("server-request-limit", "upstream-request-limit"),
  closes("server-age-limit", "upstream-age-limit"),
  closes("server-disabled", "upstream-pool-full"),
];

/**
 * The client's leg. `requestConnectionOptions`: ConnectionOption bits; `limits`: PersistenceLimit bits. A gateway may keep an
 * HTTP/1.0 client that asks for it (only a forward proxy MUST NOT); the response must then say `Connection: keep-alive`.
 */
export function clientPersistenceAfter(
  minorVersion: number,
  requestConnectionOptions: number,
  isResponseSelfDelimited: boolean,
  limits: number,
): number {
  if ((requestConnectionOptions & ConnectionOption.CLOSE) !== 0)
    return PersistenceDecision.CLIENT_ASKED_CLOSE;
  if (minorVersion === 0 && (requestConnectionOptions & ConnectionOption.KEEP_ALIVE) === 0) {
    return PersistenceDecision.CLIENT_IS_HTTP10;
  }
  if (!isResponseSelfDelimited) return PersistenceDecision.LENGTH_UNKNOWN;
  if ((limits & PersistenceLimit.UNREAD_BODY) !== 0) return PersistenceDecision.CLIENT_UNREAD_BODY;
  if ((limits & PersistenceLimit.DRAINING) !== 0) return PersistenceDecision.CLIENT_DRAINING;
  if ((limits & PersistenceLimit.REQUESTS) !== 0) return PersistenceDecision.CLIENT_REQUEST_LIMIT;
  if ((limits & PersistenceLimit.AGE) !== 0) return PersistenceDecision.CLIENT_AGE_LIMIT;
  if ((limits & PersistenceLimit.DISABLED) !== 0) return PersistenceDecision.CLIENT_DISABLED;
  return PersistenceDecision.PERSIST;
}

/** The server's leg; `framing` is how the response's body ends as we read it. */
export function upstreamPersistenceAfter(
  responseMinorVersion: number,
  responseConnectionOptions: number,
  framing: number,
  limits: number,
): number {
  if (framing === Framing.UNTIL_CLOSE) return PersistenceDecision.SERVER_ENDS_BY_CLOSE;
  if ((limits & PersistenceLimit.FAULTY_FRAMING) !== 0) return PersistenceDecision.SERVER_FAULTY_FRAMING;
  if ((responseConnectionOptions & ConnectionOption.CLOSE) !== 0)
    return PersistenceDecision.SERVER_SAID_CLOSE;
  if (responseMinorVersion === 0 && (responseConnectionOptions & ConnectionOption.KEEP_ALIVE) === 0) {
    return PersistenceDecision.SERVER_IS_HTTP10;
  }
  if ((limits & PersistenceLimit.UNREAD_BODY) !== 0) return PersistenceDecision.SERVER_REQUEST_UNFINISHED;
  if ((limits & PersistenceLimit.DRAINING) !== 0) return PersistenceDecision.SERVER_DRAINING;
  if ((limits & PersistenceLimit.REQUESTS) !== 0) return PersistenceDecision.SERVER_REQUEST_LIMIT;
  if ((limits & PersistenceLimit.AGE) !== 0) return PersistenceDecision.SERVER_AGE_LIMIT;
  if ((limits & PersistenceLimit.DISABLED) !== 0) return PersistenceDecision.SERVER_DISABLED;
  return PersistenceDecision.PERSIST;
}
