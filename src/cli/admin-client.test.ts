/** Tests of admin-client.ts: addresses, and the text when nobody answers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { explainUnreachable, parseAdminAddress } from "./admin-client.ts";

test("parseAdminAddress() takes unix:, a path alone and host:port", () => {
  assert.deepEqual(parseAdminAddress("unix:/run/x.sock"), { family: "unix", path: "/run/x.sock" });
  assert.deepEqual(parseAdminAddress("/run/x.sock"), { family: "unix", path: "/run/x.sock" });
  assert.deepEqual(parseAdminAddress("127.0.0.1:9901"), { family: "inet", host: "127.0.0.1", port: 9901 });
  assert.equal(typeof parseAdminAddress("nonsense"), "string");
});

test("explainUnreachable() tells a missing gateway from a missing permission", () => {
  const address = { family: "unix", path: "/run/x.sock" } as const;
  const missing = Object.assign(new Error(), { code: "ENOENT" });
  assert.equal(explainUnreachable(address, missing)[0], "no gateway answers at unix:/run/x.sock (ENOENT)");
  const denied = Object.assign(new Error(), { code: "EACCES" });
  assert.match(explainUnreachable(address, denied)[0]!, /^not allowed/);
});
