/**
 * Which sockets are shown, and in which order. Pure. The words of the command line are parsed in cli/sockets.ts and in selector.ts;
 * this file compares. Called for every socket of the table.
 */
import { type DiagSocket, TcpDiagState } from "../netlink/inet-diag.ts";
import { matchesSelector, type Selector, type SelectorSubject } from "./selector.ts";
import { idleMsOf, isOpenState, type SocketRecord, stateName } from "./socket-record.ts";
import { type SocketVerdict, VERDICT_KINDS } from "./socket-verdict.ts";

export interface SocketFilter {
  /** Bits of TcpDiagState. */
  readonly states: number;
  /** Terms of the selector, all of which must hold. */
  readonly selector: Selector;
  /** Local or remote; one of them. Empty: any. */
  readonly ports: ReadonlySet<number>;
  readonly idleLongerThanMs: number | undefined;
  /** Only open connections that nobody probes. */
  readonly isUnguardedOnly: boolean;
}

export interface JudgedSocket {
  readonly socket: SocketRecord;
  readonly verdict: SocketVerdict;
}

export function matchesFilter(filter: SocketFilter, { socket, verdict }: JudgedSocket): boolean {
  const { diag } = socket;
  if ((filter.states & (1 << diag.state)) === 0) return false;
  if (filter.ports.size > 0 && !filter.ports.has(diag.localPort) && !filter.ports.has(diag.peerPort))
    return false;
  if (filter.isUnguardedOnly && !(isOpenState(diag.state) && verdict.keepalive === "off")) return false;
  if (filter.idleLongerThanMs !== undefined && !((idleMsOf(diag) ?? -1) > filter.idleLongerThanMs))
    return false;
  return filter.selector.length === 0 || matchesSelector(filter.selector, subjectOf(diag), socket.holders);
}

export function subjectOf(diag: DiagSocket): SelectorSubject {
  return {
    isListening: diag.state === TcpDiagState.LISTEN,
    localHost: diag.localAddress,
    localPort: diag.localPort,
    remoteHost: diag.peerAddress,
    remotePort: diag.peerPort,
  };
}

/** The words of --state; `open` and `closing` are groups. */
const STATE_GROUPS: Readonly<Record<string, readonly number[]>> = {
  open: [TcpDiagState.ESTABLISHED, TcpDiagState.CLOSE_WAIT],
  opening: [TcpDiagState.SYN_SENT, TcpDiagState.SYN_RECV, TcpDiagState.NEW_SYN_RECV],
  closing: [
    TcpDiagState.FIN_WAIT1,
    TcpDiagState.FIN_WAIT2,
    TcpDiagState.CLOSING,
    TcpDiagState.LAST_ACK,
    TcpDiagState.TIME_WAIT,
  ],
};

export const STATE_WORDS: readonly string[] = [
  ...Object.keys(STATE_GROUPS),
  ...Object.keys(TcpDiagState)
    .filter((name) => name !== "NEW_SYN_RECV" && name !== "CLOSE")
    .map((name) => name.toLowerCase()),
];

/** Bits of the states that a word means (`established`, `time-wait`, `open`); undefined: it is none. */
export function statesOfWord(word: string): number | undefined {
  const name = word.toLowerCase().replaceAll("-", "_");
  const group = Object.hasOwn(STATE_GROUPS, name) ? STATE_GROUPS[name] : undefined;
  if (group !== undefined) return group.reduce((bits, state) => bits | (1 << state), 0);
  let bits = 0;
  for (const state of Object.values(TcpDiagState))
    if (state !== TcpDiagState.CLOSE && stateName(state).toLowerCase() === name) bits |= 1 << state;
  return bits === 0 ? undefined : bits;
}

export const SORT_KEYS = ["verdict", "idle", "local", "remote", "process", "state", "queue"] as const;
export type SortKey = (typeof SORT_KEYS)[number];

const VERDICT_RANK = new Map(VERDICT_KINDS.map((kind, index) => [kind, index]));

/** In the order of a listing; ties are broken by idle time, longest first. */
export function sortSockets(judged: readonly JudgedSocket[], key: SortKey): JudgedSocket[] {
  const compare = PRIMARY[key];
  // Read once: a comparison is made fifteen times per socket.
  const entries = judged.map((it) => ({
    it,
    rank: key === "verdict" ? VERDICT_RANK.get(it.verdict.kind)! : 0,
    idleMs: idleMsOf(it.socket.diag) ?? -1,
  }));
  entries.sort((a, b) => a.rank - b.rank || compare(a.it, b.it) || b.idleMs - a.idleMs);
  return entries.map(({ it }) => it);
}

const PRIMARY: Readonly<Record<SortKey, (a: JudgedSocket, b: JudgedSocket) => number>> = {
  verdict: () => 0,
  idle: () => 0,
  local: ({ socket: { diag: a } }, { socket: { diag: b } }) =>
    compareText(a.localAddress, b.localAddress) || a.localPort - b.localPort,
  remote: ({ socket: { diag: a } }, { socket: { diag: b } }) =>
    compareText(a.peerAddress, b.peerAddress) || a.peerPort - b.peerPort,
  process: (
    {
      socket: {
        holders: [a],
      },
    },
    {
      socket: {
        holders: [b],
      },
    },
  ) => compareText(a?.processName ?? "~", b?.processName ?? "~") || (a?.pid ?? 0) - (b?.pid ?? 0),
  state: ({ socket: { diag: a } }, { socket: { diag: b } }) => a.state - b.state,
  queue: ({ socket: { diag: a } }, { socket: { diag: b } }) =>
    b.sendQueueBytes + b.receiveQueueBytes - a.sendQueueBytes - a.receiveQueueBytes,
};

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
