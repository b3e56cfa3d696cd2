/**
 * Virtual routers that are active together or not at all: an address outside and one inside the same gateway must not be on different
 * nodes. Pure. The set of routers tells it what its members do, and it tells the others what follows.
 *
 * It reacts to what a member decided for itself, never to what it brought about (cause `sync-group`): so no order of events makes
 * it go round in circles.
 */
import type { RouterState, Transition } from "./state.ts";

export interface SyncMember {
  readonly name: string;
  readonly state: RouterState;
  /** VirtualRouter.isOutranked(). */
  isOutranked(nowMs: number): boolean;
  /** VirtualRouter.handlePromotion(), handleDemotion() and handleRelease(); effects are carried out before they return. */
  promote(nowMs: number, detail: string): void;
  demote(nowMs: number, detail: string): void;
  release(nowMs: number): void;
  /** Adds the fault `sync-group` to those of the member, or changes its sentence. */
  holdInFault(nowMs: number, detail: string): void;
  /** Takes it away again; nothing happens when there is none. */
  endFault(nowMs: number, detail: string): void;
}

export class SyncGroup {
  readonly #name: string;
  #members: readonly SyncMember[] = [];
  /** Members with faults of their own, and the first of these. */
  readonly #faulty = new Map<string, string>();

  constructor(name: string) {
    this.#name = name;
  }

  get members(): readonly SyncMember[] {
    return this.#members;
  }

  /** First, and after every reload. A member that left is no longer held, in fault or as backup. */
  setMembers(nowMs: number, members: readonly SyncMember[]): void {
    const gone = this.#members.filter((member) => !members.includes(member));
    this.#members = members;
    for (const name of [...this.#faulty.keys()]) {
      if (!members.some((member) => member.name === name)) this.#faulty.delete(name);
    }
    for (const member of gone) {
      member.release(nowMs);
      member.endFault(nowMs, `left the sync group ${this.#name}`);
    }
    // Whoever caused that these are held may be among the gone: they find out anew.
    for (const member of members) member.release(nowMs);
    this.#settleFaults(nowMs);
    this.#settleActive(nowMs);
  }

  /** The faults of a member changed, that of this group not counted: the first of them, or undefined when there is none. */
  handleFaults(nowMs: number, member: SyncMember, fault: string | undefined): void {
    if (fault === undefined) this.#faulty.delete(member.name);
    else this.#faulty.set(member.name, fault);
    this.#settleFaults(nowMs);
  }

  /** To be called after the effects of the transition were carried out. */
  handleTransition(
    nowMs: number,
    member: SyncMember,
    transition: Pick<Transition, "from" | "to" | "cause">,
  ): void {
    if (transition.cause === "sync-group") return;
    if (transition.to === "active") this.#handleActive(nowMs, member, `became active (${transition.cause})`);
    else if (transition.from === "active" && transition.to === "backup")
      this.#handleBackup(nowMs, member, transition.cause);
    else if (transition.to === "backup") this.#settleActive(nowMs);
  }

  #handleActive(nowMs: number, member: SyncMember, news: string): void {
    const others = this.#othersOf(member);
    const obstacle = others.find((other) => other.state === "fault" || other.isOutranked(nowMs));
    if (obstacle !== undefined) {
      // Demoted means held: the obstacle must be free, or nobody would ever make the group active again.
      obstacle.release(nowMs);
      member.demote(nowMs, `sync group ${this.#name}: ${obstacle.name} ${describeObstacle(obstacle)}`);
      return;
    }
    for (const other of others) other.promote(nowMs, `sync group ${this.#name}: ${member.name} ${news}`);
  }

  #handleBackup(nowMs: number, member: SyncMember, cause: string): void {
    for (const other of this.#othersOf(member))
      other.demote(nowMs, `sync group ${this.#name}: ${member.name} stepped down (${cause})`);
  }

  /** A member that starts or recovers while others are active joins them; one that cannot takes them along. */
  #settleActive(nowMs: number): void {
    const active = this.#members.find((member) => member.state === "active");
    if (active !== undefined && this.#members.some((member) => member.state === "backup"))
      this.#handleActive(nowMs, active, "is active");
  }

  #settleFaults(nowMs: number): void {
    for (const member of this.#members) {
      const [culprit] = [...this.#faulty].filter(([name]) => name !== member.name);
      if (culprit === undefined)
        member.endFault(nowMs, `sync group ${this.#name}: no other member has a fault`);
      else member.holdInFault(nowMs, `sync group ${this.#name}: ${culprit[0]} has a fault: ${culprit[1]}`);
    }
  }

  #othersOf(member: SyncMember): readonly SyncMember[] {
    return this.#members.filter((other) => other !== member);
  }
}

function describeObstacle(obstacle: SyncMember): string {
  return obstacle.state === "fault" ? "is in fault" : "has to obey another router";
}
