/**
 * `holdfast doctor` on real hosts: a Node program's traps across a network, a gateway whose pool is down, a user without privileges.
 */
import assert from "node:assert/strict";
import path from "node:path";
import test from "node:test";
import { createTopology } from "../../src/testing/netns.ts";
import { compiledRoot, holdfastMain } from "../harness/paths.ts";
import { requirePeer, skipOrFail } from "../harness/peers.ts";
import { eventually, freePort, type Program, startProgram } from "../harness/program.ts";
import { startHoldfast } from "../harness/servers.ts";
import { requireNamespaces } from "./three-nodes.ts";

interface Page {
  readonly findings: readonly { readonly id: string; readonly severity: string; readonly text: string }[];
  readonly sockets: { readonly open: number };
  readonly partial: boolean;
  readonly gaps: readonly string[];
  readonly abilities: readonly { readonly id: string; readonly works: boolean }[];
  readonly gateway: { readonly pid: number } | null;
}

async function doctor(prefix: readonly string[], ...args: string[]) {
  const startedMs = performance.now();
  const program = await startProgram({
    name: "holdfast doctor",
    command: process.execPath,
    args: [holdfastMain, "doctor", "--json", ...args],
    prefix,
  });
  const status = await program.exited(20_000);
  const elapsedMs = performance.now() - startedMs;
  assert.ok(program.stdout !== "", program.stderr);
  return { page: JSON.parse(program.stdout) as Page, status, elapsedMs };
}

test("doctor names the traps of a Node program by the options of its sockets", async (t) => {
  if (!requireNamespaces(t)) return;
  if (process.getuid?.() !== 0) return void skipOrFail(t, "reading options of another program needs root");
  await using topology = await createTopology({
    nodes: ["client", "server"],
    links: [
      [
        { node: "client", interface: "eth0", address: "10.76.0.1/24" },
        { node: "server", interface: "eth0", address: "10.76.0.2/24" },
      ],
    ],
  });
  const start = async (node: string, script: string, ...args: string[]): Promise<Program> => {
    const program = await startProgram({
      name: script,
      command: process.execPath,
      args: [path.join(compiledRoot, "test/netns", script), ...args],
      prefix: topology.inside(node),
    });
    t.after(() => program.stop("SIGKILL"));
    await program.line((line) => line === "ready", 10_000);
    return program;
  };
  await start("server", "quiet-server-program.js", "80", "5000", "443");
  await start("client", "trapped-client-program.js", "10.76.0.2", "80", "5000", "443");
  const { page, status } = await doctor(topology.inside("client"), "--admin", "unix:/nonexistent/admin.sock");
  const mine = page.findings.filter(({ text }) => text.includes("trapped-client-program.js"));
  assert.deepEqual(mine.map(({ id }) => id).toSorted(), [
    "node-keepalive-default-idle",
    "node-probe-every-second",
    "node-tls-unguarded",
  ]);
  const unguarded = page.findings.find(({ id }) => id === "sockets-unguarded");
  assert.match(unguarded?.text ?? "", /^2 open connections have no keepalive.*node\/\d+ 2/);
  assert.equal(page.sockets.open, 4);
  assert.equal(status, 0, "risks are no problems");
});

test("doctor calls a pool without servers a problem, and ends with 1", async (t) => {
  const deadPort = await freePort();
  const port = await freePort();
  const gateway = await startHoldfast({
    config: `workers: 1
listeners:
  web: { bind: "127.0.0.1:${port}", so_keepalive: "60s:10s:6", http: { routes: [{ pool: gone }] } }
pools:
  gone:
    health: { tcp: {}, interval: 100ms, timeout: 100ms, fall: 1 }
    servers: ["127.0.0.1:${deadPort}"]
`,
  });
  t.after(() => gateway.stop());
  await eventually("the check has failed", 10_000, async () => {
    const { pools } = JSON.parse((await gateway.admin("GET", "/status")).body);
    return pools[0].servers[0].state === "down";
  });
  const { page, status } = await doctor([], "--admin", `unix:${gateway.adminPath}`);
  assert.ok(page.gateway !== null);
  assert.ok(
    page.findings.some(({ id, text }) => id === "gateway-pool-down" && text.includes("gone")),
    JSON.stringify(page.findings),
  );
  assert.equal(status, 1);
});

test("doctor without any privilege still prints its page, and says what is missing", async (t) => {
  if (!requirePeer(t, "setpriv")) return;
  const prefix =
    process.getuid?.() === 0 ? ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--"] : [];
  const { page, elapsedMs } = await doctor(prefix, "--admin", "unix:/nonexistent/admin.sock");
  const works = new Map(page.abilities.map((it) => [it.id, it.works]));
  assert.deepEqual([works.get("sockets"), works.get("foreign-processes")], [true, false]);
  assert.ok(elapsedMs < 5000, `${elapsedMs} ms on a loaded machine`);
});
