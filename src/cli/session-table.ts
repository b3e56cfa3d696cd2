/**
 * `holdfast sessions` for humans: the live TCP sessions as a table, and whether TCP keepalive keeps them. Pure. Called by sessions.ts.
 *
 * The answer to that question never depends on the settings, only what the probes are good for does: the relay terminates TCP on
 * both sides, so a probe ends at the kernel of this host, and idle_timeout counts payload.
 */
import type { ListedSession, SessionsDocument } from "../daemon/session-collector.ts";
import { parseSoKeepalive } from "../tcp/so-keepalive.ts";
import { formatAge, formatCount } from "./figures.ts";
import { type Column, formatTable } from "./table.ts";

const COLUMNS: readonly Column[] = [
  { title: "WORKER", align: "right" },
  { title: "ID", align: "right" },
  { title: "LISTENER" },
  { title: "CLIENT" },
  { title: "GATEWAY" },
  { title: "SERVER" },
  { title: "STATE" },
  { title: "AGE", align: "right" },
  { title: "IDLE", align: "right" },
  { title: "LEFT", align: "right" },
  { title: "FROM CLIENT", align: "right" },
  { title: "FROM SERVER", align: "right" },
  { title: "KEEPALIVE", align: "right" },
];

export interface KeepaliveVerdict {
  /** Whether TCP keepalive of either end keeps the session from expiring: it never does. */
  readonly keepsSession: boolean;
  readonly sentence: string;
}

export function formatSessions(document: SessionsDocument, isColoured = false): string[] {
  const { sessions, total, missingWorkers } = document;
  if (total === 0 && missingWorkers.length === 0) return ["no TCP session"];
  const sentences: string[] = [];
  const rows = sessions.map((session) => {
    const { sentence } = keepaliveVerdict(session);
    if (!sentences.includes(sentence)) sentences.push(sentence);
    return sessionRow(session, sentences.indexOf(sentence) + 1);
  });
  const lines = formatTable(COLUMNS, rows, isColoured);
  if (sessions.length < total)
    lines.push("", `${formatCount(sessions.length)} of ${formatCount(total)} sessions; more with --limit N`);
  for (const worker of missingWorkers) lines.push(`worker ${worker} did not answer`);
  if (sentences.length > 0) lines.push("", "Does TCP keepalive keep the session?");
  return [...lines, ...sentences.map((sentence, index) => `  [${index + 1}] ${sentence}`)];
}

function sessionRow(session: ListedSession, note: number): string[] {
  return [
    String(session.worker),
    String(session.id),
    session.listener,
    session.client,
    session.local,
    session.server === "" ? `(${session.pool})` : session.server,
    session.state,
    formatAge(session.ageMs),
    formatAge(session.idleMs),
    session.leftMs < 0 ? "-" : formatLeft(session.leftMs),
    formatPayload(session.bytesFromClient),
    formatPayload(session.bytesFromServer),
    `[${note}]`,
  ];
}

/** Below ten seconds tenths count. */
function formatLeft(leftMs: number): string {
  return leftMs < 10_000 ? `${(leftMs / 1000).toFixed(1)}s` : formatAge(leftMs);
}

function formatPayload(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = bytes / 1024;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${value.toFixed(1)} ${units[unit]}`;
}

/** What the probes of the gateway's two sockets do for this session, and what nobody's probes do. */
export function keepaliveVerdict(
  session: Pick<ListedSession, "clientKeepalive" | "serverKeepalive" | "leftMs" | "state">,
): KeepaliveVerdict {
  const clock =
    session.leftMs < 0 && session.state !== "connecting"
      ? "No, and nothing has to: it has no idle_timeout."
      : "No: only payload refreshes idle_timeout. Probes, whoever sends them, are answered by the kernel at each end of a leg; the relay never sees them.";
  const { clientKeepalive, serverKeepalive } = session;
  const legs =
    clientKeepalive === serverKeepalive
      ? [legSentence("client and the server", "either", clientKeepalive)]
      : [legSentence("client", "it", clientKeepalive), legSentence("server", "it", serverKeepalive)];
  return { keepsSession: false, sentence: [clock, ...legs].filter((part) => part !== "").join(" ") };
}

/** `peers`: who is probed; `each`: one of them. */
function legSentence(peers: string, each: "it" | "either", soKeepalive: string): string {
  if (soKeepalive === "") return "";
  const parsed = parseSoKeepalive(soKeepalive);
  if (!parsed.ok || parsed.value.enabled !== true)
    return `The gateway does not probe the ${peers}: when ${each} vanishes, that is noticed when something is sent to it.`;
  const { idleSeconds = 0, intervalSeconds = 0, probeCount = 0 } = parsed.value;
  return (
    `The gateway probes the ${peers} after ${idleSeconds} s of silence, every ${intervalSeconds} s; when ${each} leaves ` +
    `${probeCount} unanswered, ${idleSeconds + intervalSeconds * probeCount} s in all, the session is reset: ` +
    "a dead host or path is detected, a frozen process is not."
  );
}
