/**
 * The door to the C library: the only file that loads it. `koffi.load(null)` resolves the symbols of the running
 * process, so this works with every libc that Node itself runs on. Everything in `sys/` binds its calls here and
 * gives the rest of the program one function per system call, named as its manual page.
 *
 * Addresses are JavaScript numbers: user-space addresses are below 2^47 (x86-64) or 2^48 (arm64), far below 2^53.
 * Passing a number costs no allocation; passing a Buffer would be about as fast, but could not carry an offset.
 */
import koffi from "koffi";

const process_ = koffi.load(null);

/** Binds one C function by its prototype, e.g. `int close(int)`. */
export function bindFunction(prototype: string): (...args: (number | string | null)[]) => number {
  return process_.func(prototype) as (...args: (number | string | null)[]) => number;
}

/** errno of the last call made through `bindFunction`. */
export function errno(): number {
  return koffi.errno();
}

/** Address of the first byte of a buffer whose storage is outside the moving heap (see memory.ts). */
export function addressOfBuffer(buffer: Uint8Array): number {
  return Number(koffi.address(buffer));
}

/** A live view of memory that the C side owns; the caller keeps it mapped for as long as the view is used. */
export function viewOf(address: number, length: number): ArrayBuffer {
  return koffi.view(address, length);
}
