/**
 * A timer wheel for many idle timers: one turn of SLOT_COUNT slots, TICK_MS each (Varghese & Lauck 1987, scheme 6,
 * with a horizon: a timer that lies further ahead than one turn waits in the last slot and is put back when it comes up).
 *
 * Arm, re-arm and cancel are O(1). Re-arming is lazy: an armed timer whose deadline moves later, the usual case on a
 * busy connection, costs one store; the wheel finds the new deadline when the old slot comes up. With 100,000 idle
 * connections that is about 3,000 look-ups a second, and nothing at all per request.
 *
 * Not here: reading a clock. `advance(nowMs)` is told the time. Timers never fire early, and at most TICK_MS late.
 */

export const TICK_MS = 16;
const SLOT_COUNT = 2048; // one turn is 32.8 s
const SLOT_MASK = SLOT_COUNT - 1;
const NEVER = -1;

/** Base class of everything that has a deadline: the links live in the object, so arming allocates nothing. */
export abstract class Timed {
  /** Tick of the deadline, NEVER when none. Only the wheel writes these four. */
  deadlineTick = NEVER;
  /** Tick of the slot it is linked into, NEVER when unlinked. */
  linkedTick = NEVER;
  timerPrevious: Timed | undefined = undefined;
  timerNext: Timed | undefined = undefined;

  /** The deadline has passed; the timer is no longer armed and may be armed again. */
  abstract handleTimeout(): void;
}

/** Head of a circular list; never fires. */
class SlotHead extends Timed {
  constructor() {
    super();
    this.timerPrevious = this;
    this.timerNext = this;
  }
  override handleTimeout(): void {}
}

export class TimerWheel {
  readonly #slots: readonly SlotHead[];
  readonly #startMs: number;
  #currentTick = 0;
  /** What delays are counted from: ahead of #currentTick between noteTime() and advance(). */
  #nowTick = 0;
  /** No slot between currentTick and this one holds a timer. */
  #soonestTick = 0;
  #linkedCount = 0;
  /** Scratch list of one slot's due timers. */
  readonly #due: Timed[] = [];

  constructor(nowMs: number) {
    this.#startMs = nowMs;
    this.#slots = Array.from({ length: SLOT_COUNT }, () => new SlotHead());
  }

  /** Timers in the wheel, cancelled ones that have not come up yet included. */
  get linkedCount(): number {
    return this.#linkedCount;
  }

  /**
   * The loop has woken up, perhaps after a long sleep: delays count from now on. Fires nothing; what is due fires in advance(),
   * after the events that may still cancel it.
   */
  noteTime(nowMs: number): void {
    this.#nowTick = Math.floor((nowMs - this.#startMs) / TICK_MS);
    if (this.#linkedCount === 0) this.#currentTick = this.#nowTick;
  }

  /** The timer fires once, `delayMs` after the time last given to noteTime() or advance(). Replaces an earlier deadline. */
  arm(timer: Timed, delayMs: number): void {
    const deadlineTick = this.#nowTick + Math.ceil(delayMs / TICK_MS) + 1;
    timer.deadlineTick = deadlineTick;
    if (timer.linkedTick === NEVER) this.#link(timer);
    else if (deadlineTick < timer.linkedTick) {
      this.#unlink(timer);
      this.#link(timer);
    }
  }

  /** No deadline any more. Lazy: the object stays linked until its slot comes up; see remove(). */
  cancel(timer: Timed): void {
    timer.deadlineTick = NEVER;
  }

  /** Cancels and unlinks: for an object that is about to be dropped. */
  remove(timer: Timed): void {
    timer.deadlineTick = NEVER;
    if (timer.linkedTick !== NEVER) this.#unlink(timer);
  }

  isArmed(timer: Timed): boolean {
    return timer.deadlineTick !== NEVER;
  }

  /** Fires every timer whose deadline is at or before `nowMs`. Timers may arm and remove others meanwhile. */
  advance(nowMs: number): void {
    const tick = Math.floor((nowMs - this.#startMs) / TICK_MS);
    this.#nowTick = tick;
    if (tick <= this.#currentTick) return;
    if (tick < this.#soonestTick) {
      this.#currentTick = tick;
      return;
    }
    // A stall of more than one turn visits each slot once.
    const from = Math.max(this.#currentTick + 1, this.#soonestTick, tick - SLOT_COUNT + 1);
    this.#currentTick = tick;
    for (let slotTick = from; slotTick <= tick; slotTick++) this.#fireSlot(slotTick & SLOT_MASK);
    this.#soonestTick = this.#findSoonest(tick + 1);
  }

  /** Milliseconds from `nowMs` until advance() can have something to do; -1 when the wheel is empty. */
  nextTimeoutMs(nowMs: number): number {
    if (this.#linkedCount === 0) return -1;
    const dueMs = this.#startMs + this.#soonestTick * TICK_MS;
    return dueMs <= nowMs ? 0 : Math.ceil(dueMs - nowMs);
  }

  #fireSlot(slot: number): void {
    const head = this.#slots[slot]!;
    if (head.timerNext === head) return;
    // Take the whole list before any timer runs: one may arm or remove another of the same slot.
    const due = this.#due;
    // A timer beyond the horizon may come back to the end of this same list: stop at what was last when the walk began.
    const last = head.timerPrevious!;
    for (let timer: Timed = head.timerNext!, isLast = false; !isLast; ) {
      isLast = timer === last;
      const next = timer.timerNext!;
      this.#unlink(timer);
      if (timer.deadlineTick > this.#currentTick) this.#link(timer);
      else if (timer.deadlineTick !== NEVER) due.push(timer);
      timer = next;
    }
    for (const timer of due) {
      const isStillDue = timer.deadlineTick !== NEVER && timer.deadlineTick <= this.#currentTick;
      if (!isStillDue) continue;
      timer.deadlineTick = NEVER;
      timer.handleTimeout();
    }
    due.length = 0;
  }

  #link(timer: Timed): void {
    const horizon = this.#currentTick + SLOT_COUNT - 1;
    const tick = Math.min(timer.deadlineTick, horizon);
    const head = this.#slots[tick & SLOT_MASK]!;
    const last = head.timerPrevious!;
    timer.linkedTick = tick;
    timer.timerPrevious = last;
    timer.timerNext = head;
    last.timerNext = timer;
    head.timerPrevious = timer;
    if (this.#linkedCount === 0 || tick < this.#soonestTick) this.#soonestTick = tick;
    this.#linkedCount++;
  }

  #unlink(timer: Timed): void {
    timer.timerPrevious!.timerNext = timer.timerNext;
    timer.timerNext!.timerPrevious = timer.timerPrevious;
    timer.timerPrevious = undefined;
    timer.timerNext = undefined;
    timer.linkedTick = NEVER;
    this.#linkedCount--;
  }

  #findSoonest(fromTick: number): number {
    if (this.#linkedCount === 0) return fromTick;
    let tick = fromTick;
    const limit = fromTick + SLOT_COUNT;
    for (; tick < limit; tick++) {
      const head = this.#slots[tick & SLOT_MASK]!;
      if (head.timerNext !== head) return tick;
    }
    return tick;
  }
}
