/** How long the kernel keeps addresses that nobody renews. */
import assert from "node:assert/strict";
import test from "node:test";
import { leaseSeconds, renewAfterMs } from "./lease.ts";

test("auto: four intervals and a second, whole seconds, at least 3: renewed once a second, and gone before the second announcement", () => {
  assert.equal(leaseSeconds("auto", 10), 3);
  assert.equal(renewAfterMs(3), 1000);
  assert.equal(leaseSeconds("auto", 500), 3);
  assert.equal(leaseSeconds("auto", 501), 4);
  assert.equal(leaseSeconds("auto", 1000), 5);
  assert.equal(leaseSeconds("auto", 40_950), 165);
});

test("configured: whole seconds, at least 2; 0 is for ever", () => {
  assert.equal(leaseSeconds(0, 1000), undefined);
  assert.equal(leaseSeconds(500, 1000), 2);
  assert.equal(leaseSeconds(5100, 1000), 6);
});

test("renewed every third of the lease", () => {
  assert.equal(renewAfterMs(6), 2000);
});
