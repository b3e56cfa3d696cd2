/**
 * What one health check, or one heartbeat, said about a server, and where such results come from: the seam between the probes
 * (probes/*.ts, heartbeat-receiver.ts), which produce them, and the checker, which judges them by `rise` and `fall`.
 */

export interface CheckResult {
  readonly ok: boolean;
  /** One sentence for humans: what was seen, or what was missing. */
  readonly reason: string;
  /** How long the answer took; 0 when nothing was asked. */
  readonly durationMs: number;
}

/** A server as health checks know it: by the names of its pool and of itself. */
export interface CheckedServer {
  readonly pool: string;
  readonly server: string;
}

/** Produces results by itself, whenever there are any; the checker only listens. `stop()` may be followed by `start()`. */
export interface HealthSource {
  start(onResult: (server: CheckedServer, result: CheckResult) => void): void;
  stop(): void;
}
