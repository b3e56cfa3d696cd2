/**
 * When the kernel notices that a peer is gone: idle (keepalive), with data in flight (retransmission), from now on (what is left).
 * Pure arithmetic after net/ipv4/tcp_timer.c: tcp_keepalive_timer(), retransmits_timed_out(), tcp_model_timeout(),
 * tcp_write_timeout(), tcp_probe_timer(). Called by socket-verdict.ts.
 */
import { detectionTimeMs } from "../tcp/so-keepalive.ts";
import type { SocketOptions } from "./socket-record.ts";

/** What a network namespace gives to its sockets: net.ipv4.tcp_*. */
export interface TcpSysctls {
  readonly keepaliveIdleMs: number;
  readonly keepaliveIntervalMs: number;
  readonly keepaliveProbeCount: number;
  /** tcp_retries2 */
  readonly retries2: number;
  /** tcp_orphan_retries; 0 means 8. For sockets that their process has closed. */
  readonly orphanRetries: number;
  /** tcp_rto_max_ms since Linux 6.15; 120 s before. */
  readonly rtoMaxMs: number;
}

export const DEFAULT_TCP_SYSCTLS: TcpSysctls = {
  keepaliveIdleMs: 7_200_000,
  keepaliveIntervalMs: 75_000,
  keepaliveProbeCount: 9,
  retries2: 15,
  orphanRetries: 0,
  rtoMaxMs: 120_000,
};

/** TCP_RTO_MIN: the time-out of retransmissions is modelled with it, whatever the real one is. */
const RTO_MIN_MS = 200;
/** What orphans get when tcp_orphan_retries is 0 (tcp_orphan_retries(), tcp_timer.c). */
const ORPHAN_RETRIES_DEFAULT = 8;
/** Ticks of a timer that are simulated at most; 255 retries of 120 s are 8.5 hours. */
const TICKS_MAX = 400;

/** The options in force: those of the socket, or the namespace's where they are not known. */
export function assumedOptions(isKeepaliveOn: boolean, sysctls: TcpSysctls): SocketOptions {
  return {
    isKeepaliveOn,
    idleMs: sysctls.keepaliveIdleMs,
    intervalMs: sysctls.keepaliveIntervalMs,
    probeCount: sysctls.keepaliveProbeCount,
    userTimeoutMs: 0,
  };
}

/** From the last sign of life until an idle dead peer is noticed; undefined: never. */
export function idleDetectionMs(options: SocketOptions): number | undefined {
  return detectionTimeMs(
    {
      enabled: options.isKeepaliveOn,
      idleSeconds: options.idleMs / 1000,
      intervalSeconds: options.intervalMs / 1000,
      probeCount: options.probeCount,
    },
    options.userTimeoutMs,
  );
}

/** tcp_model_timeout(): how long `retries` doublings of TCP_RTO_MIN last; 15 retries are 924.6 s. */
export function modelTimeoutMs(retries: number, rtoMaxMs: number): number {
  const linearFrom = Math.max(0, Math.floor(Math.log2(rtoMaxMs / RTO_MIN_MS)));
  if (retries <= linearFrom) return (2 ** (retries + 1) - 1) * RTO_MIN_MS;
  return (2 ** (linearFrom + 1) - 1) * RTO_MIN_MS + (retries - linearFrom) * rtoMaxMs;
}

/** From the sending of data until its acknowledgement is given up, on a connection whose retransmission time-out is `rtoMs`. */
export function inFlightDetectionMs(rtoMs: number, userTimeoutMs: number, sysctls: TcpSysctls): number {
  // Sockets by the thousand share a few hundred values.
  const waitMs = Math.max(1, Math.round(rtoMs));
  if (userTimeoutMs !== 0) return inFlightEndMs(waitMs, userTimeoutMs, sysctls);
  let known = IN_FLIGHT_MS.get(sysctls);
  if (known === undefined) {
    known = new Map();
    IN_FLIGHT_MS.set(sysctls, known);
  }
  let endMs = known.get(waitMs);
  if (endMs === undefined) {
    endMs = inFlightEndMs(waitMs, 0, sysctls);
    known.set(waitMs, endMs);
  }
  return endMs;
}

const IN_FLIGHT_MS = new WeakMap<TcpSysctls, Map<number, number>>();

function inFlightEndMs(rtoMs: number, userTimeoutMs: number, sysctls: TcpSysctls): number {
  const start = { rtoMs, dueMs: rtoMs, elapsedMs: undefined };
  return retransmissionEndMs(start, userTimeoutMs, retriesLimitMs(false, sysctls), sysctls.rtoMaxMs);
}

/** The retransmission timer of a socket at this moment. */
export interface RetransmissionProgress {
  /** Now, doublings included. */
  readonly rtoMs: number;
  readonly timerLeftMs: number;
  /** Retransmissions so far. */
  readonly count: number;
  readonly backoff: number;
  /** The smoothed time-out without doublings, for when the cap has hidden it. */
  readonly rttMs: number;
  readonly rttVariationMs: number;
  /** Its process has closed it. */
  readonly isOrphan: boolean;
}

/** From now until the kernel gives up. */
export function retransmissionLeftMs(
  progress: RetransmissionProgress,
  userTimeoutMs: number,
  sysctls: TcpSysctls,
): number {
  const { rtoMs, timerLeftMs, count, isOrphan } = progress;
  const elapsedMs = count === 0 ? undefined : elapsedSinceFirstMs(progress, sysctls.rtoMaxMs);
  const start = { rtoMs: Math.max(rtoMs, 1), dueMs: timerLeftMs, elapsedMs };
  return retransmissionEndMs(start, userTimeoutMs, retriesLimitMs(isOrphan, sysctls), sysctls.rtoMaxMs);
}

function retriesLimitMs(isOrphan: boolean, sysctls: TcpSysctls): number {
  const retries = isOrphan ? sysctls.orphanRetries || ORPHAN_RETRIES_DEFAULT : sysctls.retries2;
  return modelTimeoutMs(retries, sysctls.rtoMaxMs);
}

/** Since the first retransmission, from which the kernel counts (retrans_stamp): the time-outs between it and now, added up. */
function elapsedSinceFirstMs(progress: RetransmissionProgress, rtoMaxMs: number): number {
  const { rtoMs, timerLeftMs, count, backoff, rttMs, rttVariationMs } = progress;
  const isCapped = rtoMs >= rtoMaxMs;
  const baseMs = isCapped
    ? rttMs + Math.max(RTO_MIN_MS, 4 * rttVariationMs)
    : rtoMs / 2 ** Math.min(backoff, 31);
  let elapsed = Math.max(0, rtoMs - timerLeftMs);
  for (let index = 1; index < Math.min(count, TICKS_MAX); index++)
    elapsed += Math.min(baseMs * 2 ** index, rtoMaxMs);
  return elapsed;
}

interface RetransmissionTimer {
  readonly rtoMs: number;
  readonly dueMs: number;
  /** undefined: nothing was retransmitted yet. */
  readonly elapsedMs: number | undefined;
}

/** Runs the timer: at each tick the kernel gives up when the time since the first retransmission has passed the limit. */
function retransmissionEndMs(
  start: RetransmissionTimer,
  userTimeoutMs: number,
  limitMs: number,
  rtoMaxMs: number,
): number {
  const boundMs = userTimeoutMs === 0 ? limitMs : userTimeoutMs;
  let { rtoMs, elapsedMs, dueMs: atMs } = start;
  // The first retransmission starts the count.
  if (elapsedMs !== undefined) elapsedMs += atMs;
  for (let tick = 0; tick < TICKS_MAX; tick++) {
    if (elapsedMs !== undefined && elapsedMs >= boundMs) return atMs;
    rtoMs = Math.min(rtoMs * 2, rtoMaxMs);
    elapsedMs ??= 0;
    // TCP_USER_TIMEOUT shortens the last wait so that it ends on time (tcp_clamp_rto_to_user_timeout()).
    const waitMs = userTimeoutMs === 0 ? rtoMs : Math.min(rtoMs, Math.max(1, userTimeoutMs - elapsedMs));
    elapsedMs += waitMs;
    atMs += waitMs;
  }
  return atMs;
}

/** From now until keepalive gives the peer up; undefined: keepalive is off. */
export function probingLeftMs(
  progress: { readonly unanswered: number; readonly timerLeftMs: number; readonly silentMs: number },
  options: SocketOptions,
): number | undefined {
  if (!options.isKeepaliveOn) return undefined;
  const { intervalMs, probeCount, userTimeoutMs } = options;
  let { unanswered, timerLeftMs: atMs } = progress;
  for (let tick = 0; tick < TICKS_MAX; tick++) {
    const isOver =
      userTimeoutMs === 0
        ? unanswered >= probeCount
        : unanswered > 0 && progress.silentMs + atMs >= userTimeoutMs;
    if (isOver) return atMs;
    unanswered += 1;
    atMs += intervalMs;
  }
  return atMs;
}

/**
 * From now until the probes of a closed window are given up, if none is answered and no TCP_USER_TIMEOUT is set (tcp_probe_timer();
 * with it the kernel counts from the first probe, answered or not, and does not tell when that was).
 */
export function windowProbesLeftMs(
  progress: {
    readonly unanswered: number;
    readonly timerLeftMs: number;
    readonly rtoMs: number;
    readonly backoff: number;
  },
  sysctls: TcpSysctls,
): number {
  const { unanswered, rtoMs, backoff } = progress;
  let atMs = progress.timerLeftMs;
  for (let index = 0; index < sysctls.retries2 - unanswered; index++)
    atMs += Math.min(rtoMs * 2 ** Math.min(backoff + index + 1, 31), sysctls.rtoMaxMs);
  return atMs;
}
