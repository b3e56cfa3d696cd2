/**
 * The cases of doctor-fate.test.ts: every kind of box × every scenario × what the kernels at the two ends do, and how a scenario is
 * played on real sockets. Times are seconds of real time: all cases run at once.
 */
import type { Fate, Scenario } from "../../src/doctor/fate.ts";
import type { EndPointHop, Path, TcpEnd } from "../../src/doctor/hop.ts";
import {
  type BoxKind,
  HALF_CLOSED_MS,
  PACKET_BOXES,
  RELAYS,
  SILENT_RELAY,
  tcpEnd,
} from "../harness/boxes.ts";
import type { EndOptions, EndOrder, EndRecord } from "./doctor-ends-program.ts";

export type Who = "client" | "server";

/** What the kernels at the two ends do about silence. */
interface Guard {
  readonly name: string;
  readonly client: TcpEnd;
  readonly server: TcpEnd;
}

const seconds = (idle: number, interval: number, probeCount: number): TcpEnd["keepalive"] => ({
  idleMs: idle * 1000,
  intervalMs: interval * 1000,
  probeCount,
});

const UNGUARDED: Guard = { name: "no probes", client: tcpEnd(), server: tcpEnd() };

const GUARDS: readonly Guard[] = [
  UNGUARDED,
  // Below every time-out: what passes a box refreshes it.
  { name: "client probes 1:1:3", client: tcpEnd({ keepalive: seconds(1, 1, 3) }), server: tcpEnd() },
  // Above them: the probes find a box that has forgotten.
  { name: "server probes 6:1:2", client: tcpEnd(), server: tcpEnd({ keepalive: seconds(6, 1, 2) }) },
  // The user time-out overrides the count, and bounds data in flight.
  {
    name: "both probe 5:1:9, user timeout 7 s",
    client: tcpEnd({ keepalive: seconds(5, 1, 9), userTimeoutMs: 7000 }),
    server: tcpEnd({ keepalive: seconds(5, 1, 9), userTimeoutMs: 7000 }),
  },
  {
    name: "user timeout 2 s",
    client: tcpEnd({ userTimeoutMs: 2000 }),
    server: tcpEnd({ userTimeoutMs: 2000 }),
  },
];

const AFTER_EXPIRY_MS = 5000;
const BEFORE_HALF_CLOSED_EXPIRY_MS = HALF_CLOSED_MS / 2;

const SCENARIOS: readonly Scenario[] = [
  { kind: "idle" },
  { kind: "idle", atMs: AFTER_EXPIRY_MS, thenSpeaks: "client" },
  { kind: "idle", atMs: AFTER_EXPIRY_MS, thenSpeaks: "server" },
  { kind: "slow-response", responseTimeMs: AFTER_EXPIRY_MS },
  { kind: "half-closed", endedBy: "client", atMs: AFTER_EXPIRY_MS },
  { kind: "half-closed", endedBy: "server", atMs: AFTER_EXPIRY_MS },
  { kind: "half-closed", endedBy: "client", atMs: BEFORE_HALF_CLOSED_EXPIRY_MS },
  { kind: "host-dies-idle", who: "client" },
  { kind: "host-dies-idle", who: "server" },
  { kind: "host-dies-in-flight", who: "client" },
  { kind: "host-dies-in-flight", who: "server" },
];

/** A prediction lets packets travel in no time. */
const LINGERS_MS = 300;

/** Boxes by the number of their namespace. */
export const BOX_KINDS: readonly BoxKind[] = [...PACKET_BOXES, ...RELAYS, SILENT_RELAY];

export interface Case {
  readonly id: string;
  readonly name: string;
  readonly box: number;
  readonly kind: BoxKind;
  readonly port: number;
  readonly path: Path;
  readonly scenario: Scenario;
  readonly guard: Guard;
}

const FIRST_PORT = 20_000;

export function allCases(): readonly Case[] {
  const cases: Case[] = [];
  for (const [box, kind] of BOX_KINDS.entries()) {
    for (const guard of kind === SILENT_RELAY ? [UNGUARDED] : GUARDS) {
      for (const scenario of SCENARIOS) {
        // Its kernel takes what the survivor sends.
        if (kind === SILENT_RELAY && scenario.kind === "host-dies-in-flight") continue;
        const port = FIRST_PORT + cases.length;
        cases.push({
          id: String(port),
          name: `${kind.name}; ${sentence(scenario)}; ${guard.name}`,
          box,
          kind,
          port,
          path: { hops: [endPoint("client", guard.client), kind.hop, endPoint("server", guard.server)] },
          scenario,
          guard,
        });
      }
    }
  }
  return cases;
}

function endPoint(name: string, tcp: TcpEnd): EndPointHop {
  const never = { idleTimeoutMs: undefined, responseTimeoutMs: undefined, pingIntervalMs: undefined };
  return { kind: "end-point", name, tcp, ...never, source: { text: "doctor-fate-cases.ts" } };
}

function sentence(scenario: Scenario): string {
  switch (scenario.kind) {
    case "idle":
      return scenario.thenSpeaks === undefined ? "idle" : `idle, then the ${scenario.thenSpeaks} speaks`;
    case "slow-response":
      return "slow answer";
    case "half-closed":
      return `half-closed by the ${scenario.endedBy} for ${scenario.atMs / 1000} s`;
    default:
      return `${scenario.kind.replaceAll("-", " ")}: ${scenario.who}`;
  }
}

export function optionsOf(who: Who, { guard, scenario }: Case): Omit<EndOptions, "address" | "port"> {
  const { keepalive, userTimeoutMs } = guard[who];
  return {
    keepalive:
      keepalive === undefined
        ? null
        : {
            idle: keepalive.idleMs / 1000,
            interval: keepalive.intervalMs / 1000,
            count: keepalive.probeCount,
          },
    userTimeoutMs,
    closesOnFin: scenario.kind !== "half-closed",
  };
}

/** What to do at which end, how long after the exchange that every scenario begins with. `dies` comes before the orders at 0. */
export interface Play {
  readonly dies: Who | undefined;
  readonly orders: readonly { readonly atMs: number; readonly who: Who; readonly order: EndOrder }[];
}

export function playOf({ id, scenario }: Case): Play {
  const say = (atMs: number, who: Who, text: string) =>
    ({ atMs, who, order: { do: "say", id, text } }) as const;
  const end = (atMs: number, who: Who, how: "finish" | "close") =>
    ({ atMs, who, order: { do: how, id } }) as const;
  switch (scenario.kind) {
    case "idle": {
      const { atMs, thenSpeaks } = scenario;
      if (thenSpeaks === undefined) return { dies: undefined, orders: [] };
      return { dies: undefined, orders: [say(atMs!, thenSpeaks, thenSpeaks === "client" ? "ping" : "news")] };
    }
    case "slow-response":
      return {
        dies: undefined,
        orders: [say(0, "client", "request"), say(scenario.responseTimeMs, "server", "answer")],
      };
    case "half-closed": {
      const { endedBy, atMs } = scenario;
      return {
        dies: undefined,
        orders:
          endedBy === "client"
            ? [
                say(0, "client", "request"),
                end(0, "client", "finish"),
                say(atMs, "server", "answer"),
                // A program that closes in the moment it has sent is told nothing, whatever becomes of its words.
                end(atMs + LINGERS_MS, "server", "close"),
              ]
            : [end(0, "server", "finish"), say(atMs, "client", "request")],
      };
    }
    case "host-dies-idle":
      return { dies: scenario.who, orders: [] };
    case "host-dies-in-flight": {
      const survivor = scenario.who === "client" ? "server" : "client";
      return { dies: scenario.who, orders: [say(0, survivor, "data")] };
    }
  }
}

/** What an application at one end was told last, in the words of both worlds. */
export interface Told {
  readonly what: "nothing" | "closed in order" | "ETIMEDOUT" | "ECONNRESET" | string;
  readonly atMs: number | undefined;
  /** "Alive so far" says nothing about what comes later. */
  readonly validUntilMs?: number;
}

const NOTHING: Told = { what: "nothing", atMs: undefined };

export function predictedFor(who: Who, fate: Fate, lastHop: number): Told | undefined {
  const { scenario } = fate;
  const isDead =
    (scenario.kind === "host-dies-idle" || scenario.kind === "host-dies-in-flight") && scenario.who === who;
  if (isDead) return undefined;
  const end = fate.ends.find((it) => it.hop === (who === "client" ? 0 : lastHop));
  if (end === undefined || end.learnsAtMs === undefined) {
    return { ...NOTHING, ...(end?.how === "still-alive" ? { validUntilMs: fate.untilMs } : {}) };
  }
  return { what: end.errno ?? "closed in order", atMs: end.learnsAtMs };
}

export function observedAt(records: readonly EndRecord[], startMs: number): Told {
  const last = records.find((it) => it.event === "error" || it.event === "closed");
  if (last === undefined) return NOTHING;
  return { what: last.code ?? "closed in order", atMs: last.atMs - startMs };
}

/** When what the scenario is about came through; undefined: it did not. */
export function predictedDelivery(fate: Fate): number | undefined {
  if (fate.scenario.kind === "half-closed" && fate.scenario.endedBy === "server") {
    return fate.isHealthy ? fate.scenario.atMs : undefined;
  }
  const atMs = fate.events.find((it) => it.what === "gets-answer" && it.hop === 0 && it.atMs > 0)?.atMs;
  // A client that was told of the end gets its answer on a new connection; with the answer, the end is no news.
  const client = fate.ends.find((it) => it.hop === 0);
  const toldAtMs = client?.learnsAtMs ?? Infinity;
  const isOnNewConnection =
    atMs !== undefined && (client?.errno === undefined ? toldAtMs < atMs : toldAtMs <= atMs);
  return isOnNewConnection ? undefined : atMs;
}

export function observedDelivery(
  records: { readonly client: readonly EndRecord[]; readonly server: readonly EndRecord[] },
  scenario: Scenario,
  startMs: number,
): number | undefined {
  const isAtServer = scenario.kind === "half-closed" && scenario.endedBy === "server";
  const words = isAtServer ? ["request"] : ["answer", "pong", "news"];
  const record = records[isAtServer ? "server" : "client"].find(
    (it) => it.event === "data" && words.includes(it.text!),
  );
  return record === undefined ? undefined : record.atMs - startMs;
}
