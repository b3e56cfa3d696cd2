/**
 * What a person could change on a path, one value on one hop at a time, and how that hop's own configuration spells it. Which of
 * these changes help is found by simulating each (advice.ts). Pure.
 */

import { directiveFor, type Setting } from "./directives.ts";
import type { Scenario } from "./fate.ts";
import type { EndPointHop, Hop, HopTcpKeepalive, PacketBoxHop, Path, ProxyHop, TcpEnd } from "./hop.ts";
import { DETECTION_LIMIT_MS, idleDetectionMs, speaksHttp } from "./scenarios.ts";
import { type Leg, legsOf } from "./simulation/world.ts";
import { spokenDuration } from "./spoken-duration.ts";

export interface Change {
  readonly hop: number;
  readonly setting: Setting;
  readonly from: string;
  readonly to: string;
  readonly directive: string | undefined;
  readonly cost: string;
  /** The smaller, the less it asks of people: kernel probes of an end point first, boxes last. */
  readonly rank: number;
  readonly apply: (path: Path) => Path;
}

const SECOND_MS = 1000;
/** Values that people write, in seconds. */
const ROUND_SECONDS = [
  1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 75, 90, 120, 150, 180, 240, 300, 600, 900, 1200, 1800, 2700, 3600, 5400,
  7200, 10_800, 14_400, 21_600, 43_200, 86_400, 172_800,
];

const roundDownMs = (ms: number): number | undefined => {
  const seconds = ROUND_SECONDS.findLast((it) => it * SECOND_MS <= ms);
  return seconds === undefined ? undefined : seconds * SECOND_MS;
};
const roundUpMs = (ms: number): number =>
  (ROUND_SECONDS.find((it) => it * SECOND_MS >= ms) ?? Math.ceil(ms / SECOND_MS)) * SECOND_MS;

/** A time-out is raised to a quarter more than what it has to bear, an idle time is lowered to two thirds of what must not pass. */
const ABOVE = 1.25;
const BELOW = 0.67;

/** What the scenarios ask of the path's time-outs. */
interface Needs {
  readonly silenceMs: number;
  readonly responseMs: number;
  readonly halfClosedMs: number;
  readonly hasHalfClosed: boolean;
}

function needsOf(scenarios: readonly Scenario[]): Needs {
  const of = (pick: (scenario: Scenario) => number | undefined): number =>
    Math.max(0, ...scenarios.map((scenario) => pick(scenario) ?? 0));
  return {
    silenceMs: of((it) => (it.kind === "idle" ? it.atMs : undefined)),
    responseMs: of((it) => (it.kind === "slow-response" ? it.responseTimeMs : undefined)),
    halfClosedMs: of((it) => (it.kind === "half-closed" ? it.atMs : undefined)),
    hasHalfClosed: scenarios.some((it) => it.kind === "half-closed"),
  };
}

/** Every change worth trying. */
export function possibleChanges(path: Path, scenarios: readonly Scenario[]): readonly Change[] {
  const needs = needsOf(scenarios);
  const legs = legsOf(path);
  return path.hops.flatMap((hop, index) => {
    if (hop.kind === "packet-box") return boxChanges(hop, index, needs);
    if (hop.kind === "proxy") return proxyChanges(hop, index, legs, needs);
    return endPointChanges(hop, index, path, legs, needs);
  });
}

function replaceHop(path: Path, index: number, hop: Hop): Path {
  return { hops: path.hops.with(index, hop) };
}

/** The shortest time after which a box of this leg forgets. */
function shortestMemoryMs(leg: Leg, hasHalfClosed: boolean): number | undefined {
  const timeouts = leg.boxes.flatMap(({ hop }) => [
    hop.timeouts.establishedMs,
    hasHalfClosed ? hop.timeouts.halfClosedMs : undefined,
  ]);
  const finite = timeouts.filter((it) => it !== undefined) as number[];
  return finite.length === 0 ? undefined : Math.min(...finite);
}

/** Probes that every box of the leg hears in time; a minute where nobody asks for more. */
function keepaliveFor(memoryMs: number | undefined): HopTcpKeepalive | undefined {
  const idleMs = roundDownMs(Math.min(60 * SECOND_MS, (memoryMs ?? Infinity) * BELOW));
  if (idleMs === undefined) return undefined;
  return { idleMs, intervalMs: roundDownMs(idleMs / 5) ?? SECOND_MS, probeCount: 3 };
}

export function spellKeepalive(keepalive: HopTcpKeepalive | undefined): string {
  if (keepalive === undefined) return "off";
  const seconds = (ms: number): string => `${ms / SECOND_MS}s`;
  return `${seconds(keepalive.idleMs)}:${seconds(keepalive.intervalMs)}:${keepalive.probeCount}`;
}

const spellTimeout = (ms: number | undefined): string =>
  ms === undefined ? "never" : ms === 0 ? "0" : spokenDuration(ms);

type Draft = Omit<Change, "directive" | "hop"> & {
  readonly valueMs?: number;
  readonly keepalive?: HopTcpKeepalive;
};

function finish(hop: Hop, index: number, draft: Draft): Change {
  const { valueMs, keepalive, ...rest } = draft;
  return { ...rest, hop: index, directive: directiveFor(hop, draft.setting, valueMs, keepalive) };
}

interface EndPlace {
  readonly hop: Hop;
  readonly index: number;
  readonly leg: Leg;
  readonly needs: Needs;
  readonly end: TcpEnd;
  readonly settings: { readonly keepalive: Setting; readonly userTimeout: Setting };
  readonly rank: number;
}

/** Kernel probes and TCP_USER_TIMEOUT of one end of a leg. */
function tcpEndChanges(place: EndPlace): readonly Change[] {
  if (/^browser/.test(place.hop.name)) return []; // nobody sets the socket options of other people's browsers
  const { hop, index, end, needs, leg, settings, rank } = place;
  const memoryMs = shortestMemoryMs(leg, needs.hasHalfClosed);
  const keepalive = keepaliveFor(memoryMs);
  const changes: Change[] = [];
  if (keepalive !== undefined && spellKeepalive(keepalive) !== spellKeepalive(end.keepalive)) {
    changes.push(
      finish(hop, index, {
        setting: settings.keepalive,
        from: spellKeepalive(end.keepalive),
        to: spellKeepalive(keepalive),
        cost: `one empty packet every ${spokenDuration(keepalive.idleMs)} on an idle connection`,
        rank,
        keepalive,
        apply: (path) =>
          replaceHop(
            path,
            index,
            onEnd(path.hops[index]!, place, (it) => ({ ...it, keepalive })),
          ),
      }),
    );
  }
  const userTimeoutMs = userTimeoutFor(end, keepalive);
  if (end.userTimeoutMs === 0 || end.userTimeoutMs > userTimeoutMs) {
    changes.push(
      finish(hop, index, {
        setting: settings.userTimeout,
        from: end.userTimeoutMs === 0 ? "0 (the kernel's)" : spokenDuration(end.userTimeoutMs),
        to: spokenDuration(userTimeoutMs),
        cost: "a network that is down for longer ends the connection",
        rank: rank + 1,
        valueMs: userTimeoutMs,
        apply: (path) =>
          replaceHop(
            path,
            index,
            onEnd(path.hops[index]!, place, (it) => ({ ...it, userTimeoutMs })),
          ),
      }),
    );
  }
  return changes;
}

/** Changes made one after the other must not undo each other: each looks at the hop as it is by then. */
function onEnd(hop: Hop, place: EndPlace, change: (end: TcpEnd) => TcpEnd): Hop {
  if (hop.kind === "end-point") return { ...hop, tcp: change(hop.tcp) };
  if (hop.kind === "packet-box") return hop;
  return place.settings.keepalive === "client-side-keepalive"
    ? { ...hop, clientSide: change(hop.clientSide) }
    : { ...hop, serverSide: change(hop.serverSide) };
}

/** Slightly below the time that the probes need, so that both come to the same end (Cloudflare: "When TCP sockets refuse to die"). */
function userTimeoutFor(end: TcpEnd, recommended: HopTcpKeepalive | undefined): number {
  const own = { ...end, userTimeoutMs: 0 };
  const ownMs = idleDetectionMs(own);
  const isUsable = end.keepalive !== undefined && ownMs !== undefined && ownMs <= DETECTION_LIMIT_MS;
  const keepalive = isUsable ? end.keepalive : recommended;
  if (keepalive === undefined) return 60 * SECOND_MS;
  const exactMs = keepalive.idleMs + keepalive.intervalMs * keepalive.probeCount - keepalive.intervalMs / 2;
  return Math.max(SECOND_MS, Math.floor(exactMs / SECOND_MS) * SECOND_MS);
}

function endPointChanges(
  hop: EndPointHop,
  index: number,
  path: Path,
  legs: readonly Leg[],
  needs: Needs,
): readonly Change[] {
  const leg = index === 0 ? legs[0]! : legs.at(-1)!;
  const settings = { keepalive: "keepalive", userTimeout: "user-timeout" } as const;
  return [
    ...tcpEndChanges({ hop, index, leg, needs, end: hop.tcp, settings, rank: 1 }),
    ...lettingGoChanges(hop, index, leg),
    ...patienceChanges(hop, index, needs),
    ...pingChanges(hop, index, path),
  ];
}

/**
 * An end that lets go before a box forgets tells the other end in time. Only for ends that let go at all: a session that is meant
 * to stay is not mended by ending it.
 */
function lettingGoChanges(hop: EndPointHop, index: number, leg: Leg): readonly Change[] {
  const memoryMs = shortestMemoryMs(leg, false);
  const valueMs = memoryMs === undefined ? undefined : roundDownMs(memoryMs * BELOW);
  if (valueMs === undefined || hop.idleTimeoutMs === undefined || hop.idleTimeoutMs <= valueMs) return [];
  return [
    finish(hop, index, {
      setting: "idle-timeout",
      from: spellTimeout(hop.idleTimeoutMs),
      to: spokenDuration(valueMs),
      cost: "idle connections are closed, the next request opens a new one",
      rank: 6,
      valueMs,
      apply: (it) => replaceHop(it, index, { ...(it.hops[index] as EndPointHop), idleTimeoutMs: valueMs }),
    }),
  ];
}

/** How long an answer may take: longer for one that is slow, bounded for one that never comes. */
function patienceChanges(hop: EndPointHop, index: number, needs: Needs): readonly Change[] {
  const valueMs = roundUpMs(Math.max(needs.responseMs, needs.halfClosedMs) * ABOVE || 60 * SECOND_MS);
  const current = hop.responseTimeoutMs;
  const isTooShort = current !== undefined && current < valueMs;
  const isUnbounded =
    index === 0 && (current ?? Infinity) > DETECTION_LIMIT_MS && valueMs <= DETECTION_LIMIT_MS;
  if (!isTooShort && !isUnbounded) return [];
  return [
    finish(hop, index, {
      setting: "response-timeout",
      from: spellTimeout(current),
      to: spokenDuration(valueMs),
      cost: isTooShort ? "a hanging request is noticed later" : "answers that take longer are given up",
      rank: 5,
      valueMs,
      apply: (it) =>
        replaceHop(it, index, { ...(it.hops[index] as EndPointHop), responseTimeoutMs: valueMs }),
    }),
  ];
}

/** Payload crosses TCP proxies and refreshes every hop. Only for ends whose protocol has a heartbeat: nobody adds one by a setting. */
function pingChanges(hop: EndPointHop, index: number, path: Path): readonly Change[] {
  if (speaksHttp(path) || hop.pingIntervalMs === undefined) return [];
  const limits = path.hops.flatMap((it) =>
    it.kind === "packet-box"
      ? [it.timeouts.establishedMs]
      : it.kind === "proxy"
        ? [it.clientIdleTimeoutMs, it.serverIdleTimeoutMs]
        : [],
  );
  const shortest = Math.min(...limits.map((limit) => limit ?? Infinity));
  const valueMs = Number.isFinite(shortest) ? roundDownMs(shortest / 2) : undefined;
  if (valueMs === undefined || hop.pingIntervalMs <= valueMs) return [];
  return [
    finish(hop, index, {
      setting: "ping-interval",
      from: spokenDuration(hop.pingIntervalMs),
      to: spokenDuration(valueMs),
      cost: "more heartbeats",
      rank: 8,
      valueMs,
      apply: (it) => replaceHop(it, index, { ...(it.hops[index] as EndPointHop), pingIntervalMs: valueMs }),
    }),
  ];
}

function proxyChanges(hop: ProxyHop, index: number, legs: readonly Leg[], needs: Needs): readonly Change[] {
  const before = legs.find((leg) => leg.server.hop === index)!;
  const after = legs.find((leg) => leg.client.hop === index)!;
  const clientSettings = {
    keepalive: "client-side-keepalive",
    userTimeout: "client-side-user-timeout",
  } as const;
  const serverSettings = {
    keepalive: "server-side-keepalive",
    userTimeout: "server-side-user-timeout",
  } as const;
  const at = { hop, index, needs, rank: 2 };
  if (MANAGED_PROXIES.test(hop.name)) return proxyTimeoutChanges(hop, index, before, after, needs);
  return [
    ...tcpEndChanges({ ...at, leg: before, end: hop.clientSide, settings: clientSettings }),
    ...tcpEndChanges({ ...at, leg: after, end: hop.serverSide, settings: serverSettings }),
    ...proxyTimeoutChanges(hop, index, before, after, needs),
  ];
}

/** Clouds let nobody set the options of their sockets, and some of their time-outs neither. */
const MANAGED_PROXIES = /^(aws|gcp|azure|aks|ksyun|alibaba|tencent|huawei|ucloud)-/;
const FIXED_PROXY_TIMEOUTS = /^(aws-nlb-tls|azure-app-service|ksyun-slb|gcp-tcp-proxy)/;
/** One attribute is all of their idle times. */
const ONE_TIMEOUT_PROXIES = /^aws-(alb|classic-elb)/;

function proxyTimeoutChanges(
  hop: ProxyHop,
  index: number,
  before: Leg,
  after: Leg,
  needs: Needs,
): readonly Change[] {
  if (FIXED_PROXY_TIMEOUTS.test(hop.name)) return [];
  const halfClosed = [hop, index, "half-closed-timeout", "halfClosedTimeoutMs", needs.halfClosedMs] as const;
  return [
    ...(hop.protocol === "tcp"
      ? sessionChanges(hop, index, needs)
      : exchangeChanges(hop, index, before, after, needs)),
    ...timeoutRaise(...halfClosed, SESSIONS_LINGER),
  ];
}

const SESSIONS_LINGER = "dead sessions are kept longer where nothing else notices them";

type ProxyTimeout =
  | "clientIdleTimeoutMs"
  | "serverIdleTimeoutMs"
  | "upstreamIdleTimeoutMs"
  | "halfClosedTimeoutMs";

function proxyTimeout(
  hop: ProxyHop,
  index: number,
  setting: Setting,
  fields: readonly ProxyTimeout[],
  valueMs: number,
  cost: string,
): Change {
  const changed = ONE_TIMEOUT_PROXIES.test(hop.name)
    ? ["clientIdleTimeoutMs", "serverIdleTimeoutMs", "upstreamIdleTimeoutMs"]
    : fields;
  const timeouts = Object.fromEntries(changed.map((field) => [field, valueMs]));
  return finish(hop, index, {
    setting,
    from: spellTimeout(hop[fields[0]!]),
    to: spokenDuration(valueMs),
    cost,
    rank: 4,
    valueMs,
    apply: (path) => replaceHop(path, index, { ...(path.hops[index] as ProxyHop), ...timeouts }),
  });
}

function timeoutRaise(
  hop: ProxyHop,
  index: number,
  setting: Setting,
  field: ProxyTimeout,
  neededMs: number,
  cost: string,
): readonly Change[] {
  const current = hop[field];
  if (current === undefined || neededMs === 0 || current > neededMs) return [];
  return [proxyTimeout(hop, index, setting, [field], roundUpMs(neededMs * ABOVE), cost)];
}

/** A TCP session is as long-lived as the shorter of its two idle times. */
function sessionChanges(hop: ProxyHop, index: number, needs: Needs): readonly Change[] {
  const neededMs = Math.max(needs.silenceMs, needs.responseMs);
  const fields = ["clientIdleTimeoutMs", "serverIdleTimeoutMs"] as const;
  const tooShort = fields.filter((field) => (hop[field] ?? Infinity) <= neededMs);
  const [field] = tooShort;
  if (field === undefined || neededMs === 0) return [];
  if (tooShort.length === 1) {
    const setting = field === "clientIdleTimeoutMs" ? "client-idle-timeout" : "server-idle-timeout";
    return timeoutRaise(hop, index, setting, field, neededMs, SESSIONS_LINGER);
  }
  const cost = "a session that is idle for longer is still ended; dead ones are kept longer without probes";
  return [proxyTimeout(hop, index, "session-timeout", fields, roundUpMs(neededMs * ABOVE), cost)];
}

function exchangeChanges(
  hop: ProxyHop,
  index: number,
  before: Leg,
  after: Leg,
  needs: Needs,
): readonly Change[] {
  const slow = [hop, index, "response-timeout", "serverIdleTimeoutMs", needs.responseMs] as const;
  const changes: Change[] = [...timeoutRaise(...slow, "a request that hangs is noticed later")];
  const responseMs = roundUpMs(needs.responseMs * ABOVE || 60 * SECOND_MS);
  if ((hop.serverIdleTimeoutMs ?? Infinity) > DETECTION_LIMIT_MS && responseMs <= DETECTION_LIMIT_MS) {
    const cost = "answers that take longer are given up";
    changes.push(proxyTimeout(hop, index, "response-timeout", ["serverIdleTimeoutMs"], responseMs, cost));
  }
  const lower = (setting: Setting, field: ProxyTimeout, leg: Leg): void => {
    const limitMs = shortestMemoryMs(leg, false) ?? DETECTION_LIMIT_MS;
    const valueMs = roundDownMs(limitMs * BELOW);
    const current = hop[field];
    if (valueMs === undefined || (current !== undefined && current <= valueMs)) return;
    const cost = "idle connections are closed, the next request opens a new one";
    changes.push(proxyTimeout(hop, index, setting, [field], valueMs, cost));
  };
  lower("client-idle-timeout", "clientIdleTimeoutMs", before);
  lower("upstream-idle-timeout", "upstreamIdleTimeoutMs", after);
  return changes;
}

/** Boxes whose time-out nobody but their maker can change, and the most that the others take, in seconds. */
const FIXED_BOXES =
  /^(aws-nat-gateway|aws-nlb-tls|gcp-vpc|ksyun-slb|docker-swarm-vip|home-nat|mobile-carrier|tencent-clb)/;
const BOX_TIMEOUT_MAX_SECONDS: readonly (readonly [RegExp, number])[] = [
  [/^aws-(nlb|gwlb)/, 6000],
  [/^azure-nat/, 7200],
  [/^(azure|aks)/, 6000],
  [/^alibaba-clb/, 900],
  [/^huawei/, 4000],
  [/^ec2-security-group/, 432_000],
];

function boxChanges(hop: PacketBoxHop, index: number, needs: Needs): readonly Change[] {
  if (FIXED_BOXES.test(hop.name)) return [];
  const maxSeconds = BOX_TIMEOUT_MAX_SECONDS.find(([name]) => name.test(hop.name))?.[1] ?? Infinity;
  const raise = (
    field: "establishedMs" | "halfClosedMs",
    setting: Setting,
    neededMs: number,
  ): readonly Change[] => {
    const current = hop.timeouts[field];
    const valueMs = roundUpMs(neededMs * ABOVE);
    if (current === undefined || current > neededMs || valueMs > maxSeconds * SECOND_MS) return [];
    const change: Draft = {
      setting,
      from: spokenDuration(current),
      to: spokenDuration(valueMs),
      cost: "more memory in the box, and a longer silence is forgotten all the same",
      rank: 7,
      valueMs,
      apply: (path) => {
        const now = path.hops[index] as PacketBoxHop;
        return replaceHop(path, index, { ...now, timeouts: { ...now.timeouts, [field]: valueMs } });
      },
    };
    return [finish(hop, index, change)];
  };
  return [
    ...raise("establishedMs", "established-timeout", Math.max(needs.silenceMs, needs.responseMs)),
    ...raise("halfClosedMs", "half-closed-timeout", needs.halfClosedMs),
  ];
}
