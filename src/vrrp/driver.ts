/**
 * One virtual router at work: packets and deadlines go into the machine (machine.ts), what it wants done is carried out: send,
 * install, announce. Decides nothing about the election. Called by router-set.ts.
 *
 * The promise that makes the election safe against stalls (catchUp): whatever arrived is delivered before any deadline is
 * handled. A process that was frozen for two seconds finds the advertisements of those seconds in the socket, each with the time
 * the kernel received it, and only then asks whether the silence was real.
 */
import type { AddressPrefix, VirtualRouterConfig } from "../config/types.ts";
import type { RouterCounters, RouterFacts } from "../daemon/router-messages.ts";
import type { InterfaceAddress, Link } from "../netlink/route.ts";
import { Errno, errnoName } from "../sys/errno.ts";
import { AddressKeeper } from "./address-keeper.ts";
import { advertisementMismatches } from "./advertisement-check.ts";
import type { InterfaceListener } from "./interface-watch.ts";
import { leaseSeconds, renewAfterMs } from "./lease.ts";
import { type FaultCause, VirtualRouter } from "./machine.ts";
import {
  type Advertisement,
  type ChecksumKind,
  decodeAdvertisement,
  encodeAdvertisement,
  MULTICAST_GROUP,
} from "./packet.ts";
import { RouterPath } from "./router-path.ts";
import type { Effect, RouterSettings, Transition } from "./state.ts";
import type {
  Alarm,
  Announcer,
  DuplicateWatch,
  PortUser,
  ReceivedPacket,
  Surroundings,
} from "./surroundings.ts";
import { WarningLimit } from "./warning-limit.ts";

/** RFC 5227 §2.4, DEFEND_INTERVAL: two nodes that answer each other's claims at once would flood the segment. */
const DEFENCE_INTERVAL_MS = 10_000;
/**
 * RFC 5227 §1.1, PROBE_WAIT. A router that hears our first advertisement needs a moment to withdraw the addresses: until then its kernel
 * answers a probe, and every preemption would look like a split brain.
 */
const PROBE_WAIT_MS = 1000;
/** No advertisement of the other router for so many intervals: the conflict is over, and everybody is told once more who is left. */
const CONFLICT_OVER_INTERVALS = 4;

/** After a refused installation, or without a socket, the router stays in fault for so long before it tries again. */
const RETRY_MS = 10_000;
/** Every failed installation costs the peer its active state for a moment: the pause doubles, up to this. */
const INSTALL_RETRY_MAX_MS = 320_000;
/** The kernel refused to say which addresses there are. */
const LIST_RETRY_MS = 1000;

type Counters = { -readonly [Name in keyof RouterCounters]: RouterCounters[Name] } & {
  advertisementsDiscarded: Record<string, number>;
};

/** What the effects of one event did, and when. */
interface Outcome {
  readonly transitions: Transition[];
  addressesAtMs: number | undefined;
  announcedAtMs: number | undefined;
  hasFailed: boolean;
}

export class VirtualRouterDriver implements PortUser, InterfaceListener {
  readonly #surroundings: Surroundings;
  readonly #machine: VirtualRouter;
  readonly #keeper: AddressKeeper;
  readonly #announcer: Announcer;
  readonly #duplicateWatch: DuplicateWatch;
  readonly #warnings = new WarningLimit();
  readonly #faults = new Map<FaultCause, string>();
  readonly #counters = newCounters();
  #config: VirtualRouterConfig;
  readonly #path: RouterPath;
  /** What happens to the macvlan of `use_vmac`. */
  readonly #virtualMacListener: InterfaceListener = {
    handleLink: (link) => {
      if (link === undefined) this.#handleVirtualMacGone();
    },
    handleAddressAdded: () => {},
    handleAddressRemoved: (address) => this.handleAddressRemoved(address),
  };
  #alarm: { readonly atMs: number; readonly alarm: Alarm } | undefined;
  #renewal: Alarm | undefined;
  /** Of the way to the segment, and of the addresses: each ends its own fault. */
  #pathRetry: Alarm | undefined;
  #installRetry: Alarm | undefined;
  #installRetryMs = RETRY_MS;
  #conflictEnd: Alarm | undefined;
  #probe: Alarm | undefined;
  #defendedAtMs = Number.NEGATIVE_INFINITY;
  #isStarted = false;
  #isSettling = false;
  #lagMs = 0;

  constructor(config: VirtualRouterConfig, surroundings: Surroundings) {
    this.#config = config;
    this.#surroundings = surroundings;
    this.#machine = new VirtualRouter(settingsOf(config, undefined));
    const { route, interfaces } = surroundings;
    this.#keeper = new AddressKeeper(
      route,
      (linkIndex) => interfaces.addressesOf(linkIndex),
      allAddresses(config),
    );
    this.#path = new RouterPath(surroundings, this, config);
    this.#announcer = surroundings.newAnnouncer();
    this.#duplicateWatch = surroundings.newDuplicateWatch();
  }

  get config(): VirtualRouterConfig {
    return this.#config;
  }

  get name(): string {
    return this.#config.name;
  }

  get routerId(): number {
    return this.#config.id;
  }

  get machine(): VirtualRouter {
    return this.#machine;
  }

  get faults(): ReadonlyMap<FaultCause, string> {
    return this.#faults;
  }

  /** Longest delay between an event and its handling since the last call. */
  takeLagMsMax(): number {
    const lagMs = this.#lagMsMax;
    this.#lagMsMax = 0;
    return lagMs;
  }
  #lagMsMax = 0;

  start(): void {
    const { interfaces } = this.#surroundings;
    interfaces.subscribe(this.#config.interface, this);
    if (this.#path.virtualMacName !== undefined)
      interfaces.subscribe(this.#path.virtualMacName, this.#virtualMacListener);
    this.#isStarted = true;
    this.#checkLink(interfaces.link(this.#config.interface));
    this.#machine.handleStartup(this.#now());
    this.#settle();
  }

  /** Priority 0, addresses withdrawn, sockets closed. */
  stop(): void {
    this.#lagMs = 0;
    this.#machine.handleShutdown(this.#now());
    this.#settle();
    this.#isStarted = false;
    const { interfaces } = this.#surroundings;
    interfaces.unsubscribe(this.#config.interface, this);
    if (this.#path.virtualMacName !== undefined)
      interfaces.unsubscribe(this.#path.virtualMacName, this.#virtualMacListener);
    this.#stopBeingActive();
    this.#path.remove();
    this.#alarm?.alarm.cancel();
    this.#alarm = undefined;
    this.#pathRetry?.cancel();
    this.#installRetry?.cancel();
  }

  /** A new configuration of the same router, in place: the state stays, and so does every address that is in both. */
  reconfigure(config: VirtualRouterConfig): void {
    this.catchUp();
    const leaseBefore = this.#leaseSeconds;
    this.#config = config;
    const failures = [
      ...this.#keeper.changeLease(this.#leaseSeconds),
      ...this.#keeper.replace(allAddresses(config)),
    ];
    if (leaseBefore !== this.#leaseSeconds) this.#cancelRenewal();
    this.#checkLink(this.#path.parent);
    this.#machine.handleSettings(this.#now(), settingsOf(config, this.#path.source));
    if (failures.length > 0) this.#failInstall(failures);
    if (this.#machine.state === "active") {
      this.#warnOfForeign();
      this.#becomeActiveAgain();
      this.#watchDuplicates();
    }
    this.#settle();
  }

  /** Gives up addresses at once, ahead of the reconfigure() that no longer has them. */
  dropAddresses(isDropped: (prefix: AddressPrefix) => boolean): void {
    if (!allAddresses(this.#config).some(isDropped)) return;
    this.#keeper.replace(allAddresses(this.#config).filter((prefix) => !isDropped(prefix)));
  }

  // ── what happens ──

  /** Handles whatever has happened already, in its order: packets first, then the deadline that may have passed. */
  catchUp(): void {
    if (!this.#isStarted || this.#isSettling) return;
    this.#path.drain();
    const nowMs = this.#now();
    const deadlineMs = this.#machine.nextTimeout();
    if (deadlineMs !== undefined && deadlineMs <= nowMs) {
      this.#noteLag(nowMs - deadlineMs);
      this.#machine.handleTimeout(nowMs);
    }
    this.#settle();
  }

  handlePacket(packet: ReceivedPacket): void {
    if (!this.#isStarted) return;
    const advertisement = this.#decode(packet);
    if (advertisement === undefined) return;
    this.#counters.advertisementsReceived++;
    const nowMs = this.#now();
    this.#noteLag(nowMs - packet.arrivedAtMs);
    const { priority, intervalMs, addresses } = advertisement;
    const { source, arrivedAtMs } = packet;
    this.#machine.handleAdvertisement(nowMs, { source, priority, intervalMs, addresses, arrivedAtMs });
    this.#settle();
  }

  handleLink(link: Link | undefined): void {
    this.catchUp();
    this.#lagMs = 0;
    const before = this.#path.parent;
    // "Gone" may mean renamed: then the addresses are still there, to be withdrawn by the fault that follows.
    if (before !== undefined && link !== undefined && link.index !== before.index)
      this.#keeper.noteInterfaceGone();
    this.#checkLink(link);
    const hasNewMac = before !== undefined && link !== undefined && !hasSameMac(before, link);
    if (hasNewMac) this.#announceAgain();
    this.#settle();
  }

  handleAddressAdded(address: InterfaceAddress): void {
    if (this.#keeper.holds(address)) return;
    this.#checkLink(this.#path.parent);
    this.#settle();
  }

  handleAddressRemoved(address: InterfaceAddress): void {
    if (!this.#isStarted) return;
    if (!this.#keeper.holds(address)) {
      this.#checkLink(this.#path.parent);
      this.#settle();
      return;
    }
    // The kernel's lease may have run out while this process was frozen: first learn whether another router is active by now.
    this.catchUp();
    const isLost = this.#machine.state === "active" ? this.#keeper.isLost(address) : false;
    if (isLost === undefined) this.#lookAgainLater(address);
    else if (isLost) this.#handleLostAddress(address);
    this.#settle();
  }

  #lookAgainLater(address: InterfaceAddress): void {
    const sentence = `whether ${address.host} was removed is not known: the kernel refuses to list the addresses; asked again in ${LIST_RETRY_MS} ms`;
    this.#warn("list", "router-list-refused", sentence);
    this.#after(LIST_RETRY_MS, () => this.handleAddressRemoved(address));
  }

  #handleVirtualMacGone(): void {
    this.setFault("link", `interface ${this.#path.virtualMacName} was removed by somebody else`);
    this.#keeper.noteInterfaceGone();
    this.#path.noteVirtualMacGone();
    this.#checkLink(this.#path.parent);
  }

  setFault(cause: FaultCause, detail: string): void {
    if (this.#faults.get(cause) === detail) return;
    const isFirst = this.#faults.size === 0;
    this.#faults.set(cause, detail);
    this.#lagMs = 0;
    if (isFirst) this.#machine.handleFault(this.#now(), cause, detail);
    this.#settle();
    if (cause !== "sync-group") this.#surroundings.handleFaults(this);
  }

  clearFault(cause: FaultCause, detail: string): void {
    if (!this.#faults.delete(cause)) return;
    if (cause === "address-lost") this.#installRetry?.cancel();
    this.#lagMs = 0;
    if (this.#faults.size === 0) this.#machine.handleRecovery(this.#now(), cause, detail);
    this.#settle();
    if (cause !== "sync-group") this.#surroundings.handleFaults(this);
  }

  /** Carries out what somebody made the machine want by calling it directly: sync groups, orders. */
  settle(): void {
    this.#lagMs = 0;
    this.#settle();
  }

  setPriority(priority: number, detail: string): void {
    if (priority === this.#machine.priority) return;
    this.#machine.handlePriority(this.#now(), priority, detail);
    this.#settle();
  }

  facts(): Omit<RouterFacts, "trackers" | "isInMaintenance"> {
    const machine = this.#machine;
    const nowMs = this.#now();
    const last = machine.lastAdvertisement;
    return {
      name: this.name,
      state: machine.state,
      inStateMs: Math.max(0, Math.round(nowMs - machine.enteredAtMs)),
      priority: machine.priority,
      isHandingOver: machine.isHandingOver,
      faults: [...this.#faults.values()],
      addresses: this.#keeper.facts(),
      sourceAddress: this.#path.isOpen ? (this.#path.source ?? null) : null,
      peer:
        last === undefined
          ? null
          : { address: last.source, priority: last.priority, ageMs: Math.round(nowMs - last.arrivedAtMs) },
      counters: { ...this.#counters, announcementsSent: this.#announcer.announcementsSent },
    };
  }

  // ── the interface ──

  /** Looks at interface and source address; opens the sockets, or sets the fault. */
  #checkLink(parent: Link | undefined): void {
    const before = this.#path.source;
    const trouble = this.#path.update(this.#config, parent);
    const { source } = this.#path;
    if (source !== before) this.#machine.handleSettings(this.#now(), settingsOf(this.#config, source));
    if (trouble === undefined) {
      this.clearFault("link", `interface ${this.#config.interface} is up`);
      return;
    }
    // Priority 0 while the sockets are there: without a source address nothing goes out, on a link that is down nothing arrives.
    this.setFault("link", trouble.sentence);
    this.#path.close();
    this.#pathRetry?.cancel();
    if (trouble.isWorthRetrying)
      this.#pathRetry = this.#after(RETRY_MS, () => this.#checkLink(this.#path.parent));
  }

  // ── packets ──

  #decode(packet: ReceivedPacket): Advertisement | undefined {
    const { family, unicastPeers } = this.#config;
    const isUnicast = unicastPeers.length > 0;
    const { bytes, source, destination, hopLimit } = packet;
    const decoded = decodeAdvertisement(bytes, { family, source, destination, hopLimit, isUnicast });
    if (!decoded.ok) {
      this.#discard(decoded.reason, `an advertisement of ${source} is not valid: ${decoded.reason}`, source);
      return undefined;
    }
    if (isUnicast && !unicastPeers.includes(source)) {
      this.#discard(
        "unknown-peer",
        `${source} sends advertisements, but is none of the unicast peers`,
        source,
      );
      return undefined;
    }
    return this.#agrees(decoded.value, source) ? decoded.value : undefined;
  }

  #agrees(advertisement: Advertisement, source: string): boolean {
    const { version, advertIntervalMs, authPass, addresses, priority, family } = this.#config;
    const hosts = addresses.map((address) => address.host);
    const checksum = version === 3 && family === "inet" ? checksumKind(this.#config) : undefined;
    const expected = { version, advertIntervalMs, authPass, addresses: hosts, priority, checksum };
    let isUsable = true;
    for (const { reason, detail, isFatal } of advertisementMismatches(expected, advertisement)) {
      if (isFatal) {
        isUsable = false;
        this.#discard(reason, `${source}: ${detail}`, source);
      } else this.#warn(`${reason} ${source}`, "router-mismatch", `${source}: ${detail}`);
    }
    return isUsable;
  }

  #discard(reason: string, sentence: string, source: string): void {
    const { advertisementsDiscarded } = this.#counters;
    advertisementsDiscarded[reason] = (advertisementsDiscarded[reason] ?? 0) + 1;
    this.#warn(`${reason} ${source}`, "router-advertisement-discarded", sentence, { reason });
  }

  #sendAdvertisement(priority: number): void {
    const { family, unicastPeers } = this.#config;
    const { source } = this.#path;
    if (source === undefined || !this.#path.isOpen) return;
    const destinations = unicastPeers.length === 0 ? [MULTICAST_GROUP[family]] : unicastPeers;
    for (const destination of destinations) {
      const message = encodeAdvertisement(this.#advertisement(priority), { family, source, destination });
      const result = this.#path.send(message, source, destination);
      if (result >= 0) this.#counters.advertisementsSent++;
      else {
        this.#counters.sendErrors++;
        const hint = result === -Errno.EPERM ? OUTPUT_RULE_HINT : "";
        const sentence = `advertisement to ${destination}: ${errnoName(-result)}${hint}`;
        this.#warn("send", "router-send-failed", sentence);
      }
    }
  }

  #advertisement(priority: number): Advertisement {
    const { version, id, advertIntervalMs, addresses, authPass } = this.#config;
    const hosts = addresses.map((address) => address.host);
    const checksum = checksumKind(this.#config);
    return {
      version,
      routerId: id,
      priority,
      intervalMs: advertIntervalMs,
      addresses: hosts,
      authPass,
      checksum,
    };
  }

  // ── effects ──

  /** Carries out everything the machine wants, reports what changed, arms the next deadline. */
  #settle(): void {
    if (this.#isSettling || !this.#isStarted) return;
    this.#isSettling = true;
    const outcome: Outcome = {
      transitions: [],
      addressesAtMs: undefined,
      announcedAtMs: undefined,
      hasFailed: false,
    };
    for (let effect = this.#machine.pollEffect(); effect !== undefined; effect = this.#machine.pollEffect()) {
      this.#carryOut(effect, outcome);
    }
    this.#isSettling = false;
    this.#arm();
    for (const transition of outcome.transitions) this.#report(transition, outcome);
  }

  #carryOut(effect: Effect, outcome: Outcome): void {
    switch (effect.kind) {
      case "send-advertisement":
        this.#sendAdvertisement(effect.priority);
        break;
      case "install-addresses":
        this.#install(outcome);
        break;
      case "withdraw-addresses":
        this.#withdraw(outcome);
        break;
      case "announce-addresses":
        this.#announce(outcome);
        break;
      case "state-changed":
        outcome.transitions.push(effect.transition);
        break;
      case "stall-noticed":
        this.#noteStall(effect);
        break;
      case "conflict-seen":
        this.#noteConflict(effect.source, effect.priority);
        break;
      case "handover-ended":
        this.#surroundings.handleHandoverEnd(this, effect.isTakenOver, effect.by);
        break;
    }
  }

  #install(outcome: Outcome): void {
    const { link } = this.#path;
    if (link === undefined) return;
    const { priority } = this.#config;
    const failures = this.#keeper.install({
      linkIndex: link.index,
      interface: link.name,
      leaseSeconds: this.#leaseSeconds,
      isOwner: priority === 255,
    });
    outcome.addressesAtMs = this.#now();
    this.#warnOfForeign();
    if (failures.length > 0) {
      outcome.hasFailed = true;
      this.#failInstall(failures);
    } else {
      this.#installRetryMs = RETRY_MS;
      this.#scheduleRenewal();
    }
  }

  #withdraw(outcome: Outcome): void {
    this.#stopBeingActive();
    const failures = this.#keeper.withdraw();
    this.#path.leave();
    outcome.addressesAtMs = this.#now();
    for (const failure of failures) {
      outcome.hasFailed = true;
      this.#surroundings.log("error", "router-withdraw-failed", `${this.name}: ${failure}`, this.#fields());
    }
  }

  #announce(outcome: Outcome): void {
    const { link } = this.#path;
    // Of addresses that are not here nobody is told: the peer that is active in a moment has them.
    if (link === undefined || !this.#keeper.isWanted || outcome.hasFailed) return;
    const addresses = allAddresses(this.#config);
    if (this.#announcer.announce(link, addresses, this.#config)) outcome.announcedAtMs = this.#now();
    this.#probe ??= this.#after(PROBE_WAIT_MS, () => {
      this.#probe = undefined;
      this.#watchDuplicates();
    });
  }

  /** Also after a reload: new addresses are asked for, those that left are somebody else's. */
  #watchDuplicates(): void {
    const { link } = this.#path;
    if (link === undefined || !this.#keeper.isWanted) return;
    this.#duplicateWatch.start(link, allAddresses(this.#config), (host, hardwareAddress) =>
      this.#noteDuplicate(host, hardwareAddress),
    );
  }

  #becomeActiveAgain(): void {
    // One that is due soon stays: put off by every reload, it would come after the end of the lease.
    if (this.#renewal === undefined) this.#scheduleRenewal();
    this.#announceAgain();
  }

  #announceAgain(): void {
    if (this.#machine.state !== "active" || this.#path.link === undefined) return;
    this.#announcer.announce(this.#path.link, allAddresses(this.#config), this.#config);
  }

  #stopBeingActive(): void {
    this.#cancelRenewal();
    this.#conflictEnd?.cancel();
    this.#announcer.stop();
    this.#probe?.cancel();
    this.#probe = undefined;
    this.#duplicateWatch.stop();
  }

  #scheduleRenewal(): void {
    this.#cancelRenewal();
    const lease = this.#leaseSeconds;
    if (lease === undefined) return;
    this.#renewal = this.#surroundings.clock.at(this.#now() + renewAfterMs(lease), () => this.#renew());
  }

  #cancelRenewal(): void {
    this.#renewal?.cancel();
    this.#renewal = undefined;
  }

  get #leaseSeconds(): number | undefined {
    return leaseSeconds(this.#config.addressLeaseMs, this.#config.advertIntervalMs);
  }

  #renew(): void {
    this.#renewal = undefined;
    // After a stall another router may be active: then there is nothing to renew.
    this.catchUp();
    if (!this.#keeper.isWanted) return;
    const failures = this.#keeper.renew();
    this.#counters.leaseRenewals++;
    if (failures.length > 0) this.#failInstall(failures);
    else this.#scheduleRenewal();
    this.#settle();
  }

  #handleLostAddress(address: InterfaceAddress): void {
    const text = `${address.host}/${address.prefixLength}`;
    if (this.#config.onAddressLost === "fault") {
      this.#keeper.noteLost(address);
      this.setFault("address-lost", `${text} was removed from ${this.#config.interface} by somebody else`);
      return;
    }
    const failures = this.#keeper.restore(address);
    if (failures.length > 0) {
      this.#failInstall(failures);
      return;
    }
    this.#counters.addressesRestored++;
    this.#becomeActiveAgain();
    const message = `${text} was removed from ${this.#config.interface} by somebody else and installed again`;
    this.#warn(`restored ${text}`, "router-address-restored", message, { address: text });
  }

  #failInstall(failures: readonly string[]): void {
    this.setFault("address-lost", failures.join("; "));
    this.#installRetry?.cancel();
    this.#installRetry = this.#after(this.#installRetryMs, () =>
      this.clearFault("address-lost", "another try"),
    );
    this.#installRetryMs = Math.min(2 * this.#installRetryMs, INSTALL_RETRY_MAX_MS);
  }

  #after(delayMs: number, callback: () => void): Alarm {
    return this.#surroundings.clock.at(this.#now() + delayMs, callback);
  }

  // ── what is told ──

  #noteStall({ lateMs, outcome }: Extract<Effect, { kind: "stall-noticed" }>): void {
    this.#counters.stallsNoticed++;
    const sentence = `this process was frozen or starved: ${lateMs.toFixed(0)} ms late; ${STALL_OUTCOMES[outcome]}`;
    this.#warn(`stall ${outcome}`, "router-stall", sentence, { lateMs: Math.round(lateMs), outcome });
  }

  #noteConflict(source: string, priority: number): void {
    this.#counters.conflictsSeen++;
    const sentence = `${source} advertises with priority ${priority} while this router is active too`;
    this.#warn("conflict", "router-conflict", sentence, { source, peerPriority: priority });
    this.#conflictEnd?.cancel();
    const overAtMs = this.#now() + CONFLICT_OVER_INTERVALS * this.#config.advertIntervalMs;
    this.#conflictEnd = this.#surroundings.clock.at(overAtMs, () => this.#announceAgain());
  }

  /** Priority 255 says that it is so. */
  #warnOfForeign(): void {
    if (this.#config.priority === 255) return;
    for (const text of this.#keeper.foreign()) {
      const sentence = `${text} is configured on ${this.#config.interface} without VRRP: it is left as it is, also while another router is active, and then both hosts have it. Remove it from the network configuration of this host`;
      this.#warn(`foreign ${text}`, "router-address-foreign", sentence, { address: text });
    }
  }

  #noteDuplicate(host: string, hardwareAddress: string): void {
    if (this.#machine.state !== "active" || this.#path.link === undefined) return;
    this.#counters.duplicateAddressesSeen++;
    const nowMs = this.#now();
    if (nowMs - this.#defendedAtMs >= DEFENCE_INTERVAL_MS) {
      this.#defendedAtMs = nowMs;
      this.#announceAgain();
    }
    const sentence = `${hardwareAddress} claims ${host}, an address of this router, which is active`;
    this.#warn(`duplicate ${host}`, "router-duplicate-address", sentence, { address: host, hardwareAddress });
  }

  #report(transition: Transition, outcome: Outcome): void {
    const { clock, reportTransition, handleStateChange } = this.#surroundings;
    if (transition.to === "active") this.#counters.becameActive++;
    const { atMs, lateMs: _, ...told } = transition;
    const since = (doneAtMs: number | undefined): number | null =>
      doneAtMs === undefined || outcome.hasFailed ? null : round(Math.max(0, doneAtMs - atMs));
    reportTransition({
      router: this.name,
      atUnixMs: Math.round(clock.unixNowMs() - (this.#now() - atMs)),
      ...told,
      lastAdvertisement: told.lastAdvertisement ?? null,
      loopLagMs: round(this.#lagMs),
      addressesAfterMs: since(outcome.addressesAtMs),
      announcedAfterMs: since(outcome.announcedAtMs),
    });
    handleStateChange(this, transition);
  }

  #warn(
    kind: string,
    event: string,
    sentence: string,
    fields: Readonly<Record<string, string | number>> = {},
  ): void {
    const kept = this.#warnings.admit(kind, this.#now());
    if (kept === undefined) return;
    const more = kept === 0 ? "" : ` (and ${kept} times more since the last warning)`;
    this.#surroundings.log("warn", event, `${this.name}: ${sentence}${more}`, {
      ...this.#fields(),
      ...fields,
    });
  }

  #fields(): Record<string, string | number> {
    return { router: this.name, interface: this.#config.interface, id: this.#config.id };
  }

  // ── time ──

  #now(): number {
    return this.#surroundings.clock.nowMs();
  }

  #noteLag(lagMs: number): void {
    this.#lagMs = Math.max(0, lagMs);
    if (lagMs > this.#lagMsMax) this.#lagMsMax = lagMs;
  }

  #arm(): void {
    const deadlineMs = this.#machine.nextTimeout();
    if (deadlineMs === this.#alarm?.atMs) return;
    this.#alarm?.alarm.cancel();
    this.#alarm = undefined;
    if (deadlineMs === undefined) return;
    const alarm = this.#surroundings.clock.at(deadlineMs, () => {
      this.#alarm = undefined;
      this.catchUp();
    });
    this.#alarm = { atMs: deadlineMs, alarm };
  }
}

/** The capability was there when the socket was opened: on sending, EPERM is a packet filter's. */
const OUTPUT_RULE_HINT =
  "; a packet filter drops it: look for output rules that stop protocol 112 (`nft list ruleset`, `iptables -S OUTPUT`)";

const STALL_OUTCOMES = {
  listening: "it listens for one more interval before it takes over",
  "stays-active": "nobody took over meanwhile, it stays active",
  "steps-down": "another router took over meanwhile, it steps down",
} as const;

function newCounters(): Counters {
  return {
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
}

function hasSameMac(one: Link, other: Link): boolean {
  return Buffer.compare(one.hardwareAddress, other.hardwareAddress) === 0;
}

export function allAddresses(config: VirtualRouterConfig): readonly AddressPrefix[] {
  return [...config.addresses, ...config.extraAddresses];
}

function settingsOf(config: VirtualRouterConfig, sourceAddress: string | undefined): RouterSettings {
  const { version, advertIntervalMs, priority, preempt, preemptDelayMs } = config;
  return { version, advertIntervalMs, priority, preempt, preemptDelayMs, sourceAddress };
}

function checksumKind({ version, family, checksum }: VirtualRouterConfig): ChecksumKind {
  if (version === 2) return "message";
  return family === "inet6" || checksum === "pseudo-header" ? "pseudo-header" : "message";
}

/** Microseconds are enough for humans. */
function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
