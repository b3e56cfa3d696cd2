/** The stale-reuse soak in its short form: a connection the server has just closed costs no request. Long form: `npm run soak:stale-reuse`. */
import assert from "node:assert/strict";
import test from "node:test";
import { requirePeer } from "../harness/peers.ts";
import { formatStaleReuse, runStaleReuse, type StaleReusePlan } from "./stale-reuse.ts";

const SHORT = { clients: 40, durationMs: 6000, jitterMs: 5 } as const;

for (const idleTimeoutMs of [1000, 200]) {
  test(`no request fails and none is sent twice when the server's idle timeout of ${idleTimeoutMs} ms is the clients' period`, async (t) => {
    if (!requirePeer(t, "nginx", "haproxy")) return;
    const plan: StaleReusePlan = {
      ...SHORT,
      proxies: ["holdfast", "nginx", "haproxy"],
      idleTimeoutMs,
      isAdvertised: true,
    };
    const results = await runStaleReuse(plan);
    for (const line of formatStaleReuse(plan, results).split("\n")) t.diagnostic(line);
    const own = results.find((it) => it.proxy === "holdfast")!;
    assert.ok(own.requests >= SHORT.clients * 4, `only ${own.requests} requests`);
    assert.deepEqual([own.failedGet, own.failedPost, own.duplicates], [0, 0, 0]);
  });
}

test("no GET fails when the server's idle timeout is not announced", async (t) => {
  const plan: StaleReusePlan = { ...SHORT, proxies: ["holdfast"], idleTimeoutMs: 200, isAdvertised: false };
  const results = await runStaleReuse(plan);
  for (const line of formatStaleReuse(plan, results).split("\n")) t.diagnostic(line);
  assert.equal(results[0]!.failedGet, 0);
  assert.equal(results[0]!.duplicates, 0);
});
