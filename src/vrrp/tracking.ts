/**
 * What one router tracks: results that the supervisor tells (pools, checks, the gateway itself) and interfaces, which are watched here,
 * debounced. Says priority and faults (effective-priority.ts). Called by router-set.ts.
 */
import type { TrackedInterfaceConfig, VirtualRouterConfig } from "../config/types.ts";
import {
  checkTrackerKey,
  GATEWAY_TRACKER_KEY,
  poolTrackerKey,
  type TrackerResultMessage,
} from "../daemon/router-messages.ts";
import type { Link } from "../netlink/route.ts";
import { Debounce } from "./debounce.ts";
import { type EffectivePriority, effectivePriority, type Tracker } from "./effective-priority.ts";
import type { InterfaceListener, InterfaceWatch } from "./interface-watch.ts";
import type { Alarm, Clock } from "./surroundings.ts";

/** As the supervisor calls the others (router-messages.ts). */
function interfaceKey(name: string): string {
  return `interface:${name}`;
}

export class Tracking {
  readonly #interfaces: InterfaceWatch;
  readonly #clock: Clock;
  readonly #handleChange: () => void;
  #config: VirtualRouterConfig;
  #tracked: TrackedInterface[] = [];
  /** Keys that a reload added while the router ran: not down before their first result, or a reload could move the addresses. */
  #patientWith = new Set<string>();

  constructor(
    config: VirtualRouterConfig,
    interfaces: InterfaceWatch,
    clock: Clock,
    handleChange: () => void,
  ) {
    this.#config = config;
    this.#interfaces = interfaces;
    this.#clock = clock;
    this.#handleChange = handleChange;
    this.#watchInterfaces();
  }

  reconfigure(config: VirtualRouterConfig): void {
    const before = new Set(supervisedKeys(this.#config).map(({ key }) => key));
    this.#config = config;
    for (const { key } of supervisedKeys(config)) if (!before.has(key)) this.#patientWith.add(key);
    this.#watchInterfaces();
  }

  stop(): void {
    for (const tracked of this.#tracked) tracked.stop();
    this.#tracked = [];
  }

  trackers(results: ReadonlyMap<string, TrackerResultMessage>): Tracker[] {
    const supervised = supervisedKeys(this.#config).map(({ key, weight }) => {
      const result = results.get(key);
      if (result !== undefined) this.#patientWith.delete(key);
      const isUp = result?.isUp ?? this.#patientWith.has(key);
      return { key, weight, isUp, detail: result?.detail ?? "no result yet" };
    });
    return [...this.#tracked.map((tracked) => tracked.tracker()), ...supervised];
  }

  evaluate(results: ReadonlyMap<string, TrackerResultMessage>): EffectivePriority {
    return effectivePriority(this.#config.priority, this.trackers(results));
  }

  /** An interface that is tracked already keeps its debounce. */
  #watchInterfaces(): void {
    const before = this.#tracked;
    this.#tracked = this.#config.track.interfaces.map((config) => {
      const known = before.find((tracked) => tracked.name === config.interface);
      if (known === undefined)
        return new TrackedInterface(config, this.#interfaces, this.#clock, this.#handleChange);
      known.reconfigure(config);
      return known;
    });
    for (const tracked of before) if (!this.#tracked.includes(tracked)) tracked.stop();
  }
}

function supervisedKeys({
  name,
  track,
}: VirtualRouterConfig): { readonly key: string; readonly weight: number }[] {
  const { pools, checks, gateway } = track;
  return [
    ...pools.map((pool) => ({ key: poolTrackerKey(pool), weight: pool.weight })),
    ...checks.map((check) => ({ key: checkTrackerKey(name, check.name), weight: check.weight })),
    ...(gateway === undefined ? [] : [{ key: GATEWAY_TRACKER_KEY, weight: gateway.weight }]),
  ];
}

class TrackedInterface implements InterfaceListener {
  readonly #interfaces: InterfaceWatch;
  readonly #clock: Clock;
  readonly #handleChange: () => void;
  readonly #debounce: Debounce;
  #config: TrackedInterfaceConfig;
  #detail: string;
  #alarm: Alarm | undefined;

  constructor(
    config: TrackedInterfaceConfig,
    interfaces: InterfaceWatch,
    clock: Clock,
    handleChange: () => void,
  ) {
    this.#config = config;
    this.#interfaces = interfaces;
    this.#clock = clock;
    this.#handleChange = handleChange;
    const link = interfaces.link(config.interface);
    this.#debounce = new Debounce(config, link?.isUp === true);
    this.#detail = describeLink(link);
    interfaces.subscribe(config.interface, this);
  }

  get name(): string {
    return this.#config.interface;
  }

  tracker(): Tracker {
    const { interface: name, weight } = this.#config;
    return { key: interfaceKey(name), isUp: this.#debounce.isUp, weight, detail: this.#detail };
  }

  reconfigure(config: TrackedInterfaceConfig): void {
    this.#config = config;
    this.#debounce.handleDelays(this.#clock.nowMs(), config);
    this.#arm();
  }

  stop(): void {
    this.#alarm?.cancel();
    this.#interfaces.unsubscribe(this.name, this);
  }

  handleLink(link: Link | undefined): void {
    this.#detail = describeLink(link);
    const isChanged = this.#debounce.handleObservation(this.#clock.nowMs(), link?.isUp === true);
    this.#arm();
    if (isChanged) this.#handleChange();
  }

  handleAddressAdded(): void {}

  handleAddressRemoved(): void {}

  #arm(): void {
    this.#alarm?.cancel();
    const deadlineMs = this.#debounce.nextTimeout();
    if (deadlineMs === undefined) return;
    this.#alarm = this.#clock.at(deadlineMs, () => {
      const isChanged = this.#debounce.handleTime(this.#clock.nowMs());
      this.#arm();
      if (isChanged) this.#handleChange();
    });
  }
}

function describeLink(link: Link | undefined): string {
  if (link === undefined) return "it does not exist";
  return link.isUp ? "it is up" : "it is down";
}
