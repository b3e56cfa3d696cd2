/** Properties that every path and every scenario must have. The seed is printed by fast-check when one fails. */
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { advise } from "./advice.ts";
import { contradictions } from "./contradictions.ts";
import type { Fate, Scenario } from "./fate.ts";
import {
  box,
  endPoint,
  keepalive,
  path,
  proxy,
  RETRANSMISSION_TIMEOUT_MS,
  tcpEnd,
} from "./field-cases-fixtures.ts";
import type { Hop, Path, TcpEnd } from "./hop.ts";
import { defaultScenarios, describeScenario } from "./scenarios.ts";
import { Socket } from "./simulation/connection.ts";
import { simulatePath } from "./simulation.ts";

const seconds = fc.integer({ min: 1, max: 4000 });
const maybeSeconds = fc.option(seconds, { nil: undefined });
const maybeMs = maybeSeconds.map((it) => (it === undefined ? undefined : it * 1000));

const anyKeepalive = fc
  .tuple(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 10 }))
  .map(([idle, interval, count]) => keepalive(idle, interval, count));
const anyEnd: fc.Arbitrary<TcpEnd> = fc.record({
  keepalive: fc.option(anyKeepalive, { nil: undefined }),
  userTimeoutMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 600_000 })),
  retransmissionTimeoutMs: fc.constantFrom(RETRANSMISSION_TIMEOUT_MS, 102_200, 6_200),
});
const anyEndPoint = (name: string) =>
  fc
    .record({
      tcp: anyEnd,
      idleTimeoutMs: maybeMs,
      responseTimeoutMs: maybeMs,
      pingIntervalMs: fc.option(fc.integer({ min: 10_000, max: 1_000_000 }), { nil: undefined }),
    })
    .map((overrides) => endPoint(name, overrides));

const afterExpiry = fc.constantFrom("drop" as const, "reset" as const, "adopt" as const);
const anyBox = fc
  .tuple(
    maybeSeconds,
    fc.record({
      halfClosed: seconds,
      unanswered: seconds,
      atExpiry: fc.constantFrom("silent" as const, "reset-both" as const),
      fromClient: afterExpiry,
      fromServer: afterExpiry,
    }),
  )
  .map(([established, choices]) => box("box", established, choices));

const anyProxy = fc
  .record({
    protocol: fc.constantFrom("tcp" as const, "http" as const),
    clientSide: anyEnd,
    serverSide: anyEnd,
    clientIdleTimeoutMs: maybeMs,
    serverIdleTimeoutMs: maybeMs,
    upstreamIdleTimeoutMs: fc.oneof(fc.constant(0), maybeMs),
    halfClosedTimeoutMs: maybeMs,
    onServerTimeout: fc.constantFrom("error-response" as const, "close" as const, "reset" as const),
    onClientTimeout: fc.constantFrom("close" as const, "reset" as const),
    passesResetAs: fc.constantFrom("reset" as const, "close" as const, "error-response" as const),
  })
  .map(({ protocol, ...overrides }) => proxy("proxy", protocol, overrides));

const anyPath: fc.Arbitrary<Path> = fc
  .tuple(anyEndPoint("client"), fc.array(fc.oneof(anyBox, anyProxy), { maxLength: 4 }), anyEndPoint("server"))
  .map(([client, between, server]) => path(client, ...between, server));

const who = fc.constantFrom("client" as const, "server" as const);
const atMs = fc.integer({ min: 0, max: 5_000_000 });
const anyScenario: fc.Arbitrary<Scenario> = fc.oneof(
  fc.record({ kind: fc.constant("idle" as const), atMs, thenSpeaks: who }),
  fc.record({ kind: fc.constant("idle" as const), atMs }),
  fc.record({ kind: fc.constant("slow-response" as const), responseTimeMs: atMs }),
  fc.record({ kind: fc.constant("half-closed" as const), endedBy: who, atMs }),
  fc.record({ kind: fc.constant("host-dies-idle" as const), who }),
  fc.record({ kind: fc.constant("host-dies-in-flight" as const), who }),
);

const show = (fate: Fate): string =>
  fate.events.map((it) => `${it.atMs} ${it.what} ${it.hop} ${it.text}`).join("\n");

function endOf(hop: Hop, leg: number, of: Path): TcpEnd {
  if (hop.kind === "end-point") return hop.tcp;
  assert.ok(hop.kind === "proxy");
  const legAfter = of.hops.slice(0, of.hops.indexOf(hop) + 1).filter((it) => it.kind === "proxy").length;
  return leg === legAfter ? hop.serverSide : hop.clientSide;
}

test("simulatePath(): same path, same scenario, same fate; events in order; nobody learns after the end of time", () => {
  fc.assert(
    fc.property(anyPath, anyScenario, (anyOne, scenario) => {
      const fate = simulatePath(anyOne, scenario);
      assert.deepEqual(simulatePath(anyOne, scenario), fate);
      assert.ok(fate.verdict.length > 0 && describeScenario(scenario).length > 0);
      fate.events.forEach((event, index) => {
        assert.ok(event.atMs >= (fate.events[index - 1]?.atMs ?? 0), show(fate));
        assert.ok(event.hop < anyOne.hops.length && (event.to ?? 0) < anyOne.hops.length, show(fate));
      });
      assert.ok(fate.untilMs >= (fate.events.at(-1)?.atMs ?? 0), show(fate));
      for (const end of fate.ends) {
        assert.ok((end.learnsAtMs ?? 0) <= fate.untilMs, show(fate));
        assert.equal(end.learnsAtMs === undefined, end.how === "never" || end.how === "still-alive");
      }
      if (!fate.isHealthy) assert.ok(fate.culprit !== undefined || scenario.kind !== "idle", show(fate));
    }),
    { numRuns: 1500 },
  );
});

test("simulatePath(): an end that never learns has no probes and no time-out that could tell it", () => {
  fc.assert(
    fc.property(anyPath, anyScenario, (anyOne, scenario) => {
      const fate = simulatePath(anyOne, scenario);
      for (const end of fate.ends.filter((it) => it.how === "never")) {
        const hop = anyOne.hops[end.hop]!;
        const context = `${JSON.stringify(end)}\n${fate.untilMs}\n${show(fate)}`;
        assert.equal(endOf(hop, end.leg, anyOne).keepalive, undefined, context);
        if (hop.kind === "proxy" && hop.protocol === "tcp") {
          assert.equal(hop.clientIdleTimeoutMs ?? hop.serverIdleTimeoutMs, undefined, context);
        }
        const mayPing = hop.kind === "end-point" && scenario.kind !== "half-closed";
        if (mayPing) assert.equal(hop.pingIntervalMs, undefined, context);
      }
    }),
    { numRuns: 1500 },
  );
});

/**
 * Where more probes can harm, on real networks too: a box that adopts one direction only (the probe from the wrong side is lost), and
 * a dead host beyond a proxy that somebody learns of only because a box on the other leg forgets, which the probes prevent.
 */
const isEven = (it: Hop): boolean =>
  it.kind !== "packet-box" ||
  (it.afterExpiry.fromClient === "adopt") === (it.afterExpiry.fromServer === "adopt");

/**
 * Without TCP_USER_TIMEOUT: with it, the number of probes follows from the idle time, and half the idle time may round up to a later end.
 */
const withoutUserTimeout = (end: TcpEnd): TcpEnd => ({ ...end, userTimeoutMs: 0 });

/** An orderly close whose FIN is lost in a box is healthy while nobody asks: the peer's own time-out ends it. Probes find it dead. */
const neverCloses = ({ hops }: Path): Path => ({
  hops: hops.map((hop): Hop => (hop.kind === "end-point" ? { ...hop, idleTimeoutMs: undefined } : hop)),
});

const probesTwiceAsOften = (end: TcpEnd): TcpEnd =>
  end.keepalive === undefined
    ? end
    : {
        ...end,
        keepalive: { ...end.keepalive, idleMs: Math.max(1000, Math.floor(end.keepalive.idleMs / 2)) },
      };

function onAllEnds({ hops }: Path, change: (end: TcpEnd) => TcpEnd): Path {
  const changed = hops.map((hop): Hop => {
    if (hop.kind === "end-point") return { ...hop, tcp: change(hop.tcp) };
    if (hop.kind === "packet-box") return hop;
    return { ...hop, clientSide: change(hop.clientSide), serverSide: change(hop.serverSide) };
  });
  return { hops: changed };
}

test("simulatePath(): probing more often never makes a healthy path unhealthy", () => {
  fc.assert(
    fc.property(anyPath, anyScenario, (anyOne, scenario) => {
      const plain = neverCloses(onAllEnds(anyOne, withoutUserTimeout));
      fc.pre(!scenario.kind.startsWith("host-dies") && plain.hops.every(isEven));
      fc.pre(simulatePath(plain, scenario).isHealthy);
      const fate = simulatePath(onAllEnds(plain, probesTwiceAsOften), scenario);
      assert.equal(fate.isHealthy, true, `${fate.verdict}\n${show(fate)}`);
    }),
    { numRuns: 1500 },
  );
});

test("simulatePath(): a dead peer is noticed at idle + interval × count, whatever the numbers", () => {
  fc.assert(
    fc.property(anyKeepalive, (tcpKeepalive) => {
      const survivor = endPoint("server", { tcp: tcpEnd({ keepalive: tcpKeepalive }) });
      const fate = simulatePath(path(endPoint("client"), survivor), {
        kind: "host-dies-idle",
        who: "client",
      });
      const { idleMs, intervalMs, probeCount } = tcpKeepalive;
      assert.equal(fate.ends[0]?.learnsAtMs, idleMs + intervalMs * probeCount);
    }),
  );
});

test("simulatePath(): an idle connection over one box lives when the probes' period is below its time-out, and only then", () => {
  fc.assert(
    fc.property(anyKeepalive, seconds, fc.boolean(), (tcpKeepalive, timeout, isAtClient) => {
      const prober = tcpEnd({ keepalive: tcpKeepalive });
      const ends = isAtClient ? [prober, tcpEnd()] : [tcpEnd(), prober];
      const over = path(
        endPoint("client", { tcp: ends[0]! }),
        box("nat", timeout),
        endPoint("server", { tcp: ends[1]! }),
      );
      const fate = simulatePath(over, { kind: "idle", atMs: 5_000_000, thenSpeaks: "client" });
      const isKept = Math.max(tcpKeepalive.idleMs, tcpKeepalive.intervalMs) < timeout * 1000;
      assert.equal(fate.isHealthy, isKept, show(fate));
    }),
  );
});

test("advise(): what it plans mends what it says and breaks nothing; contradictions() takes any path", () => {
  fc.assert(
    fc.property(anyPath, (anyOne) => {
      contradictions(anyOne);
      const scenarios = defaultScenarios(anyOne);
      const advice = advise(anyOne, scenarios);
      const isBroken = (it: Path) => scenarios.filter((scenario) => !simulatePath(it, scenario).isHealthy);
      assert.deepEqual(isBroken(anyOne), advice.brokenBefore);
      assert.deepEqual(isBroken(advice.mendedPath), advice.brokenAfter);
      assert.ok(
        advice.brokenAfter.every((scenario) => advice.brokenBefore.includes(scenario)),
        advice.text,
      );
      assert.equal(advice.plan.length === 0, advice.brokenBefore.length === advice.brokenAfter.length);
    }),
    { numRuns: 40 },
  );
});

test("simulatePath(): jumping over answered probes changes nothing but the work", () => {
  const isKept = Object.getOwnPropertyDescriptor(Socket.prototype, "isKeptAliveByProbes")!;
  const oneByOne = (anyOne: Path, scenario: Scenario): Fate => {
    Object.defineProperty(Socket.prototype, "isKeptAliveByProbes", { configurable: true, get: () => false });
    try {
      return simulatePath(anyOne, scenario);
    } finally {
      Object.defineProperty(Socket.prototype, "isKeptAliveByProbes", isKept);
    }
  };
  const slower = (end: TcpEnd): TcpEnd =>
    end.keepalive === undefined
      ? end
      : { ...end, keepalive: { ...end.keepalive, idleMs: end.keepalive.idleMs + 20_000 } };
  const count = (fate: Fate, what: string): number =>
    fate.events.filter((it) => it.what === what).reduce((sum, it) => sum + (it.folded?.count ?? 1), 0);
  fc.assert(
    fc.property(anyPath, anyScenario, (anyOne, scenario) => {
      const slow = onAllEnds(anyOne, slower);
      const fate = simulatePath(slow, scenario);
      const slowly = oneByOne(slow, scenario);
      assert.deepEqual(
        [fate.ends, fate.verdict, fate.culprit],
        [slowly.ends, slowly.verdict, slowly.culprit],
      );
      const others = (it: Fate) =>
        it.events.filter((event) => !/probe/.test(event.what) && event.atMs <= fate.untilMs);
      assert.deepEqual(others(fate), others(slowly));
      assert.equal(count(fate, "gives-up"), count(slowly, "gives-up"));
    }),
    { numRuns: 200 },
  );
});
