/**
 * TCP keepalive as a value, and nginx's `so_keepalive` grammar for it (ngx_http_core_module, `listen`).
 * Pure. Ranges are the kernel's: include/net/tcp.h MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL, MAX_TCP_KEEPCNT.
 * Read tcp(7), and tcp_keepalive_timer() in net/ipv4/tcp_timer.c for what TCP_USER_TIMEOUT does to the count.
 */
import { formatDuration, parseDurationMs } from "../config/duration.ts";
import { type Parsed, parsed, quoted, refused } from "../config/parsed.ts";

/** An undefined part means: the system's default (net.ipv4.tcp_keepalive_*), nothing is set. */
export interface TcpKeepalive {
  /** true: SO_KEEPALIVE on; false: off; undefined: not touched. */
  readonly enabled: boolean | undefined;
  readonly idleSeconds: number | undefined;
  readonly intervalSeconds: number | undefined;
  readonly probeCount: number | undefined;
}

/** net.ipv4.tcp_keepalive_time, _intvl and _probes of the network namespace. */
export interface TcpKeepaliveSystemDefaults {
  readonly idleSeconds: number;
  readonly intervalSeconds: number;
  readonly probeCount: number;
}

export const LINUX_TCP_KEEPALIVE_DEFAULTS: TcpKeepaliveSystemDefaults = {
  idleSeconds: 7200,
  intervalSeconds: 75,
  probeCount: 9,
};

export const SO_KEEPALIVE_SECONDS_MAX = 32_767;
export const SO_KEEPALIVE_COUNT_MAX = 127;
export const SO_KEEPALIVE_HINT =
  'write on, off or idle:interval:count such as 60s:10s:6; parts may be left out (30m::10, ":10s:", ::3)';

/** `on`, `off` or `[idle]:[interval]:[count]`, as nginx reads it; `::` alone says nothing and is refused, as there. */
export function parseSoKeepalive(text: string): Parsed<TcpKeepalive> {
  if (text === "on") return parsed(tcpKeepaliveOf(true));
  if (text === "off") return parsed(tcpKeepaliveOf(false));
  const parts = text.split(":");
  if (parts.length !== 3 || parts.every((part) => part === "")) {
    // nginx also reads "60s" and "60s:10s", against its own documentation; both colons say which part is which.
    const isShort = /^\d/.test(text) && parts.length < 3;
    const hint = isShort
      ? `write ${text}${":".repeat(3 - parts.length)} with both colons`
      : SO_KEEPALIVE_HINT;
    return refused(`${quoted(text)} is not on, off or [idle]:[interval]:[count]`, hint);
  }
  const idle = parseSeconds("idle time", parts[0]!);
  const interval = parseSeconds("interval", parts[1]!);
  const count = parseCount(parts[2]!);
  for (const part of [idle, interval, count]) {
    if (!part.ok) return refused(`${quoted(text)}: ${part.reason}`, part.hint ?? SO_KEEPALIVE_HINT);
  }
  if (!idle.ok || !interval.ok || !count.ok) throw new Error("unreachable: refused above");
  return parsed({
    enabled: true,
    idleSeconds: idle.value,
    intervalSeconds: interval.value,
    probeCount: count.value,
  });
}

/** The inverse of `parseSoKeepalive`; `unset` for a value that touches nothing. */
export function formatSoKeepalive(keepalive: TcpKeepalive): string {
  if (keepalive.enabled === undefined) return "unset";
  if (!keepalive.enabled) return "off";
  const { idleSeconds, intervalSeconds, probeCount } = keepalive;
  if (idleSeconds === undefined && intervalSeconds === undefined && probeCount === undefined) return "on";
  const seconds = (value: number | undefined) => (value === undefined ? "" : formatDuration(value * 1000));
  return `${seconds(idleSeconds)}:${seconds(intervalSeconds)}:${probeCount ?? ""}`;
}

/**
 * How long after its last sign of life a dead, idle peer is given up; undefined: never (keepalive is not on).
 *
 * Without TCP_USER_TIMEOUT: idle + interval × count. With it the kernel ignores the count and gives up at the first
 * tick of the timer (idle, idle + interval, …) that is past the timeout and follows at least one probe.
 */
export function detectionTimeMs(
  keepalive: TcpKeepalive,
  userTimeoutMs: number,
  system: TcpKeepaliveSystemDefaults = LINUX_TCP_KEEPALIVE_DEFAULTS,
): number | undefined {
  if (keepalive.enabled !== true) return undefined;
  const timing = effectiveTiming(keepalive, system);
  return timing.idleMs + timing.intervalMs * probesSent(timing, userTimeoutMs);
}

export interface TcpKeepaliveWarning {
  /** The configuration key that the warning is about. */
  readonly key: "so_keepalive" | "tcp_user_timeout";
  readonly message: string;
  readonly hint: string;
}

/** What is known about the way between the two ends of the connection. */
export interface TcpKeepalivePath {
  /** Both ends are on this machine: nothing on the way can forget the connection. */
  readonly isLocal: boolean;
}

/** Combinations that the kernel accepts and that do not do what they seem to say. */
export function lintTcpKeepalive(
  keepalive: TcpKeepalive,
  userTimeoutMs: number,
  system: TcpKeepaliveSystemDefaults,
  path: TcpKeepalivePath,
): TcpKeepaliveWarning[] {
  if (keepalive.enabled !== true) return lintWithoutProbes(keepalive, userTimeoutMs);
  const warnings = lintUserTimeout(keepalive, userTimeoutMs, system);
  if (!path.isLocal) warnings.push(...lintIdle(keepalive, system));
  return warnings;
}

/** The shortest idle timeouts that are widespread: EC2 connection tracking, NAT gateways and NLB at 350 s; LVS at 900 s. */
const NAT_IDLE_TIMEOUT_SECONDS = 350;
const LVS_IDLE_TIMEOUT_SECONDS = 900;

function lintIdle(keepalive: TcpKeepalive, system: TcpKeepaliveSystemDefaults): TcpKeepaliveWarning[] {
  const idleSeconds = keepalive.idleSeconds ?? system.idleSeconds;
  if (idleSeconds < NAT_IDLE_TIMEOUT_SECONDS) return [];
  const idle = formatDuration(idleSeconds * 1000);
  const origin =
    keepalive.idleSeconds === undefined
      ? "the system's default idle time (tcp_keepalive_time)"
      : "the idle time";
  const boxes =
    idleSeconds >= LVS_IDLE_TIMEOUT_SECONDS
      ? "NAT gateways and AWS load balancers forget an idle connection after 350s, LVS after 900s"
      : "NAT gateways and AWS load balancers forget an idle connection after 350s";
  return [
    {
      key: "so_keepalive",
      message: `the first probe comes only after ${idle}, ${origin}; ${boxes}`,
      hint: "name an idle time below the shortest timeout on the way, for example so_keepalive: 60s:10s:6",
    },
  ];
}

function lintUserTimeout(
  keepalive: TcpKeepalive,
  userTimeoutMs: number,
  system: TcpKeepaliveSystemDefaults,
): TcpKeepaliveWarning[] {
  if (userTimeoutMs === 0) return [];
  const timing = effectiveTiming(keepalive, system);
  const probes = probesSent(timing, userTimeoutMs);
  if (probes === timing.count) return [];
  const asked = timing.idleMs + timing.intervalMs * timing.count;
  const actual = timing.idleMs + timing.intervalMs * probes;
  const effect =
    probes === 1
      ? `ONE lost probe kills the connection, after ${formatDuration(actual)}`
      : `the connection dies after ${probes} lost probes and ${formatDuration(actual)}`;
  const relation =
    userTimeoutMs <= timing.idleMs
      ? `at or below so_keepalive's idle time of ${formatDuration(timing.idleMs)}`
      : `${userTimeoutMs < asked ? "below" : "above"} idle + interval × count = ${formatDuration(asked)}`;
  return [
    {
      key: "tcp_user_timeout",
      message: `${formatDuration(userTimeoutMs)} is ${relation}: the kernel ignores the count of ${timing.count}, and ${effect}`,
      hint: `write ${formatDuration(asked - Math.ceil(timing.intervalMs / 2))} (a little below ${formatDuration(asked)}), or change so_keepalive`,
    },
  ];
}

function lintWithoutProbes(keepalive: TcpKeepalive, userTimeoutMs: number): TcpKeepaliveWarning[] {
  if (userTimeoutMs === 0 || keepalive.enabled === undefined) return [];
  return [
    {
      key: "tcp_user_timeout",
      message:
        "without so_keepalive it works only while data is in flight: a peer that dies while idle is never noticed",
      hint: "turn so_keepalive on, for example so_keepalive: 60s:10s:6",
    },
  ];
}

interface EffectiveTiming {
  readonly idleMs: number;
  readonly intervalMs: number;
  readonly count: number;
}

function effectiveTiming(keepalive: TcpKeepalive, system: TcpKeepaliveSystemDefaults): EffectiveTiming {
  return {
    idleMs: (keepalive.idleSeconds ?? system.idleSeconds) * 1000,
    intervalMs: (keepalive.intervalSeconds ?? system.intervalSeconds) * 1000,
    count: keepalive.probeCount ?? system.probeCount,
  };
}

/** Unanswered probes sent before the kernel gives up. */
function probesSent(timing: EffectiveTiming, userTimeoutMs: number): number {
  if (userTimeoutMs === 0) return timing.count;
  return Math.max(1, Math.ceil((userTimeoutMs - timing.idleMs) / timing.intervalMs));
}

function tcpKeepaliveOf(enabled: boolean): TcpKeepalive {
  return { enabled, idleSeconds: undefined, intervalSeconds: undefined, probeCount: undefined };
}

function parseSeconds(name: string, text: string): Parsed<number | undefined> {
  if (text === "") return parsed(undefined);
  const duration = parseDurationMs(text, { minMs: 0, maxMs: Number.MAX_SAFE_INTEGER });
  if (!duration.ok) return refused(`the ${name} ${duration.reason}`, duration.hint);
  if (text.includes("ms"))
    return refused(`the ${name} ${quoted(text)} has milliseconds; the kernel counts in seconds`);
  const seconds = duration.value / 1000;
  if (seconds < 1 || seconds > SO_KEEPALIVE_SECONDS_MAX) {
    return refused(`the ${name} ${quoted(text)} is out of range: the kernel allows 1s to 32767s`);
  }
  return parsed(seconds);
}

function parseCount(text: string): Parsed<number | undefined> {
  if (text === "") return parsed(undefined);
  if (!/^\d+$/.test(text)) return refused(`the count ${quoted(text)} is not a number`);
  const count = Number(text);
  if (count < 1 || count > SO_KEEPALIVE_COUNT_MAX) {
    return refused(`the count ${quoted(text)} is out of range: the kernel allows 1 to 127`);
  }
  return parsed(count);
}
