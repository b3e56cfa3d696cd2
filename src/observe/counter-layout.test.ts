/** Tests of counter-layout.ts: slots and blocks do not overlap, buckets are those of the table. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { gatewayConfig, listenerConfig, poolConfig, serverConfig } from "../testing/gateway-config.ts";
import { CLOSE_CAUSES } from "./close-cause.ts";
import {
  CounterLayout,
  LATENCY_BUCKET_COUNT,
  LATENCY_BUCKETS_MS,
  LISTENER_SLOT_COUNT,
  ListenerSlot,
  latencyBucket,
  POOL_SLOT_COUNT,
  PoolSlot,
  SERVER_SLOT_COUNT,
  ServerSlot,
  WORKER_SLOT_COUNT,
  WorkerSlot,
} from "./counter-layout.ts";

test("latencyBucket() agrees with the table of bounds, bounds included", () => {
  const expected = (ms: number) => {
    const found = LATENCY_BUCKETS_MS.findIndex((bound) => ms <= bound);
    return found === -1 ? LATENCY_BUCKETS_MS.length : found;
  };
  for (const bound of [0, ...LATENCY_BUCKETS_MS]) {
    for (const ms of [bound - 0.001, bound, bound + 0.001, bound * 1.3, 1e9]) {
      assert.equal(latencyBucket(ms * 1000), expected(ms), `${ms} ms`);
    }
  }
});

test("slots of a block neither overlap nor leave a gap", () => {
  const runs: Record<string, number> = { latency: LATENCY_BUCKET_COUNT, closes: CLOSE_CAUSES.length };
  const blocks: [Record<string, number>, number][] = [
    [WorkerSlot, WORKER_SLOT_COUNT],
    [ListenerSlot, LISTENER_SLOT_COUNT],
    [PoolSlot, POOL_SLOT_COUNT],
    [ServerSlot, SERVER_SLOT_COUNT],
  ];
  for (const [slots, count] of blocks) {
    let next = 0;
    for (const [name, offset] of Object.entries(slots)) {
      assert.equal(offset, next, name);
      next += runs[name] ?? 1;
    }
    assert.equal(count, next);
  }
});

test("CounterLayout puts the blocks one after the other", () => {
  const layout = new CounterLayout(
    gatewayConfig({
      listeners: [listenerConfig(), listenerConfig({ name: "b" })],
      pools: [
        poolConfig({ name: "p", servers: [serverConfig(), serverConfig()] }),
        poolConfig({ name: "q", servers: [serverConfig()] }),
      ],
    }),
  );
  const firstPool = WORKER_SLOT_COUNT + 2 * LISTENER_SLOT_COUNT;
  assert.equal(layout.workerBase, 0);
  assert.equal(layout.listenerBase(0), WORKER_SLOT_COUNT);
  assert.equal(layout.listenerBase(1), WORKER_SLOT_COUNT + LISTENER_SLOT_COUNT);
  assert.equal(layout.poolBase(0), firstPool);
  assert.equal(layout.serverBase(0, 1), firstPool + POOL_SLOT_COUNT + SERVER_SLOT_COUNT);
  assert.equal(layout.poolBase(1), firstPool + POOL_SLOT_COUNT + 2 * SERVER_SLOT_COUNT);
  assert.equal(layout.slotCount, layout.serverBase(1, 0) + SERVER_SLOT_COUNT);
  assert.equal(layout.bytes, layout.slotCount * 8);
  assert.throws(() => layout.listenerBase(2), RangeError);
  assert.throws(() => layout.serverBase(1, 1), RangeError);
});
