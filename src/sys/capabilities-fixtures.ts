/**
 * Programs of their own for the tests of capabilities.ts and scheduling.ts, since both change the process for good.
 * Usage: node capabilities-fixtures.js drop|realtime|busy. Prints one JSON line.
 */
import { heldCapabilities, keepCapabilitiesAcrossSetuid, restrictCapabilities } from "./capabilities.ts";
import { errnoName } from "./errno.ts";
import { openRawSocket } from "./raw-socket.ts";
import {
  isRealtime,
  limitRealtimeRun,
  lockMemory,
  pauseRealtimeRun,
  setOrdinaryPriority,
  setRealtimePriority,
} from "./scheduling.ts";

const NOBODY = 65534;

/** Becomes an ordinary user with CAP_NET_RAW and CAP_NET_ADMIN, as the router process does. */
function drop(): Record<string, unknown> {
  keepCapabilitiesAcrossSetuid();
  process.setgroups!([]);
  process.setgid!(NOBODY);
  process.setuid!(NOBODY);
  const afterSetuid = [...heldCapabilities()];
  const kept = [...restrictCapabilities(["CAP_NET_RAW", "CAP_NET_ADMIN"])];
  openRawSocket("inet", 112);
  restrictCapabilities(["CAP_NET_ADMIN"]);
  let refusal: unknown;
  try {
    openRawSocket("inet", 112);
  } catch (error) {
    refusal = { code: (error as { code: string }).code, hint: (error as { hint: string }).hint };
  }
  return { uid: process.getuid!(), afterSetuid, kept, refusal };
}

function realtime(): Record<string, unknown> {
  const said = (result: number): string => (result === 0 ? "ok" : errnoName(-result));
  const limit = said(limitRealtimeRun(1_000_000));
  const scheduler = said(setRealtimePriority(10));
  const wasRealtime = isRealtime();
  const memory = said(lockMemory());
  // V8 must be able to grow afterwards.
  const ballast = Array.from({ length: 50 }, () => new Uint8Array(1 << 20).fill(1));
  setOrdinaryPriority();
  return { limit, scheduler, wasRealtime, isRealtime: isRealtime(), memory, megabytes: ballast.length };
}

/** Never without work for thrice as long as a real-time thread may run, as an event loop in a flood. */
function busy(): Record<string, unknown> {
  const scheduler = setRealtimePriority(10);
  limitRealtimeRun(300_000);
  const endMs = performance.now() + 900;
  for (let pauseAtMs = 0; performance.now() < endMs; ) {
    if (performance.now() < pauseAtMs) continue;
    pauseRealtimeRun();
    pauseAtMs = performance.now() + 100;
  }
  return { isRealtime: scheduler === 0 };
}

const ERRANDS: Readonly<Record<string, () => Record<string, unknown>>> = { drop, realtime, busy };
console.log(JSON.stringify(ERRANDS[process.argv[2]!]!()));
