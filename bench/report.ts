/** Turns the measurements into JSON and Markdown, with the ratios that are the project's targets. Pure. */
import type { BulkTable } from "./bulk.ts";
import type { Row } from "./cpu.ts";
import type { FailoverReport } from "./failover.ts";
import { renderFailover } from "./failover-report.ts";
import type { HealthRow } from "./health.ts";
import type { Machine } from "./machine.ts";
import type { MemoryRow } from "./memory.ts";
import { SOCKETS_COMMAND, type SocketsRow, SS_COMMAND } from "./sockets.ts";
import { round } from "./statistics.ts";
import { NODE_PROXIES } from "./subjects.ts";

export interface Table {
  readonly title: string;
  readonly rows: readonly Row[];
}

export interface Report {
  readonly takenAt: string;
  readonly machine: Machine;
  readonly versions: readonly string[];
  readonly rounds: number;
  readonly durationSeconds: number;
  readonly persistent: readonly Table[];
  readonly shortLived: readonly Table[];
  readonly idleMemory: readonly MemoryRow[];
  readonly relay?: RelayReport;
  readonly health?: readonly HealthRow[];
  readonly sockets?: readonly SocketsRow[];
  readonly failover?: FailoverReport;
}

/** TCP mode: no HTTP is understood, bytes go through. */
export interface RelayReport {
  readonly versions: readonly string[];
  /** Requests over sessions that stay. */
  readonly requests: readonly Table[];
  /** One request per session. */
  readonly sessions: readonly Table[];
  readonly bulk: readonly BulkTable[];
  readonly idleMemory: readonly MemoryRow[];
}

export interface Target {
  readonly name: string;
  readonly limit: number;
  readonly measured: number;
}

/** The bars the product sets itself, evaluated for one table of persistent connections. */
export function targetsOf(table: Table): Target[] {
  const own = table.rows.find((row) => row.subject === "holdfast");
  if (own === undefined) return [];
  const row = (name: string): Row | undefined => table.rows.find((it) => it.subject === name);
  const nodeRows = table.rows.filter((it) => NODE_PROXIES.includes(it.subject));
  const nginx = row("nginx");
  const haproxy = row("haproxy");
  const targets: Target[] = [];
  const add = (name: string, limit: number, measured: number): void => {
    targets.push({ name, limit, measured: round(measured, 3) });
  };
  if (nginx) add("CPU / nginx", 0.9, own.cpuUsPerRequest / nginx.cpuUsPerRequest);
  if (haproxy) add("CPU / HAProxy", 0.8, own.cpuUsPerRequest / haproxy.cpuUsPerRequest);
  if (nodeRows.length > 0) {
    add(
      "CPU / best Node proxy",
      0.12,
      own.cpuUsPerRequest / Math.min(...nodeRows.map((it) => it.cpuUsPerRequest)),
    );
  }
  if (nginx) add("p99 / nginx", 1, own.p99Us / nginx.p99Us);
  return targets;
}

const RELAY_PEERS = [
  { subject: "haproxy", name: "HAProxy mode tcp" },
  { subject: "nginx", name: "nginx stream" },
] as const;

/** CPU of the relay per request beside these peers: that of both where sessions stay, HAProxy's for a session per request. */
export function relayTargetsOf(table: Table, peers: readonly string[]): Target[] {
  const cpuOf = (subject: string) => table.rows.find((row) => row.subject === subject)?.cpuUsPerRequest;
  const own = cpuOf("holdfast");
  if (own === undefined) return [];
  const targets: Target[] = [];
  for (const { subject, name } of RELAY_PEERS) {
    const cpu = cpuOf(subject);
    if (cpu === undefined || !peers.includes(subject)) continue;
    targets.push({ name: `CPU / ${name}`, limit: 1, measured: round(own / cpu, 3) });
  }
  return targets;
}

/** Bulk: time per byte beside HAProxy's with splice; 0.95 of its throughput is 1 / 0.95 of its time. */
export function bulkTargetsOf(table: BulkTable): Target[] {
  const rateOf = (name: string) => table.rows.find((row) => row.subject === name)?.gibPerSecond;
  const own = rateOf("holdfast");
  const haproxy = rateOf("haproxy");
  if (own === undefined || haproxy === undefined) return [];
  return [{ name: "time per GiB / HAProxy", limit: round(1 / 0.95, 3), measured: round(haproxy / own, 3) }];
}

/** The same for the memory of idle client connections. */
export function memoryTargets(rows: readonly MemoryRow[]): Target[] {
  const bytesOf = (name: string): number | undefined =>
    rows.find((it) => it.subject === name)?.bytesPerConnection;
  const own = bytesOf("holdfast");
  const nginx = bytesOf("nginx");
  if (own === undefined || nginx === undefined) return [];
  return [{ name: "memory / nginx", limit: 1, measured: round(own / nginx, 3) }];
}

export function renderMarkdown(report: Report): string {
  const lines = [
    "# Benchmark",
    "",
    ...methodOf(report),
    "",
    "| machine | |",
    "|---|---|",
    ...Object.entries(report.machine).map(([name, value]) => `| ${name} | ${value} |`),
    `| programs | ${report.versions.join(" · ")} |`,
    "",
  ];
  for (const table of report.persistent)
    lines.push(
      ...renderTable(table, "## Persistent connections on both legs: "),
      ...renderTargets(targetsOf(table)),
    );
  for (const table of report.shortLived)
    lines.push(...renderTable(table, "## A new client connection per request: "));
  if (report.idleMemory.length > 0) lines.push(...renderMemory(report.idleMemory, "client connection"));
  if (report.relay !== undefined) lines.push(...renderRelay(report.relay));
  if (report.health !== undefined && report.health.length > 0) lines.push(...renderHealth(report.health));
  if (report.sockets !== undefined && report.sockets.length > 0) lines.push(...renderSockets(report.sockets));
  if (report.failover !== undefined) lines.push(...renderFailover(report.failover));
  return `${lines.join("\n")}\n`;
}

function methodOf({ takenAt, rounds, durationSeconds, failover }: Report): string[] {
  if (failover !== undefined)
    return [
      `Taken ${takenAt}; two routers and a client on one bridge, one datagram a millisecond (bench/failover.ts).`,
    ];
  return [
    `Taken ${takenAt}; ${rounds} interleaved rounds of ${durationSeconds} s, medians.`,
    "One worker of each proxy on one core; wrk and the origin (nginx) on the other.",
  ];
}

function renderTable(table: Table, prefix: string): string[] {
  return [
    `${prefix}${table.title}`,
    "",
    "| proxy | CPU µs per request | best round | ± | requests/s | p50 µs | p99 µs |",
    "|---|--:|--:|--:|--:|--:|--:|",
    ...table.rows.map(
      (row) =>
        `| ${row.subject} | ${row.cpuUsPerRequest} | ${row.cpuUsPerRequestMin} | ${Math.round(row.cpuSpread * 100)} % | ${row.requestsPerSecond} | ${row.p50Us} | ${row.p99Us} |`,
    ),
    "",
  ];
}

function renderRelay(relay: RelayReport): string[] {
  const lines: string[] = [];
  for (const table of relay.requests) {
    lines.push(...renderTable(table, "## TCP relay, HTTP requests through sessions that stay: "));
    lines.push(...renderTargets(relayTargetsOf(table, ["haproxy", "nginx"])));
  }
  for (const table of relay.sessions) {
    lines.push(...renderTable(table, "## TCP relay, connect, one request, close: "));
    lines.push(...renderTargets(relayTargetsOf(table, ["haproxy"])));
  }
  for (const table of relay.bulk) lines.push(...renderBulk(table), ...renderTargets(bulkTargetsOf(table)));
  if (relay.idleMemory.length > 0) lines.push(...renderMemory(relay.idleMemory, "TCP session"));
  return lines;
}

function renderBulk(table: BulkTable): string[] {
  return [
    `## TCP relay, bulk from server to client: ${table.connections} connections`,
    "",
    "| proxy | GiB/s | ± | CPU seconds per GiB |",
    "|---|--:|--:|--:|",
    ...table.rows.map(
      (row) =>
        `| ${row.subject} | ${row.gibPerSecond} | ${Math.round(row.spread * 100)} % | ${row.cpuSecondsPerGib} |`,
    ),
    "",
  ];
}

function renderHealth(rows: readonly HealthRow[]): string[] {
  return [
    `## Health checks: ${rows[0]!.servers} servers every ${rows[0]!.intervalSeconds} s`,
    "",
    "| check | checks/s | of those due | supervisor, share of a processor | CPU µs per check | resident MiB |",
    "|---|--:|--:|--:|--:|--:|",
    ...rows.map(
      (row) =>
        `| ${row.check} | ${row.checksPerSecond} | ${round(row.doneShare * 100, 1)} % | ${round(row.cpuShare * 100, 1)} % | ${row.cpuUsPerCheck} | ${row.rssMiB} |`,
    ),
    "",
  ];
}

function renderSockets(rows: readonly SocketsRow[]): string[] {
  return [
    "## The socket table",
    "",
    "| sockets | command | wall ms, median | least | CPU ms |",
    "|--:|---|--:|--:|--:|",
    ...rows.map(
      (row) => `| ${row.sockets} | \`${row.command}\` | ${row.wallMs} | ${row.leastWallMs} | ${row.cpuMs} |`,
    ),
    "",
    ...renderTargets(socketsTargets(rows)),
  ];
}

/** Of the larger table; with a few sockets both only start. */
function socketsTargets(rows: readonly SocketsRow[]): Target[] {
  const wallOf = (command: string): number | undefined =>
    rows.find((row) => row.sockets === rows[0]!.sockets && row.command === command)?.wallMs;
  const [ours, theirs] = [wallOf(SOCKETS_COMMAND), wallOf(SS_COMMAND)];
  if (ours === undefined || theirs === undefined) return [];
  const name = `${rows[0]!.sockets} sockets, wall time, share of ${SS_COMMAND}`;
  return [{ name, limit: 1, measured: round(ours / theirs, 2) }];
}

function renderTargets(targets: readonly Target[]): string[] {
  if (targets.length === 0) return [];
  return [
    "| target | at most | measured | |",
    "|---|--:|--:|---|",
    ...targets.map(
      (it) =>
        `| ${it.name} | ${it.limit} | ${it.measured} | ${it.measured <= it.limit ? "met" : "**missed**"} |`,
    ),
    "",
  ];
}

function renderMemory(rows: readonly MemoryRow[], what: string): string[] {
  return [
    `## Memory per idle ${what} (${rows[0]!.connections} connections, one request each)`,
    "",
    "| proxy | bytes per connection (Pss) | anonymous | worker before, MiB |",
    "|---|--:|--:|--:|",
    ...rows.map(
      (row) =>
        `| ${row.subject} | ${row.bytesPerConnection} | ${row.anonymousBytesPerConnection} | ${row.baseRssMiB} |`,
    ),
    "",
    ...renderTargets(memoryTargets(rows)),
  ];
}
