/**
 * What health checks cost: the CPU share of the supervisor while it checks thousands of servers every two seconds, each check on a new
 * connection, and how many of the checks that were due it did. The servers are addresses of 127.0.0.0/8 that
 * one nginx answers for, so that every server is a target of its own.
 */

import type { StatusDocument } from "../src/observe/status.ts";
import { cpuNanoseconds, memoryUsage } from "../test/harness/process-usage.ts";
import { freePort } from "../test/harness/program.ts";
import { type HoldfastServer, startHoldfast, startNginx } from "../test/harness/servers.ts";
import { round } from "./statistics.ts";
import { LOAD_PROCESSOR, PROXY_PROCESSOR } from "./subjects.ts";

export interface HealthRow {
  readonly check: string;
  readonly servers: number;
  readonly intervalSeconds: number;
  readonly checksPerSecond: number;
  /** Done, of those that were due. */
  readonly doneShare: number;
  /** Of one processor. */
  readonly cpuShare: number;
  readonly cpuUsPerCheck: number;
  readonly rssMiB: number;
}

export interface HealthBenchOptions {
  readonly servers: number;
  readonly durationSeconds: number;
  readonly progress: (line: string) => void;
}

const INTERVAL_SECONDS = 2;
const CHECKS: Readonly<Record<string, object>> = { tcp: { tcp: {} }, http: { http: "/healthz" } };

export async function measureHealth(options: HealthBenchOptions): Promise<HealthRow[]> {
  const port = await freePort();
  await using _origin = await startNginx({
    http: `keepalive_timeout 0; server { listen 0.0.0.0:${port} backlog=8192; location / { return 200 "ok"; } }`,
    connections: 8192,
    processor: LOAD_PROCESSOR,
    ready: [{ host: "127.0.0.1", port }],
  });
  const rows: HealthRow[] = [];
  for (const check of Object.keys(CHECKS)) {
    const row = await measureOne(check, port, options);
    rows.push(row);
    options.progress(
      `health: ${check.padEnd(5)} ${row.servers} servers, ${row.checksPerSecond} checks/s (${round(row.doneShare * 100, 1)} % of those due), ${round(row.cpuShare * 100, 1)} % of a processor, ${row.cpuUsPerCheck} µs each, ${row.rssMiB} MiB`,
    );
  }
  return rows;
}

async function measureOne(check: string, port: number, options: HealthBenchOptions): Promise<HealthRow> {
  const addresses = Array.from(
    { length: options.servers },
    (_, n) => `127.1.${Math.floor(n / 250)}.${(n % 250) + 1}:${port}`,
  );
  const health = { ...CHECKS[check], interval: `${INTERVAL_SECONDS}s`, timeout: "1s" };
  const settings = {
    workers: 1,
    listeners: { web: { bind: `127.0.0.1:${await freePort()}`, http: { routes: [{ pool: "web" }] } } },
    pools: { web: { health, servers: addresses } },
  };
  await using gateway = await startHoldfast({
    config: Object.entries(settings)
      .map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
      .join("\n"),
    processor: PROXY_PROCESSOR,
    readyTimeoutMs: 60_000,
  });
  // Past the first interval, in which every server is checked faster, and past the compiler's warming up.
  await pause(2 * INTERVAL_SECONDS * 1000);
  const before = await checksDone(gateway);
  // The status document of so many servers is work of its own: not between the two readings of the clock.
  const startedAtMs = performance.now();
  const cpuBefore = cpuNanoseconds(gateway.pid);
  await pause(options.durationSeconds * 1000);
  const cpu = cpuNanoseconds(gateway.pid) - cpuBefore;
  const cpuShare = cpu / 1e6 / (performance.now() - startedAtMs);
  const after = await checksDone(gateway);
  if (after.failed > 0) throw new Error(`${after.failed} checks failed: ${after.reason}`);
  const checksPerSecond = ((after.checks - before.checks) / (after.uptimeMs - before.uptimeMs)) * 1000;
  return {
    check,
    servers: options.servers,
    intervalSeconds: INTERVAL_SECONDS,
    checksPerSecond: Math.round(checksPerSecond),
    doneShare: round((checksPerSecond * INTERVAL_SECONDS) / options.servers, 3),
    cpuShare: round(cpuShare, 3),
    cpuUsPerCheck: round((cpuShare * 1e6) / checksPerSecond, 1),
    rssMiB: Math.round(memoryUsage(gateway.pid).rssBytes / 2 ** 20),
  };
}

interface ChecksDone {
  /** When the document was made. */
  readonly uptimeMs: number;
  readonly checks: number;
  readonly failed: number;
  /** Of one that failed. */
  readonly reason: string;
}

async function checksDone(gateway: HoldfastServer): Promise<ChecksDone> {
  const { uptimeMs, pools } = JSON.parse((await gateway.admin("GET", "/status")).body) as StatusDocument;
  const healths = pools[0]!.servers.map(({ health }) => health!);
  return {
    uptimeMs,
    checks: healths.reduce((sum, { checks }) => sum + checks, 0),
    failed: healths.reduce((sum, { checksFailed }) => sum + checksFailed, 0),
    reason:
      healths.find(({ lastCheck }) => lastCheck?.ok === false)?.lastCheck?.reason ?? "they are up again",
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
