/** Tests of server-orders.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { gatewayConfig, poolConfig, serverConfig } from "../testing/gateway-config.ts";
import { ServerOrders } from "./server-orders.ts";

const CONFIG = gatewayConfig({
  pools: [
    poolConfig({
      name: "web",
      servers: [serverConfig({ name: "a:1", weight: 3 }), serverConfig({ name: "b:1" })],
    }),
    poolConfig({ name: "api", servers: [serverConfig({ name: "a:1" })] }),
  ],
});

test("give() keeps action and weight apart, by pool and server", () => {
  const orders = new ServerOrders();
  const order = (rest: object) =>
    orders.give({ pool: "web", server: "a:1", ...rest }, CONFIG, 5).lines.join();
  assert.equal(order({ action: "drain" }), "server a:1 of pool web: drain, weight 3");
  assert.equal(order({ weight: 9 }), "server a:1 of pool web: drain, weight 9");
  assert.equal(order({ action: "up" }), "server a:1 of pool web: up, weight 9");
  assert.equal(order({ weight: null, action: "maint" }), "server a:1 of pool web: maint, weight 3");
  assert.deepEqual(orders.get("web", "a:1"), { admin: "maint", weight: undefined, sinceMs: 5 });
  assert.equal(orders.get("api", "a:1"), undefined);
});

test("give() dates the order by its action: another weight leaves the date as it is", () => {
  const orders = new ServerOrders();
  const known = { pool: "web", server: "a:1" };
  const sinceAfter = (request: object, nowMs: number) => {
    orders.give({ ...known, ...request }, CONFIG, nowMs);
    return orders.get("web", "a:1")!.sinceMs;
  };
  assert.equal(sinceAfter({ action: "drain" }, 5), 5);
  assert.equal(sinceAfter({ weight: 9 }, 6), 5);
  assert.equal(sinceAfter({ action: "drain" }, 7), 5);
  assert.equal(sinceAfter({ action: "maint" }, 8), 8);
});

test("give() lists the names when one is unknown, and says what is missing or wrong", () => {
  const orders = new ServerOrders();
  const refuse = (request: object) => {
    const outcome = orders.give(request, CONFIG, 0);
    assert.ok(!outcome.ok);
    return [outcome.isUnknownName, outcome.lines.join(" / ")];
  };
  assert.deepEqual(refuse({ pool: "wbe", server: "a:1", action: "up" }), [
    true,
    'there is no pool "wbe" / pools: web, api',
  ]);
  assert.deepEqual(refuse({ pool: "web", action: "up" }), [
    true,
    'pool "web" has no server (none given) / its servers: a:1, b:1',
  ]);
  const known = { pool: "web", server: "a:1" };
  assert.match(refuse(known)[1] as string, /say what to do/);
  assert.match(
    refuse({ ...known, action: "stop" })[1] as string,
    /no action "stop"; there are drain, maint, up/,
  );
  for (const weight of [0, -1, 1.5, 65_536, "3"])
    assert.match(refuse({ ...known, weight })[1] as string, /is no weight: a whole number from 1 to 65535/);
});

test("forgetAllBut() forgets servers that the configuration no longer has, and no others", () => {
  const orders = new ServerOrders();
  orders.give({ pool: "web", server: "a:1", action: "drain" }, CONFIG, 0);
  orders.give({ pool: "web", server: "b:1", action: "drain" }, CONFIG, 0);
  orders.forgetAllBut(
    gatewayConfig({ pools: [poolConfig({ name: "web", servers: [serverConfig({ name: "b:1" })] })] }),
  );
  assert.equal(orders.get("web", "a:1"), undefined);
  assert.equal(orders.get("web", "b:1")?.admin, "drain");
});
