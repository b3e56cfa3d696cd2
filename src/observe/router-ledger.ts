/**
 * The counters of virtual routers as they are shown: sums that do not decrease when the router process dies and begins again at zero, or
 * when a reload makes a router anew. And how often each transition happened. Pure; the supervisor holds one.
 */
import type { RouterCounters, RouterFacts } from "../daemon/router-messages.ts";
import type { TransitionRecord } from "../vrrp/state.ts";
import type { TransitionCount } from "./router-status.ts";

export const NO_ROUTER_COUNTERS: RouterCounters = {
  advertisementsSent: 0,
  advertisementsReceived: 0,
  advertisementsDiscarded: {},
  sendErrors: 0,
  becameActive: 0,
  conflictsSeen: 0,
  duplicateAddressesSeen: 0,
  stallsNoticed: 0,
  addressesRestored: 0,
  announcementsSent: 0,
  leaseRenewals: 0,
};

interface Account {
  /** What counters that are gone had come to. */
  retired: RouterCounters;
  present: RouterCounters;
  readonly transitions: Map<string, TransitionCount>;
}

export class RouterLedger {
  readonly #accounts = new Map<string, Account>();

  handleReport(routers: readonly RouterFacts[]): void {
    for (const { name, counters } of routers) {
      const account = this.#account(name);
      if (hasRestarted(account.present, counters)) account.retired = sum(account.retired, account.present);
      account.present = counters;
    }
  }

  /** The next process begins at zero. */
  handleProcessEnd(): void {
    for (const account of this.#accounts.values()) {
      account.retired = sum(account.retired, account.present);
      account.present = NO_ROUTER_COUNTERS;
    }
  }

  countTransition(record: TransitionRecord): void {
    const { transitions } = this.#account(record.router);
    const { from, to, cause } = record;
    const key = `${from} ${to} ${cause}`;
    transitions.set(key, { from, to, cause, count: (transitions.get(key)?.count ?? 0) + 1 });
  }

  counters(router: string): RouterCounters {
    const { retired, present } = this.#account(router);
    return sum(retired, present);
  }

  transitions(router: string): readonly TransitionCount[] {
    return [...this.#account(router).transitions.values()];
  }

  /** After a reload. */
  forgetAllBut(routers: readonly string[]): void {
    for (const name of this.#accounts.keys()) if (!routers.includes(name)) this.#accounts.delete(name);
  }

  #account(router: string): Account {
    let account = this.#accounts.get(router);
    if (account === undefined) {
      account = { retired: NO_ROUTER_COUNTERS, present: NO_ROUTER_COUNTERS, transitions: new Map() };
      this.#accounts.set(router, account);
    }
    return account;
  }
}

/** Counters only grow: one that is lower has begun again. */
function hasRestarted(before: RouterCounters, after: RouterCounters): boolean {
  const discarded = Object.entries(before.advertisementsDiscarded);
  return (
    numericKeys(before).some((key) => after[key] < before[key]) ||
    discarded.some(([reason, count]) => (after.advertisementsDiscarded[reason] ?? 0) < count)
  );
}

type NumericKey = Exclude<keyof RouterCounters, "advertisementsDiscarded">;

function numericKeys(counters: RouterCounters): NumericKey[] {
  return (Object.keys(counters) as (keyof RouterCounters)[]).filter(
    (key) => key !== "advertisementsDiscarded",
  );
}

function sum(a: RouterCounters, b: RouterCounters): RouterCounters {
  const discarded: Record<string, number> = { ...a.advertisementsDiscarded };
  for (const [reason, count] of Object.entries(b.advertisementsDiscarded))
    discarded[reason] = (discarded[reason] ?? 0) + count;
  const total: { -readonly [Key in keyof RouterCounters]: RouterCounters[Key] } = {
    ...a,
    advertisementsDiscarded: discarded,
  };
  for (const key of numericKeys(b)) total[key] = a[key] + b[key];
  return total;
}
