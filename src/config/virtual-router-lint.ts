/**
 * Warnings about virtual routers that are valid and will not do what their author expects, and settings that do nothing. Each names the
 * settings that do not fit and what to write instead. Pure. Called by load.ts on a configuration without errors.
 */
import type { ConfigPath } from "./diagnostics.ts";
import { formatDuration } from "./duration.ts";
import { asMap, type Finding, type RawMap, warning } from "./raw.ts";
import type { GatewayConfig, VirtualRouterConfig } from "./types.ts";

/** Some routers read no further; keepalived's manual page advises the same for virtual_ipaddress. */
const ADDRESSES_USUAL_MAX = 20;

export function lintVirtualRouters(raw: unknown, config: GatewayConfig): Finding[] {
  const rawRouters = asMap(asMap(raw).virtual_routers);
  return [
    ...config.virtualRouters.flatMap((router) => {
      const at: ConfigPath = ["virtual_routers", router.name];
      const rawRouter = asMap(rawRouters[router.name]);
      return [
        ...lintAddresses(at, router),
        ...lintTimes(at, router),
        ...lintOwner(at, router, rawRouter),
        ...lintTrack(at, router, rawRouter),
        ...lintUnused(at, router, rawRouter),
      ];
    }),
    ...lintSyncGroups(config.virtualRouters),
    ...lintStateDir(config),
    ...lintWithoutListeners(asMap(raw), config),
  ];
}

function lintAddresses(at: ConfigPath, router: VirtualRouterConfig): Finding[] {
  const findings: Finding[] = [];
  const { addresses, family, id } = router;
  if (addresses.length > ADDRESSES_USUAL_MAX) {
    const message = `${addresses.length} addresses: some routers read no more than ${ADDRESSES_USUAL_MAX} of an advertisement`;
    const hint =
      "keep one here and move the others to extra_addresses: they move along and are not advertised";
    findings.push(warning([...at, "addresses"], message, hint));
  }
  if (family === "inet6" && !/^fe[89ab]/i.test(addresses[0]!.host)) {
    // Made of the virtual MAC address as RFC 4291 appendix A makes interface identifiers: 00-00-5E-00-02-ID.
    const suggestion = `fe80::200:5eff:fe00:2${id.toString(16).padStart(2, "0")}/64`;
    const message =
      "the first address is not link-local, as RFC 9568 §5.2.9 wants it: hosts that learn their router from router advertisements would not follow it";
    const hint = `put a link-local address first, the same on every router: "${suggestion}"; without it strict peers may discard the advertisements`;
    findings.push(warning([...at, "addresses"], message, hint));
  }
  return findings;
}

function lintTimes(at: ConfigPath, router: VirtualRouterConfig): Finding[] {
  const findings: Finding[] = [];
  const { advertIntervalMs, addressLeaseMs, track } = router;
  const activeDownMs = 4 * advertIntervalMs;
  if (addressLeaseMs !== "auto" && addressLeaseMs !== 0 && addressLeaseMs < activeDownMs) {
    const message = `${formatDuration(addressLeaseMs)} is shorter than the others wait (up to ${formatDuration(activeDownMs)}): after a crash nobody has the addresses for a while`;
    findings.push(
      warning(
        [...at, "address_lease"],
        message,
        `write auto, or at least ${formatDuration(Math.ceil(activeDownMs / 1000) * 1000)}`,
      ),
    );
  }
  for (const [index, tracked] of track.interfaces.entries()) {
    if (tracked.downDelayMs <= 2 * advertIntervalMs) continue;
    const message = `${formatDuration(tracked.downDelayMs)} is longer than two advertisement intervals (${formatDuration(advertIntervalMs)} each): the others take over before this router notices`;
    const hint = `write ${formatDuration(2 * advertIntervalMs)} or less; up_delay may be long`;
    findings.push(warning([...at, "track", "interfaces", index, "down_delay"], message, hint));
  }
  for (const check of track.checks) {
    if (check.timeoutMs < check.intervalMs) continue;
    const message = `${formatDuration(check.timeoutMs)} is not below interval (${formatDuration(check.intervalMs)}): a check that hangs is run less often than it seems`;
    const hint = `write ${formatDuration(Math.max(10, Math.floor(check.intervalMs / 2)))} or less`;
    findings.push(warning([...at, "track", "checks", check.name, "timeout"], message, hint));
  }
  return findings;
}

/** Priority 255 is above all trackers and filters: RFC 9568 §6.1, §6.4.3. */
function lintOwner(at: ConfigPath, router: VirtualRouterConfig, raw: RawMap): Finding[] {
  if (router.priority !== 255) return [];
  const findings: Finding[] = [];
  const none = "has no effect: the router is the owner of the addresses (priority 255)";
  if (!router.acceptMode) {
    findings.push(warning([...at, "accept_mode"], none, "write priority: 254, or remove it"));
  }
  if (router.preemptDelayMs > 0) {
    findings.push(warning([...at, "preempt"], none, "write priority: 254, or remove the delay"));
  }
  const { interfaces, pools, checks, gateway } = router.track;
  const weights = [...interfaces, ...pools, ...checks, ...(gateway === undefined ? [] : [gateway])];
  if (raw.track !== undefined && weights.some(({ weight }) => weight !== 0)) {
    const message = "weights have no effect: the router is the owner of the addresses (priority 255)";
    const hint =
      "write priority: 254, or leave the weights out: the router then is in fault while something is down";
    findings.push(warning([...at, "track"], message, hint));
  }
  return findings;
}

function lintTrack(at: ConfigPath, router: VirtualRouterConfig, raw: RawMap): Finding[] {
  const findings: Finding[] = [];
  const seen = new Set<string>();
  for (const [index, tracked] of router.track.interfaces.entries()) {
    const { interface: name, upDelayMs } = tracked;
    const path = [...at, "track", "interfaces", index];
    if (seen.has(name)) findings.push(warning(path, `${name} is listed already`, "remove it"));
    // With up_delay it is more than what is tracked anyway: the router waits for the spanning tree.
    else if (name === router.interface && upDelayMs === 0)
      findings.push(warning(path, "the router's own interface is always tracked", "remove it"));
    seen.add(name);
  }
  const { interfaces, pools, checks } = router.track;
  const fall = [...interfaces, ...pools, ...checks].reduce((sum, { weight }) => sum + Math.min(0, weight), 0);
  if (raw.track !== undefined && router.priority < 255 && router.priority + fall < 1) {
    const message = `all negative weights together (${fall}) take priority ${router.priority} below 1, where it stays: the last of them change nothing`;
    findings.push(
      warning([...at, "track"], message, "use smaller weights, or a higher priority on every router"),
    );
  }
  return findings;
}

function lintUnused(at: ConfigPath, router: VirtualRouterConfig, raw: RawMap): Finding[] {
  const findings: Finding[] = [];
  if (raw.checksum !== undefined && (router.version === 2 || router.family === "inet6")) {
    const why = router.version === 2 ? "version 2 has one kind of checksum" : "IPv6 has one kind of checksum";
    findings.push(warning([...at, "checksum"], `has no effect: ${why}`, "remove it"));
  }
  const announce = asMap(raw.announce);
  if (announce.repeat_interval !== undefined && router.announce.repeat === 1) {
    findings.push(warning([...at, "announce", "repeat_interval"], "has no effect: repeat is 1", "remove it"));
  }
  return findings;
}

function lintSyncGroups(routers: readonly VirtualRouterConfig[]): Finding[] {
  return routers.flatMap(({ name, syncGroup }) => {
    if (syncGroup === undefined) return [];
    if (routers.some((other) => other.name !== name && other.syncGroup === syncGroup)) return [];
    const message = `is the only router of group ${syncGroup}: nothing is synchronised`;
    const hint = "write the same name in the other routers of the group, or remove it";
    return [warning(["virtual_routers", name, "sync_group"], message, hint)];
  });
}

function lintStateDir({ stateDir, virtualRouters }: GatewayConfig): Finding[] {
  if (stateDir === undefined || virtualRouters.length > 0) return [];
  return [warning(["state_dir"], "nothing is kept there: the file has no virtual routers", "remove it")];
}

/** Without listeners no worker runs: what is theirs does nothing. */
function lintWithoutListeners(raw: RawMap, { listeners, virtualRouters }: GatewayConfig): Finding[] {
  if (listeners.length > 0 || virtualRouters.length === 0) return [];
  return ["workers", "access_log"]
    .filter((key) => raw[key] !== undefined)
    .map((key) => warning([key], "has no effect: the file has no listeners, so no worker runs", "remove it"));
}
