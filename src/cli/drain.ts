/** `holdfast drain`: the running gateway finishes what is in progress and ends. Exit 0, or 1 when nobody answers. */
import { Command } from "commander";
import { type AdminOptions, adminOption, askGateway } from "./admin-client.ts";
import { EXIT_BAD_NEWS, fail } from "./exit-status.ts";

const EXAMPLES = `
The gateway stops accepting, answers the requests in progress with Connection: close and ends,
drain_timeout later at the latest. Virtual routers are handed over first: the addresses are taken away
here when another router has them. SIGTERM to the gateway does the same.

Example:
  holdfast drain --admin unix:/run/holdfast.sock`;

export function drainCommand(): Command {
  return new Command("drain")
    .description("let a running gateway finish its requests and end")
    .addOption(adminOption())
    .addHelpText("after", EXAMPLES)
    .action(drain);
}

async function drain(options: AdminOptions): Promise<void> {
  const answer = await askGateway(options.admin, "POST", "/drain");
  if (answer === undefined) {
    return;
  }
  if (answer.status === 202) {
    process.stdout.write("draining\n");
  } else {
    fail(EXIT_BAD_NEWS, [`the gateway refused (status ${answer.status}): ${answer.body.trim()}`]);
  }
}
