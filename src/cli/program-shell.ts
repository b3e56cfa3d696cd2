/**
 * The `holdfast` command around its subcommands: name, version, help, how errors end. Called by program.ts, which has the whole list,
 * and by main.ts for a command that is loaded alone.
 */
import { Command } from "commander";
import { readVersion } from "./version.ts";

const EXAMPLES = `
Examples:
  holdfast demo                    see it work, no root, no configuration
  holdfast check gateway.yaml      every problem of a file, with line and column
  holdfast run gateway.yaml

Exit status: 0 good, 1 the answer is bad news, 2 the question was wrong.`;

export function programOf(commands: readonly Command[]): Command {
  const program = new Command("holdfast")
    .description(
      "keep-alive gateway and doctor for Linux: persistent connections, TCP keepalive, health and failover; what cuts connections, and the mend",
    )
    .version(readVersion(), "-V, --version")
    .addHelpText("after", EXAMPLES)
    .showSuggestionAfterError();
  for (const command of commands) program.addCommand(command);
  for (const command of [program, ...program.commands]) command.exitOverride();
  return program;
}
