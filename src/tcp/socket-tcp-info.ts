/** `tcpInfo(socket)` of holdfast/tcp: what the kernel knows about one connection of this program (tcp(7), TCP_INFO). */
import type net from "node:net";
import { getTcpInfo, type TcpInfo, TcpState } from "../sys/tcp-info.ts";
import { descriptorOf } from "./socket-fd.ts";

export type TcpStateName = keyof typeof TcpState;

export type SocketTcpInfo = Omit<TcpInfo, "state"> & { readonly state: TcpStateName };

const STATE_NAMES = new Map<number, TcpStateName>(
  Object.entries(TcpState).map(([name, number]) => [number, name as TcpStateName]),
);

/** undefined for a socket without a connection (not connected yet, closed) and for one that is not TCP. */
export function tcpInfo(socket: net.Socket): SocketTcpInfo | undefined {
  const fd = descriptorOf(socket);
  const info = fd === undefined ? undefined : getTcpInfo(fd);
  return info === undefined ? undefined : { ...info, state: STATE_NAMES.get(info.state) ?? "CLOSE" };
}
