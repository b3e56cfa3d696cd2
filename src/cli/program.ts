/**
 * The commands of `holdfast`, put together. Each is a file of its own: those of the gateway first, then the doctor's. Called by
 * `main.ts` (runs it) and `reference-page.ts` (prints its help).
 */
import type { Command } from "commander";
import { checkCommand } from "./check.ts";
import { demoCommand } from "./demo.ts";
import { doctorCommand } from "./doctor.ts";
import { drainCommand } from "./drain.ts";
import { enableCommand } from "./enable.ts";
import { measureCommand } from "./measure.ts";
import { predictCommand } from "./predict.ts";
import { probeCommand } from "./probe.ts";
import { programOf } from "./program-shell.ts";
import { reloadCommand } from "./reload.ts";
import { routerCommand } from "./router.ts";
import { routersCommand } from "./routers.ts";
import { runCommand } from "./run.ts";
import { serverCommand } from "./server.ts";
import { sessionsCommand } from "./sessions.ts";
import { socketsCommand } from "./sockets.ts";
import { statusCommand } from "./status.ts";
import { undoCommand } from "./undo.ts";
import { watchCommand } from "./watch.ts";

export function holdfastCommand(): Command {
  return programOf([
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
    predictCommand(),
    probeCommand(),
    enableCommand(),
    undoCommand(),
    measureCommand(),
    doctorCommand(),
    socketsCommand(),
    watchCommand(),
  ]);
}
