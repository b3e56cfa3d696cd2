/**
 * Memory with a stable address: buffers handed to the kernel, and shared mappings (mmap(2), memfd_create(2)).
 * A plain `new Uint8Array(16)` may live on V8's moving heap, so its address must never be taken: allocate here.
 */
import { check } from "./errno.ts";
import { addressOfBuffer, bindFunction, viewOf } from "./libc.ts";

const mmap_ = bindFunction("int64_t mmap(uintptr_t, ulong, int, int, int, int64_t)");
const munmap_ = bindFunction("int munmap(uintptr_t, ulong)");
const memfdCreate_ = bindFunction("int memfd_create(const char *, uint)");
const ftruncate_ = bindFunction("int ftruncate(int, int64_t)");

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MAP_ANONYMOUS = 0x20;
/** Where a low mapping is tried first, and how far apart the attempts are. */
const LOW_HINT = 0x2000_0000;
const LOW_STEP = 0x0800_0000;
const LOW_END = 0x7000_0000;

/** A buffer outside the moving heap, and the address of its first byte. */
export interface NativeBuffer {
  readonly bytes: Buffer;
  readonly address: number;
}

/** Uninitialised memory of its own (never a slice of Node's pool). */
export function allocate(length: number): NativeBuffer {
  const bytes = Buffer.allocUnsafeSlow(length);
  return { bytes, address: addressOfBuffer(bytes) };
}

/**
 * As allocate(), zeroed, for the buffers of the hot path: below 2 GiB when there is room, so that an address is a small
 * integer to V8 and passing it to a system call allocates nothing (a larger number is boxed, 16 bytes a call). Lives until exit.
 */
export function allocateLow(length: number): NativeBuffer {
  for (let hint = LOW_HINT; hint < LOW_END; hint += LOW_STEP) {
    // Without MAP_FIXED the address is a hint: an occupied range is never replaced.
    const address = check(
      "mmap",
      mmap_(hint, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
    );
    if (address + length < 0x8000_0000) return { bytes: Buffer.from(viewOf(address, length)), address };
    munmap_(address, length);
  }
  return allocate(length);
}

/** An anonymous file that child processes can inherit and map. Its descriptor survives exec. */
export function memfdCreate(name: string, length: number): number {
  const fd = check("memfd_create", memfdCreate_(name, 0), name);
  check("ftruncate", ftruncate_(fd, length), name);
  return fd;
}

/** Maps `length` bytes of a descriptor, shared with every other process that maps it. Stays mapped until exit. */
export function mapShared(fd: number, length: number): ArrayBuffer {
  return viewOf(
    check("mmap", mmap_(0, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), `fd ${fd}`),
    length,
  );
}

/** Undoes mapShared(); the caller must have dropped every view of it. */
export function unmapShared(address: number, length: number): void {
  check("munmap", munmap_(address, length));
}
