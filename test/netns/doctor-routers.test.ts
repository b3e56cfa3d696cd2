/** What `holdfast doctor` says of the virtual routers of real gateways: in fault, refusing each other, with a frozen router process. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import test from "node:test";
import { type HoldfastRouter, startHoldfastRouter } from "../harness/holdfast-router.ts";
import { requireLan, startRouterLan } from "../harness/lan.ts";
import { holdfastMain } from "../harness/paths.ts";
import { childPids } from "../harness/process-usage.ts";
import { eventually } from "../harness/program.ts";

const PARAMETERS = {
  id: 51,
  version: 2,
  priority: 150,
  intervalMs: 1000,
  preempt: true,
  addresses: ["10.90.0.100/24"],
} as const;

interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly text: string;
}

/** Exit status, and what is said of routers; whether there is a real-time priority is the host's affair. */
function doctor(router: HoldfastRouter): { readonly status: number | null; readonly findings: Finding[] } {
  const words = ["doctor", "--json", "--admin", `unix:${router.gateway.adminPath}`];
  const { status, stdout } = spawnSync(process.execPath, [holdfastMain, ...words], {
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  const { findings } = JSON.parse(stdout) as { findings: Finding[] };
  return {
    status,
    findings: findings.filter(({ id }) => id.startsWith("router-") && id !== "router-not-realtime"),
  };
}

const summary = ({ findings }: ReturnType<typeof doctor>): string[] =>
  findings.map(({ id, severity }) => `${id} ${severity}`).toSorted();

test("doctor: a router that is well, one in fault with the reason, and a router process that is frozen", async (t) => {
  if (!requireLan(t)) return;
  await using lan = await startRouterLan();
  const check = (program: string) => ({ track: { checks: { route: { exec: program, interval: "1s" } } } });
  const well = await startHoldfastRouter(lan, "a", PARAMETERS, { router: check("/bin/true") });
  const other = { ...PARAMETERS, id: 52, addresses: ["10.90.0.101/24"] };
  const faulty = await startHoldfastRouter(lan, "b", other, { router: check("/bin/false") });
  const state = async (of: HoldfastRouter): Promise<string | undefined> =>
    (await of.routers()).routers[0]?.state;
  await eventually("active", 8000, async () => (await state(well)) === "active");
  await eventually("fault", 8000, async () => (await state(faulty)) === "fault");
  assert.deepEqual(summary(doctor(well)), []);
  const inFault = doctor(faulty);
  assert.deepEqual([inFault.status, summary(inFault)], [1, ["router-fault problem"]]);
  assert.match(inFault.findings[0]!.text, /virtual router edge is in fault.*: .*route/);

  const routerPid = childPids(well.gateway.pid).find((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("router-main"),
  )!;
  process.kill(routerPid, "SIGSTOP");
  try {
    await eventually("silent", 8000, async () => (await state(well)) === "unknown");
    const frozen = doctor(well);
    assert.deepEqual([frozen.status, summary(frozen)], [1, ["router-process-silent problem"]]);
    assert.ok(frozen.findings[0]!.text.includes(`pid ${routerPid}`), frozen.findings[0]!.text);
  } finally {
    process.kill(routerPid, "SIGCONT");
  }
});

test("doctor: two routers that refuse each other's password (RFC 2338 §5.3.6) throw advertisements away at this moment", async (t) => {
  if (!requireLan(t)) return;
  await using lan = await startRouterLan();
  const a = await startHoldfastRouter(lan, "a", { ...PARAMETERS, authPass: "one" });
  await startHoldfastRouter(lan, "b", { ...PARAMETERS, authPass: "two" });
  const isDiscarding = async (): Promise<boolean> => {
    const { counters } = (await a.routers()).routers[0]!;
    return Object.keys(counters.advertisementsDiscarded).length > 0;
  };
  await eventually("an advertisement is refused", 12_000, isDiscarding);
  const said = doctor(a);
  assert.equal(said.status, 1);
  const discards = said.findings.find(({ id }) => id === "router-discards");
  assert.equal(discards?.severity, "problem", JSON.stringify(said.findings));
  assert.match(discards.text, /at this moment.*: auth-mismatch \d+ since/);
});
