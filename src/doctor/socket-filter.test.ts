import assert from "node:assert/strict";
import { test } from "node:test";
import { ALL_STATES, DiagTimer, TcpDiagState } from "../netlink/inet-diag.ts";
import { DEFAULT_TCP_SYSCTLS } from "./detection-time.ts";
import { parseSelector, type Selector } from "./selector.ts";
import {
  type JudgedSocket,
  matchesFilter,
  type SocketFilter,
  sortSockets,
  statesOfWord,
} from "./socket-filter.ts";
import { socketOf } from "./socket-fixtures.ts";
import { summarizeSockets } from "./socket-summary.ts";
import { verdictOf } from "./socket-verdict.ts";

const EVERYTHING: SocketFilter = {
  states: ALL_STATES,
  selector: [],
  ports: new Set(),
  idleLongerThanMs: undefined,
  isUnguardedOnly: false,
};

function judged(...socket: Parameters<typeof socketOf>): JudgedSocket {
  const record = socketOf(...socket);
  return { socket: record, verdict: verdictOf(record, DEFAULT_TCP_SYSCTLS) };
}

function selector(...words: string[]): Selector {
  const parsed = parseSelector(words);
  assert.ok(parsed.ok);
  return parsed.value;
}

const nginx = { holders: [{ pid: 7, fd: 3, processName: "nginx" }] };

test("each part of a filter has to hold", () => {
  const it = judged({}, nginx);
  const passes = (part: Partial<SocketFilter>): boolean => matchesFilter({ ...EVERYTHING, ...part }, it);
  assert.ok(passes({}));
  assert.ok(passes({ states: 1 << TcpDiagState.ESTABLISHED }));
  assert.ok(!passes({ states: 1 << TcpDiagState.LISTEN }));
  assert.ok(passes({ ports: new Set([8080]) }));
  assert.ok(passes({ ports: new Set([40_000]) }));
  assert.ok(!passes({ ports: new Set([80]) }));
  assert.ok(passes({ idleLongerThanMs: 59_999 }));
  assert.ok(!passes({ idleLongerThanMs: 60_000 }));
  assert.ok(passes({ isUnguardedOnly: true }));
  assert.ok(passes({ selector: selector("process:nginx", "peer:10.0.0.0/24") }));
  assert.ok(!passes({ selector: selector("process:nginx", "peer:10.0.1.0/24") }));
});

test("a listener is never idle and never unguarded: it has no peer", () => {
  const it = judged({ state: TcpDiagState.LISTEN });
  assert.ok(!matchesFilter({ ...EVERYTHING, idleLongerThanMs: 0 }, it));
  assert.ok(!matchesFilter({ ...EVERYTHING, isUnguardedOnly: true }, it));
});

test("words of --state: names in either spelling, and groups", () => {
  assert.equal(statesOfWord("ESTABLISHED"), 2);
  assert.equal(statesOfWord("time-wait"), 1 << TcpDiagState.TIME_WAIT);
  assert.equal(statesOfWord("syn_recv"), (1 << TcpDiagState.SYN_RECV) | (1 << TcpDiagState.NEW_SYN_RECV));
  assert.equal(statesOfWord("open"), 2 | (1 << TcpDiagState.CLOSE_WAIT));
  assert.equal(statesOfWord("constructor"), undefined);
});

test("the worst come first, and of those the longest idle", () => {
  const dying = judged({ timer: DiagTimer.RETRANSMIT, retransmits: 5, timerCount: 5 });
  const young = judged({ lastDataSentMs: 20_000 });
  const old = judged();
  const waiting = judged({ state: TcpDiagState.TIME_WAIT, hasInfo: false });
  const order = sortSockets([waiting, young, old, dying], "verdict");
  assert.deepEqual(order, [dying, old, young, waiting]);
  assert.deepEqual(sortSockets([young, old], "idle"), [old, young]);
});

test("the summary counts per process and per remote, and who closed first", () => {
  const summary = summarizeSockets([
    judged({}, nginx),
    judged({ state: TcpDiagState.CLOSE_WAIT, timer: DiagTimer.KEEPALIVE }, nginx),
    judged({ state: TcpDiagState.TIME_WAIT, inode: 0, hasInfo: false, peerAddress: "10.9.9.9" }),
    judged({ state: TcpDiagState.LISTEN }),
  ]);
  const { total, processes, remotes } = summary;
  assert.equal(total.sockets, 4);
  assert.deepEqual([total.open, total.unguarded, total.listening, total.timeWait], [2, 1, 1, 1]);
  assert.deepEqual([total.weClosedFirst, total.peerClosedFirst], [1, 1]);
  assert.deepEqual(
    processes.map(({ name, sockets }) => [name, sockets]),
    [
      ["nginx/7", 2],
      ["(no process)", 1],
      ["(not permitted to see)", 1],
    ],
  );
  assert.deepEqual(
    remotes.map(({ name, sockets }) => [name, sockets]),
    [
      ["10.0.0.2", 2],
      ["10.9.9.9", 1],
    ],
  );
});
