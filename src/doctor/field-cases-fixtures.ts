/**
 * Paths for tests: small builders, and the cases that people have reported (docs/guide/what-each-box-does.md has the boxes). Each
 * case says who was to blame and who was told what; the tests let the simulation find it. Pure.
 */
import type { Errno, Scenario } from "./fate.ts";
import type { EndPointHop, Hop, HopTcpKeepalive, PacketBoxHop, Path, ProxyHop, TcpEnd } from "./hop.ts";

const SECOND_MS = 1000;
export const RETRANSMISSION_TIMEOUT_MS = 924_600;
const SOURCE = { text: "a test" };

/** Seconds, as people write so_keepalive. */
export const keepalive = (idle: number, interval: number, probeCount: number): HopTcpKeepalive => ({
  idleMs: idle * SECOND_MS,
  intervalMs: interval * SECOND_MS,
  probeCount,
});

export const LINUX_DEFAULT_KEEPALIVE = keepalive(7200, 75, 9);

export const tcpEnd = (overrides: Partial<TcpEnd> = {}): TcpEnd => ({
  keepalive: undefined,
  userTimeoutMs: 0,
  retransmissionTimeoutMs: RETRANSMISSION_TIMEOUT_MS,
  ...overrides,
});

export const endPoint = (name: string, overrides: Partial<EndPointHop> = {}): EndPointHop => ({
  kind: "end-point",
  name,
  tcp: tcpEnd(),
  idleTimeoutMs: undefined,
  responseTimeoutMs: undefined,
  pingIntervalMs: undefined,
  source: SOURCE,
  ...overrides,
});

export interface BoxChoices {
  readonly halfClosed?: number;
  readonly unanswered?: number;
  readonly atExpiry?: PacketBoxHop["atExpiry"];
  readonly fromClient?: PacketBoxHop["afterExpiry"]["fromClient"];
  readonly fromServer?: PacketBoxHop["afterExpiry"]["fromServer"];
}

/** Time-outs in seconds. Silent and dropping, unless told otherwise. */
export const box = (
  name: string,
  established: number | undefined,
  choices: BoxChoices = {},
): PacketBoxHop => {
  const ms = (seconds: number | undefined): number | undefined =>
    seconds === undefined ? undefined : seconds * SECOND_MS;
  return {
    kind: "packet-box",
    name,
    timeouts: {
      establishedMs: ms(established),
      halfClosedMs: ms(choices.halfClosed),
      unansweredMs: ms(choices.unanswered),
    },
    atExpiry: choices.atExpiry ?? "silent",
    afterExpiry: { fromClient: choices.fromClient ?? "drop", fromServer: choices.fromServer ?? "drop" },
    source: SOURCE,
  };
};

export const proxy = (
  name: string,
  protocol: ProxyHop["protocol"],
  overrides: Partial<ProxyHop> = {},
): ProxyHop => ({
  kind: "proxy",
  name,
  protocol,
  clientSide: tcpEnd(),
  serverSide: tcpEnd(),
  clientIdleTimeoutMs: undefined,
  serverIdleTimeoutMs: undefined,
  upstreamIdleTimeoutMs: undefined,
  halfClosedTimeoutMs: undefined,
  onServerTimeout: protocol === "http" ? "error-response" : "close",
  onClientTimeout: "close",
  passesResetAs: protocol === "http" ? "error-response" : "reset",
  source: SOURCE,
  ...overrides,
});

export const path = (...hops: readonly Hop[]): Path => ({ hops });

/** The director answers the client with RST; the real server is told nothing (IPVS, VIP local to the director). */
export const ipvs = (established = 900): PacketBoxHop =>
  box("lvs", established, { halfClosed: 60, fromClient: "reset", fromServer: "drop" });

/** RST to the inside host when it next speaks, never to the other side. */
export const awsNatGateway = (): PacketBoxHop =>
  box("aws-nat-gateway", 350, { fromClient: "reset", fromServer: "drop" });

export interface FieldCase {
  /** Where people reported it. */
  readonly report: string;
  readonly path: Path;
  readonly scenario: Scenario;
  /** Index of the hop that ended it. */
  readonly culprit: number;
  /** What each end learns, by `hop/leg`; the time in seconds. */
  readonly learns: Readonly<
    Record<string, { readonly how: string; readonly errno?: Errno; readonly atS?: number }>
  >;
  /** Hops where a single change mends it: one of them has to be the advice. Empty: no single value does. */
  readonly mendedAt: readonly number[];
}

const idle = (seconds: number, thenSpeaks: "client" | "server" = "client"): Scenario => ({
  kind: "idle",
  atMs: seconds * SECOND_MS,
  thenSpeaks,
});

const on = (keepaliveOfEnd: HopTcpKeepalive, userTimeoutMs = 0): TcpEnd =>
  tcpEnd({ keepalive: keepaliveOfEnd, userTimeoutMs });

export const FIELD_CASES: readonly FieldCase[] = [
  {
    report: "moby/moby#31208: idle > 900 s over a swarm VIP on another host; the client is never told",
    path: path(
      endPoint("client"),
      box("docker-swarm-vip", 900, { halfClosed: 60, fromClient: "drop", fromServer: "drop" }),
      endPoint("server"),
    ),
    scenario: idle(1000),
    culprit: 1,
    learns: { "0/0": { how: "error", errno: "ETIMEDOUT", atS: 1925.824 }, "2/0": { how: "never" } },
    mendedAt: [0, 2],
  },
  {
    report: "cloudnativelabs/kube-router#521: RST comes from the local node, the server sees nothing",
    path: path(endPoint("client"), ipvs(), endPoint("server")),
    scenario: idle(1000),
    culprit: 1,
    learns: { "0/0": { how: "reset", errno: "ECONNRESET", atS: 1000 }, "2/0": { how: "never" } },
    mendedAt: [0, 2],
  },
  {
    report: "kubermatic/kubelb#539: Envoy's hour of idle time behind an IPVS that remembers 900 s",
    path: path(
      endPoint("client"),
      ipvs(),
      proxy("envoy", "tcp", { clientIdleTimeoutMs: 3_600_000, serverIdleTimeoutMs: 3_600_000 }),
      endPoint("server"),
    ),
    scenario: idle(1200),
    culprit: 1,
    // Envoy's session ends an hour after the last payload; its FIN to the client dies in the box, the server is told.
    learns: {
      "0/0": { how: "reset", errno: "ECONNRESET", atS: 1200 },
      "2/0": { how: "own-timeout", atS: 3600 },
      "3/1": { how: "fin", atS: 3600 },
    },
    mendedAt: [0, 2],
  },
  {
    report:
      "kubernetes/kubernetes#71358: the host's keepalive sysctls (120 s) are not those of the pod (7200 s)",
    path: path(endPoint("pod", { tcp: on(LINUX_DEFAULT_KEEPALIVE) }), ipvs(), endPoint("server")),
    scenario: idle(1000),
    culprit: 1,
    learns: { "0/0": { how: "reset", errno: "ECONNRESET", atS: 1000 }, "2/0": { how: "never" } },
    mendedAt: [0, 2],
  },
  {
    report:
      "nodejs/node#62003, aws-sdk-js-v3#3624: keepalive asked of https.Agent is never sent; long Lambda calls hang",
    path: path(endPoint("node-https"), awsNatGateway(), endPoint("lambda")),
    scenario: { kind: "slow-response", responseTimeMs: 600 * SECOND_MS },
    culprit: 1,
    learns: {
      "0/0": { how: "never" },
      "2/0": { how: "error", errno: "ETIMEDOUT", atS: 1525.824 },
    },
    mendedAt: [0, 2],
  },
  {
    report:
      "istio/istio#36499: the application's keepalive is not passed through Envoy; the other leg dies at 350 s",
    path: path(
      endPoint("app", { tcp: on(keepalive(60, 10, 3)) }),
      proxy("envoy", "tcp", { clientIdleTimeoutMs: 3_600_000, serverIdleTimeoutMs: 3_600_000 }),
      awsNatGateway(),
      endPoint("server"),
    ),
    scenario: idle(400),
    culprit: 2,
    learns: {
      "0/0": { how: "reset", errno: "ECONNRESET", atS: 400 },
      "1/1": { how: "reset", errno: "ECONNRESET", atS: 400 },
      "3/1": { how: "never" },
    },
    mendedAt: [1, 3],
  },
  {
    report: "hashicorp/boundary#3133: the NLB's 350 s were suspected, it was ingress-nginx's 10 min",
    path: path(
      endPoint("boundary-client", { tcp: on(keepalive(15, 15, 9)) }),
      box("aws-nlb", 350, { fromClient: "reset", fromServer: "reset" }),
      proxy("nginx", "tcp", { clientIdleTimeoutMs: 600_000, serverIdleTimeoutMs: 600_000 }),
      endPoint("boundary-worker"),
    ),
    scenario: idle(900),
    culprit: 2,
    learns: {
      "0/0": { how: "fin", atS: 600 },
      "2/0": { how: "own-timeout", atS: 600 },
      "3/1": { how: "fin", atS: 600 },
    },
    mendedAt: [2],
  },
  {
    report: "dash0-operator#1120, karpenter#6826: security-group tracking of Nitro v6 forgets after 350 s",
    path: path(
      endPoint("collector", { tcp: on(LINUX_DEFAULT_KEEPALIVE) }),
      box("ec2-security-group-nitro-v6", 350, { fromClient: "adopt", fromServer: "drop" }),
      endPoint("server"),
    ),
    scenario: idle(400, "server"),
    culprit: 1,
    learns: { "2/0": { how: "error", errno: "ETIMEDOUT", atS: 1325.824 } },
    mendedAt: [0, 2],
  },
  {
    report:
      "redis/lettuce#2082, redis-py#722: 925 s of hanging, keepalive or not: retransmission has priority",
    path: path(endPoint("lettuce", { tcp: on(keepalive(13, 13, 3)) }), endPoint("redis")),
    scenario: { kind: "host-dies-in-flight", who: "server" },
    culprit: 1,
    learns: { "0/0": { how: "error", errno: "ETIMEDOUT", atS: 925.824 } },
    mendedAt: [0],
  },
  {
    report:
      "pgjdbc/pgjdbc#1508: GCP's VPC drops at 10 min without RST; the query is done, the client waits for ever",
    path: path(
      endPoint("pgjdbc"),
      box("gcp-vpc", 600, { fromClient: "adopt", fromServer: "drop" }),
      endPoint("postgres", { tcp: on(LINUX_DEFAULT_KEEPALIVE) }),
    ),
    scenario: { kind: "slow-response", responseTimeMs: 900 * SECOND_MS },
    culprit: 1,
    learns: {
      "0/0": { how: "never" },
      "2/0": { how: "error", errno: "ETIMEDOUT", atS: 1825.824 },
    },
    mendedAt: [0, 2],
  },
  {
    report: "porsager/postgres#1089: half-open with a query in flight; keep_alive: 10 does not help",
    path: path(
      endPoint("postgres-js", { tcp: on(keepalive(10, 1, 10)) }),
      box("nat", 3600),
      endPoint("postgres", { tcp: on(LINUX_DEFAULT_KEEPALIVE) }),
    ),
    scenario: { kind: "host-dies-in-flight", who: "server" },
    culprit: 2,
    learns: { "0/0": { how: "error", errno: "ETIMEDOUT", atS: 925.824 } },
    mendedAt: [0],
  },
  {
    report: "kubernetes/client-go#374, grpc-go#3206: a host dies, its watchers are half-open for 15 minutes",
    path: path(
      endPoint("kubelet", { tcp: on(keepalive(30, 30, 9)), pingIntervalMs: 10 * SECOND_MS }),
      box("aws-nlb", 350, { fromClient: "reset", fromServer: "reset" }),
      endPoint("kube-apiserver"),
    ),
    scenario: { kind: "host-dies-idle", who: "server" },
    culprit: 2,
    // The next heartbeat is never acknowledged, and from then on the probes are silent.
    learns: { "0/0": { how: "error", errno: "ETIMEDOUT", atS: 935.824 } },
    mendedAt: [0],
  },
];
