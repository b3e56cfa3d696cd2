/**
 * How long a connection to one server may stay idle and still be used: learned from the server. Pure; one per server
 * and worker, for `keepalive_timeout: auto`. The proxy asks `limitMs` before it reuses a connection and when it arms
 * the timer that retires idle ones.
 *
 * The problem: whoever reuses a connection at the moment its server's idle timer fires loses the request. Node's
 * server closes after 5 s (`server.keepAliveTimeout`), Caddy's proxy keeps for 2 min, AWS's balancers for 60 s: every
 * such pair is a trickle of 502s. A fixed lower timeout on our side must be known, set and kept right for every
 * server. It can be learned.
 *
 * 1. What the server says: `Keep-Alive: timeout=N` (RFC 2068 §19.7.1.1). The limit is N seconds less a margin of 1 s
 *    or 2 %, whichever is more: 5 → 4 s, 75 → 73.5 s; 1 and 0 → 0, no reuse. The margin covers a round trip, rounding
 *    of N and a busy event loop at either end. Precedents: undici subtracts 2 s (`keepAliveTimeoutThreshold`), which
 *    turns Node's 5 into 3 and a server's 2 into no reuse at all; Node's own agent subtracts 1 s.
 * 2. What the server does: the age at which it closes idle connections (FIN). Ours and its clock for that age start
 *    and stop one network delay apart, so the ages agree with its timeout. The limit is the least confirmed age less
 *    50 ms or 10 %, whichever is more: a request needs a round trip less than that to win the race.
 * The lower of both and of the configured maximum holds.
 *
 * One early FIN must not poison the estimate: a restart closes connections of all ages, a server short of memory
 * closes its oldest.
 *  - FINs within half a second are one observation (its age is their least); if their ages differ by more than half
 *    they were closed together, not by age: no observation at all.
 *  - An observation is confirmed by another one whose age is within 10 % (or 50 ms). Until then it is believed for
 *    30 s: the next FIN then either confirms it or does not.
 *  - A connection that is still good when older than an observation refutes it.
 *  - All knowledge expires after ten minutes without renewal, so that a raised timeout is noticed.
 *
 * Renewal without risk: once retired in time, connections show no FINs any more. So every three minutes `wantsWatch`
 * asks that the next connection to be retired be *watched* instead: taken out of the pool, never used again, left
 * open until the server closes it (`handleIdleFin` renews the knowledge) or until it is `watchMs` old
 * (`handleSurvival` refutes it). A caller that does not watch loses all knowledge every ten minutes and learns it
 * anew from one or two idle closes; a request that comes in that very instant meets a closing connection, and
 * retry-policy.ts sends it again.
 *
 * Not covered: one address behind which several servers with different timeouts hide; the successes on one refute the
 * closes of the other.
 */

const ADVERTISED_MARGIN_MS_MIN = 1000;
const ADVERTISED_MARGIN_SHARE = 0.02;
const OBSERVED_MARGIN_MS_MIN = 50;
const OBSERVED_MARGIN_SHARE = 0.1;
const AGREEMENT_MS_MIN = 50;
const AGREEMENT_SHARE = 0.1;
const BURST_MS = 500;
const BURST_SPREAD_MAX = 1.5;
const TENTATIVE_MS = 30_000;
const RELEARN_AFTER_MS = 600_000;
const WATCH_EVERY_MS = 180_000;
const OBSERVATIONS_MAX = 8;

const NEVER_MS = Number.NEGATIVE_INFINITY;

export class LearnedIdleTimeout {
  readonly #maximumMs: number;
  #advertisedSeconds = -1;
  #advertisedAtMs = NEVER_MS;

  /** Ring of observations; an age of NaN means: none. */
  readonly #agesMs = new Float64Array(OBSERVATIONS_MAX).fill(Number.NaN);
  readonly #observedAtMs = new Float64Array(OBSERVATIONS_MAX).fill(NEVER_MS);
  readonly #sortedAgesMs = new Float64Array(OBSERVATIONS_MAX);
  #newest = 0;
  #burstStartedAtMs = NEVER_MS;
  #burstAgeMsMin = 0;
  #burstAgeMsMax = 0;

  /** Derived by #refresh, good until #validUntilMs. */
  #limitMs: number;
  #validUntilMs = NEVER_MS;
  #youngestAgeMs = Number.POSITIVE_INFINITY;
  #believedCount = 0;
  #lowestMs = 0;
  #highestMs = 0;

  /** @param maximumMs the limit while nothing is known, and at most */
  constructor(maximumMs: number) {
    this.#maximumMs = maximumMs;
    this.#limitMs = maximumMs;
  }

  /** How long an idle connection may stay in the pool and still be used; 0 = do not reuse. */
  limitMs(nowMs: number): number {
    if (nowMs >= this.#validUntilMs) this.#refresh(nowMs);
    return this.#limitMs;
  }

  /** A response carried `Keep-Alive: timeout=seconds`. */
  handleAdvertisedSeconds(nowMs: number, seconds: number): void {
    this.#advertisedAtMs = nowMs;
    if (seconds === this.#advertisedSeconds && nowMs < this.#validUntilMs) return;
    this.#advertisedSeconds = seconds;
    this.#refresh(nowMs);
  }

  /** The server closed (FIN) a connection that had been idle for `idleMs`; also when a request met it (stale reuse). */
  handleIdleFin(nowMs: number, idleMs: number): void {
    if (nowMs - this.#burstStartedAtMs < BURST_MS) {
      this.#burstAgeMsMin = Math.min(this.#burstAgeMsMin, idleMs);
      this.#burstAgeMsMax = Math.max(this.#burstAgeMsMax, idleMs);
    } else {
      this.#burstStartedAtMs = nowMs;
      this.#burstAgeMsMin = idleMs;
      this.#burstAgeMsMax = idleMs;
      this.#newest = (this.#newest + 1) % OBSERVATIONS_MAX;
      this.#observedAtMs[this.#newest] = nowMs;
    }
    const spreadMax = Math.max(
      this.#burstAgeMsMin * BURST_SPREAD_MAX,
      this.#burstAgeMsMin + AGREEMENT_MS_MIN,
    );
    this.#agesMs[this.#newest] = this.#burstAgeMsMax <= spreadMax ? this.#burstAgeMsMin : Number.NaN;
    this.#refresh(nowMs);
  }

  /**
   * A connection that had been idle for `idleMs` was still good: it was reused and a response came, or it was watched
   * and is still open. The server's timeout is longer than that.
   */
  handleSurvival(nowMs: number, idleMs: number): void {
    if (idleMs <= this.#youngestAgeMs) return;
    let isRefuted = false;
    for (let n = 0; n < OBSERVATIONS_MAX; n++) {
      const ageMs = this.#agesMs[n]!;
      if (idleMs > ageMs + agreementMs(ageMs)) {
        this.#agesMs[n] = Number.NaN;
        isRefuted = true;
      }
    }
    if (isRefuted) this.#refresh(nowMs);
  }

  /** Whether a connection that has reached its limit should be watched (see the header) instead of closed. */
  wantsWatch(nowMs: number): boolean {
    return (
      nowMs < this.#validUntilMs &&
      this.#believedCount > 0 &&
      nowMs - this.#observedAtMs[this.#newest]! >= WATCH_EVERY_MS
    );
  }

  /** Idle age up to which a connection is watched. */
  watchMs(): number {
    return this.#highestMs + 2 * agreementMs(this.#highestMs);
  }

  /** For `status`, as of the last event: "server says 5 s", "3 idle closes at 4.98–5.01 s", "nothing learned". */
  explain(): string {
    const parts: string[] = [];
    if (this.#advertisedSeconds >= 0) parts.push(`server says ${this.#advertisedSeconds} s`);
    if (this.#believedCount === 1)
      parts.push(`1 idle close at ${formatSeconds(this.#lowestMs)} s, unconfirmed`);
    if (this.#believedCount > 1) {
      const low = formatSeconds(this.#lowestMs);
      const high = formatSeconds(this.#highestMs);
      parts.push(`${this.#believedCount} idle closes at ${low === high ? low : `${low}–${high}`} s`);
    }
    return parts.length === 0 ? "nothing learned" : parts.join("; ");
  }

  #refresh(nowMs: number): void {
    this.#limitMs = this.#maximumMs;
    this.#validUntilMs = Number.POSITIVE_INFINITY;
    this.#applyAdvertised(nowMs);
    this.#applyObserved(nowMs, this.#collectObservations(nowMs));
  }

  #lower(limitMs: number, validUntilMs: number): void {
    this.#limitMs = Math.min(this.#limitMs, limitMs);
    this.#validUntilMs = Math.min(this.#validUntilMs, validUntilMs);
  }

  #applyAdvertised(nowMs: number): void {
    if (this.#advertisedSeconds < 0) return;
    if (nowMs - this.#advertisedAtMs >= RELEARN_AFTER_MS) this.#advertisedSeconds = -1;
    else this.#lower(limitFromAdvertised(this.#advertisedSeconds), this.#advertisedAtMs + RELEARN_AFTER_MS);
  }

  /** Forgets what has expired and sorts the ages of the rest into #sortedAgesMs; returns how many there are. */
  #collectObservations(nowMs: number): number {
    const sorted = this.#sortedAgesMs;
    let count = 0;
    for (let n = 0; n < OBSERVATIONS_MAX; n++) {
      const ageMs = this.#agesMs[n]!;
      if (Number.isNaN(ageMs)) continue;
      const expiresAtMs = this.#observedAtMs[n]! + RELEARN_AFTER_MS;
      if (nowMs >= expiresAtMs) {
        this.#agesMs[n] = Number.NaN;
        continue;
      }
      this.#validUntilMs = Math.min(this.#validUntilMs, expiresAtMs);
      let at = count++;
      for (; at > 0 && sorted[at - 1]! > ageMs; at--) sorted[at] = sorted[at - 1]!;
      sorted[at] = ageMs;
    }
    this.#youngestAgeMs = count === 0 ? Number.POSITIVE_INFINITY : sorted[0]!;
    return count;
  }

  #applyObserved(nowMs: number, count: number): void {
    const sorted = this.#sortedAgesMs;
    this.#believedCount = 0;
    for (let n = 0; n + 1 < count && this.#believedCount === 0; n++) {
      const reachMs = sorted[n]! + agreementMs(sorted[n]!);
      let last = n;
      while (last + 1 < count && sorted[last + 1]! <= reachMs) last++;
      if (last > n) this.#believe(sorted[n]!, sorted[last]!, last - n + 1);
    }
    const newestAgeMs = this.#agesMs[this.#newest]!;
    const believedUntilMs = this.#observedAtMs[this.#newest]! + TENTATIVE_MS;
    if (this.#believedCount === 0 && !Number.isNaN(newestAgeMs) && nowMs < believedUntilMs) {
      this.#believe(newestAgeMs, newestAgeMs, 1);
      this.#validUntilMs = Math.min(this.#validUntilMs, believedUntilMs);
    }
  }

  #believe(lowestMs: number, highestMs: number, count: number): void {
    this.#believedCount = count;
    this.#lowestMs = lowestMs;
    this.#highestMs = highestMs;
    this.#lower(limitFromObserved(lowestMs), this.#validUntilMs);
  }
}

/** The limit for a server that says `timeout=seconds`. */
export function limitFromAdvertised(seconds: number): number {
  const saidMs = seconds * 1000;
  return Math.max(0, saidMs - Math.max(ADVERTISED_MARGIN_MS_MIN, saidMs * ADVERTISED_MARGIN_SHARE));
}

/** The limit for a server that was seen to close connections idle for `ageMs`. */
export function limitFromObserved(ageMs: number): number {
  return Math.max(0, ageMs - Math.max(OBSERVED_MARGIN_MS_MIN, ageMs * OBSERVED_MARGIN_SHARE));
}

function agreementMs(ageMs: number): number {
  return Math.max(AGREEMENT_MS_MIN, ageMs * AGREEMENT_SHARE);
}

function formatSeconds(ms: number): string {
  return (ms / 1000).toFixed(2);
}
