/** Tests of so-keepalive.ts: nginx's grammar, the kernel's ranges, the time to detection, and the warnings. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  detectionTimeMs,
  formatSoKeepalive,
  LINUX_TCP_KEEPALIVE_DEFAULTS as LINUX,
  lintTcpKeepalive,
  parseSoKeepalive,
  type TcpKeepalive,
} from "./so-keepalive.ts";

function keepalive(text: string): TcpKeepalive {
  const result = parseSoKeepalive(text);
  assert.ok(result.ok, JSON.stringify(result));
  return result.value;
}

test("parseSoKeepalive() reads every form that nginx documents", () => {
  const table: [
    string,
    TcpKeepalive["enabled"],
    number | undefined,
    number | undefined,
    number | undefined,
  ][] = [
    ["on", true, undefined, undefined, undefined],
    ["off", false, undefined, undefined, undefined],
    ["30m::10", true, 1800, undefined, 10],
    [":10s:", true, undefined, 10, undefined],
    ["::3", true, undefined, undefined, 3],
    ["60s:10s:6", true, 60, 10, 6],
    ["60:10:6", true, 60, 10, 6],
    ["1m30s::", true, 90, undefined, undefined],
    ["32767:32767:127", true, 32_767, 32_767, 127],
    ["1:1:1", true, 1, 1, 1],
  ];
  for (const [text, enabled, idleSeconds, intervalSeconds, probeCount] of table) {
    assert.deepEqual(keepalive(text), { enabled, idleSeconds, intervalSeconds, probeCount }, text);
  }
});

test("parseSoKeepalive() refuses everything else and says why", () => {
  const table: [string, string][] = [
    ["", '"" is not on, off or [idle]:[interval]:[count]'],
    ["::", '"::" is not on, off or [idle]:[interval]:[count]'],
    ["60s", '"60s" is not on, off or [idle]:[interval]:[count]'],
    ["60s:10s", '"60s:10s" is not on, off or [idle]:[interval]:[count]'],
    ["1:2:3:4", '"1:2:3:4" is not on, off or [idle]:[interval]:[count]'],
    ["ON", '"ON" is not on, off or [idle]:[interval]:[count]'],
    ["0::", '"0::": the idle time "0" is out of range: the kernel allows 1s to 32767s'],
    ["32768::", '"32768::": the idle time "32768" is out of range: the kernel allows 1s to 32767s'],
    [":10h:", '":10h:": the interval "10h" is out of range: the kernel allows 1s to 32767s'],
    ["::0", '"::0": the count "0" is out of range: the kernel allows 1 to 127'],
    ["::128", '"::128": the count "128" is out of range: the kernel allows 1 to 127'],
    ["::x", '"::x": the count "x" is not a number'],
    ["::3s", '"::3s": the count "3s" is not a number'],
    ["500ms::", '"500ms::": the idle time "500ms" has milliseconds; the kernel counts in seconds'],
    ["x::", '"x::": the idle time "x" is not a duration'],
  ];
  for (const [text, reason] of table) {
    const result = parseSoKeepalive(text);
    assert.equal(result.ok ? "accepted" : result.reason, reason);
  }
});

test("parseSoKeepalive() shows how to complete a value that lacks its colons", () => {
  const result = parseSoKeepalive("60s");
  assert.equal(result.ok ? "" : result.hint, "write 60s:: with both colons");
});

test("formatSoKeepalive() writes the shortest form", () => {
  const table = {
    on: "on",
    off: "off",
    "1800::10": "30m::10",
    ":10:": ":10s:",
    "::3": "::3",
    "60:10:6": "1m:10s:6",
  };
  for (const [text, formatted] of Object.entries(table))
    assert.equal(formatSoKeepalive(keepalive(text)), formatted);
  const untouched = {
    enabled: undefined,
    idleSeconds: undefined,
    intervalSeconds: undefined,
    probeCount: undefined,
  };
  assert.equal(formatSoKeepalive(untouched), "unset");
});

test("detectionTimeMs() is idle + interval × count (tcp_keepalive_timer)", () => {
  assert.equal(detectionTimeMs(keepalive("1s:1s:3"), 0), 4000);
  assert.equal(detectionTimeMs(keepalive("on"), 0), 7_875_000);
  assert.equal(
    detectionTimeMs(keepalive("60s::"), 0, { idleSeconds: 1, intervalSeconds: 2, probeCount: 3 }),
    66_000,
  );
  assert.equal(detectionTimeMs(keepalive("off"), 0), undefined);
});

test("detectionTimeMs() ends at the first tick past TCP_USER_TIMEOUT, after at least one probe", () => {
  assert.equal(detectionTimeMs(keepalive("1s:1s:9"), 2500), 3000);
  assert.equal(detectionTimeMs(keepalive("60s:10s:3"), 85_000), 90_000);
  assert.equal(detectionTimeMs(keepalive("60s:10s:3"), 30_000), 70_000);
  assert.equal(detectionTimeMs(keepalive("60s:10s:3"), 120_000), 120_000);
});

function lint(text: string, userTimeoutMs: number, isLocal = false): string[] {
  return lintTcpKeepalive(keepalive(text), userTimeoutMs, LINUX, { isLocal }).map(
    ({ key, message }) => `${key}: ${message}`,
  );
}

test("lintTcpKeepalive() is content with the recommended values", () => {
  assert.deepEqual(lint("60s:10s:6", 0), []);
  assert.deepEqual(lint("60s:10s:3", 85_000), []);
  assert.deepEqual(lint("off", 0), []);
});

test("lintTcpKeepalive() warns that ONE lost probe kills when tcp_user_timeout is not above the idle time", () => {
  assert.deepEqual(lint("60s:10s:6", 30_000), [
    "tcp_user_timeout: 30s is at or below so_keepalive's idle time of 1m: the kernel ignores the count of 6, and ONE lost probe kills the connection, after 1m10s",
  ]);
  const [warning] = lintTcpKeepalive(keepalive("60s:10s:6"), 30_000, LINUX, { isLocal: false });
  assert.equal(warning!.hint, "write 1m55s (a little below 2m), or change so_keepalive");
});

test("lintTcpKeepalive() warns when tcp_user_timeout changes the count, in both directions", () => {
  assert.deepEqual(lint("60s:10s:6", 85_000), [
    "tcp_user_timeout: 1m25s is below idle + interval × count = 2m: the kernel ignores the count of 6, and the connection dies after 3 lost probes and 1m30s",
  ]);
  assert.deepEqual(lint("60s:10s:3", 300_000), [
    "tcp_user_timeout: 5m is above idle + interval × count = 1m30s: the kernel ignores the count of 3, and the connection dies after 24 lost probes and 5m",
  ]);
});

test("lintTcpKeepalive() warns that the system's idle time of two hours is too late for every middlebox", () => {
  assert.deepEqual(lint("on", 0), [
    "so_keepalive: the first probe comes only after 2h, the system's default idle time (tcp_keepalive_time); NAT gateways and AWS load balancers forget an idle connection after 350s, LVS after 900s",
  ]);
  assert.deepEqual(lint("400s::", 0), [
    "so_keepalive: the first probe comes only after 6m40s, the idle time; NAT gateways and AWS load balancers forget an idle connection after 350s",
  ]);
  assert.deepEqual(lint("on", 0, true), [], "nothing lies between two ends on one machine");
});

test("lintTcpKeepalive() warns that tcp_user_timeout alone does not notice an idle peer's death", () => {
  assert.deepEqual(lint("off", 30_000), [
    "tcp_user_timeout: without so_keepalive it works only while data is in flight: a peer that dies while idle is never noticed",
  ]);
});
