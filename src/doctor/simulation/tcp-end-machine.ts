/**
 * The kernel's side of one end of a TCP connection: keepalive timer and retransmission timer, as Linux runs them
 * (net/ipv4/tcp_timer.c: tcp_keepalive_timer, tcp_write_timeout, retransmits_timed_out; tcp(7)). Pure: feed `handle…(now)`, ask
 * `nextTimeout()`, act on what `handleTimeout(now)` answers. It knows nothing of boxes or applications: connection.ts carries the packets.
 */
import type { TcpEnd } from "../hop.ts";

/**
 * TCP_RTO_MIN and a short round trip, the value that ss(8) shows as `rto:201`. Doubled each time, up to TCP_RTO_MAX (include/net/tcp.h).
 * More than TCP_RTO_MIN always: tcp_retries2 counts in exact TCP_RTO_MIN, and the first timer past that sum ends the connection.
 */
const FIRST_RTO_MS = 201;
const RTO_MAX_MS = 120_000;

export type TcpTimeoutAction =
  | { readonly kind: "probe"; readonly number: number }
  | { readonly kind: "retransmit"; readonly number: number }
  /** `sendsReset`: giving up on probes tells the peer (tcp_send_active_reset), giving up on data does not. */
  | { readonly kind: "give-up"; readonly reason: "probes" | "retransmissions"; readonly sendsReset: boolean }
  | { readonly kind: "nothing" };

interface InFlight {
  readonly retransmitAtMs: number;
  readonly rtoMs: number;
  readonly retransmitCount: number;
  /** tcp_retries2 and TCP_USER_TIMEOUT count from here (tp->retrans_stamp); the tail loss probe before it is none. */
  readonly firstRetransmitAtMs: number | undefined;
}

export class TcpEndMachine {
  readonly options: TcpEnd;
  #lastActivityMs: number;
  #keepaliveAtMs: number | undefined;
  #probesOut = 0;
  #inFlight: InFlight | undefined;

  constructor(options: TcpEnd, nowMs: number) {
    this.options = options;
    this.#lastActivityMs = nowMs;
    this.#keepaliveAtMs = options.keepalive === undefined ? undefined : nowMs + options.keepalive.idleMs;
  }

  get isInFlight(): boolean {
    return this.#inFlight !== undefined;
  }

  get keepaliveAtMs(): number | undefined {
    return this.#keepaliveAtMs;
  }

  get probesOut(): number {
    return this.#probesOut;
  }

  /**
   * Time between two answered probes. The timer is armed for the interval after every probe and looks at the idle time only when it
   * fires: an interval longer than the idle time is the period.
   */
  get answeredProbePeriodMs(): number | undefined {
    const keepalive = this.options.keepalive;
    return keepalive === undefined ? undefined : Math.max(keepalive.idleMs, keepalive.intervalMs);
  }

  /** When the next probe goes out if nothing is heard until then: the timer may fire before that and find too little idle time. */
  get firstProbeAtMs(): number {
    return this.#lastActivityMs + this.options.keepalive!.idleMs;
  }

  nextTimeout(): number | undefined {
    const retransmitAtMs = this.#inFlight?.retransmitAtMs;
    if (retransmitAtMs === undefined) return this.#keepaliveAtMs;
    return this.#keepaliveAtMs === undefined ? retransmitAtMs : Math.min(retransmitAtMs, this.#keepaliveAtMs);
  }

  /** Data or FIN goes out. Not an activity by itself: only its acknowledgement is. */
  handleSent(nowMs: number): void {
    this.#inFlight ??= {
      retransmitAtMs: nowMs + FIRST_RTO_MS,
      rtoMs: FIRST_RTO_MS,
      retransmitCount: 0,
      firstRetransmitAtMs: undefined,
    };
  }

  /** An acknowledgement: of data, or the answer to a probe. */
  handleAcknowledgement(nowMs: number): void {
    this.#inFlight = undefined;
    this.#probesOut = 0;
    this.#lastActivityMs = nowMs;
  }

  handleData(nowMs: number): void {
    this.#probesOut = 0;
    this.#lastActivityMs = nowMs;
  }

  /** Jumps over answered probes: as if the last of them had been answered at `nowMs`. */
  skipAnsweredProbes(nowMs: number): void {
    this.#probesOut = 0;
    this.#lastActivityMs = nowMs;
    this.#keepaliveAtMs = nowMs + this.options.keepalive!.intervalMs;
  }

  handleTimeout(nowMs: number): TcpTimeoutAction {
    const inFlight = this.#inFlight;
    if (inFlight !== undefined && nowMs >= inFlight.retransmitAtMs) return this.#retransmit(nowMs, inFlight);
    if (this.#keepaliveAtMs !== undefined && nowMs >= this.#keepaliveAtMs) return this.#keepalive(nowMs);
    return { kind: "nothing" };
  }

  #keepalive(nowMs: number): TcpTimeoutAction {
    const { idleMs, intervalMs, probeCount } = this.options.keepalive!;
    // "It is alive without keepalive 8)": silent while anything is unacknowledged.
    if (this.#inFlight !== undefined) {
      this.#keepaliveAtMs = nowMs + idleMs;
      return { kind: "nothing" };
    }
    const elapsedMs = nowMs - this.#lastActivityMs;
    if (elapsedMs < idleMs) {
      this.#keepaliveAtMs = this.#lastActivityMs + idleMs;
      return { kind: "nothing" };
    }
    if (this.#probesAreExhausted(elapsedMs, probeCount)) {
      return { kind: "give-up", reason: "probes", sendsReset: true };
    }
    this.#probesOut++;
    this.#keepaliveAtMs = nowMs + intervalMs;
    return { kind: "probe", number: this.#probesOut };
  }

  /** TCP_USER_TIMEOUT overrides the count: the first tick past it ends the connection, after one probe at least. */
  #probesAreExhausted(elapsedMs: number, probeCount: number): boolean {
    const { userTimeoutMs } = this.options;
    if (userTimeoutMs === 0) return this.#probesOut >= probeCount;
    return elapsedMs >= userTimeoutMs && this.#probesOut > 0;
  }

  #retransmit(nowMs: number, inFlight: InFlight): TcpTimeoutAction {
    const { userTimeoutMs, retransmissionTimeoutMs } = this.options;
    const limitMs = userTimeoutMs === 0 ? retransmissionTimeoutMs : userTimeoutMs;
    const number = inFlight.retransmitCount + 1;
    if (number === 1) {
      // Tail loss probe (RFC 8985 §7; tcp_send_loss_probe): sent after a time-out of its own, which backs nothing off.
      this.#inFlight = { ...inFlight, retransmitAtMs: nowMs + inFlight.rtoMs, retransmitCount: number };
      return { kind: "retransmit", number };
    }
    const firstRetransmitAtMs = inFlight.firstRetransmitAtMs ?? nowMs;
    // retransmits_timed_out(): the first timer past the limit, never the first retransmission itself.
    if (inFlight.firstRetransmitAtMs !== undefined && nowMs - firstRetransmitAtMs >= limitMs) {
      return { kind: "give-up", reason: "retransmissions", sendsReset: false };
    }
    const rtoMs = Math.min(inFlight.rtoMs * 2, RTO_MAX_MS);
    // tcp_clamp_rto_to_user_timeout: the timer does not overshoot the user time-out.
    const clampMs = userTimeoutMs === 0 ? rtoMs : firstRetransmitAtMs + userTimeoutMs - nowMs;
    this.#inFlight = {
      rtoMs,
      firstRetransmitAtMs,
      retransmitCount: number,
      retransmitAtMs: nowMs + Math.max(1, Math.min(rtoMs, clampMs)),
    };
    return { kind: "retransmit", number };
  }
}
