/** Facts of a healthy host, and sockets to put on it: for the tests of what the doctor finds. */
import { type DiagSocket, DiagTimer, TcpDiagState } from "../netlink/inet-diag.ts";
import { DEFAULT_TCP_SYSCTLS } from "./detection-time.ts";
import type { HostFacts } from "./host-facts.ts";
import type { JudgedSocket } from "./socket-filter.ts";
import type { SocketOptions } from "./socket-record.ts";
import { verdictOf } from "./socket-verdict.ts";

export function hostFacts(parts: Partial<HostFacts> = {}): HostFacts {
  return {
    kernel: { release: "6.1.0", major: 6, minor: 1 },
    isRoot: true,
    capabilities: new Set([
      "CAP_NET_ADMIN",
      "CAP_SYS_PTRACE",
      "CAP_SYS_ADMIN",
      "CAP_BPF",
      "CAP_NET_BIND_SERVICE",
    ]),
    sysctls: new Map(),
    socketTableProblem: undefined,
    sockets: [],
    tcpSysctls: DEFAULT_TCP_SYSCTLS,
    counters: new Map(),
    nodeProcesses: [],
    cgroup2Directory: "/sys/fs/cgroup",
    gateway: undefined,
    gaps: [],
    ...parts,
  };
}

const ESTABLISHED: DiagSocket = {
  family: 4,
  state: TcpDiagState.ESTABLISHED,
  localAddress: "10.0.0.1",
  localPort: 45_678,
  peerAddress: "10.0.0.2",
  peerPort: 5432,
  interfaceIndex: 0,
  cookie: 1,
  uid: 0,
  inode: 4711,
  timer: DiagTimer.NONE,
  timerCount: 0,
  timerLeftMs: 0,
  receiveQueueBytes: 0,
  sendQueueBytes: 0,
  hasInfo: true,
  retransmits: 0,
  probes: 0,
  backoff: 0,
  rtoUs: 204_000,
  rttUs: 1000,
  rttVariationUs: 500,
  unackedSegments: 0,
  notSentBytes: 0,
  lastDataSentMs: 30_000,
  lastDataReceivedMs: 30_000,
  lastAckReceivedMs: 30_000,
  bytesAcked: 100,
  bytesReceived: 100,
  segmentsOut: 10,
  segmentsIn: 10,
  totalRetransmits: 0,
};

/** An established connection of `app`, pid 100, idle for 30 s, without keepalive. */
export function judgedSocket(
  diag: Partial<DiagSocket> = {},
  options?: Partial<SocketOptions>,
  holder: { readonly pid: number; readonly processName: string } = { pid: 100, processName: "app" },
): JudgedSocket {
  const socket = {
    diag: { ...ESTABLISHED, ...diag },
    holders: [{ ...holder, fd: 7 }],
    options:
      options === undefined
        ? undefined
        : {
            isKeepaliveOn: true,
            idleMs: 60_000,
            intervalMs: 10_000,
            probeCount: 6,
            userTimeoutMs: 0,
            ...options,
          },
  };
  return { socket, verdict: verdictOf(socket, DEFAULT_TCP_SYSCTLS) };
}
