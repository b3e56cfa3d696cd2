/**
 * The commands of `holdfast`, put together. Each is a file of its own; doctor commands (sockets, probe, …) will be added
 * to the list below. Called by `main.ts` (runs it) and `reference-page.ts` (prints its help).
 */
import { Command } from "commander";
import { checkCommand } from "./check.ts";
import { demoCommand } from "./demo.ts";
import { drainCommand } from "./drain.ts";
import { reloadCommand } from "./reload.ts";
import { routerCommand } from "./router.ts";
import { routersCommand } from "./routers.ts";
import { runCommand } from "./run.ts";
import { serverCommand } from "./server.ts";
import { sessionsCommand } from "./sessions.ts";
import { statusCommand } from "./status.ts";
import { readVersion } from "./version.ts";

const EXAMPLES = `
Examples:
  holdfast demo                    see it work, no root, no configuration
  holdfast check gateway.yaml      every problem of a file, with line and column
  holdfast run gateway.yaml

Exit status: 0 good, 1 the answer is bad news, 2 the question was wrong.`;

export function holdfastCommand(): Command {
  const program = new Command("holdfast")
    .description("keep-alive gateway for Linux: persistent connections and TCP keepalive on every hop")
    .version(readVersion(), "-V, --version")
    .addHelpText("after", EXAMPLES)
    .showSuggestionAfterError();
  for (const command of [
    demoCommand(),
    runCommand(),
    checkCommand(),
    statusCommand(),
    sessionsCommand(),
    reloadCommand(),
    drainCommand(),
    serverCommand(),
    routersCommand(),
    routerCommand(),
  ]) {
    program.addCommand(command);
  }
  for (const command of [program, ...program.commands]) {
    command.exitOverride();
  }
  return program;
}
