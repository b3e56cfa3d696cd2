import assert from "node:assert/strict";
import { test } from "node:test";
import { WarningLimit } from "./warning-limit.ts";

test("WarningLimit admits each kind once a minute and tells how many were kept back", () => {
  const limit = new WarningLimit();
  assert.equal(limit.admit("a", 0), 0);
  assert.equal(limit.admit("a", 59_999), undefined);
  assert.equal(limit.admit("b", 59_999), 0);
  assert.equal(limit.admit("a", 59_999.5), undefined);
  assert.equal(limit.admit("a", 60_000), 2);
  assert.equal(limit.admit("a", 60_001), undefined);
});

test("WarningLimit: invented sources neither flood the log nor silence another reason", () => {
  const limit = new WarningLimit();
  let said = 0;
  for (let source = 0; source < 100_000; source++)
    if (limit.admit(`bad-checksum 192.0.2.${source}`, source / 10) !== undefined) said++;
  assert.equal(said, 17);
  assert.equal(limit.admit("duplicate 192.0.2.10", 10_000), 0);
  // A minute later the sources of then are forgotten.
  assert.equal(limit.admit("bad-checksum 198.51.100.1", 200_000), 0);
});
