/**
 * `npm run bench`: Holdfast beside nginx, HAProxy and the Node proxies, in one run on one machine.
 * CPU per request and latency over persistent connections, the cost of short connections, memory of idle clients.
 * Writes JSON and Markdown into bench/results/. Fails when any response was wrong. Read bench/cpu.ts for the method.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { Command, Option } from "commander";
import { projectRoot } from "../test/harness/paths.ts";
import { peerPath } from "../test/harness/peers.ts";
import { type Case, caseName, measureCpu, type Sample, summarize } from "./cpu.ts";
import {
  FAILOVER_INTERVALS_MS,
  FAILOVER_SUBJECTS,
  type FailoverReport,
  measureFailover,
} from "./failover.ts";
import { measureHealth } from "./health.ts";
import { describeMachine } from "./machine.ts";
import { type MemoryRow, measureMemory } from "./memory.ts";
import { measureRelay } from "./relay.ts";
import { type Report, renderMarkdown, type Table } from "./report.ts";
import { measureSockets } from "./sockets.ts";
import {
  installNodeProxies,
  NODE_PROXIES,
  SUBJECT_NAMES,
  type Subject,
  type SubjectName,
  startOrigin,
  startSubject,
} from "./subjects.ts";

interface Options {
  readonly quick?: true;
  readonly only?: "cpu" | "accept" | "memory" | "relay" | "health" | "failover" | "sockets";
  readonly subjects?: string;
  readonly connections?: string;
  readonly rounds?: string;
  readonly seconds?: string;
  readonly minutes?: string;
  readonly intervals?: string;
  readonly out?: string;
}

const IDLE_CONNECTIONS = 9000;
const CHECKED_SERVERS = 5000;
const TABLE_SOCKETS = 20_000;

const PERSISTENT_CASES: readonly Case[] = [
  { body: "110 B", connections: 64, isShortLived: false },
  { body: "110 B", connections: 1000, isShortLived: false },
  { body: "16 KiB", connections: 64, isShortLived: false },
  { body: "16 KiB", connections: 1000, isShortLived: false },
];
const SHORT_LIVED_CASES: readonly Case[] = [{ body: "110 B", connections: 64, isShortLived: true }];

const command = new Command("bench")
  .description("Measure Holdfast beside nginx, HAProxy and Node proxies.")
  .option("--quick", "fewer cases and shorter rounds: ratios in under a minute, nothing written")
  .addOption(
    new Option("--only <part>", "one part of it; failover runs only so").choices([
      "cpu",
      "accept",
      "memory",
      "relay",
      "health",
      "failover",
      "sockets",
    ]),
  )
  .option("--subjects <names>", `comma-separated, of: ${SUBJECT_NAMES.join(", ")}`)
  .option("--connections <n>", "only the CPU cases with this number of connections")
  .option("--rounds <n>", "interleaved rounds; failover: failovers of each kind (default 50, --quick 5)")
  .option("--seconds <n>", "length of one round")
  .option("--minutes <n>", "failover: how long under load (default 10, --quick none)")
  .option("--intervals <ms>", "failover: comma-separated advertisement intervals (default 1000,100,10)")
  .option("--out <directory>", "where results are written (default bench/results)")
  .addHelpText("after", "\nExample:\n  npm run bench -- --quick --only cpu --subjects holdfast,nginx");

const progress = (line: string): void => void process.stderr.write(`bench: ${line}\n`);

async function main(options: Options): Promise<void> {
  if (options.only === "failover") return failoverMain(options);
  for (const peer of ["nginx", "wrk", "taskset"] as const) peerPath(peer);
  if (os.cpus().length < 2)
    throw new Error("the benchmark needs two processors: one for the proxy, one for the load");
  const names = chosenSubjects(options);
  if (names.some((name) => NODE_PROXIES.includes(name))) installNodeProxies();
  const isQuick = options.quick === true;
  const rounds = Number(options.rounds ?? (isQuick ? 3 : 5));
  const durationSeconds = Number(options.seconds ?? (isQuick ? 2 : 5));
  const machine = describeMachine();
  if (machine.loadAverageAtStart > 0.5)
    progress(`the machine is busy (load ${machine.loadAverageAtStart}): figures will be noisy`);

  const origin = await startOrigin();
  const versions = new Set<string>();
  const method: Method = { rounds, durationSeconds, warmUpSeconds: isQuick ? 1 : 3, progress };
  const measure = (chosen: readonly SubjectName[], cases: readonly Case[]): Promise<Table[]> =>
    measureProxies(chosen, cases, origin.port, method, versions);

  try {
    const wants = (part: Options["only"]): boolean => options.only === undefined || options.only === part;
    const plainProxies = names.filter((name) => !NODE_PROXIES.includes(name));
    const idleMemory: MemoryRow[] = wants("memory")
      ? await measureMemory(
          plainProxies,
          (name) => startSubject(name, origin.port),
          IDLE_CONNECTIONS,
          progress,
        )
      : [];
    for (const row of idleMemory) versions.add(row.version);
    const relay = wants("relay")
      ? await measureRelay({
          originPort: origin.port,
          names,
          rounds,
          durationSeconds,
          isQuick,
          progress,
        })
      : undefined;
    for (const version of relay?.versions ?? []) versions.add(version);
    const health = wants("health")
      ? await measureHealth({ servers: CHECKED_SERVERS, durationSeconds: isQuick ? 6 : 20, progress })
      : [];
    const sockets = wants("sockets") ? await measureSockets(TABLE_SOCKETS, isQuick ? 3 : 9, progress) : [];
    const report: Report = {
      takenAt: new Date().toISOString(),
      machine,
      rounds,
      durationSeconds,
      persistent: wants("cpu") ? await measure(names, persistentCases(options)) : [],
      shortLived: wants("accept") ? await measure(plainProxies, SHORT_LIVED_CASES) : [],
      idleMemory,
      ...(relay === undefined ? {} : { relay }),
      health,
      sockets,
      versions: [...versions],
    };
    process.stdout.write(renderMarkdown(report));
    if (!isQuick || options.out !== undefined)
      writeReport(report, options.out ?? path.join(projectRoot, "bench/results"));
  } finally {
    await origin.stop();
  }
}

/** Needs no proxies and no load, but namespaces, keepalived and half an hour: a part of its own. */
async function failoverMain(options: Options): Promise<void> {
  for (const peer of ["keepalived", "tcpdump", "ip", "nsenter"] as const) peerPath(peer);
  const isQuick = options.quick === true;
  const machine = describeMachine();
  const failover: FailoverReport = await measureFailover({
    rounds: Number(options.rounds ?? (isQuick ? 5 : 50)),
    loadMinutes: Number(options.minutes ?? (isQuick ? 0 : 10)),
    intervalsMs: options.intervals?.split(",").map(Number) ?? FAILOVER_INTERVALS_MS,
    subjects: FAILOVER_SUBJECTS.filter((name) => options.subjects?.split(",").includes(name) ?? true),
    progress,
  });
  const report: Report = {
    takenAt: new Date().toISOString(),
    machine,
    versions: failover.versions,
    rounds: 0,
    durationSeconds: 0,
    persistent: [],
    shortLived: [],
    idleMemory: [],
    failover,
  };
  process.stdout.write(renderMarkdown(report));
  if (!isQuick || options.out !== undefined)
    writeReport(report, options.out ?? path.join(projectRoot, "bench/results"));
}

interface Method {
  readonly rounds: number;
  readonly durationSeconds: number;
  readonly warmUpSeconds: number;
  readonly progress: (line: string) => void;
}

/** One table per case, with a row for each proxy. Adds their versions. */
async function measureProxies(
  chosen: readonly SubjectName[],
  cases: readonly Case[],
  originPort: number,
  method: Method,
  versions: Set<string>,
): Promise<Table[]> {
  const subjects: Subject[] = [];
  try {
    for (const name of chosen) subjects.push(await startSubject(name, originPort));
    for (const subject of subjects) versions.add(subject.version);
    const samples: Sample[] = await measureCpu(subjects, { cases, ...method });
    return cases.map((it) => ({
      title: caseName(it),
      rows: summarize(
        samples.filter((sample) => sample.case === caseName(it)),
        caseName(it),
      ),
    }));
  } finally {
    await Promise.all(subjects.map((subject) => subject.stop()));
  }
}

function chosenSubjects(options: Options): SubjectName[] {
  const wanted =
    options.subjects?.split(",") ??
    (options.quick === true ? ["holdfast", "nginx", "haproxy", "httpxy"] : SUBJECT_NAMES);
  for (const name of wanted) {
    if (!(SUBJECT_NAMES as readonly string[]).includes(name))
      throw new Error(`no such subject: ${name}; there are ${SUBJECT_NAMES.join(", ")}`);
  }
  return SUBJECT_NAMES.filter((name) => wanted.includes(name));
}

function persistentCases(options: Options): readonly Case[] {
  if (options.connections !== undefined) {
    const chosen = PERSISTENT_CASES.filter((it) => it.connections === Number(options.connections));
    if (chosen.length === 0) throw new Error(`no case has ${options.connections} connections: 64 or 1000`);
    return chosen;
  }
  return options.quick === true ? [PERSISTENT_CASES[0]!] : PERSISTENT_CASES;
}

function writeReport(report: Report, directory: string): void {
  mkdirSync(directory, { recursive: true });
  const base = path.join(directory, report.takenAt.slice(0, 16).replaceAll(":", "").replace("T", "-"));
  writeFileSync(`${base}.json`, `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(`${base}.md`, renderMarkdown(report));
  process.stderr.write(`bench: wrote ${base}.{json,md}\n`);
}

try {
  await main(command.parse().opts<Options>());
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
