/**
 * Which situations a path is tried in when nobody names any, their names in words, and how long is too long. Pure.
 */
import type { Scenario } from "./fate.ts";
import type { Hop, Path, TcpEnd } from "./hop.ts";
import { spokenDuration } from "./spoken-duration.ts";

export interface ScenarioChoices {
  /** How long the server computes in `slow-response`, and the other side is silent in `half-closed`. Default 2 min. */
  readonly responseTimeMs?: number;
  /** How long nobody speaks in `idle`. Default: longer than every time-out of the path that a working day meets. */
  readonly idleMs?: number;
}

const MINUTE_MS = 60_000;
const RESPONSE_TIME_MS = 2 * MINUTE_MS;
/** A path without any time-out is tried with an hour of silence. */
const IDLE_WITHOUT_TIMEOUTS_MS = 60 * MINUTE_MS;
/**
 * Time-outs up to here are waited for: what RFC 5382 REQ-5 asks of a NAT. Beyond are conntrack's five days and MySQL's eight hours: who
 * waits for them asks every proxy of the path to keep silent sessions for days.
 */
const WAITED_FOR_MS = 124 * MINUTE_MS;

/**
 * A dead peer that is noticed later than this counts as not noticed in time. Above what people choose on purpose (5 min + 9 probes),
 * below what the kernel does by itself (924.6 s with data in flight, 7875 s idle), which users call a hang.
 */
export const DETECTION_LIMIT_MS = 10 * MINUTE_MS;

export function defaultScenarios(path: Path, choices: ScenarioChoices = {}): readonly Scenario[] {
  const responseTimeMs = choices.responseTimeMs ?? RESPONSE_TIME_MS;
  const atMs = choices.idleMs ?? silenceThatTellsAll(path);
  const sessionScenarios: readonly Scenario[] = [
    { kind: "idle", atMs, thenSpeaks: "server" },
    { kind: "half-closed", endedBy: "client", atMs: responseTimeMs },
  ];
  return [
    { kind: "idle", atMs, thenSpeaks: "client" },
    { kind: "slow-response", responseTimeMs },
    // An HTTP server has nothing to say unasked, and HTTP proxies take a client's FIN for the end.
    ...(speaksHttp(path) ? [] : sessionScenarios),
    { kind: "host-dies-idle", who: "client" },
    { kind: "host-dies-idle", who: "server" },
    { kind: "host-dies-in-flight", who: "client" },
    { kind: "host-dies-in-flight", who: "server" },
  ];
}

export function speaksHttp(path: Path): boolean {
  return path.hops.some((hop) => hop.kind === "proxy" && hop.protocol === "http");
}

/** A silence longer than every idle time-out of the path that is worth waiting for, so that whoever forgets has forgotten. */
export function silenceThatTellsAll(path: Path): number {
  const waitedFor = path.hops.flatMap(idleTimeoutsOf).filter((timeoutMs) => timeoutMs <= WAITED_FOR_MS);
  return waitedFor.length === 0 ? IDLE_WITHOUT_TIMEOUTS_MS : Math.max(...waitedFor) + MINUTE_MS;
}

/** Every time after which this hop ends or forgets a connection on which nothing happens. */
export function idleTimeoutsOf(hop: Hop): readonly number[] {
  const timeouts =
    hop.kind === "end-point"
      ? [hop.idleTimeoutMs]
      : hop.kind === "packet-box"
        ? [hop.timeouts.establishedMs]
        : [hop.clientIdleTimeoutMs, hop.serverIdleTimeoutMs, hop.upstreamIdleTimeoutMs];
  return timeouts.filter((timeout) => timeout !== undefined && timeout > 0) as number[];
}

/** How long this end takes to notice a dead peer on an idle connection; undefined: it never does. */
export function idleDetectionMs(end: TcpEnd): number | undefined {
  if (end.keepalive === undefined) return undefined;
  const { idleMs, intervalMs, probeCount } = end.keepalive;
  if (end.userTimeoutMs === 0) return idleMs + intervalMs * probeCount;
  // The first tick past the user time-out, after one probe at least.
  const ticks = Math.max(1, Math.ceil((end.userTimeoutMs - idleMs) / intervalMs));
  return idleMs + ticks * intervalMs;
}

/** "idle for 900 s, then the client speaks" */
export function describeScenario(scenario: Scenario): string {
  switch (scenario.kind) {
    case "idle": {
      const silence = scenario.atMs === undefined ? "idle" : `idle for ${spokenDuration(scenario.atMs)}`;
      return scenario.thenSpeaks === undefined
        ? silence
        : `${silence}, then the ${scenario.thenSpeaks} speaks`;
    }
    case "slow-response":
      return `the answer takes ${spokenDuration(scenario.responseTimeMs)}`;
    case "half-closed": {
      const other = scenario.endedBy === "client" ? "server" : "client";
      return `the ${scenario.endedBy} has ended its side, the ${other} speaks ${spokenDuration(scenario.atMs)} later`;
    }
    case "host-dies-idle":
      return `the ${scenario.who}'s host vanishes while the connection is idle`;
    case "host-dies-in-flight":
      return `the ${scenario.who}'s host vanishes while data is on its way to it`;
  }
}
