/**
 * VRRP version 2 (RFC 3768) beside the real keepalived: plain, with a simple password, unicast; and Holdfast with Holdfast. Intervals are
 * whole seconds, so the cases run side by side, each in namespaces of its own.
 */
import { describe, test } from "node:test";
import { requireLan } from "../harness/lan.ts";
import { requirePeer } from "../harness/peers.ts";
import { type Pairing, startSituations } from "./vrrp-situations.ts";

const PAIRS = [
  ["holdfast", "keepalived"],
  ["keepalived", "holdfast"],
  ["holdfast", "holdfast"],
] as const;

const COMMON = { id: 51, version: 2, intervalMs: 1000, addresses: ["10.90.0.100/24"] } as const;

const CASES: Readonly<Record<string, Omit<Pairing, "a" | "b">>> = {
  multicast: { common: COMMON, isUnicast: false },
  "multicast with a password": { common: { ...COMMON, authPass: "s3cret" }, isUnicast: false },
  unicast: { common: COMMON, isUnicast: true },
};

describe("version 2", { concurrency: 9 }, () => {
  for (const [name, wire] of Object.entries(CASES)) {
    for (const [a, b] of PAIRS) {
      test(`${name}: ${a} as the better router, ${b} as the other`, async (t) => {
        if (!requireLan(t) || !requirePeer(t, "keepalived")) return;
        await using situations = await startSituations({ ...wire, a, b }, (line) => t.diagnostic(line));
        await situations.runAll();
      });
    }
  }
});
