/**
 * A middle box that forgets a quiet connection and tells both ends so with RST, as Azure's balancer with TCP reset and F5 do. The
 * kernel of its namespace forwards the packets; this program only watches them (tcpdump(8)) and, when a connection was quiet for
 * too long, sends each end a RST in the other's name, with exactly the sequence number that end expects (RFC 5961 §3.2: any other
 * is answered with a challenge and changes nothing). Any packet counts, a keepalive probe too.
 *
 * Usage: node resetting-box-program.js ESTABLISHED_MS HALF_CLOSED_MS. Prints "ready" and one JSON line per connection it resets.
 */
import { spawn } from "node:child_process";
import readline from "node:readline";
import { encodeIp } from "../../src/ip/address.ts";
import { internetChecksum, pseudoHeaderSum } from "../../src/ip/checksum.ts";
import { allocate } from "../../src/sys/memory.ts";
import { openRawSocket, sendTo } from "../../src/sys/raw-socket.ts";
import { encodeSocketAddress } from "../../src/sys/sockaddr.ts";

/** raw(7): implies IP_HDRINCL, so that the source address may be anybody's. */
const IPPROTO_RAW = 255;
const IPPROTO_TCP = 6;
const IPV4_HEADER_BYTES = 20;
const TCP_HEADER_BYTES = 20;
const DEFAULT_TTL = 64;
const RST = 0x04;
const LOOK_EVERY_MS = 10;

const [establishedMs, halfClosedMs] = process.argv.slice(2).map(Number) as [number, number];

interface Flow {
  /** `address.port` of either end, as tcpdump writes it. */
  readonly ends: readonly [string, string];
  /** What each end expects next: the last acknowledgement it has sent. */
  readonly expects: Map<string, number>;
  readonly endedBy: Set<string>;
  refreshedAtMs: number;
}

const flows = new Map<string, Flow>();
const rawSocket = openRawSocket("inet", IPPROTO_RAW);
const packet = allocate(IPV4_HEADER_BYTES + TCP_HEADER_BYTES);

/** `… IP 10.80.1.2.40000 > 10.81.1.2.80: Flags [P.], seq 1:6, ack 9, win …` */
const LINE = / (\d+\.\d+\.\d+\.\d+\.\d+) > (\d+\.\d+\.\d+\.\d+\.\d+): Flags \[([^\]]*)\](?:.*? ack (\d+))?/;

function watch(line: string): void {
  const match = LINE.exec(line);
  if (match === null) return;
  const [, from, to, flags, acknowledged] = match as unknown as [string, string, string, string, string?];
  const key = [from, to].toSorted().join(" ");
  if (flags.includes("R")) {
    flows.delete(key);
    return;
  }
  const known = flows.get(key);
  if (known === undefined && !flags.includes("S")) return;
  const flow: Flow = known ?? {
    ends: [from, to],
    expects: new Map(),
    endedBy: new Set(),
    refreshedAtMs: 0,
  };
  flows.set(key, flow);
  flow.refreshedAtMs = performance.now();
  if (acknowledged !== undefined) flow.expects.set(from, Number(acknowledged));
  if (flags.includes("F")) flow.endedBy.add(from);
}

function expire(): void {
  const nowMs = performance.now();
  for (const [key, flow] of flows) {
    if (flow.endedBy.size === 2) continue; // the ends have done with each other
    const timeoutMs = flow.endedBy.size === 1 ? halfClosedMs : establishedMs;
    if (nowMs - flow.refreshedAtMs < timeoutMs) continue;
    flows.delete(key);
    const [a, b] = flow.ends;
    reset(a, b, flow);
    reset(b, a, flow);
    console.log(JSON.stringify({ event: "reset", ends: flow.ends }));
  }
}

/** Sends `to` a RST that seems to come from `from`. */
function reset(to: string, from: string, flow: Flow): void {
  const target = parseEnd(to);
  const source = parseEnd(from);
  const { bytes } = packet;
  bytes.fill(0);
  // RFC 791 §3.1. The kernel fills in total length, identification and checksum.
  bytes[0] = 0x45;
  bytes[8] = DEFAULT_TTL;
  bytes[9] = IPPROTO_TCP;
  bytes.set(encodeIp(source.host), 12);
  bytes.set(encodeIp(target.host), 16);
  // RFC 9293 §3.1: ports, sequence, acknowledgement, data offset of five words, flags.
  const segment = bytes.subarray(IPV4_HEADER_BYTES);
  segment.writeUInt16BE(source.port, 0);
  segment.writeUInt16BE(target.port, 2);
  segment.writeUInt32BE(flow.expects.get(to) ?? 0, 4);
  segment[12] = 5 << 4;
  segment[13] = RST;
  const seed = pseudoHeaderSum(encodeIp(source.host), encodeIp(target.host), IPPROTO_TCP, TCP_HEADER_BYTES);
  segment.writeUInt16BE(internetChecksum(segment, seed), 16);
  const destination = encodeSocketAddress({ family: "inet", host: target.host, port: 0 });
  const sent = sendTo(rawSocket, packet.address, bytes.length, destination);
  if (sent < 0) console.error(`RST to ${to}: errno ${-sent}`);
}

function parseEnd(end: string): { readonly host: string; readonly port: number } {
  const dot = end.lastIndexOf(".");
  return { host: end.slice(0, dot), port: Number(end.slice(dot + 1)) };
}

// -S: sequence numbers as they are; --immediate-mode and -l: every packet at once; -s, -B: hundreds of packets in one burst fit.
const WORDS = "-i any -nn -S -t -l --immediate-mode -s 96 -B 8192 tcp".split(" ");
const tcpdump = spawn("tcpdump", WORDS, { stdio: ["ignore", "pipe", "pipe"] });
tcpdump.once("exit", (status) => {
  console.error(`tcpdump exited with ${status}`);
  process.exit(1);
});
tcpdump.stderr.on("data", (text: Buffer) => {
  if (text.toString().includes("listening on")) console.log("ready");
});
readline.createInterface({ input: tcpdump.stdout }).on("line", watch);
setInterval(expire, LOOK_EVERY_MS);
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => {
    tcpdump.removeAllListeners("exit");
    tcpdump.kill();
    process.exit();
  });
}
