import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { PipePool } from "./pipe-pool.ts";

const descriptorCount = (): number => readdirSync("/proc/self/fd").length;

test("PipePool gives an empty pipe out again, and closes one that still holds bytes", () => {
  const pool = new PipePool();
  const before = descriptorCount();
  const first = pool.take()!;
  assert.equal(descriptorCount(), before + 2);
  pool.giveBack(first);
  assert.equal(pool.take(), first);
  first.length = 1;
  pool.giveBack(first);
  assert.equal(descriptorCount(), before);
  assert.notEqual(pool.take(), first);
});

test("PipePool keeps a bounded number of idle pipes, and none after closeIdle()", () => {
  const pool = new PipePool();
  const before = descriptorCount();
  const pipes = Array.from({ length: 100 }, () => pool.take()!);
  for (const pipe of pipes) pool.giveBack(pipe);
  assert.equal(descriptorCount(), before + 2 * pool.idleCount);
  assert.ok(pool.idleCount <= 32);
  pool.closeIdle();
  assert.equal(descriptorCount(), before);
});
