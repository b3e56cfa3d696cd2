/** What a figure was measured on: a figure without its machine is no figure. Written into every result file. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import os from "node:os";

export interface Machine {
  readonly processor: string;
  readonly processors: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly hypervisor: string;
  readonly node: string;
  readonly mitigations: string;
  /** 1-minute load average when the run began: above about 0.3 the machine was not ours alone. */
  readonly loadAverageAtStart: number;
}

export function describeMachine(): Machine {
  return {
    processor: `${os.cpus()[0]?.model ?? "unknown"} ${processorModel()}`.trim(),
    processors: os.cpus().length,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    kernel: `${os.type()} ${os.release()} ${os.arch()}`,
    hypervisor: firstMatch(capture("lscpu", []), /Hypervisor vendor:\s+(.*)/) ?? "none",
    node: process.version,
    mitigations: mitigations(),
    loadAverageAtStart: Math.round(os.loadavg()[0]! * 100) / 100,
  };
}

function processorModel(): string {
  const text = capture("lscpu", []);
  const family = firstMatch(text, /CPU family:\s+(\d+)/);
  const model = firstMatch(text, /Model:\s+(\d+)/);
  return family === undefined ? "" : `(family ${family}, model ${model ?? "?"})`;
}

function mitigations(): string {
  const directory = "/sys/devices/system/cpu/vulnerabilities";
  return existsSync(`${directory}/spectre_v2`)
    ? readFileSync(`${directory}/spectre_v2`, "utf8").trim()
    : "unknown";
}

function firstMatch(text: string, pattern: RegExp): string | undefined {
  return text.match(pattern)?.[1]?.trim();
}

function capture(command: string, args: string[]): string {
  try {
    return execFileSync(command, args, { encoding: "utf8" });
  } catch {
    return "";
  }
}
