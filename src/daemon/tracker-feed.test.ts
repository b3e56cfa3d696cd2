import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { eventually } from "../../test/harness/program.ts";
import type { TrackConfig, TrackedCheckConfig } from "../config/types.ts";
import type { HealthFacts, ServerFacts } from "../observe/gateway-facts.ts";
import { gatewayConfig, virtualRouterConfig } from "../testing/gateway-config.ts";
import type { TrackerResultMessage } from "./router-messages.ts";
import { poolResult, TrackerFeed } from "./tracker-feed.ts";

const directory = mkdtempSync(path.join(tmpdir(), "holdfast-tracker-"));
after(() => rmSync(directory, { recursive: true }));

function server(name: string, admin: ServerFacts["admin"], state?: HealthFacts["state"]): ServerFacts {
  const health = state === undefined ? undefined : ({ state } as HealthFacts);
  return { pool: "web", server: name, admin, adminSinceMs: undefined, weight: 1, health };
}

function config(track: Partial<TrackConfig>) {
  const whole = { interfaces: [], pools: [], checks: [], gateway: undefined, ...track };
  return gatewayConfig({ virtualRouters: [virtualRouterConfig({ track: whole })] });
}

function check(command: readonly string[], overrides: Partial<TrackedCheckConfig> = {}): TrackedCheckConfig {
  const defaults = { intervalMs: 50, timeoutMs: 40, rise: 2, fall: 2, weight: 0 };
  return { name: "route", command, ...defaults, ...overrides };
}

function feed(servers: () => readonly ServerFacts[] = () => []) {
  const told: TrackerResultMessage[] = [];
  const it = new TrackerFeed({
    send: (results) => void told.push(...results),
    serverFacts: servers,
    workers: () => [],
  });
  return { feed: it, told, isUp: () => told.at(-1)?.isUp };
}

test("poolResult() counts servers that are neither down nor ordered out; going down is still up, going up still down", () => {
  const servers = [
    server("a", "up", "up"),
    server("b", "up", "going-down"),
    server("c", "up", "going-up"),
    server("d", "up", "down"),
    server("e", "drain", "up"),
    server("f", "maint", "up"),
    { ...server("g", "up", "up"), pool: "other" },
  ];
  assert.deepEqual(poolResult({ pool: "web", below: 2 }, servers), {
    key: "pool:web<2",
    isUp: true,
    detail: "2 of 6 servers usable, 2 wanted",
  });
  assert.equal(poolResult({ pool: "web", below: 3 }, servers).isUp, false);
});

test("poolResult() says that without health checks only the operator's orders count", () => {
  const { isUp, detail } = poolResult({ pool: "web", below: 1 }, [server("a", "up"), server("b", "drain")]);
  assert.equal(isUp, true);
  assert.equal(
    detail,
    "1 of 2 servers usable, 1 wanted (without health checks only the operator's orders count)",
  );
});

test("TrackerFeed tells everything at first, then what changed and nothing else", () => {
  let servers = [server("a", "up", "up")];
  const { feed: it, told } = feed(() => servers);
  const configured = config({ pools: [{ pool: "web", below: 1, weight: 0 }] });
  it.commit(configured);
  it.tellAll(configured);
  const before = told.length;
  it.refresh();
  assert.equal(told.length, before);
  servers = [server("a", "up", "down")];
  it.refresh();
  assert.deepEqual(told.slice(before), [
    { key: "pool:web<1", isUp: false, detail: "0 of 1 servers usable, 1 wanted" },
  ]);
  it.commit(undefined);
});

test("TrackerFeed: a check's first result decides alone and is there before the routers are told, later ones need rise and fall", async () => {
  const fails = path.join(directory, "fails");
  const { feed: it, told, isUp } = feed();
  const configured = config({ checks: [check(["/usr/bin/test", "!", "-e", fails])] });
  await it.prepare(configured);
  assert.deepEqual(it.tellAll(configured), [
    { key: "check:edge/route", isUp: true, detail: "exit status 0" },
  ]);
  it.commit(configured);
  writeFileSync(fails, "");
  await eventually("the check is down", 5_000, () => isUp() === false);
  rmSync(fails);
  await eventually("the check is up again", 5_000, () => isUp() === true);
  assert.equal(told.length, 2);
  it.commit(undefined);
});

test("TrackerFeed: a check never runs twice at a time, and one over its time-out is killed and counts as a failure", async () => {
  const log = path.join(directory, "overlap");
  writeFileSync(log, "");
  const script = path.join(directory, "stuck");
  writeFileSync(
    script,
    `#!/bin/sh\nflock -n ${log}.lock -c "echo run >> ${log}; sleep 60" || echo twice >> ${log}\n`,
    {
      mode: 0o755,
    },
  );
  const { feed: it } = feed();
  // Interval below time-out: the next run is due while the one before is stuck.
  const configured = config({ checks: [check([script], { intervalMs: 20, timeoutMs: 100 })] });
  await it.prepare(configured);
  const [first] = it.tellAll(configured);
  assert.deepEqual([first!.isUp, first!.detail], [false, "no end within 0.1 s: killed"]);
  it.commit(configured);
  const runs = (): string[] => readFileSync(log, "utf8").trim().split("\n");
  await eventually("three runs", 5_000, () => runs().length >= 3);
  it.commit(undefined);
  assert.deepEqual(new Set(runs()), new Set(["run"]));
});

test("TrackerFeed: a reload that keeps a check does not ask it anew, one that fails leaves none behind", async () => {
  const runs = path.join(directory, "runs");
  const slow = check(["/bin/sh", "-c", `echo >> ${runs}`], { intervalMs: 60_000, timeoutMs: 1_000 });
  const { feed: it } = feed();
  const before = config({ checks: [slow] });
  await it.prepare(before);
  it.commit(before);
  await it.prepare(config({ checks: [slow, { ...slow, name: "second" }] }));
  it.rollback();
  await it.prepare(config({ checks: [slow] }));
  assert.equal(readFileSync(runs, "utf8"), "\n\n", "the first one once, the second one once");
  it.commit(undefined);
});
