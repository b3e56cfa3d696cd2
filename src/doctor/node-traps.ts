/**
 * Traps of Node's own TCP keepalive, seen from outside in the options of a Node program's sockets. Pure. What Node does was measured
 * (Node 20) and is in libuv's src/unix/tcp.c: whoever sets a delay also gets an interval of 1 s and 10 probes, http.globalAgent sets
 * a delay of 1 s, setKeepAlive(true) without a delay leaves the kernel's 2 h, and TLS connections get none while a request is in flight.
 * Called by findings.ts.
 */

import { TcpDiagState } from "../netlink/inet-diag.ts";
import { crossesNetwork } from "./findings-sockets.ts";
import type { Finding, HostFacts, NodeProcess } from "./host-facts.ts";
import type { JudgedSocket } from "./socket-filter.ts";
import { isOpenState } from "./socket-record.ts";
import { spokenDuration } from "./spoken-duration.ts";

const LIBUV_INTERVAL_MS = 1000;
const LIBUV_PROBES = 10;
/** Where a client nearly always speaks TLS. */
const TLS_PORTS = new Set([443, 465, 563, 636, 853, 990, 993, 995, 5671, 6443, 6514, 8443, 8883, 9443]);

type TrapFacts = Pick<HostFacts, "nodeProcesses" | "sockets" | "tcpSysctls">;

export function findNodeTraps(facts: TrapFacts): Finding[] {
  return facts.nodeProcesses
    .filter((it) => !it.isHoldfast)
    .flatMap((it) => trapsOf(it, socketsOf(it, facts.sockets), facts));
}

function socketsOf({ pid }: NodeProcess, sockets: readonly JudgedSocket[]): readonly JudgedSocket[] {
  return sockets.filter(({ socket }) => socket.holders.some((holder) => holder.pid === pid));
}

interface Trap {
  readonly id: string;
  readonly severity: Finding["severity"];
  readonly caught: (it: JudgedSocket, ownPorts: ReadonlySet<number>, facts: TrapFacts) => boolean;
  readonly text: (sockets: readonly JudgedSocket[]) => string;
  readonly mend: (pid: number) => string;
}

/** A socket shows the first trap that it is caught in. */
const TRAPS: readonly Trap[] = [
  {
    id: "node-probe-every-second",
    severity: "risk",
    caught: ({ socket: { options } }) =>
      options?.isKeepaliveOn === true && options.idleMs <= 1000 && options.intervalMs <= LIBUV_INTERVAL_MS,
    text: (sockets) =>
      `${connections(sockets)} a probe every second while idle (the default of http.globalAgent): 11 s without network kill them, and batteries and NATs are kept busy`,
    mend: (pid) =>
      `holdfast enable pid:${pid} --so-keepalive 60s:10s:6; in the program: new http.Agent({ keepAlive: true, keepAliveMsecs: 60000 }), or setTcpKeepalive() of holdfast/tcp`,
  },
  {
    id: "node-keepalive-default-idle",
    severity: "risk",
    caught: ({ socket: { options } }, _ports, { tcpSysctls }) =>
      options?.isKeepaliveOn === true &&
      options.idleMs === tcpSysctls.keepaliveIdleMs &&
      options.idleMs >= 350_000,
    text: (sockets) =>
      `${connections(sockets)} keepalive on with the kernel's idle time of ${spokenDuration(sockets[0]!.socket.options!.idleMs)}: setKeepAlive(true) without a delay changes no time`,
    mend: (pid) =>
      `holdfast enable pid:${pid} --so-keepalive 60s:10s:6; in the program: socket.setKeepAlive(true, 60000)`,
  },
  {
    id: "node-tls-unguarded",
    severity: "risk",
    caught: ({ socket, verdict }, ownPorts) =>
      verdict.keepalive === "off" &&
      socket.diag.state === TcpDiagState.ESTABLISHED &&
      TLS_PORTS.has(socket.diag.peerPort) &&
      !ownPorts.has(socket.diag.localPort),
    text: (sockets) =>
      `${connections(sockets)} no keepalive towards a TLS port: https.Agent sends no probe while a request is in flight, and tls.connect() ignores keepAlive (nodejs/node #47137, #62003)`,
    mend: (pid) =>
      `holdfast enable pid:${pid} --so-keepalive 60s:10s:6; in the program: setTcpKeepalive(agent, "60s:10s:6") of holdfast/tcp, or tlsSocket.setKeepAlive(true, 60000) after secureConnect`,
  },
  {
    id: "node-ten-seconds",
    severity: "note",
    caught: ({ socket: { options } }) =>
      options?.isKeepaliveOn === true &&
      options.intervalMs === LIBUV_INTERVAL_MS &&
      options.probeCount === LIBUV_PROBES,
    text: (sockets) =>
      `${connections(sockets)} libuv's fixed interval of 1 s and 10 probes: once a probe is lost, 10 s without network end it`,
    mend: (pid) =>
      `holdfast enable pid:${pid} --so-keepalive 60s:10s:6; in the program: setTcpKeepalive() of holdfast/tcp, or setKeepAlive({ interval, count }) since Node 26.4`,
  },
];

function trapsOf(program: NodeProcess, sockets: readonly JudgedSocket[], facts: TrapFacts): Finding[] {
  const ownPorts = new Set(
    sockets
      .filter(({ socket }) => socket.diag.state === TcpDiagState.LISTEN)
      .map(({ socket }) => socket.diag.localPort),
  );
  const caught = new Map<Trap, JudgedSocket[]>();
  for (const it of sockets) {
    if (!isOpenState(it.socket.diag.state)) continue;
    // Within the host no box forgets, but a probe a second costs there as well.
    const trap = TRAPS.find((each) => each.caught(it, ownPorts, facts));
    if (trap === undefined || !(crossesNetwork(it) || trap.id === "node-probe-every-second")) continue;
    const group = caught.get(trap);
    if (group === undefined) caught.set(trap, [it]);
    else group.push(it);
  }
  return [...caught].map(([trap, group]) => ({
    id: trap.id,
    severity: trap.severity,
    text: `node/${program.pid} (${program.title}): ${trap.text(group)}`,
    mend: trap.mend(program.pid),
  }));
}

function connections(sockets: readonly JudgedSocket[]): string {
  return `${sockets.length} ${sockets.length === 1 ? "connection has" : "connections have"}`;
}
