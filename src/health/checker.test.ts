/** Tests of checker.ts and target.ts: who is checked, what is shared, what stays over a reload; with probes that tests answer. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import type { GatewayConfig, HealthConfig } from "../config/types.ts";
import { gatewayConfig, poolConfig, serverConfig } from "../testing/gateway-config.ts";
import type { CheckedServer, CheckResult } from "./check-result.ts";
import { HealthChecker } from "./checker.ts";
import type { Probe, ProbeResult, ProbeTarget } from "./probe.ts";
import type { HealthTarget } from "./target.ts";

const TCP: HealthConfig = {
  check: { kind: "tcp", send: undefined, expect: undefined },
  port: undefined,
  intervalMs: 1000,
  fastIntervalMs: 250,
  timeoutMs: 400,
  rise: 2,
  fall: 3,
  initial: "up",
};
const TOLD: HealthConfig = {
  ...TCP,
  check: { kind: "heartbeat", mode: "told", deadlineMs: 1000, progressDeadlineMs: 0 },
};

class ScriptedProbe implements Probe {
  readonly target: ProbeTarget;
  starts = 0;
  cancels = 0;
  /** Undefined: no answer at all. */
  answer: ProbeResult | undefined = { ok: true, reason: "fine" };

  constructor(target: ProbeTarget) {
    this.target = target;
  }

  start(done: (result: ProbeResult) => void): void {
    this.starts++;
    if (this.answer !== undefined) done(this.answer);
  }

  cancel(): void {
    this.cancels++;
  }
}

let nowMs = 0;
let probes: ScriptedProbe[] = [];
let changes: string[] = [];

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  nowMs = 0;
  probes = [];
  changes = [];
});
afterEach(() => mock.timers.reset());

function pass(ms: number): void {
  for (let n = 0; n < ms; n++) {
    nowMs++;
    mock.timers.tick(1);
  }
}

function newChecker(): HealthChecker {
  return new HealthChecker({
    clock: { now: () => nowMs, monotonicMs: () => nowMs, random: () => 0.5 },
    createProbe: (health, target) => {
      if (health.check.kind === "heartbeat") return undefined;
      const probe = new ScriptedProbe(target);
      probes.push(probe);
      return probe;
    },
    onChange: (target: HealthTarget) =>
      changes.push(`${nowMs} ${target.servers.map(({ pool }) => pool)} ${target.detector.state}`),
  });
}

const server = (port: number) =>
  serverConfig({ name: `s:${port}`, address: { family: "inet", host: "127.0.0.1", port } });

function configOf(
  pools: Readonly<Record<string, readonly [HealthConfig | undefined, ...number[]]>>,
): GatewayConfig {
  return gatewayConfig({
    pools: Object.entries(pools).map(([name, [health, ...ports]]) =>
      poolConfig({ name, health, servers: ports.map(server) }),
    ),
  });
}

function adopt(checker: HealthChecker, config: GatewayConfig) {
  const plan = checker.prepare(config);
  checker.commit(plan, config);
  return plan;
}

test("a program is asked for each pool and server: it may look at the names it is given", () => {
  const checker = newChecker();
  const exec: HealthConfig = { ...TCP, check: { kind: "exec", command: ["true"] } };
  adopt(checker, configOf({ web: [exec, 1], api: [exec, 1] }));
  assert.deepEqual(
    probes.map(({ target }) => target.pool),
    ["web", "api"],
  );
  checker.stop();
});

test("a check of the server's own port begins with its PROXY header, one of another port does not", () => {
  const checker = newChecker();
  const pool = (name: string, port: number | undefined) =>
    poolConfig({ name, health: { ...TCP, port }, sendProxy: "v2", servers: [server(1)] });
  adopt(checker, gatewayConfig({ pools: [pool("own", undefined), pool("other", 9)] }));
  assert.deepEqual(
    probes.map(({ target }) => target.sendProxy),
    ["v2", "off"],
  );
  checker.stop();
});

test("pools that name the same address with the same health section share one target; others do not", () => {
  const checker = newChecker();
  const plan = adopt(
    checker,
    configOf({
      web: [TCP, 1, 2],
      api: [TCP, 2],
      slow: [{ ...TCP, intervalMs: 5000 }, 2],
      none: [undefined, 2],
    }),
  );
  assert.equal(plan[0]![1], plan[1]![0]);
  assert.notEqual(plan[0]![1], plan[2]![0]);
  assert.equal(plan[3]![0], undefined);
  assert.deepEqual(plan[0]![1]!.servers, [
    { pool: "web", server: "s:2" },
    { pool: "api", server: "s:2" },
  ]);
  assert.equal(probes.length, 3);
  checker.stop();
});

test("`port` moves the check to another port of the server", () => {
  newChecker().prepare(configOf({ web: [{ ...TCP, port: 9000 }, 1] }));
  assert.deepEqual(probes[0]!.target.address, { family: "inet", host: "127.0.0.1", port: 9000 });
});

test("a server is checked at its interval, faster while it goes down or up, and a check without an answer fails in time", () => {
  const checker = newChecker();
  adopt(checker, configOf({ web: [TCP, 1] }));
  const [probe] = probes as [ScriptedProbe];
  pass(124);
  assert.equal(probe.starts, 0);
  pass(1);
  assert.equal(probe.starts, 1, "half of the fast interval: nothing is known yet");
  pass(1000);
  assert.equal(probe.starts, 2);
  probe.answer = undefined;
  pass(1000);
  assert.equal(probe.starts, 3);
  pass(399);
  assert.equal(probe.starts, 3, "never two at a time");
  pass(1);
  assert.deepEqual([probe.starts, probe.cancels], [3, 1]);
  pass(1);
  assert.equal(probe.starts, 4, "the fast interval has long passed");
  pass(801);
  assert.deepEqual(changes, ["3327 web down"]);
  probe.answer = { ok: true, reason: "fine" };
  pass(1000);
  assert.deepEqual(changes.slice(1), [`${Number.parseInt(changes[1] ?? "", 10)} web up`]);
  checker.stop();
  const { starts } = probe;
  pass(5000);
  assert.equal(probe.starts, starts, "nothing goes on after stop()");
});

test("a check whose time passed while the gateway itself did not run gets a little more, once", () => {
  const checker = newChecker();
  adopt(checker, configOf({ web: [{ ...TCP, fall: 1 }, 1] }));
  const [probe] = probes as [ScriptedProbe];
  probe.answer = undefined;
  pass(125);
  assert.equal(probe.starts, 1);
  nowMs += 5000; // blocked
  mock.timers.tick(400);
  assert.deepEqual([probe.cancels, changes], [0, []], "the answer may lie in the socket");
  pass(100);
  assert.deepEqual([probe.cancels, changes], [1, ["5225 web down"]]);
  checker.stop();
});

test("failures of live traffic bring the next check forward and take the server down together with it", () => {
  const checker = newChecker();
  const plan = adopt(checker, configOf({ web: [TCP, 1] }));
  const [probe] = probes as [ScriptedProbe];
  pass(125 + 300);
  probe.answer = { ok: false, reason: "refused" };
  checker.observe(plan[0]![0]!, {
    successes: 0,
    failures: 2,
    responses5xx: 0,
    lastFailure: "upstream-refused",
  });
  assert.deepEqual(changes, []);
  pass(1);
  assert.deepEqual(changes, ["426 web down"], "not 700 ms later, and without two more checks");
  checker.stop();
});

test("a reload keeps the targets that stay with all they know, checks new ones only from commit() on, stops the others", () => {
  const checker = newChecker();
  const before = adopt(checker, configOf({ web: [TCP, 1, 2] }));
  pass(125);
  const config = configOf({ renamed: [TCP, 2, 3] });
  const plan = checker.prepare(config);
  assert.equal(plan[0]![0], before[0]![1]);
  pass(2000);
  assert.equal(probes[2]!.starts, 0, "the reload may still fail");
  checker.commit(plan, config);
  const [gone, kept, added] = probes.map(({ starts }) => starts);
  pass(2000);
  assert.deepEqual(
    probes.map(({ starts }) => starts),
    [gone, kept! + 2, added! + 2],
  );
  assert.equal(plan[0]![0]!.detector.checks, kept! + 2);
  assert.deepEqual(plan[0]![0]!.servers, [{ pool: "renamed", server: "s:2" }]);
  checker.stop();
});

test("told heartbeats reach the server they name, and one missed deadline is enough", () => {
  const checker = newChecker();
  let tell: (server: CheckedServer, result: CheckResult) => void = () => assert.fail("not started");
  let stops = 0;
  checker.listenTo({
    start: (onResult) => {
      tell = onResult;
    },
    stop: () => {
      stops++;
    },
  });
  const plan = adopt(checker, configOf({ web: [TOLD, 1, 2], api: [TOLD, 1], tcp: [TCP, 1] }));
  assert.notEqual(plan[0]![0], plan[1]![0], "each is told by its own name");
  tell({ pool: "web", server: "s:1" }, { ok: false, reason: "no beat for 1s", durationMs: 0 });
  tell({ pool: "tcp", server: "s:1" }, { ok: false, reason: "nobody asked", durationMs: 0 });
  tell({ pool: "web", server: "s:9" }, { ok: false, reason: "who?", durationMs: 0 });
  assert.deepEqual(changes, ["0 web down"]);
  assert.equal(plan[0]![0]!.detector.reason, "no beat for 1s");
  tell({ pool: "web", server: "s:1" }, { ok: true, reason: "beat", durationMs: 0 });
  tell({ pool: "web", server: "s:1" }, { ok: true, reason: "beat", durationMs: 0 });
  assert.deepEqual(changes, ["0 web down", "0 web up"]);
  checker.stop();
  assert.equal(stops, 1);
});
