/**
 * What a new configuration means for the virtual routers: which stay as they are, which change in place, which must be taken down and
 * started again, and how many addresses move because of it. Pure. Carried out by the set of routers; printed by `holdfast check`.
 */
import { describeChanges } from "../config/diff.ts";
import type { AddressPrefix, VirtualRouterConfig } from "../config/types.ts";
import type { RouterState } from "./state.ts";

export type RouterPlanKind = "unchanged" | "in-place" | "restarted" | "added" | "removed";

export interface RouterPlan {
  readonly name: string;
  readonly kind: RouterPlanKind;
  /** Fields of the configuration that differ. */
  readonly changed: readonly (keyof VirtualRouterConfig)[];
  /** Addresses that this node has now and gives away by the reload itself. */
  readonly addressMoves: number;
  /** For people; an unchanged router has none. */
  readonly lines: readonly string[];
}

export interface RoutersPlan {
  readonly routers: readonly RouterPlan[];
  readonly addressMoves: number;
  /** One or more lines per router that is touched, and a sum. */
  readonly lines: readonly string[];
}

/** What other routers and the sockets know a router by. A change of one of these is another router. */
const IDENTITY = ["interface", "id", "family", "version", "useVmac"] as const;

/** `states`: of the routers that run; one that is missing does not run. */
export function planRouters(
  before: readonly VirtualRouterConfig[],
  after: readonly VirtualRouterConfig[],
  states: ReadonlyMap<string, RouterState>,
): RoutersPlan {
  const isActive = (name: string) => states.get(name) === "active";
  const removed = before
    .filter(({ name }) => !after.some((router) => router.name === name))
    .map((router) => planRemoved(router, isActive(router.name)));
  const others = after.map((router) => {
    const old = before.find(({ name }) => name === router.name);
    return old === undefined ? planAdded(router) : planChange(old, router, isActive(router.name));
  });
  const routers = [...removed, ...others];
  const addressMoves = routers.reduce((sum, plan) => sum + plan.addressMoves, 0);
  const lines = [...routers.flatMap((plan) => plan.lines), summarize(routers, addressMoves)];
  return { routers, addressMoves, lines };
}

function planRemoved(router: VirtualRouterConfig, isActive: boolean): RouterPlan {
  const addressMoves = isActive ? allAddresses(router).length : 0;
  const lines = [`${router.name}: removed; ${formatMoves(addressMoves)}`];
  return { name: router.name, kind: "removed", changed: [], addressMoves, lines };
}

function planAdded(router: VirtualRouterConfig): RouterPlan {
  const lines = [
    `${router.name}: added, starts as ${router.priority === 255 ? "active" : "backup"}; ${formatMoves(0)}`,
  ];
  return { name: router.name, kind: "added", changed: [], addressMoves: 0, lines };
}

function planChange(old: VirtualRouterConfig, router: VirtualRouterConfig, isActive: boolean): RouterPlan {
  const { name } = router;
  const changed = changedFields(old, router);
  if (changed.length === 0) return { name, kind: "unchanged", changed, addressMoves: 0, lines: [] };
  const differences = describeChanges(old, router);
  if (changed.some((field) => isIdentity(field)) || isUnicast(old) !== isUnicast(router)) {
    const addressMoves = isActive ? allAddresses(old).length : 0;
    const lines = differences.map((text) => `${name}: ${text}`);
    lines.push(`${name}: restarted, it is another router for its peers; ${formatMoves(addressMoves)}`);
    return { name, kind: "restarted", changed, addressMoves, lines };
  }
  const addressMoves = isActive ? goneAddresses(old, router).length : 0;
  const lines = differences.map((text) => `${name}: ${text}, in place; ${formatMoves(addressMoves)}`);
  if (isActive && router.priority < old.priority)
    lines.push(`${name}: a peer with a priority above ${router.priority} may take over afterwards`);
  return { name, kind: "in-place", changed, addressMoves, lines };
}

function changedFields(old: VirtualRouterConfig, router: VirtualRouterConfig): (keyof VirtualRouterConfig)[] {
  const fields = Object.keys({ ...old, ...router }) as (keyof VirtualRouterConfig)[];
  return fields.filter((field) => JSON.stringify(old[field]) !== JSON.stringify(router[field]));
}

function isIdentity(field: string): boolean {
  return IDENTITY.some((identity) => identity === field);
}

function isUnicast(router: VirtualRouterConfig): boolean {
  return router.unicastPeers.length > 0;
}

function allAddresses(router: VirtualRouterConfig): readonly string[] {
  return [...router.addresses, ...router.extraAddresses].map(formatPrefix);
}

/** An address that changes its prefix length is taken away for a moment: it counts. */
function goneAddresses(old: VirtualRouterConfig, router: VirtualRouterConfig): readonly string[] {
  const kept = new Set(allAddresses(router));
  return allAddresses(old).filter((address) => !kept.has(address));
}

function formatPrefix({ host, prefixLength }: AddressPrefix): string {
  return `${host}/${prefixLength}`;
}

function formatMoves(count: number): string {
  return count === 1 ? "1 address move" : `${count} address moves`;
}

function summarize(routers: readonly RouterPlan[], addressMoves: number): string {
  const counts = (["unchanged", "in-place", "restarted", "added", "removed"] as const)
    .map((kind) => ({ kind, count: routers.filter((plan) => plan.kind === kind).length }))
    .filter(({ count }) => count > 0)
    .map(({ kind, count }) => `${count} ${kind === "in-place" ? "changed in place" : kind}`);
  const routersText = counts.length === 0 ? "none" : counts.join(", ");
  return `virtual routers: ${routersText}; ${formatMoves(addressMoves)}`;
}
