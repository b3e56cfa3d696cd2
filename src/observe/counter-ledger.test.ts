/** Tests of counter-ledger.ts: nothing decreases over a crash or a reload. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { GatewayConfig } from "../config/types.ts";
import { gatewayConfig, listenerConfig, poolConfig, serverConfig } from "../testing/gateway-config.ts";
import { CounterLayout, ListenerSlot, ServerSlot, WorkerSlot } from "./counter-layout.ts";
import { CounterLedger, type WorkerCounters } from "./counter-ledger.ts";

const CONFIG = gatewayConfig();

function worker(requests: number, idleLimitMs = 0, config: GatewayConfig = CONFIG): WorkerCounters {
  const layout = new CounterLayout(config);
  const counters = new Float64Array(layout.slotCount);
  counters[layout.workerBase + WorkerSlot.loopIterations] = 10;
  counters[layout.listenerBase(0) + ListenerSlot.requests] = requests;
  counters[layout.listenerBase(0) + ListenerSlot.active] = 2;
  counters[layout.serverBase(0, 0) + ServerSlot.requests] = requests;
  counters[layout.serverBase(0, 0) + ServerSlot.passedOver] = 1;
  counters[layout.serverBase(0, 0) + ServerSlot.idleLimitMs] = idleLimitMs;
  return { workerIndex: 0, config, counters };
}

test("CounterLedger adds up the living, gauges by their kind", () => {
  const total = new CounterLedger().total(CONFIG, [worker(3, 5000), worker(4, 4000), worker(0)]);
  const listener = total.listeners.get("web")!;
  const server = total.servers.get("web")!.get("127.0.0.1:9")!;
  assert.equal(listener[ListenerSlot.requests], 7);
  assert.equal(listener[ListenerSlot.active], 6);
  assert.equal(server[ServerSlot.passedOver], 1);
  assert.equal(server[ServerSlot.idleLimitMs], 4000, "the smallest of those that learned something");
  assert.equal(total.workers.get(0)![WorkerSlot.loopIterations], 30);
});

test("CounterLedger keeps the counters of the dead, not their gauges", () => {
  const ledger = new CounterLedger();
  ledger.retire(worker(3, 5000));
  const listener = ledger.total(CONFIG, [worker(4)]).listeners.get("web")!;
  assert.equal(listener[ListenerSlot.requests], 7);
  assert.equal(listener[ListenerSlot.active], 2);
  assert.equal(
    ledger.total(CONFIG, []).listeners.get("web")![ListenerSlot.requests],
    3,
    "total() changes nothing",
  );
});

test("CounterLedger finds names again after a reload that moved them", () => {
  const ledger = new CounterLedger();
  ledger.retire(worker(3));
  const after = gatewayConfig({
    listeners: [listenerConfig({ name: "new" }), listenerConfig()],
    pools: [
      poolConfig({ name: "new" }),
      poolConfig({ servers: [serverConfig({ name: "other" }), serverConfig()] }),
    ],
  });
  const total = ledger.total(after, []);
  assert.equal(total.listeners.get("web")![ListenerSlot.requests], 3);
  assert.equal(total.listeners.get("new")![ListenerSlot.requests], 0);
  assert.equal(total.servers.get("web")!.get("127.0.0.1:9")![ServerSlot.requests], 3);
  assert.equal(total.servers.get("web")!.get("other")![ServerSlot.requests], 0);
});

test("forgetAllBut() forgets names that left the configuration, and total() does not show them", () => {
  const ledger = new CounterLedger();
  ledger.retire(worker(3));
  const without = gatewayConfig({ listeners: [], pools: [] });
  assert.equal(ledger.total(without, []).listeners.size, 0);
  ledger.forgetAllBut(without);
  assert.equal(ledger.total(CONFIG, []).listeners.get("web")![ListenerSlot.requests], 0);
  assert.equal(ledger.total(CONFIG, []).servers.get("web")!.get("127.0.0.1:9")![ServerSlot.requests], 0);
});
