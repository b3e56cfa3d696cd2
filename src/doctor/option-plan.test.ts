import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseSoKeepalive } from "../tcp/so-keepalive.ts";
import { afterChanges, formatChanges, type OptionValues, planChanges, planRestore } from "./option-plan.ts";

const OFF: OptionValues = {
  isKeepaliveOn: false,
  idleSeconds: 7200,
  intervalSeconds: 75,
  probeCount: 9,
  userTimeoutMs: 0,
};

function wanted(text: string | undefined, userTimeoutMs?: number) {
  if (text === undefined) return { keepalive: undefined, userTimeoutMs };
  const keepalive = parseSoKeepalive(text);
  assert.ok(keepalive.ok);
  return { keepalive: keepalive.value, userTimeoutMs };
}

test("planChanges() sets the times first and SO_KEEPALIVE last, so that nothing is probed at once", () => {
  assert.equal(
    formatChanges(planChanges(OFF, wanted("60s:10s:3", 85_000))),
    "TCP_KEEPINTVL 10s, TCP_KEEPCNT 3, TCP_KEEPIDLE 60s, TCP_USER_TIMEOUT 85000ms, SO_KEEPALIVE on",
  );
});

test("planChanges() leaves out what is so already and what was not asked for", () => {
  const on = afterChanges(OFF, planChanges(OFF, wanted("60s::3")));
  assert.deepEqual(on, { ...OFF, isKeepaliveOn: true, idleSeconds: 60, probeCount: 3 });
  assert.deepEqual(planChanges(on, wanted("60s::3")), []);
  assert.equal(formatChanges(planChanges(on, wanted("60s:75s:4"))), "TCP_KEEPCNT 4");
  assert.equal(formatChanges(planChanges(on, wanted("off"))), "SO_KEEPALIVE off");
  assert.equal(formatChanges(planChanges(on, wanted(undefined, 5))), "TCP_USER_TIMEOUT 5ms");
});

test("planRestore() leaves alone what somebody else has changed since, and says so", () => {
  const after = afterChanges(OFF, planChanges(OFF, wanted("60s:10s:3")));
  const { changes, foreign } = planRestore(OFF, after, { ...after, idleSeconds: 30 });
  assert.equal(formatChanges(changes), "SO_KEEPALIVE off, TCP_KEEPINTVL 75s, TCP_KEEPCNT 9");
  assert.deepEqual(foreign, ["TCP_KEEPIDLE"]);
  assert.deepEqual(planRestore(OFF, after, OFF), { changes: [], foreign: [] }, "it is as before already");
});

test("planRestore() undoes planChanges(), whatever the values", () => {
  const small = fc.integer({ min: 1, max: 3 });
  const values = fc.record(
    {
      isKeepaliveOn: fc.boolean(),
      idleSeconds: small,
      intervalSeconds: small,
      probeCount: small,
      userTimeoutMs: small,
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(values, values, (before, target) => {
      const { isKeepaliveOn, idleSeconds, intervalSeconds, probeCount, userTimeoutMs } = target;
      const keepalive = { enabled: isKeepaliveOn, idleSeconds, intervalSeconds, probeCount };
      const after = afterChanges(before, planChanges(before, { keepalive, userTimeoutMs }));
      assert.deepEqual(after, target);
      assert.deepEqual(afterChanges(after, planRestore(before, after, after).changes), before);
    }),
  );
});
