/**
 * What the applications of a path (end points and proxies) see of the simulated world, and what the simulation asks of them. Types only.
 */
import type { Socket, SocketOwner } from "./connection.ts";
import type { Timeline } from "./timeline.ts";

export interface Surroundings {
  readonly timeline: Timeline;
  /** Opens a new connection on a leg; the hop at its other end has accepted it when this returns. */
  connect(nowMs: number, leg: number, owner: SocketOwner): Socket;
  /** What the scenario is about has come through. */
  reportDelivery(nowMs: number): void;
}

/** One session of an application. Deadlines are those of the application, not of the kernel below it. */
export interface Application extends SocketOwner {
  nextTimeout(): number | undefined;
  handleTimeout(nowMs: number): void;
}

export function earliest(...deadlines: readonly (number | undefined)[]): number | undefined {
  let result: number | undefined;
  for (const deadline of deadlines) {
    if (deadline !== undefined && (result === undefined || deadline < result)) result = deadline;
  }
  return result;
}
