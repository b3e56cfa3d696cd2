/**
 * `holdfast run FILE`: the gateway in the foreground. Exit 0 after a drain, 2 when the file is wrong, 1 when the machine
 * does not let it start (a taken port, a missing privilege).
 */
import { Command } from "commander";
import { BindError } from "../daemon/listening-sockets.ts";
import { attachSignals } from "../daemon/signals.ts";
import { StartError, Supervisor } from "../daemon/supervisor.ts";
import { createLogger } from "../observe/log.ts";
import { EXIT_BAD_NEWS, EXIT_WRONG_QUESTION, fail } from "./exit-status.ts";
import { describeChange, loadGatewayFile } from "./gateway-file.ts";
import { readVersion } from "./version.ts";

const HELP = `
Signals:
  SIGTERM, SIGINT   finish the requests in progress and end; a second one ends at once
  SIGHUP            read FILE again: new workers beside the old ones, no request is lost
  SIGUSR1           open the access log again, after it was rotated

Examples:
  holdfast run gateway.yaml
  holdfast check gateway.yaml && sudo holdfast run gateway.yaml`;

export function runCommand(): Command {
  return new Command("run")
    .description("run the gateway in the foreground")
    .argument("<file>", "the configuration (YAML)")
    .addHelpText("after", HELP)
    .action(run);
}

async function run(file: string): Promise<void> {
  process.title = "holdfast"; // what ps and "address in use by" show
  const supervisor = new Supervisor({
    version: readVersion(),
    configFile: file,
    load: () => loadGatewayFile(file),
    describeChange,
    logger: createLogger(process.stderr, Date.now),
  });
  attachSignals(supervisor);
  await startOrFail(supervisor);
  await supervisor.stopped;
}

/**
 * False when the gateway could not start: why has been printed, and the exit status set.
 * `addressHint` is printed where an address could not be had.
 */
export async function startOrFail(supervisor: Supervisor, addressHint?: string): Promise<boolean> {
  try {
    await supervisor.start();
    return true;
  } catch (error) {
    if (!(error instanceof StartError)) {
      throw error;
    }
    if (!supervisor.isStopRequested) {
      const hints = error.cause instanceof BindError && addressHint !== undefined ? [addressHint] : [];
      fail(error.isConfigError ? EXIT_WRONG_QUESTION : EXIT_BAD_NEWS, [...error.lines, ...hints]);
    }
    return false;
  }
}
