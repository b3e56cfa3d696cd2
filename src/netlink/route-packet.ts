/**
 * rtnetlink(7) messages about links and addresses, to and from the values of route.ts. Pure. Constants:
 * include/uapi/linux/rtnetlink.h, if_link.h, if_addr.h.
 *
 *   ifinfomsg: 0 family (u8) | 2 device type (u16) | 4 index (i32) | 8 flags (u32) | 12 change mask (u32)
 *   ifaddrmsg: 0 family (u8) | 1 prefix length (u8) | 2 flags (u8) | 3 scope (u8) | 4 index (u32)
 */
import { encodeIp, formatIp } from "../ip/address.ts";
import {
  type Attributes,
  decodeAttributes,
  type NetlinkMessage,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  RequestBuilder,
  readText,
  readU8,
  readU32,
} from "./message.ts";
import type { AddressToInstall, InterfaceAddress, Link, RouteEvent } from "./route.ts";

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;

/** Multicast groups of NETLINK_ROUTE, RTNLGRP_… */
export const RTNLGRP_LINK = 1;
export const RTNLGRP_IPV4_IFADDR = 5;
export const RTNLGRP_IPV6_IFADDR = 9;

const AF_INET = 2;
const AF_INET6 = 10;

const IFINFOMSG_LENGTH = 16;
const IFF_UP = 0x1;
const IFF_NOARP = 0x80;
const IFF_LOWER_UP = 0x10000;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_MACVLAN_MODE = 1;
const MACVLAN_MODE_PRIVATE = 1;
/** RFC 2863 ifOperStatus; drivers that do not maintain it leave "unknown". */
const OPERSTATE_UNKNOWN = 0;
const OPERSTATE_UP = 6;

const IFADDRMSG_LENGTH = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_CACHEINFO = 6;
const IFA_FLAGS = 8;
const IFA_PROTO = 11;
const IFA_F_NODAD = 0x02;
const IFA_F_DADFAILED = 0x08;
const IFA_F_TENTATIVE = 0x40;
/** struct ifa_cacheinfo: preferred, valid (seconds), created, updated. */
const CACHEINFO_VALID = 4;
const FOR_EVER = 0xffffffff;
const SCOPES = new Map([
  [0, "global"],
  [253, "link"],
  [254, "host"],
] as const);

export function encodeGetLinks(sequence: number): Uint8Array {
  return linkHeader(new RequestBuilder(RTM_GETLINK, NLM_F_DUMP, sequence), 0, 0, 0).finish();
}

export function encodeGetAddresses(sequence: number): Uint8Array {
  return new RequestBuilder(RTM_GETADDR, NLM_F_DUMP, sequence).u32(0).u32(0).finish();
}

/**
 * RTM_NEWADDR that adds the address or renews its lifetime. `protocol`: IFA_PROTO (Linux 5.18), undefined leaves it out. Without
 * duplicate address detection in IPv6, since VRRP decides who has the address: it must answer at once.
 */
export function encodeInstallAddress(
  sequence: number,
  address: AddressToInstall,
  protocol: number | undefined,
): Uint8Array {
  const builder = new RequestBuilder(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, sequence);
  addressHeader(builder, address);
  if (address.family === "inet6") builder.attributeU32(IFA_FLAGS, IFA_F_NODAD);
  const seconds = address.validSeconds ?? FOR_EVER;
  const cacheInfo = new DataView(new ArrayBuffer(16));
  cacheInfo.setUint32(0, seconds, true);
  cacheInfo.setUint32(CACHEINFO_VALID, seconds, true);
  builder.attribute(IFA_CACHEINFO, new Uint8Array(cacheInfo.buffer));
  if (protocol !== undefined) builder.attributeU8(IFA_PROTO, protocol);
  return builder.finish();
}

export function encodeRemoveAddress(sequence: number, address: AddressToInstall): Uint8Array {
  return addressHeader(new RequestBuilder(RTM_DELADDR, NLM_F_ACK, sequence), address).finish();
}

/** A macvlan in private mode: macvlans of one parent never talk to each other (ip-link(8)). Created down. */
export function encodeCreateMacvlan(
  sequence: number,
  name: string,
  parentIndex: number,
  hardwareAddress: Uint8Array,
): Uint8Array {
  const builder = new RequestBuilder(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sequence);
  return linkHeader(builder, 0, 0, 0)
    .attributeText(IFLA_IFNAME, name)
    .attributeU32(IFLA_LINK, parentIndex)
    .attribute(IFLA_ADDRESS, hardwareAddress)
    .nested(IFLA_LINKINFO, () => {
      builder.attributeText(IFLA_INFO_KIND, "macvlan");
      builder.nested(IFLA_INFO_DATA, () => {
        builder.attributeU32(IFLA_MACVLAN_MODE, MACVLAN_MODE_PRIVATE);
      });
    })
    .finish();
}

export function encodeRemoveLink(sequence: number, index: number): Uint8Array {
  return linkHeader(new RequestBuilder(RTM_DELLINK, NLM_F_ACK, sequence), index, 0, 0).finish();
}

export function encodeSetLinkUp(sequence: number, index: number, isUp: boolean): Uint8Array {
  const builder = new RequestBuilder(RTM_NEWLINK, NLM_F_ACK, sequence);
  return linkHeader(builder, index, isUp ? IFF_UP : 0, IFF_UP).finish();
}

function linkHeader(builder: RequestBuilder, index: number, flags: number, change: number): RequestBuilder {
  return builder.u8(0).u8(0).u16(0).u32(index).u32(flags).u32(change);
}

function addressHeader(builder: RequestBuilder, address: AddressToInstall): RequestBuilder {
  const family = address.family === "inet" ? AF_INET : AF_INET6;
  const bytes = encodeIp(address.host);
  builder.u8(family).u8(address.prefixLength).u8(0).u8(0).u32(address.linkIndex);
  return builder.attribute(IFA_LOCAL, bytes).attribute(IFA_ADDRESS, bytes);
}

/** What a message says, as an event; undefined: something else, or not whole. */
export function decodeRouteEvent(message: NetlinkMessage): RouteEvent | undefined {
  if (message.type === RTM_NEWLINK || message.type === RTM_DELLINK) {
    const link = decodeLink(message.payload);
    if (link === undefined) return undefined;
    if (message.type === RTM_NEWLINK) return { kind: "link-changed", link };
    return { kind: "link-removed", index: link.index, name: link.name };
  }
  if (message.type === RTM_NEWADDR || message.type === RTM_DELADDR) {
    const address = decodeAddress(message.payload);
    if (address === undefined) return undefined;
    return { kind: message.type === RTM_NEWADDR ? "address-added" : "address-removed", address };
  }
  return undefined;
}

/** ifinfomsg and its attributes. AF_BRIDGE messages (a port joined or left a bridge) describe no link of their own: undefined. */
function decodeLink(payload: Uint8Array): Link | undefined {
  if (payload.length < IFINFOMSG_LENGTH || payload[0] !== 0) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const flags = view.getUint32(8, true);
  const attributes = decodeAttributes(payload, IFINFOMSG_LENGTH);
  const state = readU8(attributes, IFLA_OPERSTATE) ?? OPERSTATE_UNKNOWN;
  const information = attributes.get(IFLA_LINKINFO);
  return {
    index: view.getInt32(4, true),
    name: readText(attributes, IFLA_IFNAME) ?? "",
    hardwareAddress: new Uint8Array(attributes.get(IFLA_ADDRESS) ?? []),
    isUp:
      (flags & IFF_UP) !== 0 &&
      (flags & IFF_LOWER_UP) !== 0 &&
      (state === OPERSTATE_UP || state === OPERSTATE_UNKNOWN),
    isNoArp: (flags & IFF_NOARP) !== 0,
    mtu: readU32(attributes, IFLA_MTU) ?? 0,
    kind: information === undefined ? "" : (readText(decodeAttributes(information), IFLA_INFO_KIND) ?? ""),
    parentIndex: readU32(attributes, IFLA_LINK),
  };
}

/** ifaddrmsg and its attributes; families other than IP: undefined. */
function decodeAddress(payload: Uint8Array): InterfaceAddress | undefined {
  const family = payload[0];
  if (payload.length < IFADDRMSG_LENGTH || (family !== AF_INET && family !== AF_INET6)) return undefined;
  const attributes = decodeAttributes(payload, IFADDRMSG_LENGTH);
  // IFA_LOCAL is ours; on a point-to-point link IFA_ADDRESS is the peer's. IPv6 often has IFA_ADDRESS alone.
  const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
  if (bytes === undefined || bytes.length !== (family === AF_INET ? 4 : 16)) return undefined;
  const flags = readU32(attributes, IFA_FLAGS) ?? payload[2]!;
  return {
    linkIndex: new DataView(payload.buffer, payload.byteOffset, payload.length).getUint32(4, true),
    family: family === AF_INET ? "inet" : "inet6",
    host: formatIp(bytes),
    prefixLength: payload[1]!,
    scope: SCOPES.get(payload[3]! as 0 | 253 | 254) ?? "other",
    validSeconds: decodeValidSeconds(attributes),
    protocol: readU8(attributes, IFA_PROTO) ?? 0,
    isTentative: (flags & IFA_F_TENTATIVE) !== 0,
    isDuplicate: (flags & IFA_F_DADFAILED) !== 0,
  };
}

function decodeValidSeconds(attributes: Attributes): number | undefined {
  const seconds = readU32(attributes, IFA_CACHEINFO, CACHEINFO_VALID);
  return seconds === FOR_EVER ? undefined : seconds;
}
