import assert from "node:assert/strict";
import test from "node:test";
import type { Fate, Scenario } from "./fate.ts";
import {
  awsNatGateway,
  box,
  endPoint,
  FIELD_CASES,
  keepalive,
  path,
  proxy,
  tcpEnd,
} from "./field-cases-fixtures.ts";
import { simulatePath } from "./simulation.ts";

const endOf = (fate: Fate, key: string) => fate.ends.find((end) => `${end.hop}/${end.leg}` === key);

for (const fieldCase of FIELD_CASES) {
  test(`simulatePath() names the right hop: ${fieldCase.report}`, () => {
    const fate = simulatePath(fieldCase.path, fieldCase.scenario);
    const story = fate.events.map((it) => `${it.atMs / 1000} ${it.what} ${it.hop}: ${it.text}`).join("\n");
    assert.equal(fate.isHealthy, false, story);
    assert.equal(fate.culprit, fieldCase.culprit, `${fate.verdict}\n${story}`);
    for (const [key, expected] of Object.entries(fieldCase.learns)) {
      const end = endOf(fate, key);
      assert.equal(end?.how, expected.how, `${key}: ${fate.verdict}\n${story}`);
      assert.equal(end?.errno, expected.errno, `${key}: ${fate.verdict}\n${story}`);
      const atMs = expected.atS === undefined ? undefined : expected.atS * 1000;
      assert.equal(end?.learnsAtMs, atMs, `${key}: ${fate.verdict}\n${story}`);
    }
  });
}

const probing = (idle: number, interval: number, count: number, userTimeoutMs = 0) =>
  tcpEnd({ keepalive: keepalive(idle, interval, count), userTimeoutMs });
const story = (fate: Fate): string =>
  [fate.verdict, ...fate.events.map((it) => `${it.atMs / 1000} ${it.what} ${it.hop}: ${it.text}`)].join("\n");

test("a proxy that keeps no idle connection to its servers (nginx) does not let go of one after 0 ms", () => {
  const web = path(
    endPoint("client"),
    proxy("nginx", "http", { serverIdleTimeoutMs: 60_000, upstreamIdleTimeoutMs: 0 }),
    endPoint("node-http"),
  );
  const verdict = (kind: "host-dies-idle" | "host-dies-in-flight") =>
    simulatePath(web, { kind, who: "server" }).verdict;
  assert.match(verdict("host-dies-idle"), /nobody was connected to it any more$/);
  assert.doesNotMatch(verdict("host-dies-in-flight"), /0 ms/);
  assert.match(verdict("host-dies-in-flight"), /client gets an error response after 60 s/);
});

test("S1: the peer crashed without a FIN: never noticed without probes, at idle + interval × count with them", () => {
  const dies: Scenario = { kind: "host-dies-idle", who: "client" };
  const without = simulatePath(path(endPoint("client"), endPoint("server")), dies);
  assert.equal(endOf(without, "1/0")?.how, "never");
  assert.equal(without.isHealthy, false);
  const guarded = simulatePath(
    path(endPoint("client"), endPoint("server", { tcp: probing(60, 10, 3) })),
    dies,
  );
  assert.deepEqual(endOf(guarded, "1/0"), {
    hop: 1,
    leg: 0,
    learnsAtMs: 90_000,
    how: "error",
    errno: "ETIMEDOUT",
  });
  assert.equal(guarded.isHealthy, true, story(guarded));
});

test("S2: a balancer forgets after 90 s and resets both ends while the server computes for 2 min; probes below that prevent it", () => {
  const lvs = box("lvs", 90, { atExpiry: "reset-both" });
  const slow: Scenario = { kind: "slow-response", responseTimeMs: 120_000 };
  const cut = simulatePath(path(endPoint("client"), lvs, endPoint("node")), slow);
  assert.equal(cut.culprit, 1);
  assert.match(cut.verdict, /hop 2: lvs forgets the connection, 90 s .*while the server still computes/);
  for (const key of ["0/0", "2/0"]) {
    assert.equal(endOf(cut, key)?.errno, "ECONNRESET");
    assert.equal(endOf(cut, key)?.learnsAtMs, 90_000);
  }
  for (const client of [tcpEnd(), probing(60, 10, 3)]) {
    const server = client.keepalive === undefined ? probing(60, 10, 3) : tcpEnd();
    const kept = simulatePath(
      path(endPoint("client", { tcp: client }), lvs, endPoint("node", { tcp: server })),
      slow,
    );
    assert.equal(kept.isHealthy, true, story(kept));
    assert.equal(kept.culprit, undefined);
  }
  const late = simulatePath(
    path(endPoint("client", { tcp: probing(90, 10, 3) }), lvs, endPoint("node")),
    slow,
  );
  assert.equal(late.isHealthy, false, "a probe at the very moment of forgetting is too late");
});

test("S3: an F5-like box forgets silently: who speaks next gets RST, the other never learns", () => {
  const f5 = box("f5", 300, { fromClient: "reset", fromServer: "reset" });
  const fate = simulatePath(path(endPoint("client"), f5, endPoint("server")), {
    kind: "idle",
    atMs: 400_000,
    thenSpeaks: "server",
  });
  assert.equal(endOf(fate, "2/0")?.errno, "ECONNRESET", story(fate));
  assert.equal(endOf(fate, "0/0")?.how, "never", story(fate));
});

test("S4: a NAT drops the mapping: the speaker sends again for 925.8 s, the other side never learns", () => {
  const fate = simulatePath(path(endPoint("client"), box("nat", 240), endPoint("server")), {
    kind: "idle",
    atMs: 300_000,
    thenSpeaks: "client",
  });
  assert.equal(endOf(fate, "0/0")?.learnsAtMs, 1_225_824, story(fate));
  assert.equal(endOf(fate, "0/0")?.errno, "ETIMEDOUT");
  assert.equal(endOf(fate, "2/0")?.how, "never");
});

test("S5: RST in answer to a probe ends the connection at once, whatever the count", () => {
  const client = endPoint("client", { tcp: probing(100, 10, 9) });
  const fate = simulatePath(path(client, box("lvs", 50, { fromClient: "reset" }), endPoint("server")), {
    kind: "idle",
  });
  assert.equal(endOf(fate, "0/0")?.learnsAtMs, 100_000, story(fate));
  assert.equal(endOf(fate, "0/0")?.errno, "ECONNRESET");
  assert.equal(fate.events.filter((event) => event.what === "sends-probe").length, 1);
});

test("S6, S7: each HTTP hop keeps its own connections; who lets go first in good order breaks nothing", () => {
  const web = path(
    endPoint("client", { idleTimeoutMs: 300_000 }),
    proxy("outer", "http", { clientIdleTimeoutMs: 75_000, upstreamIdleTimeoutMs: 60_000 }),
    proxy("inner", "http", { clientIdleTimeoutMs: 65_000, upstreamIdleTimeoutMs: 0 }),
    endPoint("server", { idleTimeoutMs: 5_000 }),
  );
  const fate = simulatePath(web, { kind: "idle", atMs: 400_000, thenSpeaks: "client" });
  assert.equal(fate.isHealthy, true, story(fate));
  const closes = fate.ends.map((end) => `${end.hop}/${end.leg} ${end.how} ${end.learnsAtMs! / 1000}`);
  assert.deepEqual(closes, [
    "0/0 fin 75",
    "1/0 own-timeout 75",
    "1/1 own-timeout 60",
    "2/1 fin 60",
    "2/2 own-timeout 0",
    "3/2 fin 0",
  ]);
});

test("a packet dies at the first box that has forgotten it and refreshes only those before it", () => {
  const boxes = [box("near", 600), box("forgetful", 100, { fromClient: "drop" }), box("far", 300)];
  const client = endPoint("client", { tcp: probing(200, 10, 50) });
  const fate = simulatePath(path(client, ...boxes, endPoint("server")), { kind: "idle", atMs: 650_000 });
  const forgotten = fate.events
    .filter((event) => event.what === "forgets")
    .map((it) => [it.hop, it.atMs / 1000]);
  assert.deepEqual(
    forgotten.slice(0, 2),
    [
      [2, 100],
      [3, 300],
    ],
    story(fate),
  );
  assert.ok(!forgotten.some(([hop, at]) => hop === 1 && at! <= 650), story(fate));
  assert.equal(fate.culprit, 2);
});

test("a box on the other side of a proxy is not refreshed by probes, by payload it is", () => {
  const haproxy = proxy("haproxy", "tcp");
  const leg = [haproxy, box("nat", 100)] as const;
  const idle: Scenario = { kind: "idle", atMs: 500_000, thenSpeaks: "client" };
  const probed = simulatePath(
    path(endPoint("client", { tcp: probing(30, 5, 3) }), ...leg, endPoint("server")),
    idle,
  );
  assert.equal(probed.culprit, 2, story(probed));
  const pinged = simulatePath(
    path(endPoint("client", { pingIntervalMs: 30_000 }), ...leg, endPoint("server")),
    idle,
  );
  assert.equal(pinged.isHealthy, true, story(pinged));
});

test("an HTTP proxy answers 504 for a server that takes too long, and is to blame", () => {
  const nginx = proxy("nginx", "http", { serverIdleTimeoutMs: 60_000 });
  const fate = simulatePath(path(endPoint("client"), nginx, endPoint("server")), {
    kind: "slow-response",
    responseTimeMs: 120_000,
  });
  assert.equal(fate.culprit, 1);
  assert.equal(endOf(fate, "0/0")?.how, "error-response", story(fate));
  assert.equal(endOf(fate, "0/0")?.learnsAtMs, 60_000);
});

test("an HTTP proxy whose pooled connection was forgotten passes the reset on as its error response", () => {
  const nginx = proxy("nginx", "http");
  const web = path(endPoint("client"), nginx, awsNatGateway(), endPoint("server"));
  const fate = simulatePath(web, { kind: "idle", atMs: 400_000, thenSpeaks: "client" });
  assert.equal(endOf(fate, "0/0")?.how, "error-response", story(fate));
  assert.equal(endOf(fate, "1/1")?.errno, "ECONNRESET");
  assert.equal(endOf(fate, "3/1")?.how, "never");
});

test("half-closed: the box's half-closed time-out counts, EPIPE in CLOSE_WAIT (tcp_reset)", () => {
  const lvs = box("lvs", 900, { halfClosed: 60, fromServer: "reset" });
  const fate = simulatePath(path(endPoint("client"), lvs, endPoint("server")), {
    kind: "half-closed",
    endedBy: "client",
    atMs: 120_000,
  });
  assert.equal(fate.culprit, 1, story(fate));
  assert.equal(endOf(fate, "2/0")?.errno, "EPIPE", story(fate));
  assert.equal(endOf(fate, "0/0")?.how, "never");
  const upload = simulatePath(path(endPoint("client"), lvs, endPoint("server")), {
    kind: "half-closed",
    endedBy: "server",
    atMs: 30_000,
  });
  assert.equal(upload.isHealthy, true, story(upload));
});

test("half-closed: a TCP proxy carries the FIN over and ends what stays half-closed too long", () => {
  const haproxy = proxy("haproxy", "tcp", { halfClosedTimeoutMs: 30_000 });
  const scenario: Scenario = { kind: "half-closed", endedBy: "client", atMs: 120_000 };
  const fate = simulatePath(path(endPoint("client"), haproxy, endPoint("server")), scenario);
  assert.ok(fate.events.some((event) => event.what === "gets-fin" && event.hop === 2 && event.atMs === 0));
  assert.equal(fate.culprit, 1, story(fate));
  assert.equal(endOf(fate, "0/0")?.learnsAtMs, 30_000, story(fate));
});

test("giving up on probes sends RST, which goes the way of the probes (tcp_send_active_reset)", () => {
  // The box drops what the server sends, the client's packets make a new entry: only the server's probes are lost.
  const oneWay = box("one-way", 50, { fromClient: "adopt", fromServer: "drop" });
  const server = endPoint("server", { tcp: probing(100, 10, 2) });
  const fate = simulatePath(path(endPoint("client"), oneWay, server), { kind: "idle", atMs: 200_000 });
  assert.equal(endOf(fate, "2/0")?.learnsAtMs, 120_000, story(fate));
  const resets = fate.events.filter((event) => event.what === "sends-reset");
  assert.deepEqual(
    resets.map((event) => [event.hop, event.to, event.atMs]),
    [[2, 0, 120_000]],
    story(fate),
  );
  assert.equal(endOf(fate, "0/0")?.how, "never", "the RST dies in the same box");
});

test("long runs of probes are folded to the first and the last, with their number", () => {
  const node = endPoint("node", { tcp: probing(1, 1, 10) });
  const fate = simulatePath(path(node, endPoint("server")), {
    kind: "idle",
    atMs: 3_600_000,
    thenSpeaks: "client",
  });
  const probes = fate.events.filter((event) => event.what === "sends-probe");
  assert.equal(probes.length, 2, story(fate));
  assert.deepEqual(probes[1]?.folded, { count: 3600, sinceMs: 1000 });
});

test("simulatePath() refuses hops that make no path", () => {
  assert.throws(() => simulatePath(path(endPoint("alone")), { kind: "idle" }), TypeError);
  assert.throws(
    () => simulatePath(path(endPoint("a"), endPoint("b"), endPoint("c")), { kind: "idle" }),
    TypeError,
  );
});

test("an acknowledgement ends the box's time-out for unanswered data", () => {
  const conntrack = box("conntrack", 10_000, { unanswered: 100 });
  const fate = simulatePath(path(endPoint("client"), conntrack, endPoint("server")), {
    kind: "idle",
    atMs: 500_000,
    thenSpeaks: "client",
  });
  assert.equal(fate.isHealthy, true, story(fate));
});

test("the verdict names who is told what, once each", () => {
  const envoy = proxy("envoy", "tcp", { passesResetAs: "close" });
  const fate = simulatePath(path(endPoint("client"), envoy, endPoint("server")), {
    kind: "host-dies-in-flight",
    who: "server",
  });
  assert.equal(
    fate.verdict,
    "hop 3: server's host is gone, without a packet; client reads the end after 925.8 s; envoy is told ETIMEDOUT after 925.8 s",
  );
});

test("a proxy that closed a half-closed session answers probes until tcp_fin_timeout (FIN_WAIT_2); data finds out (measured: EPIPE at 5 s)", () => {
  const client = endPoint("client", { tcp: probing(1, 1, 3) });
  const relay = proxy("relay", "tcp", { clientIdleTimeoutMs: 4000, halfClosedTimeoutMs: 2000 });
  const fate = simulatePath(path(client, relay, endPoint("server")), {
    kind: "half-closed",
    endedBy: "server",
    atMs: 5000,
  });
  assert.equal(endOf(fate, "0/0")?.errno, "EPIPE", story(fate));
  assert.equal(endOf(fate, "0/0")?.learnsAtMs, 5000, story(fate));
});
