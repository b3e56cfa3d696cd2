/** Properties of load.ts: whatever the file holds, it is a configuration or a list of problems with places in it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { loadConfig } from "./load.ts";

const HOST = {
  processors: 2,
  isRoot: true,
  tcpKeepaliveDefaults: { idleSeconds: 7200, intervalSeconds: 75, probeCount: 9 },
};
const EXAMPLE = `workers: auto
heartbeats: { bind: 127.0.0.1:9902 }
admin: unix:/run/holdfast.sock
listeners:
  web:
    bind: ["0.0.0.0:8080", "[::]:8080"]
    so_keepalive: 60s:10s:6
    http:
      keepalive_timeout: 75s
      routes:
        - { host: api.example.org, path: /v1/, pool: api }
        - { pool: web }
  db: { bind: 127.0.0.1:5432, tcp: { pool: db, idle_timeout: 90s, on_idle: reset } }
pools:
  db: { health: { heartbeat: { told: true } }, queue: 3, servers: [{ address: 10.0.0.1:1, max_conns: 1 }] }
  web: &web
    balance: { hash: "header:X-User" }
    health: { http: { path: /, status: [200, 301-302], headers: { A: b } }, interval: 2s }
    servers:
      - 10.0.0.11:80
      - { address: 10.0.0.12:80, weight: 3 }
  api: *web
`;

function check(text: string): void {
  const result = loadConfig(text, "f", HOST);
  const diagnostics = result.ok ? result.warnings : result.diagnostics;
  const lines = text.split("\n").length;
  if (!result.ok) assert.ok(diagnostics.some(({ severity }) => severity === "error"));
  for (const { line, column, message } of diagnostics) {
    assert.ok(line >= 1 && line <= lines && column >= 1, `${line}:${column}`);
    assert.ok(message.length > 0 && !message.includes("\u0000"));
  }
}

test("loadConfig() never throws on a mutated example, and every problem has a place", () => {
  const piece = fc.constantFrom(
    "",
    ":",
    "- ",
    "\n",
    "  ",
    "{",
    "]",
    "null",
    "*a",
    "&a ",
    "<<: ",
    "0",
    "-1",
    '"',
    "on",
    "[[]]",
    "!!map ",
    "constructor: 1\n",
  );
  const edit = fc.tuple(fc.nat(EXAMPLE.length), fc.nat(30), piece);
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
      let text = EXAMPLE;
      for (const [at, removed, inserted] of edits)
        text = text.slice(0, at) + inserted + text.slice(at + removed);
      check(text);
    }),
    { numRuns: 300 },
  );
});

test("loadConfig() never throws on arbitrary values under its own keys", () => {
  const keys = fc.constantFrom(
    "listeners",
    "pools",
    "workers",
    "web",
    "http",
    "tcp",
    "heartbeats",
    "health",
    "heartbeat",
    "exec",
    "told",
    "status",
    "headers",
    "routes",
    "pool",
    "servers",
    "bind",
    "balance",
    "hash",
    "admin",
    "__proto__",
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom(1, -1, "web", null, true, "10.0.0.1:80", 0.5),
      fc.array(tie("tree"), { maxLength: 3 }),
      fc.dictionary(keys, tie("tree"), { maxKeys: 4 }),
    ),
  }));
  fc.assert(
    fc.property(tree, (value) => check(JSON.stringify(value))),
    { numRuns: 300 },
  );
});
