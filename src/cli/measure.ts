/**
 * `holdfast measure HOST:PORT`: the path's real idle time-out, by a ladder of quiet connections. Exit status 0: idle connections live
 * as long as was measured, or the other end closes them; 1: the path loses them, or nothing could be measured; 2: the question was
 * wrong. Driver of src/doctor/ladder-driver.ts; called by program.ts.
 */
import { lookup } from "node:dns/promises";
import { Command, InvalidArgumentError, Option } from "commander";
import { formatAddress, parseBindAddress, parseServerAddress } from "../config/address.ts";
import { formatDuration, parseDurationMs } from "../config/duration.ts";
import type { Parsed } from "../config/parsed.ts";
import type { SocketAddress } from "../config/types.ts";
import {
  defaultRungsMs,
  RUNG_MS_MIN,
  RUNGS_MAX,
  type RungResult,
  refinedRungsMs,
  UP_TO_MS_DEFAULT,
} from "../doctor/ladder.ts";
import { climbTowards, holdTowards, LadderListener, type LadderOptions } from "../doctor/ladder-driver.ts";
import { boxesThatFit } from "../doctor/measure-boxes.ts";
import { concludeLadder, type LadderDirection } from "../doctor/measure-conclusion.ts";
import { spokenDuration } from "../doctor/spoken-duration.ts";
import { SyscallError } from "../sys/errno.ts";
import { EXIT_BAD_NEWS, EXIT_GOOD, EXIT_WRONG_QUESTION, fail } from "./exit-status.ts";
import { counted } from "./figures.ts";
import { type MeasureReport, newsLine, progressLine, reportJson, reportText } from "./measure-report.ts";

interface MeasureOptions {
  readonly rungs?: readonly number[];
  readonly upTo: number;
  readonly refine?: number | true;
  readonly all?: true;
  readonly listen?: string;
  readonly hold?: true;
  readonly connections?: number;
  readonly json?: true;
  readonly quiet?: true;
}

const HELP = `
Opens one connection per rung, sends nothing, and after the rung's time lets the kernel ask with a zero-byte probe. No
privilege and no program on the other side is needed; whatever listens there will see connections on which nothing comes.
The longest rung is the time it takes; it ends earlier when two rungs in a row were lost.

What may come back:
  alive     the probe was acknowledged: the path knows connections that were idle for so long
  RST       for the probe: a box forgot the connection and says so to whoever speaks next
  no answer a box forgot it and says nothing
  RST before any probe: a box tells both ends when the time is over (or the other end resets)
  FIN       the other end's own time-out, or a proxy's: not the path's. TCP keepalive does not prevent it

The other direction (probes from the accepting side) needs both sides:
  holdfast measure --listen 9000                on the server
  holdfast measure SERVER:9000 --hold           on the client: opens connections and keeps quiet
And a server that never closes, to measure a path beyond the time-outs of an HTTP server:
  holdfast measure --listen 9000 --hold         on the server
  holdfast measure SERVER:9000                  on the client

Exit status: 0 idle connections live, or the other end closes them; 1 the path loses them, or nothing was learnt; 2 wrong question.

Examples:
  holdfast measure db.internal:5432
  holdfast measure db.internal:5432 --up-to 6m --refine 5s
  holdfast measure 192.0.2.10:443 --rungs 100s,200s,300s,400s --json`;

const PRECISION_MS_DEFAULT = 5000;

export function measureCommand(): Command {
  return new Command("measure")
    .description("measure after which idle time the boxes on a path forget a connection, and how")
    .argument("[target]", "HOST:PORT of a TCP server; any that does not speak first will do")
    .addOption(
      new Option("--up-to <duration>", "the longest rung")
        .argParser(readDuration)
        .default(UP_TO_MS_DEFAULT, formatDuration(UP_TO_MS_DEFAULT)),
    )
    .option("--rungs <durations>", "idle times to try, such as 60s,120s,240s", readRungs)
    .option(
      "--refine [precision]",
      "measure again within the bracket until it is so narrow (default: 5s); takes the bracket's time once more",
      readDuration,
    )
    .option("--all", "wait for every rung, also when the answer is certain")
    .option("--listen <port>", "wait for connections at PORT or ADDRESS:PORT and probe from this side")
    .option("--hold", "probe nothing: only open (or, with --listen, accept) connections and keep quiet")
    .option("--connections <n>", "with --hold: how many to open (default: one per rung)", readCount)
    .option("--json", "print the result as JSON: stable field names, milliseconds")
    .option("--quiet", "no progress on stderr")
    .addHelpText("after", HELP)
    .action(runMeasure);
}

async function runMeasure(target: string | undefined, options: MeasureOptions): Promise<void> {
  const problem = whatIsWrong(target, options);
  if (problem !== undefined) {
    fail(EXIT_WRONG_QUESTION, [`error: ${problem}`]);
    return;
  }
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  try {
    await (options.listen === undefined
      ? measureTowards(target!, options, stop.signal)
      : measureAccepted(options.listen, options, stop.signal));
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    fail(EXIT_WRONG_QUESTION, [
      `error: ${options.listen ?? target}: ${error.message}`,
      ...(error.hint === undefined ? [] : [`hint: ${error.hint}`]),
    ]);
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}

function whatIsWrong(target: string | undefined, options: MeasureOptions): string | undefined {
  if (target === undefined && options.listen === undefined)
    return "no target named; example: holdfast measure db.internal:5432";
  if (target !== undefined && options.listen !== undefined)
    return "a target and --listen exclude each other: one side listens, the other connects";
  if (options.connections !== undefined && options.hold === undefined)
    return "--connections belongs to --hold; the ladder opens one connection per rung";
  if (options.refine !== undefined && (options.hold || options.listen !== undefined))
    return "--refine needs connections of its own: use it towards a target";
  return undefined;
}

async function measureTowards(target: string, options: MeasureOptions, signal: AbortSignal): Promise<void> {
  const address = await resolveTarget(target);
  if (typeof address === "string") {
    fail(EXIT_WRONG_QUESTION, [`error: ${address}`]);
    return;
  }
  const rungsMs = options.rungs ?? defaultRungsMs(options.upTo);
  if (options.hold) {
    await holdTowards(address, options.connections ?? rungsMs.length, signal, holdProgress(options));
    return;
  }
  announce(options, `${counted(rungsMs.length, "connection")} to ${formatAddress(address)}`, rungsMs);
  const startedAt = new Date().toISOString();
  const progress = makeProgress(options);
  const ladder: LadderOptions = { signal, onProgress: progress.show, isComplete: options.all === true };
  let { results, wasInterrupted } = await climbTowards(address, rungsMs, ladder);
  const precisionMs = options.refine === true ? PRECISION_MS_DEFAULT : options.refine;
  while (precisionMs !== undefined && !wasInterrupted) {
    const { bracket } = concludeLadder(results, "from-client");
    const finerMs = bracket && refinedRungsMs(bracket.lowerMs, bracket.upperMs, precisionMs);
    if (finerMs === undefined) break;
    announce(options, `again, within the bracket: ${counted(finerMs.length, "connection")}`, finerMs);
    const finer = await climbTowards(address, finerMs, ladder);
    wasInterrupted = finer.wasInterrupted;
    const before = concludeLadder(results, "from-client").bracket;
    results = [...results, ...finer.results].toSorted((a, b) => a.rungMs - b.rungMs);
    const after = concludeLadder(results, "from-client").bracket;
    if (after?.lowerMs === before?.lowerMs && after?.upperMs === before?.upperMs) break;
  }
  progress.end();
  present({ target, address, direction: "from-client", startedAt, results, wasInterrupted }, options);
}

async function measureAccepted(listen: string, options: MeasureOptions, signal: AbortSignal): Promise<void> {
  const parsed = parseBindAddress(listen);
  if (!parsed.ok || parsed.value.family === "unix") {
    fail(EXIT_WRONG_QUESTION, [
      `error: --listen: ${parsed.ok ? "a UNIX socket has no path through a network" : sentenceOf(parsed)}`,
    ]);
    return;
  }
  const listener = new LadderListener(parsed.value);
  try {
    const at = formatAddress(listener.address);
    if (options.hold) {
      say(options, `holding whatever connects to ${at}; end with Ctrl-C`);
      await listener.hold(signal, holdProgress(options));
      return;
    }
    const rungsMs = options.rungs ?? defaultRungsMs(options.upTo);
    say(
      options,
      `waiting at ${at} for ${counted(rungsMs.length, "connection")}; on the other side: holdfast measure HOST:${portOf(listener.address)} --hold --connections ${rungsMs.length}`,
    );
    const startedAt = new Date().toISOString();
    const progress = makeProgress(options);
    const ladder: LadderOptions = { signal, onProgress: progress.show, isComplete: options.all === true };
    const peers = new Set<string>();
    const run = await listener.climb(rungsMs, ladder, (peer) => peers.add(peer.replace(/:\d+$/, "")));
    progress.end();
    const target = peers.size === 0 ? at : `${at}, from ${[...peers].join(", ")}`;
    const address = listener.address;
    present({ target, address, direction: "from-server", startedAt, ...run }, options);
  } finally {
    listener.close();
  }
}

interface Measured {
  readonly target: string;
  readonly address: SocketAddress;
  readonly direction: LadderDirection;
  readonly startedAt: string;
  readonly results: readonly RungResult[];
  readonly wasInterrupted: boolean;
}

function present(measured: Measured, options: MeasureOptions): void {
  const { wasInterrupted, address, ...rest } = measured;
  const conclusion = concludeLadder(measured.results, measured.direction, wasInterrupted);
  const report: MeasureReport = {
    ...rest,
    address: formatAddress(address),
    conclusion,
    boxes: boxesThatFit(conclusion, measured.direction),
  };
  const isColoured = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
  process.stdout.write(options.json ? reportJson(report) : reportText(report, isColoured));
  const isGood = conclusion.outcome === "keeps" || conclusion.outcome === "peer-closes";
  process.exitCode = isGood ? EXIT_GOOD : EXIT_BAD_NEWS;
}

async function resolveTarget(target: string): Promise<SocketAddress | string> {
  const parsed = parseServerAddress(target);
  if (!parsed.ok) return sentenceOf(parsed);
  const address = parsed.value;
  if (address.family === "unix") return "a UNIX socket has no path through a network";
  try {
    const found = await lookup(address.host);
    return { family: found.family === 6 ? "inet6" : "inet", host: found.address, port: address.port };
  } catch (error) {
    return `${address.host} cannot be resolved (${(error as NodeJS.ErrnoException).code}); name an address, or mend the resolver`;
  }
}

function portOf(address: SocketAddress): number {
  return address.family === "unix" ? 0 : address.port;
}

/** On a terminal one line that changes; otherwise a line for every rung that became known. */
function makeProgress(options: MeasureOptions): { show: LadderOptions["onProgress"]; end: () => void } {
  const isTerminal = process.stderr.isTTY === true;
  const clear = isTerminal ? "\r\u001b[K" : "";
  let shown = "";
  if (options.quiet) return { show: () => {}, end: () => {} };
  return {
    show: (progress) => {
      const news = progress.news === undefined ? undefined : newsLine(progress.news);
      if (news !== undefined) process.stderr.write(`${clear}${news}\n`);
      if (!isTerminal) return;
      const line = progressLine(progress);
      if (line === shown && news === undefined) return;
      shown = line;
      process.stderr.write(`${clear}${line}`);
    },
    end: () => void process.stderr.write(clear),
  };
}

function announce(options: MeasureOptions, what: string, rungsMs: readonly number[]): void {
  say(options, `${what}; takes at most ${spokenDuration(Math.max(...rungsMs))}, Ctrl-C shows what is known`);
}

function say(options: MeasureOptions, line: string): void {
  if (!options.quiet) process.stderr.write(`${line}\n`);
}

function holdProgress(options: MeasureOptions): (held: number, ended: string | undefined) => void {
  return (held, ended) =>
    say(
      options,
      ended === undefined
        ? `${counted(held, "connection")} ${held === 1 ? "is" : "are"} held`
        : `${ended}; ${held} left`,
    );
}

const RUNG_RANGE = { minMs: RUNG_MS_MIN, maxMs: 7 * 86_400_000 };

function readDuration(text: string): number {
  const result = parseDurationMs(text, RUNG_RANGE);
  if (!result.ok) throw new InvalidArgumentError(sentenceOf(result));
  return result.value;
}

function readRungs(text: string): readonly number[] {
  const rungsMs = text.split(",").map((part) => readDuration(part.trim()));
  if (rungsMs.length > RUNGS_MAX)
    throw new InvalidArgumentError(`at most ${RUNGS_MAX} rungs; ${rungsMs.length} are named`);
  return [...new Set(rungsMs)].toSorted((a, b) => a - b);
}

function readCount(text: string): number {
  const count = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > RUNGS_MAX) throw new InvalidArgumentError(`a whole number from 1 to ${RUNGS_MAX}`);
  return count;
}

function sentenceOf(refused: Extract<Parsed<unknown>, { ok: false }>): string {
  return [refused.reason, refused.hint].filter(Boolean).join("; ");
}
