/**
 * `holdfast status` for humans: the status document as aligned tables. Pure. Called by `status.ts`.
 */
import type {
  CloseCount,
  ListenerStatus,
  PoolStatus,
  ServerStatus,
  StatusDocument,
  WorkerStatus,
} from "../observe/status.ts";
import { formatAge, formatBytes, formatCount, formatMs, formatRatio } from "./figures.ts";
import { formatRouterTable, formatRouterTroubles } from "./router-table.ts";
import { type Column, formatTable } from "./table.ts";

const TOP_CAUSES = 3;
const NONE = "-";

export function formatStatus(status: StatusDocument, isColoured = false): string[] {
  const sections: string[][] = [
    formatHead(status),
    formatWorkers(status.workers, isColoured),
    formatListeners(status.listeners, isColoured),
    formatPools(status.pools, isColoured),
    formatTroubles(status.pools),
    status.routers.length === 0 ? [] : formatRouterTable(status.routers, isColoured),
    formatRouterTroubles(status.routers, status.routerProcess),
  ].filter((lines) => lines.length > 0);
  return sections.flatMap((lines, index) => (index === 0 ? lines : ["", ...lines]));
}

function formatHead(status: StatusDocument): string[] {
  const { version, phase, uptimeMs, generation, respawns, pid, configFile, reloads } = status;
  const facts = [
    `holdfast ${version}: ${phase}`,
    `up ${formatAge(uptimeMs)}`,
    `pid ${pid}`,
    `configuration ${generation}${configFile === null ? "" : ` of ${configFile}`}`,
  ];
  if (respawns > 0) {
    facts.push(`${respawns} worker${respawns === 1 ? "" : "s"} started again`);
  }
  const lines = [facts.join(", ")];
  if (reloads.last?.ok === false) {
    lines.push(`the last reload (${reloads.last.at}) failed, the old configuration is in force:`);
    lines.push(...reloads.last.lines.map((line) => `  ${line}`));
  }
  return lines;
}

const WORKER_COLUMNS: readonly Column[] = [
  { title: "WORKER", align: "right" },
  { title: "PID", align: "right" },
  { title: "STATE" },
  { title: "UP", align: "right" },
  { title: "IN PROGRESS", align: "right" },
  { title: "DESCRIPTORS", align: "right" },
  { title: "TIMERS", align: "right" },
  { title: "LONGEST TURN", align: "right" },
  { title: "MEMORY", align: "right" },
];

function formatWorkers(workers: readonly WorkerStatus[], isColoured: boolean): string[] {
  const rows = workers.map((worker) => [
    String(worker.index),
    String(worker.pid),
    worker.state,
    formatAge(worker.uptimeMs),
    formatCount(worker.activeExchanges),
    formatCount(worker.descriptorsInUse),
    formatCount(worker.timersArmed),
    formatMs(worker.loopLagMsMax),
    worker.residentBytes === null ? NONE : formatBytes(worker.residentBytes),
  ]);
  return formatTable(WORKER_COLUMNS, rows, isColoured);
}

const LISTENER_COLUMNS: readonly Column[] = [
  { title: "LISTENER" },
  { title: "ADDRESS" },
  { title: "ACTIVE", align: "right" },
  { title: "IDLE", align: "right" },
  { title: "REQUESTS", align: "right" },
  { title: "REUSED", align: "right" },
  { title: "4XX", align: "right" },
  { title: "5XX", align: "right" },
  { title: "P50", align: "right" },
  { title: "P99", align: "right" },
  { title: "CLOSED BECAUSE" },
];

function formatListeners(listeners: readonly ListenerStatus[], isColoured: boolean): string[] {
  const rows = listeners.flatMap((listener) =>
    listener.addresses.map((address, index) =>
      index > 0
        ? ["", address]
        : [
            listener.name,
            address,
            formatCount(listener.connectionsActive),
            formatCount(listener.connectionsIdle),
            formatCount(listener.requests),
            formatRatio(listener.reuseRatio),
            formatCount(listener.responses["4xx"]),
            formatCount(listener.responses["5xx"]),
            formatMs(listener.latency.p50Ms),
            formatMs(listener.latency.p99Ms),
            formatCloses(listener.closes),
          ],
    ),
  );
  return formatTable(LISTENER_COLUMNS, rows, isColoured);
}

const POOL_COLUMNS: readonly Column[] = [
  { title: "POOL" },
  { title: "SERVER" },
  { title: "STATE" },
  { title: "FOR", align: "right" },
  { title: "WEIGHT", align: "right" },
  { title: "CHECKS", align: "right" },
  { title: "BAD", align: "right" },
  { title: "ACTIVE", align: "right" },
  { title: "IDLE", align: "right" },
  { title: "WAITING", align: "right" },
  { title: "REQUESTS", align: "right" },
  { title: "REUSED", align: "right" },
  { title: "FAILED", align: "right" },
  { title: "RETRIED", align: "right" },
  { title: "IDLE LIMIT", align: "right" },
  { title: "P99", align: "right" },
  { title: "CLOSED BECAUSE" },
];

function formatPools(pools: readonly PoolStatus[], isColoured: boolean): string[] {
  const rows = pools.flatMap((pool) =>
    pool.servers.map((server, index) => [
      index === 0 ? pool.name : "",
      server.backup ? `${server.name} (backup)` : server.name,
      server.state,
      server.sinceMs === null ? NONE : formatAge(server.sinceMs),
      formatCount(server.weight),
      server.health === null ? NONE : formatCount(server.health.checks),
      server.health === null ? NONE : formatCount(server.health.checksFailed),
      formatCount(server.connectionsActive),
      formatCount(server.connectionsIdle),
      index === 0 ? formatCount(pool.queue.waiting) : "",
      formatCount(server.requests),
      formatRatio(server.reuseRatio),
      formatCount(server.failures),
      index === 0 ? formatCount(pool.retries) : "",
      formatMs(server.idleLimitMs),
      formatMs(server.latency.p99Ms),
      formatCloses(server.closes),
    ]),
  );
  return formatTable(POOL_COLUMNS, rows, isColoured);
}

/** One line for each server that is not simply up: why. */
function formatTroubles(pools: readonly PoolStatus[]): string[] {
  return pools.flatMap((pool) =>
    pool.servers
      .filter((server) => server.state !== "up")
      .map((server) => `${pool.name} ${server.name}: ${explainState(server)}`),
  );
}

function explainState({ state, reason, since, health, admin }: ServerStatus): string {
  const parts = [`${state}${since === null ? "" : ` since ${since}`}`];
  if (reason !== null) parts.push(reason);
  const hasOtherVerdict = admin !== "up" && health !== null && health.state !== "up";
  if (hasOtherVerdict) parts.push(`health checks say ${health.state}: ${health.reason}`);
  else if (health?.lastCheck && reason?.startsWith(health.lastCheck.reason) !== true)
    parts.push(`last check: ${health.lastCheck.reason}`);
  return parts.join("; ");
}

/** The most frequent causes, and how many closes had another. */
function formatCloses(closes: readonly CloseCount[]): string {
  if (closes.length === 0) {
    return NONE;
  }
  const named = closes.slice(0, TOP_CAUSES).map(({ cause, count }) => `${cause} ${formatCount(count)}`);
  const others = closes.slice(TOP_CAUSES).reduce((sum, { count }) => sum + count, 0);
  return (others > 0 ? [...named, `others ${formatCount(others)}`] : named).join(", ");
}
