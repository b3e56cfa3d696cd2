/**
 * The supervisor with workers and a router process, all of them fakes (src/testing/), on 127.0.0.1 only: who starts and who ends first,
 * and what the admin API says about virtual routers.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { GatewayConfig, TrackConfig } from "../../src/config/types.ts";
import { type LoadedConfig, StartError, Supervisor } from "../../src/daemon/supervisor.ts";
import type { RoutersDocument } from "../../src/observe/router-status.ts";
import { gatewayConfig, virtualRouterConfig } from "../../src/testing/gateway-config.ts";
import { eventually } from "../harness/program.ts";

const FAKE_WORKER = fileURLToPath(new URL("../../src/testing/fake-worker.js", import.meta.url));
const FAKE_ROUTER = fileURLToPath(new URL("../../src/testing/fake-router.js", import.meta.url));
const scratch = mkdtempSync(path.join(tmpdir(), "holdfast-supervisor-routers-"));

interface Harness {
  readonly supervisor: Supervisor;
  readonly lines: { readonly event: string; readonly message: string }[];
  heard(type: string): Record<string, unknown>[];
  state(): string | undefined;
  load: () => LoadedConfig;
  onLine: (message: string) => void;
}

const running: Supervisor[] = [];

afterEach(async () => {
  delete process.env.HOLDFAST_FAKE_ROUTER;
  for (const supervisor of running.splice(0)) {
    supervisor.stop();
    await supervisor.stopped;
  }
});
test.after(() => rmSync(scratch, { recursive: true }));

function harness(config: GatewayConfig): Harness {
  const lines: { event: string; message: string }[] = [];
  const self: Harness = {
    supervisor: new Supervisor({
      version: "0.0.0-test",
      configFile: "gateway.yaml",
      load: async () => self.load(),
      logger: {
        log: (_level, event, message) => {
          lines.push({ event, message });
          self.onLine(message);
        },
      },
      workerModule: FAKE_WORKER,
      routerModule: FAKE_ROUTER,
      readyTimeoutMs: 8_000,
    }),
    lines,
    heard: (type) =>
      lines
        .filter(({ event }) => event === "fake-router-heard")
        .map(({ message }) => JSON.parse(message))
        .filter((it) => it.type === type),
    state: () => self.supervisor.routers().routers[0]?.state,
    load: () => ({ ok: true, config, warnings: [] }),
    onLine: () => {},
  };
  running.push(self.supervisor);
  return self;
}

function withRouter(track: Partial<TrackConfig> = {}, overrides: Partial<GatewayConfig> = {}): GatewayConfig {
  const whole = { interfaces: [], pools: [], checks: [], gateway: undefined, ...track };
  return gatewayConfig({ virtualRouters: [virtualRouterConfig({ track: whole })], ...overrides });
}

async function ask(socketPath: string, method: string, target: string, body?: object) {
  return new Promise<{ status: number; body: string }>((resolve, reject) => {
    const outgoing = request({ socketPath, method, path: target, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part) => {
        text += part;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    outgoing.on("error", reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}

test("virtual routers alone are a gateway: no listener, no worker", async () => {
  const it = harness(withRouter({}, { workers: 0, listeners: [], pools: [] }));
  await it.supervisor.start();
  await eventually("active", 5_000, () => it.state() === "active");
  assert.deepEqual(it.supervisor.status().workers, []);
  assert.equal(it.lines.find(({ event }) => event === "started")?.message, "virtual routers edge");
  assert.deepEqual((await it.supervisor.reload()).ok, true);
  it.supervisor.drain();
  await it.supervisor.stopped;
  assert.equal(it.heard("release").length, 1);
});

test("the router process starts when the workers accept, and a drain lets go of the addresses before the workers stop", async () => {
  const it = harness(withRouter());
  await it.supervisor.start();
  assert.equal(it.heard("configure-routers").length, 1);
  let workersAtHandover: string[] | undefined;
  it.onLine = (message) => {
    if (/active → backup \(shutdown\)/.test(message))
      workersAtHandover = it.supervisor.status().workers.map(({ state }) => state);
  };
  it.supervisor.drain();
  await it.supervisor.stopped;
  assert.equal(it.heard("release").length, 1);
  assert.deepEqual(workersAtHandover, ["running"], "the worker accepts until the addresses are gone");
});

test("a start whose router process is refused fails with its words, and leaves no worker", async () => {
  process.env.HOLDFAST_FAKE_ROUTER = "fatal-at-start";
  const it = harness(withRouter());
  await assert.rejects(it.supervisor.start(), (error: Error) => {
    return error instanceof StartError && /needs CAP_NET_RAW/.test(error.message);
  });
  await it.supervisor.stopped;
  assert.deepEqual(it.supervisor.status().workers, []);
});

test("a reload that adds routers which cannot run changes nothing", async () => {
  const it = harness(gatewayConfig());
  await it.supervisor.start();
  const before = it.supervisor.status().workers.map(({ pid }) => pid);
  process.env.HOLDFAST_FAKE_ROUTER = "fatal-at-start";
  it.load = () => ({ ok: true, config: withRouter(), warnings: [] });
  const outcome = await it.supervisor.reload();
  assert.equal(outcome.ok, false);
  assert.match(outcome.lines[0]!, /needs CAP_NET_RAW/);
  await eventually("the new worker is gone", 5_000, () => it.supervisor.status().workers.length === 1);
  assert.deepEqual(
    it.supervisor.status().workers.map(({ pid }) => pid),
    before,
  );
});

test("a reload keeps the router process and its state", async () => {
  const it = harness(withRouter());
  await it.supervisor.start();
  await eventually("active", 5_000, () => it.state() === "active");
  const { pid } = it.supervisor.routers().process!;
  it.load = () => ({ ok: true, config: withRouter(), warnings: [] });
  assert.equal((await it.supervisor.reload()).ok, true);
  await eventually("told again", 5_000, () => it.heard("configure-routers").length === 2);
  assert.equal(it.supervisor.routers().process?.pid, pid);
  assert.equal(it.supervisor.routers().history.length, 2);
});

test("track: pools follow the operator's orders, gateway follows the workers' answers", async () => {
  const pools = [{ pool: "web", below: 1, weight: -60 }];
  const it = harness(withRouter({ pools, gateway: { weight: 0, timeoutMs: 400 } }));
  await it.supervisor.start();
  const last = (key: string) =>
    [...it.heard("configure-routers"), ...it.heard("tracker-results")]
      .flatMap(({ results }) => results as { key: string; isUp: boolean; detail: string }[])
      .findLast((result) => result.key === key);
  await eventually("both are up", 5_000, () => last("pool:web<1")?.isUp && last("gateway")?.isUp);
  it.supervisor.orderServer({ pool: "web", server: "127.0.0.1:9", action: "maint" });
  await eventually("the pool is down", 5_000, () => last("pool:web<1")?.isUp === false);
  assert.match(last("pool:web<1")!.detail, /^0 of 1 servers usable, 1 wanted/);
  const [worker] = it.supervisor.status().workers;
  process.kill(worker!.pid, "SIGSTOP");
  try {
    await eventually("the gateway is down", 5_000, () => last("gateway")?.isUp === false);
  } finally {
    process.kill(worker!.pid, "SIGCONT");
  }
  await eventually("the gateway is up", 5_000, () => last("gateway")?.isUp === true);
});

test("admin API: GET /routers, POST /router, POST /plan, and the routers in /status and /metrics", async () => {
  const admin = path.join(scratch, "admin.sock");
  const it = harness(withRouter({}, { admin: { family: "unix", path: admin } }));
  await it.supervisor.start();
  await eventually("active", 5_000, () => it.state() === "active");
  const document = JSON.parse((await ask(admin, "GET", "/routers")).body) as RoutersDocument;
  assert.equal(document.routers[0]?.state, "active");
  assert.equal(document.history.length, 2);
  const plan = await ask(admin, "POST", "/plan", { virtualRouters: [virtualRouterConfig({ priority: 90 })] });
  assert.equal(plan.status, 200);
  assert.match(plan.body, /0 address moves/);
  assert.equal((await ask(admin, "POST", "/plan", { virtualRouters: 1 })).status, 400);
  const handover = await ask(admin, "POST", "/router", { router: "edge", order: "handover" });
  assert.deepEqual(
    [handover.status, JSON.parse(handover.body)],
    [200, { ok: true, lines: ["handover done"] }],
  );
  assert.equal((await ask(admin, "POST", "/router", { router: "x", order: "handover" })).status, 404);
  assert.equal((await ask(admin, "POST", "/router", { router: "edge", order: "x" })).status, 422);
  const status = JSON.parse((await ask(admin, "GET", "/status")).body);
  assert.equal(status.routers[0].state, "backup");
  assert.equal(status.routerProcess.state, "running");
  const metrics = (await ask(admin, "GET", "/metrics")).body;
  assert.match(metrics, /^holdfast_router_state\{router="edge",state="backup"\} 1$/m);
  assert.match(metrics, /^holdfast_router_state\{router="edge",state="active"\} 0$/m);
  assert.match(
    metrics,
    /^holdfast_router_transitions_total\{router="edge",from="active",to="backup",cause="operator"\} 1$/m,
  );
  assert.match(
    metrics,
    /^holdfast_router_advertisements_discarded_total\{router="edge",reason="bad-ttl"\} 1$/m,
  );
});

test("stopped means gone: the router process has ended and the last notification has been run", async () => {
  const told = path.join(scratch, "told");
  const command = ["/bin/sh", "-c", `sleep 0.3; echo "$2 $3" >> ${told}`, "notify"];
  const router = virtualRouterConfig({ notify: { command, timeoutMs: 5_000 } });
  const it = harness(gatewayConfig({ workers: 0, listeners: [], pools: [], virtualRouters: [router] }));
  await it.supervisor.start();
  await eventually("active", 5_000, () => it.state() === "active");
  const { pid } = it.supervisor.routers().process!;
  it.supervisor.drain();
  await it.supervisor.stopped;
  assert.throws(() => process.kill(pid!, 0), { code: "ESRCH" });
  assert.deepEqual(readFileSync(told, "utf8").trim().split("\n"), [
    "initialize backup",
    "backup active",
    "active backup",
  ]);
});

test("stop() does not wait for a router process that does not hear: it is killed, and nothing is left", async () => {
  const it = harness(withRouter());
  await it.supervisor.start();
  const { pid } = it.supervisor.routers().process!;
  process.kill(pid!, "SIGSTOP");
  const begun = performance.now();
  it.supervisor.stop();
  await it.supervisor.stopped;
  assert.ok(performance.now() - begun < 3_000);
  assert.throws(() => process.kill(pid!, 0), { code: "ESRCH" });
});
