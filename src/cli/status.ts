/** `holdfast status`: what a running gateway is doing. Exit 0, or 1 when nobody answers. */
import { Command } from "commander";
import type { StatusDocument } from "../observe/status.ts";
import { type AdminOptions, adminOption, askGateway } from "./admin-client.ts";
import { EXIT_BAD_NEWS, fail } from "./exit-status.ts";
import { formatStatus } from "./status-table.ts";

const EXAMPLES = `
Examples:
  holdfast status
  holdfast status --admin 127.0.0.1:9901
  holdfast status --json | jq '.pools[].servers[] | {name, state, reuseRatio}'`;

export function statusCommand(): Command {
  return new Command("status")
    .description("show workers, listeners and servers of a running gateway")
    .option("--json", "print the status document: stable field names, milliseconds and bytes")
    .addOption(adminOption())
    .addHelpText("after", EXAMPLES)
    .action(printStatus);
}

async function printStatus(options: AdminOptions & { json?: true }): Promise<void> {
  const answer = await askGateway(options.admin, "GET", "/status");
  if (answer === undefined) {
    return;
  }
  if (answer.status !== 200) {
    fail(EXIT_BAD_NEWS, [
      `what answers at ${options.admin} is not a Holdfast gateway (status ${answer.status})`,
    ]);
    return;
  }
  const status = JSON.parse(answer.body) as StatusDocument;
  const isColoured = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
  const text = options.json ? JSON.stringify(status, null, 2) : formatStatus(status, isColoured).join("\n");
  process.stdout.write(`${text}\n`);
}
