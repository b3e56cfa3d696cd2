/**
 * Settings of hops that contradict each other, whatever the traffic: found by comparing values, without simulating. The rule names
 * are stable. Pure. Called by `holdfast predict`.
 */
import { withDistinctNames } from "./distinct-names.ts";
import type { Contradiction } from "./fate.ts";
import type { Hop, HopTcpKeepalive, PacketBoxHop, Path, ProxyHop, TcpEnd } from "./hop.ts";
import { DETECTION_LIMIT_MS, idleDetectionMs } from "./scenarios.ts";
import type { SocketPlace } from "./simulation/connection.ts";
import { type Leg, legsOf } from "./simulation/world.ts";
import { spokenDuration as spoken } from "./spoken-duration.ts";

export function contradictions(asked: Path): readonly Contradiction[] {
  const path = withDistinctNames(asked);
  const legs = legsOf(path);
  return [
    ...legs.flatMap((leg) => legRules(path, leg)),
    ...proxyRules(path, legs),
    ...waitingRules(path),
    ...legs.flatMap((leg) => [leg.client, leg.server].flatMap((end) => endRules(end))),
    ...halfClosedRules(path),
  ];
}

/** Time between two answered probes: the interval, where it is the longer one. */
const periodMs = ({ idleMs, intervalMs }: HopTcpKeepalive): number => Math.max(idleMs, intervalMs);

/**
 * The kernel's timers fire up to an eighth late: the timer wheel rounds up to a step that is an eighth of the wheel's level
 * (kernel/time/timer.c). Measured: KEEPIDLE 240 s → 245.6 s, 350 s → 360.3 s.
 */
const TIMER_LATENESS = 9 / 8;

/** The shortest pause between two probes on this leg, of either end. */
function probePeriodMs(leg: Leg): number {
  const periods = [leg.client.tcp, leg.server.tcp].map(({ keepalive }) =>
    keepalive === undefined ? Infinity : periodMs(keepalive),
  );
  return Math.min(...periods);
}

interface BoxMemory {
  readonly hop: PacketBoxHop;
  readonly index: number;
  readonly ms: number;
}

/** The box of this leg that forgets first. */
function shortestMemory(leg: Leg): BoxMemory | undefined {
  return leg.boxes
    .flatMap((it) =>
      it.hop.timeouts.establishedMs === undefined ? [] : [{ ...it, ms: it.hop.timeouts.establishedMs }],
    )
    .toSorted((a, b) => a.ms - b.ms)[0];
}

function legRules(path: Path, leg: Leg): readonly Contradiction[] {
  const memory = shortestMemory(leg);
  const found = poolOutlivesServer(path, leg);
  if (memory === undefined || probePeriodMs(leg) * TIMER_LATENESS < memory.ms) return found;
  if (probePeriodMs(leg) < memory.ms) return [...found, probesBarelyInTime(leg, memory)];
  const { client, server } = leg;
  const probers = [client, server].filter((end) => end.tcp.keepalive !== undefined);
  const probesTooLate = probers.map((end): Contradiction => {
    const period = spoken(periodMs(end.tcp.keepalive!));
    return {
      hops: [end.hop, memory.index],
      rule: "probes-too-late-for-box",
      severity: "error",
      text: `${end.name} probes every ${period}, but ${memory.hop.name} forgets the connection after ${spoken(memory.ms)}: the probes keep nothing alive`,
      fix: `set the idle time and the interval of ${end.name}'s so_keepalive well below ${spoken(memory.ms)}`,
    };
  });
  return [
    ...found,
    ...probesTooLate,
    ...poolOutlivesBox(path, leg, memory),
    ...responseOutlastsBox(path, leg, memory),
  ];
}

/** By their settings the probes are in time; the kernel's timer decides. */
function probesBarelyInTime(leg: Leg, memory: BoxMemory): Contradiction {
  const period = probePeriodMs(leg);
  const end = [leg.client, leg.server].find(
    ({ tcp }) => tcp.keepalive !== undefined && periodMs(tcp.keepalive) === period,
  )!;
  const lateMs = Math.round((period * TIMER_LATENESS) / 1000) * 1000;
  const safeMs = Math.floor(memory.ms / TIMER_LATENESS / 1000) * 1000;
  return {
    hops: [end.hop, memory.index],
    rule: "probes-barely-in-time",
    severity: "error",
    text: `${end.name} probes every ${spoken(period)} by its settings, but the kernel's timers fire up to an eighth late (${spoken(lateMs)}), and ${memory.hop.name} forgets the connection after ${spoken(memory.ms)}`,
    fix: `an idle time and an interval of ${end.name}'s so_keepalive below ${spoken(safeMs)}`,
  };
}

/** How long the client side of a leg keeps an idle connection; undefined: it is no pool, or none that says so. */
function poolTimeMs(hop: Hop): number | undefined {
  if (hop.kind === "end-point") return hop.idleTimeoutMs;
  if (hop.kind !== "proxy" || hop.protocol !== "http" || hop.upstreamIdleTimeoutMs === 0) return undefined;
  return hop.upstreamIdleTimeoutMs ?? Infinity;
}

function serverKeepsMs(hop: Hop): number | undefined {
  if (hop.kind === "end-point") return hop.idleTimeoutMs;
  return hop.kind === "proxy" ? hop.clientIdleTimeoutMs : undefined;
}

const keeps = (ms: number): string => (ms === Infinity ? "for ever" : `for ${spoken(ms)}`);

/** The reuse race: a request is sent at the moment at which the server closes (RFC 9112 §9.3.1 lets a client retry some of them). */
function poolOutlivesServer(path: Path, leg: Leg): readonly Contradiction[] {
  const poolMs = poolTimeMs(path.hops[leg.client.hop]!);
  const serverMs = serverKeepsMs(path.hops[leg.server.hop]!);
  if (poolMs === undefined || serverMs === undefined || poolMs < serverMs) return [];
  const { client, server } = leg;
  return [
    {
      hops: [client.hop, server.hop],
      rule: "pool-outlives-server",
      // Browsers send such a request again by themselves, and nobody sets their times.
      severity: client.name.startsWith("browser") ? "warning" : "error",
      text: `${client.name} keeps idle connections ${keeps(poolMs)}, ${server.name} closes them after ${spoken(serverMs)}: now and then a request meets the closing connection and is reset`,
      fix: `${client.name} should let go before ${spoken(serverMs)}, or ${server.name} keep idle connections longer than ${client.name} does`,
    },
  ];
}

function poolOutlivesBox(path: Path, leg: Leg, memory: BoxMemory): readonly Contradiction[] {
  const poolMs = poolTimeMs(path.hops[leg.client.hop]!);
  const serverMs = serverKeepsMs(path.hops[leg.server.hop]!) ?? Infinity;
  if (poolMs === undefined || Math.min(poolMs, serverMs) < memory.ms) return [];
  const { name } = leg.client;
  return [
    {
      hops: [leg.client.hop, memory.index],
      rule: "pool-outlives-box",
      severity: "error",
      text: `${name} keeps idle connections ${keeps(poolMs)}, ${memory.hop.name} forgets them after ${spoken(memory.ms)}: the pool hands out dead connections`,
      fix: `so_keepalive below ${spoken(memory.ms)} on this leg, or an idle time-out of ${name} below it`,
    },
  ];
}

function responseOutlastsBox(path: Path, leg: Leg, memory: BoxMemory): readonly Contradiction[] {
  const patienceMs = patienceOf(path.hops[leg.client.hop]!);
  if (patienceMs === undefined || patienceMs < memory.ms) return [];
  const { name } = leg.client;
  return [
    {
      hops: [leg.client.hop, memory.index],
      rule: "response-outlasts-box",
      severity: "warning",
      text: `${name} waits ${spoken(patienceMs)} for an answer, ${memory.hop.name} forgets the silent connection after ${spoken(memory.ms)}: a slow answer does not arrive`,
      fix: `so_keepalive below ${spoken(memory.ms)} at ${name} or ${leg.server.name}`,
    },
  ];
}

/** How long this hop waits for an answer. */
function patienceOf(hop: Hop): number | undefined {
  if (hop.kind === "end-point") return hop.responseTimeoutMs;
  return hop.kind === "proxy" && hop.protocol === "http" ? hop.serverIdleTimeoutMs : undefined;
}

/** Probes of one leg of a proxy do nothing for its other leg. */
function proxyRules(path: Path, legs: readonly Leg[]): readonly Contradiction[] {
  return legs.slice(1).flatMap((after, index) => {
    const before = legs[index]!;
    const proxy = path.hops[after.client.hop] as ProxyHop;
    return [
      ...probesEndAtProxy(proxy, before, after, before.client),
      ...probesEndAtProxy(proxy, after, before, after.server),
      ...pingsTooLate(path, proxy, after.client.hop),
    ];
  });
}

function probesEndAtProxy(
  proxy: ProxyHop,
  probed: Leg,
  silent: Leg,
  prober: SocketPlace,
): readonly Contradiction[] {
  const memory = shortestMemory(silent);
  if (prober.tcp.keepalive === undefined || memory === undefined) return [];
  if (probePeriodMs(silent) < memory.ms || proxy.protocol === "http") return [];
  // The proxy ends a silent session before the box forgets it.
  if (sessionMsOf(proxy) <= memory.ms) return [];
  // Probes that would not be in time anywhere are a finding of their own.
  if (periodMs(prober.tcp.keepalive) >= memory.ms) return [];
  const at = probed.client === prober ? silent.client : silent.server;
  return [
    {
      hops: [prober.hop, at.hop, memory.index],
      rule: "probes-end-at-proxy",
      severity: "error",
      text: `${prober.name}'s probes end at ${proxy.name}: nothing of them reaches ${memory.hop.name}, which forgets after ${spoken(memory.ms)}`,
      fix: `so_keepalive of ${proxy.name} on that side too, below ${spoken(memory.ms)}`,
    },
  ];
}

function sessionMsOf(proxy: ProxyHop): number {
  return Math.min(proxy.clientIdleTimeoutMs ?? Infinity, proxy.serverIdleTimeoutMs ?? Infinity);
}

function pingsTooLate(path: Path, proxy: ProxyHop, index: number): readonly Contradiction[] {
  const sessionMs = sessionMsOf(proxy);
  if (proxy.protocol === "http" || sessionMs === Infinity) return [];
  return path.hops.flatMap((hop, at) => {
    if (hop.kind !== "end-point" || hop.pingIntervalMs === undefined || hop.pingIntervalMs < sessionMs)
      return [];
    return [
      {
        hops: [at, index],
        rule: "heartbeat-too-late-for-proxy",
        severity: "error",
        text: `${hop.name} sends a heartbeat every ${spoken(hop.pingIntervalMs)}, ${proxy.name} ends sessions after ${spoken(sessionMs)} without payload`,
        fix: `a heartbeat well below ${spoken(sessionMs)}`,
      },
    ];
  });
}

/** From outside to inside everybody should wait a little less: who gives up first should be nearest to the trouble. */
function waitingRules(path: Path): readonly Contradiction[] {
  const waiting = path.hops.flatMap((hop, index) => {
    const ms = patienceOf(hop);
    return ms === undefined ? [] : [{ hop, index, ms }];
  });
  return waiting.slice(1).flatMap((inner, at) => {
    const outer = waiting[at]!;
    if (outer.ms > inner.ms) return [];
    return [
      {
        hops: [outer.index, inner.index],
        rule: "outer-gives-up-first",
        severity: "warning",
        text: `${outer.hop.name} waits ${spoken(outer.ms)}, ${inner.hop.name} behind it ${spoken(inner.ms)}: the outer one gives up while the inner one still works, and nobody sees the inner error`,
        fix: `let ${outer.hop.name} wait longer than ${spoken(inner.ms)}`,
      },
    ];
  });
}

function endRules(end: SocketPlace): readonly Contradiction[] {
  const { keepalive } = end.tcp;
  if (keepalive === undefined) return [];
  return [...userTimeoutRules(end, keepalive), ...paceRules(end, keepalive)];
}

function userTimeoutRules(end: SocketPlace, keepalive: HopTcpKeepalive): readonly Contradiction[] {
  const { userTimeoutMs } = end.tcp;
  const { idleMs, intervalMs, probeCount } = keepalive;
  if (userTimeoutMs === 0) return [];
  const fullMs = idleMs + intervalMs * probeCount;
  const advised = `tcp_user_timeout slightly below ${spoken(fullMs)} (idle + interval × count)`;
  if (userTimeoutMs < idleMs) {
    return [
      {
        hops: [end.hop],
        rule: "user-timeout-below-idle",
        severity: "error",
        text: `tcp_user_timeout of ${end.name} (${spoken(userTimeoutMs)}) is below the idle time of its so_keepalive (${spoken(idleMs)}): one lost probe ends the connection`,
        fix: advised,
      },
    ];
  }
  const probes = Math.max(1, Math.ceil((userTimeoutMs - idleMs) / intervalMs));
  if (probes === probeCount) return [];
  return [
    {
      hops: [end.hop],
      rule: "user-timeout-overrides-count",
      severity: "warning",
      text: `tcp_user_timeout of ${end.name} (${spoken(userTimeoutMs)}) makes the probe count meaningless: it gives up after ${probes} unanswered ${probes === 1 ? "probe" : "probes"}, not ${probeCount}`,
      fix: advised,
    },
  ];
}

/** libuv's interval, whatever the delay; a network pause of a few seconds is common, one of a minute is not. */
const HASTY_INTERVAL_MS = 1000;
const HASTY_LOSS_MS = 15_000;

function paceRules(end: SocketPlace, keepalive: HopTcpKeepalive): readonly Contradiction[] {
  const { idleMs, intervalMs, probeCount } = keepalive;
  const found: Contradiction[] = [];
  const add = (rule: string, text: string, fix: string): void => {
    found.push({ hops: [end.hop], rule, severity: "warning", text, fix });
  };
  if (idleMs <= HASTY_INTERVAL_MS) {
    const text = `${end.name} probes every idle connection each ${spoken(periodMs(keepalive))} (Node's http.globalAgent does), and ${spoken(idleMs + intervalMs * probeCount)} without network end them all`;
    add("probes-every-second", text, "an idle time of some tens of seconds");
  } else if (intervalMs <= HASTY_INTERVAL_MS && intervalMs * probeCount <= HASTY_LOSS_MS) {
    const text = `${end.name} gives up after ${spoken(intervalMs * probeCount)} of unanswered probes (Node's interval is 1 s): a short network pause ends idle connections`;
    add("probes-give-up-quickly", text, "an interval of some seconds; in Node with holdfast/tcp");
  }
  const detectionMs = idleDetectionMs(end.tcp as TcpEnd)!;
  if (detectionMs > DETECTION_LIMIT_MS) {
    const text = `so_keepalive of ${end.name} is on, but with an idle time of ${spoken(idleMs)} a dead peer is noticed after ${spoken(detectionMs)} only`;
    add("keepalive-on-but-useless", text, `an idle time of a minute, such as 60s:10s:3`);
  }
  if (intervalMs > idleMs) {
    const text = `the interval of ${end.name}'s so_keepalive (${spoken(intervalMs)}) is above its idle time (${spoken(idleMs)}): after the first probe they go out every ${spoken(intervalMs)}`;
    add("interval-above-idle", text, "an interval below the idle time");
  }
  return found;
}

/** Whoever has ended its side waits for the rest of the answer; these hops do not wait as long as it does. */
function halfClosedRules(path: Path): readonly Contradiction[] {
  const client = path.hops[0]!;
  const server = path.hops.at(-1)!;
  const neededMs = Math.max(patienceOf(client) ?? 0, patienceOf(server) ?? 0);
  return path.hops.flatMap((hop, index) => {
    const halfClosedMs =
      hop.kind === "packet-box"
        ? hop.timeouts.halfClosedMs
        : hop.kind === "proxy" && hop.protocol === "tcp"
          ? hop.halfClosedTimeoutMs
          : undefined;
    if (halfClosedMs === undefined || neededMs === 0 || halfClosedMs >= neededMs) return [];
    return [
      {
        hops: [index],
        rule: "half-closed-too-short",
        severity: "warning",
        text: `${hop.name} ends half-closed connections after ${spoken(halfClosedMs)}, the applications wait up to ${spoken(neededMs)} for an answer: a client that ends its side first does not get it`,
        fix: `a half-closed time-out above ${spoken(neededMs)}, or clients that end their side after the answer`,
      },
    ];
  });
}
