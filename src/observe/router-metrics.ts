/**
 * The metrics of virtual routers, all out of what the supervisor knows: a part of the registry (metric-registry.ts), which lists them
 * in its own order. Pure. Names are a promise to dashboards: add, do not rename.
 */
import { ROUTER_STATES } from "../vrrp/state.ts";
import type { GatewayFacts } from "./gateway-facts.ts";
import type { FactSample, MetricFamily, MetricType } from "./metric-registry.ts";
import type { RouterProcessStatus, RouterStatus } from "./router-status.ts";

const MS = 0.001;
const STATES = [...ROUTER_STATES, "unknown"] as const;

/** Samples of one router, without its name; a number is one sample without further labels. */
type RouterSamples = number | undefined | readonly FactSample[];

function family(
  name: `holdfast_router_${string}`,
  type: MetricType,
  labels: readonly string[],
  help: string,
  read: (facts: GatewayFacts) => readonly FactSample[],
): MetricFamily {
  return { name, type, scope: "router", labels, help, source: { kind: "facts", read } };
}

function perRouter(
  name: `holdfast_router_${string}`,
  type: MetricType,
  labels: readonly string[],
  help: string,
  read: (router: RouterStatus) => RouterSamples,
): MetricFamily {
  return family(name, type, ["router", ...labels], help, ({ routers }) =>
    routers.flatMap((router) => {
      const samples = read(router);
      const list = typeof samples === "number" ? [{ value: samples }] : (samples ?? []);
      return list.map(({ labels: more, value }: FactSample) => ({
        labels: { router: router.name, ...more },
        value,
      }));
    }),
  );
}

function ofProcess(
  name: `holdfast_router_process_${string}`,
  type: MetricType,
  help: string,
  read: (process: RouterProcessStatus) => number | undefined,
): MetricFamily {
  return family(name, type, [], help, ({ routerProcess }) => {
    const value = routerProcess === undefined ? undefined : read(routerProcess);
    return value === undefined ? [] : [{ value }];
  });
}

function counts(label: string, values: Readonly<Record<string, number>>): FactSample[] {
  return Object.entries(values).map(([key, value]) => ({ labels: { [label]: key }, value }));
}

export const ROUTER_FAMILIES: readonly MetricFamily[] = [
  perRouter(
    "holdfast_router_state",
    "gauge",
    ["state"],
    "1 for the state the virtual router is in, 0 for the others; `unknown` while the router process is silent or not running.",
    ({ state }) => STATES.map((name) => ({ labels: { state: name }, value: name === state ? 1 : 0 })),
  ),
  perRouter(
    "holdfast_router_state_seconds",
    "gauge",
    [],
    "How long it has been in this state; absent while unknown.",
    ({ sinceMs }) => (sinceMs === null ? undefined : sinceMs * MS),
  ),
  perRouter(
    "holdfast_router_priority",
    "gauge",
    [],
    "Present priority, trackers applied; absent while unknown.",
    ({ priority }) => priority ?? undefined,
  ),
  perRouter(
    "holdfast_router_maintenance",
    "gauge",
    [],
    "1 while an operator keeps it in maintenance.",
    ({ isInMaintenance }) => (isInMaintenance ? 1 : 0),
  ),
  perRouter(
    "holdfast_router_transitions_total",
    "counter",
    ["from", "to", "cause"],
    "Changes of state; the causes are those of the log and of `holdfast routers --history`.",
    ({ transitions }) =>
      transitions.map(({ from, to, cause, count }) => ({ labels: { from, to, cause }, value: count })),
  ),
  perRouter(
    "holdfast_router_tracker_up",
    "gauge",
    ["tracker"],
    "1 while the tracked thing is up.",
    ({ trackers }) => trackers.map(({ key, isUp }) => ({ labels: { tracker: key }, value: isUp ? 1 : 0 })),
  ),
  perRouter(
    "holdfast_router_addresses_installed",
    "gauge",
    [],
    "Virtual addresses that the kernel has at present; absent while unknown.",
    ({ state, addresses }) =>
      state === "unknown" ? undefined : addresses.filter(({ isInstalled }) => isInstalled).length,
  ),
  perRouter(
    "holdfast_router_advertisements_sent_total",
    "counter",
    [],
    "Advertisements sent.",
    ({ counters }) => counters.advertisementsSent,
  ),
  perRouter(
    "holdfast_router_advertisements_received_total",
    "counter",
    [],
    "Advertisements of other routers that were accepted.",
    ({ counters }) => counters.advertisementsReceived,
  ),
  perRouter(
    "holdfast_router_advertisements_discarded_total",
    "counter",
    ["reason"],
    "Received advertisements that were not used (RFC 9568 §7.1).",
    ({ counters }) => counts("reason", counters.advertisementsDiscarded),
  ),
  perRouter(
    "holdfast_router_send_errors_total",
    "counter",
    [],
    "Advertisements that the kernel did not take.",
    ({ counters }) => counters.sendErrors,
  ),
  perRouter(
    "holdfast_router_conflicts_total",
    "counter",
    [],
    "Advertisements of another router that were heard while this one was active and did not give way: two were active.",
    ({ counters }) => counters.conflictsSeen,
  ),
  perRouter(
    "holdfast_router_duplicate_addresses_total",
    "counter",
    [],
    "Times another host claimed a virtual address (ARP, neighbour discovery) while this router was active.",
    ({ counters }) => counters.duplicateAddressesSeen,
  ),
  perRouter(
    "holdfast_router_stalls_total",
    "counter",
    [],
    "Times it woke later than the others wait, and checked before it went on.",
    ({ counters }) => counters.stallsNoticed,
  ),
  perRouter(
    "holdfast_router_addresses_restored_total",
    "counter",
    [],
    "Virtual addresses that somebody else removed and that were put back.",
    ({ counters }) => counters.addressesRestored,
  ),
  perRouter(
    "holdfast_router_announcements_total",
    "counter",
    [],
    "Gratuitous ARP messages and unsolicited neighbour advertisements sent.",
    ({ counters }) => counters.announcementsSent,
  ),
  perRouter(
    "holdfast_router_lease_renewals_total",
    "counter",
    [],
    "Renewals of the lifetime of installed addresses.",
    ({ counters }) => counters.leaseRenewals,
  ),
  ofProcess(
    "holdfast_router_process_up",
    "gauge",
    "1 while the router process reports, 0 while it is silent, starting or not running; absent without virtual routers.",
    ({ state }) => (state === "running" ? 1 : 0),
  ),
  ofProcess(
    "holdfast_router_process_heartbeat_age_seconds",
    "gauge",
    "Age of the last report of the router process; it sends one each second.",
    ({ heartbeatAgeMs }) => (heartbeatAgeMs === null ? undefined : heartbeatAgeMs * MS),
  ),
  ofProcess(
    "holdfast_router_process_restarts_total",
    "counter",
    "Times the router process was started again because it had ended by itself.",
    ({ restarts }) => restarts,
  ),
  ofProcess(
    "holdfast_router_process_loop_lag_seconds_max",
    "gauge",
    "The longest its loop was late for a deadline.",
    ({ loopLagMsMax }) => loopLagMsMax * MS,
  ),
  ofProcess(
    "holdfast_router_process_unknown_ids_total",
    "counter",
    "Advertisements heard whose id is none of the virtual routers here: other pairs share the segment, or an `id` is mistyped.",
    ({ unknownIdCount }) => unknownIdCount,
  ),
  family(
    "holdfast_router_notifications_total",
    "counter",
    ["result"],
    "Notifications run; `dropped`: given up because too many waited or the gateway ended.",
    ({ routerProcess }) => {
      if (routerProcess === undefined) return [];
      const { succeeded, failed, dropped } = routerProcess.notifications;
      return counts("result", { ok: succeeded, failed, dropped });
    },
  ),
  family(
    "holdfast_router_notifications_waiting",
    "gauge",
    [],
    "Notifications that wait for the one before them to end.",
    ({ routerProcess }) =>
      routerProcess === undefined ? [] : [{ value: routerProcess.notifications.waiting }],
  ),
];
