/**
 * What is wrong with the virtual routers of the running gateway, by its status document. Pure. Called by findings-gateway.ts.
 * A counter says what has happened since the gateway started; only one that rose between two looks says that it happens now.
 */
import type { RouterProcessStatus, RouterStatus } from "../observe/router-status.ts";
import type { Finding, GatewayReport } from "./host-facts.ts";
import { spokenDuration } from "./spoken-duration.ts";

export function findInRouters(report: GatewayReport): Finding[] {
  const { routers, routerProcess } = report.status;
  if (routerProcess === null || routerProcess === undefined) return [];
  const isHeard = routerProcess.state === "running";
  return [
    ...processFindings(routerProcess, routers),
    ...routers.flatMap((router) => [
      ...(isHeard ? stateFindings(router) : []),
      ...conflictFindings(router),
      ...discardFindings(router, report.routersEarlier),
    ]),
  ];
}

function processFindings(process: RouterProcessStatus, routers: readonly RouterStatus[]): Finding[] {
  const findings: Finding[] = [];
  const names = routers.map(({ name }) => name).join(", ");
  if (process.state === "silent" || process.state === "not-running")
    findings.push({
      id: "router-process-silent",
      severity: "problem",
      text: `the state of the virtual routers (${names}) is unknown: ${silence(process)}`,
      mend: "holdfast routers --history says what they did last; the gateway's log says why the process is silent (a stopped one goes on with kill -CONT)",
    });
  if (process.restarts > 0)
    findings.push({
      id: "router-process-restarts",
      severity: "risk",
      text: `the router process ended by itself and was started again ${times(process.restarts)}`,
      mend: "the gateway's log says why (please report it); holdfast routers --history shows what it meant for the addresses",
    });
  if (process.scheduling !== null && !process.scheduling.isRealtime)
    findings.push({
      id: "router-not-realtime",
      severity: "risk",
      text: `the router process has no real-time priority: a busy host delays its advertisements, and another router takes over (its loop was late by ${spokenDuration(process.loopLagMsMax)} at most)`,
      mend: "run the gateway as root, or give its systemd unit AmbientCapabilities=CAP_SYS_NICE; in a container a real-time budget, too; then restart it",
    });
  return findings;
}

function silence({ state, pid, heartbeatAgeMs }: RouterProcessStatus): string {
  if (state === "not-running") return "the router process is not running";
  const age = heartbeatAgeMs === null ? "" : ` for ${spokenDuration(heartbeatAgeMs)}`;
  return `the router process (pid ${pid}) has been silent${age}, it is stopped, starved or stuck`;
}

function stateFindings(router: RouterStatus): Finding[] {
  const { name, state, reason } = router;
  const look = `holdfast routers --history shows since when and why`;
  if (state === "fault")
    return [
      {
        id: "router-fault",
        severity: "problem",
        text: `virtual router ${name} is in fault, it does not take its addresses: ${reason ?? "no reason given"}`,
        mend: `mend that, it comes back by itself; ${look}`,
      },
    ];
  if (state === "unknown")
    return [
      {
        id: "router-unknown",
        severity: "risk",
        text: `the state of virtual router ${name} is unknown: ${reason ?? "no reason given"}`,
        mend: "holdfast routers, again in a second",
      },
    ];
  if (router.isInMaintenance)
    return [
      {
        id: "router-maintenance",
        severity: "note",
        text: `virtual router ${name} is in maintenance: it never becomes active`,
        mend: `holdfast router ${name} resume`,
      },
    ];
  return missingAddresses(router);
}

function missingAddresses({ name, state, addresses }: RouterStatus): Finding[] {
  const missing = addresses.filter(({ isInstalled }) => state === "active" && isInstalled === false);
  if (missing.length === 0) return [];
  return [
    {
      id: "router-address-missing",
      severity: "problem",
      text: `virtual router ${name} is active, but the kernel does not have ${missing.map(({ address }) => address).join(", ")}: something takes it away`,
      mend: "ip monitor address shows who; holdfast routers shows when it is back",
    },
  ];
}

function conflictFindings({ name, id, interface: device, addresses, counters }: RouterStatus): Finding[] {
  const findings: Finding[] = [];
  if (counters.conflictsSeen > 0)
    findings.push({
      id: "router-conflict",
      severity: "risk",
      text: `another router was active at the same time as virtual router ${name} (id ${id} on ${device}) ${times(counters.conflictsSeen)} since the gateway started`,
      mend: "holdfast routers --history says who it was; see that the two hear each other (a firewall must pass VRRP, protocol 112) and that no other pair has this id",
    });
  if (counters.duplicateAddressesSeen > 0)
    findings.push({
      id: "router-duplicate-address",
      severity: "risk",
      text: `another host answered for an address of virtual router ${name} ${times(counters.duplicateAddressesSeen)} since the gateway started`,
      mend: duplicateMend(device, addresses[0]?.address),
    });
  return findings;
}

function duplicateMend(device: string, address: string | undefined): string {
  const bare = address?.split("/")[0] ?? "ADDRESS";
  const command = bare.includes(":") ? `ndisc6 ${bare} ${device}` : `arping -D -c 3 -I ${device} ${bare}`;
  return `find the other host by its MAC address, from the router that is not active: ${command}; holdfast routers --history shows when`;
}

/** Since the earlier look: those that are thrown away now; without one, or when they rest: those of the past. */
function discardFindings(router: RouterStatus, earlier: GatewayReport["routersEarlier"]): Finding[] {
  const total = Object.entries(router.counters.advertisementsDiscarded).filter(([, count]) => count > 0);
  if (total.length === 0) return [];
  const before = earlier?.find(({ name }) => name === router.name)?.counters.advertisementsDiscarded;
  const rising = before === undefined ? [] : total.filter(([reason, count]) => count > (before[reason] ?? 0));
  const list = (entries: readonly (readonly [string, number])[]): string =>
    entries.map(([reason, count]) => `${reason} ${count}`).join(", ");
  const mend = `holdfast routers --history, and the gateway's log, which names the sender; watch them: tcpdump -nn -v -i ${router.interface} proto 112`;
  if (rising.length > 0)
    return [
      {
        id: "router-discards",
        severity: "problem",
        text: `virtual router ${router.name} throws away advertisements at this moment, it does not hear who sends them: ${list(rising)} since the gateway started`,
        mend,
      },
    ];
  return [
    {
      id: "router-discards",
      severity: "note",
      text: `virtual router ${router.name} has thrown away advertisements since the gateway started: ${list(total)}`,
      mend,
    },
  ];
}

function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}
