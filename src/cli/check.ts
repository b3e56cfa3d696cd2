/**
 * `holdfast check FILE`: prints every problem of a configuration file and says whether the gateway would start with it.
 * Exit status 0: it would (warnings are no errors); 2: it would not. Called by cli/main.ts.
 */
import { Command } from "commander";
import { formatDiagnostic } from "../config/diagnostics.ts";
import { configJsonSchema } from "../config/json-schema.ts";
import type { LoadResult } from "../config/load.ts";
import { readConfigFile } from "../config/resolve.ts";
import type { GatewayConfig } from "../config/types.ts";

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
    .option("--offline", "do not look up the host names of servers")
    .option("--schema", "print the JSON Schema of the configuration for editors, and check nothing")
    .addHelpText("after", HELP)
    .action(runCheck);
}

const HELP = `
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
  const result = await readConfigFile(file, { isOffline: options.offline === true });
  writeOut(options.json === true ? formatResultJson(file, result) : formatResult(file, result));
  process.exitCode = result.ok ? 0 : 2;
}

/** All diagnostics, then one line that sums up. */
export function formatResult(file: string, result: LoadResult): string {
  const diagnostics = result.ok ? result.warnings : result.diagnostics;
  const errors = diagnostics.filter(({ severity }) => severity === "error").length;
  const warnings = diagnostics.length - errors;
  const counts = [count(errors, "error"), count(warnings, "warning")].filter(
    (text) => !text.startsWith("0 "),
  );
  const verdict = result.ok
    ? `${file}: ${describeConfig(result.config)}: good${warnings === 0 ? "" : `, with ${counts.join("")}`}`
    : `${file}: ${counts.join(", ")}: nothing would start`;
  return `${[...diagnostics.map(formatDiagnostic), verdict].join("\n")}\n`;
}

export function formatResultJson(file: string, result: LoadResult): string {
  const diagnostics = result.ok ? result.warnings : result.diagnostics;
  const summary = result.ok ? { summary: describeConfig(result.config) } : {};
  return `${JSON.stringify({ file, ok: result.ok, ...summary, diagnostics }, null, 2)}\n`;
}

/** "2 listeners, 3 pools, 5 servers". */
export function describeConfig(config: GatewayConfig): string {
  const servers = config.pools.reduce((sum, pool) => sum + pool.servers.length, 0);
  return [
    count(config.listeners.length, "listener"),
    count(config.pools.length, "pool"),
    count(servers, "server"),
  ].join(", ");
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
