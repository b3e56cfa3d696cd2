/**
 * The supervisor's log on stderr: JSON lines for machines, short text on a terminal. Not the access log.
 * `formatLogLine` is pure; `createLogger` writes. Workers log through the supervisor (`WorkerMessage` "log").
 */
export type LogLevel = "info" | "warn" | "error";
export type LogFields = Readonly<Record<string, string | number>>;

export interface Logger {
  log(level: LogLevel, event: string, message: string, fields?: LogFields): void;
}

export interface LogEntry {
  readonly nowMs: number;
  readonly level: LogLevel;
  readonly event: string;
  readonly message: string;
  readonly fields: LogFields;
}

const RED = "\u001b[31m";
const YELLOW = "\u001b[33m";
const DIM = "\u001b[2m";
const RESET = "\u001b[0m";

export function formatLogLine(entry: LogEntry, format: "json" | "text", isColoured: boolean): string {
  const time = new Date(entry.nowMs).toISOString();
  const { level, event, message, fields } = entry;
  if (format === "json") {
    const head = { time, level, event, message };
    return JSON.stringify({ ...head, ...fields, ...head }); // head first, and no field replaces it
  }
  const colour = level === "error" ? RED : level === "warn" ? YELLOW : "";
  const tail = Object.entries(fields).map(([key, value]) => `${key}=${quoteIfNeeded(value)}`);
  const detail = tail.length === 0 ? "" : `  ${tail.join(" ")}`;
  const head = level === "info" ? message : `${level}: ${message}`;
  return isColoured
    ? `${DIM}${time.slice(11, 23)}${RESET} ${colour}${head}${colour === "" ? "" : RESET}${DIM}${detail}${RESET}`
    : `${time.slice(11, 23)} ${head}${detail}`;
}

function quoteIfNeeded(value: string | number): string {
  return typeof value === "string" && /[\s"=]|^$/.test(value) ? JSON.stringify(value) : String(value);
}

export interface LogStream {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** `now` is the wall clock. */
export function createLogger(stream: LogStream, now: () => number): Logger {
  const isTerminal = stream.isTTY === true;
  const isColoured = isTerminal && process.env.NO_COLOR === undefined;
  return {
    log(level, event, message, fields = {}) {
      const entry = { nowMs: now(), level, event, message, fields };
      stream.write(`${formatLogLine(entry, isTerminal ? "text" : "json", isColoured)}\n`);
    },
  };
}
