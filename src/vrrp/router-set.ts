/**
 * All virtual routers of the process: makes and unmakes drivers when the configuration changes, turns what is tracked into priorities
 * and faults, carries out orders, gives facts. One driver does not know of another; what they have in common is here.
 * Called by daemon/router.ts.
 */
import type { AddressPrefix, VirtualRouterConfig } from "../config/types.ts";
import type {
  RouterFacts,
  RouterOrder,
  RouterReport,
  TrackerResultMessage,
} from "../daemon/router-messages.ts";
import type { RouteApi, RouteEvent } from "../netlink/route.ts";
import { formatPrefix, removeLeftovers } from "./address-keeper.ts";
import { allAddresses, VirtualRouterDriver } from "./driver.ts";
import { InterfaceWatch } from "./interface-watch.ts";
import { OrderBook } from "./order-book.ts";
import { planRouters, type RouterPlan } from "./reload-plan.ts";
import type { RouterState, Transition } from "./state.ts";
import type { Surroundings } from "./surroundings.ts";
import { SyncGroup, type SyncMember } from "./sync-group.ts";
import { Tracking } from "./tracking.ts";

/** What the process gives the set; the rest of a driver's surroundings is the set's own. */
export type SetSurroundings = Omit<
  Surroundings,
  "interfaces" | "handleStateChange" | "handleFaults" | "handleHandoverEnd" | "isVirtualAddress"
> & {
  readonly route: RouteApi;
  /** Makes what the addresses of a family need on an interface: sysctls. */
  readonly prepareInterface: (config: VirtualRouterConfig) => void;
  /** Something that the facts show has changed. */
  readonly handleChange: () => void;
  readonly post: (report: RouterReport) => void;
};

const LIST_RETRY_MS = 1000;

interface Member {
  readonly driver: VirtualRouterDriver;
  readonly tracking: Tracking;
  readonly syncMember: SyncMember;
}

export class RouterSet {
  readonly #surroundings: SetSurroundings;
  readonly #interfaces: InterfaceWatch;
  readonly #members = new Map<string, Member>();
  readonly #results = new Map<string, TrackerResultMessage>();
  readonly #maintenance = new Set<string>();
  readonly #orders: OrderBook;
  readonly #groups = new Map<string, SyncGroup>();
  #virtualHosts = new Set<string>();
  #released: (() => void) | undefined;

  constructor(surroundings: SetSurroundings) {
    this.#surroundings = surroundings;
    this.#interfaces = new InterfaceWatch(surroundings.route);
    this.#orders = new OrderBook(surroundings.post);
  }

  get size(): number {
    return this.#members.size;
  }

  /** The whole list, first and on every reload. Routers that did not change are not touched. */
  configure(configs: readonly VirtualRouterConfig[], maintenance: readonly string[]): void {
    this.#virtualHosts = new Set(configs.flatMap((config) => allAddresses(config).map(({ host }) => host)));
    const after = new Map(configs.map((config) => [config.name, config]));
    for (const { name, kind } of this.#plan(configs)) {
      if (kind === "removed" || kind === "restarted") this.#remove(name);
    }
    // What moves from one router to another leaves the first before it comes to the second.
    for (const [name, { driver }] of this.#members) {
      const stays = allAddresses(after.get(name)!);
      driver.dropAddresses((prefix) => !stays.some((it) => formatPrefix(it) === formatPrefix(prefix)));
    }
    for (const config of configs) {
      const member = this.#members.get(config.name);
      if (member === undefined) this.#add(config, maintenance.includes(config.name));
      else this.#change(member, config);
    }
    this.#setMaintenance(maintenance);
    this.#formGroups();
    this.#surroundings.handleChange();
  }

  handleTrackerResults(results: readonly TrackerResultMessage[]): void {
    for (const result of results) this.#results.set(result.key, result);
    for (const member of this.#members.values()) this.#track(member);
    this.#surroundings.handleChange();
  }

  handleRouteEvent(event: RouteEvent): void {
    if (event.kind === "link-changed" && this.#interfaces.link(event.link.name) === undefined)
      this.#prepareNew(event.link.name);
    if (event.kind === "overrun") this.#refreshInterfaces();
    else this.#interfaces.handleEvent(event);
  }

  /** Events were lost. A kernel that refuses to list is asked again: on what is known the routers go on. */
  #refreshInterfaces(): void {
    if (this.#interfaces.refresh()) return;
    const { clock, log } = this.#surroundings;
    const message = `events about interfaces and addresses were lost, and the kernel refuses to list them; asked again in ${LIST_RETRY_MS} ms`;
    log("warn", "router-list-refused", message);
    clock.at(clock.nowMs() + LIST_RETRY_MS, () => this.#refreshInterfaces());
  }

  handleOrder(requestId: number, name: string, order: RouterOrder): void {
    const member = this.#members.get(name);
    if (member === undefined) {
      const lines = [`no virtual router is called ${name}`];
      this.#surroundings.post({ type: "order-done", requestId, ok: false, lines });
      return;
    }
    for (const driver of this.#companyOf(member.driver)) {
      driver.catchUp();
      const asking = driver === member.driver ? requestId : undefined;
      if (order === "resume") this.#resume(asking, driver);
      else this.#handOver(asking, driver, order === "maintenance");
    }
    this.#surroundings.handleChange();
  }

  /** Hands every active router over; `done` is called when all have, or at the deadline. Nothing becomes active any more. */
  release(deadlineMs: number, done: () => void): void {
    if (this.#released !== undefined) return;
    const { clock } = this.#surroundings;
    const alarm = clock.at(clock.nowMs() + deadlineMs, () => this.#finishRelease());
    this.#released = () => {
      alarm.cancel();
      done();
    };
    for (const [name, { driver }] of this.#members) {
      driver.catchUp();
      if (driver.machine.state !== "active") {
        this.#remove(name);
        continue;
      }
      driver.machine.handleHandover(clock.nowMs());
      driver.settle();
    }
    this.#finishReleaseWhenEmpty();
  }

  /** Withdraws everything at once. */
  stop(): void {
    for (const name of [...this.#members.keys()]) this.#remove(name);
  }

  facts(): RouterFacts[] {
    return [...this.#members.values()].map(({ driver, tracking }) => ({
      ...driver.facts(),
      isInMaintenance: this.#maintenance.has(driver.name),
      trackers: tracking.trackers(this.#results),
    }));
  }

  /** Longest delay between an event and its handling since the last call. */
  takeLagMsMax(): number {
    return Math.max(0, ...[...this.#members.values()].map(({ driver }) => driver.takeLagMsMax()));
  }

  // ── routers come, change and go ──

  #plan(configs: readonly VirtualRouterConfig[]): readonly RouterPlan[] {
    const drivers = [...this.#members.values()].map(({ driver }) => driver);
    const states = new Map(drivers.map(({ name, machine }) => [name, machine.state]));
    const before = drivers.map(({ config }) => config);
    return planRouters(before, configs, states).routers;
  }

  #add(config: VirtualRouterConfig, isInMaintenance: boolean): void {
    this.#surroundings.prepareInterface(config);
    this.#removeLeftovers(config);
    const driver = new VirtualRouterDriver(config, {
      ...this.#surroundings,
      interfaces: this.#interfaces,
      handleStateChange: (changed, transition) => this.#handleStateChange(changed, transition),
      handleFaults: (changed) => this.#handleFaults(changed),
      handleHandoverEnd: (changed, isTakenOver, by) => this.#handleHandoverEnd(changed, isTakenOver, by),
      isVirtualAddress: (host) => this.#virtualHosts.has(host),
    });
    const member: Member = {
      driver,
      tracking: new Tracking(config, this.#interfaces, this.#surroundings.clock, () => this.#track(member)),
      syncMember: new GroupMember(driver),
    };
    this.#members.set(config.name, member);
    if (isInMaintenance) {
      this.#maintenance.add(config.name);
      driver.setFault("operator", "in maintenance");
    }
    this.#track(member);
    driver.start();
  }

  #removeLeftovers(config: VirtualRouterConfig): void {
    const { route, log } = this.#surroundings;
    const link = this.#interfaces.link(config.interface);
    if (link === undefined) return;
    try {
      const removed = removeLeftovers(route, link.index, this.#unusedOf(config));
      if (removed.length === 0) return;
      const message = `${config.name}: removed what an earlier process left on ${config.interface}: ${removed.join(", ")}`;
      log("warn", "router-leftovers-removed", message, { router: config.name });
    } catch (error) {
      // A reload that adds a router does not end those that are active.
      const message = `${config.name}: whether an earlier process left addresses is not known: ${(error as Error).message}`;
      log("warn", "router-list-refused", message, { router: config.name });
    }
  }

  /** An interface that comes after its router has the sysctls that the kernel gives to new ones. */
  #prepareNew(interfaceName: string): void {
    const configs = [...this.#members.values()].map(({ driver }) => driver.config);
    const config = configs.find((it) => it.interface === interfaceName);
    if (config !== undefined) this.#surroundings.prepareInterface(config);
  }

  #change(member: Member, config: VirtualRouterConfig): void {
    const { driver, tracking } = member;
    if (JSON.stringify(driver.config) === JSON.stringify(config)) return;
    driver.reconfigure(config);
    tracking.reconfigure(config);
    this.#track(member);
  }

  #remove(name: string): void {
    const member = this.#members.get(name);
    if (member === undefined) return;
    member.tracking.stop();
    member.driver.stop();
    this.#members.delete(name);
    this.#maintenance.delete(name);
    this.#orders.answer(name, false, [`${name} is no longer configured`]);
  }

  /** Addresses of this router that no other one holds: an active router's address is no leftover. */
  #unusedOf(config: VirtualRouterConfig): readonly AddressPrefix[] {
    const held = [...this.#members.values()]
      .filter(
        ({ driver }) => driver.machine.state === "active" && driver.config.interface === config.interface,
      )
      .flatMap(({ driver }) => allAddresses(driver.config).map(formatPrefix));
    return allAddresses(config).filter((prefix) => !held.includes(formatPrefix(prefix)));
  }

  #track({ driver, tracking }: Member): void {
    const { priority, faults, detail } = tracking.evaluate(this.#results);
    if (faults.length > 0) driver.setFault("tracker", faults.join("; "));
    else driver.clearFault("tracker", "nothing that is tracked is down any more");
    driver.setPriority(priority, detail);
  }

  // ── orders ──

  /** The router and the others of its sync group: they are active together or not at all. */
  #companyOf(driver: VirtualRouterDriver): readonly VirtualRouterDriver[] {
    const { syncGroup } = driver.config;
    if (syncGroup === undefined) return [driver];
    const drivers = [...this.#members.values()].map((member) => member.driver);
    return drivers.filter(({ config }) => config.syncGroup === syncGroup);
  }

  #setMaintenance(names: readonly string[]): void {
    for (const { driver } of this.#members.values()) {
      const isWanted = names.includes(driver.name);
      if (isWanted === this.#maintenance.has(driver.name)) continue;
      if (isWanted) this.#handOver(undefined, driver, true);
      else this.#resume(undefined, driver);
    }
  }

  #handOver(requestId: number | undefined, driver: VirtualRouterDriver, isMaintenance: boolean): void {
    const { name, machine } = driver;
    if (isMaintenance) this.#maintenance.add(name);
    this.#orders.enter(name, requestId);
    const { state } = machine;
    const wasActive = state === "active";
    machine.handleHandover(this.#surroundings.clock.nowMs());
    driver.settle();
    if (wasActive) return;
    if (isMaintenance) driver.setFault("operator", "in maintenance");
    const next = isMaintenance
      ? "it is in maintenance now"
      : "it takes over only when no other router is active";
    this.#orders.answer(name, true, [`${name} was not active (${state}): nothing to hand over; ${next}`]);
  }

  #resume(requestId: number | undefined, driver: VirtualRouterDriver): void {
    this.#maintenance.delete(driver.name);
    driver.clearFault("operator", "resumed by an operator");
    driver.clearFault("address-lost", "resumed by an operator");
    driver.machine.handleResume(this.#surroundings.clock.nowMs());
    driver.settle();
    // Not before: a handover that was waiting has ended now, and has its own answer.
    this.#orders.enter(driver.name, requestId);
    this.#orders.answer(driver.name, true, [`${driver.name} takes part in the election again`]);
  }

  #handleHandoverEnd(driver: VirtualRouterDriver, isTakenOver: boolean, by: string | undefined): void {
    const isInMaintenance = this.#maintenance.has(driver.name);
    const outcome = isTakenOver
      ? `${by} is active now, the addresses have moved`
      : isInMaintenance
        ? "nobody took over; its addresses are gone, because it is in maintenance"
        : "nobody took over: it stays active";
    const answer = () =>
      this.#orders.answer(driver.name, isTakenOver || isInMaintenance, [`${driver.name}: ${outcome}`]);
    if (!isInMaintenance) answer();
    this.#surroundings.clock.at(this.#surroundings.clock.nowMs(), () => {
      // Its own turn: the machine has finished what ended the handover.
      if (isInMaintenance) {
        driver.setFault("operator", "in maintenance");
        answer(); // not before its addresses are gone
      }
      this.#finishReleaseWhenEmpty();
    });
  }

  #handleStateChange(driver: VirtualRouterDriver, transition: Transition): void {
    const member = this.#members.get(driver.name);
    const group = this.#groupOf(driver);
    // While everything stops, nobody is to follow anybody.
    if (member !== undefined && transition.cause !== "shutdown" && this.#released === undefined) {
      group?.handleTransition(this.#surroundings.clock.nowMs(), member.syncMember, transition);
    }
    this.#surroundings.handleChange();
  }

  // ── sync groups ──

  #groupOf(driver: VirtualRouterDriver): SyncGroup | undefined {
    const { syncGroup } = driver.config;
    return syncGroup === undefined ? undefined : this.#groups.get(syncGroup);
  }

  /** After the members have started: each group learns who belongs to it now. */
  #formGroups(): void {
    const nowMs = this.#surroundings.clock.nowMs();
    const members = [...this.#members.values()];
    const names = new Set(members.map(({ driver }) => driver.config.syncGroup));
    for (const name of new Set([...this.#groups.keys(), ...names])) {
      if (name === undefined) continue;
      const group = this.#groups.get(name) ?? new SyncGroup(name);
      const belonging = members.filter(({ driver }) => driver.config.syncGroup === name);
      this.#groups.set(name, group);
      group.setMembers(
        nowMs,
        belonging.map(({ syncMember }) => syncMember),
      );
      for (const { driver } of belonging) this.#handleFaults(driver);
      if (belonging.length === 0) this.#groups.delete(name);
    }
  }

  #handleFaults(driver: VirtualRouterDriver): void {
    const member = this.#members.get(driver.name);
    if (member === undefined) return;
    const own = [...driver.faults].find(([cause]) => cause !== "sync-group");
    this.#groupOf(driver)?.handleFaults(this.#surroundings.clock.nowMs(), member.syncMember, own?.[1]);
  }

  #finishReleaseWhenEmpty(): void {
    if (this.#released === undefined) return;
    for (const [name, { driver }] of this.#members) if (!driver.machine.isHandingOver) this.#remove(name);
    if (this.#members.size === 0) this.#finishRelease();
  }

  #finishRelease(): void {
    const done = this.#released;
    this.#released = undefined;
    this.stop();
    done?.();
  }
}

/** A driver as its sync group knows it. */
class GroupMember implements SyncMember {
  readonly #driver: VirtualRouterDriver;

  constructor(driver: VirtualRouterDriver) {
    this.#driver = driver;
  }

  get name(): string {
    return this.#driver.name;
  }

  get state(): RouterState {
    return this.#driver.machine.state;
  }

  isOutranked(nowMs: number): boolean {
    return this.#driver.machine.isOutranked(nowMs);
  }

  promote(nowMs: number, detail: string): void {
    this.#driver.machine.handlePromotion(nowMs, detail);
    this.#driver.settle();
  }

  demote(nowMs: number, detail: string): void {
    this.#driver.machine.handleDemotion(nowMs, detail);
    this.#driver.settle();
  }

  release(nowMs: number): void {
    this.#driver.machine.handleRelease(nowMs);
    this.#driver.settle();
  }

  holdInFault(_nowMs: number, detail: string): void {
    this.#driver.setFault("sync-group", detail);
  }

  endFault(_nowMs: number, detail: string): void {
    this.#driver.clearFault("sync-group", detail);
  }
}
