import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type ConnectionSight,
  defaultRungsMs,
  isDecided,
  PROBE_PLAN,
  type RungEffect,
  RungMachine,
  type RungResult,
  refinedRungsMs,
} from "./ladder.ts";

const LOOK_MS = 100;

/** What happens to the connection at a moment of virtual time. */
type Happening =
  | { readonly atMs: number; readonly what: "connected" | "payload" | "fin" }
  | { readonly atMs: number; readonly what: "error"; readonly errno: string };

/** A kernel of virtual time: the machine looks at it ten times a second; probes are answered after a round trip, or not. */
function play(
  rungMs: number,
  happenings: readonly Happening[],
  reply: "ack" | "ack-second" | "rst" | "none",
): { result: RungResult; endedAtMs: number; probes: number; close: RungEffect | undefined } {
  const machine = new RungMachine(rungMs);
  let receivedAtMs = 0;
  let phase: ConnectionSight["phase"] = "connecting";
  let errno: string | undefined;
  let probes = 0;
  let close: RungEffect | undefined;
  const queue = [...happenings];
  const later: Happening[] = [];
  for (let nowMs = 0; nowMs < 10 * rungMs + 120_000; nowMs += LOOK_MS) {
    for (const it of [...queue, ...later].filter(
      (each) => each.atMs > nowMs - LOOK_MS && each.atMs <= nowMs,
    )) {
      if (it.what === "error") {
        phase = "closed";
        errno = it.errno;
      } else if (it.what === "fin") phase = "peer-ended";
      else {
        phase = "established";
        receivedAtMs = it.atMs;
      }
    }
    const since = nowMs - receivedAtMs;
    machine.handleSight(nowMs, { phase, errno, sinceDataReceivedMs: since, sinceAckReceivedMs: since });
    for (let effect = machine.pollEffect(); effect !== undefined; effect = machine.pollEffect()) {
      if (effect.kind === "close") close = effect;
      else {
        probes++;
        const answerAtMs = nowMs + 30 + (reply === "ack-second" ? PROBE_PLAN.intervalMs : 0);
        if (reply === "rst") later.push({ atMs: answerAtMs, what: "error", errno: "ECONNRESET" });
        else if (reply !== "none") later.push({ atMs: answerAtMs, what: "payload" });
      }
    }
    if (machine.result !== undefined) return { result: machine.result, endedAtMs: nowMs, probes, close };
  }
  throw new Error("the machine never came to a result");
}

const CONNECTED: Happening = { atMs: 50, what: "connected" };

test("RungMachine probes once, at its rung, and takes the acknowledgement as alive", () => {
  const { result, probes, close, endedAtMs } = play(60_000, [CONNECTED], "ack");
  assert.deepEqual([result.verdict, probes, close], ["answered", 1, { kind: "close", politely: true }]);
  assert.ok(result.idleMs >= 60_000 && result.idleMs <= 60_000 + LOOK_MS, `${result.idleMs}`);
  assert.ok(endedAtMs <= 60_400, `${endedAtMs}`);
});

test("RungMachine takes a late acknowledgement, of a repeated probe, as alive: one lost packet is no box", () => {
  assert.equal(play(60_000, [CONNECTED], "ack-second").result.verdict, "answered");
});

test("RungMachine tells an RST for the probe from one that came unasked, and when that was", () => {
  const asked = play(60_000, [CONNECTED], "rst");
  assert.deepEqual([asked.result.verdict, asked.probes], ["reset", 1]);
  const unasked = play(120_000, [CONNECTED, { atMs: 90_050, what: "error", errno: "ECONNRESET" }], "ack");
  assert.deepEqual([unasked.result.verdict, unasked.probes], ["reset-unasked", 0]);
  assert.ok(Math.abs(unasked.result.idleMs - 90_000) <= LOOK_MS, `${unasked.result.idleMs}`);
});

test("RungMachine calls it silence after every probe's time, and closes with RST as nobody is there", () => {
  const { result, endedAtMs, close } = play(60_000, [CONNECTED], "none");
  assert.equal(result.verdict, "silent");
  assert.ok(endedAtMs >= 60_000 + PROBE_PLAN.count * PROBE_PLAN.intervalMs, `${endedAtMs}`);
  assert.deepEqual(close, { kind: "close", politely: false });
});

test("RungMachine reports a FIN before the probe as the other end's own time-out", () => {
  const { result, probes } = play(120_000, [CONNECTED, { atMs: 75_050, what: "fin" }], "ack");
  assert.deepEqual([result.verdict, probes], ["peer-closed", 0]);
  assert.ok(Math.abs(result.idleMs - 75_000) <= LOOK_MS, `${result.idleMs}`);
});

test("RungMachine counts idle time from the last payload: a banner only shifts the probe", () => {
  const { result, endedAtMs } = play(20_000, [CONNECTED, { atMs: 3000, what: "payload" }], "ack");
  assert.deepEqual([result.verdict, result.interruptions], ["answered", 1]);
  assert.ok(result.idleMs >= 20_000 && endedAtMs >= 23_000, `${result.idleMs} ${endedAtMs}`);
});

test("RungMachine gives up a rung that a talkative server never lets happen", () => {
  const chatter = Array.from({ length: 200 }, (_, index) => ({
    atMs: 5000 * (index + 1),
    what: "payload" as const,
  }));
  const { result, probes } = play(20_000, [CONNECTED, ...chatter], "ack");
  assert.deepEqual([result.verdict, probes], ["never-idle", 0]);
});

test("RungMachine reports a refused connection with its errno", () => {
  const { result } = play(20_000, [{ atMs: 200, what: "error", errno: "ECONNREFUSED" }], "ack");
  assert.deepEqual([result.verdict, result.errno], ["no-connection", "ECONNREFUSED"]);
});

test("RungMachine that is stopped says unfinished, and how long the connection lived", () => {
  const machine = new RungMachine(60_000);
  const quiet: ConnectionSight = {
    phase: "established",
    errno: undefined,
    sinceDataReceivedMs: 0,
    sinceAckReceivedMs: 0,
  };
  machine.handleSight(1000, quiet);
  assert.equal(machine.nextTimeout(), 61_000);
  machine.handleStop(31_000);
  assert.deepEqual([machine.result?.verdict, machine.result?.idleMs], ["unfinished", 30_000]);
});

test("defaultRungsMs() has a rung on either side of every well-known time-out, and ends at the limit", () => {
  const rungs = defaultRungsMs(20 * 60_000);
  for (const known of [60, 90, 120, 180, 240, 300, 350, 600, 900].map((seconds) => seconds * 1000)) {
    const below = rungs.findLast((rung) => rung < known)!;
    const above = rungs.find((rung) => rung > known)!;
    assert.ok(above - below <= known / 10, `${known}: ${below} to ${above}`);
  }
  assert.ok(rungs.at(-1)! <= 20 * 60_000 && rungs.at(-1)! >= 19 * 60_000);
  assert.deepEqual(defaultRungsMs(10_000), [10_000]);
  assert.equal(defaultRungsMs(45_000).at(-1), 45_000);
});

test("refinedRungsMs() divides a bracket until it is narrow enough", () => {
  assert.deepEqual(refinedRungsMs(60_000, 90_000, 10_000), [70_000, 80_000]);
  const wide = refinedRungsMs(600_000, 890_000, 5000)!;
  assert.equal(wide.length, 8);
  assert.ok(wide.every((rung) => rung > 600_000 && rung < 890_000));
  assert.equal(refinedRungsMs(88_000, 92_000, 5000), undefined);
  assert.equal(refinedRungsMs(0, 1000, 100), undefined, "no rung below a second is possible");
});

test("isDecided() after two losses beyond the longest survivor, not after one", () => {
  const result = (rungMs: number, verdict: RungResult["verdict"]): RungResult => ({
    rungMs,
    idleMs: rungMs,
    verdict,
    errno: undefined,
    interruptions: 0,
  });
  assert.equal(isDecided([result(60, "answered"), result(90, "silent")]), false);
  assert.equal(isDecided([result(60, "answered"), result(90, "silent"), result(120, "reset")]), true);
  assert.equal(isDecided([result(90, "silent"), result(120, "reset"), result(180, "answered")]), false);
});
