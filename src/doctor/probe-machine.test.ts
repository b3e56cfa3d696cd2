import assert from "node:assert/strict";
import { test } from "node:test";
import type { OptionValues } from "./option-plan.ts";
import { type ConnectionLook, ProbeMachine, planProbe, stayingExplicit } from "./probe-machine.ts";

const OFF: OptionValues = {
  isKeepaliveOn: false,
  idleSeconds: 7200,
  intervalSeconds: 75,
  probeCount: 9,
  userTimeoutMs: 0,
};
const QUIET: ConnectionLook = {
  state: 1,
  retransmits: 0,
  probes: 0,
  backoff: 0,
  retransmissionTimeoutMs: 200,
  roundTripMs: 1,
  roundTripVarianceMs: 0.5,
  unackedSegments: 0,
  notSentBytes: 0,
  lastDataSentMs: 60_000,
  lastDataReceivedMs: 60_000,
  lastAckReceivedMs: 60_000,
};
const SETTINGS = { timeoutMs: 3000, retries2: 15 };

function machine(before: OptionValues = OFF): ProbeMachine {
  return new ProbeMachine(before, SETTINGS);
}

/** Plays looks until it is finished; a socket that nobody answers. */
function playSilence(probe: ProbeMachine): { verdict: unknown; sets: string[]; atMs: number } {
  const sets: string[] = [];
  let nowMs = 0;
  for (let step = 0; step < 1000; step++) {
    const look = { ...QUIET, lastAckReceivedMs: 60_000 + nowMs, lastDataReceivedMs: 60_000 + nowMs };
    const action = probe.handleLook(nowMs, look);
    if (action.kind === "finish") return { verdict: action.verdict, sets, atMs: nowMs };
    if (action.kind === "set")
      sets.push(action.changes.map(({ option, value }) => `${option}=${value}`).join(" "));
    else {
      assert.ok(action.atMs > nowMs, "time goes on");
      nowMs = action.atMs;
    }
  }
  throw new Error("never finished");
}

test("SO_KEEPALIVE is set first and TCP_KEEPIDLE last (tcp_sock_set_keepidle_locked arms what is left of the idle time)", () => {
  const action = machine().handleLook(0, QUIET);
  assert.deepEqual(action, {
    kind: "set",
    changes: [
      { option: "SO_KEEPALIVE", value: 1 },
      { option: "TCP_KEEPIDLE", value: 1 },
    ],
  });
});

test("an acknowledgement after the probe is ALIVE; its age tells when it came", () => {
  const probe = machine();
  probe.handleLook(0, QUIET);
  assert.equal(probe.handleLook(0, QUIET).kind, "look");
  const action = probe.handleLook(90, { ...QUIET, lastAckReceivedMs: 50, lastDataReceivedMs: 60_090 });
  assert.deepEqual(action, { kind: "finish", verdict: { verdict: "alive", how: "answered", ms: 40 } });
});

test("CLOSE after the probe is DEAD; CLOSE before it is nobody's fault of ours", () => {
  const probe = machine();
  probe.handleLook(0, QUIET);
  assert.deepEqual(probe.handleLook(5, { ...QUIET, state: 7 }), {
    kind: "finish",
    verdict: { verdict: "dead", how: "reset" },
  });
  assert.deepEqual(machine().handleLook(0, { ...QUIET, state: 7 }), {
    kind: "finish",
    verdict: { verdict: "dead", how: "closed-before" },
  });
});

test("without an answer it is SILENT at the time-out, after three probes where the owner had none of its own", () => {
  const { verdict, sets, atMs } = playSilence(machine());
  assert.deepEqual(verdict, { verdict: "silent", probesSent: 3, heardMsAgo: 63_000 });
  assert.deepEqual(sets, ["SO_KEEPALIVE=1 TCP_KEEPIDLE=1", "TCP_KEEPIDLE=1", "TCP_KEEPIDLE=1"]);
  assert.equal(atMs, 3000);
});

test("where the owner has keepalive on, its own count keeps room: two probes, and one when four are not left", () => {
  const on = { ...OFF, isKeepaliveOn: true };
  assert.equal(playSilence(machine(on)).sets.length, 2);
  assert.equal(playSilence(machine({ ...on, probeCount: 3 })).sets.length, 1);
});

test("planProbe() disarms what could kill: TCP_USER_TIMEOUT, a short TCP_KEEPINTVL, a small TCP_KEEPCNT", () => {
  const dangerous = {
    isKeepaliveOn: true,
    idleSeconds: 600,
    intervalSeconds: 1,
    probeCount: 1,
    userTimeoutMs: 500,
  };
  assert.deepEqual(
    planProbe(dangerous, QUIET, 3000).map(({ option, value }) => [option, value]),
    [
      ["TCP_USER_TIMEOUT", 0],
      ["TCP_KEEPINTVL", 3600],
      ["TCP_KEEPCNT", 127],
      ["TCP_KEEPIDLE", 1],
    ],
  );
});

test("restore() puts back exactly what was touched; off goes first, TCP_USER_TIMEOUT last", () => {
  const before = { ...OFF, intervalSeconds: 1, userTimeoutMs: 500 };
  const probe = machine(before);
  assert.deepEqual(probe.restore(), []);
  assert.equal(probe.hasTouched, false);
  probe.handleLook(0, QUIET);
  assert.deepEqual(
    probe.restore().map(({ option, value }) => [option, value]),
    [
      ["SO_KEEPALIVE", 0],
      ["TCP_KEEPINTVL", 1],
      ["TCP_KEEPIDLE", 7200],
      ["TCP_USER_TIMEOUT", 500],
    ],
  );
});

test("what was heard a moment ago is ALIVE, and nothing is touched", () => {
  const probe = machine();
  const action = probe.handleLook(0, { ...QUIET, lastDataReceivedMs: 999 });
  assert.deepEqual(action, { kind: "finish", verdict: { verdict: "alive", how: "heard", ms: 999 } });
  assert.equal(probe.hasTouched, false);
});

test("data in flight: BUSY at the time-out with what is left of tcp_retries2, ALIVE as soon as something is heard", () => {
  const busy = { ...QUIET, unackedSegments: 1, lastDataSentMs: 0 };
  const probe = machine();
  assert.equal(probe.handleLook(0, busy).kind, "look");
  const action = probe.handleLook(3000, { ...busy, lastAckReceivedMs: 63_000, lastDataReceivedMs: 63_000 });
  assert.ok(action.kind === "finish" && action.verdict.verdict === "busy");
  assert.ok(Math.abs(action.verdict.givesUpInMs - 924_600) < 130_000, String(action.verdict.givesUpInMs));
  assert.equal(probe.hasTouched, false);
  const other = machine();
  other.handleLook(0, busy);
  assert.deepEqual(other.handleLook(40, { ...QUIET, lastAckReceivedMs: 3 }), {
    kind: "finish",
    verdict: { verdict: "alive", how: "heard", ms: 0 },
  });
});

test("a listener, and a connection that is not established yet, have no peer to ask", () => {
  for (const state of [2, 3, 10])
    assert.deepEqual(machine().handleLook(0, { ...QUIET, state }), {
      kind: "finish",
      verdict: { verdict: "no-peer", state },
    });
});

test("CLOSE_WAIT and FIN_WAIT2 are probed as any quiet connection", () => {
  for (const state of [8, 5]) assert.equal(machine().handleLook(0, { ...QUIET, state }).kind, "set");
});

test("stayingExplicit() names the options that may have followed the sysctl", () => {
  const system = { idleSeconds: 7200, intervalSeconds: 75, probeCount: 9 };
  assert.deepEqual(stayingExplicit(OFF, planProbe(OFF, QUIET, 3000), system), ["TCP_KEEPIDLE"]);
  assert.deepEqual(stayingExplicit({ ...OFF, idleSeconds: 60 }, planProbe(OFF, QUIET, 3000), system), []);
});
