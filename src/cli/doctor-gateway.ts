/**
 * Asks a running gateway for what `holdfast doctor` wants to know, within a moment: its status, its sessions, its configuration file.
 * undefined when none answers, which is no fault. Driver; called by doctor.ts.
 */
import { readFileSync } from "node:fs";
import { isLocalAddress } from "../config/address.ts";
import { formatDiagnostic } from "../config/diagnostics.ts";
import { readHostFacts } from "../config/host-facts.ts";
import { loadConfig } from "../config/load.ts";
import type { GatewayConfig } from "../config/types.ts";
import type { SessionsDocument } from "../daemon/session-collector.ts";
import type { GatewayReport } from "../doctor/host-facts.ts";
import type { RouterStatus } from "../observe/router-status.ts";
import type { StatusDocument } from "../observe/status.ts";
import { askQuietly, parseAdminAddress } from "./admin-client.ts";

const PATIENCE_MS = 500;
const EXPIRES_SOON_MS = 10_000;
const SESSIONS_MAX = 1000;
/** Most routers advertise once a second; a report of the router process comes as often. */
const SECOND_LOOK_AFTER_MS = 2_200;

export interface GatewayAnswer {
  readonly gateway: GatewayReport | undefined;
  /** What is missing although a gateway answered. */
  readonly gaps: readonly string[];
}

export async function askGatewayForReport(admin: string): Promise<GatewayAnswer> {
  const [first, sessions] = await Promise.all([
    askFor<StatusDocument>(admin, "/status"),
    askFor<SessionsDocument>(admin, `/sessions?limit=${SESSIONS_MAX}`),
  ]);
  if (first === undefined) return { gateway: undefined, gaps: [] };
  const second = hasDiscards(first.routers ?? []) ? await lookAgain(admin) : undefined;
  const status = second ?? first;
  const gaps: string[] = [];
  const expiring = sessions?.sessions.filter(({ leftMs }) => leftMs >= 0 && leftMs < EXPIRES_SOON_MS);
  if (sessions === undefined) gaps.push("the gateway did not list its sessions in time");
  const config = status.configFile === null ? undefined : readConfig(status.configFile, gaps);
  const gateway = {
    address: admin,
    status,
    warnings: config?.warnings,
    legsWithoutKeepalive: config === undefined ? [] : legsWithoutKeepalive(config.config),
    sessionsAboutToExpire: expiring?.length ?? 0,
    routersEarlier: second === undefined ? undefined : first.routers,
  };
  return { gateway, gaps };
}

/** Advertisements that were thrown away: only a second look tells whether it still happens. */
function hasDiscards(routers: readonly RouterStatus[]): boolean {
  return routers.some(({ counters }) =>
    Object.values(counters.advertisementsDiscarded).some((count) => count > 0),
  );
}

async function lookAgain(admin: string): Promise<StatusDocument | undefined> {
  await new Promise((resolve) => setTimeout(resolve, SECOND_LOOK_AFTER_MS));
  return askFor<StatusDocument>(admin, "/status");
}

async function askFor<Document>(admin: string, target: string): Promise<Document | undefined> {
  const address = parseAdminAddress(admin);
  if (typeof address === "string") return undefined;
  const answer = await askQuietly(address, "GET", target, undefined, PATIENCE_MS);
  if (answer === undefined || answer.status !== 200) return undefined;
  try {
    return JSON.parse(answer.body) as Document;
  } catch {
    return undefined; // Something else listens there.
  }
}

interface ReadConfig {
  readonly config: GatewayConfig;
  readonly warnings: readonly string[];
}

/** Without looking host names up: that may take long. */
function readConfig(file: string, gaps: string[]): ReadConfig | undefined {
  try {
    const loaded = loadConfig(readFileSync(file, "utf8"), file, readHostFacts());
    if (loaded.ok) return { config: loaded.config, warnings: loaded.warnings.map(formatDiagnostic) };
    gaps.push(`the gateway's file has errors by now, a reload will be refused: holdfast check ${file}`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    gaps.push(`the gateway's file ${file} could not be read (${code}): its settings are not judged`);
  }
  return undefined;
}

/** Legs within the host are left out: no box can forget their connections. */
function legsWithoutKeepalive(config: GatewayConfig): string[] {
  const legs = [
    ...config.listeners.map(({ name, bind, tcpKeepalive }) => ({
      name: `listener ${name}`,
      isLocal: bind.every(isLocalAddress),
      tcpKeepalive,
    })),
    ...config.pools.map(({ name, servers, tcpKeepalive }) => ({
      name: `pool ${name}`,
      isLocal: servers.every(({ address }) => isLocalAddress(address)),
      tcpKeepalive,
    })),
  ];
  return legs
    .filter(({ isLocal, tcpKeepalive }) => !isLocal && tcpKeepalive.enabled !== true)
    .map(({ name }) => name);
}
