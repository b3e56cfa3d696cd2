/** What the running gateway's own status document says is wrong. Pure. Called by findings.ts. */
import type { PoolStatus, ServerStatus } from "../observe/status.ts";
import { findInRouters } from "./findings-routers.ts";
import type { Finding, GatewayReport } from "./host-facts.ts";
import { spokenDuration } from "./spoken-duration.ts";

export function findInGateway(report: GatewayReport): Finding[] {
  const { status } = report;
  return [
    ...lastReload(report),
    ...status.pools.flatMap(poolFindings),
    ...findInRouters(report),
    ...(status.respawns > 0
      ? [
          finding(
            "gateway-respawns",
            "risk",
            `${status.respawns} workers of the gateway ended and were started again`,
            "the gateway's log says why; please report it",
          ),
        ]
      : []),
    ...report.legsWithoutKeepalive.map((leg) =>
      finding(
        "gateway-leg-unguarded",
        "risk",
        `${leg} of the gateway has no so_keepalive: a peer that vanishes while idle is noticed only by time-outs for payload`,
        `write so_keepalive: 60s:10s:6 there in ${status.configFile ?? "its configuration"}, then holdfast reload`,
      ),
    ),
    ...(report.warnings ?? []).map((warning) =>
      finding("gateway-config", "risk", warning.split("\n")[0]!.trim(), hintOf(warning)),
    ),
    ...(report.sessionsAboutToExpire > 0
      ? [
          finding(
            "gateway-sessions-expiring",
            "note",
            `${report.sessionsAboutToExpire} TCP sessions of the gateway reach their idle_timeout within 10 s`,
            "holdfast sessions shows them, and whether keepalive would help",
          ),
        ]
      : []),
  ];
}

function finding(id: string, severity: Finding["severity"], text: string, mend: string | undefined): Finding {
  return { id, severity, text, mend };
}

function hintOf(warning: string): string | undefined {
  return /hint: (.*)$/m.exec(warning)?.[1];
}

function lastReload({ status }: GatewayReport): Finding[] {
  const { last } = status.reloads;
  if (last === null || last.ok) return [];
  return [
    finding(
      "gateway-reload-failed",
      "problem",
      `the gateway's last reload failed, it runs with the old configuration: ${last.lines[0] ?? "no reason given"}`,
      `holdfast check ${status.configFile ?? "FILE"}, then holdfast reload`,
    ),
  ];
}

const OUT_OF_ORDER = new Set<ServerStatus["state"]>(["down", "passed-over", "going-down"]);

function poolFindings(pool: PoolStatus): Finding[] {
  const findings: Finding[] = [];
  const bad = pool.servers.filter((server) => OUT_OF_ORDER.has(server.state));
  const usable = pool.servers.filter((server) => server.state === "up" || server.state === "going-down");
  if (usable.length === 0 && pool.servers.length > 0)
    findings.push(
      finding(
        "gateway-pool-down",
        "problem",
        `pool ${pool.name} has no server left: ${pool.servers.map(serverText).join("; ")}`,
        "holdfast status; clients get 503 until one is back",
      ),
    );
  else
    for (const server of bad)
      findings.push(
        finding(
          "gateway-server-down",
          "problem",
          `server ${serverText(server)} of pool ${pool.name}`,
          `look at the server; holdfast server ${pool.name} ${server.name} maint takes it out until it is mended`,
        ),
      );
  if (pool.queue.timeouts > 0 || pool.queue.refusals > 0)
    findings.push(
      finding(
        "gateway-queue",
        "risk",
        `pool ${pool.name} was full: ${pool.queue.timeouts} requests waited in vain, ${pool.queue.refusals} found the queue full`,
        "more servers, or a higher max_conns where they can bear it",
      ),
    );
  for (const server of pool.servers) if (server.idleLimitMs !== null) findings.push(learned(pool, server));
  return findings;
}

function serverText(server: ServerStatus): string {
  return `${server.name} is ${server.state}${server.reason === null ? "" : ` (${server.reason})`}`;
}

function learned(pool: PoolStatus, server: ServerStatus): Finding {
  return finding(
    "gateway-learned-timeout",
    "note",
    `server ${server.name} of pool ${pool.name} closes idle connections; the gateway has learnt to let go after ${spokenDuration(server.idleLimitMs ?? 0)}`,
    undefined,
  );
}
