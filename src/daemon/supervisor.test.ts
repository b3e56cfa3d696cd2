/**
 * The supervisor's start and stop where they meet, without a worker: what needs real workers is in
 * test/integration/supervisor.test.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gatewayConfig } from "../testing/gateway-config.ts";
import { StartError, Supervisor } from "./supervisor.ts";

test("drain() during the start undoes the start and leaves no worker behind", async () => {
  const supervisor: Supervisor = new Supervisor({
    version: "0.0.0-test",
    configFile: "gateway.yaml",
    load: async () => {
      supervisor.drain(); // SIGTERM while the names of servers are looked up
      return { ok: true, config: gatewayConfig(), warnings: [] };
    },
    logger: { log: () => {} },
    workerModule: fileURLToPath(new URL("../testing/fake-worker.js", import.meta.url)),
  });
  try {
    await assert.rejects(supervisor.start(), StartError);
    assert.equal(supervisor.isStopRequested, true);
    assert.deepEqual(supervisor.status().workers, []);
    await supervisor.stopped;
    assert.equal(supervisor.phase, "stopped");
  } finally {
    supervisor.stop();
  }
});
