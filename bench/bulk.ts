/**
 * Bulk throughput through a TCP relay, server to client: bytes a second, and CPU of the relay per GiB. The source and the sink share the
 * other core; where they are the bottleneck every relay shows the same throughput, and CPU per GiB tells them apart.
 * Rounds are interleaved; medians are reported. Called by bench/relay.ts.
 */
import path from "node:path";
import { compiledRoot } from "../test/harness/paths.ts";
import { cpuNanoseconds } from "../test/harness/process-usage.ts";
import { freePort, type Program, startProgram } from "../test/harness/program.ts";
import { startRelaySubject } from "./relay-subjects.ts";
import { median, round, spread } from "./statistics.ts";
import { LOAD_PROCESSOR, type Subject, type SubjectName } from "./subjects.ts";

export interface BulkRow {
  readonly subject: SubjectName;
  readonly gibPerSecond: number;
  readonly spread: number;
  readonly cpuSecondsPerGib: number;
}

export interface BulkTable {
  readonly connections: number;
  readonly rows: readonly BulkRow[];
}

interface BulkSample {
  readonly gibPerSecond: number;
  readonly cpuSecondsPerGib: number;
}

export interface BulkPlan {
  readonly connections: readonly number[];
  readonly rounds: number;
  readonly durationSeconds: number;
  readonly progress: (line: string) => void;
}

const GIB = 2 ** 30;

export async function measureBulk(
  names: readonly ("holdfast" | "haproxy" | "nginx")[],
  plan: BulkPlan,
): Promise<BulkTable[]> {
  const sourcePort = await freePort();
  const source = await startPeer(["source", String(sourcePort)], "ready");
  const subjects: Subject[] = [];
  try {
    for (const name of names) subjects.push(await startRelaySubject(name, sourcePort, "bulk"));
    const tables: BulkTable[] = [];
    for (const connections of plan.connections) {
      const samples = new Map<SubjectName, BulkSample[]>(subjects.map((subject) => [subject.name, []]));
      for (let number = 1; number <= plan.rounds; number++) {
        for (const subject of subjects) {
          const sample = await measureOnce(subject, connections, plan.durationSeconds);
          samples.get(subject.name)!.push(sample);
          plan.progress(
            `bulk, ${connections} connections, round ${number}/${plan.rounds}: ${subject.name.padEnd(12)} ` +
              `${sample.gibPerSecond.toFixed(2)} GiB/s, ${sample.cpuSecondsPerGib.toFixed(3)} s CPU/GiB`,
          );
        }
      }
      tables.push({
        connections,
        rows: [...samples].map(([subject, own]) => summarizeBulk(subject, own)),
      });
    }
    return tables;
  } finally {
    await Promise.all(subjects.map((subject) => subject.stop()));
    await source.stop();
  }
}

async function measureOnce(
  subject: Subject,
  connections: number,
  durationSeconds: number,
): Promise<BulkSample> {
  const sink = await startPeer(
    ["sink", String(subject.port), String(connections), String(durationSeconds)],
    "started",
  );
  try {
    const before = cpuNanoseconds(subject.workerPid);
    const line = await sink.line((text) => text.startsWith("done "), durationSeconds * 1000 + 10_000);
    const cpuSeconds = (cpuNanoseconds(subject.workerPid) - before) / 1e9;
    const [, bytes, nanoseconds] = line.split(" ").map(Number);
    if (bytes === 0) throw new Error(`${subject.name}: no byte came through`);
    const gib = bytes! / GIB;
    return { gibPerSecond: gib / (nanoseconds! / 1e9), cpuSecondsPerGib: cpuSeconds / gib };
  } finally {
    await sink.stop("SIGKILL");
  }
}

function summarizeBulk(subject: SubjectName, samples: readonly BulkSample[]): BulkRow {
  const rates = samples.map((sample) => sample.gibPerSecond);
  return {
    subject,
    gibPerSecond: round(median(rates), 2),
    spread: round(spread(rates), 3),
    cpuSecondsPerGib: round(median(samples.map((sample) => sample.cpuSecondsPerGib)), 3),
  };
}

function startPeer(args: readonly string[], readyLine: string): Promise<Program> {
  return startProgram({
    name: `bulk ${args[0]}`,
    command: process.execPath,
    args: [path.join(compiledRoot, "bench/bulk-peer.js"), ...args],
    processor: LOAD_PROCESSOR,
    readyLine,
  });
}
