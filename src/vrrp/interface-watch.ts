/**
 * What the kernel says about the interfaces that virtual routers use: a copy of links and addresses, kept by the events of
 * rtnetlink(7), and whom to tell when one of them appears, vanishes, goes down or up, is renamed, gets or loses an address.
 * Looks interfaces up by name, because that is what a configuration names; an index is only good for as long as the
 * interface lives. Fed by router-set.ts.
 */
import type { InterfaceAddress, Link, RouteApi, RouteEvent } from "../netlink/route.ts";

export interface InterfaceListener {
  /** The interface of this name changed; undefined: there is none (any more). */
  handleLink(link: Link | undefined): void;
  handleAddressAdded(address: InterfaceAddress): void;
  handleAddressRemoved(address: InterfaceAddress): void;
}

export class InterfaceWatch {
  readonly #route: Pick<RouteApi, "links" | "addresses">;
  readonly #links = new Map<number, Link>();
  /** By interface index; in the kernel's order, the primary address of a subnet first. */
  readonly #addresses = new Map<number, InterfaceAddress[]>();
  readonly #listeners = new Map<string, Set<InterfaceListener>>();

  constructor(route: Pick<RouteApi, "links" | "addresses">) {
    this.#route = route;
    for (const link of route.links()) this.#links.set(link.index, link);
    for (const address of route.addresses()) this.#listOf(address.linkIndex).push(address);
  }

  link(name: string): Link | undefined {
    for (const link of this.#links.values()) if (link.name === name) return link;
    return undefined;
  }

  addressesOf(linkIndex: number): readonly InterfaceAddress[] {
    return this.#addresses.get(linkIndex) ?? [];
  }

  allAddresses(): readonly InterfaceAddress[] {
    return [...this.#addresses.values()].flat();
  }

  subscribe(name: string, listener: InterfaceListener): void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
  }

  unsubscribe(name: string, listener: InterfaceListener): void {
    this.#listeners.get(name)?.delete(listener);
  }

  handleEvent(event: RouteEvent): void {
    switch (event.kind) {
      case "link-changed":
        this.#changeLink(event.link);
        break;
      case "link-removed":
        this.#removeLink(event.index);
        break;
      case "address-added":
        this.#addAddress(event.address);
        break;
      case "address-removed":
        this.#removeAddress(event.address);
        break;
      case "overrun":
        this.refresh();
        break;
    }
  }

  /** Lists everything again and tells what differs: events were lost. False: the kernel refuses to list at present. */
  refresh(): boolean {
    const listed = this.#list();
    if (listed === undefined) return false;
    const { links, addresses } = listed;
    const present = new Set(links.map((link) => link.index));
    for (const index of [...this.#links.keys()]) if (!present.has(index)) this.#removeLink(index);
    for (const link of links) this.#changeLink(link);
    for (const known of this.allAddresses()) {
      if (!addresses.some((address) => isSameAddress(address, known))) this.#removeAddress(known);
    }
    for (const address of addresses) this.#addAddress(address);
    return true;
  }

  #list() {
    try {
      return { links: this.#route.links(), addresses: this.#route.addresses() };
    } catch {
      return undefined;
    }
  }

  #changeLink(link: Link): void {
    const before = this.#links.get(link.index);
    this.#links.set(link.index, link);
    if (before !== undefined && before.name !== link.name)
      this.#tell(before.name, (it) => it.handleLink(undefined));
    if (before !== undefined && isSameLink(before, link)) return;
    this.#tell(link.name, (it) => it.handleLink(link));
  }

  #removeLink(index: number): void {
    const link = this.#links.get(index);
    this.#links.delete(index);
    this.#addresses.delete(index);
    if (link !== undefined) this.#tell(link.name, (it) => it.handleLink(undefined));
  }

  #addAddress(address: InterfaceAddress): void {
    const addresses = this.#listOf(address.linkIndex);
    const position = addresses.findIndex((known) => isSameAddress(known, address));
    if (position === -1) addresses.push(address);
    else addresses[position] = address;
    this.#tellOf(address.linkIndex, (it) => it.handleAddressAdded(address));
  }

  #removeAddress(address: InterfaceAddress): void {
    const addresses = this.#listOf(address.linkIndex);
    const position = addresses.findIndex((known) => isSameAddress(known, address));
    if (position !== -1) addresses.splice(position, 1);
    this.#tellOf(address.linkIndex, (it) => it.handleAddressRemoved(address));
  }

  #tellOf(linkIndex: number, call: (listener: InterfaceListener) => void): void {
    const link = this.#links.get(linkIndex);
    if (link !== undefined) this.#tell(link.name, call);
  }

  #tell(name: string, call: (listener: InterfaceListener) => void): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) call(listener);
  }

  #listOf(linkIndex: number): InterfaceAddress[] {
    const known = this.#addresses.get(linkIndex);
    if (known !== undefined) return known;
    const created: InterfaceAddress[] = [];
    this.#addresses.set(linkIndex, created);
    return created;
  }
}

function isSameAddress(one: InterfaceAddress, other: InterfaceAddress): boolean {
  return (
    one.linkIndex === other.linkIndex &&
    one.family === other.family &&
    one.host === other.host &&
    one.prefixLength === other.prefixLength
  );
}

/** Statistics and the like also make the kernel send RTM_NEWLINK; nobody wants to hear of those. */
function isSameLink(one: Link, other: Link): boolean {
  return (
    one.name === other.name &&
    one.isUp === other.isUp &&
    one.isNoArp === other.isNoArp &&
    one.mtu === other.mtu &&
    Buffer.compare(one.hardwareAddress, other.hardwareAddress) === 0
  );
}
