/**
 * What the router process asks of the kernel, one errand at a time, for the namespace tests: addresses with a lease, events, raw and packet
 * sockets. Runs in a node; a reactor like the router process, so it prints with writeSync: JSON lines, the first is {"event":"ready"}.
 * Usage: node link-program.js ERRAND INTERFACE [ARGUMENT …]; the errands are at the end of the file.
 */
import { writeSync } from "node:fs";
import {
  decodeArpFrame,
  ETHERTYPE_ARP,
  encodeArpProbe,
  encodeGratuitousRequest,
} from "../../src/arp/packet.ts";
import {
  decodeNeighbourFrame,
  ETHERTYPE_IPV6,
  encodeNeighbourProbe,
  encodeUnsolicitedAdvertisement,
} from "../../src/ndp/packet.ts";
import type { AddressToInstall } from "../../src/netlink/route.ts";
import { RouteClient, RouteWatch } from "../../src/netlink/route-client.ts";
import { PreciseTimers } from "../../src/reactor/precise-timer.ts";
import { Reactor } from "../../src/reactor/reactor.ts";
import { preciseNowMs, realtimeOffsetMs } from "../../src/sys/clock.ts";
import { EPOLLIN } from "../../src/sys/epoll.ts";
import { allocate } from "../../src/sys/memory.ts";
import {
  FrameReceiver,
  ONLY_NEIGHBOUR_DISCOVERY,
  openPacketSocket,
  sendFrame,
} from "../../src/sys/packet-socket.ts";
import {
  attachFilter,
  bindToDevice,
  DROP_EVERYTHING,
  encodeSource,
  type IpFamily,
  interfaceIndex,
  joinGroup,
  openRawSocket,
  PacketReceiver,
  requestPacketDetails,
  sendTo,
  setIpv6ChecksumOffset,
  setMulticastInterface,
  setMulticastLoop,
  setOnlyJoinedGroups,
  setReceiveBuffer,
  setTimeToLive,
  setTrafficClass,
} from "../../src/sys/raw-socket.ts";
import { encodeSocketAddress } from "../../src/sys/sockaddr.ts";

const [errand = "", interfaceName = "", ...rest] = process.argv.slice(2);
const ifindex = interfaceIndex(interfaceName);
const VIRTUAL_MAC = Uint8Array.of(0, 0, 0x5e, 0, 1, 0x33);
const reactor = new Reactor();

function print(record: Record<string, unknown>): void {
  writeSync(1, `${JSON.stringify(record)}\n`);
}

function familyOf(host: string): IpFamily {
  return host.includes(":") ? "inet6" : "inet";
}

function leaseOf(host: string, prefixLength: string, seconds: string): AddressToInstall {
  return {
    linkIndex: ifindex,
    family: familyOf(host),
    host,
    prefixLength: Number(prefixLength),
    validSeconds: Number(seconds),
  };
}

/** Installs once and ends: nobody is left to renew. */
function install(host: string, prefixLength: string, seconds: string): void {
  const client = new RouteClient();
  const result = client.installAddress(leaseOf(host, prefixLength, seconds));
  const installed = client.addresses().find((it) => it.host === host);
  print({ event: "ready", result, text: client.lastErrorText, installed });
}

/** Prints every change until it is killed. */
function watch(): void {
  const routes = new RouteWatch((event) => print({ ...event, event: event.kind }));
  reactor.register(routes.fd, EPOLLIN, routes);
  print({ event: "ready" });
  reactor.run();
}

/** Installs `count` times, one after the other, and prints how long the kernel kept each: {"event":"expired","afterMs":…}. */
function expiry(host: string, prefixLength: string, seconds: string, count: string): void {
  const client = new RouteClient();
  let installedAtMs = 0;
  let left = Number(count);
  const installNext = (): void => {
    installedAtMs = preciseNowMs();
    client.installAddress(leaseOf(host, prefixLength, seconds));
  };
  const routes = new RouteWatch((event) => {
    if (event.kind !== "address-removed" || event.address.host !== host) return;
    print({ event: "expired", afterMs: preciseNowMs() - installedAtMs });
    if (--left === 0) reactor.stop();
    // At another phase of the second each time.
    else new PreciseTimers(reactor).at(preciseNowMs() + 37 * left, installNext);
  });
  reactor.register(routes.fd, EPOLLIN, routes);
  print({ event: "ready" });
  installNext();
  reactor.run();
}

/** Renews every `renewMs` for `holdMs`, then lets go: {"event":"released"}, and {"event":"expired"} when the kernel removed it. */
function hold(host: string, prefixLength: string, seconds: string, renewMs: string, holdMs: string): void {
  const client = new RouteClient();
  const timers = new PreciseTimers(reactor);
  const endMs = timers.nowMs + Number(holdMs);
  let isReleased = false;
  let renewals = 0;
  let renewedAtMs = 0;
  const routes = new RouteWatch((event) => {
    if (event.kind !== "address-removed" || event.address.host !== host) return;
    print({ event: isReleased ? "expired" : "lost", afterMs: timers.nowMs - renewedAtMs });
    reactor.stop();
  });
  const renew = (): void => {
    renewedAtMs = timers.nowMs;
    client.installAddress(leaseOf(host, prefixLength, seconds));
    isReleased = timers.nowMs >= endMs;
    if (isReleased) print({ event: "released", renewals });
    else timers.at(timers.nowMs + Number(renewMs), renew);
    renewals++;
  };
  reactor.register(routes.fd, EPOLLIN, routes);
  print({ event: "ready" });
  renew();
  reactor.run();
}

/** Changes far more than the event socket has room for, and reads only then: {"event":"ready","overruns":…,"seen":…}. */
function overrun(host: string): void {
  const client = new RouteClient();
  const seen: string[] = [];
  const routes = new RouteWatch((event) => seen.push(event.kind));
  for (let round = 0; round < 5000; round++) {
    client.installAddress(leaseOf(host, "32", "60"));
    client.removeAddress(leaseOf(host, "32", "60"));
  }
  routes.drain();
  const overruns = seen.filter((kind) => kind === "overrun").length;
  seen.length = 0;
  client.installAddress(leaseOf(host, "32", "60"));
  routes.drain();
  print({ event: "ready", overruns, afterwards: seen });
}

function macvlan(name: string): void {
  const client = new RouteClient();
  const created = client.createMacvlan(name, ifindex, VIRTUAL_MAC);
  const again = client.createMacvlan(name, ifindex, VIRTUAL_MAC);
  const link = client.links().find((it) => it.name === name)!;
  const raised = client.setLinkUp(link.index, true);
  const raisedLink = client.links().find((it) => it.name === name)!;
  print({
    event: "ready",
    created,
    again,
    raised,
    isUp: raisedLink.isUp,
    kind: link.kind,
    index: link.index,
  });
  if (rest[1] === "remove") print({ event: "removed", result: client.removeLink(link.index) });
}

/** Joins the group and prints every packet of protocol 112, then goes on. */
function hear(group: string): void {
  const family = familyOf(group);
  const fd = openRawSocket(family, 112);
  const receiver = new PacketReceiver();
  bindToDevice(fd, ifindex);
  setOnlyJoinedGroups(fd, family);
  requestPacketDetails(fd, family);
  if (family === "inet6") setIpv6ChecksumOffset(fd, 6);
  const bufferBytes = setReceiveBuffer(fd, 1 << 20);
  const joined = joinGroup(fd, family, group, ifindex);
  const handler = {
    handleEvents(): void {
      while (receiver.receive(fd) >= 0) {
        const { source, destination, ttl } = receiver;
        const ageMs = preciseNowMs() - (receiver.arrivedAtUnixMs - realtimeOffsetMs());
        const isHere = receiver.ifindex === ifindex;
        const text = Buffer.from(receiver.bytes).toString("hex");
        print({ event: "heard", source, destination, ttl, ageMs, isHere, text });
      }
    },
  };
  reactor.register(fd, EPOLLIN, handler);
  print({ event: "ready", joined, bufferBytes });
  reactor.run();
}

/** One packet of protocol 112 to `destination`, from `source`. */
function speak(destination: string, source: string, hex: string): void {
  const family = familyOf(destination);
  const fd = openRawSocket(family, 112);
  attachFilter(fd, DROP_EVERYTHING);
  bindToDevice(fd, ifindex);
  setTimeToLive(fd, family, 255);
  setTrafficClass(fd, family, 0xc0);
  setMulticastLoop(fd, family, false);
  setMulticastInterface(fd, family, ifindex);
  if (family === "inet6") setIpv6ChecksumOffset(fd, 6);
  const message = allocate(hex.length / 2);
  message.bytes.write(hex, "hex");
  const target =
    family === "inet"
      ? encodeSocketAddress({ family, host: destination, port: 0 })
      : encodeSocketAddress({ family, host: destination, port: 0 });
  const sent = sendTo(
    fd,
    message.address,
    message.bytes.length,
    target,
    encodeSource(family, source, ifindex),
    true,
  );
  print({ event: "ready", sent });
}

/** Announces an address with the virtual MAC address. */
function announce(host: string): void {
  const fd = openPacketSocket({ ifindex, etherType: 0 });
  const frame =
    familyOf(host) === "inet"
      ? encodeGratuitousRequest(VIRTUAL_MAC, host)
      : encodeUnsolicitedAdvertisement(VIRTUAL_MAC, host);
  print({ event: "ready", sent: sendFrame(fd, frame) });
}

/** Asks who has an address, and prints the answer. */
function probe(host: string): void {
  const isArp = familyOf(host) === "inet";
  const own = new RouteClient().links().find((it) => it.index === ifindex)!.hardwareAddress;
  const fd = openPacketSocket({
    ifindex,
    etherType: isArp ? ETHERTYPE_ARP : ETHERTYPE_IPV6,
    ...(isArp ? {} : { filter: ONLY_NEIGHBOUR_DISCOVERY }),
  });
  const receiver = new FrameReceiver();
  const handler = {
    handleEvents(): void {
      while (receiver.receive(fd) >= 0) {
        const decoded = isArp ? decodeArpFrame(receiver.bytes) : decodeNeighbourFrame(receiver.bytes);
        print({ event: "answer", type: receiver.packetType, ...(decoded.ok ? decoded.value : decoded) });
      }
    },
  };
  reactor.register(fd, EPOLLIN, handler);
  print({
    event: "ready",
    sent: sendFrame(fd, isArp ? encodeArpProbe(own, host) : encodeNeighbourProbe(own, host)),
  });
  reactor.run();
}

const ERRANDS: Readonly<Record<string, (...words: string[]) => void>> = {
  install,
  watch,
  expiry,
  hold,
  overrun,
  macvlan,
  hear,
  speak,
  announce,
  probe,
};
ERRANDS[errand]!(...rest);
