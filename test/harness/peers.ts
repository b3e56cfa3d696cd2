/**
 * The other programs tests and benchmarks run beside the gateway (nginx, HAProxy, wrk, …). Where one is missing a test
 * is skipped, loudly; with HOLDFAST_REQUIRE_PEERS=1 (set by .ci/run) it fails instead, so that nothing is skipped in CI.
 */
import { accessSync, constants } from "node:fs";
import path from "node:path";
import type { TestContext } from "node:test";

/** Debian's package for each program, for the hint. */
const DEBIAN_PACKAGE = {
  nginx: "nginx",
  haproxy: "haproxy",
  wrk: "wrk",
  curl: "curl",
  ss: "iproute2",
  ip: "iproute2",
  nft: "nftables",
  tcpdump: "tcpdump",
  keepalived: "keepalived",
  varnishtest: "varnish",
  "redis-server": "redis-server",
  prlimit: "util-linux",
  taskset: "util-linux",
  unshare: "util-linux",
  nsenter: "util-linux",
  setpriv: "util-linux",
} as const;

export type PeerName = keyof typeof DEBIAN_PACKAGE;

/** Absolute path of a program, or undefined. The sbin directories are searched too: a plain user's PATH lacks them. */
export function findPeer(name: PeerName): string | undefined {
  const directories = [...(process.env.PATH ?? "").split(":"), "/usr/local/sbin", "/usr/sbin", "/sbin"];
  for (const directory of directories) {
    if (directory === "") continue;
    const candidate = path.join(directory, name);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // not here
    }
  }
  return undefined;
}

/** Path of a program that must be there: an error with the command that installs it. */
export function peerPath(name: PeerName): string {
  const found = findPeer(name);
  if (found === undefined) throw new Error(`${name} is not installed: ${installHint(name)}`);
  return found;
}

/** False after `t.skip`: the test has to return. Fails instead when HOLDFAST_REQUIRE_PEERS is set. */
export function requirePeer(t: TestContext, ...names: PeerName[]): boolean {
  const missing = names.filter((name) => findPeer(name) === undefined);
  if (missing.length === 0) return true;
  return skipOrFail(t, `needs ${missing.join(", ")}: ${missing.map(installHint).join("; ")}`);
}

/** Skips with a reason, or fails with it where skipping is not allowed. */
export function skipOrFail(t: TestContext, reason: string): false {
  if (process.env.HOLDFAST_REQUIRE_PEERS === "1")
    throw new Error(`${reason} (HOLDFAST_REQUIRE_PEERS=1 allows no skip)`);
  t.diagnostic(`SKIPPED: ${reason}`);
  t.skip(reason);
  return false;
}

function installHint(name: PeerName): string {
  return `apt-get install ${DEBIAN_PACKAGE[name]}`;
}
