/** Tests of log.ts: JSON for machines, short text for terminals. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, formatLogLine, type LogEntry } from "./log.ts";

const ENTRY: LogEntry = {
  nowMs: 0,
  level: "warn",
  event: "e",
  message: "it broke",
  fields: { pid: 7, why: "a b" },
};

test("formatLogLine() writes JSON for machines and short text for terminals", () => {
  assert.equal(
    formatLogLine(ENTRY, "json", false),
    '{"time":"1970-01-01T00:00:00.000Z","level":"warn","event":"e","message":"it broke","pid":7,"why":"a b"}',
  );
  assert.equal(formatLogLine(ENTRY, "text", false), '00:00:00.000 warn: it broke  pid=7 why="a b"');
  assert.equal(
    formatLogLine({ ...ENTRY, level: "info", fields: {} }, "text", false),
    "00:00:00.000 it broke",
  );
});

test("formatLogLine() lets no field replace the level or the message", () => {
  const line = formatLogLine({ ...ENTRY, fields: { level: "fake", message: "fake" } }, "json", false);
  assert.equal(JSON.parse(line).level, "warn");
  assert.equal(JSON.parse(line).message, "it broke");
});

test("createLogger() chooses the format by its stream", () => {
  const lines: string[] = [];
  const write = (text: string) => lines.push(text);
  createLogger({ write }, () => 0).log("info", "e", "m");
  createLogger({ write, isTTY: true }, () => 0).log("info", "e", "m");
  assert.match(lines[0]!, /^\{.*\}\n$/);
  assert.match(lines[1]!, /00:00:00\.000.* m/);
});
