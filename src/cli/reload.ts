/** `holdfast reload`: the running gateway reads its file again. Exit 0, or 1 when it kept the old configuration. */
import { Command } from "commander";
import type { ReloadOutcome } from "../daemon/admin-server.ts";
import { type AdminOptions, adminOption, askGateway } from "./admin-client.ts";
import { EXIT_BAD_NEWS, fail } from "./exit-status.ts";

const EXAMPLES = `
New workers are started beside the old ones, which finish what they have. A file with
errors changes nothing. SIGHUP to the gateway does the same.

Examples:
  holdfast check gateway.yaml && holdfast reload
  holdfast reload --admin unix:/run/holdfast.sock`;

export function reloadCommand(): Command {
  return new Command("reload")
    .description("let a running gateway read its configuration again, without losing a request")
    .option("--json", "print the outcome as JSON")
    .addOption(adminOption())
    .addHelpText("after", EXAMPLES)
    .action(reload);
}

async function reload(options: AdminOptions & { json?: true }): Promise<void> {
  const answer = await askGateway(options.admin, "POST", "/reload");
  if (answer === undefined) {
    return;
  }
  if (options.json) {
    process.stdout.write(answer.body);
    process.exitCode = answer.status === 200 ? 0 : EXIT_BAD_NEWS;
    return;
  }
  const { lines = [] } = JSON.parse(answer.body) as Partial<ReloadOutcome>;
  if (answer.status === 200) {
    process.stdout.write(`reloaded: ${lines.join("\n  ")}\n`);
  } else {
    fail(EXIT_BAD_NEWS, ["reload failed, nothing has changed:", ...lines]);
  }
}
