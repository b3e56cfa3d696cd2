/**
 * The monotonic clock, clock_gettime(2) CLOCK_MONOTONIC, read into memory of our own: `performance.now()` returns a new boxed number
 * each time, this allocates nothing and costs the same (the kernel's vDSO answers, no system call is made).
 */
import { bindFunction } from "./libc.ts";
import { allocate } from "./memory.ts";

const clockGettime_ = bindFunction("int clock_gettime(int, uintptr_t)");

const CLOCK_MONOTONIC = 1;

/** struct timespec: seconds, nanoseconds, 64 bits each; neither needs its upper half before the year 2106 of uptime. */
const SECONDS = 0;
const NANOSECONDS = 2;

export class MonotonicClock {
  /** Whole milliseconds since the clock was made. */
  nowMs = 0;
  /** The same in microseconds, modulo 2^32 as a signed integer. */
  nowUs = 0;
  readonly #timespec: Int32Array;
  readonly #address: number;
  readonly #baseSeconds: number;

  constructor() {
    const { bytes, address } = allocate(16);
    this.#timespec = new Int32Array(bytes.buffer, bytes.byteOffset, 4);
    this.#address = address;
    clockGettime_(CLOCK_MONOTONIC, address);
    this.#baseSeconds = this.#timespec[SECONDS]!;
    this.read();
  }

  /** Sets `nowMs` and `nowUs`. */
  read(): void {
    clockGettime_(CLOCK_MONOTONIC, this.#address);
    const seconds = this.#timespec[SECONDS]! - this.#baseSeconds;
    const nanoseconds = this.#timespec[NANOSECONDS]!;
    this.nowMs = seconds * 1000 + Math.floor(nanoseconds / 1_000_000);
    this.nowUs = (seconds * 1_000_000 + Math.floor(nanoseconds / 1000)) | 0;
  }
}

const CLOCK_REALTIME = 0;
/** Two readings further apart than this were interrupted: the pair is read again. */
const PAIR_SPREAD_MS = 0.05;
const PAIR_ATTEMPTS = 4;

const precise = allocate(16);
const preciseWords = new DataView(precise.bytes.buffer, precise.bytes.byteOffset, 16);

function readMs(clock: number): number {
  clockGettime_(clock, precise.address);
  const seconds = preciseWords.getUint32(0, true) + preciseWords.getInt32(4, true) * 2 ** 32;
  return seconds * 1000 + preciseWords.getUint32(8, true) / 1e6;
}

/**
 * CLOCK_MONOTONIC in milliseconds with fractions. Its zero is the kernel's (near boot), so values of different processes of one
 * host can be compared, and a timerfd takes them as they are; `MonotonicClock.nowMs` counts from its own start instead.
 */
export function preciseNowMs(): number {
  return readMs(CLOCK_MONOTONIC);
}

/**
 * Unix time minus preciseNowMs(), both read at the same moment: `monotonic = unix - realtimeOffsetMs()`. Read it together with the
 * stamp that is to be converted, because a step of the wall clock (clock_settime(2), NTP) changes it.
 */
export function realtimeOffsetMs(): number {
  let offset = 0;
  let bestSpread = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < PAIR_ATTEMPTS && bestSpread > PAIR_SPREAD_MS; attempt++) {
    const before = readMs(CLOCK_MONOTONIC);
    const unix = readMs(CLOCK_REALTIME);
    const after = readMs(CLOCK_MONOTONIC);
    if (after - before >= bestSpread) continue;
    bestSpread = after - before;
    offset = unix - (before + after) / 2;
  }
  return offset;
}
