import assert from "node:assert/strict";
import test from "node:test";
import { contradictions } from "./contradictions.ts";
import {
  awsNatGateway,
  box,
  endPoint,
  ipvs,
  keepalive,
  path,
  proxy,
  tcpEnd,
} from "./field-cases-fixtures.ts";
import type { Path } from "./hop.ts";

const rulesOf = (it: Path): readonly string[] => contradictions(it).map(({ rule }) => rule);
const hopsOf = (it: Path, rule: string) => contradictions(it).find((found) => found.rule === rule)?.hops;
const probing = (idle: number, interval: number, count: number, userTimeoutMs = 0) =>
  tcpEnd({ keepalive: keepalive(idle, interval, count), userTimeoutMs });

const SOUND = path(
  endPoint("client", { tcp: probing(60, 10, 3, 85_000), idleTimeoutMs: 30_000, responseTimeoutMs: 90_000 }),
  box("aws-nlb", 350),
  proxy("nginx", "http", {
    clientIdleTimeoutMs: 75_000,
    serverIdleTimeoutMs: 60_000,
    upstreamIdleTimeoutMs: 4_000,
    serverSide: probing(60, 10, 3),
  }),
  awsNatGateway(),
  endPoint("node-http", { idleTimeoutMs: 5_000 }),
);

test("contradictions() finds nothing in a path that fits together", () => {
  assert.deepEqual(contradictions(SOUND), []);
});

test("contradictions(): a pool that keeps connections longer than the server (reuse race)", () => {
  const nginx = proxy("nginx", "http", { upstreamIdleTimeoutMs: 60_000 });
  const found = path(endPoint("client"), nginx, endPoint("node-http", { idleTimeoutMs: 5_000 }));
  assert.deepEqual(hopsOf(found, "pool-outlives-server"), [1, 2]);
  const equal = path(
    endPoint("client", { idleTimeoutMs: 5_000 }),
    endPoint("node-http", { idleTimeoutMs: 5_000 }),
  );
  assert.deepEqual(rulesOf(equal), ["pool-outlives-server"]);
  const none = proxy("nginx", "http", { upstreamIdleTimeoutMs: 0 });
  assert.deepEqual(
    rulesOf(path(endPoint("client"), none, endPoint("node-http", { idleTimeoutMs: 5_000 }))),
    [],
  );
});

test("contradictions(): a pool that keeps connections longer than a box remembers them, unless probes keep them", () => {
  const pool = (tcp = tcpEnd()) =>
    path(endPoint("client", { idleTimeoutMs: 600_000, tcp }), awsNatGateway(), endPoint("server"));
  assert.deepEqual(rulesOf(pool()), ["pool-outlives-box"]);
  assert.deepEqual(rulesOf(pool(probing(60, 10, 3))), []);
});

test("contradictions(): probes that come too late for a box; one end's probes in time are enough", () => {
  const late = endPoint("client", { tcp: probing(400, 10, 3) });
  assert.deepEqual(
    hopsOf(path(late, awsNatGateway(), endPoint("server")), "probes-too-late-for-box"),
    [0, 1],
  );
  assert.deepEqual(rulesOf(path(late, awsNatGateway(), endPoint("server", { tcp: probing(60, 10, 3) }))), []);
  const slowInterval = endPoint("client", { tcp: probing(60, 400, 1) });
  const rules = rulesOf(path(slowInterval, awsNatGateway(), endPoint("server")));
  assert.ok(rules.includes("probes-too-late-for-box"), "an interval above the idle time is the period");
  assert.ok(rules.includes("interval-above-idle"));
});

test("contradictions(): probes end at a TCP proxy, in both directions", () => {
  const envoy = proxy("envoy", "tcp");
  const outer = path(
    endPoint("app", { tcp: probing(60, 10, 3) }),
    envoy,
    awsNatGateway(),
    endPoint("server"),
  );
  assert.deepEqual(hopsOf(outer, "probes-end-at-proxy"), [0, 1, 2]);
  const inner = path(endPoint("client"), ipvs(), envoy, endPoint("server", { tcp: probing(60, 10, 3) }));
  assert.deepEqual(hopsOf(inner, "probes-end-at-proxy"), [3, 2, 1]);
  const rare = path(endPoint("client"), ipvs(), envoy, endPoint("server", { tcp: probing(7200, 75, 9) }));
  assert.deepEqual(rulesOf(rare), ["keepalive-on-but-useless"]);
});

test("contradictions(): probes that end at a proxy are missed only where its sessions outlive the box's memory", () => {
  const behind = (sessionMs: number) =>
    rulesOf(
      path(
        endPoint("client"),
        box("conntrack", 432_000),
        proxy("haproxy", "tcp", { clientIdleTimeoutMs: sessionMs, serverIdleTimeoutMs: sessionMs }),
        endPoint("server", { tcp: probing(60, 10, 3) }),
      ),
    );
  assert.deepEqual(behind(50_000), []);
  assert.deepEqual(behind(864_000_000), ["probes-end-at-proxy"]);
});

test("contradictions(): a browser that keeps connections longer than the server is a warning: it asks again by itself", () => {
  const found = (client: string) =>
    contradictions(
      path(endPoint(client, { idleTimeoutMs: 300_000 }), endPoint("server", { idleTimeoutMs: 60_000 })),
    ).map(({ rule, severity }) => `${rule} ${severity}`);
  assert.deepEqual(found("browser"), ["pool-outlives-server warning"]);
  assert.deepEqual(found("go-http"), ["pool-outlives-server error"]);
});

test("contradictions(): an answer may take longer than a box remembers", () => {
  const patient = endPoint("client", { responseTimeoutMs: 600_000 });
  assert.deepEqual(rulesOf(path(patient, awsNatGateway(), endPoint("server"))), ["response-outlasts-box"]);
});

test("contradictions(): the outer hop gives up before the inner one", () => {
  const web = (outer: number, inner: number) =>
    path(
      endPoint("client"),
      proxy("outer", "http", { serverIdleTimeoutMs: outer, upstreamIdleTimeoutMs: 0 }),
      proxy("inner", "http", { serverIdleTimeoutMs: inner, upstreamIdleTimeoutMs: 0 }),
      endPoint("server"),
    );
  assert.deepEqual(hopsOf(web(30_000, 60_000), "outer-gives-up-first"), [1, 2]);
  assert.deepEqual(rulesOf(web(60_000, 30_000)), []);
});

test("contradictions(): TCP_USER_TIMEOUT against idle time and count (Cloudflare: slightly below idle + interval × count)", () => {
  const rules = (idle: number, interval: number, count: number, userTimeoutMs: number) =>
    rulesOf(
      path(endPoint("client", { tcp: probing(idle, interval, count, userTimeoutMs) }), endPoint("server")),
    );
  assert.deepEqual(rules(60, 10, 3, 30_000), ["user-timeout-below-idle"]);
  assert.deepEqual(rules(60, 10, 9, 65_000), ["user-timeout-overrides-count"]);
  assert.deepEqual(rules(60, 10, 3, 300_000), ["user-timeout-overrides-count"]);
  assert.deepEqual(rules(60, 10, 3, 85_000), []);
  assert.deepEqual(rules(60, 10, 3, 90_000), []);
});

test("contradictions(): probes in haste and probes that are as good as none", () => {
  const rules = (idle: number, interval: number, count: number) =>
    rulesOf(path(endPoint("client", { tcp: probing(idle, interval, count) }), endPoint("server")));
  assert.deepEqual(rules(1, 1, 10), ["probes-every-second"]);
  assert.deepEqual(rules(60, 1, 10), ["probes-give-up-quickly"]);
  assert.deepEqual(rules(7200, 75, 9), ["keepalive-on-but-useless"]);
  assert.deepEqual(rules(15, 15, 9), []);
});

test("contradictions(): half-closed time-outs shorter than the answer may take", () => {
  const found = path(endPoint("client", { responseTimeoutMs: 120_000 }), ipvs(), endPoint("server"));
  assert.deepEqual(hopsOf(found, "half-closed-too-short"), [1]);
});

test("contradictions(): heartbeats slower than a proxy's session time-out", () => {
  const haproxy = proxy("haproxy", "tcp", { clientIdleTimeoutMs: 50_000, serverIdleTimeoutMs: 50_000 });
  const slow = path(endPoint("client", { pingIntervalMs: 60_000 }), haproxy, endPoint("server"));
  assert.deepEqual(hopsOf(slow, "heartbeat-too-late-for-proxy"), [0, 1]);
});

test("contradictions(): probes that are in time by their settings, but not by the kernel's timer wheel (an eighth late)", () => {
  const idle = (seconds: number) =>
    path(endPoint("client", { tcp: probing(seconds, 10, 3) }), box("aws-nlb", 350), endPoint("server"));
  assert.deepEqual(hopsOf(idle(349), "probes-barely-in-time"), [0, 1]);
  assert.deepEqual(hopsOf(idle(312), "probes-barely-in-time"), [0, 1]);
  assert.deepEqual(rulesOf(idle(311)), []);
  assert.deepEqual(rulesOf(idle(350)), ["probes-too-late-for-box"]);
  const other = path(
    endPoint("client", { tcp: probing(340, 10, 3) }),
    box("aws-nlb", 350),
    endPoint("server", { tcp: probing(60, 10, 3) }),
  );
  assert.deepEqual(rulesOf(other), []);
});
