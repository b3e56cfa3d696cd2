/**
 * Check `heartbeat: { path }`, the heartbeat that is *asked* for: the end point must answer 2xx within the time-out. It may
 * tell a progress counter, in a field `Heartbeat-Progress: 1234` or as `{"progress": 1234}`; with `progress_deadline` that counter
 * must move from check to check. For applications that answer health checks from a thread of their own while the work stands still.
 */

import { formatDuration } from "../../config/duration.ts";
import type { HeartbeatCheckConfig, SocketAddress } from "../../config/types.ts";
import { parseBeatBody } from "../../heartbeat/beat-format.ts";
import { findField } from "../../http1/field-table.ts";
import type { ResponseHead } from "../../http1/response-head.ts";
import { HeartbeatProgress } from "../heartbeat-progress.ts";
import { HttpProbe } from "./http.ts";

const PROGRESS_FIELD = new TextEncoder().encode("heartbeat-progress");

export class HeartbeatProbe extends HttpProbe {
  readonly #progress: HeartbeatProgress;
  #counter: number | undefined = undefined;

  constructor(address: SocketAddress, check: Extract<HeartbeatCheckConfig, { mode: "asked" }>) {
    super(address, {
      kind: "http",
      tls: false,
      verify: false,
      method: "GET",
      path: check.path,
      host: undefined,
      headers: [],
      status: [[200, 299]],
      bodyContains: undefined,
      bodyMatches: undefined,
    });
    this.#progress = new HeartbeatProgress(check.progressDeadlineMs);
  }

  /** The body is read only when it may hold the counter. */
  protected override wantsBody(bytes: Uint8Array, head: ResponseHead): boolean {
    const row = findField(bytes, head.fields, PROGRESS_FIELD);
    const value = row < 0 ? "" : textOf(bytes, head.fields.valueStart[row]!, head.fields.valueEnd[row]!);
    this.#counter = value === "" ? undefined : toCounter(Number(value));
    return row < 0 && this.#progress.deadlineMs !== 0;
  }

  protected override judgeBody(text: string): void {
    const counter = parseBeatBody(text);
    this.#counter = counter === undefined ? undefined : toCounter(counter);
    this.succeed("answered");
  }

  /** The application answers; whether it gets on is the second question. */
  protected override succeed(reason: string): void {
    const nowMs = performance.now();
    this.#progress.note(nowMs, this.#counter);
    const { counter } = this.#progress;
    if (this.#progress.isStandingStill(nowMs)) {
      const standing = formatDuration(Math.floor(this.#progress.standingForMs(nowMs)));
      this.fail(
        `${reason}, but the application makes no progress: its counter has stood at ${counter} for ${standing}`,
      );
    } else super.succeed(counter === undefined ? reason : `${reason}, progress ${counter}`);
  }
}

function toCounter(number: number): number | undefined {
  return Number.isFinite(number) ? number : undefined;
}

function textOf(bytes: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...bytes.subarray(start, end)).trim();
}
