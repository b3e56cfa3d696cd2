/**
 * Whether the interfaces of virtual routers are there and have what advertisements need. A missing one is a warning, not an error: it may come
 * later, and its router is in fault until then. Driver (reads the list of interfaces); called by resolve.ts.
 */
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { closest } from "./closest.ts";
import type { ConfigPath } from "./diagnostics.ts";
import type { GatewayConfig } from "./types.ts";

export interface MissingInterface {
  readonly path: ConfigPath;
  readonly message: string;
  readonly hint: string;
}

export function findMissingInterfaces(
  config: GatewayConfig,
  isThere: (name: string) => boolean = isInterface,
  known: readonly string[] = Object.keys(networkInterfaces()),
): MissingInterface[] {
  const found: MissingInterface[] = [];
  const look = (path: ConfigPath, name: string, consequence: string) => {
    if (isThere(name)) return;
    const similar = closest(name, known);
    const message = `this host has no interface ${name}: ${consequence}`;
    found.push({ path, message, hint: similar === undefined ? SEE_LIST : `did you mean ${similar}?` });
  };
  for (const { name, interface: own, track } of config.virtualRouters) {
    const at: ConfigPath = ["virtual_routers", name];
    look([...at, "interface"], own, "the router would be in fault until it appears");
    for (const [index, tracked] of track.interfaces.entries()) {
      look(
        [...at, "track", "interfaces", index],
        tracked.interface,
        "it would count as down until it appears",
      );
    }
  }
  return found;
}

const SEE_LIST = "`ip link` lists the interfaces";

/**
 * os.networkInterfaces() leaves out those that are down or have no address. Not /sys/class/net: that is of the network namespace in which it
 * was mounted, which need not be ours (nsenter, unshare). A line of this file begins `  eth0:`.
 */
function isInterface(name: string): boolean {
  return readFileSync("/proc/self/net/dev", "utf8")
    .split("\n")
    .some((line) => line.trimStart().startsWith(`${name}:`));
}
