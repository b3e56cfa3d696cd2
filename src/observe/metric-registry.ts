/**
 * Every metric of Holdfast: the one registry that `GET /metrics` is written from (`prometheus.ts`) and that
 * docs/reference/metrics.md is generated from (`tools/generate-observe-docs.ts`). Names follow Prometheus: base units,
 * `_total` on counters. Pure. Names are a promise to dashboards: add, do not rename.
 */
import { ListenerSlot, PoolSlot, ServerSlot, WorkerSlot } from "./counter-layout.ts";
import type { GatewayFacts, ServerFacts } from "./gateway-facts.ts";
import { ROUTER_FAMILIES } from "./router-metrics.ts";

export type MetricType = "counter" | "gauge" | "histogram";
export type MetricScope = "gateway" | "worker" | "listener" | "pool" | "server" | "router";

/** Where the samples of a family come from. */
export type MetricSource =
  /** One slot of the scope's block, times `scale` (milliseconds to seconds: 0.001). */
  | { readonly kind: "slot"; readonly slot: number; readonly scale: number }
  /** Several slots, one sample each, told apart by one more label. */
  | {
      readonly kind: "slots";
      readonly label: string;
      readonly slots: readonly (readonly [value: string, slot: number])[];
    }
  | { readonly kind: "latency"; readonly firstBucketSlot: number; readonly sumSlot: number }
  /** The run of CLOSE_CAUSES of each listener and of each server, labels `side` and `cause`. */
  | { readonly kind: "closes" }
  | { readonly kind: "facts"; readonly read: (facts: GatewayFacts) => readonly FactSample[] };

export interface FactSample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface MetricFamily {
  readonly name: string;
  readonly type: MetricType;
  readonly scope: MetricScope;
  readonly labels: readonly string[];
  readonly help: string;
  readonly source: MetricSource;
}

const SCOPE_LABELS: Readonly<Record<MetricScope, readonly string[]>> = {
  gateway: [],
  worker: ["worker"],
  listener: ["listener"],
  pool: ["pool"],
  server: ["pool", "server"],
  router: ["router"],
};
const MS = 0.001;

function slot(
  scope: MetricScope,
  name: string,
  type: MetricType,
  slotOffset: number,
  help: string,
  scale = 1,
): MetricFamily {
  const source: MetricSource = { kind: "slot", slot: slotOffset, scale };
  return { name: `holdfast_${scope}_${name}`, type, scope, labels: SCOPE_LABELS[scope], help, source };
}

function fact(
  name: string,
  type: MetricType,
  labels: readonly string[],
  help: string,
  read: (facts: GatewayFacts) => readonly FactSample[],
): MetricFamily {
  return { name: `holdfast_${name}`, type, scope: "gateway", labels, help, source: { kind: "facts", read } };
}

/** One sample per server, out of what the supervisor knows; undefined: none for this server. */
function serverFact(
  name: string,
  type: MetricType,
  help: string,
  read: (server: ServerFacts) => number | undefined,
): MetricFamily {
  const readAll = (facts: GatewayFacts): FactSample[] =>
    facts.servers.flatMap((server) => {
      const value = read(server);
      return value === undefined ? [] : [{ labels: { pool: server.pool, server: server.server }, value }];
    });
  return {
    name: `holdfast_server_${name}`,
    type,
    scope: "server",
    labels: SCOPE_LABELS.server,
    help,
    source: { kind: "facts", read: readAll },
  };
}

/** As serverFact, with one more label. */
function serverFacts(
  name: string,
  type: MetricType,
  label: string,
  help: string,
  read: (server: ServerFacts) => Readonly<Record<string, number>>,
): MetricFamily {
  const readAll = (facts: GatewayFacts): FactSample[] =>
    facts.servers.flatMap((server) =>
      Object.entries(read(server)).map(([value, number]) => ({
        labels: { pool: server.pool, server: server.server, [label]: value },
        value: number,
      })),
    );
  return {
    name: `holdfast_server_${name}`,
    type,
    scope: "server",
    labels: [...SCOPE_LABELS.server, label],
    help,
    source: { kind: "facts", read: readAll },
  };
}

const ADMIN_STATES = ["up", "drain", "maint"] as const;
const HEALTH_STATES = ["up", "going-down", "down", "going-up"] as const;

export const METRIC_FAMILIES: readonly MetricFamily[] = [
  fact("build_info", "gauge", ["version"], "Always 1; the version is in the label.", (facts) => [
    { labels: { version: facts.version }, value: 1 },
  ]),
  fact("start_time_seconds", "gauge", [], "When the supervisor started, seconds since 1970.", (facts) => [
    { value: facts.startedAtMs * MS },
  ]),
  fact("phase", "gauge", ["phase"], "1 for the phase the gateway is in, 0 for the others.", (facts) =>
    facts.phases.map((phase) => ({ labels: { phase }, value: phase === facts.phase ? 1 : 0 })),
  ),
  fact("workers", "gauge", ["state"], "Worker processes by state.", (facts) =>
    (["starting", "running", "draining"] as const).map((state) => ({
      labels: { state },
      value: facts.workers.filter((worker) => worker.state === state).length,
    })),
  ),
  fact(
    "worker_respawns_total",
    "counter",
    [],
    "Workers started again because one ended by itself.",
    (facts) => [{ value: facts.respawns }],
  ),
  fact("reloads_total", "counter", ["result"], "Reloads of the configuration.", (facts) => [
    { labels: { result: "ok" }, value: facts.reloadsOk },
    { labels: { result: "failed" }, value: facts.reloadsFailed },
  ]),
  fact(
    "config_generation",
    "gauge",
    [],
    "Which configuration is in force: 1 after the start, plus 1 for each reload.",
    (facts) => [{ value: facts.generation }],
  ),
  fact(
    "config_last_reload_successful",
    "gauge",
    [],
    "0 when the last attempt to reload failed and the old configuration is still in force.",
    (facts) => [{ value: facts.lastReload?.ok === false ? 0 : 1 }],
  ),

  slot("worker", "loop_iterations_total", "counter", WorkerSlot.loopIterations, "Turns of the epoll loop."),
  slot(
    "worker",
    "loop_lag_seconds_max",
    "gauge",
    WorkerSlot.loopLagMsMax,
    "The longest the loop was away from epoll_wait.",
    MS,
  ),
  slot(
    "worker",
    "last_loop_timestamp_seconds",
    "gauge",
    WorkerSlot.lastLoopAtMs,
    "Last turn of the loop, seconds since 1970.",
    MS,
  ),
  slot("worker", "descriptors_in_use", "gauge", WorkerSlot.descriptorsInUse, "Open file descriptors."),
  slot(
    "worker",
    "descriptor_exhaustions_total",
    "counter",
    WorkerSlot.descriptorExhaustions,
    "Times accept or connect failed because the descriptor table was full (EMFILE, ENFILE).",
  ),
  slot("worker", "active_exchanges", "gauge", WorkerSlot.activeExchanges, "Requests in progress."),
  slot("worker", "timers_armed", "gauge", WorkerSlot.timersArmed, "Timers waiting in the timer wheel."),
  slot("worker", "heap_bytes", "gauge", WorkerSlot.heapBytes, "JavaScript heap in use."),

  slot("listener", "connections_accepted_total", "counter", ListenerSlot.accepted, "Accepted connections."),
  slot(
    "listener",
    "connections_active",
    "gauge",
    ListenerSlot.active,
    "Client connections with a request in progress.",
  ),
  slot(
    "listener",
    "connections_idle",
    "gauge",
    ListenerSlot.idle,
    "Persistent client connections that wait for a request.",
  ),
  slot("listener", "requests_total", "counter", ListenerSlot.requests, "Requests received."),
  slot(
    "listener",
    "requests_reused_total",
    "counter",
    ListenerSlot.reusedRequests,
    "Requests that were not the first of their connection.",
  ),
  {
    name: "holdfast_listener_responses_total",
    type: "counter",
    scope: "listener",
    labels: ["listener", "code"],
    help: "Responses sent, by class of status code.",
    source: {
      kind: "slots",
      label: "code",
      slots: [
        ["1xx", ListenerSlot.responses1xx],
        ["2xx", ListenerSlot.responses2xx],
        ["3xx", ListenerSlot.responses3xx],
        ["4xx", ListenerSlot.responses4xx],
        ["5xx", ListenerSlot.responses5xx],
      ],
    },
  },
  slot(
    "listener",
    "requests_rejected_total",
    "counter",
    ListenerSlot.rejected,
    "Requests that broke the rules of HTTP/1.1 and were answered by the gateway itself.",
  ),
  slot(
    "listener",
    "received_bytes_total",
    "counter",
    ListenerSlot.bytesReceived,
    "Bytes received from clients.",
  ),
  slot("listener", "sent_bytes_total", "counter", ListenerSlot.bytesSent, "Bytes sent to clients."),
  {
    name: "holdfast_listener_request_duration_seconds",
    type: "histogram",
    scope: "listener",
    labels: ["listener"],
    help: "From the first byte of a request to the last byte of its response.",
    source: {
      kind: "latency",
      firstBucketSlot: ListenerSlot.latency,
      sumSlot: ListenerSlot.latencySumMs,
    },
  },

  {
    name: "holdfast_pool_retries_total",
    type: "counter",
    scope: "pool",
    labels: ["pool", "reason"],
    help: "Requests sent again: `any` counts all, `stale` those whose reused connection had just been closed by the server, `provable` those that were not idempotent and provably never reached the server.",
    source: {
      kind: "slots",
      label: "reason",
      slots: [
        ["any", PoolSlot.retries],
        ["stale", PoolSlot.retriesStale],
        ["provable", PoolSlot.retriesProvable],
      ],
    },
  },
  slot(
    "pool",
    "no_server_total",
    "counter",
    PoolSlot.noServer,
    "Requests for which no server was available (503).",
  ),
  slot("pool", "connections_idle", "gauge", PoolSlot.idle, "Idle persistent connections kept for the pool."),
  slot(
    "pool",
    "waiting",
    "gauge",
    PoolSlot.waiting,
    "Requests and TCP sessions that wait in the queue: every server is at max_conns.",
  ),
  slot(
    "pool",
    "queued_total",
    "counter",
    PoolSlot.queued,
    "Requests and TCP sessions that had to wait in the queue.",
  ),
  slot(
    "pool",
    "queue_timeouts_total",
    "counter",
    PoolSlot.queueTimeouts,
    "Waited for the whole queue_timeout in vain (503, or the TCP session closed).",
  ),
  slot(
    "pool",
    "queue_refusals_total",
    "counter",
    PoolSlot.queueRefusals,
    "Found the queue full (503, or the TCP session closed).",
  ),

  slot("server", "connections_opened_total", "counter", ServerSlot.connectionsOpened, "Connections opened."),
  slot(
    "server",
    "connections_reused_total",
    "counter",
    ServerSlot.connectionsReused,
    "Requests sent on a connection that had already served one.",
  ),
  slot("server", "connections_active", "gauge", ServerSlot.active, "Connections with a request in progress."),
  slot("server", "connections_idle", "gauge", ServerSlot.idle, "Idle persistent connections."),
  slot("server", "requests_total", "counter", ServerSlot.requests, "Requests sent, retries included."),
  slot(
    "server",
    "failures_total",
    "counter",
    ServerSlot.failures,
    "Failed attempts of every kind: what max_fails counts.",
  ),
  slot(
    "server",
    "connect_failures_total",
    "counter",
    ServerSlot.connectFailures,
    "Connections that were refused, unreachable or not accepted within connect_timeout.",
  ),
  slot("server", "responses_5xx_total", "counter", ServerSlot.responses5xx, "Responses of class 5xx."),
  slot(
    "server",
    "passed_over",
    "gauge",
    ServerSlot.passedOver,
    "1 while at least one worker passes the server over after max_fails.",
  ),
  slot(
    "server",
    "idle_limit_seconds",
    "gauge",
    ServerSlot.idleLimitMs,
    "How long an idle connection to the server is trusted (learned with keepalive_timeout: auto); 0: nothing learned.",
    MS,
  ),
  {
    name: "holdfast_server_response_duration_seconds",
    type: "histogram",
    scope: "server",
    labels: ["pool", "server"],
    help: "From sending a request to the end of the server's response.",
    source: { kind: "latency", firstBucketSlot: ServerSlot.latency, sumSlot: ServerSlot.latencySumMs },
  },
  serverFact(
    "up",
    "gauge",
    "1 when the server takes new requests and sessions as far as health checks and the operator are concerned.",
    ({ admin, health }) =>
      admin === "up" && (health === undefined || health.state === "up" || health.state === "going-down")
        ? 1
        : 0,
  ),
  serverFacts(
    "health_state",
    "gauge",
    "state",
    "1 for the state its health checks give it, 0 for the others; absent without a health section.",
    ({ health }) =>
      health === undefined
        ? {}
        : Object.fromEntries(HEALTH_STATES.map((state) => [state, state === health.state ? 1 : 0])),
  ),
  serverFacts(
    "admin_state",
    "gauge",
    "state",
    "1 for the state the operator gave it, 0 for the others.",
    ({ admin }) => Object.fromEntries(ADMIN_STATES.map((state) => [state, state === admin ? 1 : 0])),
  ),
  serverFact("weight", "gauge", "Weight in force.", ({ weight }) => weight),
  serverFacts(
    "health_checks_total",
    "counter",
    "result",
    "Health checks done. Pools that share a check show the same.",
    ({ health }) =>
      health === undefined ? {} : { ok: health.checks - health.checksFailed, failed: health.checksFailed },
  ),
  serverFacts("health_changes_total", "counter", "to", "Times the server went up or down.", ({ health }) =>
    health === undefined ? {} : { up: health.timesUp, down: health.timesDown },
  ),
  serverFact(
    "health_since_timestamp_seconds",
    "gauge",
    "When the server last went up or down, seconds since 1970.",
    ({ health }) => health && health.sinceMs * MS,
  ),
  serverFact(
    "health_check_duration_seconds",
    "gauge",
    "How long the last health check took.",
    ({ health }) => health?.lastCheck && health.lastCheck.durationMs * MS,
  ),
  serverFact(
    "certificate_expiry_timestamp_seconds",
    "gauge",
    "When the certificate that the last https check saw ends, seconds since 1970.",
    ({ health }) =>
      health?.certificateExpiresAtMs === undefined ? undefined : health.certificateExpiresAtMs * MS,
  ),
  slot("server", "received_bytes_total", "counter", ServerSlot.bytesReceived, "Bytes received from servers."),
  slot("server", "sent_bytes_total", "counter", ServerSlot.bytesSent, "Bytes sent to servers."),

  {
    name: "holdfast_closes_total",
    type: "counter",
    scope: "listener",
    labels: ["listener | pool, server", "side", "cause"],
    help: "Closed connections by who closed first and why; client legs carry the label `listener`, upstream legs `pool` and `server`.",
    source: { kind: "closes" },
  },

  ...ROUTER_FAMILIES,
];
