/**
 * `holdfast probe SELECTOR`: is the peer of these live connections still there? No payload is sent. Exit status 0: nobody is dead or
 * silent; 1: somebody is, or options could not be put back; 2: wrong question. Driver of doctor/prober.ts; called by program.ts.
 */
import { Command, Option } from "commander";
import { parseDurationMs } from "../config/duration.ts";
import { readHostFacts } from "../config/host-facts.ts";
import { type Parsed, parsed, refused } from "../config/parsed.ts";
import { type LiveSockets, withBorrowed } from "../doctor/live-sockets.ts";
import { FRESH_MS, heardMsAgo, isInFlight, planProbe } from "../doctor/probe-machine.ts";
import { probeSockets, socketName } from "../doctor/prober.ts";
import { SELECTOR_HELP } from "../doctor/selector.ts";
import { UndoJournal } from "../doctor/undo-journal-files.ts";
import { borrowProblem, pidfdOpen } from "../sys/pidfd.ts";
import { close } from "../sys/socket.ts";
import { getSocketOptions } from "../sys/socket-options.ts";
import { getTcpInfo, TcpState } from "../sys/tcp-info.ts";
import { EXIT_BAD_NEWS, EXIT_GOOD, EXIT_WRONG_QUESTION, fail } from "./exit-status.ts";
import {
  dryRunLine,
  isBadNews,
  type ProbeReport,
  probeJson,
  probeText,
  summaryLine,
} from "./probe-report.ts";
import { readRetries2, selectedSockets, valueOrFail } from "./selected-sockets.ts";

interface ProbeOptions {
  readonly timeout: string;
  readonly rate: string;
  readonly dryRun?: boolean;
  readonly withoutJournal?: boolean;
  readonly json?: boolean;
}

export function probeCommand(): Command {
  return new Command("probe")
    .description(
      "ask whether the peer of a live connection is still there, without sending a byte of payload",
    )
    .argument("<selector...>", "which sockets; see below")
    .addOption(new Option("--timeout <duration>", "how long to wait for an answer").default("3s", "3s"))
    .addOption(new Option("--rate <number>", "sockets to begin with per second").default("200", "200"))
    .option("--dry-run", "say what would be set, and change nothing")
    .option("--without-journal", "probe although no undo journal can be written; see below")
    .option("--json", "print the answer as JSON")
    .addHelpText("after", HELP)
    .action(runProbe);
}

const HELP = `
Selectors:
${SELECTOR_HELP}

Verdicts:
  ALIVE    the peer's kernel answered, or was heard within the last second
  DEAD     a RST came: the peer has no such connection. The program gets ECONNRESET now
  SILENT   no answer: cut off, switched off, or something on the way drops the packets
  BUSY     data is in flight, which is never probed; the kernel retransmits and gives up by itself

How: the socket is borrowed (pidfd_getfd), SO_KEEPALIVE and then TCP_KEEPIDLE 1s make the kernel send a keepalive probe
at once, TCP_USER_TIMEOUT, TCP_KEEPINTVL and TCP_KEEPCNT are made harmless meanwhile, and all of it is put back. An undo
journal is kept for the case that this command is killed: holdfast undo --list. Where it cannot be written, nothing is
probed, unless --without-journal says that you take the risk: killed in the middle, the options then stay changed.
What cannot be undone: probes that got no answer count. A SILENT connection that has keepalive on and TCP_USER_TIMEOUT
(or a TCP_KEEPCNT of 1) is ended by the kernel at its next keepalive tick unless the peer is heard before.
Needs your own processes, or CAP_SYS_PTRACE (sudo).

Exit status: 0 nobody is dead or silent, 1 somebody is or could not be asked, 2 no such socket or a wrong selector.

Examples:
  sudo holdfast probe process:postgres
  sudo holdfast probe pid:1234 peer:10.0.0.0/8 --json
  holdfast probe fd:1234/17 --dry-run`;

const RATE_MAX = 10_000;

async function runProbe(words: readonly string[], options: ProbeOptions): Promise<void> {
  const timeoutMs = valueOrFail(
    "--timeout",
    parseDurationMs(options.timeout, { minMs: 100, maxMs: 600_000 }),
  );
  const ratePerSecond = valueOrFail("--rate", parseRate(options.rate));
  if (timeoutMs === undefined || ratePerSecond === undefined) return;
  const found = selectedSockets(words);
  if (found === undefined) return;
  if (options.dryRun === true) {
    dryRun(found, timeoutMs, options.json === true);
    return;
  }
  const journal = options.withoutJournal === true ? undefined : new UndoJournal("probe", words);
  const journalProblem = journal?.open();
  if (journalProblem !== undefined) {
    fail(EXIT_WRONG_QUESTION, [
      `nothing was probed: ${journalProblem}, or say --without-journal (killed in the middle, the options then stay changed)`,
    ]);
    return;
  }
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort();
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
  const progress = startProgress(found.sockets.length, ratePerSecond, timeoutMs);
  const results = await probeSockets(found.sockets, {
    timeoutMs,
    ratePerSecond,
    retries2: readRetries2(),
    journal,
    signal: interruption.signal,
    onResult: progress.count,
  });
  progress.end();
  process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
  journal?.close();
  const problems = [...found.problems];
  if (interruption.signal.aborted)
    problems.push(
      `interrupted: ${summaryLine(results)} of ${found.sockets.length}; the options are put back`,
    );
  const { tcpKeepaliveDefaults: system } = readHostFacts();
  const report: ProbeReport = { results, problems, borrowProblem, system };
  const isColoured = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
  process.stdout.write(options.json === true ? probeJson(report) : probeText(report, isColoured));
  process.exitCode = results.some(isBadNews) || interruption.signal.aborted ? EXIT_BAD_NEWS : EXIT_GOOD;
}

function parseRate(text: string): Parsed<number> {
  const rate = /^\d+$/.test(text) ? Number(text) : 0;
  return rate >= 1 && rate <= RATE_MAX
    ? parsed(rate)
    : refused(`${JSON.stringify(text)} is not a number from 1 to ${RATE_MAX}`);
}

/** A line on stderr that counts, on a terminal only. */
function startProgress(total: number, ratePerSecond: number, timeoutMs: number) {
  let done = 0;
  const isShown = process.stderr.isTTY === true && total > 1;
  const secondsMax = Math.ceil(total / ratePerSecond + timeoutMs / 1000);
  const show = (): void => {
    if (isShown) process.stderr.write(`\r${done} of ${total} sockets, at most ${secondsMax} s `);
  };
  show();
  return {
    count: (): void => {
      done++;
      if (done % 10 === 0 || done === total) show();
    },
    end: (): void => {
      if (isShown) process.stderr.write("\r\u001b[K");
    },
  };
}

function dryRun({ sockets, problems }: LiveSockets, timeoutMs: number, isJson: boolean): void {
  const plans = sockets.map((socket) => {
    const { pid, fd, processName } = socket.holder;
    const pidfd = pidfdOpen(pid);
    const plan = pidfd < 0 ? pidfd : withBorrowed(pidfd, fd, socket.inode, (it) => planFor(it, timeoutMs));
    if (pidfd >= 0) close(pidfd);
    return { socket: socketName(socket), pid, fd, process: processName, plan };
  });
  if (isJson) {
    const planned = plans.map(({ plan, ...rest }) =>
      typeof plan === "number" ? { ...rest, problem: borrowProblem(-plan) } : { ...rest, ...plan },
    );
    process.stdout.write(
      `${JSON.stringify({ isPartial: problems.length > 0, problems, sockets: planned }, null, 2)}\n`,
    );
    return;
  }
  for (const { socket, pid, fd, process: name, plan } of plans) {
    const holder = `${name} ${pid}/${fd}`;
    const line =
      typeof plan === "number"
        ? `${socket}  ${holder}  ${borrowProblem(-plan)}`
        : dryRunLine(socket, holder, plan.before, plan.changes);
    process.stdout.write(`${line}\n`);
  }
  for (const problem of problems) process.stdout.write(`partial: ${problem}\n`);
}

function planFor(fd: number, timeoutMs: number) {
  const before = getSocketOptions(fd);
  const look = getTcpInfo(fd);
  const isAsked =
    look !== undefined && look.state !== TcpState.LISTEN && !isInFlight(look) && heardMsAgo(look) >= FRESH_MS;
  return { before, changes: isAsked ? planProbe(before, look, timeoutMs) : [] };
}
