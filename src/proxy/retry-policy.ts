/**
 * What happens to a request whose try at a server has failed: the one decision table. Pure. Read RFC 9110 §9.2.2 and
 * RFC 9112 §9.3.1 first. The proxy calls `retryDecision` once per failed try and acts on `RETRY_DECISIONS[index]`.
 *
 * "A proxy MUST NOT automatically retry non-idempotent requests" (RFC 9110 §9.2.2) unless it can tell that the
 * request was never applied. It can tell when nothing of it was written, and when the server's FIN arrived while the
 * kernel's count of acknowledged bytes stood where it was before the request (`wasProvablyUnprocessed`): the server
 * had closed before its TCP had the request. An RST alone proves nothing, nor does a timeout.
 *
 *  | the try failed …                                 | any method | idempotent or proof | without proof |
 *  |--------------------------------------------------|------------|---------------------|---------------|
 *  | while connecting                                 | next       |                     |               |
 *  | before a byte was written, connection reused     | same       |                     |               |
 *  | before a byte was written, connection fresh      | next       |                     |               |
 *  | after writing, reused, closed without a response |            | same                | 502           |
 *  | after writing, fresh, closed without a response  |            | next                | 502           |
 *  | after writing, by a timeout                      |            | next (idempotent)   | 504           |
 *  | after a byte of the response                     | never      |                     |               |
 *
 * `next` = another server; it needs a try left. `same` = a fresh connection to the same server: its idle connection
 * was stale, which says nothing about the server. It is free, as nginx's is (ngx_http_upstream_next: a cached
 * connection's error gives the try back), and cannot repeat, because the new connection is a fresh one. Both need
 * time left and a request of which every byte taken from the client is still at hand.
 */

/** How far the try had come. */
export const FailurePhase = { CONNECTING: 0, UNWRITTEN: 1, WRITTEN: 2, RESPONDING: 3 } as const;

/** How it ended. REFUSED stands for every error of connect(2) but a timeout (unreachable, no local port, …). */
export const FailureKind = { REFUSED: 0, TIMEOUT: 1, RESET: 2, FIN: 3 } as const;

/** `next_upstream.non_idempotent`. */
export const NonIdempotentRetry = { PROVABLE: 0, NEVER: 1 } as const;

export type RetryAction = "retry-same-server" | "retry-next-server" | "give-up";

export interface RetryDecision {
  /** Label of metrics and value in the access log. */
  readonly name: string;
  readonly action: RetryAction;
  /** For give-up: the status to answer with. 0: bytes of a response have been seen; see `give-up-response-started`. */
  readonly status: 0 | 502 | 504;
  /** Whether the retry uses up one of `next_upstream.tries`. */
  readonly usesTry: boolean;
  /** The reason as a sentence, for the error body and the reference page. */
  readonly help: string;
}

const same = (name: string, help: string): RetryDecision => {
  return { name, action: "retry-same-server", status: 0, usesTry: false, help };
};
const next = (name: string, help: string): RetryDecision => {
  return { name, action: "retry-next-server", status: 0, usesTry: true, help };
};
const giveUp = (status: 0 | 502 | 504, name: string, help: string): RetryDecision => {
  return { name, action: "give-up", status, usesTry: false, help };
};

/** Order is the index that `retryDecision` returns. Each give-up with 504 directly follows its twin with 502. */
export const RETRY_DECISIONS: readonly RetryDecision[] = [
  same("same-unwritten", "The reused connection was closed before anything of the request was written."),
  same("same-stale", "The reused connection was stale; the method is idempotent."),
  same("same-stale-provable", "The reused connection was stale; the server provably never got the request."),
  next("next-connect", "The server could not be connected to."),
  next("next-unwritten", "The connection failed before anything of the request was written."),
  next("next-idempotent", "The server failed without a response; the method is idempotent."),
  next("next-provable", "The server closed without a response and provably never got the request."),
  giveUp(0, "give-up-response-started", "The response had begun: it cannot be replaced by another."),
  giveUp(
    502,
    "give-up-unsafe",
    "The server may have acted on the request, and its method is not idempotent.",
  ),
  giveUp(
    504,
    "give-up-unsafe-timeout",
    "The server was silent for too long and may have acted on the request.",
  ),
  giveUp(502, "give-up-not-replayable", "The request's body was too large to be kept for a second try."),
  giveUp(
    504,
    "give-up-not-replayable-timeout",
    "The server was silent for too long; the body was too large to be kept.",
  ),
  giveUp(502, "give-up-tries", "All tries of next_upstream have failed."),
  giveUp(504, "give-up-tries-timeout", "All tries of next_upstream have failed, the last by a timeout."),
  giveUp(502, "give-up-time", "The time for next_upstream is over."),
  giveUp(
    504,
    "give-up-time-timeout",
    "The time for next_upstream is over; the last try failed by a timeout.",
  ),
];

const SAME_UNWRITTEN = 0;
const SAME_STALE = 1;
const SAME_STALE_PROVABLE = 2;
const NEXT_CONNECT = 3;
const NEXT_UNWRITTEN = 4;
const NEXT_IDEMPOTENT = 5;
const NEXT_PROVABLE = 6;
const GIVE_UP_RESPONSE_STARTED = 7;
const GIVE_UP_UNSAFE = 8;
const GIVE_UP_NOT_REPLAYABLE = 10;
const GIVE_UP_TRIES = 12;
const GIVE_UP_TIME = 14;

const { CONNECTING, UNWRITTEN, WRITTEN, RESPONDING } = FailurePhase;
const { REFUSED, TIMEOUT, RESET, FIN } = FailureKind;

interface Row {
  readonly phase: number;
  readonly kinds: readonly number[];
  readonly connection: "fresh" | "reused" | "either";
  /** Decision for an idempotent request, for one that is proven unprocessed, for any other. */
  readonly idempotent: number;
  readonly proven: number;
  readonly otherwise: number;
}

const ANY = [REFUSED, TIMEOUT, RESET, FIN];
const CLOSED = [REFUSED, RESET, FIN];

// biome-ignore format: a table
const ROWS: readonly Row[] = [
  { phase: CONNECTING, kinds: ANY,       connection: "either", idempotent: NEXT_CONNECT,    proven: NEXT_CONNECT,        otherwise: NEXT_CONNECT },
  { phase: UNWRITTEN,  kinds: CLOSED,    connection: "reused", idempotent: SAME_UNWRITTEN,  proven: SAME_UNWRITTEN,      otherwise: SAME_UNWRITTEN },
  { phase: UNWRITTEN,  kinds: [TIMEOUT], connection: "reused", idempotent: NEXT_UNWRITTEN,  proven: NEXT_UNWRITTEN,      otherwise: NEXT_UNWRITTEN },
  { phase: UNWRITTEN,  kinds: ANY,       connection: "fresh",  idempotent: NEXT_UNWRITTEN,  proven: NEXT_UNWRITTEN,      otherwise: NEXT_UNWRITTEN },
  { phase: WRITTEN,    kinds: CLOSED,    connection: "reused", idempotent: SAME_STALE,      proven: SAME_STALE_PROVABLE, otherwise: GIVE_UP_UNSAFE },
  { phase: WRITTEN,    kinds: CLOSED,    connection: "fresh",  idempotent: NEXT_IDEMPOTENT, proven: NEXT_PROVABLE,       otherwise: GIVE_UP_UNSAFE },
  { phase: WRITTEN,    kinds: [TIMEOUT], connection: "either", idempotent: NEXT_IDEMPOTENT, proven: GIVE_UP_UNSAFE,      otherwise: GIVE_UP_UNSAFE },
  { phase: RESPONDING, kinds: ANY,       connection: "either", idempotent: GIVE_UP_RESPONSE_STARTED, proven: GIVE_UP_RESPONSE_STARTED, otherwise: GIVE_UP_RESPONSE_STARTED },
];

/** ROWS unfolded: one entry for each combination of `tableKey`. */
const TABLE = unfold(ROWS);

/**
 * @param phase a FailurePhase
 * @param kind a FailureKind
 * @param wasReused the connection had carried another request before this one
 * @param isIdempotent the method is (RFC 9110 §9.2.2)
 * @param wasProvablyUnprocessed see the header; not to be set for an RST without FIN
 * @param isReplayable every byte of the request taken from the client so far can be sent again
 * @param triesLeft further tries that `next_upstream.tries` allows
 * @param hasTimeLeft `next_upstream.timeout` has not passed
 * @param nonIdempotent a NonIdempotentRetry
 * @returns index into RETRY_DECISIONS
 */
export function retryDecision(
  phase: number,
  kind: number,
  wasReused: boolean,
  isIdempotent: boolean,
  wasProvablyUnprocessed: boolean,
  isReplayable: boolean,
  triesLeft: number,
  hasTimeLeft: boolean,
  nonIdempotent: number,
): number {
  const isProven = wasProvablyUnprocessed && nonIdempotent === NonIdempotentRetry.PROVABLE;
  const decision = TABLE[tableKey(phase, kind, wasReused, isIdempotent, isProven)]!;
  if (decision === GIVE_UP_RESPONSE_STARTED) return decision;
  const twin = kind === TIMEOUT ? 1 : 0;
  if (decision === GIVE_UP_UNSAFE) return decision + twin;
  if (!isReplayable) return GIVE_UP_NOT_REPLAYABLE + twin;
  if (decision >= NEXT_CONNECT && triesLeft <= 0) return GIVE_UP_TRIES + twin;
  if (!hasTimeLeft) return GIVE_UP_TIME + twin;
  return decision;
}

/**
 * Whether a failed try speaks against the server (`max_fails`). A stale idle connection does not, and neither does a server that
 * closes one before a byte is written. (nginx counts both.)
 */
export function countsAgainstServer(phase: number, kind: number, wasReused: boolean): boolean {
  return !wasReused || kind === TIMEOUT || phase === RESPONDING;
}

function tableKey(
  phase: number,
  kind: number,
  wasReused: boolean,
  isIdempotent: boolean,
  isProven: boolean,
): number {
  return (phase << 5) | (kind << 3) | (wasReused ? 4 : 0) | (isIdempotent ? 2 : 0) | (isProven ? 1 : 0);
}

function unfold(rows: readonly Row[]): Uint8Array {
  const table = new Uint8Array(128).fill(GIVE_UP_UNSAFE);
  for (const row of rows) {
    for (const kind of row.kinds) {
      for (const wasReused of row.connection === "either" ? [false, true] : [row.connection === "reused"]) {
        table[tableKey(row.phase, kind, wasReused, false, false)] = row.otherwise;
        table[tableKey(row.phase, kind, wasReused, false, true)] = row.proven;
        table[tableKey(row.phase, kind, wasReused, true, false)] = row.idempotent;
        table[tableKey(row.phase, kind, wasReused, true, true)] = row.idempotent;
      }
    }
  }
  return table;
}
