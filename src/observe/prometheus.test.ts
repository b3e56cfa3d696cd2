/** Tests of prometheus.ts and of the conventions of metric-registry.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { gatewayConfig, listenerConfig } from "../testing/gateway-config.ts";
import { CLOSE_CAUSES, closeCauseIndex } from "./close-cause.ts";
import { CounterLayout, ListenerSlot, latencyBucket, ServerSlot } from "./counter-layout.ts";
import { CounterLedger } from "./counter-ledger.ts";
import type { GatewayFacts } from "./gateway-facts.ts";
import { METRIC_FAMILIES } from "./metric-registry.ts";
import { escapeLabel, formatPrometheus, formatSample, isCauseOfLeg } from "./prometheus.ts";

const FACTS: GatewayFacts = {
  version: "1.2.3",
  pid: 1,
  configFile: undefined,
  nowMs: 2_000,
  startedAtMs: 1_500,
  phase: "running",
  phases: ["starting", "running"],
  generation: 1,
  workers: [],
  respawns: 4,
  reloadsOk: 0,
  reloadsFailed: 1,
  lastReload: undefined,
  routers: [],
  routerProcess: undefined,
  servers: [
    {
      pool: "web",
      server: "127.0.0.1:9",
      admin: "drain",
      adminSinceMs: 1000,
      weight: 7,
      health: {
        check: "http",
        state: "going-down",
        reason: "answered 500",
        sinceMs: 1500,
        stateSinceMs: 1900,
        checks: 10,
        checksFailed: 3,
        timesUp: 1,
        timesDown: 2,
        trafficFailures: 0,
        lastCheck: { ok: false, reason: "answered 500", durationMs: 12, atMs: 2000 },
        certificateExpiresAtMs: undefined,
      },
    },
  ],
};

function metricsText(): string {
  const config = gatewayConfig({ listeners: [listenerConfig({ name: 'we"b' })] });
  const layout = new CounterLayout(config);
  const counters = new Float64Array(layout.slotCount);
  const base = layout.listenerBase(0);
  for (const ms of [0.4, 3, 3, 90_000]) {
    counters[base + ListenerSlot.latency + latencyBucket(ms * 1000)]!++;
    counters[base + ListenerSlot.latencySumMs]! += ms;
  }
  counters[base + ListenerSlot.closes + closeCauseIndex("idle-timeout")] = 5;
  counters[layout.serverBase(0, 0) + ServerSlot.closes + closeCauseIndex("upstream-fin-idle")] = 6;
  counters[layout.serverBase(0, 0) + ServerSlot.closes + closeCauseIndex("send-timeout")] = 7;
  return formatPrometheus(FACTS, new CounterLedger().total(config, [{ workerIndex: 0, config, counters }]));
}

test("formatPrometheus() writes samples of every kind (text format 0.0.4)", () => {
  const lines = metricsText().split("\n");
  for (const line of [
    'holdfast_build_info{version="1.2.3"} 1',
    "holdfast_start_time_seconds 1.5",
    'holdfast_phase{phase="running"} 1',
    'holdfast_phase{phase="starting"} 0',
    "holdfast_worker_respawns_total 4",
    'holdfast_reloads_total{result="failed"} 1',
    'holdfast_listener_request_duration_seconds_bucket{listener="we\\"b",le="0.0005"} 1',
    'holdfast_listener_request_duration_seconds_bucket{listener="we\\"b",le="0.005"} 3',
    'holdfast_listener_request_duration_seconds_bucket{listener="we\\"b",le="60"} 3',
    'holdfast_listener_request_duration_seconds_bucket{listener="we\\"b",le="+Inf"} 4',
    'holdfast_listener_request_duration_seconds_sum{listener="we\\"b"} 90.0064',
    'holdfast_listener_request_duration_seconds_count{listener="we\\"b"} 4',
    'holdfast_closes_total{listener="we\\"b",side="gateway",cause="idle-timeout"} 5',
    'holdfast_closes_total{listener="we\\"b",side="client",cause="peer-fin"} 0',
    'holdfast_closes_total{pool="web",server="127.0.0.1:9",side="upstream",cause="upstream-fin-idle"} 6',
    'holdfast_closes_total{pool="web",server="127.0.0.1:9",side="gateway",cause="send-timeout"} 7',
    'holdfast_pool_retries_total{pool="web",reason="stale"} 0',
    'holdfast_server_up{pool="web",server="127.0.0.1:9"} 0',
    'holdfast_server_health_state{pool="web",server="127.0.0.1:9",state="going-down"} 1',
    'holdfast_server_health_state{pool="web",server="127.0.0.1:9",state="up"} 0',
    'holdfast_server_admin_state{pool="web",server="127.0.0.1:9",state="drain"} 1',
    'holdfast_server_weight{pool="web",server="127.0.0.1:9"} 7',
    'holdfast_server_health_checks_total{pool="web",server="127.0.0.1:9",result="ok"} 7',
    'holdfast_server_health_changes_total{pool="web",server="127.0.0.1:9",to="down"} 2',
    'holdfast_server_health_check_duration_seconds{pool="web",server="127.0.0.1:9"} 0.012',
  ]) {
    assert.ok(lines.includes(line), `missing: ${line}`);
  }
});

test("formatPrometheus() writes only well-formed lines, each family once, no sample twice", () => {
  const text = metricsText();
  assert.ok(text.endsWith("\n"));
  const seen = new Set<string>();
  for (const line of text.trimEnd().split("\n")) {
    assert.match(
      line,
      /^(# (HELP|TYPE) holdfast_\w+ .+|holdfast_\w+(\{(\w+="([^"\\\n]|\\.)*",?)+\})? (\d+(\.\d+)?|\+Inf))$/,
    );
    const key = line.startsWith("#") ? line : line.slice(0, line.lastIndexOf(" "));
    assert.ok(!seen.has(key), `twice: ${key}`);
    seen.add(key);
  }
});

test("metric names follow the conventions: counters end in _total, times in seconds", () => {
  for (const { name, type } of METRIC_FAMILIES) {
    assert.match(name, /^holdfast_[a-z0-9_]+$/);
    assert.equal(name.endsWith("_total"), type === "counter", name);
    assert.doesNotMatch(name, /_ms\b|millis/);
  }
  assert.equal(new Set(METRIC_FAMILIES.map(({ name }) => name)).size, METRIC_FAMILIES.length);
});

test("isCauseOfLeg() gives every cause to exactly one leg", () => {
  assert.equal(isCauseOfLeg("upstream-truncated", false), true);
  assert.equal(isCauseOfLeg("client-gone", true), true);
  assert.equal(isCauseOfLeg("upstream-drain", true), true);
  for (const { name } of CLOSE_CAUSES) {
    assert.notEqual(isCauseOfLeg(name, true), isCauseOfLeg(name, false));
  }
});

test("formatSample() escapes labels and rounds off binary dust", () => {
  assert.equal(escapeLabel('a\\b"c\nd'), 'a\\\\b\\"c\\nd');
  assert.equal(formatSample("x", {}, 0.1 + 0.2), "x 0.3");
});
