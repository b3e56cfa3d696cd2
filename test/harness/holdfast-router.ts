/**
 * `holdfast run` with one virtual router in a node of a test LAN, configured from the same parameters as its peers.
 */
import type { RoutersDocument } from "../../src/observe/router-status.ts";
import {
  address6Of,
  addressOf,
  INTERFACE,
  type RouterDaemon,
  type RouterLan,
  type RouterNode,
  type RouterParameters,
} from "./lan.ts";
import { childPids } from "./process-usage.ts";
import { type HoldfastServer, startHoldfast } from "./servers.ts";

/** The name of the router in its file. */
export const ROUTER_NAME = "edge";

export interface HoldfastRouterOptions {
  /** More keys of the router, as in the file. */
  readonly router?: Readonly<Record<string, unknown>>;
  /** More sections of the file. */
  readonly sections?: Readonly<Record<string, unknown>>;
}

export async function startHoldfastRouter(
  lan: RouterLan,
  node: RouterNode,
  parameters: RouterParameters,
  options: HoldfastRouterOptions = {},
): Promise<HoldfastRouter> {
  const gateway = await startHoldfast({
    config: holdfastConfig(node, parameters, options),
    prefix: lan.topology.inside(node),
    // A stop waits for a peer to take over, five intervals at the longest.
    stopTimeoutMs: 5000 + 6 * parameters.intervalMs,
  });
  return lan.ownDaemon(new HoldfastRouter(gateway));
}

export function holdfastConfig(
  node: RouterNode,
  parameters: RouterParameters,
  options: HoldfastRouterOptions = {},
): string {
  const isIpv6 = parameters.addresses[0]!.includes(":");
  const ownAddress = isIpv6 ? address6Of : addressOf;
  const unicast =
    parameters.peers === undefined
      ? {}
      : { source_address: ownAddress(node), unicast_peers: parameters.peers.map(ownAddress) };
  const router = {
    interface: INTERFACE,
    id: parameters.id,
    version: parameters.version,
    priority: parameters.priority,
    advert_interval: `${parameters.intervalMs}ms`,
    preempt: parameters.preempt,
    addresses: parameters.addresses,
    // What keepalived 2.2.7 and FRR want; of no meaning for the others.
    ...(parameters.version === 3 && !isIpv6 ? { checksum: "pseudo-header" } : {}),
    ...(parameters.authPass === undefined ? {} : { auth: { pass: parameters.authPass } }),
    ...unicast,
    ...options.router,
  };
  const sections = { virtual_routers: { [ROUTER_NAME]: router }, ...options.sections };
  return Object.entries(sections)
    .map(([key, section]) => `${key}: ${JSON.stringify(section)}\n`)
    .join("");
}

export class HoldfastRouter implements RouterDaemon {
  readonly name = "holdfast";
  readonly gateway: HoldfastServer;

  constructor(gateway: HoldfastServer) {
    this.gateway = gateway;
  }

  /** The supervisor and all it has started. */
  pids(): number[] {
    if (this.gateway.program.hasExited) return [];
    return [this.gateway.pid, ...childPids(this.gateway.pid)];
  }

  log(): string {
    return this.gateway.program.stdout + this.gateway.program.stderr;
  }

  async stop(): Promise<void> {
    await this.gateway.stop("SIGTERM");
  }

  /** All at once: a router process that outlives its supervisor would say goodbye. */
  async kill(): Promise<void> {
    const pids = this.pids();
    for (const signal of ["SIGSTOP", "SIGKILL"] as const) signalAll(pids, signal);
    await this.gateway.stop("SIGKILL");
  }

  freeze(): void {
    signalAll(this.pids(), "SIGSTOP");
  }

  thaw(): void {
    signalAll(this.pids(), "SIGCONT");
  }

  async routers(): Promise<RoutersDocument> {
    const { status, body } = await this.gateway.admin("GET", "/routers");
    if (status !== 200) throw new Error(`GET /routers: ${status} ${body}`);
    return JSON.parse(body) as RoutersDocument;
  }
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}
