/**
 * One virtual router on one interface (RFC 9568 §6.4): who is active, when that changes, and why. Pure: no sockets, no clock, no
 * randomness. Feed `handle*`, drain `pollEffect()` until undefined and carry the effects out in their order, then arm one timer at
 * `nextTimeout()`. Before `handleTimeout()` the driver has delivered every advertisement that waits in the socket, with the time at
 * which the kernel received it: a process that was frozen must not take its own deafness for silence.
 *
 * What each event does is the table in transitions.ts; here events are told apart and actions carried out. Read §6.3 and §6.4, and
 * errata 7947, 7949, 8298 to 8301, before you change either.
 */
import { compareAddresses } from "./packet.ts";
import type {
  Effect,
  ReceivedAdvertisement,
  RouterSettings,
  RouterState,
  Transition,
  TransitionCause,
} from "./state.ts";
import {
  activeDownIntervalMs,
  handoverPatienceMs,
  listeningAfterStallMs,
  PRIORITY_MAX,
  PRIORITY_MIN,
  PRIORITY_OWNER,
  PRIORITY_STOPS,
  shortestPatienceMs,
  skewTimeMs,
} from "./timers.ts";
import {
  type DecisionFacts,
  describeHandedOver,
  describeOutranked,
  describePreempt,
  describePriorityZero,
  describeSilence,
  describeSilenceAfterStall,
  describeStart,
  describeTakenOver,
} from "./transition-detail.ts";
import { type RouterAction, type RouterEvent, ruleFor } from "./transitions.ts";

export type FaultCause = Extract<
  TransitionCause,
  "tracker" | "link" | "address-lost" | "sync-group" | "operator"
>;

/** Twice in a row the machine doubts its own ears; then it promotes: a host that is always slow must still fail over. */
const LATE_LISTENINGS_MAX = 2;

/** With one advertisement lost a living router's last one is younger than this; a dead one's is older when the first backup fires. */
const FRESH_INTERVALS = 2;

/** Neighbours learn from each announcement whose the addresses are; at 10 ms an advertisement would be one broadcast for each address. */
const CONFLICT_ANNOUNCEMENT_INTERVAL_MS = 1000;
const OUTRANKING: ReadonlySet<RouterEvent> = new Set([
  "higher-priority",
  "equal-higher-address",
  "own-address",
]);

/** What a backup waits for: three advertisements, the skew time after a priority 0, one more advertisement after it woke late. */
type Wait = "active-down" | "skew" | "one-more";

/** What an event brings along for the actions of its rule. */
interface Occasion {
  readonly nowMs: number;
  readonly event: RouterEvent;
  readonly detail: string;
  readonly cause?: TransitionCause;
  readonly advertisement?: ReceivedAdvertisement;
  readonly lateMs?: number;
}

export class VirtualRouter {
  #settings: RouterSettings;
  #state: RouterState = "initialize";
  #priority: number;
  #enteredAtMs = 0;
  #last: ReceivedAdvertisement | undefined;
  readonly #effects: Effect[] = [];

  // Backup.
  #activeIntervalMs: number;
  /** Taken over from an active router: settings of this one no longer decide it. */
  #isIntervalAdopted = false;
  #wait: Wait = "active-down";
  #waitSinceMs = 0;
  #deadlineAtMs = 0;
  #lateListenings = 0;
  /** The wait began with an advertisement that would win against this router's own. */
  #isOutrankedSinceWait = false;
  /** The last one of the router that this one is about to replace. */
  #lower: ReceivedAdvertisement | undefined;
  /** The priority 0 that began the wait for the skew time. */
  #stopped: ReceivedAdvertisement | undefined;

  // Active.
  #advertiseAtMs = 0;
  #lastSentAtMs = 0;
  #lastAnswerAtMs = Number.NEGATIVE_INFINITY;
  #conflictAnnouncedAtMs = Number.NEGATIVE_INFINITY;
  #handoverEndsAtMs: number | undefined;
  #isDemotedAfterHandover = false;

  /** After a handover: no preemption before an operator says so. */
  #isYielding = false;
  /** The sync group cannot be active. */
  #isHeld = false;

  constructor(settings: RouterSettings) {
    this.#settings = settings;
    this.#priority = settings.priority;
    this.#activeIntervalMs = settings.advertIntervalMs;
  }

  get state(): RouterState {
    return this.#state;
  }

  /** Effective: trackers applied. */
  get priority(): number {
    return this.#priority;
  }

  get isHandingOver(): boolean {
    return this.#handoverEndsAtMs !== undefined;
  }

  /** After a handover or in maintenance, until handleResume() or until it is active again. */
  get isYielding(): boolean {
    return this.#isYielding;
  }

  /** Kept backup by its sync group. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** The last one of another router, priority 0 included. */
  get lastAdvertisement(): ReceivedAdvertisement | undefined {
    return this.#last;
  }

  get enteredAtMs(): number {
    return this.#enteredAtMs;
  }

  handleStartup(nowMs: number): void {
    const event = this.#isOwner && !this.#isYielding ? "startup-owner" : "startup";
    this.#apply({ nowMs, event, detail: describeStart(this.#priority) });
  }

  handleAdvertisement(nowMs: number, advertisement: ReceivedAdvertisement): void {
    const event = this.#classify(nowMs, advertisement);
    const isListening = this.#state === "backup" || this.#state === "active";
    const lateMs = event === "taken-over" ? nowMs - this.#advertiseAtMs : 0;
    if (isListening) this.#last = advertisement;
    if (event === "lower-priority") this.#lower = advertisement;
    const detail = this.#detailOf(nowMs, event, advertisement);
    this.#apply({ nowMs, event, detail, advertisement, lateMs });
  }

  /** Does nothing before nextTimeout(): a deadline may have moved since the timer was armed. */
  handleTimeout(nowMs: number): void {
    if (this.#state === "active") this.#handleActiveTimeout(nowMs);
    else if (this.#state === "backup" && nowMs >= this.#deadlineAtMs) this.#handleActiveDown(nowMs);
  }

  handleShutdown(nowMs: number): void {
    this.#apply({
      nowMs,
      event: "shutdown",
      detail: "stopped, or removed from the configuration",
    });
  }

  /** To be called when the first of several faults appears. */
  handleFault(nowMs: number, cause: FaultCause, detail: string): void {
    this.#apply({ nowMs, event: "fault", cause, detail });
  }

  /** To be called when the last of several faults is gone. */
  handleRecovery(nowMs: number, cause: FaultCause, detail: string): void {
    const event = this.#isOwner && !this.#isYielding ? "recovery-owner" : "recovery";
    this.#apply({ nowMs, event, cause, detail });
  }

  /** What trackers made of the priority. The owner's is 255 whatever they say (RFC 9568 §5.2.4). */
  handlePriority(nowMs: number, priority: number, detail: string): void {
    const effective = this.#settings.priority === PRIORITY_OWNER ? PRIORITY_OWNER : clampPriority(priority);
    if (effective === this.#priority) return;
    this.#priority = effective;
    this.#apply({ nowMs, event: "priority", detail });
  }

  /** A changed priority holds until the next handlePriority(): the driver reckons its trackers anew after this call. */
  handleSettings(nowMs: number, settings: RouterSettings): void {
    const before = this.#settings;
    this.#settings = settings;
    if (settings.priority !== before.priority) this.#priority = settings.priority;
    if (!this.#isIntervalAdopted) this.#activeIntervalMs = settings.advertIntervalMs;
    const detail = settings.advertIntervalMs === before.advertIntervalMs ? "" : "interval";
    this.#apply({ nowMs, event: "settings", detail });
  }

  /** Active: a peer takes over first. Otherwise: it does not preempt until handleResume(). */
  handleHandover(nowMs: number): void {
    if (this.isHandingOver) return;
    this.#apply({ nowMs, event: "handover", detail: "handover asked for by an operator" });
  }

  handleResume(nowMs: number): void {
    if (this.isHandingOver) this.#endHandoverAlone(nowMs);
    this.#apply({ nowMs, event: "resume", detail: "resumed by an operator" });
  }

  handlePromotion(nowMs: number, detail: string): void {
    this.#isDemotedAfterHandover = false;
    this.#apply({ nowMs, event: "promotion", detail });
  }

  /** A router that hands over keeps its addresses until the handover ends. */
  handleDemotion(nowMs: number, detail: string): void {
    if (this.isHandingOver) this.#isDemotedAfterHandover = true;
    else this.#apply({ nowMs, event: "demotion", detail });
  }

  /** The sync group may be active again: a held backup promotes itself on silence as before. */
  handleRelease(nowMs: number): void {
    this.#apply({ nowMs, event: "release", detail: "" });
  }

  /** In backup, and a router that would win against this one is active. One whose advertisement is overdue does not count. */
  isOutranked(nowMs: number): boolean {
    const isFresh = nowMs - this.#waitSinceMs < FRESH_INTERVALS * this.#activeIntervalMs;
    return this.#state === "backup" && this.#isOutrankedSinceWait && isFresh;
  }

  /** `state-changed` comes after the effects of its transition, so that the driver knows by then how long they took. */
  pollEffect(): Effect | undefined {
    return this.#effects.shift();
  }

  nextTimeout(): number | undefined {
    if (this.#state === "backup") return this.#deadlineAtMs;
    if (this.#state === "active") return this.#handoverEndsAtMs ?? this.#advertiseAtMs;
    return undefined;
  }

  // What happened

  get #isOwner(): boolean {
    return this.#priority === PRIORITY_OWNER;
  }

  #classify(nowMs: number, advertisement: ReceivedAdvertisement): RouterEvent {
    if (advertisement.priority === PRIORITY_STOPS)
      return this.isHandingOver ? "zero-in-handover" : "priority-zero";
    if (this.isHandingOver) return "handed-over";
    if (this.#wasTakenOver(nowMs, advertisement)) return "taken-over";
    if (advertisement.priority > this.#priority) return "higher-priority";
    if (advertisement.priority < this.#priority)
      return this.#mayPreempt(nowMs) ? "lower-priority" : "lower-tolerated";
    // "based on an unsigned integer comparison of the IPvX addresses in network byte order" (RFC 9568 §6.4.3); without an
    // address of its own a router cannot win.
    const own = this.#settings.sourceAddress;
    const order = own === undefined ? 1 : compareAddresses(advertisement.source, own);
    if (order === 0) return "own-address";
    return order > 0 ? "equal-higher-address" : "equal-lower-address";
  }

  /** Frozen for longer than the others wait, and one of them advertised since: it is active, and its addresses are announced. */
  #wasTakenOver(nowMs: number, advertisement: ReceivedAdvertisement): boolean {
    return (
      this.#state === "active" &&
      !this.#isOwner &&
      nowMs - this.#lastSentAtMs > shortestPatienceMs(this.#settings.advertIntervalMs) &&
      advertisement.arrivedAtMs > this.#lastSentAtMs
    );
  }

  #mayPreempt(nowMs: number): boolean {
    if (this.#isYielding || this.#isHeld) return false;
    // RFC 9568 §6.1: "the router that owns the addresses always preempts".
    if (this.#isOwner) return true;
    return this.#settings.preempt && nowMs >= this.#enteredAtMs + this.#settings.preemptDelayMs;
  }

  #handleActiveTimeout(nowMs: number): void {
    if (nowMs < this.nextTimeout()!) return;
    if (this.isHandingOver) {
      this.#endHandoverAlone(nowMs);
      return;
    }
    const silentMs = nowMs - this.#lastSentAtMs;
    const isOverdue = silentMs > shortestPatienceMs(this.#settings.advertIntervalMs);
    const event = isOverdue ? "advertisement-overdue" : "advertisement-due";
    this.#apply({ nowMs, event, detail: "", lateMs: nowMs - this.#advertiseAtMs });
  }

  #handleActiveDown(nowMs: number): void {
    const lateMs = nowMs - this.#deadlineAtMs;
    const facts = this.#facts(nowMs);
    if (this.#isHeld) {
      this.#apply({ nowMs, event: "active-down-held", detail: "", lateMs });
      return;
    }
    const lower = this.#wait === "skew" ? undefined : this.#lower;
    const isPreempting = lower !== undefined && nowMs - lower.arrivedAtMs <= this.#activeDownMs;
    // Late by more than an advertisement: one may have been lost while this process was frozen. With a lower priority just heard,
    // the silence is not in question.
    const isLate = lateMs > this.#activeIntervalMs && this.#lateListenings < LATE_LISTENINGS_MAX;
    if (isPreempting && !(lower.priority < this.#priority && this.#mayPreempt(nowMs))) {
      // As if it had been forbidden when the advertisement came: it is obeyed.
      this.#lower = undefined;
      this.#apply({ nowMs, event: "preempt-withdrawn", detail: "", advertisement: lower });
    } else if (isPreempting) {
      this.#apply({ nowMs, event: "active-down", cause: "preempt", detail: describePreempt(facts), lateMs });
    } else if (isLate) {
      this.#apply({ nowMs, event: "active-down-late", detail: "", lateMs });
    } else if (this.#wait === "skew") {
      const detail = describePriorityZero(facts);
      this.#apply({ nowMs, event: "active-down", cause: "priority-zero", detail, lateMs });
    } else {
      const detail = this.#wait === "one-more" ? describeSilenceAfterStall(facts) : describeSilence(facts);
      this.#apply({ nowMs, event: "active-down", cause: "silence", detail, lateMs });
    }
  }

  #endHandoverAlone(nowMs: number): void {
    const isDemoted = this.#isDemotedAfterHandover;
    this.#apply({ nowMs, event: "handover-expired", detail: "" });
    if (isDemoted) this.handleDemotion(nowMs, "the sync group stopped being active during a handover");
  }

  #detailOf(nowMs: number, event: RouterEvent, advertisement: ReceivedAdvertisement): string {
    if (this.#state !== "active") return "";
    const facts = this.#facts(nowMs);
    switch (event) {
      case "handed-over":
        return describeHandedOver(advertisement);
      case "taken-over":
        return describeTakenOver(facts, advertisement, nowMs - this.#lastSentAtMs);
      default:
        return describeOutranked(facts, advertisement, this.#settings.sourceAddress);
    }
  }

  #facts(nowMs: number): DecisionFacts {
    return {
      nowMs,
      version: this.#settings.version,
      priority: this.#priority,
      activeIntervalMs: this.#activeIntervalMs,
      waitedSinceMs: this.#waitSinceMs,
      waitedForMs: this.#deadlineAtMs - this.#waitSinceMs,
      last: this.#last,
      stopped: this.#stopped,
    };
  }

  // What is done about it

  #apply(occasion: Occasion): void {
    const rule = ruleFor(this.#state, occasion.event);
    if ("ignored" in rule) return;
    const from = this.#state;
    const cause = rule.cause === "told" ? occasion.cause : rule.cause;
    if (rule.to !== from) this.#enter(rule.to, occasion);
    for (const action of rule.actions) this.#perform(action, occasion);
    if (rule.to !== from) this.#report(from, cause!, occasion);
  }

  #enter(to: RouterState, occasion: Occasion): void {
    if (this.#state === "active" && this.isHandingOver && occasion.event !== "handed-over")
      this.#endHandover({ isTakenOver: false, by: undefined });
    this.#state = to;
    this.#enteredAtMs = occasion.nowMs;
    this.#lateListenings = 0;
    this.#lower = undefined;
    this.#lastAnswerAtMs = Number.NEGATIVE_INFINITY;
    this.#conflictAnnouncedAtMs = Number.NEGATIVE_INFINITY;
    // Active by silence: the peer it yielded to is gone. Fault and stop end what the group said; it says so again.
    if (to === "active") this.#isYielding = false;
    if (to !== "backup") this.#isHeld = false;
  }

  #report(from: RouterState, cause: TransitionCause, occasion: Occasion): void {
    const last = this.#last;
    const transition: Transition = {
      from,
      to: this.#state,
      cause,
      detail: occasion.detail,
      atMs: occasion.nowMs,
      priority: this.#priority,
      lastAdvertisement: last && {
        source: last.source,
        priority: last.priority,
        ageMs: occasion.nowMs - last.arrivedAtMs,
      },
      lateMs: occasion.lateMs ?? 0,
    };
    this.#effects.push({ kind: "state-changed", transition });
  }

  #perform(action: RouterAction, occasion: Occasion): void {
    this.#performEffect(action, occasion);
    this.#performListening(action, occasion);
    this.#performModes(action, occasion);
  }

  #performEffect(action: RouterAction, { nowMs, event, detail, advertisement, lateMs = 0 }: Occasion): void {
    const effects = this.#effects;
    switch (action) {
      case "send-advertisement":
        this.#advertise(nowMs, event === "advertisement-due" ? this.#advertiseAtMs : nowMs);
        break;
      case "tell-new-interval":
        if (detail === "interval" && !this.isHandingOver) this.#advertise(nowMs, nowMs);
        break;
      case "send-priority-zero":
        effects.push({ kind: "send-advertisement", priority: PRIORITY_STOPS });
        break;
      case "install-addresses":
      case "withdraw-addresses":
      case "announce-addresses":
        effects.push({ kind: action });
        break;
      case "answer-priority-zero":
        this.#answer(nowMs);
        break;
      case "answer-conflict":
        this.#answer(nowMs);
        this.#announceInConflict(nowMs);
        break;
      case "note-conflict": {
        const { source, priority } = advertisement!;
        effects.push({ kind: "conflict-seen", source, priority });
        break;
      }
      case "note-stall-listening":
        effects.push({ kind: "stall-noticed", lateMs, outcome: "listening" });
        break;
      case "note-stall-stays-active":
        effects.push({ kind: "stall-noticed", lateMs, outcome: "stays-active" });
        break;
      case "note-stall-steps-down":
        effects.push({ kind: "stall-noticed", lateMs, outcome: "steps-down" });
        break;
    }
  }

  #performListening(action: RouterAction, { nowMs, event, advertisement }: Occasion): void {
    switch (action) {
      case "adopt-interval":
        // Version 2 knows one interval, the configured one: others were discarded (RFC 3768 §7.1).
        this.#isIntervalAdopted = this.#settings.version === 3;
        if (this.#isIntervalAdopted) this.#activeIntervalMs = advertisement!.intervalMs;
        break;
      case "use-own-interval":
        this.#isIntervalAdopted = false;
        this.#activeIntervalMs = this.#settings.advertIntervalMs;
        break;
      case "await-active-down":
        this.#isOutrankedSinceWait = OUTRANKING.has(event);
        this.#lateListenings = 0;
        // Woken late and replaced: it listens for a whole interval from now, or it would preempt in the same moment.
        this.#await("active-down", event === "taken-over" ? nowMs : (advertisement?.arrivedAtMs ?? nowMs));
        break;
      case "await-skew":
        this.#isOutrankedSinceWait = false;
        this.#stopped = advertisement;
        this.#await("skew", advertisement!.arrivedAtMs);
        break;
      case "await-one-more":
        this.#isOutrankedSinceWait = false;
        this.#lateListenings++;
        this.#await("one-more", nowMs);
        break;
      case "adjust-active-down":
        this.#adjustActiveDown(nowMs);
        break;
    }
  }

  #performModes(action: RouterAction, { nowMs, advertisement }: Occasion): void {
    switch (action) {
      case "begin-handover":
        this.#effects.push({ kind: "send-advertisement", priority: PRIORITY_STOPS });
        this.#lastSentAtMs = nowMs;
        this.#handoverEndsAtMs =
          nowMs + handoverPatienceMs(this.#settings.version, this.#settings.advertIntervalMs);
        break;
      case "end-handover-taken":
        this.#endHandover({ isTakenOver: true, by: advertisement!.source });
        break;
      case "end-handover-alone":
        this.#endHandover({ isTakenOver: false, by: undefined });
        break;
      case "yield-until-resume":
        this.#isYielding = true;
        break;
      case "stop-yielding":
        this.#isYielding = false;
        break;
      case "hold-for-group":
        this.#isHeld = true;
        break;
      case "stop-holding":
        this.#isHeld = false;
        break;
    }
  }

  /** The next one follows after the interval from when this one was due, so that small delays do not add up. */
  #advertise(nowMs: number, dueAtMs: number): void {
    const intervalMs = this.#settings.advertIntervalMs;
    this.#effects.push({ kind: "send-advertisement", priority: this.#priority });
    this.#lastSentAtMs = nowMs;
    this.#advertiseAtMs = dueAtMs + intervalMs > nowMs ? dueAtMs + intervalMs : nowMs + intervalMs;
  }

  /**
   * RFC 9568 §6.4.3: a priority 0 and (new since RFC 5798) a lower priority are answered at once; at most once per interval, or a flood
   * of them would be answered by a flood.
   */
  #answer(nowMs: number): void {
    if (nowMs - this.#lastAnswerAtMs < this.#settings.advertIntervalMs) return;
    this.#lastAnswerAtMs = nowMs;
    this.#advertise(nowMs, nowMs);
  }

  #announceInConflict(nowMs: number): void {
    const pauseMs = Math.max(CONFLICT_ANNOUNCEMENT_INTERVAL_MS, this.#settings.advertIntervalMs);
    if (nowMs - this.#conflictAnnouncedAtMs < pauseMs) return;
    this.#conflictAnnouncedAtMs = nowMs;
    this.#effects.push({ kind: "announce-addresses" });
  }

  get #activeDownMs(): number {
    return activeDownIntervalMs(this.#settings.version, this.#priority, this.#activeIntervalMs);
  }

  #await(wait: Wait, sinceMs: number): void {
    const { version } = this.#settings;
    const waitMs = {
      "active-down": this.#activeDownMs,
      skew: skewTimeMs(version, this.#priority, this.#activeIntervalMs),
      "one-more": listeningAfterStallMs(version, this.#priority, this.#activeIntervalMs),
    }[wait];
    this.#wait = wait;
    this.#waitSinceMs = sinceMs;
    this.#deadlineAtMs = sinceMs + waitMs;
  }

  /** A deadline that a new priority puts into the past does not mean that this process was late. */
  #adjustActiveDown(nowMs: number): void {
    const wasLate = nowMs > this.#deadlineAtMs;
    this.#await(this.#wait, this.#waitSinceMs);
    if (!wasLate) this.#deadlineAtMs = Math.max(this.#deadlineAtMs, nowMs);
  }

  #endHandover(outcome: { isTakenOver: boolean; by: string | undefined }): void {
    this.#handoverEndsAtMs = undefined;
    this.#isDemotedAfterHandover = false;
    this.#effects.push({ kind: "handover-ended", ...outcome });
  }
}

function clampPriority(priority: number): number {
  return Math.min(PRIORITY_MAX, Math.max(PRIORITY_MIN, Math.round(priority)));
}
