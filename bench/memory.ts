/**
 * User-space memory per idle client connection: how much the worker process grows when N clients have sent one request
 * each and stay. The kernel's share (socket buffers) is the same for every proxy and not counted.
 * Every proxy starts afresh and is warmed up in the same way, by WARM_UP_SECONDS of requests on persistent connections and as many of
 * a connection each, and a first wave of idle connections, closed again: that pays for what is allocated, or compiled, once.
 */
import path from "node:path";
import { compiledRoot } from "../test/harness/paths.ts";
import { type MemoryUsage, memoryUsage, openDescriptors } from "../test/harness/process-usage.ts";
import { eventually, startProgram } from "../test/harness/program.ts";
import { runWrk, wrkFailures } from "../test/harness/wrk.ts";
import { round } from "./statistics.ts";
import { BODIES, LOAD_PROCESSOR, type Subject, type SubjectName } from "./subjects.ts";

export interface MemoryRow {
  readonly subject: SubjectName;
  readonly version: string;
  readonly connections: number;
  readonly bytesPerConnection: number;
  readonly anonymousBytesPerConnection: number;
  /** Resident memory of the worker before the clients came. */
  readonly baseRssMiB: number;
}

const WARM_UP_CONNECTIONS = 256;
const WARM_UP_SECONDS = 3;
const SETTLE_MS = 1500;

export async function measureMemory<Name extends SubjectName>(
  names: readonly Name[],
  start: (name: Name) => Promise<Subject>,
  connections: number,
  progress: (line: string) => void,
): Promise<MemoryRow[]> {
  const rows: MemoryRow[] = [];
  for (const name of names) {
    const row = await measureOne(name, await start(name), connections);
    rows.push(row);
    progress(
      `idle clients: ${name.padEnd(12)} ${row.bytesPerConnection} B per connection, ${row.baseRssMiB} MiB before`,
    );
  }
  return rows;
}

async function measureOne(name: SubjectName, subject: Subject, connections: number): Promise<MemoryRow> {
  try {
    for (const headers of [[], ["Connection: close"]]) await warmUp(subject.port, headers);
    const descriptorsAtRest = openDescriptors(subject.workerPid);
    await holdIdle(subject.port, WARM_UP_CONNECTIONS, async () => {});
    // The first wave is gone when the descriptors are back, but for the upstream connections it left in the pool.
    await eventually(
      "the first wave of clients is gone",
      10_000,
      () => openDescriptors(subject.workerPid) < descriptorsAtRest + WARM_UP_CONNECTIONS / 2,
    );
    const before = await settled(subject.workerPid);
    const after = await holdIdle(subject.port, connections, () => settled(subject.workerPid));
    return {
      subject: name,
      version: subject.version,
      connections,
      bytesPerConnection: Math.round((after.pssBytes - before.pssBytes) / connections),
      anonymousBytesPerConnection: Math.round((after.anonymousBytes - before.anonymousBytes) / connections),
      baseRssMiB: round(before.rssBytes / 2 ** 20, 1),
    };
  } finally {
    await subject.stop();
  }
}

async function warmUp(port: number, headers: readonly string[]): Promise<void> {
  const url = `http://127.0.0.1:${port}${BODIES["110 B"].path}`;
  const load = { url, headers, connections: 64, durationSeconds: WARM_UP_SECONDS, processor: LOAD_PROCESSOR };
  const result = await runWrk(load);
  if (wrkFailures(result) > 0)
    throw new Error(`the warm-up of port ${port} met errors: ${JSON.stringify(result.errors)}`);
}

async function settled(pid: number): Promise<MemoryUsage> {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  return memoryUsage(pid);
}

/** Runs `during` while the connections are open and idle. */
async function holdIdle<T>(port: number, connections: number, during: () => Promise<T>): Promise<T> {
  const opener = await startProgram({
    name: "idle-clients",
    command: process.execPath,
    args: [
      path.join(compiledRoot, "bench/idle-clients.js"),
      String(port),
      BODIES["110 B"].path,
      String(connections),
    ],
    processor: LOAD_PROCESSOR,
    readyLine: "open",
    readyTimeoutMs: 60_000,
  });
  try {
    return await during();
  } finally {
    opener.child.stdin!.end();
    await opener.exited(10_000);
  }
}
