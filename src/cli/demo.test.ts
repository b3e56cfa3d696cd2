/** Tests of demo.ts: its configuration loads without a warning, its text can be copied. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { demoConfig, demoText, parsePort } from "./demo.ts";
import { loadGatewayText } from "./gateway-file.ts";

test("demoConfig() is a good configuration, and demoText() gives three commands to copy", async () => {
  const origins = [
    { name: "A", pid: 11, port: 4001 },
    { name: "B", pid: 12, port: 4002 },
  ];
  const loaded = await loadGatewayText(demoConfig(8080, "/tmp/x.sock", origins), "demo");
  assert.ok(loaded.ok, JSON.stringify(loaded));
  assert.deepEqual(loaded.warnings, []);
  const text = demoText(8080, "/tmp/x.sock", origins);
  assert.match(text, /curl -sv 'http:\/\/127\.0\.0\.1:8080\/\?\[1-4\]'/);
  assert.match(text, /kill -9 11;/);
  assert.match(text, /ss -tno .*sport = :8080 or dport = :4001 or dport = :4002/);
  assert.match(text, /main\.js sockets --port 8080$/m);
  assert.match(text, /main\.js predict client lvs=90s nginx node-http --response-time 2m$/m);
  assert.ok(
    text
      .split("\n")
      .filter((line) => !line.startsWith("     "))
      .every((line) => line.length <= 110),
  );
});

test("parsePort() refuses what is no port", () => {
  assert.equal(parsePort("8080"), 8080);
  for (const text of ["0", "65536", "http", "-1", "1e3"]) {
    assert.throws(() => parsePort(text), /1 to 65535/);
  }
});
