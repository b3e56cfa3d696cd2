/**
 * The answer of `holdfast sockets`: as a table, as a summary, as JSON. Pure: judged sockets in, text out. Called by sockets.ts.
 */

import { formatDuration } from "../config/duration.ts";
import type { JudgedSocket } from "../doctor/socket-filter.ts";
import {
  idleMsOf,
  isOpenState,
  localEndpoint,
  peerEndpoint,
  type SocketRecord,
  silentMsOf,
  stateName,
} from "../doctor/socket-record.ts";
import type { SocketCounts, SocketGroup, SocketSummary } from "../doctor/socket-summary.ts";
import type { SocketVerdict } from "../doctor/socket-verdict.ts";
import { DiagTimer, TcpDiagState } from "../netlink/inet-diag.ts";
import type { AsciiWriter } from "./ascii-writer.ts";
import { formatAge, formatCount } from "./figures.ts";
import { type Column, formatTable } from "./table.ts";

export interface SocketReport {
  /** What is shown, in order; may be fewer than the matching ones. */
  readonly shown: readonly JudgedSocket[];
  readonly matching: number;
  readonly summary: SocketSummary;
  /** Why the answer is not whole. */
  readonly gaps: readonly string[];
  /** Shown sockets whose options were not asked for. */
  readonly unread: number;
  /** Words for the namespace and process that were asked about. */
  readonly scope: string;
  readonly takenAt: string;
}

const COLUMNS: readonly Column[] = [
  { title: "LOCAL" },
  { title: "REMOTE" },
  { title: "PROCESS" },
  { title: "STATE" },
  { title: "KEEPALIVE" },
  { title: "TIMER" },
  { title: "DATA", align: "right" },
  { title: "ACK", align: "right" },
  { title: "UNACKED/UNSENT", align: "right" },
  { title: "DETECTS IDLE", align: "right" },
  { title: "IN FLIGHT", align: "right" },
  { title: "VERDICT" },
];

const SUMMARY_COLUMNS: readonly Column[] = [
  { title: "" },
  ...[
    "SOCKETS",
    "OPEN",
    "UNGUARDED",
    "SUSPECT",
    "DYING",
    "PROBING",
    "LISTENING",
    "TIME_WAIT",
    "WE CLOSED",
    "PEER CLOSED",
  ].map((title) => ({ title, align: "right" as const })),
];

const GROUPS_SHOWN = 20;
const TIMER_NAMES = ["none", "retransmit", "keepalive", "time-wait", "window-probe"] as const;
const TIMER_WORDS = ["-", "resend", "probe", "time-wait", "window"] as const;

export function socketsText(report: SocketReport, isColoured = false): string {
  const { shown, matching, summary } = report;
  const lines =
    shown.length === 0 ? ["no TCP socket matches"] : formatTable(COLUMNS, shown.map(socketRow), isColoured);
  if (shown.length < matching)
    lines.push("", `${formatCount(shown.length)} of ${formatCount(matching)} sockets; more with --limit N`);
  lines.push("", totalLine(summary.total), ...remarks(report));
  return `${lines.join("\n")}\n`;
}

/** `--summary`: counts instead of sockets. */
export function summaryText(report: SocketReport, isColoured = false): string {
  const { summary } = report;
  const lines = [
    ...groupTable("PROCESS", summary.processes, isColoured),
    "",
    ...groupTable("REMOTE", summary.remotes, isColoured),
    "",
    totalLine(summary.total),
    ...remarks(report),
  ];
  return `${lines.join("\n")}\n`;
}

function groupTable(title: string, groups: readonly SocketGroup[], isColoured: boolean): string[] {
  const columns = SUMMARY_COLUMNS.map((column, index) => (index === 0 ? { title } : column));
  const rows = groups.slice(0, GROUPS_SHOWN).map((group) => [group.name, ...countCells(group)]);
  const rest = groups.length - rows.length;
  return [
    ...formatTable(columns, rows, isColoured),
    ...(rest > 0 ? [`${formatCount(rest)} more with fewer sockets`] : []),
  ];
}

function countCells(counts: SocketCounts): string[] {
  return [
    counts.sockets,
    counts.open,
    counts.unguarded,
    counts.halfOpenSuspects,
    counts.dying,
    counts.probing,
    counts.listening,
    counts.timeWait,
    counts.weClosedFirst,
    counts.peerClosedFirst,
  ].map((count) => (count === 0 ? "-" : formatCount(count)));
}

function totalLine(total: SocketCounts): string {
  const parts: readonly (readonly [number, string])[] = [
    [total.open, "open"],
    [total.unguarded, "unguarded"],
    [total.halfOpenSuspects, "half-open suspects"],
    [total.dying, "dying"],
    [total.probing, "probing"],
    [total.listening, "listening"],
    [total.timeWait, "TIME_WAIT"],
    [total.weClosedFirst, "closed by us first"],
    [total.peerClosedFirst, "closed by the peer first"],
  ];
  const words = parts.filter(([count]) => count > 0).map(([count, word]) => `${formatCount(count)} ${word}`);
  return `${formatCount(total.sockets)} ${total.sockets === 1 ? "socket" : "sockets"}${words.length === 0 ? "" : `: ${words.join(", ")}`}`;
}

function remarks({ gaps, unread }: SocketReport): string[] {
  const unreadLine =
    unread > 0
      ? [`the options of ${formatCount(unread)} sockets were not read: --options reads them all`]
      : [];
  return [...unreadLine, ...gaps.map((gap) => `partial: ${gap}`)];
}

function socketRow({ socket, verdict }: JudgedSocket): string[] {
  const { diag } = socket;
  const isListening = diag.state === TcpDiagState.LISTEN;
  const idleMs = idleMsOf(diag);
  return [
    localEndpoint(diag),
    peerEndpoint(diag),
    processWord(socket),
    stateName(diag.state),
    keepaliveWord(socket, verdict),
    timerWord(socket),
    idleMs === undefined ? "-" : formatShort(idleMs),
    idleMs === undefined ? "-" : formatShort(diag.lastAckReceivedMs),
    isListening ? "-" : `${Math.max(0, diag.sendQueueBytes - diag.notSentBytes)}/${diag.notSentBytes}`,
    detectionWord(diag.state, verdict, verdict.detectIdleMs, verdict.keepalive === "off" ? "never" : "?"),
    detectionWord(diag.state, verdict, verdict.detectInFlightMs, "?"),
    verdict.kind === "alive" && verdict.reason === "" ? verdict.kind : `${verdict.kind} (${verdict.reason})`,
  ];
}

function processWord({ holders, diag }: SocketRecord): string {
  const [first] = holders;
  if (first === undefined) return diag.inode === 0 ? "-" : "?";
  const more = holders.length > 1 ? ` +${holders.length - 1}` : "";
  return `${printable(first.processName)}/${first.pid}${more}`;
}

/** A process chooses its own name: no control character of it reaches the terminal. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e\u00a0-\uffff]/g, "?");
}

/** `60s/10s/6`: idle, interval, count; `+user 30s`: TCP_USER_TIMEOUT. */
function keepaliveWord({ options, diag }: SocketRecord, { keepalive }: SocketVerdict): string {
  if (options === undefined)
    return isOpenState(diag.state) ? (keepalive === "unknown" ? "?" : keepalive) : "-";
  const user = options.userTimeoutMs > 0 ? ` +user ${formatDuration(options.userTimeoutMs)}` : "";
  if (!options.isKeepaliveOn) return `off${user}`;
  return `${formatDuration(options.idleMs)}/${formatDuration(options.intervalMs)}/${options.probeCount}${user}`;
}

function timerWord({ diag }: SocketRecord): string {
  if (diag.timer === DiagTimer.NONE) return "-";
  const count = diag.timerCount > 0 ? ` #${diag.timerCount}` : "";
  return `${TIMER_WORDS[diag.timer] ?? "?"} ${formatShort(diag.timerLeftMs)}${count}`;
}

function detectionWord(
  state: number,
  { isAssumed }: SocketVerdict,
  value: number | undefined,
  otherwise: string,
): string {
  if (!isOpenState(state)) return "-";
  if (value === undefined) return otherwise;
  return `${isAssumed ? "~" : ""}${formatAge(value)}`;
}

function formatShort(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)}ms` : ms < 10_000 ? `${(ms / 1000).toFixed(1)}s` : formatAge(ms);
}

/** The document, a line per socket (for jq and for grep), all of it ASCII. Put together by hand: see AsciiWriter. */
export function writeSocketsJson(report: SocketReport, writer: AsciiWriter): void {
  const { summary } = report;
  const head = {
    takenAt: report.takenAt,
    scope: report.scope,
    isPartial: report.gaps.length > 0,
    gaps: report.gaps,
    matching: report.matching,
    shown: report.shown.length,
    optionsUnread: report.unread,
    summary,
  };
  writer.text(ascii(JSON.stringify(head, null, 2).slice(0, -2))).text(',\n  "sockets": [');
  let separator = "\n";
  for (const judged of report.shown) {
    writeSocket(writer.text(separator), judged);
    separator = ",\n";
  }
  writer.text("\n  ]\n}\n").flush();
}

/** A process chooses its own name; the rest are numbers and words of this program. */
function ascii(json: string): string {
  return json.replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function writeSocket(writer: AsciiWriter, { socket, verdict }: JudgedSocket): void {
  const { diag } = socket;
  writer.text('{"family":').number(diag.family);
  writer.text(',"localAddress":"').text(diag.localAddress).text('","localPort":').number(diag.localPort);
  writer.text(',"remoteAddress":"').text(diag.peerAddress).text('","remotePort":').number(diag.peerPort);
  writer.text(',"state":"').text(stateName(diag.state)).text('","uid":').number(diag.uid);
  writer.text(',"inode":').number(diag.inode).text(',"cookie":').number(diag.cookie);
  writeVerdict(writer, verdict);
  writeHolders(writer, socket.holders);
  writeOptions(writer, socket.options);
  writer.text(',"timer":"').text(TIMER_NAMES[diag.timer] ?? "none");
  writer.text('","timerLeftMs":').number(diag.timerLeftMs).text(',"timerCount":').number(diag.timerCount);
  writer.text(',"receiveQueueBytes":').number(diag.receiveQueueBytes);
  writer.text(',"sendQueueBytes":').number(diag.sendQueueBytes);
  writeInfo(writer, socket);
  writer.text("}");
}

function writeVerdict(writer: AsciiWriter, verdict: SocketVerdict): void {
  writer.text(',"verdict":"').text(verdict.kind).text('","reason":"').text(verdict.reason);
  writer.text('","keepalive":"').text(verdict.keepalive);
  writer.text(verdict.isHalfOpenSuspect ? '","isHalfOpenSuspect":true' : '","isHalfOpenSuspect":false');
  writeOrNull(writer.text(',"givesUpInMs":'), verdict.givesUpInMs);
  writeOrNull(writer.text(',"detectIdleMs":'), verdict.detectIdleMs);
  writeOrNull(writer.text(',"detectInFlightMs":'), verdict.detectInFlightMs);
  writer.text(verdict.isAssumed ? ',"isDetectionAssumed":true' : ',"isDetectionAssumed":false');
}

function writeOrNull(writer: AsciiWriter, value: number | undefined): void {
  if (value === undefined) writer.text("null");
  else writer.number(Math.round(value));
}

function writeHolders(writer: AsciiWriter, holders: SocketRecord["holders"]): void {
  writer.text(',"processes":[');
  let separator = "";
  for (const { pid, fd, processName } of holders) {
    writer.text(separator).text('{"pid":').number(pid).text(',"fd":').number(fd);
    writer.text(',"name":').text(jsonName(processName)).text("}");
    separator = ",";
  }
  writer.text("]");
}

const JSON_NAMES = new Map<string, string>();

/** Thousands of sockets share a process. */
function jsonName(processName: string): string {
  let json = JSON_NAMES.get(processName);
  if (json === undefined) {
    json = ascii(JSON.stringify(processName));
    JSON_NAMES.set(processName, json);
  }
  return json;
}

function writeOptions(writer: AsciiWriter, options: SocketRecord["options"]): void {
  writer.text(',"options":').text(options === undefined ? "null" : JSON.stringify(options));
}

/** null, where the kernel keeps no account of the connection (TIME_WAIT, a listener, SYN_SENT). */
function writeInfo(writer: AsciiWriter, { diag }: SocketRecord): void {
  const idleMs = idleMsOf(diag);
  if (idleMs === undefined) {
    writer.text(',"idleMs":null,"silentMs":null,"info":null');
    return;
  }
  writer
    .text(',"idleMs":')
    .number(idleMs)
    .text(',"silentMs":')
    .number(silentMsOf(diag) ?? 0);
  writer.text(',"info":{"lastDataSentMs":').number(diag.lastDataSentMs);
  // Before the first payload the kernel's value means nothing.
  writeOrNull(
    writer.text(',"lastDataReceivedMs":'),
    diag.bytesReceived === 0 ? undefined : diag.lastDataReceivedMs,
  );
  writer.text(',"lastAckReceivedMs":').number(diag.lastAckReceivedMs);
  writer.text(',"rttUs":').number(diag.rttUs).text(',"rtoUs":').number(diag.rtoUs);
  writer.text(',"retransmits":').number(diag.retransmits).text(',"backoff":').number(diag.backoff);
  writer.text(',"probes":').number(diag.probes).text(',"unackedSegments":').number(diag.unackedSegments);
  writer.text(',"notSentBytes":').number(diag.notSentBytes).text(',"bytesAcked":').number(diag.bytesAcked);
  writer.text(',"bytesReceived":').number(diag.bytesReceived).text(',"segmentsIn":').number(diag.segmentsIn);
  writer.text(',"segmentsOut":').number(diag.segmentsOut);
  writer.text(',"totalRetransmits":').number(diag.totalRetransmits).text("}");
}
