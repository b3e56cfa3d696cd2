/**
 * Which address a router's advertisements come from (RFC 9568 §5.1.1.1: "the primary IPv4 address of the interface"; §5.1.2.1: the
 * link-local address). A virtual address is never one, except for the owner, whose own address it is: it would move away. Pure;
 * called by driver.ts.
 */
import type { VirtualRouterConfig } from "../config/types.ts";
import type { InterfaceAddress } from "../netlink/route.ts";

type SourceConfig = Pick<
  VirtualRouterConfig,
  "family" | "interface" | "priority" | "sourceAddress" | "unicastPeers"
>;

/** undefined: the interface has none that can be used now. */
export function chooseSource(
  config: SourceConfig,
  addresses: readonly InterfaceAddress[],
  isVirtualAddress: (host: string) => boolean,
): string | undefined {
  const usable = addresses.filter((it) => it.family === config.family && !it.isTentative && !it.isDuplicate);
  if (config.sourceAddress !== undefined) {
    return usable.find((it) => it.host === config.sourceAddress)?.host;
  }
  const own = usable.filter((it) => config.priority === 255 || !isVirtualAddress(it.host));
  const scope = wantsLinkLocal(config) ? "link" : "global";
  return own.find((it) => it.scope === scope)?.host;
}

/** IPv6 speaks from the link-local address, except to unicast peers that are not on the link. */
function wantsLinkLocal({ family, unicastPeers }: SourceConfig): boolean {
  return family === "inet6" && unicastPeers.every((peer) => /^fe[89ab]/i.test(peer));
}

export function missingSource(config: SourceConfig): string {
  const { family, sourceAddress } = config;
  if (sourceAddress !== undefined)
    return `interface ${config.interface} does not have the source address ${sourceAddress}`;
  const kind = family === "inet" ? "IPv4" : wantsLinkLocal(config) ? "link-local IPv6" : "global IPv6";
  return `interface ${config.interface} has no ${kind} address to send from`;
}
