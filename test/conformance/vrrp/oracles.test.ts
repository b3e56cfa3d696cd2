/**
 * What tcpdump and scapy read in our advertisements: a capture file of IP packets that the test writes. Both recompute checksums:
 * over IPv4 both believe in the pseudo-header of version 3, as keepalived and FRR do, so the kind of RFC 9568 is left to golden.jsonl.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import test, { type TestContext } from "node:test";
import { internetChecksum } from "../../../src/ip/checksum.ts";
import { ipv4Octets, ipv6Octets } from "../../../src/proxy-protocol/ip-bytes.ts";
import {
  type Advertisement,
  encodeAdvertisement,
  formatAdvertisement,
  MULTICAST_GROUP,
  VRRP_PROTOCOL,
} from "../../../src/vrrp/packet.ts";
import { makeScratchDirectory } from "../../harness/paths.ts";
import { peerPath, requirePeer, skipOrFail } from "../../harness/peers.ts";

const BASE = { routerId: 51, priority: 150, authPass: undefined } as const;
const ADVERTISEMENTS: readonly Advertisement[] = [
  { ...BASE, version: 2, intervalMs: 1000, addresses: ["192.0.2.10"], checksum: "message" },
  {
    ...BASE,
    version: 2,
    intervalMs: 3000,
    addresses: ["192.0.2.10", "192.0.2.11"],
    authPass: "s3cret",
    checksum: "message",
  },
  { ...BASE, version: 3, intervalMs: 10, addresses: ["192.0.2.10"], checksum: "pseudo-header" },
  {
    ...BASE,
    version: 3,
    priority: 0,
    intervalMs: 40_950,
    addresses: ["192.0.2.10", "192.0.2.11"],
    checksum: "pseudo-header",
  },
  {
    ...BASE,
    version: 3,
    intervalMs: 100,
    addresses: ["fe80::100", "2001:db8::100"],
    checksum: "pseudo-header",
  },
];

function pathOf(advertisement: Advertisement) {
  return advertisement.addresses[0]!.includes(":")
    ? { family: "inet6" as const, source: "fe80::5", destination: MULTICAST_GROUP.inet6 }
    : { family: "inet" as const, source: "10.0.0.5", destination: MULTICAST_GROUP.inet };
}

/** With the IP header that the kernel would add (RFC 791 §3.1, RFC 8200 §3). */
function ipPacket(advertisement: Advertisement): Buffer {
  const { family, source, destination } = pathOf(advertisement);
  const message = encodeAdvertisement(advertisement, { family, source, destination });
  if (family === "inet6") {
    const header = Buffer.alloc(40);
    header.writeUInt32BE(0x6c000000, 0);
    header.writeUInt16BE(message.length, 4);
    header.set([VRRP_PROTOCOL, 255], 6);
    header.set(ipv6Octets(source), 8);
    header.set(ipv6Octets(destination), 24);
    return Buffer.concat([header, message]);
  }
  const header = Buffer.alloc(20);
  header.set([0x45, 0xc0], 0);
  header.writeUInt16BE(20 + message.length, 2);
  header.set([255, VRRP_PROTOCOL], 8);
  header.set(ipv4Octets(source), 12);
  header.set(ipv4Octets(destination), 16);
  header.writeUInt16BE(internetChecksum(header), 10);
  return Buffer.concat([header, message]);
}

/** pcap-savefile(5), link type 101: packets begin with their IP header. */
function writeCapture(file: string, packets: readonly Buffer[]): void {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2c3d4, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(65_535, 16);
  head.writeUInt32LE(101, 20);
  const records = packets.flatMap((packet) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(packet.length, 8);
    record.writeUInt32LE(packet.length, 12);
    return [record, packet];
  });
  writeFileSync(file, Buffer.concat([head, ...records]));
}

function capture(t: TestContext): string {
  const { directory, remove } = makeScratchDirectory("vrrp-oracles");
  t.after(remove);
  const file = path.join(directory, "advertisements.pcap");
  writeCapture(file, ADVERTISEMENTS.map(ipPacket));
  return file;
}

test("tcpdump reads every advertisement as formatAdvertisement() prints it, and finds no wrong checksum", (t) => {
  if (!requirePeer(t, "tcpdump")) return;
  const { stdout, stderr } = spawnSync(peerPath("tcpdump"), ["-n", "-v", "-r", capture(t)], {
    encoding: "utf8",
  });
  // Its -v puts the IP header on a line of its own, and ends with the password.
  const lines = stdout.split("\n").filter((line) => line.includes("VRRPv"));
  assert.equal(lines.length, ADVERTISEMENTS.length, stderr);
  for (const [index, advertisement] of ADVERTISEMENTS.entries()) {
    const line = lines[index]!.replace(/^.*?(VRRPv\d)/, "$1")
      .replace(/ auth ".*"$/, "")
      .trim();
    assert.equal(line, formatAdvertisement(advertisement));
  }
  assert.doesNotMatch(stdout, /bad|wrong|incorrect/i);
});

/** Prints one JSON line per packet; `ok`: scapy computes the same checksum. */
const SCAPY_PROGRAM = `
import json, sys
from scapy.all import rdpcap, IP, IPv6, load_layer
from scapy.layers.vrrp import VRRP, VRRPv3
from scapy.layers.inet6 import IPv6
for raw in rdpcap(sys.argv[1]):
    data = bytes(raw)
    ip = IPv6(data) if data[0] >> 4 == 6 else IP(data)
    layer = VRRPv3 if VRRPv3 in ip else VRRP
    vrrp = ip[layer]
    seen = vrrp.chksum
    again = ip.copy()
    del again[layer].chksum
    again = again.__class__(bytes(again))
    print(json.dumps({"version": vrrp.version, "routerId": vrrp.vrid, "priority": vrrp.priority,
        "interval": vrrp.adv, "addresses": vrrp.addrlist, "ok": again[layer].chksum == seen}))
`;

test("scapy reads every advertisement as it was meant, and computes the same checksums", (t) => {
  const python = ["/usr/bin/python3", "python3"].find(
    (program) => spawnSync(program, ["-c", "import scapy"]).status === 0,
  );
  if (python === undefined) {
    skipOrFail(t, "needs scapy: apt-get install python3-scapy");
    return;
  }
  const { stdout, stderr } = spawnSync(python, ["-c", SCAPY_PROGRAM, capture(t)], { encoding: "utf8" });
  const seen = stdout
    .trim()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as unknown);
  const expected = ADVERTISEMENTS.map(({ version, routerId, priority, intervalMs, addresses }) => {
    const interval = intervalMs / (version === 2 ? 1000 : 10);
    return { version, routerId, priority, interval, addresses: [...addresses], ok: true };
  });
  assert.deepEqual(seen, expected, stderr);
});
