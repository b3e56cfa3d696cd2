/**
 * `holdfast doctor`: one page about this host and what is wrong with its connections, each finding with the command that mends it.
 * Exit status 0: no problem (risks and notes may be listed); 1: something is wrong. Driver; judgements are in src/doctor/findings*.ts.
 */
import { Command } from "commander";
import { findingsOf } from "../doctor/findings.ts";
import { judgeSysctls } from "../doctor/findings-sysctl.ts";
import { abilitiesOf } from "../doctor/host-abilities.ts";
import type { HostFacts } from "../doctor/host-facts.ts";
import { readHostFacts } from "../doctor/host-facts-reader.ts";
import { type AdminOptions, adminOption } from "./admin-client.ts";
import { askGatewayForReport } from "./doctor-gateway.ts";
import { type DoctorReport, doctorJson, doctorText } from "./doctor-report.ts";
import { EXIT_BAD_NEWS, EXIT_GOOD } from "./exit-status.ts";

const HELP = `
Looks at the kernel, its settings, every TCP socket of this network namespace, Node programs and the gateway when one
runs. Changes nothing and takes less than a second (three when a virtual router has thrown
away advertisements, to see whether it still does). What may not be looked at without root is listed as partial.

  problem   broken now: connections without answer, leaked descriptors, servers and virtual routers that are down
  risk      will break: connections that nobody guards or that are probed too late, that may be half-open (holdfast
            probe tells), Node's own settings
  note      worth knowing

Exit status: 0 no problem, 1 a problem was found.

Examples:
  sudo holdfast doctor
  holdfast doctor --json | jq '.findings[] | select(.severity == "problem")'`;

const WIDTH_DEFAULT = 110;
const WIDTH_MIN = 60;

export function doctorCommand(): Command {
  return new Command("doctor")
    .description("one page on this host: what works, what is wrong with its connections, how to mend it")
    .option("--json", "print the page as JSON: stable field names")
    .addOption(adminOption())
    .addHelpText("after", HELP)
    .action(runDoctor);
}

async function runDoctor(options: AdminOptions & { readonly json?: true }): Promise<void> {
  const asked = askGatewayForReport(options.admin);
  const host = readHostFacts();
  const { gateway, gaps } = await asked;
  const facts: HostFacts = { ...host, gateway, gaps: [...host.gaps, ...gaps] };
  const report: DoctorReport = {
    facts,
    abilities: abilitiesOf(facts),
    sysctls: judgeSysctls(facts).judgements,
    findings: findingsOf(facts),
  };
  const isColoured = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
  const width = Math.max(WIDTH_MIN, process.stdout.columns ?? WIDTH_DEFAULT);
  process.stdout.write(options.json ? doctorJson(report) : doctorText(report, { isColoured, width }));
  const isBad = report.findings.some(({ severity }) => severity === "problem");
  process.exitCode = isBad ? EXIT_BAD_NEWS : EXIT_GOOD;
}
