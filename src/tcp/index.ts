/**
 * `holdfast/tcp`: TCP keepalive and TCP_INFO for the sockets of a Node program on Linux, in full: idle time, interval and count,
 * TCP_USER_TIMEOUT, for plain and TLS sockets, servers and agents, and an answer to "is the peer still there?" without sending
 * payload. docs/reference/library-tcp.md.
 *
 * @example
 * import https from "node:https";
 * import { probe, setTcpKeepalive, tcpInfo } from "holdfast/tcp";
 *
 * setTcpKeepalive(https.globalAgent, "60s:10s:6", { userTimeoutMs: 115_000 });   // every socket it makes
 * setTcpKeepalive(server, "60s:10s:6");                                          // every connection it accepts
 * if ((await probe(socket)).verdict === "dead") reconnect();
 * console.log(tcpInfo(socket)?.roundTripMs);
 */
export type { ProbeVerdict } from "../doctor/probe-machine.ts";
export { type ProbeAnswer, type ProbeOptions, probe } from "./probe.ts";
export {
  type KeepaliveSetting,
  type KeepaliveTarget,
  type KeepaliveTiming,
  type SetTcpKeepaliveOptions,
  setTcpKeepalive,
} from "./set-tcp-keepalive.ts";
export { type SocketTcpInfo, type TcpStateName, tcpInfo } from "./socket-tcp-info.ts";
