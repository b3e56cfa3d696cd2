/**
 * Socket addresses as the kernel lays them out: struct sockaddr_in, sockaddr_in6 (linux/in.h, in6.h), sockaddr_un (unix(7)).
 * The layouts are the same on every 64-bit Linux.
 */
import type { SocketAddress } from "../config/types.ts";
import { formatIpv6, ipv6Groups, isIpv4 } from "../ip/address.ts";
import { allocate, type NativeBuffer } from "./memory.ts";

export { formatIpv6, ipv6Groups };

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;

const FAMILY = 0;
const PORT = 2; // big-endian
const IN_ADDRESS = 4;
const IN6_ADDRESS = 8;
const UN_PATH = 2;

export const SOCKADDR_IN_LENGTH = 16;
export const SOCKADDR_IN6_LENGTH = 28;
/** Room for every family the gateway uses (struct sockaddr_storage is 128). */
export const SOCKADDR_LENGTH_MAX = 128;

export interface EncodedAddress extends NativeBuffer {
  readonly family: number;
  readonly length: number;
}

/** The bytes to hand to bind(2) or connect(2). Throws a TypeError where the address is no literal. */
export function encodeSocketAddress(address: SocketAddress): EncodedAddress {
  const target = allocate(SOCKADDR_LENGTH_MAX);
  target.bytes.fill(0);
  if (address.family === "unix") return encodeUnix(target, address.path);
  if (address.family === "inet") return encodeInet(target, address.host, address.port);
  return encodeInet6(target, address.host, address.port);
}

function encodeUnix(target: NativeBuffer, path: string): EncodedAddress {
  target.bytes.writeUInt16LE(AF_UNIX, FAMILY);
  const length = target.bytes.write(path, UN_PATH, 107, "utf8");
  return { ...target, family: AF_UNIX, length: UN_PATH + length + 1 };
}

function encodeInet(target: NativeBuffer, host: string, port: number): EncodedAddress {
  if (!isIpv4(host)) throw new TypeError(`not an IPv4 address: ${host}`);
  target.bytes.writeUInt16LE(AF_INET, FAMILY);
  target.bytes.writeUInt16BE(port, PORT);
  target.bytes.set(host.split(".").map(Number), IN_ADDRESS);
  return { ...target, family: AF_INET, length: SOCKADDR_IN_LENGTH };
}

function encodeInet6(target: NativeBuffer, host: string, port: number): EncodedAddress {
  const groups = ipv6Groups(host);
  if (groups.length !== 8 || !groups.every((group) => group >= 0 && group <= 0xffff)) {
    throw new TypeError(`not an IPv6 address: ${host}`);
  }
  target.bytes.writeUInt16LE(AF_INET6, FAMILY);
  target.bytes.writeUInt16BE(port, PORT);
  for (const [index, group] of groups.entries()) target.bytes.writeUInt16BE(group, IN6_ADDRESS + 2 * index);
  return { ...target, family: AF_INET6, length: SOCKADDR_IN6_LENGTH };
}

/** The address in `bytes` (as accept4(2) or getsockname(2) wrote it). */
export function decodeSocketAddress(bytes: Buffer, length: number): SocketAddress {
  const family = length >= 2 ? bytes.readUInt16LE(FAMILY) : AF_UNIX;
  if (family === AF_INET) {
    const host = `${bytes[IN_ADDRESS]}.${bytes[IN_ADDRESS + 1]}.${bytes[IN_ADDRESS + 2]}.${bytes[IN_ADDRESS + 3]}`;
    return { family: "inet", host, port: bytes.readUInt16BE(PORT) };
  }
  if (family === AF_INET6) {
    const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(IN6_ADDRESS + 2 * index));
    return { family: "inet6", host: formatIpv6(groups), port: bytes.readUInt16BE(PORT) };
  }
  const end = bytes.indexOf(0, UN_PATH);
  return {
    family: "unix",
    path: bytes.toString("utf8", UN_PATH, Math.min(length, end === -1 ? length : end)),
  };
}

/** "127.0.0.1:80", "[::1]:80", "unix:/run/x.sock". */
export function formatSocketAddress(address: SocketAddress): string {
  if (address.family === "unix") return `unix:${address.path}`;
  return address.family === "inet6" ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
