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
