/**
 * The virtual addresses of one router in the kernel: installed with a lease while the router is active, renewed, restored when
 * somebody else deletes them, withdrawn. Decides nothing about the election; driver.ts calls it.
 *
 * The lease is the kernel's: an address with a finite valid_lft vanishes by itself when nobody renews it (ip-address(8)), so that
 * `kill -9` of this process never leaves an address behind.
 *
 * Deleting the primary IPv4 address of a subnet deletes its secondaries too, unless the sysctl promote_secondaries is 1
 * (net/ipv4/devinet.c, __inet_del_ifa()). prepareInterface() sets it, as systemd does on every host; where it may not be set,
 * what remains is installed again after each removal.
 */
import type { AddressPrefix } from "../config/types.ts";
import {
  type AddressToInstall,
  IFA_PROTO_VRRP,
  type InterfaceAddress,
  type RouteApi,
} from "../netlink/route.ts";
import { Errno, errnoName } from "../sys/errno.ts";

/** Where the addresses go, and for how long they live without us. */
export interface AddressPlacement {
  readonly linkIndex: number;
  readonly interface: string;
  /** undefined: for ever. */
  readonly leaseSeconds: number | undefined;
  /** Priority 255. */
  readonly isOwner: boolean;
}

interface KeptAddress {
  readonly prefix: AddressPrefix;
  isInstalled: boolean;
  /** It was there before, for ever: somebody configured it on the host, and it stays. */
  isForeign: boolean;
}

/** What is on an interface, as far as events have told: no question to the kernel on the way to becoming active. */
export type AddressesOf = (linkIndex: number) => readonly InterfaceAddress[];

export class AddressKeeper {
  readonly #route: RouteApi;
  readonly #addressesOf: AddressesOf;
  #placement: AddressPlacement | undefined;
  #kept: KeptAddress[];
  /** Between install() and withdraw(). */
  #isWanted = false;

  constructor(route: RouteApi, addressesOf: AddressesOf, prefixes: readonly AddressPrefix[]) {
    this.#route = route;
    this.#addressesOf = addressesOf;
    this.#kept = prefixes.map(asKept);
  }

  get isWanted(): boolean {
    return this.#isWanted;
  }

  facts(): { readonly address: string; readonly isInstalled: boolean }[] {
    return this.#kept.map(({ prefix, isInstalled }) => ({ address: formatPrefix(prefix), isInstalled }));
  }

  /** Wanted addresses which the host had before, and which therefore are neither leased nor removed. */
  foreign(): readonly string[] {
    return this.#kept.filter(({ isForeign }) => isForeign).map(({ prefix }) => formatPrefix(prefix));
  }

  /** Installs all; the sentences say what the kernel refused. */
  install(placement: AddressPlacement): readonly string[] {
    this.#placement = placement;
    this.#isWanted = true;
    this.#markForeign(placement, this.#kept);
    return this.#installMissing();
  }

  /** Takes back what was installed; an address that is gone already is no failure. */
  withdraw(): readonly string[] {
    this.#isWanted = false;
    // Last in, first out: a primary address goes after its secondaries.
    const failures = this.#kept.toReversed().flatMap((kept) => this.#remove(kept));
    return failures;
  }

  /** Renews the lease of everything that is installed; the sentences say what failed. */
  renew(): readonly string[] {
    return this.#isWanted ? this.#kept.flatMap((kept) => this.#put(kept)) : [];
  }

  /** Another lease, from now on: what is installed gets it at once. Returns failures. */
  changeLease(leaseSeconds: number | undefined): readonly string[] {
    if (this.#placement === undefined || this.#placement.leaseSeconds === leaseSeconds) return [];
    this.#placement = { ...this.#placement, leaseSeconds };
    return this.renew();
  }

  /** A new list, in place: what stays is not touched. Returns failures. */
  replace(prefixes: readonly AddressPrefix[]): readonly string[] {
    const before = this.#kept;
    this.#kept = prefixes.map(
      (prefix) => before.find((kept) => isSame(kept.prefix, prefix)) ?? asKept(prefix),
    );
    const removed = before.filter((kept) => !this.#kept.includes(kept));
    const failures = removed.flatMap((kept) => this.#remove(kept));
    if (!this.#isWanted) return failures;
    this.#markForeign(
      this.#placement!,
      this.#kept.filter((kept) => !before.includes(kept)),
    );
    const added = this.#installMissing();
    // See the head of this file: removing may have taken others of the subnet with it.
    const renewed = removed.length === 0 ? [] : this.renew();
    return [...failures, ...added, ...renewed];
  }

  /**
   * True when one of ours, wanted now, is really gone from the kernel. Not when its interface went with it: that has an event of its
   * own. undefined: the kernel refuses to list at present.
   */
  isLost(address: InterfaceAddress): boolean | undefined {
    const kept = this.#isWanted ? this.#find(address) : undefined;
    if (kept === undefined || address.linkIndex !== this.#placement?.linkIndex) return false;
    // The event may be older than our last installation: only the kernel's present list counts.
    try {
      const addresses = this.#route.addresses();
      if (addresses.some((present) => isAt(present, address.linkIndex, kept.prefix))) return false;
      return this.#route.links().some(({ index }) => index === address.linkIndex);
    } catch {
      return undefined;
    }
  }

  /** Installs a lost address again; failures as sentences. */
  restore(address: InterfaceAddress): readonly string[] {
    const kept = this.#find(address);
    if (kept === undefined) return [];
    kept.isInstalled = false;
    kept.isForeign = false;
    return this.#put(kept);
  }

  /** Forgets a lost address without removing it: the policy is to fault. */
  noteLost(address: InterfaceAddress): void {
    const kept = this.#find(address);
    if (kept !== undefined) kept.isInstalled = false;
  }

  /** The interface is gone, and the addresses went with it. */
  noteInterfaceGone(): void {
    this.#isWanted = false;
    for (const kept of this.#kept) kept.isInstalled = false;
  }

  holds(address: Pick<InterfaceAddress, "family" | "host" | "prefixLength">): boolean {
    return this.#find(address) !== undefined;
  }

  #find(address: Pick<InterfaceAddress, "family" | "host" | "prefixLength">): KeptAddress | undefined {
    return this.#kept.find((kept) => isSame(kept.prefix, address));
  }

  /**
   * An address without our mark and without an end is not ours to lease or to remove: the host may be reachable by it alone. With
   * `address_lease: 0` ours have no end either, and kernels before 5.18 keep no mark: then only the owner leaves what it finds, or what a
   * killed process left would stay beside the next active router for ever.
   */
  #markForeign({ linkIndex, isOwner, leaseSeconds }: AddressPlacement, among: readonly KeptAddress[]): void {
    const present = this.#addressesOf(linkIndex);
    const canTell = isOwner || leaseSeconds !== undefined;
    for (const kept of among) {
      const found = present.find((address) => isAt(address, linkIndex, kept.prefix));
      kept.isForeign =
        canTell &&
        found !== undefined &&
        found.protocol !== IFA_PROTO_VRRP &&
        found.validSeconds === undefined;
      if (kept.isForeign) kept.isInstalled = true;
    }
  }

  #installMissing(): readonly string[] {
    return this.#kept.filter((kept) => !kept.isInstalled).flatMap((kept) => this.#put(kept));
  }

  #put(kept: KeptAddress): string[] {
    if (kept.isForeign) return [];
    const result = this.#route.installAddress(this.#request(kept));
    kept.isInstalled = result === 0;
    return result === 0 ? [] : [this.#sentence("installing", kept, result)];
  }

  #remove(kept: KeptAddress): string[] {
    if (!kept.isInstalled || kept.isForeign) {
      kept.isForeign = false;
      return [];
    }
    kept.isInstalled = false;
    const result = this.#route.removeAddress(this.#request(kept));
    const isGone = result === 0 || result === -Errno.EADDRNOTAVAIL || result === -Errno.ENODEV;
    return isGone ? [] : [this.#sentence("removing", kept, result)];
  }

  #request({ prefix }: KeptAddress): AddressToInstall {
    const { linkIndex, leaseSeconds } = this.#placement!;
    const { family, host, prefixLength } = prefix;
    return { linkIndex, family, host, prefixLength, validSeconds: leaseSeconds };
  }

  #sentence(doing: string, { prefix }: KeptAddress, result: number): string {
    const { lastErrorText } = this.#route;
    const reason = errnoName(-result) + (lastErrorText === "" ? "" : ` (${lastErrorText})`);
    return `${doing} ${formatPrefix(prefix)} on ${this.#placement!.interface}: ${reason}`;
  }
}

export function formatPrefix({ host, prefixLength }: Pick<AddressPrefix, "host" | "prefixLength">): string {
  return `${host}/${prefixLength}`;
}

function asKept(prefix: AddressPrefix): KeptAddress {
  return { prefix, isInstalled: false, isForeign: false };
}

function isSame(
  one: Pick<AddressPrefix, "family" | "host" | "prefixLength">,
  other: Pick<AddressPrefix, "family" | "host" | "prefixLength">,
): boolean {
  return one.family === other.family && one.host === other.host && one.prefixLength === other.prefixLength;
}

function isAt(present: InterfaceAddress, linkIndex: number, prefix: AddressPrefix): boolean {
  return present.linkIndex === linkIndex && isSame(present, prefix);
}

/**
 * Addresses of a process that died without withdrawing them: marked as ours (IFA_PROTO), and of a router that is not active now.
 * Returns what was removed.
 */
export function removeLeftovers(
  route: RouteApi,
  linkIndex: number,
  prefixes: readonly AddressPrefix[],
): readonly string[] {
  const leftovers = route
    .addresses()
    .filter((address) => address.protocol === IFA_PROTO_VRRP)
    .filter((address) => prefixes.some((prefix) => isAt(address, linkIndex, prefix)));
  for (const { family, host, prefixLength } of leftovers) {
    route.removeAddress({ linkIndex, family, host, prefixLength, validSeconds: undefined });
  }
  return leftovers.map(formatPrefix);
}
