import assert from "node:assert/strict";
import test from "node:test";
import { advise } from "./advice.ts";
import {
  awsNatGateway,
  box,
  endPoint,
  FIELD_CASES,
  ipvs,
  keepalive,
  LINUX_DEFAULT_KEEPALIVE,
  path,
  proxy,
  tcpEnd,
} from "./field-cases-fixtures.ts";
import { defaultScenarios } from "./scenarios.ts";
import { simulatePath } from "./simulation.ts";

for (const fieldCase of FIELD_CASES) {
  test(`advise() mends it with one value on the right hop: ${fieldCase.report}`, () => {
    const advice = advise(fieldCase.path, [fieldCase.scenario]);
    assert.equal(advice.plan.length, 1, advice.text);
    assert.deepEqual(advice.brokenAfter, [], advice.text);
    assert.ok(fieldCase.mendedAt.includes(advice.plan[0]!.hop), advice.text);
    assert.equal(simulatePath(advice.mendedPath, fieldCase.scenario).isHealthy, true, advice.text);
  });
}

const probing = (idle: number, interval: number, count: number, userTimeoutMs = 0) =>
  tcpEnd({ keepalive: keepalive(idle, interval, count), userTimeoutMs });

test("advise() has nothing to say about a path on which everything ends well", () => {
  const good = path(
    endPoint("client", { tcp: probing(60, 10, 3, 85_000) }),
    box("aws-nlb", 350),
    endPoint("server", { tcp: probing(60, 10, 3, 85_000) }),
  );
  const advice = advise(good, defaultScenarios(good));
  assert.deepEqual([advice.plan, advice.remedies, advice.brokenBefore], [[], [], []], advice.text);
  assert.equal(advice.text, "Nothing to mend.");
});

test("advise() S2: probes below the box's 90 s come before a longer time-out of the box", () => {
  const over = path(endPoint("client"), box("lvs", 90, { atExpiry: "reset-both" }), endPoint("node-http"));
  const advice = advise(over, [{ kind: "slow-response", responseTimeMs: 120_000 }]);
  assert.equal(advice.plan[0]?.setting, "so_keepalive of client");
  assert.equal(advice.plan[0]?.to, "60s:10s:3");
  assert.deepEqual(
    advice.remedies.map(({ hop, to }) => [hop, to]),
    [
      [0, "60s:10s:3"],
      [2, "60s:10s:3"],
      [1, "150 s"],
    ],
    "ends first, the box last",
  );
  assert.equal(advice.remedies.at(-1)?.directive, "ipvsadm --set 150 0 0");
});

test("advise() does not touch a box whose time-out is its maker's", () => {
  const over = path(endPoint("client"), awsNatGateway(), endPoint("server"));
  const advice = advise(over, [{ kind: "slow-response", responseTimeMs: 600_000 }]);
  assert.ok(advice.remedies.length > 0 && advice.remedies.every(({ hop }) => hop !== 1), advice.text);
});

test("advise() names the proxy's own directive for an answer that takes too long", () => {
  const web = (name: string) =>
    path(endPoint("client"), proxy(name, "http", { serverIdleTimeoutMs: 60_000 }), endPoint("node"));
  const directive = (name: string) =>
    advise(web(name), [{ kind: "slow-response", responseTimeMs: 120_000 }]).plan[0]?.directive;
  assert.equal(directive("nginx"), "proxy_read_timeout 2m30s;");
  assert.equal(directive("haproxy"), "timeout server 150s");
  assert.equal(directive("holdfast"), "pools: { …: { read_timeout: 2m30s } }");
  assert.equal(directive("nobody-knows"), undefined);
});

test("advise() says that no single value suffices, and finds the smallest pair", () => {
  const over = path(
    endPoint("client"),
    ipvs(),
    proxy("haproxy", "tcp"),
    awsNatGateway(),
    endPoint("postgres"),
  );
  const idle = { kind: "idle", atMs: 1_000_000, thenSpeaks: "client" } as const;
  const advice = advise(over, [idle]);
  assert.equal(advice.plan.length, 2, advice.text);
  assert.match(advice.text, /^No single value suffices, 2 do: /);
  assert.deepEqual(advice.brokenAfter, []);
  assert.deepEqual(advice.remedies, [], "neither helps alone");
  assert.equal(simulatePath(advice.mendedPath, idle).isHealthy, true);
});

test("advise() plans as many changes as it takes, none of which can be left out", () => {
  const bare = path(endPoint("client"), endPoint("server"));
  const scenarios = defaultScenarios(bare);
  const advice = advise(bare, scenarios);
  assert.deepEqual(
    advice.plan.map(({ hop, setting }) => [hop, setting]),
    [
      [0, "so_keepalive of client"],
      [1, "so_keepalive of server"],
      [0, "tcp_user_timeout of client"],
      [1, "tcp_user_timeout of server"],
    ],
    advice.text,
  );
  assert.deepEqual(advice.brokenAfter, []);
});

test("advise() admits that what is left cannot be mended by a setting", () => {
  // Nobody here may change anything that matters: the box is fixed, and forgets faster than a probe can be sent.
  const hopeless = path(endPoint("client"), box("gcp-vpc", 1), endPoint("server"));
  const advice = advise(hopeless, [{ kind: "idle", atMs: 100_000, thenSpeaks: "client" }]);
  assert.deepEqual(advice.plan, []);
  assert.equal(advice.mendedPath, hopeless);
  assert.match(
    advice.text,
    /^Nothing that could be changed here helps\. Still broken: idle for 100 s, then the client speaks\./,
  );
});

test("advise() lowers a pool's idle time only where it lets go at all", () => {
  const idle = { kind: "idle", atMs: 400_000, thenSpeaks: "client" } as const;
  const settings = (idleTimeoutMs: number | undefined) =>
    advise(path(endPoint("pool", { idleTimeoutMs }), awsNatGateway(), endPoint("server")), [
      idle,
    ]).remedies.map(({ setting, to }) => `${setting}: ${to}`);
  assert.ok(settings(3_600_000).includes("idle time-out of pool: 180 s"));
  assert.ok(!settings(undefined).some((it) => it.startsWith("idle time-out")));
});

test("advise() sends those who take the kernel's times to sysctl, others to holdfast enable", () => {
  const idle = { kind: "idle", atMs: 400_000, thenSpeaks: "client" } as const;
  const directive = (tcp = tcpEnd()) =>
    advise(path(endPoint("pod", { tcp }), awsNatGateway(), endPoint("server")), [idle]).plan[0]?.directive;
  assert.equal(
    directive(tcpEnd({ keepalive: LINUX_DEFAULT_KEEPALIVE })),
    "sysctl -w net.ipv4.tcp_keepalive_time=60 net.ipv4.tcp_keepalive_intvl=10 net.ipv4.tcp_keepalive_probes=3",
  );
  assert.equal(directive(), "holdfast enable … --so-keepalive 60s:10s:3");
});

test("advise() does not ask for socket options of a cloud's proxy, nor for a time-out that is fixed", () => {
  const idle = { kind: "idle", atMs: 400_000, thenSpeaks: "client" } as const;
  const behind = (name: string) =>
    advise(path(endPoint("client"), ipvs(300), proxy(name, "tcp"), endPoint("server")), [idle]).remedies.map(
      ({ hop }) => hop,
    );
  assert.ok(behind("haproxy-tcp").includes(2));
  assert.ok(!behind("gcp-tcp-proxy").includes(2));
  const slow = { kind: "slow-response", responseTimeMs: 300_000 } as const;
  const web = (name: string) =>
    advise(
      path(endPoint("client"), proxy(name, "http", { serverIdleTimeoutMs: 60_000 }), endPoint("server")),
      [slow],
    );
  assert.equal(web("aws-alb").plan[0]?.directive, "idle_timeout.timeout_seconds=600");
  assert.deepEqual(web("azure-app-service").plan, []);
});

test("advise() offers no single value that mends one scenario and breaks another", () => {
  // Longer sessions alone: nobody would notice in time that the client's host died with data on its way to it.
  const nginx = proxy("nginx", "tcp", {
    clientIdleTimeoutMs: 600_000,
    serverIdleTimeoutMs: 600_000,
    clientSide: probing(60, 10, 3),
    serverSide: probing(60, 10, 3, 85_000),
  });
  const boundary = path(endPoint("client", { tcp: probing(15, 15, 9) }), nginx, endPoint("worker"));
  const advice = advise(boundary, defaultScenarios(boundary));
  assert.ok(
    !advice.remedies.some(({ setting }) => setting === "idle time-out of nginx's sessions"),
    advice.text,
  );
  assert.ok(
    advice.plan.some(({ setting }) => setting === "idle time-out of nginx's sessions"),
    advice.text,
  );
  assert.deepEqual(advice.brokenAfter, []);
});

test("advise() does not ask a proxy to keep sessions for days because a conntrack box would", () => {
  const conntrack = () => box("conntrack", 432_000);
  const over = path(
    endPoint("client"),
    conntrack(),
    proxy("haproxy-tcp", "tcp", { clientIdleTimeoutMs: 50_000, serverIdleTimeoutMs: 50_000 }),
    conntrack(),
    endPoint("server"),
  );
  const { plan, text } = advise(over, defaultScenarios(over));
  const session = plan.find(({ setting }) => setting === "idle time-out of haproxy-tcp's sessions");
  assert.equal(session?.to, "150 s", text);
});

test("advise() points to a contradiction where every scenario ends well, and where one is left", () => {
  // The pool keeps connections as long as the server does: no scenario shows it, some requests meet the closing connection.
  const web = (serverIdleTimeoutMs: number) =>
    path(
      endPoint("client", { tcp: probing(60, 10, 3, 85_000) }),
      proxy("haproxy", "http", {
        clientIdleTimeoutMs: 50_000,
        serverIdleTimeoutMs,
        upstreamIdleTimeoutMs: 5000,
      }),
      endPoint("node-http", { idleTimeoutMs: 5000 }),
    );
  const slow = [{ kind: "slow-response", responseTimeMs: 120_000 }] as const;
  const fix = "haproxy should let go before 5 s, or node-http keep idle connections longer than haproxy does";
  const well = advise(web(600_000), slow);
  assert.deepEqual(
    [well.plan, well.contradictionsAfter.map(({ rule }) => rule)],
    [[], ["pool-outlives-server"]],
  );
  assert.equal(well.text, `Every scenario ends well, but settings contradict each other: ${fix}.`);
  const one = advise(web(50_000), slow);
  assert.equal(
    one.text,
    `One value mends every scenario: response time-out of haproxy from 50 s to 150 s. Settings still contradict each other: ${fix}.`,
  );
});

test("advise() names what quiet connections need first, and what dead hosts need apart from it", () => {
  const nat = () => awsNatGateway();
  const over = path(
    endPoint("client"),
    nat(),
    proxy("haproxy-tcp", "tcp", { clientIdleTimeoutMs: 600_000, serverIdleTimeoutMs: 600_000 }),
    nat(),
    endPoint("server"),
  );
  const scenarios = defaultScenarios(over);
  const advice = advise(over, scenarios);
  const quiet = advice.plan.slice(0, advice.plan.length - advice.forDeadHosts.length);
  assert.deepEqual(advice.plan.slice(quiet.length), advice.forDeadHosts);
  const isDeath = (kind: string) => kind.startsWith("host-dies");
  assert.ok(quiet.length > 0 && advice.forDeadHosts.length > 0, advice.text);
  assert.ok(quiet.at(-1)!.leavesBroken.every(isDeath), advice.text);
  assert.deepEqual(advice.brokenAfter, [], advice.text);
  assert.match(advice.text, /^\d values mend what is quiet or slow: .*\. For dead hosts, \d more: /);
  // Nothing of the first set is there for the sake of dead hosts only.
  const everyday = scenarios.filter(({ kind }) => !isDeath(kind));
  assert.equal(quiet.length, advise(over, everyday).plan.length);
});

test("advise() tells two programs of one name apart by their hop", () => {
  const peers = path(endPoint("ssh"), awsNatGateway(), endPoint("ssh"));
  const { text } = advise(peers, defaultScenarios(peers));
  assert.match(text, /so_keepalive of ssh \(hop 1\)/);
  assert.match(text, /tcp_user_timeout of ssh \(hop 1\) and ssh \(hop 3\)/);
  const { verdict } = simulatePath(peers, { kind: "host-dies-idle", who: "client" });
  assert.match(verdict, /ssh \(hop 1\)'s host is gone.*ssh \(hop 3\) never learns/);
});
