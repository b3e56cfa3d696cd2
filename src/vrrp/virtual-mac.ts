/**
 * The interface that carries the virtual MAC address of a router with `use_vmac`: a macvlan above the router's own interface (RFC 9568
 * §7.3: 00-00-5E-00-01-{VRID} for IPv4, 00-00-5E-00-02-{VRID} for IPv6). Neighbours then keep their ARP entries when the addresses
 * move, only the switches learn. Up while the router is active, down otherwise: while it is up, macvlan_handle_frame()
 * (drivers/net/macvlan.c) hands it every frame that carries its MAC as the source, so the other active router would be heard
 * here and not on the parent; while it is down, the parent hears everything. Called by driver.ts.
 */
import type { VirtualRouterConfig } from "../config/types.ts";
import type { Link, RouteApi } from "../netlink/route.ts";
import { Errno, errnoName } from "../sys/errno.ts";

export function virtualMacAddress(family: "inet" | "inet6", routerId: number): Uint8Array {
  return Uint8Array.of(0x00, 0x00, 0x5e, 0x00, family === "inet" ? 0x01 : 0x02, routerId);
}

export function virtualMacName(family: "inet" | "inet6", routerId: number): string {
  return `vrrp${family === "inet" ? 4 : 6}.${routerId}`;
}

/** Sysctls of the new interface and its parent; interface-sysctls.ts. */
export type PrepareVirtualMac = (name: string, parent: string) => void;

export class VirtualMac {
  readonly name: string;
  readonly #route: RouteApi;
  readonly #prepare: PrepareVirtualMac;
  readonly #hardwareAddress: Uint8Array;
  #link: Link | undefined;
  #isUp = false;

  constructor(route: RouteApi, prepare: PrepareVirtualMac, config: VirtualRouterConfig) {
    this.#route = route;
    this.#prepare = prepare;
    this.name = virtualMacName(config.family, config.id);
    this.#hardwareAddress = virtualMacAddress(config.family, config.id);
  }

  get link(): Link | undefined {
    return this.#link;
  }

  /** Makes it above `parent`, or takes over the one that an earlier process left; a sentence when that fails. */
  create(parent: Link): string | undefined {
    if (this.#link !== undefined) return undefined;
    const result = this.#route.createMacvlan(this.name, parent.index, this.#hardwareAddress);
    if (result !== 0 && result !== -Errno.EEXIST) return this.#sentence(result);
    const link = this.#find();
    if (typeof link === "string") return link;
    if (link === undefined) return `interface ${this.name} vanished after it was made`;
    if (link.kind !== "macvlan" || Buffer.compare(link.hardwareAddress, this.#hardwareAddress) !== 0) {
      return `an interface ${this.name} exists already and is not a macvlan with the virtual MAC address`;
    }
    if (link.parentIndex !== parent.index) {
      return `an interface ${this.name} exists already, above another interface than ${parent.name} (index ${link.parentIndex})`;
    }
    this.#link = link;
    this.#prepare(this.name, parent.name);
    this.#route.setLinkUp(link.index, false);
    return undefined;
  }

  /** A sentence: the kernel refuses to list. */
  #find(): Link | string | undefined {
    try {
      return this.#route.links().find(({ name }) => name === this.name);
    } catch (error) {
      return `looking for ${this.name}: ${(error as Error).message}`;
    }
  }

  /** Before the first advertisement that leaves through it. */
  setUp(isUp: boolean): void {
    if (this.#link === undefined || this.#isUp === isUp) return;
    this.#isUp = isUp;
    this.#route.setLinkUp(this.#link.index, isUp);
  }

  remove(): void {
    if (this.#link !== undefined) this.#route.removeLink(this.#link.index);
    this.noteGone();
  }

  /** The kernel removed it with its parent, or somebody else did. */
  noteGone(): void {
    this.#link = undefined;
    this.#isUp = false;
  }

  #sentence(result: number): string {
    const { lastErrorText } = this.#route;
    return `making ${this.name}: ${errnoName(-result)}${lastErrorText === "" ? "" : ` (${lastErrorText})`}`;
  }
}
