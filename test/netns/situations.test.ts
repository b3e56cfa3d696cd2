/**
 * Three ways in which a quiet connection is lost although both ends are healthy, end to end with a real kernel at each end: a
 * balancer that forgets and resets both ends, one that forgets silently, and a NAT whose mapping runs out; and what keeps the
 * connection each time. docs/guide/idle-timeouts.md tells the same to operators.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { skipOrFail } from "../harness/peers.ts";
import { eventually } from "../harness/program.ts";
import { assertTook, type NatPlace, startConversation } from "./situations.ts";
import { requireNamespaces } from "./three-nodes.ts";

const IDLE_MS = 3000;
const COMPUTING_MS = 5000;
/** Of the relay's clock 100 ms, and two processes on a busy machine. */
const TOLERANCE_MS = 400;
const PROBES = "so_keepalive: 1s:1s:3";

/** Passes real time while `check` holds: for the absence of an event there is nothing to wait for. */
async function holdsFor(durationMs: number, check: () => void): Promise<void> {
  const untilMs = performance.now() + durationMs;
  await eventually("the time has passed", durationMs + 5000, () => {
    check();
    return performance.now() >= untilMs;
  });
}

// ── a balancer that forgets a session and resets both ends ──────────────────────────────────────────────────────

test("on_idle: reset cuts a backend short that computes for longer than idle_timeout: RST to both ends, at idle_timeout", async (t) => {
  if (!requireNamespaces(t)) return;
  await using talk = await startConversation({ tcp: "idle_timeout: 3s, on_idle: reset" });
  talk.client.say("question");
  const asked = await talk.origin.hears("question", 2000);
  const [client, origin] = await Promise.all([
    talk.client.sees("error", COMPUTING_MS),
    talk.origin.sees("error", COMPUTING_MS),
  ]);
  assert.deepEqual([client.code, origin.code], ["ECONNRESET", "ECONNRESET"]);
  assertTook(client.atMs - asked.atMs, IDLE_MS, TOLERANCE_MS, "the client's RST");
  assertTook(origin.atMs - asked.atMs, IDLE_MS, TOLERANCE_MS, "the backend's RST");
  assert.equal(talk.socketState("gateway"), "", "nothing is left, not even TIME_WAIT");
});

test("TCP keepalive probes do not keep a relayed session: the relay terminates TCP, probes carry no payload", async (t) => {
  if (!requireNamespaces(t)) return;
  await using talk = await startConversation({
    tcp: "idle_timeout: 3s, on_idle: reset",
    listener: PROBES,
    pool: PROBES,
    endsKeepIdleSeconds: 1,
  });
  talk.client.say("question");
  const asked = await talk.origin.hears("question", 2000);
  const client = await talk.client.sees("error", COMPUTING_MS);
  const origin = await talk.origin.sees("error", COMPUTING_MS);
  assert.deepEqual([client.code, origin.code], ["ECONNRESET", "ECONNRESET"]);
  assertTook(client.atMs - asked.atMs, IDLE_MS, TOLERANCE_MS, "the client's RST");
  for (const node of ["client", "origin", "gateway"])
    assert.ok(talk.probesSent(node) > 0, `probes were sent by ${node}`);
});

for (const speaker of ["client", "origin"] as const) {
  test(`a byte from the ${speaker} below idle_timeout keeps the session for as long as the backend computes`, async (t) => {
    if (!requireNamespaces(t)) return;
    await using talk = await startConversation({ tcp: "idle_timeout: 3s, on_idle: reset" });
    talk.client.say("question");
    await talk.origin.hears("question", 2000);
    let saidAtMs = performance.now();
    await holdsFor(COMPUTING_MS, () => {
      assert.equal(talk.client.ending ?? talk.origin.ending, undefined);
      if (performance.now() - saidAtMs < 1500) return;
      saidAtMs = performance.now();
      talk[speaker].say(".");
    });
    talk.origin.say("answer");
    await talk.client.hears("answer", 2000);
  });
}

// ── a balancer that forgets silently ────────────────────────────────────────────────────────────────────────────

for (const [speaker, other] of [
  ["client", "origin"],
  ["origin", "client"],
] as const) {
  test(`on_idle: silent: the ${speaker} speaks next and gets RST, the ${other} stays ESTABLISHED and learns nothing`, async (t) => {
    if (!requireNamespaces(t)) return;
    await using talk = await startConversation({ tcp: "idle_timeout: 1500ms, on_idle: silent" });
    await holdsFor(2500, () => {
      assert.equal(talk.client.ending ?? talk.origin.ending, undefined, "nobody is told");
    });
    assert.equal(talk.socketState("client"), "ESTAB");
    assert.equal(talk.socketState("origin"), "ESTAB");
    talk[speaker].say("are you there?");
    const end = await talk[speaker].sees("error", 2000);
    assert.equal(end.code, "ECONNRESET");
    await holdsFor(1500, () => assert.equal(talk[other].ending, undefined));
    assert.equal(talk.socketState(speaker), "");
    assert.equal(talk.socketState(other), "ESTAB");
    const heard = talk[other].events.filter((it) => it.event === "data").map((it) => it.text);
    assert.ok(!heard.join("").includes("there"), "and the word is lost");
  });
}

// ── a NAT whose mapping runs out ─────────────────────────────────────────────────────────────────────────────────

const NAT_TIMEOUT_SECONDS = 3;

/** The NAT's memory is the kernel's connection tracking: a module that may be missing. */
async function startBehindNat(t: TestContext, nat: NatPlace, probes: string) {
  if (!requireNamespaces(t)) return undefined;
  try {
    return await startConversation({
      tcp: "idle_timeout: 1h, on_idle: close",
      listener: nat === "before-gateway" ? probes : "so_keepalive: off",
      pool: nat === "before-origin" ? probes : "so_keepalive: off",
      nat,
      natTimeoutSeconds: NAT_TIMEOUT_SECONDS,
    });
  } catch (error) {
    if (!/nf_conntrack|nft/.test(String(error))) throw error;
    skipOrFail(t, `no connection tracking or NAT in this kernel: ${error}`);
    return undefined;
  }
}

for (const [nat, near, far] of [
  // Who is outside of the NAT cannot speak any more: its packets go to an address the NAT has no mapping for.
  ["before-origin", "gateway", "origin"],
  ["before-gateway", "client", "gateway"],
] as const) {
  test(`a NAT (${nat}) drops a quiet connection: without probes ${far} gets RST when it speaks, and ${near} learns nothing`, async (t) => {
    const started = await startBehindNat(t, nat, "so_keepalive: off");
    if (started === undefined) return;
    await using talk = started;
    // An expired entry is counted until somebody looks for it: there is no event to wait for.
    await holdsFor((NAT_TIMEOUT_SECONDS + 1) * 1000, () =>
      assert.equal(talk.client.ending ?? talk.origin.ending, undefined, "nobody is told"),
    );
    // The origin speaks: behind the NAT itself, or the gateway passes its word on.
    talk.origin.say("news");
    if (far === "origin") {
      assert.equal((await talk.origin.sees("error", 3000)).code, "ECONNRESET");
      assert.equal(talk.socketState("gateway", "( dport = :8080 )"), "ESTAB");
    } else {
      // The gateway got the RST, and passes it on to the origin; the client keeps a connection to nobody.
      assert.equal((await talk.origin.sees("error", 3000)).code, "ECONNRESET");
      assert.equal(talk.socketState("gateway", "( sport = :8080 )"), "");
    }
    assert.equal(talk.socketState("client"), "ESTAB");
    assert.equal(talk.client.ending, undefined);
  });

  test(`a NAT (${nat}) keeps a quiet connection that so_keepalive probes more often than its time-out`, async (t) => {
    const started = await startBehindNat(t, nat, PROBES);
    if (started === undefined) return;
    await using talk = started;
    await holdsFor(2 * NAT_TIMEOUT_SECONDS * 1000, () =>
      assert.equal(talk.client.ending ?? talk.origin.ending, undefined),
    );
    talk.origin.say("news");
    await talk.client.hears("news", 2000);
    talk.client.say("thanks");
    await talk.origin.hears("thanks", 2000);
    assert.ok(talk.probesSent("gateway") >= 4);
  });
}

test("a Linux NAT takes a connection up again when the side behind it speaks first (nf_conntrack_tcp_loose)", async (t) => {
  const started = await startBehindNat(t, "before-origin", "so_keepalive: off");
  if (started === undefined) return;
  await using talk = started;
  await holdsFor((NAT_TIMEOUT_SECONDS + 1) * 1000, () => undefined);
  talk.client.say("news");
  await talk.origin.hears("news", 2000);
  talk.origin.say("thanks");
  await talk.client.hears("thanks", 2000);
});

test("on_idle: silent: an end that sends TCP keepalive probes learns of it from the next probe (RST, at once)", async (t) => {
  if (!requireNamespaces(t)) return;
  await using talk = await startConversation({
    tcp: "idle_timeout: 2500ms, on_idle: silent",
    endsKeepIdleSeconds: 1,
  });
  const heard = talk.client.events.findLast((it) => it.event === "data")!;
  const [client, origin] = await Promise.all([
    talk.client.sees("error", 6000),
    talk.origin.sees("error", 6000),
  ]);
  assert.deepEqual([client.code, origin.code], ["ECONNRESET", "ECONNRESET"]);
  // Probes are 1 s apart: those before 2.5 s are answered, the next one is not.
  for (const end of [client, origin])
    assertTook(end.atMs - heard.atMs, 2500, 1000 + TOLERANCE_MS, "a probe was answered with RST");
});
