/**
 * What the supervisor knows about itself and its workers at one moment: the part of `/status` and `/metrics` that is
 * not in the workers' counters. Types only; the supervisor fills it in.
 */
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
}
