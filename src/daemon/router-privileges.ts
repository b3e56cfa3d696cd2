/**
 * What the router process may do, and gives up: capabilities(7), sched(7). Called by router.ts once, before the first socket.
 */
import {
  type Capability,
  heldCapabilities,
  keepCapabilitiesAcrossSetuid,
  restrictCapabilities,
} from "../sys/capabilities.ts";
import { errnoName } from "../sys/errno.ts";
import { limitRealtimeRun, lockMemory, setRealtimePriority } from "../sys/scheduling.ts";
import type { Log } from "../vrrp/surroundings.ts";
import { dropPrivileges } from "./privileges.ts";
import type { SchedulingFacts } from "./router-messages.ts";

const NEEDED: readonly Capability[] = ["CAP_NET_RAW", "CAP_NET_ADMIN"];
/** Above every ordinary process, below the kernel's own interrupt threads (50). */
const REALTIME_PRIORITY = 10;
/** A loop that never ends loses its life, not the whole processor; a collection of garbage takes a hundredth of this. */
const REALTIME_RUN_US_MAX = 1_000_000;

/** A sentence with what to do; undefined: everything is there. */
export function missingCapabilities(): string | undefined {
  const held = heldCapabilities();
  const missing = NEEDED.filter((name) => !held.has(name));
  if (missing.length === 0) return undefined;
  const list = NEEDED.map((name) => name.toLowerCase()).join(",");
  return (
    `virtual routers need ${missing.join(" and ")}: run as root, or setcap ${list}+ep on the node program, ` +
    `or systemd AmbientCapabilities=${NEEDED.join(" ")}`
  );
}

/** Asks for what keeps the process punctual. What is refused is said once, and everything works without. */
export function requestScheduling(log: Log): SchedulingFacts {
  const realtime = setRealtimePriority(REALTIME_PRIORITY);
  if (realtime === 0) limitRealtimeRun(REALTIME_RUN_US_MAX);
  else {
    log("warn", "router-not-realtime", `no real-time scheduling (${errnoName(-realtime)}): ${REALTIME_HINT}`);
  }
  const locked = lockMemory();
  if (locked !== 0) {
    log("warn", "router-memory-not-locked", `memory is not locked (${errnoName(-locked)}): ${MEMORY_HINT}`);
  }
  return { isRealtime: realtime === 0, isMemoryLocked: locked === 0 };
}

const REALTIME_HINT =
  "a busy host may delay advertisements; it needs CAP_SYS_NICE, and in a container a cgroup with real-time budget";
const MEMORY_HINT = "swapping may delay advertisements; it needs CAP_IPC_LOCK and CAP_SYS_RESOURCE";

/** Becomes that user for good, with the two capabilities it needs and no other. False: not started as root, nothing changes. */
export function dropToRouterUser(user: string): boolean {
  keepCapabilitiesAcrossSetuid();
  const isDropped = dropPrivileges(user);
  restrictCapabilities(NEEDED);
  return isDropped;
}
