/**
 * timerfd_create(2) on CLOCK_MONOTONIC: a deadline as a descriptor, exact to the high-resolution timer (no slack, unlike the time-out
 * of epoll_wait(2), which counts in whole milliseconds). struct itimerspec: interval and value, two 64-bit words each.
 */
import { check } from "./errno.ts";
import { bindFunction } from "./libc.ts";
import { allocate } from "./memory.ts";

const timerfdCreate_ = bindFunction("int timerfd_create(int, int)");
const timerfdSettime_ = bindFunction("int timerfd_settime(int, int, uintptr_t, uintptr_t)");
const read_ = bindFunction("int64_t read(int, uintptr_t, ulong)");

const CLOCK_MONOTONIC = 1;
const TFD_NONBLOCK = 0o4000;
const TFD_CLOEXEC = 0o2000000;
const TFD_TIMER_ABSTIME = 1;
const VALUE_SECONDS = 16;
const VALUE_NANOSECONDS = 24;

const specification = allocate(32);
specification.bytes.fill(0);

/** A non-blocking timer descriptor that exec closes. */
export function timerfdCreate(): number {
  return check("timerfd_create", timerfdCreate_(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
}

/**
 * Readable from `deadlineMs` on: milliseconds of CLOCK_MONOTONIC as preciseNowMs() reads it, fractions rounded up to the next
 * nanosecond. A deadline in the past is due at once; undefined disarms.
 */
export function timerfdSetDeadline(fd: number, deadlineMs: number | undefined): void {
  let seconds = 0;
  let nanoseconds = 0;
  if (deadlineMs !== undefined && deadlineMs > 0) {
    seconds = Math.floor(deadlineMs / 1000);
    nanoseconds = Math.ceil((deadlineMs - seconds * 1000) * 1e6);
    if (nanoseconds >= 1e9) {
      nanoseconds -= 1e9;
      seconds++;
    }
  }
  // All zero would disarm the timer.
  if (deadlineMs !== undefined && seconds === 0 && nanoseconds === 0) nanoseconds = 1;
  specification.bytes.writeBigInt64LE(BigInt(seconds), VALUE_SECONDS);
  specification.bytes.writeUInt32LE(nanoseconds, VALUE_NANOSECONDS);
  check("timerfd_settime", timerfdSettime_(fd, TFD_TIMER_ABSTIME, specification.address, 0));
}

const expirations = allocate(8);

/** Whether the deadline has passed since the last call; clears the descriptor's readiness. */
export function timerfdRead(fd: number): boolean {
  return read_(fd, expirations.address, 8) === 8;
}
