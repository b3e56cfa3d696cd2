/**
 * `holdfast check FILE`: prints every problem of a configuration file and says whether the gateway would start with it.
 * Exit status 0: it would (warnings are no errors); 2: it would not. Called by cli/main.ts.
 */
import { Command } from "commander";
import { formatAddress } from "../config/address.ts";
import { formatDiagnostic } from "../config/diagnostics.ts";
import { configJsonSchema } from "../config/json-schema.ts";
import type { LoadResult } from "../config/load.ts";
import { readConfigFile } from "../config/resolve.ts";
import type { GatewayConfig } from "../config/types.ts";
import { askQuietly } from "./admin-client.ts";

interface CheckOptions {
  readonly json?: boolean;
  readonly schema?: boolean;
  readonly offline?: boolean;
}

export function checkCommand(): Command {
  return new Command("check")
    .description("validate a configuration file and print all of its problems")
    .argument("[file]", "configuration file (YAML)")
    .option("--json", "print the result as JSON")
    .option("--offline", "do not look up host names, programs and interfaces, nor ask a running gateway")
    .option("--schema", "print the JSON Schema of the configuration for editors, and check nothing")
    .addHelpText("after", HELP)
    .action(runCheck);
}

const HELP = `
When a gateway answers on the file's admin address, the plan of a reload is printed too: which
virtual routers it would touch, and how many addresses would move.

Exit status: 0 the file is good (warnings are printed), 2 it is not.

Examples:
  holdfast check gateway.yaml
  holdfast check --json gateway.yaml
  holdfast check --schema > holdfast.schema.json`;

async function runCheck(file: string | undefined, options: CheckOptions, command: Command): Promise<void> {
  const { writeOut = (text: string) => void process.stdout.write(text) } = command.configureOutput();
  if (options.schema === true) {
    writeOut(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
    return;
  }
  if (file === undefined) {
    command.error("error: no configuration file named; example: holdfast check gateway.yaml", {
      exitCode: 2,
    });
  }
  const isOffline = options.offline === true;
  const result = await readConfigFile(file, { isOffline });
  const plan = result.ok && !isOffline ? await askForPlan(result.config) : undefined;
  writeOut(options.json === true ? formatResultJson(file, result, plan) : formatResult(file, result, plan));
  process.exitCode = result.ok ? 0 : 2;
}

/** What a reload would do to the virtual routers of the gateway that answers on the file's admin address; undefined: none answers. */
async function askForPlan(config: GatewayConfig): Promise<ReloadPlanAnswer | undefined> {
  const { admin, virtualRouters } = config;
  if (admin === undefined) return undefined;
  const answer = await askQuietly(admin, "POST", "/plan", { virtualRouters }, PLAN_TIMEOUT_MS);
  if (answer?.status !== 200) return undefined;
  const lines = planLinesOf(answer.body);
  if (lines === undefined) return undefined;
  // The sum alone: neither the file nor the gateway has a virtual router.
  if (virtualRouters.length === 0 && lines.length <= 1) return undefined;
  return { admin: formatAddress(admin), lines };
}

/** Undefined: it is not a gateway that answered. */
function planLinesOf(body: string): string[] | undefined {
  try {
    const { lines } = JSON.parse(body) as { lines?: string[] };
    return Array.isArray(lines) ? lines : undefined;
  } catch {
    return undefined;
  }
}

/** Somebody else's server may listen there and never answer. */
const PLAN_TIMEOUT_MS = 2000;

export interface ReloadPlanAnswer {
  readonly admin: string;
  readonly lines: readonly string[];
}

/** All diagnostics, one line that sums up, and the plan of a reload. */
export function formatResult(file: string, result: LoadResult, plan?: ReloadPlanAnswer): string {
  const diagnostics = result.ok ? result.warnings : result.diagnostics;
  const errors = diagnostics.filter(({ severity }) => severity === "error").length;
  const warnings = diagnostics.length - errors;
  const counts = [count(errors, "error"), count(warnings, "warning")].filter(
    (text) => !text.startsWith("0 "),
  );
  const verdict = result.ok
    ? `${file}: ${describeConfig(result.config)}: good${warnings === 0 ? "" : `, with ${counts.join("")}`}`
    : `${file}: ${counts.join(", ")}: nothing would start`;
  const planLines =
    plan === undefined || plan.lines.length === 0
      ? []
      : [`if the gateway at ${plan.admin} reloads it:`, ...plan.lines.map((line) => `  ${line}`)];
  return `${[...diagnostics.map(formatDiagnostic), verdict, ...planLines].join("\n")}\n`;
}

export function formatResultJson(file: string, result: LoadResult, plan?: ReloadPlanAnswer): string {
  const diagnostics = result.ok ? result.warnings : result.diagnostics;
  const summary = result.ok ? { summary: describeConfig(result.config) } : {};
  const reload = plan === undefined ? {} : { reloadPlan: plan };
  return `${JSON.stringify({ file, ok: result.ok, ...summary, diagnostics, ...reload }, null, 2)}\n`;
}

/** "2 listeners, 3 pools, 5 servers, 1 virtual router". */
export function describeConfig(config: GatewayConfig): string {
  const servers = config.pools.reduce((sum, pool) => sum + pool.servers.length, 0);
  const counts = [
    count(config.listeners.length, "listener"),
    count(config.pools.length, "pool"),
    count(servers, "server"),
    count(config.virtualRouters.length, "virtual router"),
  ];
  return counts.filter((text) => !text.startsWith("0 ")).join(", ");
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
