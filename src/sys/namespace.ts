/**
 * setns(2): looking into another network namespace. Only the calling thread moves, and a socket stays in the namespace in which
 * it was made, so a short visit is enough: enter, open the socket, return.
 */
import { closeSync, openSync } from "node:fs";
import { check } from "./errno.ts";
import { bindFunction } from "./libc.ts";

const setns_ = bindFunction("int setns(int, int)");

const CLONE_NEWNET = 0x4000_0000;
/** Of this thread: /proc/self would be the main thread's, the same here. */
const OWN_NAMESPACE = "/proc/thread-self/ns/net";

/**
 * Runs `visit` inside the network namespace of a file (/proc/PID/ns/net, /run/netns/NAME), then returns to the own one. `visit` must
 * be synchronous. Throws SyscallError: EPERM without CAP_SYS_ADMIN; the error of open(2) where the file cannot be opened.
 */
export function insideNetworkNamespace<T>(file: string, visit: () => T): T {
  const target = openSync(file, "r");
  try {
    const home = openSync(OWN_NAMESPACE, "r");
    try {
      check("setns", setns_(target, CLONE_NEWNET), file);
      try {
        return visit();
      } finally {
        check("setns", setns_(home, CLONE_NEWNET), OWN_NAMESPACE);
      }
    } finally {
      closeSync(home);
    }
  } finally {
    closeSync(target);
  }
}
