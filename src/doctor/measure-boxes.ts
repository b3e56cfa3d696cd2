/**
 * Which boxes of the catalogue have the time-out that a ladder found. Pure. A box fits by its time, and better when it also ends
 * connections in the manner that was seen. Called by cli/measure.ts.
 */
import { CATALOGUE } from "./catalogue.ts";
import { hopOf } from "./catalogue-entry.ts";
import type { Hop, PacketBoxHop } from "./hop.ts";
import type { ExpiryManner, LadderConclusion, LadderDirection } from "./measure-conclusion.ts";

export interface FittingBox {
  readonly name: string;
  readonly title: string;
  readonly timeoutMs: number;
  /** It also tells the ends what was seen; otherwise only the time fits. */
  readonly fitsManner: boolean;
  readonly source: string;
  readonly isUnverified: boolean;
}

/** A look at the socket, a round trip, rounding to seconds. */
const TOLERANCE_MS = 1000;
/** Boxes whose entries live on a kernel timer: IPVS forgets up to an eighth late (kernel/time/timer.c); conntrack compares times. */
const LATE_BOXES = new Set(["lvs", "kube-proxy-ipvs", "docker-swarm-vip"]);
const LATENESS = 1 / 8;

export function boxesThatFit(conclusion: LadderConclusion, direction: LadderDirection): FittingBox[] {
  const { bracket, manner, peerClosedAfterMs } = conclusion;
  if (bracket === undefined && peerClosedAfterMs === undefined) return [];
  const fitting: FittingBox[] = [];
  for (const entry of CATALOGUE) {
    if (entry.group === "your own") continue;
    const role = direction === "from-client" ? "server" : "client";
    const { hop } = hopOf(entry, { role });
    const timeoutMs =
      bracket === undefined ? closingTimeMs(hop, entry.roles, role) : forgettingTimeMs(hop, manner!);
    if (timeoutMs === undefined) continue;
    const lateMs = LATE_BOXES.has(entry.name) ? timeoutMs * LATENESS : 0;
    const lowerMs = bracket?.lowerMs ?? peerClosedAfterMs!;
    const upperMs = bracket?.upperMs ?? peerClosedAfterMs!;
    if (timeoutMs > upperMs + TOLERANCE_MS || timeoutMs + lateMs < lowerMs - TOLERANCE_MS) continue;
    fitting.push({
      name: entry.name,
      title: entry.title,
      timeoutMs,
      fitsManner: manner === undefined || mannerOf(hop, direction) === manner,
      source: entry.source.url ?? entry.source.text,
      isUnverified: entry.source.isUnverified === true,
    });
  }
  return fitting.toSorted((a, b) => Number(b.fitsManner) - Number(a.fitsManner));
}

/** A proxy that resets is seen as an unasked RST. */
function forgettingTimeMs(hop: Hop, manner: ExpiryManner): number | undefined {
  if (hop.kind === "packet-box") return hop.timeouts.establishedMs;
  const resets = hop.kind === "proxy" && hop.onClientTimeout === "reset" && manner === "reset-unasked";
  return resets ? hop.clientIdleTimeoutMs : undefined;
}

function closingTimeMs(
  hop: Hop,
  roles: "client" | "server" | "both" | undefined,
  role: "client" | "server",
): number | undefined {
  if (hop.kind === "proxy") return hop.onClientTimeout === "close" ? hop.clientIdleTimeoutMs : undefined;
  if (hop.kind !== "end-point" || (roles !== undefined && roles !== "both" && roles !== role))
    return undefined;
  return hop.idleTimeoutMs;
}

/** What a ladder sees behind such a box; undefined: nothing, because it takes forgotten connections up again. */
function mannerOf(hop: Hop, direction: LadderDirection): ExpiryManner | undefined {
  if (hop.kind === "proxy") return "reset-unasked";
  return hop.kind === "packet-box" ? packetBoxManner(hop, direction) : undefined;
}

function packetBoxManner(hop: PacketBoxHop, direction: LadderDirection): ExpiryManner | undefined {
  if (hop.atExpiry === "reset-both") return "reset-unasked";
  const reaction = direction === "from-client" ? hop.afterExpiry.fromClient : hop.afterExpiry.fromServer;
  return ({ drop: "silent", reset: "reset", adopt: undefined } as const)[reaction];
}
