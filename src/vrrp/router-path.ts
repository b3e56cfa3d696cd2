/**
 * The way of one router to its segment: the interface, the address its advertisements come from, the sockets, and with `use_vmac` the
 * macvlan through which it sends. Says what is in the way when there is no way. Called by driver.ts.
 */
import type { VirtualRouterConfig } from "../config/types.ts";
import type { Link } from "../netlink/route.ts";
import { SyscallError } from "../sys/errno.ts";
import { chooseSource, missingSource } from "./source-address.ts";
import type { AdvertisementPort, PortPlan, PortUser, Surroundings } from "./surroundings.ts";
import { VirtualMac } from "./virtual-mac.ts";

export interface Trouble {
  readonly sentence: string;
  /** No event will tell that it is over. */
  readonly isWorthRetrying: boolean;
}

export class RouterPath {
  readonly #surroundings: Surroundings;
  readonly #user: PortUser;
  readonly #virtualMac: VirtualMac | undefined;
  #parent: Link | undefined;
  #source: string | undefined;
  /** Where it receives; the last one is where it sends. */
  #ports: AdvertisementPort[] = [];
  #key = "";

  constructor(surroundings: Surroundings, user: PortUser, config: VirtualRouterConfig) {
    this.#surroundings = surroundings;
    this.#user = user;
    const { route, prepareVirtualMac } = surroundings;
    this.#virtualMac = config.useVmac ? new VirtualMac(route, prepareVirtualMac, config) : undefined;
  }

  /** The interface that the configuration names. */
  get parent(): Link | undefined {
    return this.#parent;
  }

  /** Where the addresses are, and whose MAC address is announced. */
  get link(): Link | undefined {
    return this.#virtualMac === undefined ? this.#parent : this.#virtualMac.link;
  }

  /** Name of the macvlan; undefined: the addresses are on the interface itself. */
  get virtualMacName(): string | undefined {
    return this.#virtualMac?.name;
  }

  /** undefined: the interface has no address to send from. */
  get source(): string | undefined {
    return this.#source;
  }

  get isOpen(): boolean {
    return this.#ports.length > 0;
  }

  /** Looks at everything anew; opens what is missing. undefined: the way is free. */
  update(config: VirtualRouterConfig, parent: Link | undefined): Trouble | undefined {
    if (parent?.index !== this.#parent?.index) this.#virtualMac?.noteGone();
    this.#parent = parent;
    const name = config.interface;
    if (parent === undefined) return { sentence: `interface ${name} does not exist`, isWorthRetrying: false };
    if (!parent.isUp) return { sentence: `interface ${name} is down`, isWorthRetrying: false };
    const { interfaces, isVirtualAddress } = this.#surroundings;
    const source = chooseSource(config, interfaces.addressesOf(parent.index), isVirtualAddress);
    // The old one stays until there is a new one: the last advertisement, of priority 0, comes from it.
    if (source === undefined) return { sentence: missingSource(config), isWorthRetrying: false };
    this.#source = source;
    const obstacle = this.#virtualMac?.create(parent) ?? this.#open(config, parent);
    return obstacle === undefined ? undefined : { sentence: obstacle, isWorthRetrying: true };
  }

  drain(): void {
    for (const port of this.#ports) port.drain();
  }

  /** 0 or more, or -errno. */
  send(message: Uint8Array, source: string, destination: string): number {
    this.#virtualMac?.setUp(true);
    return this.#ports.at(-1)!.send(message, source, destination);
  }

  /** No longer active: the virtual MAC address must not be seen here. */
  leave(): void {
    this.#virtualMac?.setUp(false);
  }

  noteVirtualMacGone(): void {
    this.#virtualMac?.noteGone();
    this.close();
  }

  close(): void {
    for (const port of this.#ports) port.close();
    this.#ports = [];
    this.#key = "";
  }

  /** For good. */
  remove(): void {
    this.close();
    this.#virtualMac?.remove();
  }

  #open(config: VirtualRouterConfig, parent: Link): string | undefined {
    const { family, unicastPeers } = config;
    const unicastSource = unicastPeers.length === 0 ? undefined : this.#source;
    const key = `${parent.index} ${this.link?.index} ${unicastSource}`;
    if (key === this.#key) return undefined;
    this.close();
    try {
      this.#ports.push(this.#openPort({ link: parent, family, unicastSource, isForeignSource: false }));
      const virtual = this.#virtualMac?.link;
      if (virtual !== undefined)
        this.#ports.push(this.#openPort({ link: virtual, family, unicastSource, isForeignSource: true }));
      this.#key = key;
      return undefined;
    } catch (error) {
      this.close();
      if (!(error instanceof SyscallError)) throw error;
      const hint = error.hint === undefined ? "" : `; ${error.hint}`;
      return `no socket on interface ${parent.name}: ${error.message}${hint}`;
    }
  }

  #openPort(plan: PortPlan): AdvertisementPort {
    return this.#surroundings.openPort(plan, this.#user);
  }
}
