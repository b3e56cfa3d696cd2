/**
 * Real-time scheduling for a process that must wake on time: sched(7), sched_setscheduler(2), mlockall(2), RLIMIT_RTTIME of
 * getrlimit(2). Every call answers 0 or -errno: a gateway works without them, only less punctually, and says so.
 */
import { bindFunction, errno } from "./libc.ts";
import { allocate } from "./memory.ts";

const schedSetscheduler_ = bindFunction("int sched_setscheduler(int, int, uintptr_t)");
const schedGetscheduler_ = bindFunction("int sched_getscheduler(int)");
const mlockall_ = bindFunction("int mlockall(int)");
const setrlimit_ = bindFunction("int setrlimit(int, uintptr_t)");

const SCHED_OTHER = 0;
const SCHED_RR = 2;
/** Children are ordinary processes again. */
const SCHED_RESET_ON_FORK = 0x40000000;
const MCL_CURRENT = 1;
const MCL_FUTURE = 2;
const MCL_ONFAULT = 4;
const RLIMIT_MEMLOCK = 8;
const RLIMIT_RTTIME = 15;
const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn;

/**
 * SCHED_RR for the calling thread, the one that runs JavaScript; V8's helper threads stay ordinary. Priority 1 to 99. EPERM: neither
 * CAP_SYS_NICE nor RLIMIT_RTPRIO, or a cgroup without real-time budget.
 */
export function setRealtimePriority(priority: number): number {
  const parameter = allocate(4);
  parameter.bytes.writeInt32LE(priority, 0);
  return schedSetscheduler_(0, SCHED_RR | SCHED_RESET_ON_FORK, parameter.address) === -1 ? -errno() : 0;
}

/** Back to the ordinary scheduler. */
export function setOrdinaryPriority(): number {
  const parameter = allocate(4);
  parameter.bytes.writeInt32LE(0, 0);
  return schedSetscheduler_(0, SCHED_OTHER, parameter.address) === -1 ? -errno() : 0;
}

export function isRealtime(): boolean {
  return (schedGetscheduler_(0) & ~SCHED_RESET_ON_FORK) === SCHED_RR;
}

/**
 * RLIMIT_RTTIME: a real-time thread that runs so long without a blocking call gets SIGXCPU (its end), so that an endless loop cannot
 * take a processor away for ever.
 */
export function limitRealtimeRun(microseconds: number): number {
  return setLimit(RLIMIT_RTTIME, BigInt(microseconds), BigInt(microseconds));
}

const nobody = new Int32Array(new SharedArrayBuffer(4));
const PAUSE_MS = 0.05;

/**
 * Sleeps for a moment. The kernel starts to count anew for RLIMIT_RTTIME only when a thread wakes from sleep (kernel/sched/rt.c), and
 * epoll_wait(2) does not sleep while something is ready: without a pause now and then a flood of packets, which is no endless loop,
 * would end the process after a second.
 */
export function pauseRealtimeRun(): void {
  Atomics.wait(nobody, 0, 0, PAUSE_MS);
}

/**
 * Keeps in memory every page that is touched, now and later (MCL_ONFAULT, Linux 4.4: V8 reserves gigabytes that it never touches).
 * The limit is lifted first: with one, a later mmap(2) of V8 would fail and end the process once CAP_IPC_LOCK is given up. Where it
 * cannot be lifted, nothing is locked.
 */
export function lockMemory(): number {
  const lifted = setLimit(RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
  if (lifted < 0) return lifted;
  return mlockall_(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) === -1 ? -errno() : 0;
}

function setLimit(resource: number, soft: bigint, hard: bigint): number {
  const limit = allocate(16);
  limit.bytes.writeBigUInt64LE(soft, 0);
  limit.bytes.writeBigUInt64LE(hard, 8);
  return setrlimit_(resource, limit.address) === -1 ? -errno() : 0;
}
