/** Tests of check-programs.ts with files of their own. */
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gatewayConfig, healthConfig, poolConfig, virtualRouterConfig } from "../testing/gateway-config.ts";
import { findMissingPrograms } from "./check-programs.ts";
import { formatDiagnostic } from "./diagnostics.ts";
import { readConfigText } from "./resolve.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-programs-"));
const good = join(folder, "good");
const plain = join(folder, "plain");
writeFileSync(good, "#!/bin/sh\n");
chmodSync(good, 0o755);
writeFileSync(plain, "text\n");
chmodSync(plain, 0o644);

test.after(() => rmSync(folder, { recursive: true }));

async function problemsOf(program: string): Promise<string[]> {
  const health = healthConfig({ check: { kind: "exec", command: [program] } });
  const config = gatewayConfig({
    pools: [poolConfig({ name: "app", health }), poolConfig({ name: "other" })],
  });
  const found = await findMissingPrograms(config, `/nowhere:${folder}`);
  return found.map(({ path, message, hint }) => `${path.join(".")}: ${message}; ${hint}`);
}

const AT = "pools.app.health.exec";

test("findMissingPrograms() is silent about programs that run, by path and by PATH", async () => {
  assert.deepEqual(await problemsOf(good), []);
  assert.deepEqual(await problemsOf("good"), []);
});

test("findMissingPrograms() says what is missing and what may not be run", async () => {
  assert.deepEqual(await problemsOf(`${folder}/gone`), [
    `${AT}: there is no program ${folder}/gone: every check would fail; correct the path, or install it`,
  ]);
  assert.deepEqual(await problemsOf("gone"), [
    `${AT}: there is no program "gone" in PATH: every check would fail; write its absolute path, or install it`,
  ]);
  for (const program of [plain, "plain"]) {
    assert.deepEqual(await problemsOf(program), [
      `${AT}: ${plain} may not be run: every check would fail; make it executable: chmod +x ${plain}`,
    ]);
  }
  assert.match((await problemsOf(folder))[0]!, /may not be run/);
});

test("findMissingPrograms() looks for the programs of virtual routers too: checks, notify, and nft when packets are to be dropped", async () => {
  const check = {
    name: "route",
    command: ["gone"],
    intervalMs: 2000,
    timeoutMs: 1000,
    rise: 2,
    fall: 3,
    weight: 0,
  };
  const track = { interfaces: [], pools: [], checks: [check], gateway: undefined };
  const config = gatewayConfig({
    virtualRouters: [
      virtualRouterConfig({ track, notify: { command: ["away"], timeoutMs: 1 }, acceptMode: false }),
      // The owner accepts whatever accept_mode says.
      virtualRouterConfig({ name: "owner", acceptMode: false, priority: 255 }),
    ],
  });
  const found = await findMissingPrograms(config, folder);
  assert.deepEqual(
    found.map(({ path, message }) => `${path.join(".")}: ${message}`),
    [
      'virtual_routers.edge.track.checks.route.exec: there is no program "gone" in PATH: every check would fail',
      'virtual_routers.edge.notify.exec: there is no program "away" in PATH: nobody would be told of transitions',
      'virtual_routers.edge.accept_mode: there is no program "nft" in PATH: the gateway needs it for accept_mode: false',
    ],
  );
});

test("readConfigText() warns of a missing program, at its place, unless it is offline", async () => {
  const text = `listeners: { web: { bind: 127.0.0.1:80, tcp: app } }
pools:
  app: { health: { exec: ${folder}/gone }, servers: [127.0.0.1:81] }
`;
  const result = await readConfigText(text, "f");
  assert.ok(result.ok);
  assert.match(
    result.warnings.map(formatDiagnostic).join("\n"),
    /^f:3:26: warning: pools\.app\.health\.exec: there is no program/,
  );
  const offline = await readConfigText(text, "f", { isOffline: true });
  assert.ok(offline.ok);
  assert.deepEqual(offline.warnings, []);
});
