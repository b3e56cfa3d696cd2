/**
 * What two router daemons on one segment go through together, each in its turn as active and as backup: election, clean stop, return
 * of the better one, kill -9, a cable that is pulled. The same for every pair of implementations and every version; the tests say
 * which. Node a has the higher priority.
 */
import assert from "node:assert/strict";
import { activeDownIntervalMs, skewTimeMs } from "../../src/vrrp/timers.ts";
import { startHoldfastRouter } from "../harness/holdfast-router.ts";
import { startKeepalived } from "../harness/keepalived.ts";
import {
  INTERFACE,
  type RouterDaemon,
  type RouterLan,
  type RouterNode,
  type RouterParameters,
  startRouterLan,
} from "../harness/lan.ts";
import { eventually } from "../harness/program.ts";

export type Implementation = "holdfast" | "keepalived";

export const START: Readonly<
  Record<
    Implementation,
    (lan: RouterLan, node: RouterNode, parameters: RouterParameters) => Promise<RouterDaemon>
  >
> = { holdfast: startHoldfastRouter, keepalived: startKeepalived };

const PRIORITY = { a: 200, b: 100, c: 50 } as const;
/** Two daemons, tcpdump, and other tests, on two processors; and addresses are looked at every 20 ms. */
const TOLERANCE_MS = 2000;
/** The kernel tells of a carrier that comes or goes at most once a second (net/core/link_watch.c); the bridge's port is one, too. */
const CARRIER_MS = 1000;

export interface Pairing {
  readonly a: Implementation;
  readonly b: Implementation;
  readonly common: Omit<RouterParameters, "priority" | "peers" | "preempt">;
  readonly isUnicast: boolean;
}

export class Situations implements AsyncDisposable {
  readonly lan: RouterLan;
  readonly #pairing: Pairing;
  readonly #say: (line: string) => void;
  /** The last one: with IPv6 the first is link-local, and only one of them is looked at. */
  readonly #address: string;

  constructor(lan: RouterLan, pairing: Pairing, say: (line: string) => void) {
    this.lan = lan;
    this.#pairing = pairing;
    this.#say = say;
    this.#address = pairing.common.addresses.at(-1)!.split("/")[0]!;
  }

  /** All of them; a failure comes with what the daemons printed last. */
  async runAll(): Promise<void> {
    try {
      await this.#runAll();
    } catch (error) {
      for (const daemon of this.lan.daemons) this.#say(`${daemon.name}: ${daemon.log().slice(-1500)}`);
      throw error;
    }
  }

  /** In an order in which each begins where the one before ended. */
  async #runAll(): Promise<void> {
    const capture = await this.lan.capture("a");
    const b = await this.start("b");
    await this.#taken("b", "alone on the segment", this.#activeDownMs("b"));
    const first = await this.start("a");
    await this.#taken("a", "the better one starts and preempts", this.#activeDownMs("a"));

    const goodbyes = (): number => capture.count((it) => it.priority === 0);
    const stopped = first.stop();
    await this.#taken("b", "clean stop of the active one", this.#skewMs("b"));
    await stopped;
    // tcpdump may be a little behind.
    await eventually("priority 0 was seen on the wire", 2000, () => goodbyes() > 0);

    const second = await this.start("a");
    await this.#taken("a", "it comes back and preempts", this.#activeDownMs("a"));
    await second.kill();
    await this.#takenFromTheDead("b", this.#activeDownMs("b"));

    const third = await this.start("a");
    await this.#taken("a", "it comes back after kill -9 and preempts", this.#activeDownMs("a"));
    this.lan.setCable("a", "down");
    await this.#taken("b", "the cable of the active one is pulled", this.#activeDownMs("b") + CARRIER_MS);
    this.lan.setCable("a", "up");
    await this.#taken("a", "and plugged in again", this.#activeDownMs("a") + 2 * CARRIER_MS);

    await b.kill();
    await third.stop();
    assert.ok(!this.lan.hasAddressNow("a", this.#address), "nothing is left behind on a clean stop");
    this.#assertVersions(capture.advertisements);
  }

  start(node: "a" | "b"): Promise<RouterDaemon> {
    const { common, isUnicast } = this.#pairing;
    return START[this.#pairing[node]](this.lan, node, {
      ...common,
      priority: PRIORITY[node],
      preempt: true,
      ...(isUnicast ? { peers: [node === "a" ? ("b" as const) : ("a" as const)] } : {}),
    });
  }

  /** Exactly this node has the address within the bound, and some tolerance for the machine. */
  async #taken(node: RouterNode, what: string, boundMs: number): Promise<void> {
    const tookMs = await this.lan.untilHeldBy(node, this.#address, boundMs + TOLERANCE_MS);
    this.#say(`${what}: ${node} after ${tookMs.toFixed(0)} ms (bound ${boundMs.toFixed(0)} ms)`);
  }

  /** keepalived leaves its address on the interface when it is killed; Holdfast's lease runs out. */
  async #takenFromTheDead(node: RouterNode, boundMs: number): Promise<void> {
    const tookMs = await this.lan.untilHas(node, this.#address, boundMs + TOLERANCE_MS);
    this.#say(`kill -9: ${node} after ${tookMs.toFixed(0)} ms (bound ${boundMs.toFixed(0)} ms)`);
    if (this.#pairing.a === "keepalived") {
      assert.ok(this.lan.hasAddress("a", this.#address), "keepalived's address is still there");
      for (const address of this.#pairing.common.addresses)
        this.lan.topology.run("a", "ip", "address", "del", address, "dev", INTERFACE);
      return;
    }
    const leaseMs = 1000 * Math.max(3, Math.ceil((4 * this.#pairing.common.intervalMs) / 1000) + 1);
    await this.#taken(node, "the lease of the dead one is over", leaseMs);
  }

  #activeDownMs(node: "a" | "b"): number {
    const { version, intervalMs } = this.#pairing.common;
    return activeDownIntervalMs(version, PRIORITY[node], intervalMs);
  }

  #skewMs(node: "a" | "b"): number {
    const { version, intervalMs } = this.#pairing.common;
    return skewTimeMs(version, PRIORITY[node], intervalMs);
  }

  #assertVersions(seen: readonly { readonly version: number; readonly id: number }[]): void {
    const { version, id } = this.#pairing.common;
    assert.ok(seen.length > 0, "tcpdump saw advertisements");
    for (const advertisement of seen)
      assert.deepEqual([advertisement.version, advertisement.id], [version, id]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lan[Symbol.asyncDispose]();
  }
}

export async function startSituations(pairing: Pairing, say: (line: string) => void): Promise<Situations> {
  return new Situations(await startRouterLan(["a", "b"]), pairing, say);
}
