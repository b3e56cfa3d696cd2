/**
 * The part of rtnetlink(7) that virtual routers need: links, addresses, their changes. Values here, bytes in
 * route-packet.ts, the socket in route-client.ts.
 */

export interface Link {
  readonly index: number;
  readonly name: string;
  /** Hardware address, six bytes for Ethernet; empty for others. */
  readonly hardwareAddress: Uint8Array;
  /** IFF_UP and operationally running (IFF_LOWER_UP, operstate up or unknown). */
  readonly isUp: boolean;
  /** IFF_NOARP: no ARP or neighbour discovery. */
  readonly isNoArp: boolean;
  readonly mtu: number;
  /** "macvlan", "veth", …; empty: a physical device. */
  readonly kind: string;
  /** IFLA_LINK: the interface below a macvlan or VLAN, the other end of a veth. */
  readonly parentIndex: number | undefined;
}

export interface InterfaceAddress {
  readonly linkIndex: number;
  readonly family: "inet" | "inet6";
  /** Text, RFC 5952 for IPv6. */
  readonly host: string;
  readonly prefixLength: number;
  readonly scope: "global" | "link" | "host" | "other";
  /** Remaining lifetime in seconds; undefined = for ever. */
  readonly validSeconds: number | undefined;
  /** IFA_PROTO (Linux 5.18): who installed it; 0 = not said. */
  readonly protocol: number;
  readonly isTentative: boolean;
  readonly isDuplicate: boolean;
}

/** IFA_PROTO of addresses that Holdfast installs: 112, the IP protocol number of VRRP. */
export const IFA_PROTO_VRRP = 112;

export interface AddressToInstall {
  readonly linkIndex: number;
  readonly family: "inet" | "inet6";
  readonly host: string;
  readonly prefixLength: number;
  /** valid_lft and preferred_lft in seconds; undefined = for ever. */
  readonly validSeconds: number | undefined;
}

export type RouteEvent =
  | { readonly kind: "link-changed"; readonly link: Link }
  | { readonly kind: "link-removed"; readonly index: number; readonly name: string }
  | { readonly kind: "address-added"; readonly address: InterfaceAddress }
  | { readonly kind: "address-removed"; readonly address: InterfaceAddress }
  /** The socket's buffer overflowed (ENOBUFS): whoever keeps a copy must list everything again. */
  | { readonly kind: "overrun" };

/** What the router's drivers ask of the kernel; route-client.ts implements it, tests use a fake. Calls are synchronous and answer 0 or -errno. */
export interface RouteApi {
  /** What the kernel said about the last call that failed (extended acknowledgement); "" where it said nothing. */
  readonly lastErrorText: string;
  links(): readonly Link[];
  addresses(): readonly InterfaceAddress[];
  /** Adds, or renews the lifetime of, an address (NLM_F_REPLACE; IPv6 without duplicate address detection). */
  installAddress(address: AddressToInstall): number;
  removeAddress(address: AddressToInstall): number;
  /** A macvlan (private mode) above `parentIndex` with this hardware address. */
  createMacvlan(name: string, parentIndex: number, hardwareAddress: Uint8Array): number;
  removeLink(index: number): number;
  setLinkUp(index: number, isUp: boolean): number;
}
