/**
 * The PROXY protocol header at the beginning of a session (`proxy_protocol: accept`): looked at with MSG_PEEK until it is complete,
 * then taken off, so that what follows is payload for the relay and nothing needs to be kept. Called by session.ts.
 */
import { type Arena, RECEIVE_START } from "../proxy/arena.ts";
import {
  decodeProxyHeader,
  PROXY_HEADER_BYTES_MAX,
  type ProxyHeader,
} from "../proxy-protocol/proxy-header.ts";
import { Errno } from "../sys/errno.ts";
import { peek, recv } from "../sys/socket.ts";

/** A header is one small segment: whoever has not sent it by then will not (HAProxy's tutorials: 5 s to 10 s). */
export const HEADER_TIMEOUT_MS = 10_000;

export type AcceptedHeader = Pick<ProxyHeader, "source" | "destination">;

/** The header, or how far it is; a number is the errno of a broken connection. */
export function readProxyHeader(
  fd: number,
  arena: Arena,
): AcceptedHeader | "incomplete" | "malformed" | number {
  const peeked = peek(fd, arena.address + RECEIVE_START, PROXY_HEADER_BYTES_MAX);
  if (peeked === -Errno.EAGAIN || peeked === 0) return "incomplete";
  if (peeked < 0) return -peeked;
  const decoded = decodeProxyHeader(arena.bytes, RECEIVE_START, RECEIVE_START + peeked);
  if (decoded.status !== "complete") return decoded.status;
  recv(fd, arena.address + RECEIVE_START, decoded.length);
  return decoded.header;
}
