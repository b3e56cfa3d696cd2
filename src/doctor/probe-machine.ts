/**
 * One probe: is the peer of a live, quiet connection still there? Asked without a byte of payload, through the kernel's own keepalive
 * probe. Pure: feed it looks at the socket (TCP_INFO), do what it says, until it is finished.
 *
 * Why it works (net/ipv4/tcp.c tcp_sock_set_keepidle_locked, tcp_timer.c tcp_keepalive_timer): with SO_KEEPALIVE on, setting
 * TCP_KEEPIDLE below the time since the last packet arms the timer with zero: a probe leaves at once. In the other order the timer is
 * armed with the whole idle time. Any answer with a valid ACK makes tcpi_last_ack_recv small; a RST closes the socket.
 *
 * What could do harm, and the guard: with TCP_USER_TIMEOUT the next tick of the timer kills a connection that was quiet for longer
 * (TCP_USER_TIMEOUT 0 meanwhile); a small TCP_KEEPINTVL sends more probes than we count (made larger); a small TCP_KEEPCNT gives up
 * after ours (made larger). A probe of ours that was lost still counts in icsk_probes_out after the options are back, so where the
 * owner had keepalive on, only as many are sent as leave its own count some room. Used by prober.ts and tcp/probe.ts.
 */
import { DEFAULT_TCP_SYSCTLS, retransmissionLeftMs } from "./detection-time.ts";
import type { OptionValues, SocketOptionChange, SocketOptionName } from "./option-plan.ts";
import { optionValue } from "./option-plan.ts";

/** The parts of TCP_INFO that the probe looks at. */
export interface ConnectionLook {
  /** TCP_ESTABLISHED … as in linux/tcp_states.h. */
  readonly state: number;
  readonly retransmits: number;
  readonly probes: number;
  readonly backoff: number;
  readonly retransmissionTimeoutMs: number;
  readonly roundTripMs: number;
  readonly roundTripVarianceMs: number;
  readonly unackedSegments: number;
  readonly notSentBytes: number;
  readonly lastDataSentMs: number;
  readonly lastDataReceivedMs: number;
  readonly lastAckReceivedMs: number;
}

export type ProbeVerdict =
  /** The peer's kernel answered, or was heard a moment ago. */
  | { readonly verdict: "alive"; readonly how: "answered" | "heard"; readonly ms: number }
  /** The connection is gone: a RST came, or the socket was closed already. */
  | { readonly verdict: "dead"; readonly how: "reset" | "closed-before" }
  /** No answer to this many probes. */
  | { readonly verdict: "silent"; readonly probesSent: number; readonly heardMsAgo: number }
  /** Data is in flight, which the kernel does not probe; it retransmits, and gives up by itself. */
  | {
      readonly verdict: "busy";
      readonly retransmits: number;
      readonly givesUpInMs: number;
      readonly heardMsAgo: number;
    }
  /** A listener, or a connection that is not established yet. */
  | { readonly verdict: "no-peer"; readonly state: number };

export type ProbeAction =
  /** Set these, in this order, and look again at once. */
  | { readonly kind: "set"; readonly changes: readonly SocketOptionChange[] }
  | { readonly kind: "look"; readonly atMs: number }
  /** Set `restore` in this order; then it is over. */
  | { readonly kind: "finish"; readonly verdict: ProbeVerdict };

/** Heard this recently: no question is needed, and TCP_KEEPIDLE (whole seconds, at least 1) could not be below the idle time. */
export const FRESH_MS = 1000;
const PROBE_IDLE_SECONDS = 1;
const GUARD_INTERVAL_SECONDS = 3600;
const GUARD_PROBE_COUNT = 127;
/** tcpi_last_ack_recv counts in jiffies, 10 ms at most. */
const CLOCK_GRAIN_MS = 10;
const FIRST_LOOK_MS = 1;
const LOOK_MS_MAX = 100;

const CLOSE = 7;
const NO_PEER_STATES: readonly number[] = [2, 3, 10]; // SYN_SENT, SYN_RECV, LISTEN

export interface ProbeSettings {
  readonly timeoutMs: number;
  /** net.ipv4.tcp_retries2 of the socket's namespace: for the time a busy connection has left. */
  readonly retries2: number;
}

export class ProbeMachine {
  readonly before: OptionValues;
  readonly #settings: ProbeSettings;
  readonly #touched = new Set<SocketOptionName>();
  #startedMs = 0;
  #first: ConnectionLook | undefined;
  #sent = 0;
  #tries = 1;
  #looks = 0;

  constructor(before: OptionValues, settings: ProbeSettings) {
    this.before = before;
    this.#settings = settings;
  }

  /** Whether the socket's options differ from `before`, as far as this probe is concerned. */
  get hasTouched(): boolean {
    return this.#touched.size > 0;
  }

  handleLook(nowMs: number, look: ConnectionLook): ProbeAction {
    if (this.#first === undefined) return this.#begin(nowMs, look);
    const elapsedMs = nowMs - this.#startedMs;
    if (look.state === CLOSE) return finish({ verdict: "dead", how: "reset" });
    const heardMs = heardMsAgo(look);
    if (
      heardMs <= elapsedMs + CLOCK_GRAIN_MS &&
      heardMs < heardMsAgo(this.#first) + elapsedMs - CLOCK_GRAIN_MS
    )
      return finish(this.#answered(elapsedMs - heardMs));
    if (elapsedMs >= this.#settings.timeoutMs) return finish(this.#unanswered(look));
    if (this.#sent > 0 && this.#sent < this.#tries && elapsedMs >= this.#dueMs(this.#sent))
      return this.#sendProbe();
    return this.#lookLater(nowMs);
  }

  /** What puts the options back, in an order that is safe in between. Empty when nothing was touched. */
  restore(): SocketOptionChange[] {
    const back = (option: SocketOptionName): SocketOptionChange[] =>
      this.#touched.has(option) ? [{ option, value: optionValue(this.before, option) }] : [];
    // Off first: then nothing can fire. TCP_KEEPIDLE after the guards: it arms the timer anew with what the owner's time leaves.
    return (
      ["SO_KEEPALIVE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_KEEPIDLE", "TCP_USER_TIMEOUT"] as const
    ).flatMap(back);
  }

  #begin(nowMs: number, look: ConnectionLook): ProbeAction {
    this.#first = look;
    this.#startedMs = nowMs;
    if (NO_PEER_STATES.includes(look.state)) return finish({ verdict: "no-peer", state: look.state });
    if (look.state === CLOSE) return finish({ verdict: "dead", how: "closed-before" });
    const heardMs = heardMsAgo(look);
    if (isInFlight(look)) return this.#lookLater(nowMs);
    if (heardMs < FRESH_MS) return finish({ verdict: "alive", how: "heard", ms: heardMs });
    this.#tries = triesFor(this.before, look);
    return this.#sendProbe();
  }

  #sendProbe(): ProbeAction {
    const isFirst = this.#sent === 0;
    this.#sent++;
    this.#looks = 0;
    const changes = isFirst ? planProbe(this.before, this.#first!, this.#settings.timeoutMs) : [RE_ARM];
    for (const { option } of changes) this.#touched.add(option);
    return { kind: "set", changes };
  }

  #dueMs(index: number): number {
    return (index * this.#settings.timeoutMs) / this.#tries;
  }

  #lookLater(nowMs: number): ProbeAction {
    const stepMs = Math.min(LOOK_MS_MAX, FIRST_LOOK_MS * 2 ** this.#looks++);
    const nextMs =
      this.#sent > 0 && this.#sent < this.#tries ? this.#dueMs(this.#sent) : this.#settings.timeoutMs;
    return { kind: "look", atMs: Math.min(nowMs + stepMs, this.#startedMs + Math.max(nextMs, 0)) };
  }

  #answered(afterMs: number): ProbeVerdict {
    return this.#sent === 0
      ? { verdict: "alive", how: "heard", ms: 0 }
      : { verdict: "alive", how: "answered", ms: Math.max(0, afterMs - this.#dueMs(this.#sent - 1)) };
  }

  #unanswered(look: ConnectionLook): ProbeVerdict {
    const heard = heardMsAgo(look);
    if (this.#sent > 0) return { verdict: "silent", probesSent: this.#sent, heardMsAgo: heard };
    const givesUpInMs = retransmissionTimeLeftMs(look, this.before.userTimeoutMs, this.#settings.retries2);
    return { verdict: "busy", retransmits: look.retransmits, givesUpInMs, heardMsAgo: heard };
  }
}

const RE_ARM: SocketOptionChange = { option: "TCP_KEEPIDLE", value: PROBE_IDLE_SECONDS };

function finish(verdict: ProbeVerdict): ProbeAction {
  return { kind: "finish", verdict };
}

/** The kernel's idea of idle: keepalive_time_elapsed() in include/net/tcp.h. */
export function heardMsAgo(look: Pick<ConnectionLook, "lastDataReceivedMs" | "lastAckReceivedMs">): number {
  return Math.min(look.lastDataReceivedMs, look.lastAckReceivedMs);
}

export function isInFlight(look: Pick<ConnectionLook, "unackedSegments" | "notSentBytes">): boolean {
  return look.unackedSegments > 0 || look.notSentBytes > 0;
}

/** Several, so that one lost packet is no verdict; but leave the owner's count room for tries of its own. */
function triesFor(before: OptionValues, look: ConnectionLook): number {
  if (!before.isKeepaliveOn) return 3;
  return before.probeCount - look.probes >= 4 ? 2 : 1;
}

/** The guards, and then the two options whose order matters. */
export function planProbe(
  before: OptionValues,
  look: ConnectionLook,
  timeoutMs: number,
): SocketOptionChange[] {
  const changes: SocketOptionChange[] = [];
  if (before.userTimeoutMs !== 0) changes.push({ option: "TCP_USER_TIMEOUT", value: 0 });
  if (before.intervalSeconds * 1000 < 2 * timeoutMs)
    changes.push({ option: "TCP_KEEPINTVL", value: GUARD_INTERVAL_SECONDS });
  if (before.probeCount <= look.probes + triesFor(before, look) + 1)
    changes.push({ option: "TCP_KEEPCNT", value: GUARD_PROBE_COUNT });
  if (!before.isKeepaliveOn) changes.push({ option: "SO_KEEPALIVE", value: 1 });
  changes.push(RE_ARM);
  return changes;
}

/** Until the kernel gives up retransmitting; the time left of its timer is not in TCP_INFO, the last transmission is. */
export function retransmissionTimeLeftMs(
  look: ConnectionLook,
  userTimeoutMs: number,
  retries2: number,
): number {
  const rtoMs = look.retransmissionTimeoutMs;
  const progress = {
    rtoMs,
    timerLeftMs: rtoMs - Math.min(look.lastDataSentMs, rtoMs),
    count: look.retransmits,
    backoff: look.backoff,
    rttMs: look.roundTripMs,
    rttVariationMs: look.roundTripVarianceMs,
    isOrphan: false,
  };
  return retransmissionLeftMs(progress, userTimeoutMs, { ...DEFAULT_TCP_SYSCTLS, retries2 });
}

/**
 * What stays different although every value is put back: an option that followed the sysctl is explicit from now on. Whether it did
 * cannot be read from a socket; where the values are equal, it probably did.
 */
export function stayingExplicit(
  before: OptionValues,
  changes: readonly SocketOptionChange[],
  system: { readonly idleSeconds: number; readonly intervalSeconds: number; readonly probeCount: number },
): SocketOptionName[] {
  return changes
    .map(({ option }) => option)
    .filter(
      (option) =>
        (option === "TCP_KEEPIDLE" && before.idleSeconds === system.idleSeconds) ||
        (option === "TCP_KEEPINTVL" && before.intervalSeconds === system.intervalSeconds) ||
        (option === "TCP_KEEPCNT" && before.probeCount === system.probeCount),
    );
}
