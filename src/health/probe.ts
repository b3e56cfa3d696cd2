/**
 * What a probe is: it asks one server one question and says once what came of it. The drivers are in probes/, one per kind of
 * check; probes/create.ts chooses; checker.ts calls. A probe belongs to one server and lives as long as its health
 * section, so it may remember things from one check to the next (a progress counter, a prepared request).
 *
 * The checker never runs two checks of one probe at a time, and gives each `timeoutMs`; when that is over, it calls `cancel()`
 * and counts a failure, so no probe needs a timer of its own.
 */
import type { SocketAddress } from "../config/types.ts";
import type { ProxyVersion } from "../proxy-protocol/proxy-header.ts";
import type { CheckResult } from "./check-result.ts";

export interface Probe {
  /** Begins one check. `done` is called once, at any time later, unless `cancel()` comes first. Does not throw. */
  start(done: (result: ProbeResult) => void): void;
  /** Gives up the check in progress and frees what it holds. Harmless when there is none. */
  cancel(): void;
}

/** Without `durationMs`: the checker measures it. */
export interface ProbeResult extends Omit<CheckResult, "durationMs"> {
  /** With TLS: when the server's certificate ends, milliseconds since 1970. */
  readonly certificateExpiresAtMs?: number;
}

/** The server a probe asks. */
export interface ProbeTarget {
  readonly address: SocketAddress;
  /** As written in the configuration. */
  readonly name: string;
  /** Name of the first pool that wants this check. */
  readonly pool: string;
  /** The server expects a PROXY header at the start of each connection: a check begins with one, too (LOCAL, UNKNOWN). */
  readonly sendProxy: ProxyVersion | "off";
}
