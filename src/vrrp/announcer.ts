/**
 * Tells the segment where the virtual addresses are now: gratuitous ARP for IPv4, unsolicited neighbour advertisements for IPv6, in the
 * rounds that the configuration asks for (announce-schedule.ts). Switches and neighbours learn from the first frame they get; the others
 * are for those that were lost. Called by driver.ts.
 */
import { encodeGratuitousRequest } from "../arp/packet.ts";
import type { AddressPrefix, AnnounceConfig, VirtualRouterConfig } from "../config/types.ts";
import { encodeUnsolicitedAdvertisement } from "../ndp/packet.ts";
import type { Link } from "../netlink/route.ts";
import { firstAnnouncement, nextAnnouncement } from "./announce-schedule.ts";
import type { Alarm, Announcer, Clock } from "./surroundings.ts";

/** Sends one Ethernet frame; 0 or more, or -errno. */
export type FrameSender = (linkIndex: number, frame: Uint8Array) => number;

/** Whether this host forwards IPv6 packets of the interface: it then says "router" in its neighbour advertisements. */
export type IsRouter = (interfaceName: string) => boolean;

export class FrameAnnouncer implements Announcer {
  readonly #clock: Clock;
  readonly #send: FrameSender;
  readonly #isRouter: IsRouter;
  #alarm: Alarm | undefined;
  announcementsSent = 0;

  constructor(clock: Clock, send: FrameSender, isRouter: IsRouter) {
    this.#clock = clock;
    this.#send = send;
    this.#isRouter = isRouter;
  }

  announce(link: Link, addresses: readonly AddressPrefix[], virtualRouter: VirtualRouterConfig): boolean {
    this.stop();
    // Nobody resolves addresses on such an interface (a tunnel, loopback); nor is there an Ethernet header to write.
    if (link.isNoArp || link.hardwareAddress.length !== 6) return false;
    const isRouter = addresses.some((address) => address.family === "inet6") && this.#isRouter(link.name);
    const frames = addresses.map((address) => announcementFrame(address, link.hardwareAddress, isRouter));
    const isSent = this.#sendAll(link.index, frames);
    this.#scheduleNext(link.index, frames, virtualRouter.announce, firstAnnouncement(this.#clock.nowMs()));
    return isSent;
  }

  stop(): void {
    this.#alarm?.cancel();
    this.#alarm = undefined;
  }

  #scheduleNext(
    linkIndex: number,
    frames: readonly Uint8Array[],
    config: AnnounceConfig,
    previous: ReturnType<typeof firstAnnouncement>,
  ): void {
    const next = nextAnnouncement(config, previous);
    if (next === undefined) return;
    this.#alarm = this.#clock.at(next.atMs, () => {
      this.#sendAll(linkIndex, frames);
      this.#scheduleNext(linkIndex, frames, config, next);
    });
  }

  #sendAll(linkIndex: number, frames: readonly Uint8Array[]): boolean {
    let isSent = frames.length > 0;
    for (const frame of frames) {
      if (this.#send(linkIndex, frame) >= 0) this.announcementsSent++;
      else isSent = false;
    }
    return isSent;
  }
}

function announcementFrame(
  { family, host }: AddressPrefix,
  hardwareAddress: Uint8Array,
  isRouter: boolean,
): Uint8Array {
  return family === "inet"
    ? encodeGratuitousRequest(hardwareAddress, host)
    : encodeUnsolicitedAdvertisement(hardwareAddress, host, isRouter);
}
