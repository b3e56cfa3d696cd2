/** Tests of server.ts: the words of an order. The rest is in test/integration/health-orders.test.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseOrder } from "./server.ts";

test("parseOrder() takes an action alone, and weight with a number or `configured`", () => {
  assert.deepEqual(parseOrder("drain", undefined), { action: "drain" });
  assert.deepEqual(parseOrder("weight", "12"), { weight: 12 });
  assert.deepEqual(parseOrder("weight", "configured"), { weight: null });
  assert.match(parseOrder("drain", "12") as string, /takes no further word/);
  assert.match(parseOrder("weight", undefined) as string, /needs a number/);
  for (const weight of ["-1", "0", "65536"])
    assert.match(
      parseOrder("weight", weight) as string,
      /is no weight: a whole number from 1 to 65535, or "configured"/,
    );
});
