/**
 * Two whole gateways (supervisor, worker, router process, all real) on one segment, and a client that asks for a page at the virtual
 * address: what only the parts together can show. The elections as such are in virtual-router.test.ts.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import test from "node:test";
import { type HoldfastRouter, startHoldfastRouter } from "../harness/holdfast-router.ts";
import { type RouterLan, type RouterNode, requireLan, startRouterLan } from "../harness/lan.ts";
import { childPids } from "../harness/process-usage.ts";
import { eventually, startProgram } from "../harness/program.ts";

const VIRTUAL = "10.90.0.100";

interface Pair {
  readonly lan: RouterLan;
  readonly a: HoldfastRouter;
  readonly b: HoldfastRouter;
}

async function startGateway(
  lan: RouterLan,
  node: RouterNode,
  priority: number,
  router: Readonly<Record<string, unknown>>,
  sections: Readonly<Record<string, unknown>> = {},
): Promise<HoldfastRouter> {
  const parameters = {
    id: 51,
    version: 3,
    priority,
    intervalMs: 100,
    preempt: true,
    addresses: [`${VIRTUAL}/24`],
  } as const;
  return startHoldfastRouter(lan, node, parameters, {
    router,
    sections: {
      workers: 1,
      drain_timeout: "2s",
      // A server that nobody is: what is answered is the gateway's own 502, which is proof enough of who answers.
      listeners: { web: { bind: "0.0.0.0:8080", http: { routes: [{ pool: "web" }] } } },
      pools: { web: { servers: ["127.0.0.1:9"] } },
      ...sections,
    },
  });
}

async function startPair(router: Readonly<Record<string, unknown>> = {}): Promise<Pair> {
  const lan = await startRouterLan();
  try {
    const a = await startGateway(lan, "a", 150, router);
    await untilState(a, "active");
    const b = await startGateway(lan, "b", 100, router);
    await untilState(b, "backup");
    return { lan, a, b };
  } catch (error) {
    await lan[Symbol.asyncDispose]();
    throw error;
  }
}

async function state(gateway: HoldfastRouter): Promise<string | undefined> {
  return (await gateway.routers()).routers[0]?.state;
}

async function untilState(gateway: HoldfastRouter, wanted: string): Promise<void> {
  await eventually(`state ${wanted}`, 8_000, async () => (await state(gateway)) === wanted);
}

async function story(gateway: HoldfastRouter): Promise<string[]> {
  return (await gateway.routers()).history.map(({ from, to, cause }) => `${from}→${to} ${cause}`);
}

function routerPid(gateway: HoldfastRouter): number {
  const pid = childPids(gateway.gateway.pid).find((child) =>
    readFileSync(`/proc/${child}/cmdline`, "utf8").includes("router-main"),
  );
  assert.ok(pid !== undefined, "there is a router process");
  return pid;
}

test("a gateway that starts is never in fault for what it has not looked at yet, and becomes active once", async (t) => {
  if (!requireLan(t)) return;
  const check = { exec: "/bin/true", interval: "1s" };
  const { lan, a } = await startPair({ track: { pools: { web: { below: 1 } }, checks: { route: check } } });
  await using _ = lan;
  assert.deepEqual(await story(a), ["initialize→backup startup", "backup→active silence"]);
});

test("SIGTERM of the active gateway: the peer takes over first, and the worker accepts until the address is gone", async (t) => {
  if (!requireLan(t)) return;
  const { lan, a, b } = await startPair();
  await using _ = lan;
  await a.stop();
  await untilState(b, "active");
  await lan.untilHeldBy("b", VIRTUAL, 2_000);
  const log = a.log();
  const gone = log.indexOf('"cause":"shutdown"');
  assert.ok(gone > log.indexOf('"event":"draining"'), log);
  assert.match(log, /"from":"active","to":"backup"/, "it stepped down because the peer was there");
});

test("a reload moves nothing: not one transition, not one change of an address", async (t) => {
  if (!requireLan(t)) return;
  const { lan, a, b } = await startPair();
  await using _ = lan;
  const before = [await story(a), await story(b)];
  const monitor = await startProgram({
    name: "ip monitor in a",
    command: "ip",
    args: ["-o", "monitor", "address"],
    prefix: lan.topology.inside("a"),
  });
  lan.own(monitor);
  const renewed = (line: string) => line.includes(VIRTUAL);
  await monitor.line(renewed, 5_000); // it listens: a renewal of the lease came by
  const pid = routerPid(a);
  const { status, body } = await a.gateway.admin("POST", "/reload");
  assert.equal(status, 200, body);
  await eventually("the old worker is gone", 5_000, () => childPids(a.gateway.pid).length === 2);
  assert.equal(routerPid(a), pid);
  await monitor.line(renewed, 5_000, monitor.lines.length);
  assert.deepEqual([await story(a), await story(b)], before);
  assert.equal(monitor.lines.filter((line) => line.startsWith("Deleted")).length, 0, monitor.stdout);
});

test("the router process is killed: the peer takes over, the process comes back and takes its place again, the history has it all", async (t) => {
  if (!requireLan(t)) return;
  const { lan, a, b } = await startPair({ preempt: true });
  await using _ = lan;
  process.kill(routerPid(a), "SIGKILL");
  await eventually("b was active", 5_000, async () => (await story(b)).includes("backup→active silence"));
  await untilState(a, "active");
  await untilState(b, "backup");
  const { process: routerProcess, history } = await a.routers();
  assert.equal(routerProcess?.restarts, 1);
  assert.ok(history.length >= 4, "the history survives the process");
  await lan.untilHeldBy("a", VIRTUAL, 6_000);
});

test("track.gateway: workers that are stopped make the router give way, though its own process is well", async (t) => {
  if (!requireLan(t)) return;
  const { lan, a, b } = await startPair({ track: { gateway: { weight: 0, timeout: "400ms" } } });
  await using _ = lan;
  const worker = childPids(a.gateway.pid).find((pid) => pid !== routerPid(a))!;
  process.kill(worker, "SIGSTOP");
  try {
    await untilState(b, "active");
    assert.equal((await a.routers()).routers[0]?.state, "fault");
    assert.equal((await a.routers()).history.at(-1)?.cause, "tracker");
  } finally {
    process.kill(worker, "SIGCONT");
  }
  await untilState(a, "active");
});

test("maintenance: the peer takes over, a restart does not bring it back, resume does; notify tells each step in order", async (t) => {
  if (!requireLan(t)) return;
  const scratch = mkdtempSync(path.join(tmpdir(), "holdfast-gateway-routers-"));
  t.after(() => rmSync(scratch, { recursive: true, force: true }));
  const told = path.join(scratch, "told");
  const script = path.join(scratch, "notify");
  writeFileSync(script, `#!/bin/sh\necho "$@" >> ${told}\n`, { mode: 0o755 });
  const lan = await startRouterLan();
  await using _ = lan;
  const sections = { state_dir: path.join(scratch, "state") };
  const first = await startGateway(lan, "a", 150, { notify: { exec: script } }, sections);
  await untilState(first, "active");
  const b = await startGateway(lan, "b", 100, {});
  await untilState(b, "backup");
  const order = JSON.stringify({ router: "edge", order: "maintenance" });
  const { status, body } = await first.gateway.admin("POST", "/router", order);
  assert.equal(status, 200, body);
  await untilState(b, "active");
  await first.stop();
  const again = await startGateway(lan, "a", 150, {}, sections);
  await eventually("in maintenance", 5_000, async () => (await again.routers()).routers[0]?.isInMaintenance);
  assert.notEqual(await state(again), "active");
  await again.gateway.admin("POST", "/router", JSON.stringify({ router: "edge", order: "resume" }));
  await untilState(again, "active");
  const lines = readFileSync(told, "utf8").trim().split("\n");
  assert.deepEqual(lines.slice(0, 3), [
    "edge initialize backup startup 150",
    "edge backup active silence 150",
    "edge active backup operator 150",
  ]);
  for (const [index, line] of lines.slice(1).entries())
    assert.equal(line.split(" ")[1], lines[index]!.split(" ")[2], "each begins where the one before ended");
});
