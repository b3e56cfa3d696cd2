/**
 * A transition of a virtual router as one structured log line, event `router-transition`: the fields of its record, flat, absent ones left
 * out. Pure. Called by daemon/router-supervision.ts.
 */
import type { TransitionRecord } from "../vrrp/state.ts";
import type { LogFields, LogLevel } from "./log.ts";

export interface TransitionLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

export function transitionLine(record: TransitionRecord): TransitionLine {
  const { router, from, to, cause, detail, priority, loopLagMs, lastAdvertisement } = record;
  return {
    level: to === "fault" ? "warn" : "info",
    message: `router ${router}: ${from} → ${to} (${cause}): ${detail}`,
    fields: {
      router,
      from,
      to,
      cause,
      priority,
      at: new Date(record.atUnixMs).toISOString(),
      loopLagMs: round(loopLagMs),
      ...(lastAdvertisement === null || lastAdvertisement === undefined
        ? {}
        : {
            lastAdvertisementFrom: lastAdvertisement.source,
            lastAdvertisementPriority: lastAdvertisement.priority,
            lastAdvertisementAgeMs: round(lastAdvertisement.ageMs),
          }),
      ...(record.addressesAfterMs === null ? {} : { addressesAfterMs: round(record.addressesAfterMs) }),
      ...(record.announcedAfterMs === null ? {} : { announcedAfterMs: round(record.announcedAfterMs) }),
    },
  };
}

/** Microseconds are the clock's. */
function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
