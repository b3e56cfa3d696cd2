/**
 * What the supervisor knows about itself and its workers at one moment: the part of `/status` and `/metrics` that is
 * not in the workers' counters. Types only; the supervisor fills it in.
 */
import type { RouterProcessStatus, RouterStatus } from "./router-status.ts";

export type WorkerState = "starting" | "running" | "draining";

export interface WorkerFacts {
  readonly index: number;
  readonly pid: number;
  readonly generation: number;
  readonly state: WorkerState;
  readonly startedAtMs: number;
  /** Resident memory; undefined when the process is already gone. */
  readonly residentBytes: number | undefined;
}

export interface ReloadFacts {
  readonly atMs: number;
  readonly ok: boolean;
  /** What changed, or what is wrong: lines for humans. */
  readonly lines: readonly string[];
}

/** A server's last health check. */
export interface LastCheckFacts {
  readonly ok: boolean;
  readonly reason: string;
  readonly durationMs: number;
  readonly atMs: number;
}

/** What health checks say about a server. Pools that share a check show the same. */
export interface HealthFacts {
  /** Kind of check, as the configuration calls it: tcp, http, https, … */
  readonly check: string;
  readonly state: "up" | "going-down" | "down" | "going-up";
  readonly reason: string;
  /** When it last went up or down. */
  readonly sinceMs: number;
  /** When the state last changed, going up and going down included. */
  readonly stateSinceMs: number;
  readonly checks: number;
  readonly checksFailed: number;
  readonly timesUp: number;
  readonly timesDown: number;
  /** Failures of live traffic in a row, so far. */
  readonly trafficFailures: number;
  readonly lastCheck: LastCheckFacts | undefined;
  /** Of the last check over TLS. */
  readonly certificateExpiresAtMs: number | undefined;
}

/** What the supervisor, not the workers, knows about a server: health, and the operator's wish. */
export interface ServerFacts {
  readonly pool: string;
  readonly server: string;
  readonly admin: "up" | "drain" | "maint";
  /** When the operator gave it that state; undefined: never. */
  readonly adminSinceMs: number | undefined;
  /** Weight in force. */
  readonly weight: number;
  /** Undefined: the pool has no health section. */
  readonly health: HealthFacts | undefined;
}

export interface GatewayFacts {
  readonly version: string;
  readonly pid: number;
  readonly configFile: string | undefined;
  readonly nowMs: number;
  readonly startedAtMs: number;
  readonly phase: string;
  readonly phases: readonly string[];
  readonly generation: number;
  readonly workers: readonly WorkerFacts[];
  readonly respawns: number;
  readonly reloadsOk: number;
  readonly reloadsFailed: number;
  readonly lastReload: ReloadFacts | undefined;
  /** Of the configuration in force, in its order. */
  readonly servers: readonly ServerFacts[];
  readonly routers: readonly RouterStatus[];
  /** Undefined: the configuration in force has no virtual routers. */
  readonly routerProcess: RouterProcessStatus | undefined;
}
