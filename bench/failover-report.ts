/** Tables and targets of the failover benchmark (failover.ts). Pure. */
import { activeDownIntervalMs } from "../src/vrrp/timers.ts";
import type { FailoverReport, FailoverRow } from "./failover.ts";
import { round } from "./statistics.ts";

export interface FailoverTarget {
  readonly name: string;
  readonly limit: number;
  readonly measured: number;
}

/** On top of the active-down interval, which the protocol prescribes. */
const OVER_BOUND_MS = 10;

/** Never slower than keepalived in the middle, and a dead router is replaced within what the protocol allows and 10 ms. */
export function failoverTargetsOf(rows: readonly FailoverRow[]): FailoverTarget[] {
  const targets: FailoverTarget[] = [];
  for (const row of rows.filter(({ subject }) => subject === "holdfast")) {
    const peer = rows.find(
      (it) => it.subject === "keepalived" && it.intervalMs === row.intervalMs && it.kind === row.kind,
    );
    const name = `${row.intervalMs} ms, ${KIND[row.kind]}`;
    if (peer !== undefined)
      targets.push({
        name: `${name}: p50 beside keepalived's`,
        limit: peer.gapMs.p50,
        measured: row.gapMs.p50,
      });
    if (row.overBoundMs !== undefined)
      targets.push({
        name: `${name}: p99 over the active-down interval`,
        limit: OVER_BOUND_MS,
        measured: row.overBoundMs.p99,
      });
  }
  return targets;
}

const KIND = { kill: "kill -9", stop: "clean stop" } as const;

export function renderFailover(report: FailoverReport): string[] {
  const lines = [
    "## Failover: how long the address is away, ms",
    "",
    "| interval | what | router | gap p50 | p99 | max | over the bound p50 | p99 | max | bound | flaps |",
    "|--:|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ...report.rows.map((row) => {
      const over = row.overBoundMs;
      const bound = over === undefined ? "" : round(activeDownIntervalMs(3, 100, row.intervalMs), 1);
      return `| ${row.intervalMs} | ${KIND[row.kind]} × ${row.rounds} | ${row.subject} | ${row.gapMs.p50} | ${row.gapMs.p99} | ${row.gapMs.max} | ${over?.p50 ?? ""} | ${over?.p99 ?? ""} | ${over?.max ?? ""} | ${bound} | ${row.flaps} |`;
    }),
    "",
    "| target, ms | at most | measured | |",
    "|---|--:|--:|---|",
    ...failoverTargetsOf(report.rows).map(
      (it) =>
        `| ${it.name} | ${it.limit} | ${it.measured} | ${it.measured <= it.limit ? "met" : "**missed**"} |`,
    ),
    "",
  ];
  if (report.underLoad.length === 0) return lines;
  return [
    ...lines,
    `### False failovers in ${report.underLoad[0]!.minutes} minutes, every processor busy`,
    "",
    "| interval ms | router | false failovers |",
    "|--:|---|--:|",
    ...report.underLoad.map((row) => `| ${row.intervalMs} | ${row.subject} | ${row.falseFailovers} |`),
    "",
  ];
}
