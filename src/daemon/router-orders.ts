/**
 * Operators' orders to virtual routers (`POST /router`): what may be asked, and the answers that are waited for. Used by
 * router-supervision.ts.
 */
import type { VirtualRouterConfig } from "../config/types.ts";
import type { RouterOrder } from "./router-messages.ts";

export const ROUTER_ORDERS = ["handover", "maintenance", "resume"] as const satisfies readonly RouterOrder[];

/** As it comes over the admin API: anything may be missing or wrong. */
export interface RouterOrderRequest {
  readonly router?: unknown;
  readonly order?: unknown;
}

export interface RouterOrderOutcome {
  readonly ok: boolean;
  readonly isUnknownName: boolean;
  readonly lines: readonly string[];
}

export interface ParsedOrder {
  readonly router: VirtualRouterConfig;
  readonly order: RouterOrder;
}

export function parseRouterOrder(
  request: RouterOrderRequest,
  routers: readonly VirtualRouterConfig[],
): ParsedOrder | RouterOrderOutcome {
  const router = routers.find(({ name }) => name === request.router);
  if (router === undefined) {
    const known = routers.map(({ name }) => name).join(", ");
    const lines = [
      `there is no virtual router ${quoted(request.router)}`,
      known === "" ? "the configuration has none" : `virtual routers: ${known}`,
    ];
    return { ok: false, isUnknownName: true, lines };
  }
  const { order } = request;
  if (isRouterOrder(order)) return { router, order };
  return refusal(`there is no order ${quoted(order)}; there are ${ROUTER_ORDERS.join(", ")}`);
}

export function refusal(...lines: string[]): RouterOrderOutcome {
  return { ok: false, isUnknownName: false, lines };
}

function isRouterOrder(value: unknown): value is RouterOrder {
  return (ROUTER_ORDERS as readonly unknown[]).includes(value);
}

function quoted(value: unknown): string {
  return value === undefined ? "(none given)" : JSON.stringify(value);
}

/** Orders that were sent and not answered yet. */
export class PendingOrders {
  readonly #pending = new Map<number, (outcome: RouterOrderOutcome) => void>();
  #lastRequestId = 0;

  /** `send` is called with the request's number. */
  wait(timeoutMs: number, send: (requestId: number) => void): Promise<RouterOrderOutcome> {
    const requestId = ++this.#lastRequestId;
    return new Promise((resolve) => {
      const timer = setTimeout(
        () => this.settle(requestId, false, [`the router process did not answer within ${timeoutMs} ms`]),
        timeoutMs,
      );
      this.#pending.set(requestId, (outcome) => {
        clearTimeout(timer);
        resolve(outcome);
      });
      send(requestId);
    });
  }

  settle(requestId: number, ok: boolean, lines: readonly string[]): void {
    const resolve = this.#pending.get(requestId);
    this.#pending.delete(requestId);
    resolve?.({ ok, isUnknownName: false, lines });
  }

  failAll(line: string): void {
    for (const requestId of [...this.#pending.keys()]) this.settle(requestId, false, [line]);
  }
}
