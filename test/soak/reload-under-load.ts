/**
 * Reloads under a constant load of wrk: not one request may fail, the old workers must go, and a bad file must change nothing.
 * Run by reload-under-load.test.ts (short) and reload-under-load-main.ts.
 */
import { writeFileSync } from "node:fs";
import { childPids } from "../harness/process-usage.ts";
import { eventually, freePort } from "../harness/program.ts";
import { startHoldfast, startNginx, withAdmin } from "../harness/servers.ts";
import { runWrk, type WrkResult } from "../harness/wrk.ts";

export interface ReloadPlan {
  readonly reloads: number;
  readonly intervalMs: number;
  readonly connections: number;
  readonly workers: number;
}

export interface ReloadResult {
  readonly load: WrkResult;
  readonly reloads: number;
  /** Status of the answer to the reload with a broken file; 200 would be wrong. */
  readonly badReloadStatus: number;
  readonly badReloadBody: string;
}

export async function runReloadUnderLoad(plan: ReloadPlan): Promise<ReloadResult> {
  const [originPort, port] = [await freePort(), await freePort()];
  await using _origin = await startNginx({
    ready: [{ host: "127.0.0.1", port: originPort }],
    http: `keepalive_requests 1000000000;
  server { listen 127.0.0.1:${originPort}; location / { return 200 "ok\\n"; } }`,
  });
  const config = (generation: number): string => `workers: ${plan.workers}
drain_timeout: 5s
listeners:
  web: { bind: "127.0.0.1:${port}", http: { keepalive_requests: ${1_000_000 + generation}, routes: [{ pool: web }] } }
pools:
  web: { keepalive: ${100 + generation}, servers: ["127.0.0.1:${originPort}"] }
`;
  await using gateway = await startHoldfast({ config: config(0), ready: [{ host: "127.0.0.1", port }] });
  const durationSeconds = Math.ceil((plan.reloads * plan.intervalMs) / 1000) + 2;
  const load = runWrk({ url: `http://127.0.0.1:${port}/`, connections: plan.connections, durationSeconds });
  let badReload = { status: 0, body: "" };
  for (let reload = 1; reload <= plan.reloads; reload++) {
    await new Promise((resolve) => setTimeout(resolve, plan.intervalMs));
    const isBad = reload === Math.ceil(plan.reloads / 2);
    writeFileSync(
      gateway.configPath,
      withAdmin(isBad ? "listeners: { web: { bind: nonsense } }" : config(reload), gateway.directory),
    );
    const answer = await gateway.admin("POST", "/reload");
    if (isBad) badReload = answer;
    else if (answer.status !== 200) throw new Error(`reload ${reload}: ${answer.status} ${answer.body}`);
  }
  const result = await load;
  await eventually("the old workers are gone", 10_000, () => childPids(gateway.pid).length === plan.workers);
  return {
    load: result,
    reloads: plan.reloads,
    badReloadStatus: badReload.status,
    badReloadBody: badReload.body,
  };
}
