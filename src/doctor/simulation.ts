/**
 * What becomes of a connection on a path, in virtual time: who loses state when, who is told what, who never learns. Pure and
 * deterministic; the world is in simulation/, its rules are those of the Linux kernel (net/ipv4/tcp_timer.c) and of the boxes'
 * makers (catalogue.ts). Packets travel in no time. Called by `holdfast predict` and by advice.ts.
 */
import { withDistinctNames } from "./distinct-names.ts";
import type { Fate, Scenario } from "./fate.ts";
import type { Hop, Path, TcpEnd } from "./hop.ts";
import { idleDetectionMs, idleTimeoutsOf, silenceThatTellsAll } from "./scenarios.ts";
import type { EndPointBehaviour } from "./simulation/end-point-machine.ts";
import { judge } from "./simulation/judge.ts";
import { type ScriptStep, World } from "./simulation/world.ts";

/** @throws TypeError when the path is none: it needs an end point at each end and nowhere else. */
export function simulatePath(asked: Path, scenario: Scenario): Fate {
  requirePath(asked);
  const path = withDistinctNames(asked);
  const world = new World(path, behaviourIn(scenario));
  const script = scriptOf(world, path, scenario);
  const horizonMs = script.at(-1)!.atMs + settlingTimeMs(path, scenario);
  const untilMs = world.run(script, horizonMs, () => isDecided(world, scenario));
  return judge(path, scenario, world, untilMs);
}

function requirePath(path: Path): void {
  const last = path.hops.length - 1;
  const isPath =
    last >= 1 && path.hops.every((hop, at) => (hop.kind === "end-point") === (at === 0 || at === last));
  if (!isPath) {
    throw new TypeError("a path has an end point as its first and last hop, and nowhere else");
  }
}

/** Whether the scenario is about something that has to come through. */
function expectsDelivery(scenario: Scenario): boolean {
  return scenario.kind === "idle"
    ? scenario.thenSpeaks !== undefined
    : scenario.kind === "slow-response" || scenario.kind === "half-closed";
}

function behaviourIn(scenario: Scenario): EndPointBehaviour {
  const isHalfClosed = scenario.kind === "half-closed";
  return {
    responseTimeMs:
      scenario.kind === "slow-response"
        ? scenario.responseTimeMs
        : isHalfClosed && scenario.endedBy === "client"
          ? scenario.atMs
          : scenario.kind === "host-dies-in-flight" && scenario.who === "client"
            ? 1 // the request is in, the client gone, and the answer goes out to nobody
            : 0,
    keepsItsSideOpen: isHalfClosed,
    deliveryIsAtServer: isHalfClosed && scenario.endedBy === "server",
  };
}

function scriptOf(world: World, path: Path, scenario: Scenario): readonly ScriptStep[] {
  switch (scenario.kind) {
    case "idle":
      return idleScript(world, path, scenario);
    case "slow-response":
      return [connectAnd(world, (nowMs) => world.client.request(nowMs))];
    case "half-closed":
      return halfClosedScript(world, scenario);
    case "host-dies-idle":
      return [
        connectAnd(world, (nowMs) => {
          prepare(world, nowMs);
          world.vanish(nowMs, scenario.who);
        }),
      ];
    case "host-dies-in-flight":
      return [
        connectAnd(world, (nowMs) => {
          if (scenario.who === "server") {
            prepare(world, nowMs);
            world.vanish(nowMs, "server");
            world.client.request(nowMs);
          } else {
            world.client.request(nowMs);
            world.vanish(nowMs, "client");
          }
        }),
      ];
  }
}

function connectAnd(world: World, run: (nowMs: number) => void): ScriptStep {
  return {
    atMs: 0,
    run: (nowMs) => {
      world.connectClient(nowMs);
      run(nowMs);
    },
  };
}

/** The one exchange that a connection has behind it when it falls silent. */
function prepare(world: World, nowMs: number): void {
  world.isPreparing = true;
  world.client.request(nowMs);
  world.isPreparing = false;
}

function idleScript(
  world: World,
  path: Path,
  scenario: Extract<Scenario, { kind: "idle" }>,
): readonly ScriptStep[] {
  const atMs = scenario.atMs ?? silenceThatTellsAll(path);
  const speak = (nowMs: number): void => {
    if (scenario.thenSpeaks === "server" && world.server.isOpen) world.server.speak(nowMs);
    if (scenario.thenSpeaks !== "client") return;
    // A client that knows of the end opens a new connection: that is what pools do.
    if (!world.client.isOpen) world.connectClient(nowMs);
    world.client.speak(nowMs);
  };
  return [connectAnd(world, (nowMs) => prepare(world, nowMs)), { atMs, run: speak }];
}

function halfClosedScript(
  world: World,
  scenario: Extract<Scenario, { kind: "half-closed" }>,
): readonly ScriptStep[] {
  if (scenario.endedBy === "client") {
    return [
      connectAnd(world, (nowMs) => {
        world.client.request(nowMs);
        world.client.socket!.shutdown(nowMs);
      }),
    ];
  }
  const begin = connectAnd(world, (nowMs) => {
    prepare(world, nowMs); // an HTTP proxy opens its connection to the server for a request only
    world.client.keepWorking();
    world.server.keepWorking();
    world.server.socket!.shutdown(nowMs);
  });
  const speak = (nowMs: number): void => {
    if (world.client.isOpen) world.client.speak(nowMs);
  };
  return [begin, { atMs: scenario.atMs, run: speak }];
}

/** Nothing more will change what can be said about the connection. */
function isDecided(world: World, scenario: Scenario): boolean {
  if (world.sockets().some((socket) => socket.isHalfOpen)) return false;
  if (!expectsDelivery(scenario) || world.deliveredAtMs !== undefined) return true;
  const { client, server } = world;
  return !client.isOpen || !server.isOpen || client.errorResponseAtMs !== undefined;
}

const HOUR_MS = 3_600_000;
const SETTLING_MAX_MS = 72 * HOUR_MS;

/** Long enough for every timer of the path to have run out twice, so that "never" means never. */
function settlingTimeMs(path: Path, scenario: Scenario): number {
  const ends = path.hops.flatMap(tcpEndsOf);
  const longestMs = Math.max(
    ...path.hops.flatMap(idleTimeoutsOf),
    ...ends.map((end) => idleDetectionMs(end) ?? 0),
    ...ends.map((end) => end.retransmissionTimeoutMs),
    scenario.kind === "slow-response" ? scenario.responseTimeMs : 0,
    scenario.kind === "half-closed" ? scenario.atMs : 0,
  );
  return Math.max(2 * HOUR_MS, Math.min(SETTLING_MAX_MS, 2 * longestMs + HOUR_MS));
}

function tcpEndsOf(hop: Hop): readonly TcpEnd[] {
  if (hop.kind === "end-point") return [hop.tcp];
  return hop.kind === "proxy" ? [hop.clientSide, hop.serverSide] : [];
}
