/**
 * A shared medium in virtual time: every message that one node sends reaches each other node after a delay of its own, may be lost, may
 * arrive twice, and overtakes others when the delays say so. Nodes can be cut apart. Everything that looks like chance comes
 * from the seed. Carries any kind of message; simulated-lan.ts puts virtual routers on it.
 */
import type { SeededRandom } from "./seeded-random.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** What the medium does to messages that are sent from now on. */
export interface NetworkConditions {
  /** Of each copy, independently. */
  readonly lossProbability: number;
  readonly duplicateProbability: number;
  readonly delayMsMin: number;
  readonly delayMsMax: number;
}

export type Receive<Message> = (from: string, message: Message) => void;

export class SimulatedNetwork<Message> {
  readonly #clock: VirtualClock;
  readonly #random: SeededRandom;
  readonly #receivers = new Map<string, Receive<Message>>();
  /** The part of the network a node is in; nodes of different parts do not hear each other. */
  readonly #partOf = new Map<string, number>();
  #conditions: NetworkConditions;

  constructor(clock: VirtualClock, random: SeededRandom, conditions: NetworkConditions) {
    this.#clock = clock;
    this.#random = random;
    this.#conditions = conditions;
  }

  get conditions(): NetworkConditions {
    return this.#conditions;
  }

  setConditions(conditions: NetworkConditions): void {
    this.#conditions = conditions;
  }

  attach(node: string, receive: Receive<Message>): void {
    this.#receivers.set(node, receive);
    this.#partOf.set(node, 0);
  }

  /** Moves a node into a part of the network; all are in part 0 at first. */
  moveToPart(node: string, part: number): void {
    this.#partOf.set(node, part);
  }

  heal(): void {
    for (const node of this.#partOf.keys()) this.#partOf.set(node, 0);
  }

  areConnected(a: string, b: string): boolean {
    return this.#partOf.get(a) === this.#partOf.get(b);
  }

  /** To all others, as multicast; the sender does not hear itself. */
  send(from: string, message: Message): void {
    for (const to of this.#receivers.keys()) {
      if (to === from || !this.areConnected(from, to)) continue;
      this.#deliver(from, to, message);
      if (this.#random.chance(this.#conditions.duplicateProbability)) this.#deliver(from, to, message);
    }
  }

  #deliver(from: string, to: string, message: Message): void {
    const { lossProbability, delayMsMin, delayMsMax } = this.#conditions;
    if (this.#random.chance(lossProbability)) return;
    this.#clock.after(this.#random.between(delayMsMin, delayMsMax), () => {
      // A cable that is cut takes what was on it.
      if (this.areConnected(from, to)) this.#receivers.get(to)!(from, message);
    });
  }
}
