#!/usr/bin/env node
/** The executable: parses the command line and turns usage errors into exit status 2 (exit-status.ts). */
import { type Command, CommanderError } from "commander";
import { EXIT_GOOD, EXIT_WRONG_QUESTION } from "./exit-status.ts";
import { programOf } from "./program-shell.ts";

/**
 * Commands that people and scripts repeat every few seconds. They are loaded without the others, which would cost more than
 * their answer: a tenth of a second for schemas and readers that they do not need.
 */
const LOADED_ALONE: ReadonlyMap<string, () => Promise<Command>> = new Map([
  ["sockets", async () => (await import("./sockets.ts")).socketsCommand()],
  ["watch", async () => (await import("./watch.ts")).watchCommand()],
]);

async function programFor(word = ""): Promise<Command> {
  const load = LOADED_ALONE.get(word);
  return load === undefined ? (await import("./program.ts")).holdfastCommand() : programOf([await load()]);
}

// `holdfast … | head`: the reader has seen enough.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(EXIT_GOOD);
  throw error;
});

try {
  await (await programFor(process.argv[2])).parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) {
    throw error;
  }
  // Commander has printed it. --help and --version are no errors.
  process.exitCode = error.exitCode === 0 ? EXIT_GOOD : EXIT_WRONG_QUESTION;
}
