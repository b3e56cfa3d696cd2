/** `holdfast routers`: the virtual routers of a running gateway, and why each is in its state. Exit 0, or 1 when nobody answers. */
import { Command } from "commander";
import type { RoutersDocument } from "../observe/router-status.ts";
import { type AdminOptions, adminOption, askGateway } from "./admin-client.ts";
import { EXIT_BAD_NEWS, fail } from "./exit-status.ts";
import { formatRouters } from "./router-table.ts";

const EXAMPLES = `
BECAUSE is the cause of the last transition; --history explains each with the figures that decided. A state is
"unknown" when the router process does not report: it is never guessed.

Examples:
  holdfast routers
  holdfast routers --history
  holdfast routers --json | jq '.routers[] | {name, state, peer}'

Exit status: 0 printed, 1 nobody answers, 2 the question was wrong.`;

interface RoutersOptions extends AdminOptions {
  readonly json?: true;
  readonly history?: true;
}

export function routersCommand(): Command {
  return new Command("routers")
    .description("show the virtual routers of a running gateway, and why they are what they are")
    .option("--history", "print the last transitions too, the oldest first, one sentence each")
    .option("--json", "print the routers document, history included: stable field names, milliseconds")
    .addOption(adminOption())
    .addHelpText("after", EXAMPLES)
    .action(printRouters);
}

async function printRouters(options: RoutersOptions): Promise<void> {
  const answer = await askGateway(options.admin, "GET", "/routers");
  if (answer === undefined) return;
  if (answer.status !== 200) {
    fail(EXIT_BAD_NEWS, [`the gateway refused (status ${answer.status}): ${answer.body.trim()}`]);
    return;
  }
  const document = JSON.parse(answer.body) as RoutersDocument;
  const isColoured = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
  const text = options.json
    ? JSON.stringify(document, null, 2)
    : formatRouters(document, { hasHistory: options.history === true, isColoured }).join("\n");
  process.stdout.write(`${text}\n`);
}
