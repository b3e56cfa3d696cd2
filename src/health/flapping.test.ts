/**
 * A simulation: servers that flap, checks that time out, live traffic that fails, thousands of seeded schedules on a virtual
 * clock. Whatever happens, a server never changes faster than rise and fall allow, never two checks run at a time, and
 * nothing is sent to a server that is down while another one is up.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Backend } from "../balance/backend.ts";
import { createSelector } from "../balance/selector.ts";
import type { Balance } from "../config/types.ts";
import { serverConfig } from "../testing/gateway-config.ts";
import { SeededRandom } from "../testing/seeded-random.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { FaultDetector, TRAFFIC_FALL } from "./fault-detector.ts";
import { CheckSchedule, type Rhythm } from "./schedule.ts";

const SEEDS = 3000;
const DURATION_MS = 60_000;
const BALANCES: readonly Balance[] = [
  { kind: "round_robin" },
  { kind: "least_conn" },
  { kind: "random" },
  { kind: "hash", key: "source" },
];

interface Settings extends Rhythm {
  readonly rise: number;
  readonly fall: number;
  readonly initial: "up" | "down";
}

/** A server that works and does not, the checks of it, and what they have seen since the last change. */
class FlappingServer {
  readonly backend: Backend;
  readonly detector: FaultDetector;
  changes = 0;
  isWorking = true;
  readonly #settings: Settings;
  readonly #schedule: CheckSchedule;
  readonly #clock: VirtualClock;
  readonly #random: SeededRandom;
  #successfulChecks = 0;
  #failures = 0;
  #changedAtMs = Number.NEGATIVE_INFINITY;
  #checksRunning = 0;

  constructor(index: number, settings: Settings, clock: VirtualClock, random: SeededRandom) {
    this.#settings = settings;
    this.#clock = clock;
    this.#random = random;
    this.backend = new Backend(index, serverConfig({ name: `s${index}`, maxFails: 0 }));
    this.backend.setUp(settings.initial === "up", 0);
    this.detector = new FaultDetector(settings, 0);
    this.#schedule = new CheckSchedule(settings, 0, random.next(), true);
    clock.at(this.#schedule.deadlineMs, () => this.#check());
    this.#flapLater();
  }

  handleRequest(): void {
    const ok = this.isWorking;
    if (!ok) this.#failures++;
    const observation = {
      successes: ok ? 1 : 0,
      failures: ok ? 0 : 1,
      responses5xx: 0,
      lastFailure: ok ? "" : "upstream-refused",
    };
    if (this.detector.handleTraffic(this.#clock.nowMs, observation)) this.#assertMayChange();
  }

  #check(): void {
    const { nowMs } = this.#clock;
    this.#checksRunning++;
    assert.equal(this.#checksRunning, 1, "two checks of one server at a time");
    this.#schedule.handleStarted(nowMs);
    const isSlow = this.#random.chance(0.05);
    const durationMs = isSlow ? this.#settings.timeoutMs : this.#random.integer(this.#settings.timeoutMs);
    this.#clock.after(durationMs, () => this.#finish(this.isWorking && !isSlow, durationMs));
  }

  #finish(ok: boolean, durationMs: number): void {
    const { nowMs } = this.#clock;
    this.#checksRunning--;
    if (ok) this.#successfulChecks++;
    else this.#failures++;
    const hasChanged = this.detector.handleCheck(nowMs, { ok, reason: "x", durationMs });
    if (hasChanged) this.#assertMayChange();
    if (ok && !this.detector.isUp)
      assert.ok(this.#successfulChecks < this.#settings.rise, "came up too late");
    this.#schedule.handleFinished(nowMs, this.detector.isChanging);
    this.#clock.at(this.#schedule.deadlineMs, () => this.#check());
    if (!ok && !this.detector.isUp) this.#successfulChecks = 0;
  }

  #assertMayChange(): void {
    const { rise, fall, fastIntervalMs, intervalMs, timeoutMs } = this.#settings;
    const { nowMs } = this.#clock;
    this.changes++;
    if (this.detector.isUp) {
      assert.equal(this.#successfulChecks, rise, "up with another number of successes than rise");
      // The first of them may have begun before the server went down.
      const leastMs = (rise - 1) * Math.min(fastIntervalMs, intervalMs) - timeoutMs;
      assert.ok(nowMs - this.#changedAtMs >= leastMs, "up faster than the interval allows");
    } else assert.ok(this.#failures >= Math.min(fall, TRAFFIC_FALL), "down with fewer failures than fall");
    this.#changedAtMs = nowMs;
    this.#successfulChecks = 0;
    this.#failures = 0;
    this.backend.setUp(this.detector.isUp, nowMs);
  }

  #flapLater(): void {
    this.#clock.after(this.#random.exponential(this.#random.pick([200, 2000, 20_000])), () => {
      this.isWorking = !this.isWorking;
      this.#flapLater();
    });
  }
}

function settingsOf(random: SeededRandom): Settings {
  const intervalMs = random.pick([200, 1000, 2000]);
  return {
    rise: 1 + random.integer(4),
    fall: 1 + random.integer(5),
    intervalMs,
    fastIntervalMs: random.pick([intervalMs, intervalMs / 2, intervalMs / 4]),
    timeoutMs: random.pick([100, 1000, 3000]),
    initial: random.pick(["up", "down"]),
  };
}

function simulate(seed: number): number {
  const random = new SeededRandom(seed);
  const clock = new VirtualClock();
  const settings = settingsOf(random);
  const servers = Array.from({ length: 3 }, (_, index) => new FlappingServer(index, settings, clock, random));
  const backends = servers.map(({ backend }) => backend);
  const selector = createSelector(random.pick(BALANCES), backends, () => random.next());
  const hasTraffic = random.chance(0.5);
  for (let nowMs = 0; nowMs < DURATION_MS; nowMs += 50) {
    clock.advanceTo(nowMs);
    const backend = selector.select(nowMs, random.nextInt32(), []);
    assert.equal(
      backend !== undefined,
      backends.some(({ isUp }) => isUp),
      "one is up, and none is chosen",
    );
    if (backend === undefined) continue;
    assert.ok(servers[backend.index]!.detector.isUp, "a server was chosen that is down");
    if (hasTraffic) servers[backend.index]!.handleRequest();
  }
  return servers.reduce((sum, { changes }) => sum + changes, 0);
}

test(`servers that flap never change faster than rise and fall allow, ${SEEDS} seeds`, () => {
  let changes = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      changes += simulate(seed);
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
  assert.ok(changes > 10 * SEEDS, `only ${changes} changes: the simulation is too quiet`);
});
