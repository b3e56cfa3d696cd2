/**
 * What the loader has to know about this machine: processors, privileges, the kernel's TCP keepalive defaults (per
 * network namespace, tcp(7)). Driver of load.ts; called by resolve.ts.
 */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { LINUX_TCP_KEEPALIVE_DEFAULTS } from "../tcp/so-keepalive.ts";
import type { HostFacts } from "./lint.ts";

export function readHostFacts(): HostFacts {
  return {
    processors: availableParallelism(),
    isRoot: process.geteuid?.() === 0,
    tcpKeepaliveDefaults: {
      idleSeconds: readSysctl("tcp_keepalive_time", LINUX_TCP_KEEPALIVE_DEFAULTS.idleSeconds),
      intervalSeconds: readSysctl("tcp_keepalive_intvl", LINUX_TCP_KEEPALIVE_DEFAULTS.intervalSeconds),
      probeCount: readSysctl("tcp_keepalive_probes", LINUX_TCP_KEEPALIVE_DEFAULTS.probeCount),
    },
  };
}

/** A container may hide /proc/sys: the kernel's built-in value is then the best guess. */
function readSysctl(name: string, fallback: number): number {
  try {
    const value = Number(readFileSync(`/proc/sys/net/ipv4/${name}`, "utf8"));
    return Number.isInteger(value) && value > 0 ? value : fallback;
  } catch {
    return fallback;
  }
}
