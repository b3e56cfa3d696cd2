/**
 * The two ends of the failover benchmark, each a program of its own in a namespace.
 *
 *     failover-program.js responder NODE          answers every datagram with its name, as the service of that node would
 *     failover-program.js prober ADDRESS          sends one datagram a millisecond to the address, and tells when answers are missing
 *
 * A responder is killed together with its router: what the client of a node that died sees. The prober judges by the probes that it sent,
 * so that a pause of its own is no loss: a gap is the time from the first probe that nobody answered to the first that somebody did.
 */
import dgram from "node:dgram";

export const PROBE_PORT = 7007;

/** One line of the prober: answers were missing, or another node answers now. Times are Unix milliseconds with fractions. */
export interface ProbeEvent {
  readonly from: string | null;
  readonly to: string;
  readonly lost: number;
  readonly gapMs: number;
  /** When the first probe was sent that was answered again. */
  readonly answeredAtUnixMs: number;
}

function respond(node: string): void {
  const socket = dgram.createSocket("udp4");
  socket.on("message", (message, peer) => {
    const answer = Buffer.concat([message.subarray(0, 4), Buffer.from(node)]);
    socket.send(answer, peer.port, peer.address);
  });
  socket.on("error", () => {});
  socket.bind(PROBE_PORT, "0.0.0.0", () => process.stdout.write("ready\n"));
}

function unixMs(): number {
  return performance.timeOrigin + performance.now();
}

function probe(address: string): void {
  const socket = dgram.createSocket("udp4");
  /** When each probe was sent that is not answered yet, by its number, in that order. */
  const waiting = new Map<number, number>();
  let number = 0;
  let answerer: string | null = null;

  socket.on("error", () => {});
  socket.on("message", (message) => {
    const answered = message.readUInt32BE(0);
    const node = message.subarray(4).toString();
    const sentAtMs = waiting.get(answered);
    if (sentAtMs === undefined) return;
    // Everything before it is lost: one path, no reordering. What an old active router answers late is not told again.
    let lost = 0;
    let firstLostMs = sentAtMs;
    for (const [earlier, earlierSentAtMs] of waiting) {
      if (earlier >= answered) break;
      if (lost++ === 0) firstLostMs = earlierSentAtMs;
      waiting.delete(earlier);
    }
    waiting.delete(answered);
    if (lost > 0 || node !== answerer) {
      const event: ProbeEvent = {
        from: answerer,
        to: node,
        lost,
        gapMs: sentAtMs - firstLostMs,
        answeredAtUnixMs: sentAtMs,
      };
      process.stdout.write(`${JSON.stringify(event)}\n`);
    }
    answerer = node;
  });

  socket.bind(0, () => {
    process.stdout.write("ready\n");
    setInterval(() => {
      const message = Buffer.alloc(4);
      number = (number + 1) >>> 0;
      message.writeUInt32BE(number, 0);
      waiting.set(number, unixMs());
      socket.send(message, PROBE_PORT, address);
    }, 1);
  });
  process.on("SIGTERM", () => process.exit(0));
}

// Imported for its types, it is no program.
const [role, argument] = process.argv[1]?.endsWith("failover-program.js") ? process.argv.slice(2) : [];
if (role === "responder") respond(argument!);
if (role === "prober") probe(argument!);
