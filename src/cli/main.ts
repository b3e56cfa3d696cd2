#!/usr/bin/env node
/** The executable: parses the command line and turns usage errors into exit status 2 (exit-status.ts). */
import { CommanderError } from "commander";
import { EXIT_GOOD, EXIT_WRONG_QUESTION } from "./exit-status.ts";
import { holdfastCommand } from "./program.ts";

// `holdfast … | head`: the reader has seen enough.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(EXIT_GOOD);
  throw error;
});

try {
  await holdfastCommand().parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) {
    throw error;
  }
  // Commander has printed it. --help and --version are no errors.
  process.exitCode = error.exitCode === 0 ? EXIT_GOOD : EXIT_WRONG_QUESTION;
}
