/** Every entry of the catalogue makes a hop, and every word that it understands does what it says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CATALOGUE, findEntry, knownName, similarNames } from "./catalogue.ts";
import { defaultSettings, hopOf, knobsOf, mainKey, readOverride } from "./catalogue-entry.ts";
import type { EndPointHop, PacketBoxHop, ProxyHop } from "./hop.ts";
import { FIELDS, readField, retransmissionTimeoutMs } from "./hop-settings.ts";

const source = { text: "test" };

test("the catalogue has at least 40 entries, each name once, each with a source", () => {
  assert.ok(CATALOGUE.length >= 40, `${CATALOGUE.length}`);
  assert.equal(new Set(CATALOGUE.map(({ name }) => name)).size, CATALOGUE.length);
  for (const entry of CATALOGUE) {
    assert.match(entry.name, /^[a-z0-9]+(-[a-z0-9]+)*$/, entry.name);
    const isOwn = entry.group === "your own" || entry.name.startsWith("holdfast");
    const isTraceable = entry.source.url !== undefined || entry.source.isUnverified === true || isOwn;
    // Huawei's, Azure's and others' pages that moved are said to be unverified.
    assert.ok(isTraceable, `${entry.name}: a source without an address must be marked unverified`);
  }
});

test("the boxes of the field reports are there under their names", () => {
  const names =
    "aws-nat-gateway aws-nlb aws-nlb-tls aws-alb aws-classic-elb aws-gwlb ec2-security-group ec2-security-group-nitro-v6 gcp-vpc gcp-cloud-nat azure-lb azure-lb-tcp-reset azure-nat-gateway aks-outbound lvs kube-proxy-ipvs kube-proxy-iptables docker-swarm-vip conntrack conntrack-drop-invalid cilium f5 f5-silent f5-loose cisco-asa palo-alto juniper-srx rfc5382-nat haproxy nginx nginx-stream envoy ksyun-slb alibaba-clb tencent-clb huawei-elb ucloud-clb holdfast client server node-http node-https node-fetch go java python curl postgres libpq pgjdbc mysql redis lettuce kafka grpc ssh node";
  for (const name of names.split(" ")) assert.ok(findEntry(name) !== undefined, name);
});

test("hopOf() makes a hop of every entry, in both roles; its defaults are in their normal spelling", () => {
  for (const entry of CATALOGUE) {
    for (const role of ["client", "server"] as const) {
      for (const [field, { text }] of Object.entries(defaultSettings(entry, role))) {
        const fields: Readonly<Record<string, unknown>> = FIELDS[entry.kind];
        assert.ok(Object.hasOwn(fields, field), `${entry.name}.${field} is no field of a ${entry.kind}`);
        assert.ok(readField(entry.kind, field, text).ok, `${entry.name}.${field}: ${text}`);
      }
      assert.equal(hopOf(entry, { role }).hop.kind, entry.kind);
    }
    for (const { fields } of Object.values(knobsOf(entry))) {
      for (const field of fields) assert.ok(field in FIELDS[entry.kind], `${entry.name}: ${field}`);
    }
  }
});

test("hopOf() knows what was measured: LVS 900 s, NLB 350 s, Node's probe per second, 924.6 s of retransmission", () => {
  const lvs = hopOf(knownName("lvs")).hop as PacketBoxHop;
  assert.deepEqual(lvs.timeouts, { establishedMs: 900_000, halfClosedMs: 60_000, unansweredMs: undefined });
  assert.deepEqual(lvs.afterExpiry, { fromClient: "reset", fromServer: "drop" });
  const nlb = hopOf(knownName("aws-nlb")).hop as PacketBoxHop;
  assert.equal(nlb.timeouts.establishedMs, 350_000);
  const agent = hopOf(knownName("node-http"), { role: "client" }).hop as EndPointHop;
  assert.deepEqual(agent.tcp.keepalive, { idleMs: 1000, intervalMs: 1000, probeCount: 10 });
  assert.equal(agent.tcp.retransmissionTimeoutMs, 924_600);
  const server = hopOf(knownName("node-http"), { role: "server" }).hop as EndPointHop;
  assert.deepEqual([server.tcp.keepalive, server.idleTimeoutMs], [undefined, 5000]);
  const alb = hopOf(knownName("aws-alb")).hop as ProxyHop;
  assert.deepEqual(
    [alb.clientIdleTimeoutMs, alb.serverIdleTimeoutMs, alb.onServerTimeout],
    [60_000, 60_000, "error-response"],
  );
});

test("retransmissionTimeoutMs() is the kernel's sum: tcp_retries2 15 is 924.6 s, 8 is 102.2 s (tcp_model_timeout)", () => {
  assert.equal(retransmissionTimeoutMs(15), 924_600);
  assert.equal(retransmissionTimeoutMs(8), 102_200);
  assert.equal(retransmissionTimeoutMs(0), 200);
  assert.equal(retransmissionTimeoutMs(10), 324_600);
});

test("readOverride() understands the product's words, units and values", () => {
  const cases: readonly (readonly [name: string, key: string, raw: unknown, field: string, text: string])[] =
    [
      ["f5", "reset-on-timeout", "disabled", "at_expiry", "silent"],
      ["f5", "loose-initiation", "enabled", "from_server", "adopt"],
      ["azure-lb", "idleTimeoutInMinutes", 15, "timeout", "15m"],
      ["azure-lb", "tcp_reset", "on", "at_expiry", "reset-both"],
      ["aws-nlb", "tcp.idle_timeout.seconds", 6000, "timeout", "6000s"],
      ["haproxy", "timeout client", "30000", "client_idle_timeout", "30000ms"],
      ["postgres", "tcp_keepalives_idle", 60, "keepalive_idle", "60s"],
      ["libpq", "keepalives", 0, "so_keepalive", "off"],
      ["pgjdbc", "tcpKeepAlive", true, "so_keepalive", "on"],
      ["ssh", "ServerAliveInterval", "0", "ping_interval", "never"],
      ["box", "after_expiry", "adopt", "from_client", "adopt"],
      ["holdfast", "upstream_idle_timeout", "auto", "upstream_idle_timeout", "auto"],
      ["client", "so_keepalive", false, "so_keepalive", "off"],
    ];
  for (const [name, key, raw, field, text] of cases) {
    const result = readOverride(knownName(name), { key, raw, source });
    assert.equal(result.ok && result.value[field]?.text, text, `${name} ${key}`);
  }
});

test("readOverride() refuses with the nearest word, or with what is allowed", () => {
  const refusal = (name: string, key: string, raw: unknown) => {
    const result = readOverride(knownName(name), { key, raw, source });
    return result.ok ? "accepted" : `${result.reason}; ${result.hint}`;
  };
  assert.equal(refusal("f5", "timeuot", "5m"), 'f5 has no setting "timeuot"; did you mean timeout?');
  assert.match(refusal("f5", "constructor", "5m"), /^f5 has no setting "constructor"/);
  assert.match(refusal("box", "at_expiry", "loud"), /is not one of silent, reset-both/);
  assert.match(refusal("box", "timeout", 0), /too short.*never/);
  assert.match(refusal("client", "tcp_retries2", 256), /whole number from 0 to 255/);
  assert.match(refusal("client", "so_keepalive", "60s"), /both colons/);
});

test("mainKey() takes what looks like so_keepalive for it, else the idle time-out", () => {
  assert.equal(mainKey(knownName("client"), "60s:10s:3"), "so_keepalive");
  assert.equal(mainKey(knownName("client"), "5m"), "idle_timeout");
  assert.equal(mainKey(knownName("f5"), "5m"), "timeout");
});

test("similarNames() finds typing errors, aliases and parts of names", () => {
  assert.deepEqual(similarNames("aws-nlp"), ["aws-nlb"]);
  assert.deepEqual(similarNames("Node-http"), ["node-http"]);
  assert.ok(similarNames("azure").includes("azure-lb"));
  assert.deepEqual(similarNames("zzzzzz"), []);
});
