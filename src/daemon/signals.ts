/**
 * The supervisor's signals: SIGTERM and SIGINT drain, a second one stops at once; SIGHUP reloads; SIGUSR1 opens
 * the logs again. Called by `holdfast run` and `holdfast demo`. Workers ignore all four.
 * The demo has no file to read again and belongs to its terminal: there SIGHUP, a closed window, means stop.
 */
import type { Supervisor } from "./supervisor.ts";

export function attachSignals(supervisor: Supervisor, onHangUp: "reload" | "stop" = "reload"): void {
  let isStopping = false;
  const handleStop = () => {
    if (isStopping) {
      supervisor.stop();
    } else {
      isStopping = true;
      supervisor.drain();
    }
  };
  process.on("SIGTERM", handleStop);
  process.on("SIGINT", handleStop);
  process.on("SIGHUP", onHangUp === "stop" ? handleStop : () => void supervisor.reload());
  process.on("SIGUSR1", () => supervisor.reopenLogs());
}
