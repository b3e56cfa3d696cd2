import assert from "node:assert/strict";
import { test } from "node:test";
import { DiagTimer, TcpDiagState } from "../netlink/inet-diag.ts";
import type { RouterProcessStatus, RouterStatus } from "../observe/router-status.ts";
import type { PoolStatus, ServerStatus, StatusDocument } from "../observe/status.ts";
import { findingsOf } from "./findings.ts";
import { judgeSysctls } from "./findings-sysctl.ts";
import { abilitiesOf } from "./host-abilities.ts";
import type { Finding, GatewayReport, HostFacts } from "./host-facts.ts";
import { hostFacts, judgedSocket } from "./host-facts-fixtures.ts";
import { kernelVersion, parseNetstat, scriptOf } from "./host-facts-reader.ts";

function found(parts: Partial<HostFacts>): Finding[] {
  return findingsOf(hostFacts(parts));
}

const ids = (findings: readonly Finding[]): string[] => findings.map(({ id }) => id);

function only(findings: readonly Finding[], id: string): Finding {
  assert.deepEqual(ids(findings), [id]);
  return findings[0]!;
}

test("findingsOf() a healthy host: nothing", () => {
  const guarded = judgedSocket({}, {});
  assert.deepEqual(found({ sockets: [guarded] }), []);
});

test("a retransmitting connection is a problem, with its process and when it gives up", () => {
  const sockets = [
    judgedSocket(
      {
        timer: DiagTimer.RETRANSMIT,
        retransmits: 5,
        timerCount: 5,
        backoff: 5,
        unackedSegments: 1,
        timerLeftMs: 3000,
      },
      {},
    ),
  ];
  const finding = only(found({ sockets }), "sockets-dying");
  assert.equal(finding.severity, "problem");
  assert.match(finding.text, /1 connection gets no answer: app\/100 10\.0\.0\.1:45678 → 10\.0\.0\.2:5432/);
});

test("an open connection without keepalive is a risk across a network, and none within the host", () => {
  const far = only(found({ sockets: [judgedSocket({}, { isKeepaliveOn: false })] }), "sockets-unguarded");
  assert.equal(far.severity, "risk");
  assert.match(far.mend!, /^holdfast enable pid:100 peer:10\.0\.0\.2 --so-keepalive/);
  const near = { localAddress: "127.0.0.1", peerAddress: "127.0.0.1" };
  assert.deepEqual(found({ sockets: [judgedSocket(near, { isKeepaliveOn: false })] }), []);
  const own = { localAddress: "10.0.0.1", peerAddress: "10.0.0.1" };
  assert.deepEqual(found({ sockets: [judgedSocket(own, { isKeepaliveOn: false })] }), []);
});

test("a connection of which nobody has heard for half an hour, unguarded, is a half-open suspect", () => {
  const quiet = { lastDataSentMs: 1_800_000, lastDataReceivedMs: 1_800_000, lastAckReceivedMs: 1_800_000 };
  const findings = found({ sockets: [judgedSocket(quiet, { isKeepaliveOn: false })] });
  assert.deepEqual(ids(findings), ["sockets-half-open", "sockets-unguarded"]);
  assert.equal(findings[0]!.severity, "risk", "a healthy pool connection that rests looks the same");
  assert.match(findings[0]!.text, /a dead peer and a healthy connection at rest look the same/);
  assert.match(findings[0]!.mend!, /^holdfast probe '10\.0\.0\.1:45678->10\.0\.0\.2:5432'/);
});

test("the mend of sockets of several programs names each program or peer, never all sockets of the host", () => {
  const at = (pid: number, processName: string, peerAddress = "10.0.0.2") =>
    judgedSocket({ peerAddress }, { isKeepaliveOn: false }, { pid, processName });
  const mendOf = (...sockets: readonly ReturnType<typeof at>[]) =>
    only(found({ sockets }), "sockets-unguarded").mend!.split("; ");
  const tail = "--so-keepalive 60s:10s:6";
  assert.deepEqual(
    mendOf(at(7, "app"), at(8, "api")).slice(0, 2),
    [`holdfast enable pid:7 peer:10.0.0.2 ${tail}`, `holdfast enable pid:8 peer:10.0.0.2 ${tail}`],
    "their peer is in the selector where it is one: the connections within the host stay as they are",
  );
  assert.equal(
    mendOf(at(7, "app"), at(7, "app", "10.0.0.3"))[0],
    `holdfast enable pid:7 ${tail}`,
    "several peers",
  );
  assert.equal(
    mendOf(at(7, "postgres"), at(8, "postgres"))[0],
    `holdfast enable process:postgres peer:10.0.0.2 ${tail}`,
  );
  assert.equal(
    mendOf(at(7, "tmux: server"), at(8, "tmux: server"))[0],
    `holdfast enable pid:7 peer:10.0.0.2 ${tail}`,
    "a name that a shell would split",
  );
  const nobodys = { ...at(7, "app").socket, holders: [] };
  assert.equal(
    mendOf({ ...at(7, "app"), socket: nobodys })[0],
    `holdfast enable peer:10.0.0.2 ${tail}`,
    "of an unknown process",
  );
  const many = mendOf(...[1, 2, 3, 4, 5].map((pid) => at(pid, `app${pid}`)));
  assert.equal(many.filter((it) => it.startsWith("holdfast enable pid:")).length, 3);
  assert.match(many[3]!, /^and so on for 2 more$/);
});

test("keepalive whose first probe comes after 350 s is a risk, from the options or from the timer alone", () => {
  const options = [judgedSocket({}, { idleMs: 7_200_000, intervalMs: 75_000 })];
  assert.match(only(found({ sockets: options }), "keepalive-too-late").text, /after 2 h/);
  const timer = [judgedSocket({ timer: DiagTimer.KEEPALIVE, timerLeftMs: 7_000_000 })];
  only(found({ sockets: timer }), "keepalive-too-late");
  assert.deepEqual(found({ sockets: [judgedSocket({}, { idleMs: 300_000 })] }), []);
});

test("TCP_USER_TIMEOUT at or below the idle time: one lost probe kills (tcp_keepalive_timer())", () => {
  only(found({ sockets: [judgedSocket({}, { userTimeoutMs: 60_000 })] }), "user-timeout-below-idle");
  assert.deepEqual(found({ sockets: [judgedSocket({}, { userTimeoutMs: 115_000 })] }), []);
});

test("ten connections in CLOSE_WAIT for a minute are a leak of their program; nine are not", () => {
  const left = { state: TcpDiagState.CLOSE_WAIT, lastDataSentMs: 90_000, lastDataReceivedMs: 90_000 };
  const sockets = Array.from({ length: 10 }, (_, index) =>
    judgedSocket({ ...left, localPort: index + 1 }, {}),
  );
  const finding = only(found({ sockets }), "sockets-close-wait");
  assert.match(finding.text, /app\/100 has not closed 10 connections/);
  assert.match(finding.mend!, /holdfast sockets --process 100 --state close-wait/);
  assert.deepEqual(found({ sockets: sockets.slice(1) }), []);
});

test("a listener whose queue is full does not accept", () => {
  const listener = (waiting: number) =>
    judgedSocket({
      state: TcpDiagState.LISTEN,
      peerPort: 0,
      receiveQueueBytes: waiting,
      sendQueueBytes: 128,
    });
  only(found({ sockets: [listener(129)] }), "listener-queue-full");
  assert.deepEqual(found({ sockets: [listener(1)] }), []);
});

test("a thousand connections to one server in TIME_WAIT: we close first", () => {
  const sockets = Array.from({ length: 1000 }, (_, index) =>
    judgedSocket({ state: TcpDiagState.TIME_WAIT, localPort: 10_000 + index, inode: 0, hasInfo: false }),
  );
  assert.equal(only(found({ sockets }), "time-wait-many").severity, "risk");
  const sysctls = new Map([["net.ipv4.ip_local_port_range", "10000 11000"]]);
  const narrow = found({ sockets, sysctls }).find(({ id }) => id === "time-wait-many");
  assert.equal(narrow?.severity, "problem", "nearly all local ports are used up");
});

test("judgeSysctls() finds the defaults that hurt, with the sysctl that mends them", () => {
  const sysctls = new Map([
    ["net.ipv4.tcp_keepalive_time", "7200"],
    ["net.ipv4.tcp_retries2", "15"],
    ["net.netfilter.nf_conntrack_tcp_timeout_established", "600"],
    ["net.netfilter.nf_conntrack_count", "60000"],
    ["net.netfilter.nf_conntrack_max", "65536"],
    ["net.core.somaxconn", "128"],
  ]);
  const { findings, judgements } = judgeSysctls({
    sysctls,
    counters: new Map([["TcpExt.ListenOverflows", 12]]),
  });
  assert.deepEqual(ids(findings), [
    "sysctl-tcp_keepalive_time",
    "sysctl-tcp_retries2",
    "sysctl-somaxconn",
    "sysctl-nf_conntrack_tcp_timeout_established",
    "sysctl-nf_conntrack_count",
  ]);
  assert.ok(findings.every(({ mend }) => mend?.includes("sysctl -w")));
  assert.match(findings[1]!.text, /924\.6 s/);
  assert.equal(judgements.find(({ name }) => name.endsWith("somaxconn"))?.isGood, false);
  const good = judgeSysctls({
    sysctls: new Map([
      ["net.ipv4.tcp_keepalive_time", "120"],
      ["net.ipv4.tcp_retries2", "8"],
    ]),
    counters: new Map(),
  });
  assert.deepEqual(good.findings, []);
});

test("abilitiesOf() names the capability that is missing", () => {
  const all = abilitiesOf(hostFacts());
  assert.ok(
    all.every(({ works }) => works),
    JSON.stringify(all),
  );
  const none = abilitiesOf(
    hostFacts({
      isRoot: false,
      capabilities: new Set(),
      kernel: kernelVersion("5.4.0-42-generic"),
      cgroup2Directory: undefined,
    }),
  );
  const remark = (id: string) => none.find((it) => it.id === id)?.remark ?? "";
  assert.match(remark("borrow"), /needs Linux 5\.6, this is 5\.4\.0-42-generic/);
  assert.match(remark("foreign-processes"), /CAP_SYS_PTRACE \(sudo\)/);
  assert.match(remark("new-sockets"), /cgroup v2.*CAP_BPF/);
  assert.equal(none.find((it) => it.id === "measure")?.works, true);
});

test("abilitiesOf() explains Yama, which forbids borrowing descriptors to ordinary users", () => {
  const sysctls = new Map([["kernel.yama.ptrace_scope", "1"]]);
  const borrow = abilitiesOf(hostFacts({ sysctls, capabilities: new Set() })).find(
    ({ id }) => id === "borrow",
  );
  assert.equal(borrow?.works, false);
  assert.match(borrow?.remark ?? "", /sysctl -w kernel\.yama\.ptrace_scope=0/);
});

test("parseNetstat() reads /proc/net/netstat's pairs of lines", () => {
  const counters = parseNetstat(
    "TcpExt: SyncookiesSent ListenOverflows\nTcpExt: 1 22\nIpExt: InOctets\nIpExt: 5\n",
  );
  assert.deepEqual(
    [...counters],
    [
      ["TcpExt.SyncookiesSent", 1],
      ["TcpExt.ListenOverflows", 22],
      ["IpExt.InOctets", 5],
    ],
  );
});

test("scriptOf() names the script of a Node program, and never code or arguments", () => {
  assert.equal(
    scriptOf(["--max-old-space-size=64", "-r", "tracing", "/srv/app/server.js", "--token=x"]),
    "/srv/app/server.js",
  );
  assert.equal(scriptOf(["-e", "const secret = 1"]), undefined);
  assert.equal(scriptOf([""]), undefined);
});

// ── the gateway ──────────────────────────────────────────────────────────────────────────────────────────────

function gateway(parts: Partial<GatewayReport>, status: Partial<StatusDocument> = {}): GatewayReport {
  return {
    address: "unix:/run/holdfast.sock",
    status: {
      respawns: 0,
      configFile: "gateway.yaml",
      reloads: { ok: 0, failed: 0, last: null },
      pools: [],
      ...status,
    } as unknown as StatusDocument,
    warnings: [],
    legsWithoutKeepalive: [],
    sessionsAboutToExpire: 0,
    routersEarlier: undefined,
    ...parts,
  };
}

function pool(...servers: Partial<ServerStatus>[]): PoolStatus {
  return {
    name: "web",
    queue: { waiting: 0, queued: 0, timeouts: 0, refusals: 0 },
    servers: servers.map((it, index) => ({
      name: `s${index}:80`,
      state: "up",
      reason: null,
      idleLimitMs: null,
      ...it,
    })),
  } as unknown as PoolStatus;
}

test("a pool without a server is a problem; one server down is named with its reason", () => {
  const down = { state: "down", reason: "connect: ECONNREFUSED" } as const;
  only(found({ gateway: gateway({}, { pools: [pool(down, down)] }) }), "gateway-pool-down");
  const one = only(found({ gateway: gateway({}, { pools: [pool(down, {})] }) }), "gateway-server-down");
  assert.match(one.text, /s0:80 is down \(connect: ECONNREFUSED\) of pool web/);
});

test("what else the gateway says: a failed reload, legs without keepalive, warnings, what it has learnt", () => {
  const findings = found({
    gateway: gateway(
      {
        legsWithoutKeepalive: ["listener web"],
        warnings: ["gateway.yaml:3:5: warning: no good\n  hint: write better"],
      },
      {
        reloads: { ok: 0, failed: 1, last: { at: "", ok: false, lines: ["gateway.yaml:1:1: error"] } },
        pools: [pool({ idleLimitMs: 4500 })],
      },
    ),
  });
  assert.deepEqual(ids(findings), [
    "gateway-reload-failed",
    "gateway-leg-unguarded",
    "gateway-config",
    "gateway-learned-timeout",
  ]);
  assert.equal(findings[2]!.mend, "write better");
});

// ── virtual routers ──────────────────────────────────────────────────────────────────────────────────────────

function router(
  parts: Partial<RouterStatus> = {},
  counters: Partial<RouterStatus["counters"]> = {},
): RouterStatus {
  return {
    name: "edge",
    interface: "eth0",
    id: 51,
    state: "active",
    reason: null,
    isInMaintenance: false,
    addresses: [{ address: "192.0.2.10/24", isInstalled: true }],
    ...parts,
    counters: { advertisementsDiscarded: {}, conflictsSeen: 0, duplicateAddressesSeen: 0, ...counters },
  } as unknown as RouterStatus;
}

const RUNNING = {
  pid: 77,
  state: "running",
  heartbeatAgeMs: 200,
  restarts: 0,
  loopLagMsMax: 12,
  scheduling: { isRealtime: true, isMemoryLocked: true },
} as unknown as RouterProcessStatus;

function foundInRouters(
  routers: readonly RouterStatus[],
  process: Partial<RouterProcessStatus> = {},
  routersEarlier?: readonly RouterStatus[],
): Finding[] {
  return found({
    gateway: gateway({ routersEarlier }, { routers, routerProcess: { ...RUNNING, ...process } }),
  });
}

test("a virtual router that is well gives no finding, nor does a gateway without any", () => {
  assert.deepEqual(foundInRouters([router()]), []);
  assert.deepEqual(found({ gateway: gateway({}, { routers: [], routerProcess: null }) }), []);
});

test("a virtual router in fault is a problem with its reason, and the command that tells more", () => {
  const finding = only(foundInRouters([router({ state: "fault", reason: "eth0 is down" })]), "router-fault");
  assert.equal(finding.severity, "problem");
  assert.match(finding.text, /virtual router edge is in fault.*: eth0 is down/);
  assert.match(finding.mend!, /holdfast routers --history/);
});

test("a silent router process is one problem, not one for each router; a counted conflict is still told", () => {
  const lost = router({ state: "unknown", reason: "the router process is silent" }, { conflictsSeen: 2 });
  const findings = foundInRouters([lost, router({ name: "db", state: "unknown" })], {
    state: "silent",
    heartbeatAgeMs: 9000,
  });
  assert.deepEqual(ids(findings), ["router-process-silent", "router-conflict"]);
  assert.match(findings[0]!.text, /\(edge, db\) is unknown: .*pid 77.*silent for 9 s/);
  assert.equal(findings[0]!.severity, "problem");
  assert.equal(findings[1]!.severity, "risk");
});

test("two active routers, a foreign host with the address, an address that is missing: each with its command", () => {
  const findings = foundInRouters([
    router(
      { addresses: [{ address: "192.0.2.10/24", isInstalled: false }] },
      { conflictsSeen: 1, duplicateAddressesSeen: 3 },
    ),
  ]);
  assert.deepEqual(ids(findings), ["router-address-missing", "router-conflict", "router-duplicate-address"]);
  assert.match(findings[1]!.text, /at the same time as virtual router edge \(id 51 on eth0\) once/);
  assert.match(findings[2]!.mend!, /arping -D -c 3 -I eth0 192\.0\.2\.10/);
});

test("advertisements thrown away are a problem while their number rises, by reason; otherwise a note", () => {
  const counted = (badTtl: number, interval: number) =>
    router({}, { advertisementsDiscarded: { "bad-ttl": badTtl, "interval-mismatch": interval } });
  const rising = only(foundInRouters([counted(4, 9)], {}, [counted(4, 7)]), "router-discards");
  assert.equal(rising.severity, "problem");
  assert.match(rising.text, /at this moment.*: interval-mismatch 9 since/);
  assert.equal(
    only(foundInRouters([counted(4, 9)], {}, [counted(4, 9)]), "router-discards").severity,
    "note",
  );
  assert.match(
    only(foundInRouters([counted(4, 9)]), "router-discards").text,
    /bad-ttl 4, interval-mismatch 9/,
  );
});

test("a router process without real-time priority, or started again, is a risk; maintenance is a note", () => {
  const findings = foundInRouters([router({ state: "backup", isInMaintenance: true })], {
    restarts: 2,
    scheduling: { isRealtime: false, isMemoryLocked: true },
  });
  assert.deepEqual(
    findings.map(({ id, severity }) => [id, severity]),
    [
      ["router-process-restarts", "risk"],
      ["router-not-realtime", "risk"],
      ["router-maintenance", "note"],
    ],
  );
  assert.match(findings[1]!.mend!, /CAP_SYS_NICE/);
});
