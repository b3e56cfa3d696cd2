/**
 * What the descriptors of a process are, by readlinkat(2) in /proc/PID/fd (proc(5)): which sockets it has. One call and no string per
 * descriptor, because a process may have a million of them.
 */
import { closeSync, openSync, readdirSync } from "node:fs";
import { bindFunction } from "./libc.ts";
import { allocateLow } from "./memory.ts";

const readlinkat_ = bindFunction("int readlinkat(int, uintptr_t, uintptr_t, uint)");

const LINK_AT = 16;
const LINK_LENGTH_MAX = 48;
const scratch = allocateLow(LINK_AT + LINK_LENGTH_MAX);
const { bytes } = scratch;
/** `socket:[` */
const PREFIX_LENGTH = 8;
const COLON_AT = 6;
const ZERO = 0x30;

/**
 * Calls `visit` for every socket among the descriptors of a process. Throws what open(2) says: ENOENT, ESRCH when the process is
 * gone, EACCES without the right to trace it (ptrace(2), PTRACE_MODE_READ). A descriptor that is closed meanwhile is passed over.
 */
export function visitSocketDescriptors(
  pid: number | string,
  visit: (inode: number, fd: number) => void,
): void {
  const path = `/proc/${pid}/fd`;
  const names = readdirSync(path);
  const directory = openSync(path, "r");
  try {
    for (const name of names) {
      for (let index = 0; index < name.length; index++) bytes[index] = name.charCodeAt(index);
      bytes[name.length] = 0;
      const length = readlinkat_(directory, scratch.address, scratch.address + LINK_AT, LINK_LENGTH_MAX);
      if (length <= PREFIX_LENGTH || bytes[LINK_AT] !== 0x73 || bytes[LINK_AT + COLON_AT] !== 0x3a) continue;
      visit(inodeOf(length), Number(name));
    }
  } finally {
    closeSync(directory);
  }
}

/** The digits between `socket:[` and `]`. */
function inodeOf(length: number): number {
  let inode = 0;
  for (let index = LINK_AT + PREFIX_LENGTH; index < LINK_AT + length - 1; index++)
    inode = inode * 10 + bytes[index]! - ZERO;
  return inode;
}
