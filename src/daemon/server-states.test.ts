import assert from "node:assert/strict";
import { test } from "node:test";
import { gatewayConfig } from "../testing/gateway-config.ts";
import { execIdentityOf } from "./server-states.ts";

const isRoot = process.getuid?.() === 0;

test("execIdentityOf() looks the user up once per configuration: a user that is gone later ends nothing", {
  skip: isRoot ? false : "a gateway that is not root runs programs as itself",
}, () => {
  const config = gatewayConfig({ user: "nobody" });
  const first = execIdentityOf(config);
  assert.ok(first !== undefined && first.uid > 0);
  assert.equal(execIdentityOf(config), first, "not even an equal one, but the same");
  assert.deepEqual(execIdentityOf(gatewayConfig({ user: "nobody" })), first);
  assert.equal(execIdentityOf(gatewayConfig()), undefined);
});
