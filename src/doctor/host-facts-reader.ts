/**
 * Reads what `holdfast doctor` judges: /proc, the socket table, options of sockets through their owners' descriptors. Nothing here
 * fails as a whole: what cannot be read becomes a gap, one sentence each. Driver of host-facts.ts; called by cli/doctor.ts.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { release } from "node:os";
import path from "node:path";
import { ALL_STATES } from "../netlink/inet-diag.ts";
import { heldCapabilities } from "../sys/capabilities.ts";
import { SyscallError } from "../sys/errno.ts";
import { DEFAULT_TCP_SYSCTLS, type TcpSysctls } from "./detection-time.ts";
import { crossesNetwork } from "./findings-sockets.ts";
import { SYSCTL_NAMES } from "./findings-sysctl.ts";
import type { HostFacts, KernelVersion, NodeProcess } from "./host-facts.ts";
import type { JudgedSocket } from "./socket-filter.ts";
import { isOpenState, type SocketRecord } from "./socket-record.ts";
import { OWN_NAMESPACE, readSocketOptions, SocketTableError, SocketTableReader } from "./socket-table.ts";
import { verdictOf } from "./socket-verdict.ts";

/** Options cost five system calls a socket: so many are read, those of connections that leave the host first. */
const OPTIONS_MAX = 2000;

/** Everything but the gateway, which answers in its own time. */
export function readHostFacts(): Omit<HostFacts, "gateway"> {
  const gaps: string[] = [];
  const nodeProcesses = readNodeProcesses();
  const table = readSockets(new Set(nodeProcesses.map(({ pid }) => pid)), gaps);
  return {
    kernel: kernelVersion(release()),
    isRoot: process.geteuid?.() === 0,
    capabilities: heldCapabilities(),
    sysctls: readSysctls(),
    counters: parseNetstat(readOrEmpty("/proc/net/netstat")),
    nodeProcesses,
    cgroup2Directory: cgroup2Directory(readOrEmpty("/proc/self/mounts")),
    ...table,
    gaps,
  };
}

export function kernelVersion(text: string): KernelVersion {
  const [, major = "0", minor = "0"] = /^(\d+)\.(\d+)/.exec(text) ?? [];
  return { release: text, major: Number(major), minor: Number(minor) };
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function readSysctls(): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const name of SYSCTL_NAMES) {
    const text = readOrEmpty(`/proc/sys/${name.replaceAll(".", "/")}`).trim();
    if (text !== "") values.set(name, text.replace(/\s+/g, " "));
  }
  return values;
}

/** Pairs of lines: `TcpExt: NAME …`, `TcpExt: VALUE …`. */
export function parseNetstat(text: string): ReadonlyMap<string, number> {
  const counters = new Map<string, number>();
  const lines = text.split("\n");
  for (let index = 0; index + 1 < lines.length; index += 2) {
    const [group = "", ...names] = lines[index]!.trim().split(/\s+/);
    const values = lines[index + 1]!.trim().split(/\s+/).slice(1);
    for (const [at, name] of names.entries())
      counters.set(`${group.replace(":", "")}.${name}`, Number(values[at] ?? 0));
  }
  return counters;
}

function cgroup2Directory(mounts: string): string | undefined {
  const directory = /^\S+ (\S+) cgroup2 /m.exec(mounts)?.[1];
  return directory !== undefined && existsSync(directory) ? directory : undefined;
}

type TableFacts = Pick<HostFacts, "sockets" | "tcpSysctls" | "socketTableProblem">;

function readSockets(nodePids: ReadonlySet<number>, gaps: string[]): TableFacts {
  let reader: SocketTableReader | undefined;
  try {
    reader = new SocketTableReader(OWN_NAMESPACE);
    const { sockets, sysctls, gaps: missing } = reader.read(ALL_STATES);
    gaps.push(...missing);
    return {
      sockets: judged(sockets, nodePids, sysctls, gaps),
      tcpSysctls: sysctls,
      socketTableProblem: undefined,
    };
  } catch (error) {
    if (!(error instanceof SyscallError) && !(error instanceof SocketTableError)) throw error;
    gaps.push(`the socket table could not be read: ${error.message}`);
    return { sockets: [], tcpSysctls: DEFAULT_TCP_SYSCTLS, socketTableProblem: error.message };
  } finally {
    reader?.close();
  }
}

function judged(
  sockets: readonly SocketRecord[],
  nodePids: ReadonlySet<number>,
  sysctls: TcpSysctls,
  gaps: string[],
): JudgedSocket[] {
  const isNode = (socket: SocketRecord): boolean => socket.holders.some(({ pid }) => nodePids.has(pid));
  const open = sockets.filter((socket) => isOpenState(socket.diag.state) && socket.holders.length > 0);
  const rank = (socket: SocketRecord): number =>
    Number(isNode(socket)) + 2 * Number(crossesNetwork({ socket }));
  const asked = open.toSorted((a, b) => rank(b) - rank(a)).slice(0, OPTIONS_MAX);
  const read = readSocketOptions(asked);
  if (read.refused > 0)
    gaps.push(
      `the options of ${read.refused} sockets could not be read: use sudo (CAP_SYS_PTRACE); their keepalive times are not judged`,
    );
  if (open.length > asked.length)
    gaps.push(
      `the options of ${open.length - asked.length} more sockets were not read, to be quick: holdfast sockets --options`,
    );
  const options = new Map(read.sockets.map((socket) => [socket.diag, socket]));
  return sockets.map((bare) => {
    const socket = options.get(bare.diag) ?? bare;
    return { socket, verdict: verdictOf(socket, sysctls) };
  });
}

function readNodeProcesses(): NodeProcess[] {
  const found: NodeProcess[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!(pid > 0) || pid === process.pid || !isNode(pid)) continue;
    const words = readOrEmpty(`/proc/${pid}/cmdline`).split("\0").slice(1);
    const script = scriptOf(words);
    found.push({
      pid,
      title: script === undefined ? "no script file" : path.basename(script).slice(0, TITLE_LENGTH_MAX),
      isHoldfast: script !== undefined && isHoldfastScript(script),
    });
  }
  return found;
}

const TITLE_LENGTH_MAX = 60;
/** Options of node whose value is a word of its own, node(1). */
const OPTIONS_WITH_VALUE = new Set([
  "-r",
  "--require",
  "--import",
  "--loader",
  "--experimental-loader",
  "-C",
  "--conditions",
]);
const OPTIONS_WITH_CODE = new Set(["-e", "--eval", "-p", "--print", "-pe"]);

/** The script among node's words. Nothing else of a command line is shown: it may hold secrets. */
export function scriptOf(words: readonly string[]): string | undefined {
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if (word === "" || OPTIONS_WITH_CODE.has(word)) return undefined;
    if (OPTIONS_WITH_VALUE.has(word)) index++;
    else if (!word.startsWith("-")) return word;
  }
  return undefined;
}

/** The program behind it, or, where that may not be seen, the name of its main thread. */
function isNode(pid: number): boolean {
  try {
    return /^node(?:js)?$/.test(path.basename(readlinkSync(`/proc/${pid}/exe`)));
  } catch {
    return readOrEmpty(`/proc/${pid}/comm`).trim() === "node";
  }
}

function isHoldfastScript(script: string): boolean {
  return script === process.argv[1] || /(?:^|\/)holdfast$|\/daemon\/worker-main\.js$/.test(script);
}
