/**
 * The raw sockets that advertisements travel through: for each interface, family and way (multicast, or unicast to one of our
 * addresses) one socket that receives and one that sends, shared by all virtual routers there. The VRID decides whose a packet is.
 *
 * Two sockets, as keepalived has: what one sends would otherwise count against the buffer in which the advertisements of a frozen second
 * wait; and the sender's filter throws away its copy of everything that arrives. Called by driver.ts through openPort().
 */
import { encodeIp } from "../ip/address.ts";
import type { EventHandler, Reactor } from "../reactor/reactor.ts";
import { preciseNowMs, realtimeOffsetMs } from "../sys/clock.ts";
import { EPOLLIN } from "../sys/epoll.ts";
import { SyscallError } from "../sys/errno.ts";
import { allocate } from "../sys/memory.ts";
import {
  attachFilter,
  bindToDevice,
  DROP_EVERYTHING,
  type EncodedSource,
  encodeSource,
  joinGroup,
  openRawSocket,
  PacketReceiver,
  requestPacketDetails,
  sendTo,
  setFreeBind,
  setMulticastInterface,
  setMulticastLoop,
  setOnlyJoinedGroups,
  setReceiveBuffer,
  setTimeToLive,
  setTrafficClass,
} from "../sys/raw-socket.ts";
import {
  AF_INET,
  AF_INET6,
  type EncodedAddress,
  SOCKADDR_IN_LENGTH,
  SOCKADDR_IN6_LENGTH,
} from "../sys/sockaddr.ts";
import { close } from "../sys/socket.ts";
import { completeLimit, type DrainLimit, turnLimit } from "./drain-limit.ts";
import { MULTICAST_GROUP, peekRouterId, VRRP_PROTOCOL } from "./packet.ts";
import type { AdvertisementPort, PortPlan, PortUser } from "./surroundings.ts";

/** CS6, network control. */
const TRAFFIC_CLASS = 0xc0;
/** 255: a receiver can tell that no router forwarded it (RFC 9568 §5.1.1.3). */
const TIME_TO_LIVE = 255;
/** About 2,500 advertisements wait here (the kernel counts some 800 bytes for each): 25 s at 10 ms from one peer. */
const RECEIVE_BUFFER_BYTES = 1024 * 1024;

/** slewing changes the difference of the clocks by at most 0.5 ms per second (adjtime(3)); more than this is a step. */
const CLOCK_STEP_MS = 100;

const receiver = new PacketReceiver();
const outgoing = allocate(2048);

class Channel implements EventHandler {
  readonly key: string;
  readonly #reactor: Reactor;
  readonly #plan: PortPlan;
  readonly #handleUnknownId: () => void;
  readonly #receiveFd: number;
  readonly #sendFd: number;
  readonly #sources = new Map<string, EncodedSource>();
  readonly #destinations = new Map<string, EncodedAddress>();
  readonly users = new Map<number, PortUser>();
  #offsetMs = realtimeOffsetMs();

  constructor(key: string, reactor: Reactor, plan: PortPlan, handleUnknownId: () => void) {
    this.key = key;
    this.#reactor = reactor;
    this.#plan = plan;
    this.#handleUnknownId = handleUnknownId;
    this.#receiveFd = openReceiving(plan);
    try {
      this.#sendFd = openSending(plan);
    } catch (error) {
      close(this.#receiveFd);
      throw error;
    }
    reactor.register(this.#receiveFd, EPOLLIN, this);
  }

  /** Of a flood a part: timers and other routers get their turn, epoll reports the rest again. */
  handleEvents(): void {
    this.#receive(turnLimit(preciseNowMs()));
  }

  /** Everything that has arrived before this call: on it a deadline is about to be decided. */
  drain(): void {
    this.#receive(completeLimit(preciseNowMs()));
  }

  #receive(isEnough: DrainLimit): void {
    // Once per drain: both clocks advance together, and NTP slews the difference by microseconds at most meanwhile.
    const offsetMs = realtimeOffsetMs();
    // The wall clock was set: the stamps of what waits are on the old one, and an arrival that seems old would end in a takeover.
    const isClockSet = Math.abs(offsetMs - this.#offsetMs) > CLOCK_STEP_MS;
    this.#offsetMs = offsetMs;
    for (let count = 1; receiver.receive(this.#receiveFd) >= 0; count++) {
      const nowMs = preciseNowMs();
      const arrivedAtMs = arrivalOf(receiver.arrivedAtUnixMs, isClockSet ? undefined : offsetMs, nowMs);
      this.#deliver(arrivedAtMs);
      if (isEnough(count, arrivedAtMs, nowMs)) return;
    }
  }

  #deliver(arrivedAtMs: number): void {
    const { bytes, source, destination, ttl } = receiver;
    if (!this.#isForUs(destination)) return;
    const routerId = peekRouterId(bytes);
    const user = routerId === undefined ? undefined : this.users.get(routerId);
    if (user === undefined) {
      this.#handleUnknownId();
      return;
    }
    const hopLimit = ttl === -1 ? undefined : ttl;
    user.handlePacket({ bytes, source, destination, hopLimit, arrivedAtMs });
  }

  /** A raw socket gets every packet of its protocol: multicast and unicast routers of one interface must not hear each other's. */
  #isForUs(destination: string): boolean {
    const { family, unicastSource } = this.#plan;
    return destination === "" || destination === (unicastSource ?? MULTICAST_GROUP[family]);
  }

  send(message: Uint8Array, source: string, destination: string): number {
    outgoing.bytes.set(message, 0);
    const from = this.#sourceOf(source);
    return sendTo(this.#sendFd, outgoing.address, message.length, this.#destinationOf(destination), from);
  }

  #sourceOf(host: string): EncodedSource {
    const known = this.#sources.get(host);
    if (known !== undefined) return known;
    const encoded = encodeSource(this.#plan.family, host, this.#plan.link.index);
    this.#sources.set(host, encoded);
    return encoded;
  }

  #destinationOf(host: string): EncodedAddress {
    const known = this.#destinations.get(host);
    if (known !== undefined) return known;
    const encoded = encodeDestination(host, this.#plan.link.index);
    this.#destinations.set(host, encoded);
    return encoded;
  }

  close(): void {
    this.#reactor.close(this.#receiveFd);
    close(this.#sendFd);
  }
}

/** `offsetMs` undefined: the stamps are not to be believed. */
function arrivalOf(arrivedAtUnixMs: number, offsetMs: number | undefined, nowMs: number): number {
  const isStamped = arrivedAtUnixMs !== 0 && offsetMs !== undefined;
  return isStamped ? Math.min(nowMs, arrivedAtUnixMs - offsetMs) : nowMs;
}

/** All channels of the process. */
export class AdvertisementSockets {
  readonly #reactor: Reactor;
  readonly #channels = new Map<string, Channel>();
  /** Advertisements of routers that are none of ours: other pairs share the segment. */
  unknownIdCount = 0;

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
  }

  /** Throws SyscallError: EPERM without CAP_NET_RAW. */
  open(plan: PortPlan, user: PortUser): AdvertisementPort {
    const channel = this.#channelOf(plan);
    if (channel.users.has(user.routerId)) {
      throw new Error(`two virtual routers with id ${user.routerId} on interface ${plan.link.name}`);
    }
    channel.users.set(user.routerId, user);
    return {
      send: (message, source, destination) => channel.send(message, source, destination),
      drain: () => channel.drain(),
      close: () => this.#leave(channel, user),
    };
  }

  #channelOf(plan: PortPlan): Channel {
    const key = `${plan.link.index} ${plan.family} ${plan.unicastSource ?? "multicast"}`;
    const known = this.#channels.get(key);
    if (known !== undefined) return known;
    const channel = new Channel(key, this.#reactor, plan, () => {
      this.unknownIdCount++;
    });
    this.#channels.set(key, channel);
    return channel;
  }

  #leave(channel: Channel, user: PortUser): void {
    if (channel.users.get(user.routerId) !== user) return;
    channel.users.delete(user.routerId);
    if (channel.users.size > 0) return;
    channel.close();
    this.#channels.delete(channel.key);
  }
}

function openReceiving({ family, link, unicastSource }: PortPlan): number {
  const fd = openRawSocket(family, VRRP_PROTOCOL);
  try {
    bindToDevice(fd, link.index);
    requestPacketDetails(fd, family);
    setReceiveBuffer(fd, RECEIVE_BUFFER_BYTES);
    setOnlyJoinedGroups(fd, family);
    if (unicastSource === undefined) {
      const result = joinGroup(fd, family, MULTICAST_GROUP[family], link.index);
      if (result < 0) throw new SyscallError("setsockopt", -result, `joining ${MULTICAST_GROUP[family]}`);
    }
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

function openSending({ family, link, isForeignSource }: PortPlan): number {
  const fd = openRawSocket(family, VRRP_PROTOCOL);
  try {
    attachFilter(fd, DROP_EVERYTHING);
    // An address of another interface as the source (IPV6_PKTINFO of a link-local address: net/ipv6/datagram.c).
    if (isForeignSource) setFreeBind(fd, family);
    bindToDevice(fd, link.index);
    setTimeToLive(fd, family, TIME_TO_LIVE);
    setTrafficClass(fd, family, TRAFFIC_CLASS);
    setMulticastLoop(fd, family, false);
    setMulticastInterface(fd, family, link.index);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** Port 0; a link-local IPv6 address needs its interface (sin6_scope_id). */
function encodeDestination(host: string, linkIndex: number): EncodedAddress {
  const target = allocate(SOCKADDR_IN6_LENGTH);
  target.bytes.fill(0);
  const address = encodeIp(host);
  if (address.length === 4) {
    target.bytes.writeUInt16LE(AF_INET, 0);
    target.bytes.set(address, 4);
    return { ...target, family: AF_INET, length: SOCKADDR_IN_LENGTH };
  }
  target.bytes.writeUInt16LE(AF_INET6, 0);
  target.bytes.set(address, 8);
  target.bytes.writeUInt32LE(linkIndex, 24);
  return { ...target, family: AF_INET6, length: SOCKADDR_IN6_LENGTH };
}
