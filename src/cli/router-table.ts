/**
 * `holdfast routers` for humans: virtual routers as a table, what is wrong with them, and their transitions as sentences. Pure. Called by
 * routers.ts and status-table.ts.
 */
import type { RouterProcessStatus, RouterStatus, RoutersDocument } from "../observe/router-status.ts";
import type { TransitionRecord } from "../vrrp/state.ts";
import { formatAge, formatMs } from "./figures.ts";
import { type Column, formatTable } from "./table.ts";

const NONE = "-";

const COLUMNS: readonly Column[] = [
  { title: "ROUTER" },
  { title: "STATE" },
  { title: "FOR", align: "right" },
  { title: "PRIORITY", align: "right" },
  { title: "INTERFACE" },
  { title: "ID", align: "right" },
  { title: "ADDRESS" },
  { title: "PEER" },
  { title: "BECAUSE" },
];

export function formatRouterTable(routers: readonly RouterStatus[], isColoured = false): string[] {
  const rows = routers.flatMap((router) =>
    router.addresses.map((entry, index) => {
      const address = formatInstalled(router, entry);
      if (index > 0) return ["", "", "", "", "", "", address];
      return [
        router.name,
        formatState(router),
        router.sinceMs === null ? NONE : formatAge(router.sinceMs),
        formatPriority(router),
        router.interface,
        String(router.id),
        address,
        formatPeer(router.peer),
        router.lastTransition?.cause ?? NONE,
      ];
    }),
  );
  return formatTable(COLUMNS, rows, isColoured);
}

/** The whole answer: table, troubles and, when asked for, the history. */
export function formatRouters(
  document: RoutersDocument,
  options: { readonly hasHistory: boolean; readonly isColoured?: boolean },
): string[] {
  const { routers, process, history } = document;
  if (routers.length === 0) return ["no virtual routers"];
  const sections = [
    formatRouterTable(routers, options.isColoured),
    formatRouterTroubles(routers, process),
    options.hasHistory ? formatHistory(history) : [],
  ].filter((lines) => lines.length > 0);
  return sections.flatMap((lines, index) => (index === 0 ? lines : ["", ...lines]));
}

function formatState(router: RouterStatus): string {
  if (router.isHandingOver) return `${router.state}, handing over`;
  return router.isInMaintenance ? `${router.state}, maintenance` : router.state;
}

/** `80 (of 100)` while trackers change it. */
function formatPriority({ priority, configuredPriority }: RouterStatus): string {
  if (priority === null) return NONE;
  return priority === configuredPriority ? String(priority) : `${priority} (of ${configuredPriority})`;
}

function formatInstalled(
  { state }: RouterStatus,
  { address, isInstalled }: RouterStatus["addresses"][number],
): string {
  if (isInstalled === null || state === "unknown" || isInstalled === (state === "active")) return address;
  return isInstalled ? `${address} (still here)` : `${address} (missing)`;
}

function formatPeer(peer: RouterStatus["peer"]): string {
  if (peer === null) return NONE;
  return `${peer.address}, priority ${peer.priority}, ${formatMs(Math.round(peer.ageMs))} ago`;
}

/** One line for each thing that an operator should look at. */
export function formatRouterTroubles(
  routers: readonly RouterStatus[],
  process: RouterProcessStatus | null,
): string[] {
  const lines: string[] = [];
  for (const router of routers) {
    const { name, reason, counters, trackers, isInMaintenance } = router;
    if (reason !== null) lines.push(`${name}: ${router.state}: ${reason}`);
    if (isInMaintenance) lines.push(`${name}: in maintenance until "holdfast router ${name} resume"`);
    for (const { key, isUp, weight, detail } of trackers) {
      if (isUp || (weight === 0 && reason !== null)) continue;
      const effect =
        weight === 0 ? "fault" : weight < 0 ? `priority ${weight}` : `priority without its +${weight}`;
      lines.push(`${name}: ${key} is down (${effect}): ${detail}`);
    }
    if (counters.conflictsSeen > 0)
      lines.push(`${name}: another router was active at the same time ${times(counters.conflictsSeen)}`);
    if (counters.duplicateAddressesSeen > 0)
      lines.push(`${name}: another host answered for an address ${times(counters.duplicateAddressesSeen)}`);
    const discarded = Object.entries(counters.advertisementsDiscarded).filter(([, count]) => count > 0);
    if (discarded.length > 0)
      lines.push(
        `${name}: advertisements not used: ${discarded.map(([why, count]) => `${why} ${count}`).join(", ")}`,
      );
  }
  if (process !== null && process.restarts > 0)
    lines.push(`the router process was started again ${times(process.restarts)}`);
  return lines;
}

function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}

function formatHistory(history: readonly TransitionRecord[]): string[] {
  return history.length === 0 ? ["no transition yet"] : history.map(formatTransition);
}

/** `2026-11-22T00:03:04.123Z edge: backup → active, silence: no advertisement for … (priority 100; addresses after 1.2 ms, …)`. */
export function formatTransition(record: TransitionRecord): string {
  const { router, atUnixMs, from, to, cause, detail, priority, loopLagMs } = record;
  const facts = [`priority ${priority}`];
  if (record.addressesAfterMs !== null) {
    const what = to === "active" ? "addresses in" : "addresses out";
    facts.push(`${what} after ${formatMs(record.addressesAfterMs)}`);
  }
  if (record.announcedAfterMs !== null) facts.push(`announced after ${formatMs(record.announcedAfterMs)}`);
  if (loopLagMs >= LAG_MS_WORTH_TELLING) facts.push(`this process was ${formatMs(loopLagMs)} late`);
  const at = new Date(atUnixMs).toISOString();
  return `${at} ${router}: ${from} → ${to}, ${cause}: ${detail} (${facts.join(", ")})`;
}

const LAG_MS_WORTH_TELLING = 1;
