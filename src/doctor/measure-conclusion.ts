/**
 * What the rungs of a ladder mean together: the bracket around the path's idle time-out, the manner in which connections ended, the
 * so_keepalive that prevents it, and everything that makes the answer doubtful. Pure. The boxes that fit are in measure-boxes.ts.
 * Called by cli/measure.ts.
 */
import { formatSoKeepalive, type TcpKeepalive } from "../tcp/so-keepalive.ts";
import { isAlive, isDead, type RungResult } from "./ladder.ts";
import { spokenDuration } from "./spoken-duration.ts";

/** Who opened the connections: probes of the client and of the server meet different rules in many boxes. */
export type LadderDirection = "from-client" | "from-server";

/** How a connection that was idle for too long ends. */
export type ExpiryManner = "reset-unasked" | "reset" | "silent";

export interface TimeoutBracket {
  /** A connection that was idle for so long was still alive. */
  readonly lowerMs: number;
  /** One that was idle for so long was not. */
  readonly upperMs: number;
}

export interface LadderConclusion {
  /** `time-out`: the path forgets; `peer-closes`: the other end (or a proxy) closes; `keeps`: neither within the ladder. */
  readonly outcome: "time-out" | "peer-closes" | "keeps" | "unknown";
  readonly bracket: TimeoutBracket | undefined;
  readonly manner: ExpiryManner | undefined;
  /** The longest idle time that was survived. */
  readonly aliveMs: number;
  readonly peerClosedAfterMs: number | undefined;
  /** No rung contradicts another. */
  readonly isConsistent: boolean;
  readonly isPartial: boolean;
  readonly soKeepalive: TcpKeepalive | undefined;
  /** One sentence. */
  readonly verdict: string;
  /** What to do, and why so. */
  readonly advice: readonly string[];
  readonly caveats: readonly string[];
}

/** An unasked RST comes when the box's time is over: the age at which it came is the time-out, give or take the look at the socket. */
const UNASKED_RESOLUTION_MS = 500;

export function concludeLadder(
  results: readonly RungResult[],
  direction: LadderDirection,
  isInterrupted = false,
): LadderConclusion {
  const dead = results.filter(isDead).toSorted((a, b) => a.idleMs - b.idleMs);
  const alive = results.filter(isAlive).map((result) => result.idleMs);
  const firstDead = dead[0];
  const upperMs = firstDead?.idleMs;
  const aliveMs = Math.max(0, ...alive.filter((idleMs) => upperMs === undefined || idleMs < upperMs));
  const closed = results.filter((result) => result.verdict === "peer-closed").map((result) => result.idleMs);
  const facts = {
    aliveMs,
    peerClosedAfterMs: closed.length === 0 ? undefined : Math.min(...closed),
    isConsistent: upperMs === undefined || alive.every((idleMs) => idleMs < upperMs),
    isPartial: isInterrupted || results.some((result) => result.verdict === "no-connection"),
    manner: firstDead === undefined ? undefined : (firstDead.verdict as ExpiryManner),
    bracket: firstDead === undefined ? undefined : bracketAround(firstDead, aliveMs),
  };
  const outcome = outcomeOf(facts, results);
  const conclusion = { ...facts, outcome, soKeepalive: recommendSoKeepalive(facts.bracket?.lowerMs) };
  return {
    ...conclusion,
    verdict: verdictOf(conclusion, results),
    advice: adviceFor(conclusion),
    caveats: caveatsOf(conclusion, results, direction),
  };
}

function bracketAround(firstDead: RungResult, aliveMs: number): TimeoutBracket {
  const upperMs = firstDead.idleMs;
  const lowerMs =
    firstDead.verdict === "reset-unasked" ? Math.max(aliveMs, upperMs - UNASKED_RESOLUTION_MS, 0) : aliveMs;
  return { lowerMs, upperMs };
}

type Facts = Pick<
  LadderConclusion,
  "bracket" | "manner" | "aliveMs" | "peerClosedAfterMs" | "isConsistent" | "isPartial"
>;

function outcomeOf(facts: Facts, results: readonly RungResult[]): LadderConclusion["outcome"] {
  if (facts.bracket !== undefined) return "time-out";
  if (facts.peerClosedAfterMs !== undefined) return "peer-closes";
  return results.some((result) => result.verdict === "answered") ? "keeps" : "unknown";
}

const MANNERS: Readonly<Record<ExpiryManner, string>> = {
  "reset-unasked": "RST comes by itself when the time is over",
  reset: "whoever speaks next gets RST; the other end is not told",
  silent: "packets vanish; nobody is told",
};

type Concluded = Facts & Pick<LadderConclusion, "outcome" | "soKeepalive">;

function verdictOf(conclusion: Concluded, results: readonly RungResult[]): string {
  const { bracket, manner, aliveMs, peerClosedAfterMs } = conclusion;
  if (bracket !== undefined && manner !== undefined) {
    if (manner === "reset-unasked")
      return `idle connections are reset after ${spokenDuration(bracket.upperMs)}: ${MANNERS[manner]}`;
    const when =
      bracket.lowerMs === 0
        ? `before ${spokenDuration(bracket.upperMs)}`
        : `between ${spokenDuration(bracket.lowerMs)} and ${spokenDuration(bracket.upperMs)}`;
    return `the path forgets idle connections ${when}: ${MANNERS[manner]}`;
  }
  if (peerClosedAfterMs !== undefined)
    return `the other end, or a proxy before it, closes idle connections after ${spokenDuration(peerClosedAfterMs)} (FIN); the path itself keeps them for at least ${spokenDuration(aliveMs)}`;
  if (aliveMs > 0) return `the path keeps idle connections for at least ${spokenDuration(aliveMs)}`;
  const reasons = new Set(results.flatMap((result) => result.errno ?? []));
  const why = reasons.size === 0 ? "" : ` (${[...reasons].join(", ")})`;
  return results.some((result) => result.verdict !== "no-connection")
    ? "no connection was idle for long enough to learn anything"
    : `no connection could be made${why}`;
}

const NICE_SECONDS = [1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 90, 120, 150, 180, 240, 300, 600, 900, 1800, 3600];
const PROBE_COUNT = 4;
const INTERVAL_SECONDS_MAX = 30;

/**
 * idle: at most half of the idle time that was proven good; interval: so short that two lost probes still leave the third one in
 * time (idle + 2 × interval below it). The half also covers the kernel's long timers, which fire up to an eighth late.
 * undefined: no time of a whole second is short enough, or there is nothing to prevent.
 */
export function recommendSoKeepalive(lowerMs: number | undefined): TcpKeepalive | undefined {
  if (lowerMs === undefined) return undefined;
  const idleSeconds = NICE_SECONDS.findLast((seconds) => seconds * 2000 <= lowerMs);
  if (idleSeconds === undefined) return undefined;
  const intervalMax = Math.min(idleSeconds / 3, (lowerMs / 1000 - idleSeconds) / 3, INTERVAL_SECONDS_MAX);
  const intervalSeconds = NICE_SECONDS.findLast((seconds) => seconds <= intervalMax) ?? 1;
  return { enabled: true, idleSeconds, intervalSeconds, probeCount: PROBE_COUNT };
}

function adviceFor(conclusion: Concluded): string[] {
  const { outcome, bracket, soKeepalive, peerClosedAfterMs } = conclusion;
  if (outcome === "time-out" && bracket !== undefined) {
    if (soKeepalive === undefined)
      return [
        `every rung was too long: measure again with shorter ones, such as --rungs ${shorterRungs(bracket.upperMs)}`,
      ];
    const text = formatSoKeepalive(soKeepalive);
    return [
      `so_keepalive ${text} on either end keeps such a connection alive: the idle time is at most half of what was proven good (${spokenDuration(bracket.lowerMs)}), so two probes may be lost and the kernel's timer may be late`,
      `on connections that exist: holdfast enable SELECTOR --so-keepalive ${text}`,
      ...(conclusion.manner === "reset-unasked"
        ? [
            "if the RST is the other end's own time-out, or a proxy's, probes do not help: only payload does, or a longer time-out there",
          ]
        : []),
    ];
  }
  if (outcome === "peer-closes" && peerClosedAfterMs !== undefined)
    return [
      `TCP keepalive does not prevent this: it is a time-out for payload. Let go of idle connections first (a client's pool below ${spokenDuration(peerClosedAfterMs)}), send something, or raise the other end's time-out`,
    ];
  return [];
}

function shorterRungs(upperMs: number): string {
  const seconds = [8, 4, 2].map((part) => Math.max(1, Math.floor(upperMs / 1000 / part)));
  return [...new Set(seconds)].map((value) => `${value}s`).join(",");
}

function caveatsOf(
  conclusion: Concluded,
  results: readonly RungResult[],
  direction: LadderDirection,
): string[] {
  const caveats: string[] = [];
  const count = (verdict: RungResult["verdict"]) =>
    results.filter((result) => result.verdict === verdict).length;
  if (!conclusion.isConsistent)
    caveats.push(
      "connections that were idle for longer answered, although one that was idle for less did not: packets were lost, or not all connections take the same way (several boxes, ECMP); measure again",
    );
  if (direction === "from-client" && (conclusion.outcome === "keeps" || conclusion.outcome === "time-out"))
    caveats.push(
      "probes were sent by the client. Some boxes take a forgotten connection up again when a packet comes from inside (conntrack with tcp_loose=1, GCP, F5 loose-init) and still drop what the server sends first: for that direction run holdfast measure --listen PORT on the server's side",
    );
  if (direction === "from-server")
    caveats.push("probes were sent by the accepting side; the client's direction may have more time");
  if (conclusion.outcome === "peer-closes")
    caveats.push(
      "an HTTP server also closes a connection on which no request came (client_header_timeout): to see beyond its time-out, run holdfast measure --listen PORT --hold on the server's host and measure towards that port",
    );
  if (count("no-connection") > 0)
    caveats.push(`partial: ${count("no-connection")} of ${results.length} connections could not be made`);
  if (count("never-idle") > 0)
    caveats.push(
      `${count("never-idle")} connections were never idle for their rung's time: the other end speaks by itself`,
    );
  if (count("error") > 0) caveats.push(`${count("error")} connections ended with another error`);
  return caveats;
}
