/**
 * One run of wrk(1) as numbers. Its Lua hook `done` runs once at the end, so it costs nothing per request.
 * Used by bench/ and the reload soak.
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { makeScratchDirectory } from "./paths.ts";
import { runProgram } from "./program.ts";

export interface WrkOptions {
  readonly url: string;
  readonly connections: number;
  readonly durationSeconds: number;
  readonly headers?: readonly string[];
  readonly processor?: number;
}

export interface WrkResult {
  readonly requests: number;
  readonly durationUs: number;
  readonly bytes: number;
  readonly errors: { connect: number; read: number; write: number; status: number; timeout: number };
  readonly p50Us: number;
  readonly p90Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
}

const REPORT = `
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'WRK {"requests":%d,"durationUs":%d,"bytes":%d,"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d},' ..
    '"p50Us":%d,"p90Us":%d,"p99Us":%d,"maxUs":%d}\\n',
    summary.requests, summary.duration, summary.bytes, e.connect, e.read, e.write, e.status, e.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
`;

export async function runWrk(options: WrkOptions): Promise<WrkResult> {
  const scratch = makeScratchDirectory("wrk");
  try {
    const script = path.join(scratch.directory, "report.lua");
    writeFileSync(script, REPORT);
    const output = await runProgram({
      name: "wrk",
      command: "wrk",
      args: [
        "--threads",
        "1",
        "--connections",
        String(options.connections),
        "--duration",
        `${options.durationSeconds}s`,
        "--timeout",
        "10s",
        "--script",
        script,
        ...(options.headers ?? []).flatMap((header) => ["--header", header]),
        options.url,
      ],
      ...(options.processor === undefined ? {} : { processor: options.processor }),
      timeoutMs: options.durationSeconds * 1000 + 30_000,
    });
    const line = output.split("\n").find((text) => text.startsWith("WRK "));
    if (line === undefined) throw new Error(`wrk printed no result:\n${output}`);
    return JSON.parse(line.slice(4)) as WrkResult;
  } finally {
    scratch.remove();
  }
}

/** Failed requests in a run: everything but a response below 400. */
export function wrkFailures(result: WrkResult): number {
  const { connect, read, write, status, timeout } = result.errors;
  return connect + read + write + status + timeout;
}
