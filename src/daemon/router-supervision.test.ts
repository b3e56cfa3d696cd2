/** The router process as the supervisor keeps it, with src/testing/fake-router.ts in its place: no network is touched. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually } from "../../test/harness/program.ts";
import type { GatewayConfig, VirtualRouterConfig } from "../config/types.ts";
import { gatewayConfig, virtualRouterConfig } from "../testing/gateway-config.ts";
import type { RouterRequest } from "./router-messages.ts";
import { RouterSupervision } from "./router-supervision.ts";

const FAKE_ROUTER = fileURLToPath(new URL("../testing/fake-router.js", import.meta.url));

interface Harness {
  readonly routers: RouterSupervision;
  readonly events: string[];
  readonly lines: { event: string; message: string }[];
  /** What the process was told, of one type. */
  heard<Type extends RouterRequest["type"]>(type: Type): Extract<RouterRequest, { type: Type }>[];
  state(): string | undefined;
}

const running: RouterSupervision[] = [];
const scratch = mkdtempSync(path.join(tmpdir(), "holdfast-routers-"));

afterEach(async () => {
  delete process.env.HOLDFAST_FAKE_ROUTER;
  for (const routers of running.splice(0)) {
    routers.stop();
    await eventually("the router process is gone", 5_000, () => routers.isIdle);
  }
});
test.after(() => rmSync(scratch, { recursive: true }));

function harness(readyTimeoutMs = 5_000, nftFailure?: string): Harness {
  const lines: { event: string; message: string }[] = [];
  const routers = new RouterSupervision({
    logger: { log: (_level, event, message) => void lines.push({ event, message }) },
    serverFacts: () => [],
    workers: () => [],
    onIdle: () => {},
    readyTimeoutMs,
    routerModule: FAKE_ROUTER,
    runNft: () => nftFailure,
  });
  running.push(routers);
  return {
    routers,
    lines,
    get events() {
      return lines.map(({ event }) => event);
    },
    heard<Type extends RouterRequest["type"]>(type: Type) {
      return lines
        .filter(({ event }) => event === "fake-router-heard")
        .map(({ message }) => JSON.parse(message) as RouterRequest)
        .filter((request): request is Extract<RouterRequest, { type: Type }> => request.type === type);
    },
    state: () => routers.routers()[0]?.state,
  };
}

function config(
  overrides: Partial<VirtualRouterConfig> = {},
  gateway: Partial<GatewayConfig> = {},
): GatewayConfig {
  return gatewayConfig({ virtualRouters: [virtualRouterConfig(overrides)], ...gateway });
}

async function started(configured = config()): Promise<Harness> {
  const it = harness();
  await it.routers.prepare(configured);
  it.routers.commit(configured);
  await eventually("the router is active", 5_000, () => it.state() === "active");
  return it;
}

function pid({ routers }: Harness): number {
  return routers.processStatus()?.pid ?? 0;
}

test("prepare() starts the process with the whole configuration; the transitions are logged, kept and counted", async () => {
  const it = await started();
  assert.deepEqual(it.heard("configure-routers")[0]?.routers[0]?.name, "edge");
  assert.equal(it.events.filter((event) => event === "router-transition").length, 2);
  const { process: routerProcess, routers, history } = it.routers.document();
  assert.equal(routerProcess?.state, "running");
  assert.deepEqual(
    history.map(({ from, to, cause }) => `${from} ${to} ${cause}`),
    ["initialize backup startup", "backup active silence"],
  );
  assert.equal(routers[0]?.transitions.length, 2);
  assert.equal(routers[0]?.lastTransition?.to, "active");
});

test("prepare() fails with the process's own words, and leaves nothing behind", async () => {
  process.env.HOLDFAST_FAKE_ROUTER = "fatal-at-start";
  const it = harness();
  await assert.rejects(it.routers.prepare(config()), /could not start: needs CAP_NET_RAW/);
  it.routers.rollback();
  assert.equal(it.routers.isIdle, true);
});

test("prepare() fails when the process is not ready in time, and kills it", async () => {
  process.env.HOLDFAST_FAKE_ROUTER = "never-ready";
  const it = harness(300);
  await assert.rejects(it.routers.prepare(config()), /not ready within 0.3 s/);
  it.routers.rollback();
  await eventually("it is gone", 5_000, () => it.routers.isIdle);
});

test("a router process that is killed is started again; history and counters go on, and nothing is active meanwhile", async () => {
  const it = await started();
  const [before] = it.routers.routers();
  const killed = pid(it);
  process.kill(killed, "SIGKILL");
  await eventually("the end is noticed", 5_000, () => it.events.includes("router-process-ended"));
  assert.equal(it.state(), "unknown");
  await eventually("active again", 5_000, () => it.state() === "active");
  assert.notEqual(pid(it), killed);
  assert.equal(it.routers.processStatus()?.restarts, 1);
  assert.equal(it.routers.document().history.length, 4);
  const [now] = it.routers.routers();
  assert.ok(now!.counters.advertisementsSent >= before!.counters.advertisementsSent);
});

test("a frozen router process is never shown as active, is reported once, and is believed again when it wakes", async () => {
  const it = await started();
  process.kill(pid(it), "SIGSTOP");
  try {
    await eventually("unknown", 6_000, () => it.state() === "unknown");
    assert.equal(it.routers.processStatus()?.state, "silent");
    assert.ok(it.routers.processStatus()!.heartbeatAgeMs! >= 3_000);
    await eventually("it is said", 3_000, () => it.events.includes("router-process-silent"));
  } finally {
    process.kill(pid(it), "SIGCONT");
  }
  await eventually("active", 3_000, () => it.state() === "active");
  assert.ok(it.events.includes("router-process-back"));
});

test("a reload tells the same process the whole list again; nothing is started, nothing moves", async () => {
  const it = await started();
  const before = pid(it);
  const next = config({ priority: 120 });
  await it.routers.prepare(next);
  it.routers.commit(next);
  await eventually("told again", 5_000, () => it.heard("configure-routers").length === 2);
  assert.equal(it.heard("configure-routers")[1]?.routers[0]?.priority, 120);
  assert.equal(pid(it), before);
  assert.equal(it.routers.document().history.length, 2);
});

test("a reload without virtual routers hands them over and ends the process; a later one starts another", async () => {
  const it = await started();
  it.routers.commit(gatewayConfig());
  assert.deepEqual(it.routers.document(), { process: null, routers: [], history: [] });
  await eventually("it is gone", 5_000, () => it.routers.isIdle);
  assert.equal(it.heard("release").length, 1);
  assert.equal(it.routers.document().process, null);
  const again = config();
  await it.routers.prepare(again);
  it.routers.commit(again);
  await eventually("active again", 5_000, () => it.state() === "active");
});

test("a reload that fails later leaves the routers as they were", async () => {
  const it = await started();
  const before = pid(it);
  await it.routers.prepare(config({ priority: 120 }));
  it.routers.rollback();
  assert.equal(pid(it), before);
  assert.equal(it.heard("configure-routers").length, 1);
});

test("release() resolves when the process has handed over and ended, and the last notification is run", async () => {
  const out = path.join(scratch, "notified");
  const command = ["/bin/sh", "-c", `sleep 0.2; echo "$3 $4" >> ${out}`, "notify"];
  const it = await started(config({ notify: { command, timeoutMs: 5_000 } }));
  await it.routers.release();
  await eventually("everything is told", 5_000, () => it.routers.isIdle);
  const told = readFileSync(out, "utf8").trim().split("\n");
  assert.deepEqual(told, ["backup startup", "active silence", "backup shutdown"]);
});

test("release() of a process that does not hear it is bounded: it is killed", async () => {
  process.env.HOLDFAST_FAKE_ROUTER = "ignores-release";
  const it = await started(config({ advertIntervalMs: 10 }));
  const begun = performance.now();
  await it.routers.release();
  assert.ok(performance.now() - begun < 4_000);
  assert.ok(it.events.includes("router-process-killed"));
});

test("orders reach the router and are answered; names and orders that do not exist are refused", async () => {
  const it = await started();
  assert.deepEqual(await it.routers.order({ router: "edge", order: "handover" }), {
    ok: true,
    isUnknownName: false,
    lines: ["handover done"],
  });
  assert.equal(it.state(), "backup");
  const unknownRouter = await it.routers.order({ router: "edgy", order: "handover" });
  assert.equal(unknownRouter.isUnknownName, true);
  assert.deepEqual(unknownRouter.lines, ['there is no virtual router "edgy"', "virtual routers: edge"]);
  const unknownOrder = await it.routers.order({ router: "edge", order: "jump" });
  assert.deepEqual([unknownOrder.ok, unknownOrder.isUnknownName], [false, false]);
});

test("maintenance is told to every new router process, and survives the supervisor with state_dir", async () => {
  const stateDir = path.join(scratch, "state");
  const it = await started(config({}, { stateDir }));
  const outcome = await it.routers.order({ router: "edge", order: "maintenance" });
  assert.deepEqual(outcome.lines, ["maintenance done"]);
  process.kill(pid(it), "SIGKILL");
  await eventually(
    "backup again",
    5_000,
    () => it.state() === "backup" && it.routers.routers()[0]?.isInMaintenance,
  );
  await it.routers.release();

  const second = harness();
  await second.routers.prepare(config({}, { stateDir }));
  second.routers.commit(config({}, { stateDir }));
  await eventually("backup", 5_000, () => second.state() === "backup");
  assert.deepEqual(second.heard("configure-routers")[0]?.maintenance, ["edge"]);
  await second.routers.order({ router: "edge", order: "resume" });
  assert.equal(second.routers.routers()[0]?.isInMaintenance, false);
});

test("maintenance of one router of a sync group is kept for all of them, and taken back for all by resume of any", async () => {
  const group = { syncGroup: "both" };
  const virtualRouters = [
    virtualRouterConfig(group),
    virtualRouterConfig({ ...group, name: "inner", id: 52 }),
    virtualRouterConfig({ name: "other", id: 53 }),
  ];
  const it = await started(gatewayConfig({ virtualRouters }));
  const afterReload = async (reloads: number) => {
    it.routers.commit(gatewayConfig({ virtualRouters }));
    await eventually("told again", 5_000, () => it.heard("configure-routers").length === 1 + reloads);
    return it.heard("configure-routers").at(-1)?.maintenance;
  };
  await it.routers.order({ router: "edge", order: "maintenance" });
  assert.deepEqual(await afterReload(1), ["edge", "inner"]);
  await it.routers.order({ router: "inner", order: "resume" });
  assert.deepEqual(await afterReload(2), []);
});

test("a supervisor that was stopped itself does not say that the router process is silent", async () => {
  const it = await started();
  const wakeAtMs = performance.now() + 4_000;
  while (performance.now() < wakeAtMs) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
  await eventually("it reads the reports", 3_000, () => it.state() === "active");
  assert.ok(!it.events.includes("router-process-silent"));
});

test("maintenance without state_dir says that a restart forgets it", async () => {
  const it = await started();
  const { ok, lines } = await it.routers.order({ router: "edge", order: "maintenance" });
  assert.equal(ok, true);
  assert.match(lines.at(-1)!, /maintenance is not kept over a restart of the gateway: there is no state_dir/);
});

test("tracker results follow the configuration: all of them each time, before it is in force what must be known is known", async () => {
  const track = {
    interfaces: [],
    pools: [{ pool: "web", below: 1, weight: -60 }],
    checks: [
      {
        name: "route",
        command: ["/bin/true"],
        intervalMs: 60_000,
        timeoutMs: 1_000,
        rise: 1,
        fall: 1,
        weight: 0,
      },
    ],
    gateway: undefined,
  };
  const it = await started(config({ track }));
  assert.deepEqual(
    it.heard("configure-routers")[0]?.results?.map(({ key, isUp }) => [key, isUp]),
    [
      ["pool:web<1", false],
      ["check:edge/route", true],
    ],
  );
});

test("plan() says what a reload would move, with the states of now", async () => {
  const it = await started();
  assert.deepEqual(it.routers.plan(config().virtualRouters), [
    "virtual routers: 1 unchanged; 0 address moves",
  ]);
  assert.match(it.routers.plan([]).join("\n"), /edge: removed; 1 address move\b/);
});

test("accept_mode: false without nft is refused before any router process starts", async () => {
  const it = harness(5_000, "nft is not installed (package nftables)");
  await assert.rejects(
    it.routers.prepare(config({ acceptMode: false })),
    /accept_mode: false .* nft is not installed/,
  );
  it.routers.rollback();
  assert.equal(it.routers.isIdle, true);
  assert.deepEqual(it.heard("configure-routers"), []);
});
