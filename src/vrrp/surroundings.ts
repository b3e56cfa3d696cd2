/**
 * What a virtual router's driver works with, as interfaces: the process gives it the real things (daemon/router.ts), tests give it
 * others. Types only.
 */
import type { AddressPrefix, VirtualRouterConfig } from "../config/types.ts";
import type { Link, RouteApi } from "../netlink/route.ts";
import type { VirtualRouterDriver } from "./driver.ts";
import type { InterfaceWatch } from "./interface-watch.ts";
import type { Transition, TransitionRecord } from "./state.ts";
import type { PrepareVirtualMac } from "./virtual-mac.ts";

export interface Clock {
  /** Monotonic, fractions of a millisecond. */
  nowMs(): number;
  unixNowMs(): number;
  at(deadlineMs: number, callback: () => void): Alarm;
}

export interface Alarm {
  cancel(): void;
}

/** A packet as the port received it. The bytes are the port's: good until the call returns. */
export interface ReceivedPacket {
  readonly bytes: Uint8Array;
  readonly source: string;
  readonly destination: string;
  readonly hopLimit: number | undefined;
  readonly arrivedAtMs: number;
}

export interface PortUser {
  readonly routerId: number;
  handlePacket(packet: ReceivedPacket): void;
}

/** The way of one router to its segment; advertisement-socket.ts has the real one. */
export interface AdvertisementPort {
  /** 0 or -errno. */
  send(message: Uint8Array, source: string, destination: string): number;
  /** Delivers everything that has arrived. */
  drain(): void;
  close(): void;
}

export interface PortPlan {
  readonly link: Link;
  readonly family: "inet" | "inet6";
  /** Address to receive at when there are unicast peers; undefined: multicast. */
  readonly unicastSource: string | undefined;
  /** The source address is that of another interface: virtual MAC. */
  readonly isForeignSource: boolean;
}

export interface Announcer {
  /** Announces every address on the link; true when frames went out. Repetitions follow by themselves. */
  announce(link: Link, addresses: readonly AddressPrefix[], virtualRouter: VirtualRouterConfig): boolean;
  stop(): void;
  readonly announcementsSent: number;
}

/** Looks for other owners of our addresses; duplicate-watch.ts. */
export interface DuplicateWatch {
  start(
    link: Link,
    addresses: readonly AddressPrefix[],
    found: (host: string, hardwareAddress: string) => void,
  ): void;
  stop(): void;
}

export type LogLevel = "info" | "warn" | "error";
export type Log = (
  level: LogLevel,
  event: string,
  message: string,
  fields?: Readonly<Record<string, string | number>>,
) => void;

/** What a driver works with; router-set.ts gives it, tests give fakes. */
export interface Surroundings {
  readonly clock: Clock;
  readonly route: RouteApi;
  readonly interfaces: InterfaceWatch;
  /** Throws SyscallError. */
  readonly openPort: (plan: PortPlan, user: PortUser) => AdvertisementPort;
  readonly prepareVirtualMac: PrepareVirtualMac;
  readonly newAnnouncer: () => Announcer;
  readonly newDuplicateWatch: () => DuplicateWatch;
  readonly log: Log;
  readonly reportTransition: (record: TransitionRecord) => void;
  /** After everything that belongs to the change was carried out. */
  readonly handleStateChange: (driver: VirtualRouterDriver, transition: Transition) => void;
  /** The set of faults, or the sentence of one, has changed. */
  readonly handleFaults: (driver: VirtualRouterDriver) => void;
  readonly handleHandoverEnd: (
    driver: VirtualRouterDriver,
    isTakenOver: boolean,
    by: string | undefined,
  ) => void;
  /** Any virtual address of any router: never a source address of advertisements. */
  readonly isVirtualAddress: (host: string) => boolean;
}
