/**
 * `holdfast sockets`: the TCP sockets of a network namespace, who has them, and what would become of each if its peer were gone.
 * Exit 0 whatever is found: it is a listing. 2: the question cannot be answered. Driver of doctor/socket-table.ts.
 */
import { Command, InvalidArgumentError, Option } from "commander";
import { parseDurationMs } from "../config/duration.ts";
import { parseSelector, SELECTOR_HELP, type Selector } from "../doctor/selector.ts";
import {
  type JudgedSocket,
  matchesFilter,
  SORT_KEYS,
  type SocketFilter,
  type SortKey,
  STATE_WORDS,
  sortSockets,
  statesOfWord,
} from "../doctor/socket-filter.ts";
import type { SocketRecord } from "../doctor/socket-record.ts";
import { summarizeSockets } from "../doctor/socket-summary.ts";
import {
  namespaceFileOf,
  readSocketOptions,
  type SocketSource,
  SocketTableError,
  SocketTableReader,
} from "../doctor/socket-table.ts";
import { verdictOf } from "../doctor/socket-verdict.ts";
import { ALL_STATES } from "../netlink/inet-diag.ts";
import { SyscallError } from "../sys/errno.ts";
import { AsciiWriter } from "./ascii-writer.ts";
import { EXIT_WRONG_QUESTION, fail } from "./exit-status.ts";
import { type SocketReport, socketsText, summaryText, writeSocketsJson } from "./socket-report.ts";

const LIMIT_DEFAULT = 100;
/** So many sockets are asked for their options without being told to: five system calls each. */
const OPTIONS_DEFAULT_MAX = 1000;
const WATCH_SECONDS_DEFAULT = 2;

const HELP = `
Selectors:
${SELECTOR_HELP}

Columns: KEEPALIVE is idle/interval/count as the program's own socket has it (? where it may not be read); DATA and ACK
are the ages of the last payload and of the last acknowledgement; DETECTS IDLE and IN FLIGHT say after how long a peer
that vanished is noticed, ~ where the socket's options were not read. They differ: keepalive is silent while data is
unacknowledged. Process names and options of other users' processes need root (CAP_SYS_PTRACE).

Exit status: 0 whatever is listed, 2 the question cannot be answered.

Examples:
  holdfast sockets
  holdfast sockets process:nginx --unguarded --idle-longer-than 5m
  holdfast sockets --state established --peer 10.0.0.0/8 --sort idle --limit 20
  holdfast sockets --netns blue --summary
  holdfast sockets --json | jq '.sockets[] | select(.verdict == "dying")'`;

interface SocketsOptions {
  readonly json?: true;
  readonly state?: number;
  readonly port?: readonly number[];
  readonly process?: string;
  readonly peer?: Selector;
  readonly idleLongerThan?: number;
  readonly unguarded?: true;
  readonly limit?: number;
  readonly sort?: SortKey;
  readonly summary?: true;
  readonly options?: true;
  readonly watch?: number | true;
  readonly pid?: number;
  readonly netns?: string;
}

export function socketsCommand(): Command {
  return new Command("sockets")
    .description("list TCP sockets: who has them, whether their peers are alive, when a dead one is noticed")
    .argument("[selector...]", "which sockets; several mean and (default: all)")
    .option("--state <states>", `comma-separated, of: ${STATE_WORDS.join(", ")}`, parseStates)
    .option("--port <ports>", "local or remote port, comma-separated", parsePorts)
    .option("--process <name>", "of this process name or id")
    .option("--peer <network>", "the remote address is in this network: 10.0.0.0/8", parsePeer)
    .option("--idle-longer-than <duration>", "no payload in either direction for so long", parseIdle)
    .option("--unguarded", "only open connections without keepalive")
    .addOption(
      new Option("--sort <key>", "order (default: verdict, with --json the kernel's)").choices([
        ...SORT_KEYS,
      ]),
    )
    .option("--limit <n>", `how many at most (default: ${LIMIT_DEFAULT}, with --json all)`, parseCount)
    .option("--summary", "counts per process and per remote address instead of sockets")
    .option(
      "--options",
      `read the options of every socket shown, not of the first ${OPTIONS_DEFAULT_MAX} only`,
    )
    .option("--pid <pid>", "only the sockets of this process, in its network namespace", parseCount)
    .option("--netns <name>", "another network namespace: a name of ip netns, a file, or a process id")
    .option("--watch [seconds]", `again every so often (default: ${WATCH_SECONDS_DEFAULT})`, parseCount)
    .option("--json", "one JSON document, a line per socket; milliseconds and bytes")
    .addHelpText("after", HELP)
    .action(listSockets);
}

async function listSockets(
  words: readonly string[],
  options: SocketsOptions,
  command: Command,
): Promise<void> {
  const selector = selectorOf(words, options, command);
  const filter: SocketFilter = {
    states: options.state ?? ALL_STATES,
    selector,
    ports: new Set(options.port),
    idleLongerThanMs: options.idleLongerThan,
    isUnguardedOnly: options.unguarded === true,
  };
  try {
    const reader = new SocketTableReader(sourceOf(options));
    const print = (): void => printReport(takeReport(reader, filter, options), options);
    if (options.watch === undefined) print();
    else await repeat(print, options.watch === true ? WATCH_SECONDS_DEFAULT : options.watch);
    reader.close();
  } catch (error) {
    if (!(error instanceof SocketTableError || error instanceof SyscallError)) throw error;
    fail(EXIT_WRONG_QUESTION, [`error: ${error.message}`]);
  }
}

/** The first words and the options --process and --peer as one selector. */
function selectorOf(words: readonly string[], options: SocketsOptions, command: Command): Selector {
  const { process: name } = options;
  const owner = name === undefined ? [] : [/^\d+$/.test(name) ? `pid:${name}` : `process:${name}`];
  const all = [...words, ...owner];
  if (all.length === 0) return options.peer ?? [];
  const parsed = parseSelector(all);
  if (!parsed.ok) {
    const hint = parsed.hint === undefined ? "" : `\n${parsed.hint}`;
    command.error(`error: ${parsed.reason}${hint}`, { exitCode: EXIT_WRONG_QUESTION });
  }
  return [...parsed.value, ...(options.peer ?? [])];
}

function sourceOf({ pid, netns }: SocketsOptions): SocketSource {
  if (pid !== undefined && netns === undefined) return { namespaceFile: `/proc/${pid}/ns/net`, pid };
  return { namespaceFile: netns === undefined ? undefined : namespaceFileOf(netns), pid };
}

/** Judges twice where options are read: first to know what is shown, then with what was read of those. */
function takeReport(reader: SocketTableReader, filter: SocketFilter, options: SocketsOptions): SocketReport {
  const table = reader.read(filter.states);
  const judge = (socket: SocketRecord): JudgedSocket => ({
    socket,
    verdict: verdictOf(socket, table.sysctls),
  });
  const readsAll = options.options === true;
  const all = readsAll ? readSocketOptions(table.sockets) : { sockets: table.sockets, refused: 0 };
  const found = all.sockets.map(judge).filter((it) => matchesFilter(filter, it));
  // A program that reads JSON sorts for itself; 20,000 sockets take longer to sort than to find.
  const isSorted = options.summary !== true && (options.sort !== undefined || options.json !== true);
  const matching = isSorted ? sortSockets(found, options.sort ?? "verdict") : found;
  const limit = options.limit ?? (options.json === true ? matching.length : LIMIT_DEFAULT);
  let shown = options.summary === true ? [] : matching.slice(0, limit);
  let { refused } = all;
  let unread = 0;
  if (!readsAll && shown.length > OPTIONS_DEFAULT_MAX) unread = shown.length;
  else if (!readsAll) {
    const read = readSocketOptions(shown.map(({ socket }) => socket));
    shown = read.sockets.map(judge);
    refused = read.refused;
  }
  const gaps = [...table.gaps];
  if (refused > 0)
    gaps.push(`the options of ${refused} sockets could not be read: run it with sudo (CAP_SYS_PTRACE)`);
  return {
    shown,
    matching: matching.length,
    summary: summarizeSockets(matching, options.summary === true),
    gaps,
    unread,
    scope: options.pid !== undefined ? `pid ${options.pid}` : (options.netns ?? "this network namespace"),
    takenAt: new Date().toISOString(),
  };
}

function printReport(report: SocketReport, options: SocketsOptions): void {
  if (options.json === true) {
    writeSocketsJson(report, new AsciiWriter((bytes) => void process.stdout.write(bytes)));
    return;
  }
  const isTerminal = process.stdout.isTTY === true;
  const isColoured = isTerminal && process.env.NO_COLOR === undefined;
  const text = options.summary === true ? summaryText(report, isColoured) : socketsText(report, isColoured);
  if (options.watch === undefined) process.stdout.write(text);
  else process.stdout.write(isTerminal ? `\u001b[H\u001b[2J${text}` : `${report.takenAt}\n${text}\n`);
}

/** Until the process is interrupted, or its reader goes away. */
async function repeat(print: () => void, seconds: number): Promise<void> {
  for (;;) {
    print();
    await new Promise((resolve) => setTimeout(resolve, Math.max(1, seconds) * 1000));
  }
}

function parseStates(text: string): number {
  let states = 0;
  for (const word of text.split(",")) {
    const bits = statesOfWord(word.trim());
    if (bits === undefined) throw new InvalidArgumentError(`"${word}" is none of ${STATE_WORDS.join(", ")}`);
    states |= bits;
  }
  return states;
}

function parsePorts(text: string): readonly number[] {
  return text.split(",").map((word) => {
    const port = /^\s*\d{1,5}\s*$/.test(word) ? Number(word) : 0;
    if (port < 1 || port > 65535) throw new InvalidArgumentError(`"${word}" is not a port from 1 to 65535`);
    return port;
  });
}

function parsePeer(text: string): Selector {
  const parsed = parseSelector([`peer:${text}`]);
  if (!parsed.ok) throw new InvalidArgumentError([parsed.reason, parsed.hint].filter(Boolean).join("; "));
  return parsed.value;
}

function parseIdle(text: string): number {
  const parsed = parseDurationMs(text);
  if (!parsed.ok) throw new InvalidArgumentError([parsed.reason, parsed.hint].filter(Boolean).join("; "));
  return parsed.value;
}

function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("a whole number");
  return Number(text);
}
