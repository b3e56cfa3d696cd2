/**
 * Sysctls of interfaces (Documentation/networking/ip-sysctl.rst): read and written as files below /proc/sys/net, which shows those of
 * the process's own network namespace. Best effort: where they may not be written, one warning says what is worse for it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import type { VirtualRouterConfig } from "../config/types.ts";
import type { Log } from "./surroundings.ts";

function pathOf(family: "ipv4" | "ipv6", interfaceName: string, key: string): string {
  return `/proc/sys/net/${family}/conf/${interfaceName}/${key}`;
}

/** undefined: there is no such interface, or no such sysctl. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1").trim();
  } catch {
    return undefined;
  }
}

function write(path: string, value: string): boolean {
  try {
    writeFileSync(path, value);
    return true;
  } catch {
    return false;
  }
}

/** Whether this host forwards IPv6 on the interface: a neighbour advertisement says so (RFC 4861 §4.4, Router flag). */
export function isIpv6Router(interfaceName: string): boolean {
  return read(pathOf("ipv6", interfaceName, "forwarding")) === "1";
}

/**
 * promote_secondaries: otherwise deleting the first address of a subnet deletes the others of it too, also those that are not ours
 * (net/ipv4/devinet.c). systemd sets it on every host (50-default.conf), so this changes nothing on most.
 */
export function prepareInterface(config: VirtualRouterConfig, log: Log): void {
  const path = pathOf("ipv4", config.interface, "promote_secondaries");
  if (read(path) !== "0" || read(pathOf("ipv4", "all", "promote_secondaries")) === "1") return;
  const message = write(path, "1")
    ? `${config.name}: net.ipv4.conf.${config.interface}.promote_secondaries is 1 now: withdrawing an address must not take others along`
    : `${config.name}: net.ipv4.conf.${config.interface}.promote_secondaries is 0 and may not be changed: withdrawing an address may take others of its subnet along`;
  log("info", "router-promote-secondaries", message, { router: config.name, interface: config.interface });
}

/**
 * The parent must not answer ARP for addresses of the macvlan above it (arp_ignore, arp_filter), nor claim them with its own MAC address when
 * it asks for a neighbour on behalf of a packet that comes from one of them (arp_announce); the macvlan must answer for its own,
 * and take packets whose source it would route through the parent (rp_filter, accept_local). addr_gen_mode 1: no link-local address
 * of its own, which would be the same on every node. As keepalived sets them (vrrp_if_config.c).
 */
export function prepareVirtualMac(name: string, parent: string, log: Log): void {
  const wanted: readonly (readonly [path: string, value: string])[] = [
    [pathOf("ipv4", parent, "arp_ignore"), "1"],
    [pathOf("ipv4", parent, "arp_filter"), "1"],
    [pathOf("ipv4", parent, "arp_announce"), "2"],
    [pathOf("ipv4", name, "arp_ignore"), "1"],
    [pathOf("ipv4", name, "accept_local"), "1"],
    [pathOf("ipv4", name, "rp_filter"), "0"],
    [pathOf("ipv4", name, "promote_secondaries"), "1"],
    [pathOf("ipv6", name, "addr_gen_mode"), "1"],
    [pathOf("ipv6", name, "accept_ra"), "0"],
  ];
  const refused = wanted.filter(
    ([path, value]) => ![value, undefined].includes(read(path)) && !write(path, value),
  );
  if (refused.length === 0) return;
  const list = refused.map(([path, value]) => `${path.slice("/proc/sys/".length)}=${value}`).join(" ");
  log("warn", "router-sysctls-refused", `${name}: these sysctls may not be set: ${list}`, {
    interface: parent,
  });
}
