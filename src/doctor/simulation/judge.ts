/**
 * From a simulated history to a fate: what each end has learned, whose fault it is, whether people would call it healthy, and one
 * sentence. Pure.
 */
import type { EndFate, Fate, Scenario } from "../fate.ts";
import type { Path } from "../hop.ts";
import { DETECTION_LIMIT_MS } from "../scenarios.ts";
import { spokenDuration } from "../spoken-duration.ts";
import type { Socket } from "./connection.ts";
import type { Blame } from "./timeline.ts";
import type { World } from "./world.ts";

export function judge(path: Path, scenario: Scenario, world: World, untilMs: number): Fate {
  const firstOfLeg = world.connections.filter(
    (connection, index, all) => all.findIndex((it) => it.leg === connection.leg) === index,
  );
  const ends = firstOfLeg
    .toSorted((a, b) => a.leg - b.leg)
    .flatMap((connection) => [connection.client, connection.server])
    .filter((socket) => socket.state !== "vanished")
    .map((socket) => endFate(socket, world));
  const all = world
    .sockets()
    .filter((socket) => socket.state !== "vanished")
    .map((socket) => endFate(socket, world));
  const isHealthy = healthOf(scenario, world, all);
  const isDeath = scenario.kind === "host-dies-idle" || scenario.kind === "host-dies-in-flight";
  const culprit = culpritOf(world.timeline.blames, isHealthy && !isDeath);
  const name = (hop: number): string => path.hops[hop]!.name;
  const verdict = isHealthy
    ? goodNews(scenario, culprit, ends, world, name)
    : badNews(culprit, ends, name, scenario);
  return {
    scenario,
    events: world.timeline.readableEvents(),
    ends,
    culprit: culprit?.hop,
    verdict,
    isHealthy,
    untilMs,
  };
}

function endFate(socket: Socket, world: World): EndFate {
  const place = { hop: socket.place.hop, leg: socket.connection.leg };
  const errorResponseAtMs = socket === world.client.socket ? world.client.errorResponseAtMs : undefined;
  if (errorResponseAtMs !== undefined) {
    return { ...place, learnsAtMs: errorResponseAtMs, how: "error-response", errno: undefined };
  }
  if (socket.fate !== undefined) return { ...place, ...socket.fate };
  const how = socket.isHalfOpen ? "never" : "still-alive";
  return { ...place, learnsAtMs: undefined, how, errno: undefined };
}

/** The data that meets the dead client leaves a moment after time 0: a time-out of exactly the limit is still in time. */
const GRACE_MS = 1000;

function healthOf(scenario: Scenario, world: World, ends: readonly EndFate[]): boolean {
  if (ends.some((end) => end.how === "never")) return false;
  const isTold = !ends.some((end) => (end.learnsAtMs ?? 0) > DETECTION_LIMIT_MS + GRACE_MS);
  switch (scenario.kind) {
    case "host-dies-idle":
    case "host-dies-in-flight":
      return isTold;
    case "slow-response":
    case "half-closed":
      return world.deliveredAtMs !== undefined;
    case "idle": {
      const isBroken = ends.some((end) => ["reset", "error", "error-response"].includes(end.how));
      const isCut = world.timeline.blames.some((blame) => blame.kind === "cut" && !isSurvived(blame, world));
      const isOver = !world.client.isOpen || !world.server.isOpen;
      if (isBroken || isCut) return false;
      return scenario.thenSpeaks === undefined || world.deliveredAtMs !== undefined || isOver;
    }
  }
}

/** A box forgot, and let the next packet in all the same. */
function isSurvived(blame: Blame, world: World): boolean {
  return world.connections.some(
    (connection) =>
      connection.leg === blame.leg &&
      connection.boxes.some((box) => box.index === blame.hop && !box.isForgotten),
  );
}

/** Who cut it first; when nobody did, who ended it in good order. */
function culpritOf(blames: readonly Blame[], isAlive: boolean): Blame | undefined {
  const cut = blames.find((blame) => blame.kind === "cut");
  const orderly = blames.find((blame) => blame.kind === "orderly");
  return isAlive ? orderly : (cut ?? orderly);
}

function goodNews(
  scenario: Scenario,
  culprit: Blame | undefined,
  ends: readonly EndFate[],
  world: World,
  name: (hop: number) => string,
): string {
  switch (scenario.kind) {
    case "slow-response":
      return `the answer arrives after ${spokenDuration(world.deliveredAtMs!)}`;
    case "half-closed":
      return `the open half still carries data after ${spokenDuration(world.deliveredAtMs!)}`;
    case "idle":
      if (culprit !== undefined) return `${culprit.text}; both ends are told and nothing is lost`;
      return world.deliveredAtMs === undefined
        ? "the connection stays alive"
        : `the connection is alive after ${spokenDuration(world.deliveredAtMs)} of silence`;
    default:
      return `${culprit!.text}; ${survivorsOf(ends, culprit!, name)}`;
  }
}

function badNews(
  culprit: Blame | undefined,
  ends: readonly EndFate[],
  name: (hop: number) => string,
  scenario: Scenario,
): string {
  const cause =
    culprit === undefined
      ? "nothing comes through"
      : `hop ${culprit.hop + 1}: ${culprit.text}${isWhileComputing(scenario, culprit) ? ", while the server still computes" : ""}`;
  const told = toldWhat(ends, name);
  return told === "" ? cause : `${cause}; ${told}`;
}

function isWhileComputing(scenario: Scenario, culprit: Blame): boolean {
  return scenario.kind === "slow-response" && culprit.atMs < scenario.responseTimeMs;
}

/** Those who talked to the dead host, and those who were told through them. */
function survivorsOf(ends: readonly EndFate[], death: Blame, name: (hop: number) => string): string {
  // A connection that ended with the last answer, as nginx's to its servers do, was none any more when the host vanished.
  const concerned = ends.filter(
    (end) =>
      end.learnsAtMs !== 0 &&
      (end.leg === death.leg || end.errno !== undefined || end.how === "error-response"),
  );
  const letGo = concerned
    .filter((end) => end.how === "own-timeout")
    .map((end) => `${name(end.hop)} lets go by itself after ${spokenDuration(end.learnsAtMs ?? 0)}`);
  const texts = [...letGo, toldWhat(concerned, name)].filter((text) => text !== "");
  return texts.length === 0 ? "nobody was connected to it any more" : texts.join("; ");
}

/** A proxy that ends one leg because of what it was told on the other. */
function hasToldItself(other: EndFate, end: EndFate): boolean {
  if (other === end || other.hop !== end.hop || other.learnsAtMs === undefined) return false;
  return other.learnsAtMs <= end.learnsAtMs! && (other.how !== "fin" || other.leg < end.leg);
}

/** "client is told ECONNRESET after 360 s; server never learns" */
function toldWhat(ends: readonly EndFate[], name: (hop: number) => string): string {
  return (
    ends
      // An end that closed by itself, or passed on what it was told, needs no telling.
      .filter((end) => end.how !== "still-alive" && end.how !== "own-timeout")
      .filter((end) => end.how !== "reset" || end.errno !== undefined)
      .filter((end) => end.how !== "fin" || !ends.some((other) => hasToldItself(other, end)))
      .map((end) => {
        const who = name(end.hop);
        if (end.how === "never") return `${who} never learns`;
        const when = `after ${spokenDuration(end.learnsAtMs ?? 0)}`;
        if (end.how === "error-response") return `${who} gets an error response ${when}`;
        if (end.errno !== undefined) return `${who} is told ${end.errno} ${when}`;
        return `${who} reads the end ${when}`;
      })
      .join("; ")
  );
}
