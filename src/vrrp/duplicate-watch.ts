/**
 * Watches for another owner of our addresses while the router is active: asks once for each (ARP probe, RFC 5227 §2.1.1; neighbour
 * solicitation, RFC 4862 §5.4), and listens for claims of other hardware addresses. Two nodes that do not hear each other's
 * advertisements (a firewall, a wrong VLAN for multicast) still hear each other's ARP: that is how a split brain becomes visible.
 * Called by driver.ts.
 */
import { decodeArpFrame, ETHERTYPE_ARP, encodeArpProbe, formatHardwareAddress } from "../arp/packet.ts";
import type { AddressPrefix } from "../config/types.ts";
import { decodeNeighbourFrame, ETHERTYPE_IPV6, encodeNeighbourProbe } from "../ndp/packet.ts";
import type { Link } from "../netlink/route.ts";
import type { EventHandler, Reactor } from "../reactor/reactor.ts";
import { EPOLLIN } from "../sys/epoll.ts";
import { SyscallError } from "../sys/errno.ts";
import {
  FrameReceiver,
  ONLY_NEIGHBOUR_DISCOVERY,
  openPacketSocket,
  sendFrame,
} from "../sys/packet-socket.ts";
import type { DuplicateWatch } from "./surroundings.ts";

type Found = (host: string, hardwareAddress: string) => void;

/** Frames looked at in one turn: the rest of a flood waits. */
const FRAMES_PER_TURN = 256;
const NOBODY = "0.0.0.0";

const receiver = new FrameReceiver();

/** Who claims which address by this frame; undefined: it claims none. */
export interface Claim {
  readonly host: string;
  readonly hardware: Uint8Array;
}

/** ARP: the sender's pair, in requests as in replies; a probe claims nothing (RFC 5227 §2.1). */
export function claimOfArpFrame(frame: Uint8Array): Claim | undefined {
  const decoded = decodeArpFrame(frame);
  if (!decoded.ok || decoded.value.senderAddress === NOBODY) return undefined;
  return { host: decoded.value.senderAddress, hardware: decoded.value.senderHardware };
}

/** Neighbour discovery: an advertisement of its target. */
export function claimOfNeighbourFrame(frame: Uint8Array): Claim | undefined {
  const decoded = decodeNeighbourFrame(frame);
  if (!decoded.ok || decoded.value.kind !== "advertisement") return undefined;
  const { target, linkLayerAddress, sourceHardware } = decoded.value;
  return { host: target, hardware: linkLayerAddress ?? sourceHardware };
}

class FrameListener implements EventHandler {
  readonly fd: number;
  readonly #handleFrame: (frame: Uint8Array) => void;

  constructor(fd: number, handleFrame: (frame: Uint8Array) => void) {
    this.fd = fd;
    this.#handleFrame = handleFrame;
  }

  handleEvents(): void {
    for (let count = 0; count < FRAMES_PER_TURN; count++) {
      if (receiver.receive(this.fd) < 0) return;
      if (receiver.packetType !== "outgoing") this.#handleFrame(receiver.bytes);
    }
  }
}

export class FrameDuplicateWatch implements DuplicateWatch {
  readonly #reactor: Reactor;
  #listeners: FrameListener[] = [];
  #key = "";
  #found: Found = () => {};
  #ownHardware = "";
  #hosts = new Set<string>();

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
  }

  start(link: Link, addresses: readonly AddressPrefix[], found: Found): void {
    if (link.isNoArp || link.hardwareAddress.length !== 6) return;
    this.#found = found;
    this.#hosts = new Set(addresses.map(({ host }) => host));
    this.#ownHardware = formatHardwareAddress(link.hardwareAddress);
    const families = [...new Set(addresses.map(({ family }) => family))].sort();
    this.#listen(link.index, families);
    for (const address of addresses) this.#probe(link, address);
  }

  stop(): void {
    for (const { fd } of this.#listeners) this.#reactor.close(fd);
    this.#listeners = [];
    this.#key = "";
  }

  #listen(linkIndex: number, families: readonly string[]): void {
    const key = `${linkIndex} ${families.join(" ")}`;
    if (key === this.#key) return;
    this.stop();
    try {
      if (families.includes("inet")) {
        this.#open(openPacketSocket({ ifindex: linkIndex, etherType: ETHERTYPE_ARP }), claimOfArpFrame);
      }
      if (families.includes("inet6")) {
        const options = { ifindex: linkIndex, etherType: ETHERTYPE_IPV6, filter: ONLY_NEIGHBOUR_DISCOVERY };
        this.#open(openPacketSocket(options), claimOfNeighbourFrame);
      }
      this.#key = key;
    } catch (error) {
      // The election does not depend on it.
      if (!(error instanceof SyscallError)) throw error;
    }
  }

  #open(fd: number, claimOf: (frame: Uint8Array) => Claim | undefined): void {
    const listener = new FrameListener(fd, (frame) => this.#handleClaim(claimOf(frame)));
    this.#listeners.push(listener);
    this.#reactor.register(fd, EPOLLIN, listener);
  }

  #handleClaim(claim: Claim | undefined): void {
    if (claim === undefined || !this.#hosts.has(claim.host)) return;
    const hardware = formatHardwareAddress(claim.hardware);
    if (hardware !== this.#ownHardware) this.#found(claim.host, hardware);
  }

  #probe(link: Link, { family, host }: AddressPrefix): void {
    const isIpv4 = family === "inet";
    const listener = this.#listeners[isIpv4 ? 0 : this.#listeners.length - 1];
    const frame = isIpv4
      ? encodeArpProbe(link.hardwareAddress, host)
      : encodeNeighbourProbe(link.hardwareAddress, host);
    if (listener !== undefined) sendFrame(listener.fd, frame);
  }
}
