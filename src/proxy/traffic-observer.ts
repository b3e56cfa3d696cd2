/**
 * What live traffic says about the servers, told to the supervisor, whose fault detector (health/) decides for all workers.
 * Only failures are worth a message, and the first successes after them: while a server answers, `handleSuccess` is
 * one comparison. At most ten messages a second, in the first of which the first failure is told at once.
 * Called by upstream-pool.ts, for the HTTP exchanges and the TCP sessions.
 */
import type { ObservationMessage } from "../daemon/messages.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { Timed } from "../reactor/timer-wheel.ts";

const TELL_EVERY_MS = 100;

/** How one server of one pool fares in this worker. */
export class ServerTraffic {
  readonly #observer: TrafficObserver | undefined;
  readonly #poolIndex: number;
  readonly #serverIndex: number;
  /** There are failures in a row, told or not. */
  #isFailing = false;
  #isListed = false;
  #successes = 0;
  #failures = 0;
  #responses5xx = 0;
  #lastFailure = "";
  #hasToldFailures = false;

  /** Without an observer nobody wants to know: the pool has no health section. */
  constructor(observer: TrafficObserver | undefined, poolIndex: number, serverIndex: number) {
    this.#observer = observer;
    this.#poolIndex = poolIndex;
    this.#serverIndex = serverIndex;
  }

  handleSuccess(): void {
    if (this.#isFailing) this.#recover();
  }

  /** `what`: name of a close cause, or `response-5xx`. */
  handleFailure(what: string, is5xx: boolean): void {
    if (this.#observer === undefined) return;
    this.#isFailing = true;
    this.#failures++;
    if (is5xx) this.#responses5xx++;
    this.#lastFailure = what;
    this.#list();
  }

  /** The failures in a row since the last success, and whether there was one; undefined when there is nothing to say. */
  takeObservation(): ObservationMessage | undefined {
    this.#isListed = false;
    if (this.#failures === 0 && this.#successes === 0) return undefined;
    const observation = {
      poolIndex: this.#poolIndex,
      serverIndex: this.#serverIndex,
      successes: this.#successes,
      failures: this.#failures,
      responses5xx: this.#responses5xx,
      lastFailure: this.#lastFailure,
    };
    this.#hasToldFailures = this.#failures > 0;
    this.#successes = 0;
    this.#forgetFailures();
    return observation;
  }

  #recover(): void {
    this.#isFailing = false;
    this.#forgetFailures();
    if (!this.#hasToldFailures) return;
    this.#successes++;
    this.#list();
  }

  #forgetFailures(): void {
    this.#failures = 0;
    this.#responses5xx = 0;
    this.#lastFailure = "";
  }

  #list(): void {
    if (this.#isListed) return;
    this.#isListed = true;
    this.#observer!.list(this);
  }
}

export class TrafficObserver extends Timed {
  /** Where observations go. */
  onObservations: ((observations: readonly ObservationMessage[]) => void) | undefined = undefined;
  readonly #reactor: Reactor;
  readonly #listed: ServerTraffic[] = [];
  #toldAtMs = Number.NEGATIVE_INFINITY;
  #isScheduled = false;

  constructor(reactor: Reactor) {
    super();
    this.#reactor = reactor;
  }

  list(traffic: ServerTraffic): void {
    this.#listed.push(traffic);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    const sinceMs = this.#reactor.nowMs - this.#toldAtMs;
    // Not at once but in the next turn: what fails together is told together.
    this.#reactor.timers.arm(this, Math.max(1, TELL_EVERY_MS - sinceMs));
  }

  override handleTimeout(): void {
    this.#isScheduled = false;
    this.#toldAtMs = this.#reactor.nowMs;
    const observations: ObservationMessage[] = [];
    for (const traffic of this.#listed.splice(0)) {
      const observation = traffic.takeObservation();
      if (observation !== undefined) observations.push(observation);
    }
    if (observations.length > 0) this.onObservations?.(observations);
  }
}
