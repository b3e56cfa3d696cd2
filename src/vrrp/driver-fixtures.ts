/**
 * A segment for tests of drivers: a virtual clock, a kernel that keeps links and addresses, and ports that carry packets between
 * the routers on it. Nothing here decides; a router can be frozen, so that what it is sent waits.
 */
import type { AddressPrefix, VirtualRouterConfig } from "../config/types.ts";
import type { RouterReport, TrackerResultMessage } from "../daemon/router-messages.ts";
import type { AddressToInstall, InterfaceAddress, Link, RouteApi, RouteEvent } from "../netlink/route.ts";
import { IFA_PROTO_VRRP } from "../netlink/route.ts";
import { Errno, type SyscallError } from "../sys/errno.ts";
import { virtualRouterConfig } from "../testing/gateway-config.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { RouterSet } from "./router-set.ts";
import type { TransitionRecord } from "./state.ts";
import type {
  AdvertisementPort,
  Announcer,
  DuplicateWatch,
  PortPlan,
  PortUser,
  ReceivedPacket,
} from "./surroundings.ts";

export const VIRTUAL: AddressPrefix = { family: "inet", host: "192.0.2.10", prefixLength: 24 };

export function exampleRouter(changes: Partial<VirtualRouterConfig> = {}): VirtualRouterConfig {
  return virtualRouterConfig({
    interface: "eth0",
    addresses: [VIRTUAL],
    announce: { repeat: 1, repeatIntervalMs: 0, delayMs: 0, refreshMs: 0 },
    ...changes,
  });
}

export function exampleLink(changes: Partial<Link> = {}): Link {
  return {
    index: 2,
    name: "eth0",
    hardwareAddress: Uint8Array.of(2, 0, 0, 0, 0, 1),
    isUp: true,
    isNoArp: false,
    mtu: 1500,
    kind: "veth",
    parentIndex: undefined,
    ...changes,
  };
}

export function exampleAddress(host: string, changes: Partial<InterfaceAddress> = {}): InterfaceAddress {
  return {
    linkIndex: 2,
    family: host.includes(":") ? "inet6" : "inet",
    host,
    prefixLength: 24,
    scope: "global",
    validSeconds: undefined,
    protocol: 0,
    isTentative: false,
    isDuplicate: false,
    ...changes,
  };
}

/** Links and addresses of one node, and every request that was made. */
export class FakeKernel implements RouteApi {
  readonly links_: Link[];
  readonly addresses_: InterfaceAddress[];
  readonly requests: string[] = [];
  /** What the next installations are answered with. */
  refusal = 0;
  lastErrorText = "";
  /** Dumps are answered with an error. */
  refusesToList = false;

  constructor(links: readonly Link[], addresses: readonly InterfaceAddress[]) {
    this.links_ = [...links];
    this.addresses_ = [...addresses];
  }

  links(): readonly Link[] {
    this.#refuseToList();
    return this.links_;
  }

  addresses(): readonly InterfaceAddress[] {
    this.#refuseToList();
    return [...this.addresses_];
  }

  installAddress(address: AddressToInstall): number {
    this.requests.push(`install ${address.host} ${address.validSeconds}`);
    if (this.refusal !== 0) return this.refusal;
    this.forget(address.host);
    this.addresses_.push(exampleAddress(address.host, { ...address, protocol: IFA_PROTO_VRRP }));
    return 0;
  }

  removeAddress(address: AddressToInstall): number {
    this.requests.push(`remove ${address.host}`);
    return this.forget(address.host) ? 0 : -Errno.EADDRNOTAVAIL;
  }

  forget(host: string): boolean {
    const position = this.addresses_.findIndex((address) => address.host === host);
    if (position === -1) return false;
    this.addresses_.splice(position, 1);
    return true;
  }

  has(host: string): boolean {
    return this.addresses_.some((address) => address.host === host);
  }

  createMacvlan(name: string, parentIndex: number, hardwareAddress: Uint8Array): number {
    this.requests.push(`macvlan ${name}`);
    if (this.links_.some((link) => link.name === name)) return -Errno.EEXIST;
    const index = 1 + Math.max(...this.links_.map((link) => link.index));
    this.links_.push(exampleLink({ index, name, hardwareAddress, kind: "macvlan", parentIndex }));
    return 0;
  }

  removeLink(index: number): number {
    const position = this.links_.findIndex((link) => link.index === index);
    if (position !== -1) this.links_.splice(position, 1);
    return 0;
  }

  #refuseToList(): void {
    if (this.refusesToList) throw new Error("netlink refuses to list: ETIMEDOUT");
  }

  setLinkUp(): number {
    return 0;
  }
}

interface Attachment {
  readonly node: FakeNode;
  readonly user: PortUser;
  readonly plan: PortPlan;
  readonly waiting: ReceivedPacket[];
}

/** One clock, one wire. */
export class FakeSegment {
  readonly clock = new VirtualClock(1000);
  readonly attachments = new Set<Attachment>();
  /** Advertisements on the wire: "192.0.2.1 150". */
  readonly wire: string[] = [];

  node(host: string): FakeNode {
    return new FakeNode(this, host);
  }

  transmit(from: FakeNode, bytes: Uint8Array, source: string, destination: string): void {
    this.wire.push(`${source} ${bytes[2]}`);
    const arrivedAtMs = this.clock.nowMs;
    for (const attachment of this.attachments) {
      if (attachment.node === from || attachment.user.routerId !== bytes[1]) continue;
      attachment.waiting.push({ bytes: bytes.slice(), source, destination, hopLimit: 255, arrivedAtMs });
      if (!attachment.node.isFrozen) drain(attachment);
    }
  }
}

function drain(attachment: Attachment): void {
  for (let packet = attachment.waiting.shift(); packet !== undefined; packet = attachment.waiting.shift()) {
    attachment.user.handlePacket(packet);
  }
}

export class FakeNode {
  readonly segment: FakeSegment;
  readonly kernel: FakeKernel;
  readonly set: RouterSet;
  readonly transitions: TransitionRecord[] = [];
  readonly reports: RouterReport[] = [];
  readonly logs: string[] = [];
  readonly messages: string[] = [];
  /** What happened in which order: "send 150", "install", "announce". */
  readonly deeds: string[] = [];
  found: ((host: string, hardwareAddress: string) => void) | undefined;
  /** Interfaces whose sysctls were set. */
  readonly prepared: string[] = [];
  /** Addresses whose duplicates are looked for. */
  watched: readonly string[] = [];
  isFrozen = false;
  /** What opening a port is answered with. */
  portRefusal: SyscallError | undefined;
  /** What sending is answered with; 0: it is sent. */
  sendRefusal = 0;
  readonly #missed: (() => void)[] = [];

  constructor(segment: FakeSegment, host: string) {
    this.segment = segment;
    this.kernel = new FakeKernel([exampleLink()], [exampleAddress(host)]);
    this.set = new RouterSet({
      clock: {
        nowMs: () => segment.clock.nowMs,
        unixNowMs: () => 1_700_000_000_000 + segment.clock.nowMs,
        at: (deadlineMs, callback) => segment.clock.at(deadlineMs, () => this.#whenAwake(callback)),
      },
      route: this.kernel,
      openPort: (plan, user) => this.#openPort(plan, user),
      prepareVirtualMac: () => {},
      prepareInterface: (config) => this.prepared.push(config.interface),
      newAnnouncer: () => this.#newAnnouncer(),
      newDuplicateWatch: () => this.#newDuplicateWatch(),
      log: (_level, event, message) => {
        this.logs.push(event);
        this.messages.push(message);
      },
      reportTransition: (record) => this.transitions.push(record),
      handleChange: () => {},
      post: (report) => this.reports.push(report),
    });
  }

  get story(): string[] {
    return this.transitions.map(({ from, to, cause }) => `${from}→${to} ${cause}`);
  }

  get facts() {
    return this.set.facts()[0]!;
  }

  configure(...routers: readonly VirtualRouterConfig[]): void {
    this.set.configure(routers, []);
  }

  results(...results: readonly TrackerResultMessage[]): void {
    this.set.handleTrackerResults(results);
  }

  tell(event: RouteEvent): void {
    this.set.handleRouteEvent(event);
  }

  /** SIGSTOP: timers and packets wait. */
  freeze(): void {
    this.isFrozen = true;
  }

  /** SIGCONT: the timers fire, late, before anybody has looked at the sockets. */
  thaw(): void {
    this.isFrozen = false;
    for (const callback of this.#missed.splice(0)) callback();
  }

  #whenAwake(callback: () => void): void {
    if (this.isFrozen) this.#missed.push(callback);
    else callback();
  }

  #openPort(plan: PortPlan, user: PortUser): AdvertisementPort {
    if (this.portRefusal !== undefined) throw this.portRefusal;
    const attachment: Attachment = { node: this, user, plan, waiting: [] };
    this.segment.attachments.add(attachment);
    return {
      send: (message, source, destination) => {
        if (this.sendRefusal !== 0) return this.sendRefusal;
        this.deeds.push(`send ${message[2]}${this.kernel.has(VIRTUAL.host) ? " with address" : ""}`);
        this.segment.transmit(this, message, source, destination);
        return message.length;
      },
      drain: () => drain(attachment),
      close: () => void this.segment.attachments.delete(attachment),
    };
  }

  #newAnnouncer(): Announcer {
    const announcer = {
      announcementsSent: 0,
      announce: () => {
        this.deeds.push(`announce${this.kernel.has(VIRTUAL.host) ? " with address" : ""}`);
        announcer.announcementsSent++;
        return true;
      },
      stop: () => {},
    };
    return announcer;
  }

  #newDuplicateWatch(): DuplicateWatch {
    return {
      start: (_link, addresses, found) => {
        this.found = found;
        this.watched = addresses.map(({ host }) => host);
      },
      stop: () => {
        this.found = undefined;
      },
    };
  }
}
