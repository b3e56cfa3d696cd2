/**
 * VRRP version 3 (RFC 9568) beside the real keepalived: IPv4 with the pseudo-header checksum of keepalived 2.2.7, IPv6, unicast; and
 * Holdfast with Holdfast.
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

const IPV4 = { id: 52, version: 3, intervalMs: 100, addresses: ["10.90.0.100/24"] } as const;
const IPV6 = { ...IPV4, addresses: ["fe80::90/64", "fd00:90::100/64"] } as const;

const CASES: Readonly<Record<string, Omit<Pairing, "a" | "b">>> = {
  "IPv4 multicast": { common: IPV4, isUnicast: false },
  "IPv6 multicast": { common: IPV6, isUnicast: false },
  "IPv4 unicast": { common: IPV4, isUnicast: true },
  "IPv6 unicast": { common: IPV6, isUnicast: true },
};

describe("version 3", { concurrency: 4 }, () => {
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
