/**
 * `holdfast sockets` beside `ss -tnoip` (iproute2): wall and CPU time for a namespace with many connections, all asked in turn in one
 * run; and the same with hardly any, where only the start of the program is measured. Root only (setns(2)).
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { openSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { createTopology } from "../src/testing/netns.ts";
import { peerPath } from "../test/harness/peers.ts";
import { median, round } from "./statistics.ts";

const holdfast = fileURLToPath(new URL("../src/cli/main.js", import.meta.url));
const crowd = fileURLToPath(new URL("./sockets-crowd.js", import.meta.url));
const CROWD_PROCESSES = 4;
const FEW = 20;
const NODE = "crowd";

interface Cost {
  readonly wallMs: number;
  readonly cpuMs: number;
}

/** One run of a command with its output thrown away. CPU time as its own children report it: getrusage(2) by way of bash's `times`. */
function costOf(words: readonly string[]): Cost {
  const beganAtMs = performance.now();
  const sink = openSync("/dev/null", "w");
  const script = '"$@" >&3; status=$?; times >&2; exit $status';
  const result = spawnSync("bash", ["-c", script, "bash", ...words], {
    stdio: ["ignore", "ignore", "pipe", sink],
    encoding: "utf8",
  });
  const wallMs = performance.now() - beganAtMs;
  if (result.status !== 0) throw new Error(`${words.join(" ")}: ${result.stderr}`);
  const [user = "", system = ""] = result.stderr.trim().split("\n").at(-1)!.split(" ");
  return { wallMs, cpuMs: timeMs(user) + timeMs(system) };
}

/** `0m0.123s` */
function timeMs(text: string): number {
  const match = /^(\d+)m([\d.]+)s$/.exec(text);
  if (match === null) throw new Error(`not a time of bash: ${text}`);
  return (Number(match[1]) * 60 + Number(match[2])) * 1000;
}

async function startCrowd(inside: readonly string[], connections: number): Promise<ChildProcess> {
  const words = [...inside, process.execPath, crowd, String(connections)];
  const child = spawn(words[0]!, words.slice(1), { stdio: ["pipe", "pipe", "inherit"] });
  await once(child.stdout!, "data");
  return child;
}

export interface SocketsRow {
  readonly sockets: number;
  readonly command: string;
  readonly wallMs: number;
  readonly leastWallMs: number;
  readonly cpuMs: number;
}

export const SS_COMMAND = "ss -tnoip";
export const SOCKETS_COMMAND = "holdfast sockets --json";

export async function measureSockets(
  sockets: number,
  rounds: number,
  progress: (line: string) => void,
): Promise<SocketsRow[]> {
  progress(`tables of ${sockets} and of ${FEW} sockets`);
  return [...(await measureTable(sockets, rounds)), ...(await measureTable(FEW, rounds))];
}

async function measureTable(sockets: number, rounds: number): Promise<SocketsRow[]> {
  await using topology = await createTopology({ nodes: [NODE], links: [] });
  const inside = topology.inside(NODE);
  const namespace = path.basename(inside.find((word) => word.startsWith("--net="))!);
  const crowds: ChildProcess[] = [];
  try {
    const processes = sockets > 1000 ? CROWD_PROCESSES : 1;
    for (let index = 0; index < processes; index++)
      crowds.push(await startCrowd(inside, Math.floor(sockets / 2 / processes)));
    const subjects: readonly (readonly [string, readonly string[]])[] = [
      [SOCKETS_COMMAND, [process.execPath, holdfast, "sockets", "--json", "--netns", namespace]],
      ["holdfast sockets (100 rows)", [process.execPath, holdfast, "sockets", "--netns", namespace]],
      [SS_COMMAND, [...inside, peerPath("ss"), "-tnoip"]],
    ];
    const costs = new Map<string, Cost[]>(subjects.map(([name]) => [name, []]));
    for (const [, words] of subjects) costOf(words);
    for (let index = 0; index < rounds; index++)
      for (const [name, words] of subjects) costs.get(name)!.push(costOf(words));
    return subjects.map(([name]) => row(sockets, name, costs.get(name)!));
  } finally {
    for (const child of crowds) child.kill();
  }
}

function row(sockets: number, command: string, costs: readonly Cost[]): SocketsRow {
  const wall = costs.map(({ wallMs }) => wallMs);
  const cpu = costs.map(({ cpuMs }) => cpuMs);
  const [wallMs, leastWallMs, cpuMs] = [median(wall), Math.min(...wall), median(cpu)].map((ms) =>
    round(ms, 0),
  );
  return { sockets, command, wallMs: wallMs!, leastWallMs: leastWallMs!, cpuMs: cpuMs! };
}
