/**
 * The table of sockets, counted: in all, per process, per remote address. Who closed first follows from the state (RFC 9293
 * §3.6): FIN_WAIT1, FIN_WAIT2 and TIME_WAIT are states of the side that did, CLOSE_WAIT and LAST_ACK of the other. Pure.
 */
import { TcpDiagState } from "../netlink/inet-diag.ts";
import type { JudgedSocket } from "./socket-filter.ts";
import { isOpenState } from "./socket-record.ts";

export interface SocketCounts {
  readonly sockets: number;
  /** ESTABLISHED and CLOSE_WAIT. */
  readonly open: number;
  /** Open, and nobody probes the peer. */
  readonly unguarded: number;
  readonly halfOpenSuspects: number;
  readonly dying: number;
  readonly probing: number;
  readonly listening: number;
  readonly timeWait: number;
  readonly weClosedFirst: number;
  readonly peerClosedFirst: number;
}

export interface SocketGroup extends SocketCounts {
  readonly name: string;
}

export interface SocketSummary {
  readonly total: SocketCounts;
  /** Most sockets first; empty where only the total was asked for. */
  readonly processes: readonly SocketGroup[];
  readonly remotes: readonly SocketGroup[];
}

/** In place of a name where the owner is not known. */
export const NO_PROCESS = "(no process)";
export const UNKNOWN_PROCESS = "(not permitted to see)";

type Tally = { -readonly [Key in keyof SocketCounts]: number };

/** Groups cost ten times what the total does, so they are made when wanted. */
export function summarizeSockets(judged: readonly JudgedSocket[], withGroups = true): SocketSummary {
  const total = emptyTally();
  const processes = new Map<string, Tally>();
  const remotes = new Map<string, Tally>();
  for (const it of judged) {
    count(total, it);
    if (!withGroups) continue;
    count(tallyOf(processes, processName(it)), it);
    if (it.socket.diag.state !== TcpDiagState.LISTEN) count(tallyOf(remotes, it.socket.diag.peerAddress), it);
  }
  return { total, processes: groups(processes), remotes: groups(remotes) };
}

function processName({ socket }: JudgedSocket): string {
  const [holder] = socket.holders;
  if (holder !== undefined) return `${holder.processName}/${holder.pid}`;
  return socket.diag.inode === 0 ? NO_PROCESS : UNKNOWN_PROCESS;
}

function emptyTally(): Tally {
  return {
    sockets: 0,
    open: 0,
    unguarded: 0,
    halfOpenSuspects: 0,
    dying: 0,
    probing: 0,
    listening: 0,
    timeWait: 0,
    weClosedFirst: 0,
    peerClosedFirst: 0,
  };
}

function tallyOf(tallies: Map<string, Tally>, name: string): Tally {
  let tally = tallies.get(name);
  if (tally === undefined) {
    tally = emptyTally();
    tallies.set(name, tally);
  }
  return tally;
}

function count(tally: Tally, { socket, verdict }: JudgedSocket): void {
  const { state } = socket.diag;
  tally.sockets += 1;
  if (isOpenState(state)) {
    tally.open += 1;
    if (verdict.keepalive === "off") tally.unguarded += 1;
  }
  if (verdict.isHalfOpenSuspect) tally.halfOpenSuspects += 1;
  if (verdict.kind === "dying") tally.dying += 1;
  if (verdict.kind === "probing") tally.probing += 1;
  if (state === TcpDiagState.LISTEN) tally.listening += 1;
  if (state === TcpDiagState.TIME_WAIT) tally.timeWait += 1;
  const closer = firstCloser(state);
  if (closer === "us") tally.weClosedFirst += 1;
  else if (closer === "peer") tally.peerClosedFirst += 1;
}

/** undefined: nobody has closed, or both at once. */
export function firstCloser(state: number): "us" | "peer" | undefined {
  switch (state) {
    case TcpDiagState.FIN_WAIT1:
    case TcpDiagState.FIN_WAIT2:
    case TcpDiagState.TIME_WAIT:
      return "us";
    case TcpDiagState.CLOSE_WAIT:
    case TcpDiagState.LAST_ACK:
      return "peer";
    default:
      return undefined;
  }
}

function groups(tallies: ReadonlyMap<string, Tally>): SocketGroup[] {
  return [...tallies]
    .map(([name, tally]) => ({ name, ...tally }))
    .sort((a, b) => b.sockets - a.sockets || (a.name < b.name ? -1 : 1));
}
