import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { skipOrFail } from "../../test/harness/peers.ts";
import { heldCapabilities } from "./capabilities.ts";

function run(errand: string): Record<string, unknown> {
  const program = new URL("./capabilities-fixtures.js", import.meta.url).pathname;
  return JSON.parse(execFileSync(process.execPath, [program, errand], { encoding: "utf8" }));
}

test("an ordinary user keeps CAP_NET_RAW and CAP_NET_ADMIN, and nothing else (capabilities(7))", (t) => {
  if (process.getuid!() !== 0) return void skipOrFail(t, "only root can become another user");
  const result = run("drop");
  assert.equal(result.uid, 65534);
  assert.deepEqual(result.afterSetuid, [], "setuid(2) clears the effective set");
  assert.deepEqual(new Set(result.kept as string[]), new Set(["CAP_NET_RAW", "CAP_NET_ADMIN"]));
  const refusal = result.refusal as { code: string; hint: string };
  assert.equal(refusal.code, "EPERM");
  assert.match(refusal.hint, /CAP_NET_RAW/);
});

test("heldCapabilities() agrees with /proc/self/status, above bit 31, too (CAP_BPF is 39)", () => {
  const [, hex] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  const bits = BigInt(`0x${hex}`);
  const held = heldCapabilities();
  for (const [name, number] of [
    ["CAP_NET_ADMIN", 12],
    ["CAP_SYS_PTRACE", 19],
    ["CAP_PERFMON", 38],
    ["CAP_BPF", 39],
  ] as const)
    assert.equal(held.has(name), ((bits >> BigInt(number)) & 1n) === 1n, name);
});

test("real-time scheduling and locked memory: granted, and undone, or refused with a reason", () => {
  const result = run("realtime");
  assert.equal(result.limit, "ok");
  assert.equal(result.wasRealtime, result.scheduler === "ok");
  assert.equal(result.isRealtime, false);
  assert.equal(result.megabytes, 50);
  const held = heldCapabilities();
  if (held.has("CAP_IPC_LOCK") && held.has("CAP_SYS_RESOURCE")) assert.equal(result.memory, "ok");
  else assert.match(String(result.memory), /^(ok|EPERM|ENOMEM)$/);
  assert.match(String(result.scheduler), /^(ok|EPERM)$/);
});

test("a real-time thread that pauses now and then is never ended by RLIMIT_RTTIME, however busy it is (getrlimit(2))", (t) => {
  const { isRealtime } = run("busy");
  if (isRealtime !== true) skipOrFail(t, "no real-time scheduling here");
});
