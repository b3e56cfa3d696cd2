/**
 * `holdfast watch`: how connections end on this host, and after how long a silence. A heap of ends at one idle age is the time-out
 * of something on the way. Exit 0 whatever is seen. Driver of doctor/connection-ends.ts over doctor/socket-table.ts.
 */
import { Command, InvalidArgumentError, Option } from "commander";
import { formatDuration, parseDurationMs } from "../config/duration.ts";
import { type ConnectionEnd, ConnectionEnds } from "../doctor/connection-ends.ts";
import {
  matchesSelector,
  needsHolders,
  parseSelector,
  SELECTOR_HELP,
  type Selector,
} from "../doctor/selector.ts";
import { subjectOf } from "../doctor/socket-filter.ts";
import { findSocketHolders } from "../doctor/socket-owner.ts";
import { namespaceFileOf, SocketTableError, SocketTableReader } from "../doctor/socket-table.ts";
import { ALL_STATES, type DiagSocket, TcpDiagState } from "../netlink/inet-diag.ts";
import { SyscallError } from "../sys/errno.ts";
import { EXIT_WRONG_QUESTION, fail } from "./exit-status.ts";
import {
  type CountedEnd,
  endJson,
  endLine,
  summaryJson,
  summaryLines,
  type WatchSummary,
} from "./watch-report.ts";

const INTERVAL_DEFAULT_MS = 2000;
/** How often the kernel's messages are fetched: their ages are exact, only their time of day is blurred by it. */
const DRAIN_INTERVAL_MS = 200;

const HELP = `
Selectors:
${SELECTOR_HELP}

Idle for: without payload in either direction before the end. What this host sent into a connection that was dead
already does not count: it is the silence before it that killed. A connection that vanishes while established was reset,
aborted or killed.

Exit status: 0, or 2 when the question cannot be answered.

Examples:
  holdfast watch --for 1h                     every end as it happens, then the histogram
  holdfast watch port:5432 --for 30m          of one service
  holdfast watch --json | jq 'select(.event == "end" and .cause == "vanished")'`;

interface WatchOptions {
  readonly for?: number;
  readonly interval: number;
  readonly netns?: string;
  readonly json?: true;
}

export function watchCommand(): Command {
  return new Command("watch")
    .description("record how connections end and after how long a silence; a heap at one age names the box")
    .argument("[selector...]", "which connections; several mean and (default: all)")
    .option("--for <duration>", "stop after so long (default: until interrupted)", parseDuration)
    .addOption(
      new Option("--interval <duration>", "how often the table is looked at")
        .argParser(parseDuration)
        .default(INTERVAL_DEFAULT_MS, formatDuration(INTERVAL_DEFAULT_MS)),
    )
    .option("--netns <name>", "another network namespace: a name of ip netns, a file, or a process id")
    .option("--json", "one JSON line per end, and one for the summary")
    .addHelpText("after", HELP)
    .action(watch);
}

async function watch(words: readonly string[], options: WatchOptions, command: Command): Promise<void> {
  const parsed = words.length === 0 ? { ok: true as const, value: [] } : parseSelector(words);
  if (!parsed.ok) {
    const hint = parsed.hint === undefined ? "" : `\n${parsed.hint}`;
    command.error(`error: ${parsed.reason}${hint}`, { exitCode: EXIT_WRONG_QUESTION });
  }
  try {
    const namespaceFile = options.netns === undefined ? undefined : namespaceFileOf(options.netns);
    const reader = new SocketTableReader({ namespaceFile, pid: undefined }, true);
    await new Recorder(reader, parsed.value, options).run();
    reader.close();
  } catch (error) {
    if (!(error instanceof SocketTableError || error instanceof SyscallError)) throw error;
    fail(EXIT_WRONG_QUESTION, [`error: ${error.message}`]);
  }
}

class Recorder {
  readonly #reader: SocketTableReader;
  readonly #selector: Selector;
  readonly #options: WatchOptions;
  readonly #ends = new ConnectionEnds(true);
  readonly #all: CountedEnd[] = [];
  /** `nginx/1234` by inode, of sockets that are or were there. */
  readonly #processes = new Map<number, string>();
  #inodesBefore: ReadonlySet<number> = new Set();
  readonly #gaps = new Set<string>();
  readonly #beganAtMs = performance.now();

  constructor(reader: SocketTableReader, selector: Selector, options: WatchOptions) {
    this.#reader = reader;
    this.#selector = selector;
    this.#options = options;
  }

  async run(): Promise<void> {
    const { for: lengthMs = Number.POSITIVE_INFINITY, interval, json } = this.#options;
    let isInterrupted = false;
    const interrupt = (): void => {
      isInterrupted = true;
    };
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, interrupt);
    this.#sample();
    if (json !== true) process.stderr.write(`watching ${this.#ends.openCount} connections; Ctrl-C ends it\n`);
    let nextSampleMs = this.#elapsedMs() + interval;
    while (!isInterrupted && this.#elapsedMs() < lengthMs) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(DRAIN_INTERVAL_MS, interval)));
      this.#drain();
      if (this.#elapsedMs() < nextSampleMs) continue;
      this.#sample();
      nextSampleMs = this.#elapsedMs() + interval;
    }
    this.#drain();
    this.#sample(true);
    this.#printSummary();
  }

  #elapsedMs(): number {
    return performance.now() - this.#beganAtMs;
  }

  #drain(): void {
    const atMs = this.#elapsedMs();
    const hasLost = this.#reader.drainDestroyed((diag) => {
      if (this.#isWanted(diag)) this.#ends.handleDestroyed(atMs, diag);
    });
    if (hasLost) this.#gaps.add("connections ended faster than they could be read: some are missing");
  }

  #sample(isLast = false): void {
    const { sockets, gaps } = this.#reader.read(ALL_STATES & ~(1 << TcpDiagState.LISTEN), false);
    for (const gap of gaps) this.#gaps.add(gap);
    const all = sockets.map(({ diag }) => diag);
    this.#nameProcesses(all);
    // What is left in TIME_WAIT has no process; it says who closed first.
    const wanted = all.filter((diag) => diag.inode === 0 || this.#isWanted(diag));
    for (const end of this.#ends.handleSample(this.#elapsedMs(), wanted, isLast)) this.#report(end);
    // Those that nobody asked for are never reported, and a busy host has thousands a second. An end may be told one sample late.
    const present = new Set(all.map(({ inode }) => inode));
    for (const inode of this.#processes.keys())
      if (!present.has(inode) && !this.#inodesBefore.has(inode)) this.#processes.delete(inode);
    this.#inodesBefore = present;
  }

  /** /proc is searched only when there are sockets that were not there before. */
  #nameProcesses(sockets: readonly DiagSocket[]): void {
    const fresh = new Set<number>();
    for (const { inode } of sockets) if (inode !== 0 && !this.#processes.has(inode)) fresh.add(inode);
    if (fresh.size === 0) return;
    const { byInode } = findSocketHolders(fresh);
    for (const inode of fresh) {
      const [holder] = byInode.get(inode) ?? [];
      this.#processes.set(inode, holder === undefined ? "" : `${holder.processName}/${holder.pid}`);
    }
  }

  #isWanted(diag: DiagSocket): boolean {
    if (this.#selector.length === 0) return true;
    const [processName = "", pid = "0"] = this.#processes.get(diag.inode)?.split("/") ?? [];
    const holders = needsHolders(this.#selector) ? [{ processName, pid: Number(pid), fd: -1 }] : [];
    return matchesSelector(this.#selector, subjectOf(diag), holders);
  }

  #report(end: ConnectionEnd): void {
    const { cause, idleMs, isExact } = end;
    this.#all.push({ cause, idleMs, isExact });
    const process_ = this.#processes.get(end.inode);
    const at = new Date(Date.now() - (this.#elapsedMs() - end.atMs)).toISOString();
    const named = { end, process: process_ === "" ? undefined : process_, at };
    process.stdout.write(`${this.#options.json === true ? endJson(named) : endLine(named)}\n`);
  }

  #printSummary(): void {
    const summary: WatchSummary = {
      watchedMs: this.#elapsedMs(),
      open: this.#ends.openCount,
      ends: this.#all,
      intervalMs: this.#options.interval,
      gaps: [...this.#gaps],
    };
    const text = this.#options.json === true ? summaryJson(summary) : summaryLines(summary).join("\n");
    process.stdout.write(`${text}\n`);
  }
}

function parseDuration(text: string): number {
  const parsed = parseDurationMs(text, { minMs: 100, maxMs: 30 * 86_400_000 });
  if (!parsed.ok) throw new InvalidArgumentError([parsed.reason, parsed.hint].filter(Boolean).join("; "));
  return parsed.value;
}
