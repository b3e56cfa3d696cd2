/**
 * What the socket table says about a host as a whole: connections that are dying, that nobody guards, that are probed too late, that
 * a program forgot to close. Pure. Connections within the host are left out where only a network could forget them.
 */
import { isLocalAddress } from "../config/address.ts";
import { DiagTimer, TcpDiagState } from "../netlink/inet-diag.ts";
import type { Finding, HostFacts } from "./host-facts.ts";
import type { JudgedSocket } from "./socket-filter.ts";
import { idleMsOf, isOpenState, localEndpoint, peerEndpoint } from "./socket-record.ts";
import { spokenDuration } from "./spoken-duration.ts";

type SocketFacts = Pick<HostFacts, "sockets" | "tcpSysctls" | "sysctls">;

const COMMON_BOX_MS = 350_000;
const NAMED_MAX = 3;
const FORGOTTEN_MIN = 10;
const FORGOTTEN_AFTER_MS = 60_000;
const TIME_WAIT_MIN = 1000;

export function findInSockets(facts: SocketFacts): Finding[] {
  return [
    ...dying(facts.sockets),
    ...suspects(facts.sockets),
    ...forgottenByPrograms(facts.sockets),
    ...fullQueues(facts.sockets),
    ...lateProbes(facts.sockets),
    ...hastyTimeouts(facts.sockets),
    ...unguarded(facts.sockets),
    ...timeWaits(facts),
  ];
}

/** Both ends on this host: no box can forget it, and a dead peer's kernel says so. */
export function crossesNetwork({ socket }: Pick<JudgedSocket, "socket">): boolean {
  const { localAddress, peerAddress } = socket.diag;
  if (localAddress === peerAddress) return false;
  return !isLocalAddress({
    family: peerAddress.includes(":") ? "inet6" : "inet",
    host: peerAddress,
    port: socket.diag.peerPort,
  });
}

const isOpen = ({ socket }: JudgedSocket): boolean => isOpenState(socket.diag.state);

function dying(sockets: readonly JudgedSocket[]): Finding[] {
  const found = sockets.filter(({ verdict }) => verdict.kind === "dying" || verdict.kind === "probing");
  if (found.length === 0) return [];
  return [
    {
      id: "sockets-dying",
      severity: "problem",
      text: `${count(found.length, "connection gets", "connections get")} no answer: ${named(found, (it) => it.verdict.reason)}`,
      mend: "holdfast sockets --limit 20 shows the worst first; holdfast enable SELECTOR --tcp-user-timeout 60s shortens the wait of those to come",
    },
  ];
}

/** A risk and no problem: from here a dead peer and a healthy connection of a pool at rest look the same. Only a probe tells. */
function suspects(sockets: readonly JudgedSocket[]): Finding[] {
  const found = sockets.filter(
    (it) => it.verdict.isHalfOpenSuspect && it.verdict.kind !== "dying" && it.verdict.kind !== "probing",
  );
  const far = found.filter(crossesNetwork);
  if (far.length === 0) return [];
  const longest = far.toSorted((a, b) => (idleMsOf(b.socket.diag) ?? 0) - (idleMsOf(a.socket.diag) ?? 0));
  const others = far.length === 1 ? "" : `; all of them: ${commands(far, "holdfast probe")}`;
  return [
    {
      id: "sockets-half-open",
      severity: "risk",
      text: `${count(far.length, "connection may be", "connections may be")} half-open, quiet for long and asked by nobody (a dead peer and a healthy connection at rest look the same): ${named(longest, (it) => `quiet for ${spokenDuration(idleMsOf(it.socket.diag) ?? 0)}`)}`,
      mend: `holdfast probe ${pairOf(longest[0]!)} tells which it is, without a byte of payload${others}`,
    },
  ];
}

/** The peer has closed and the program has not: a descriptor leak. */
function forgottenByPrograms(sockets: readonly JudgedSocket[]): Finding[] {
  const left = sockets.filter(
    ({ socket }) =>
      socket.diag.state === TcpDiagState.CLOSE_WAIT && (idleMsOf(socket.diag) ?? 0) > FORGOTTEN_AFTER_MS,
  );
  return byProcess(left)
    .filter(([, group]) => group.length >= FORGOTTEN_MIN)
    .map(([name, group]) => ({
      id: "sockets-close-wait",
      severity: "problem" as const,
      text: `${name} has not closed ${group.length} connections that their peers closed over a minute ago (CLOSE_WAIT): it leaks descriptors`,
      mend: `mend the program (close on end of file); until then restart it. They are: holdfast sockets --process ${name.replace(/^.*\//, "")} --state close-wait`,
    }));
}

/** Of a listener: the receive queue counts waiting connections, the send queue is its backlog. */
function fullQueues(sockets: readonly JudgedSocket[]): Finding[] {
  return sockets
    .filter(({ socket }) => {
      const { state, receiveQueueBytes: waiting, sendQueueBytes: backlog } = socket.diag;
      return state === TcpDiagState.LISTEN && backlog > 0 && waiting >= Math.max(2, backlog * 0.8);
    })
    .map((it) => ({
      id: "listener-queue-full",
      severity: "problem" as const,
      text: `${holderName(it)} does not accept: ${it.socket.diag.receiveQueueBytes} connections wait at ${localEndpoint(it.socket.diag)}, its backlog is ${it.socket.diag.sendQueueBytes}`,
      mend: "see what the program is doing (a frozen one still gets connections); a heartbeat or health check takes such a server out of rotation",
    }));
}

function lateProbes(sockets: readonly JudgedSocket[]): Finding[] {
  const late = sockets.filter(
    (it) =>
      isOpen(it) && crossesNetwork(it) && it.verdict.keepalive === "on" && firstProbeMs(it) >= COMMON_BOX_MS,
  );
  if (late.length === 0) return [];
  return [
    {
      id: "keepalive-too-late",
      severity: "risk",
      text: `${count(late.length, "connection has", "connections have")} keepalive on, but the first probe comes later than NAT gateways and load balancers forget (350 s): ${named(late, (it) => `after ${spokenDuration(firstProbeMs(it))}`)}`,
      mend: commands(late, "holdfast enable", " --so-keepalive 2m:30s:4"),
    },
  ];
}

/** Options where they were read; otherwise what the timer shows (at most the idle time is left of it). */
function firstProbeMs({ socket }: JudgedSocket): number {
  if (socket.options !== undefined) return socket.options.idleMs;
  return socket.diag.timer === DiagTimer.KEEPALIVE ? socket.diag.timerLeftMs : 0;
}

/** With TCP_USER_TIMEOUT the kernel ignores the count (tcp_keepalive_timer(), net/ipv4/tcp_timer.c). */
function hastyTimeouts(sockets: readonly JudgedSocket[]): Finding[] {
  const hasty = sockets.filter(({ socket: { options } }) => {
    if (options === undefined || !options.isKeepaliveOn || options.userTimeoutMs === 0) return false;
    return options.probeCount > 1 && options.userTimeoutMs <= options.idleMs;
  });
  if (hasty.length === 0) return [];
  return [
    {
      id: "user-timeout-below-idle",
      severity: "risk",
      text: `${count(hasty.length, "socket has", "sockets have")} TCP_USER_TIMEOUT at or below the keepalive idle time: one lost probe kills a healthy connection: ${named(hasty, (it) => `${spokenDuration(it.socket.options!.userTimeoutMs)} against ${spokenDuration(it.socket.options!.idleMs)}`)}`,
      mend: `set it a little below idle + interval × count: ${commands(hasty, "holdfast enable", " --so-keepalive 60s:10s:3 --tcp-user-timeout 85s")}`,
    },
  ];
}

function unguarded(sockets: readonly JudgedSocket[]): Finding[] {
  const found = sockets.filter((it) => isOpen(it) && crossesNetwork(it) && it.verdict.keepalive === "off");
  if (found.length === 0) return [];
  const groups = byProcess(found).map(([name, group]) => `${name} ${group.length}`);
  return [
    {
      id: "sockets-unguarded",
      severity: "risk",
      text: `${count(found.length, "open connection has", "open connections have")} no keepalive: a peer that vanishes is never noticed (${listed(groups)})`,
      mend: `${commands(found, "holdfast enable", " --so-keepalive 60s:10s:6")}; listening sockets too, then what they accept is guarded: holdfast enable listen:PORT --so-keepalive 60s:10s:6`,
    },
  ];
}

function timeWaits({ sockets, sysctls }: SocketFacts): Finding[] {
  const byRemote = new Map<string, number>();
  for (const { socket } of sockets) {
    if (socket.diag.state !== TcpDiagState.TIME_WAIT) continue;
    const remote = peerEndpoint(socket.diag);
    byRemote.set(remote, (byRemote.get(remote) ?? 0) + 1);
  }
  const [low = 32_768, high = 60_999] = (sysctls.get("net.ipv4.ip_local_port_range") ?? "")
    .split(/\s+/)
    .filter((word) => word !== "")
    .map(Number);
  return [...byRemote]
    .filter(([, waiting]) => waiting >= TIME_WAIT_MIN)
    .map(([remote, waiting]) => ({
      id: "time-wait-many",
      severity: waiting > (high - low + 1) * 0.8 ? ("problem" as const) : ("risk" as const),
      text: `${waiting} connections to ${remote} are in TIME_WAIT: we close first, one connection per request; there are ${high - low + 1} local ports`,
      mend: "keep connections open between requests (a pool on our side), or let the other end close first",
    }));
}

function byProcess(sockets: readonly JudgedSocket[]): [string, JudgedSocket[]][] {
  const groups = new Map<string, JudgedSocket[]>();
  for (const it of sockets) {
    const name = holderName(it);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [it]);
    else group.push(it);
  }
  return [...groups].toSorted(([, a], [, b]) => b.length - a.length);
}

export function holderName({ socket }: JudgedSocket): string {
  const [holder] = socket.holders;
  return holder === undefined ? "(unknown process)" : `${holder.processName}/${holder.pid}`;
}

/** One command for each program: `all` would change sockets that nothing is wrong with. */
function commands(sockets: readonly JudgedSocket[], verb: string, options = ""): string {
  const selectors = selectorsOf(sockets);
  const texts = selectors.slice(0, NAMED_MAX).map((selector) => `${verb} ${selector}${options}`);
  const more = selectors.length - texts.length;
  return `${texts.join("; ")}${more > 0 ? `; and so on for ${more} more` : ""}`;
}

/** Programs of one name together; with the peer where it is one, which leaves out what the program has within the host. */
function selectorsOf(sockets: readonly JudgedSocket[]): string[] {
  const pidsByName = new Map<string, Set<number>>();
  for (const { socket } of sockets)
    for (const { processName, pid } of socket.holders.slice(0, 1))
      pidsByName.set(processName, (pidsByName.get(processName) ?? new Set()).add(pid));
  const programOf = ({ socket: { holders } }: JudgedSocket): string => {
    const [holder] = holders;
    if (holder === undefined) return "";
    const isOne = pidsByName.get(holder.processName)?.size === 1;
    return isOne || !PLAIN_NAME.test(holder.processName)
      ? `pid:${holder.pid}`
      : `process:${holder.processName}`;
  };
  const peersByProgram = new Map<string, Set<string>>();
  for (const it of sockets) {
    const program = programOf(it);
    peersByProgram.set(
      program,
      (peersByProgram.get(program) ?? new Set()).add(`peer:${it.socket.diag.peerAddress}`),
    );
  }
  return [...peersByProgram].flatMap(([program, peers]) => {
    if (program === "") return [...peers];
    return [peers.size === 1 ? `${program} ${[...peers][0]}` : program];
  });
}

/** Needs no quotes in a shell, and has no comma, which separates selectors. */
const PLAIN_NAME = /^[\w.-]+$/;

function pairOf({ socket: { diag } }: JudgedSocket): string {
  return `'${localEndpoint(diag)}->${peerEndpoint(diag)}'`;
}

function named(sockets: readonly JudgedSocket[], remark: (it: JudgedSocket) => string): string {
  const texts = sockets
    .slice(0, NAMED_MAX)
    .map(
      (it) =>
        `${holderName(it)} ${localEndpoint(it.socket.diag)} → ${peerEndpoint(it.socket.diag)} (${remark(it)})`,
    );
  const more = sockets.length - texts.length;
  return `${texts.join("; ")}${more > 0 ? `; and ${more} more` : ""}`;
}

function listed(words: readonly string[]): string {
  const shown = words.slice(0, NAMED_MAX);
  return `${shown.join(", ")}${words.length > shown.length ? `, and ${words.length - shown.length} more` : ""}`;
}

function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}
