/**
 * CPU per proxied request: wrk drives one proxy after the other at full speed, and what the proxy's worker process
 * consumed meanwhile is divided by the requests answered. CPU time, not throughput, is compared: the load generator and the
 * origin (both on the other core) bound the throughput of a proxy that is faster than they are. Their speed is not without
 * influence: a proxy that waits for them wakes up for fewer requests at a time, which costs it CPU. Rounds are interleaved
 * (A B C, A B C, …), so that a change of the machine's mood meets everybody; medians are reported.
 */
import { cpuNanoseconds } from "../test/harness/process-usage.ts";
import { runWrk, type WrkResult, wrkFailures } from "../test/harness/wrk.ts";
import { median, round, spread } from "./statistics.ts";
import { BODIES, type BodyName, LOAD_PROCESSOR, type Subject, type SubjectName } from "./subjects.ts";

export interface Case {
  readonly body: BodyName;
  readonly connections: number;
  /** A new connection per request (`Connection: close`). */
  readonly isShortLived: boolean;
}

export interface Sample {
  readonly subject: SubjectName;
  readonly case: string;
  readonly round: number;
  readonly cpuUsPerRequest: number;
  readonly requestsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export interface Row {
  readonly subject: SubjectName;
  readonly cpuUsPerRequest: number;
  /** The best round: what is left when a busy machine interferes least. */
  readonly cpuUsPerRequestMin: number;
  readonly cpuSpread: number;
  readonly requestsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export interface RunPlan {
  readonly cases: readonly Case[];
  readonly rounds: number;
  readonly durationSeconds: number;
  readonly warmUpSeconds: number;
  readonly progress: (line: string) => void;
}

export function caseName(it: Case): string {
  return `${it.body}, ${it.connections} connections${it.isShortLived ? ", one request each" : ""}`;
}

export async function measureCpu(subjects: readonly Subject[], plan: RunPlan): Promise<Sample[]> {
  for (const subject of subjects) {
    for (const it of plan.cases) await checkBody(subject, it);
    await load(subject, plan.cases[0]!, plan.warmUpSeconds);
  }
  const samples: Sample[] = [];
  for (const it of plan.cases) {
    for (let number = 1; number <= plan.rounds; number++) {
      for (const subject of subjects) {
        const sample = await measureOnce(subject, it, number, plan.durationSeconds);
        samples.push(sample);
        plan.progress(
          `${caseName(it)}, round ${number}/${plan.rounds}: ${subject.name.padEnd(12)} ` +
            `${sample.cpuUsPerRequest.toFixed(2).padStart(7)} µs CPU/request, ${Math.round(sample.requestsPerSecond)} requests/s, p99 ${sample.p99Us} µs`,
        );
      }
    }
  }
  return samples;
}

async function measureOnce(
  subject: Subject,
  it: Case,
  number: number,
  durationSeconds: number,
): Promise<Sample> {
  const before = cpuNanoseconds(subject.workerPid);
  const result = await load(subject, it, durationSeconds);
  const cpuUs = (cpuNanoseconds(subject.workerPid) - before) / 1000;
  return {
    subject: subject.name,
    case: caseName(it),
    round: number,
    cpuUsPerRequest: cpuUs / result.requests,
    requestsPerSecond: result.requests / (result.durationUs / 1e6),
    p50Us: result.p50Us,
    p99Us: result.p99Us,
  };
}

async function load(subject: Subject, it: Case, durationSeconds: number): Promise<WrkResult> {
  const result = await runWrk({
    url: `http://127.0.0.1:${subject.port}${BODIES[it.body].path}`,
    connections: it.connections,
    durationSeconds,
    processor: LOAD_PROCESSOR,
    ...(it.isShortLived ? { headers: ["Connection: close"] } : {}),
  });
  const failures = wrkFailures(result);
  if (failures > 0)
    throw new Error(
      `${subject.name}: ${failures} failed requests in ${caseName(it)}: ${JSON.stringify(result.errors)}`,
    );
  if (result.requests === 0) throw new Error(`${subject.name}: no request was answered in ${caseName(it)}`);
  if (result.bytes < result.requests * BODIES[it.body].bytes)
    throw new Error(`${subject.name}: responses are too short`);
  return result;
}

/** The proxy must deliver the very bytes of the origin, or its speed means nothing. */
async function checkBody(subject: Subject, it: Case): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${subject.port}${BODIES[it.body].path}`);
  const body = await response.text();
  if (
    response.status !== 200 ||
    body.length !== BODIES[it.body].bytes ||
    !body.startsWith("holdfast keeps")
  ) {
    throw new Error(
      `${subject.name}: wrong answer for ${BODIES[it.body].path}: ${response.status}, ${body.length} bytes`,
    );
  }
}

/** Median of each subject's rounds in one case. */
export function summarize(samples: readonly Sample[], name: string): Row[] {
  const subjects = [...new Set(samples.map((sample) => sample.subject))];
  return subjects.map((subject) => {
    const own = samples.filter((sample) => sample.subject === subject && sample.case === name);
    return {
      subject,
      cpuUsPerRequest: round(median(own.map((sample) => sample.cpuUsPerRequest)), 2),
      cpuUsPerRequestMin: round(Math.min(...own.map((sample) => sample.cpuUsPerRequest)), 2),
      cpuSpread: round(spread(own.map((sample) => sample.cpuUsPerRequest)), 3),
      requestsPerSecond: Math.round(median(own.map((sample) => sample.requestsPerSecond))),
      p50Us: Math.round(median(own.map((sample) => sample.p50Us))),
      p99Us: Math.round(median(own.map((sample) => sample.p99Us))),
    };
  });
}
