/**
 * Scenarios as an operator writes them, in PATH.yaml and after `--scenario`: `idle`, `slow-response=2m`, `idle=10m,server`,
 * `half-closed=2m,client`, `host-dies-idle=server`. Pure. What the words mean is in fate.ts.
 */
import { closest } from "../config/closest.ts";
import { parseDurationMs } from "../config/duration.ts";
import { type Parsed, parsed, quoted, refused } from "../config/parsed.ts";
import { isMap, type RawMap } from "../config/raw.ts";
import type { Scenario } from "./fate.ts";

export const SCENARIO_KINDS = [
  "idle",
  "slow-response",
  "half-closed",
  "host-dies-idle",
  "host-dies-in-flight",
] as const;

const RESPONSE_TIME_MS = 120_000;
const IDLE_MS = 3_600_000;

/** A word, or a map with one key: `{ slow-response: 2m }`, `{ idle: { at: 10m, then_speaks: server } }`. */
export function parseScenario(raw: unknown): Parsed<Scenario> {
  if (typeof raw === "string") return parseScenarioWord(raw);
  if (!isMap(raw) || Object.keys(raw).length !== 1) return refused(`${quoted(raw)} is not a scenario`, HINT);
  const [kind, value] = Object.entries(raw)[0]!;
  if (isMap(value)) return build(kind, value);
  return build(kind, shortForm(kind, value === null ? [] : [String(value)]));
}

/** `KIND[=DURATION][,END]`. */
export function parseScenarioWord(word: string): Parsed<Scenario> {
  const equals = word.indexOf("=");
  const kind = equals < 0 ? word : word.slice(0, equals);
  return build(kind, shortForm(kind, equals < 0 ? [] : word.slice(equals + 1).split(",")));
}

const HINT = `write one of ${SCENARIO_KINDS.join(", ")}; for example slow-response=2m or idle=10m,server`;
const ENDS = ["client", "server"];

function shortForm(kind: string, values: readonly string[]): RawMap {
  const map: Record<string, string> = {};
  for (const value of values)
    map[ENDS.includes(value) ? (END_KEYS[kind] ?? "who") : (TIME_KEYS[kind] ?? "at")] = value;
  return map;
}

const TIME_KEYS: Readonly<Record<string, string>> = {
  idle: "at",
  "slow-response": "response_time",
  "half-closed": "at",
};
const END_KEYS: Readonly<Record<string, string>> = {
  idle: "then_speaks",
  "half-closed": "ended_by",
  "host-dies-idle": "who",
  "host-dies-in-flight": "who",
};

function build(kind: string, given: RawMap): Parsed<Scenario> {
  if (!(SCENARIO_KINDS as readonly string[]).includes(kind)) {
    const near = closest(kind, SCENARIO_KINDS);
    return refused(`"${kind}" is not a scenario`, near === undefined ? HINT : `did you mean ${near}?`);
  }
  const known = [TIME_KEYS[kind], END_KEYS[kind]].filter((key) => key !== undefined);
  const unknown = Object.keys(given).find((key) => !known.includes(key));
  if (unknown !== undefined)
    return refused(`${kind} has no ${quoted(unknown)}`, `it has: ${known.join(", ")}`);
  const time = readTime(given, TIME_KEYS[kind]);
  if (!time.ok) return time;
  const end = readEnd(given, END_KEYS[kind]);
  if (!end.ok) return end;
  return parsed(scenarioOf(kind as Scenario["kind"], time.value, end.value));
}

function scenarioOf(
  kind: Scenario["kind"],
  timeMs: number | undefined,
  end: "client" | "server" | undefined,
): Scenario {
  switch (kind) {
    case "idle":
      if (timeMs === undefined && end === undefined) return { kind };
      return { kind, atMs: timeMs ?? IDLE_MS, thenSpeaks: end ?? "client" };
    case "slow-response":
      return { kind, responseTimeMs: timeMs ?? RESPONSE_TIME_MS };
    case "half-closed":
      return { kind, endedBy: end ?? "client", atMs: timeMs ?? RESPONSE_TIME_MS };
    case "host-dies-idle":
    case "host-dies-in-flight":
      return { kind, who: end ?? "server" };
  }
}

function readTime(given: RawMap, key: string | undefined): Parsed<number | undefined> {
  const raw = key === undefined ? undefined : given[key];
  return raw === undefined ? parsed(undefined) : parseDurationMs(raw, { minMs: 1, maxMs: 365 * 86_400_000 });
}

function readEnd(given: RawMap, key: string | undefined): Parsed<"client" | "server" | undefined> {
  const raw = key === undefined ? undefined : given[key];
  if (raw === undefined || raw === "client" || raw === "server") return parsed(raw);
  return refused(`${quoted(raw)} is neither client nor server`);
}
