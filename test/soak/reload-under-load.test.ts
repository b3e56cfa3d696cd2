/** A few reloads under the load of wrk: no request fails. Long form: `npm run soak:reload`. */
import assert from "node:assert/strict";
import test from "node:test";
import { requirePeer } from "../harness/peers.ts";
import { wrkFailures } from "../harness/wrk.ts";
import { runReloadUnderLoad } from "./reload-under-load.ts";

test("reloads under load fail no request, and a bad file changes nothing", async (t) => {
  if (!requirePeer(t, "wrk", "nginx")) return;
  const result = await runReloadUnderLoad({ reloads: 5, intervalMs: 1200, connections: 32, workers: 2 });
  t.diagnostic(
    `${result.load.requests} requests, ${result.reloads} reloads, errors ${JSON.stringify(result.load.errors)}`,
  );
  assert.equal(wrkFailures(result.load), 0);
  assert.ok(result.load.requests > 1000, "there was a load");
  assert.ok(result.badReloadStatus >= 400, `the broken file was answered with ${result.badReloadStatus}`);
  assert.match(result.badReloadBody, /nonsense/);
});
