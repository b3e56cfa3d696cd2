/**
 * Everything that `holdfast doctor` finds on a host, worst first. Pure: facts in, sentences with the commands that mend them out.
 * Called by cli/doctor.ts.
 */
import { findInGateway } from "./findings-gateway.ts";
import { findInSockets } from "./findings-sockets.ts";
import { judgeSysctls } from "./findings-sysctl.ts";
import type { Finding, HostFacts, Severity } from "./host-facts.ts";
import { findNodeTraps } from "./node-traps.ts";

const SEVERITIES: readonly Severity[] = ["problem", "risk", "note"];

export function findingsOf(facts: HostFacts): Finding[] {
  const findings = [
    ...(facts.gateway === undefined ? [] : findInGateway(facts.gateway)),
    ...findInSockets(facts),
    ...findNodeTraps(facts),
    ...judgeSysctls(facts).findings,
  ];
  return findings.toSorted((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity));
}
