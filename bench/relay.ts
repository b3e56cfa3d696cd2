/**
 * `npm run bench -- --only relay`: the TCP relay beside HAProxy's `mode tcp` and nginx's `stream`, in one run: CPU per HTTP request that
 * passes through it, bulk throughput, connections made, relayed and closed again, memory of idle sessions.
 * Read bench/cpu.ts and bench/bulk.ts for the methods. Called by bench/main.ts.
 */
import { type BulkTable, measureBulk } from "./bulk.ts";
import { type Case, caseName, measureCpu, type Sample, summarize } from "./cpu.ts";
import { type MemoryRow, measureMemory } from "./memory.ts";
import { IDLE_SESSIONS, RELAY_NAMES, type RelayName, startRelaySubject } from "./relay-subjects.ts";
import type { RelayReport } from "./report.ts";
import type { Subject } from "./subjects.ts";

const REQUEST_CASES: readonly Case[] = [
  { body: "110 B", connections: 64, isShortLived: false },
  { body: "16 KiB", connections: 64, isShortLived: false },
];
const SESSION_CASES: readonly Case[] = [{ body: "110 B", connections: 64, isShortLived: true }];
const BULK_CONNECTIONS = [1, 64];

export interface RelayPlan {
  readonly originPort: number;
  readonly names: readonly string[];
  readonly rounds: number;
  readonly durationSeconds: number;
  readonly isQuick: boolean;
  readonly progress: (line: string) => void;
}

export async function measureRelay(plan: RelayPlan): Promise<RelayReport> {
  const names = RELAY_NAMES.filter((name) => plan.names.includes(name));
  const { versions, tables } = await measureRequests(plan, names);
  const bulk: BulkTable[] = await measureBulk(names, { ...plan, connections: BULK_CONNECTIONS });
  const start = (name: RelayName): Promise<Subject> => startRelaySubject(name, plan.originPort, "requests");
  const idleMemory: MemoryRow[] = plan.isQuick
    ? []
    : await measureMemory(names, start, IDLE_SESSIONS, plan.progress);
  return {
    versions,
    requests: tables.slice(0, REQUEST_CASES.length),
    sessions: tables.slice(REQUEST_CASES.length),
    bulk,
    idleMemory,
  };
}

async function measureRequests(plan: RelayPlan, names: readonly RelayName[]) {
  const subjects: Subject[] = [];
  try {
    for (const name of names) subjects.push(await startRelaySubject(name, plan.originPort, "requests"));
    const cases = [...REQUEST_CASES, ...SESSION_CASES];
    const warmUpSeconds = plan.isQuick ? 1 : 3;
    const samples: Sample[] = await measureCpu(subjects, { ...plan, cases, warmUpSeconds });
    return {
      versions: subjects.map((subject) => subject.version),
      tables: cases.map((it) => ({ title: caseName(it), rows: summarize(samples, caseName(it)) })),
    };
  } finally {
    await Promise.all(subjects.map((subject) => subject.stop()));
  }
}
