/**
 * Holdfast beside FRR's vrrpd, version 3 over IPv4 (FRR puts the pseudo-header into the checksum), each as the better router and as the
 * other. Who is active is who advertises: FRR's address stays on its macvlan, which goes down.
 */
import { describe, test } from "node:test";
import { requireFrr, startFrr } from "../harness/frr.ts";
import { startHoldfastRouter } from "../harness/holdfast-router.ts";
import {
  type AdvertisementCapture,
  addressOf,
  type RouterNode,
  requireLan,
  startRouterLan,
} from "../harness/lan.ts";
import { eventually } from "../harness/program.ts";

const COMMON = { id: 51, version: 3, intervalMs: 100, preempt: true, addresses: ["10.90.0.100/24"] } as const;
const WITHIN_MS = 4000;
const PAIRS = [
  ["holdfast", "FRR"],
  ["FRR", "holdfast"],
] as const;
const START = { holdfast: startHoldfastRouter, FRR: startFrr } as const;

/** Its advertisements are the last five on the wire. */
function untilAdvertises(capture: AdvertisementCapture, node: RouterNode, what: string): Promise<boolean> {
  return eventually(what, WITHIN_MS, () => {
    const last = capture.advertisements.slice(-5);
    return last.length === 5 && last.every((it) => it.source === addressOf(node) && it.priority > 0);
  });
}

describe("beside FRR", { concurrency: 2 }, () => {
  for (const [better, other] of PAIRS) {
    test(`IPv4 multicast: ${better} as the better router, ${other} as the other`, async (t) => {
      if (!requireLan(t) || !requireFrr(t)) return;
      await using lan = await startRouterLan();
      const capture = await lan.capture("b");
      const startBetter = () => START[better](lan, "a", { ...COMMON, priority: 200 });
      await START[other](lan, "b", { ...COMMON, priority: 100 });
      await untilAdvertises(capture, "b", "the other one is alone");
      const first = await startBetter();
      await untilAdvertises(capture, "a", "the better one starts and preempts");
      await first.stop();
      await untilAdvertises(capture, "b", "clean stop of the better one");
      await eventually("it said goodbye", WITHIN_MS, () => capture.count((it) => it.priority === 0) > 0);
      const second = await startBetter();
      await untilAdvertises(capture, "a", "it comes back and preempts");
      await second.kill();
      await untilAdvertises(capture, "b", "kill -9 of the better one");
      await startBetter();
      await untilAdvertises(capture, "a", "it comes back after kill -9 and preempts");
    });
  }
});
