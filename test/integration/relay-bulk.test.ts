/**
 * Large transfers through the TCP relay, by splice(2): nothing is lost, added or reordered, whatever the pace of the two ends; a
 * stalled reader stops the sender at a bounded buffer, and the memory of the worker stays where it was.
 */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import net from "node:net";
import test, { after, before } from "node:test";
import { bindFunction } from "../../src/sys/libc.ts";
import { allocate } from "../../src/sys/memory.ts";
import { memoryUsage, openDescriptors } from "../harness/process-usage.ts";
import { eventually, freePorts } from "../harness/program.ts";
import { type HoldfastServer, startHoldfast } from "../harness/servers.ts";

const GIB = 1 << 30;
const GROWTH_BYTES_MAX = 30 << 20;
/** Of a prime length, so that no boundary of the relay falls on a boundary of the data. */
const PATTERN = randomBytes(1_048_573);

let gateway: HoldfastServer;
let port = 0;
let originPort = 0;
let serve: (socket: net.Socket) => void = () => {};
const origin = net.createServer({ allowHalfOpen: true }, (socket) => {
  socket.on("error", () => {});
  serve(socket);
});

before(async () => {
  [port = 0, originPort = 0] = await freePorts(2);
  origin.listen(originPort, "127.0.0.1");
  await once(origin, "listening");
  gateway = await startHoldfast({
    config: [
      "workers: 1",
      `listeners: { t: { bind: "127.0.0.1:${port}", tcp: { pool: p, idle_timeout: 20s } } }`,
      `pools: { p: { servers: ["127.0.0.1:${originPort}"] } }`,
    ].join("\n"),
  });
});

after(async () => {
  await gateway.stop();
  origin.close();
});

const workerPid = (): number => gateway.workerPids()[0]!;
const residentBytes = (): number => memoryUsage(workerPid()).rssBytes;

async function connect(): Promise<net.Socket> {
  const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** Writes `size` bytes of the pattern and ends; resolves with their hash. */
async function feed(socket: net.Socket, size: number, pieces: () => number): Promise<string> {
  const hash = createHash("md5");
  for (let sent = 0; sent < size; ) {
    const at = sent % PATTERN.length;
    const piece = PATTERN.subarray(at, Math.min(PATTERN.length, at + Math.min(pieces(), size - sent)));
    hash.update(piece);
    sent += piece.length;
    if (!socket.write(piece)) await once(socket, "drain");
  }
  socket.end();
  return hash.digest("hex");
}

async function digest(socket: net.Socket): Promise<{ hash: string; bytes: number }> {
  const hash = createHash("md5");
  let bytes = 0;
  socket.on("data", (piece: Buffer) => {
    hash.update(piece);
    bytes += piece.length;
  });
  socket.resume();
  await once(socket, "end");
  return { hash: hash.digest("hex"), bytes };
}

/** The admin API answers before the worker has begun: one session, and it has. */
async function warmUp(): Promise<void> {
  serve = (socket) => socket.end("ready");
  const client = await connect();
  client.end();
  await digest(client);
}

test("1 GiB passes a reader that stalls: the sender is stopped at a bounded buffer, the worker does not grow", async () => {
  await warmUp();
  const served = new Promise<string>((resolve) => {
    serve = (socket) => resolve(feed(socket, GIB, () => 1 << 20));
  });
  const baseBytes = residentBytes();
  const baseDescriptors = openDescriptors(workerPid());
  const client = await connect();
  client.pause();
  const relayed = async () => (await gateway.metrics()).sum("holdfast_server_received_bytes_total");
  const atRest = await eventually("the sender is stopped", 10_000, async () => {
    const earlier = await relayed();
    await new Promise((resolve) => setTimeout(resolve, 100));
    return earlier > 0 && (await relayed()) === earlier && earlier;
  });
  assert.ok(atRest < 64 << 20, `${atRest} bytes were read while the client stalled`);
  const growthBytes = residentBytes() - baseBytes;
  assert.ok(
    growthBytes < GROWTH_BYTES_MAX,
    `the worker grew by ${growthBytes} bytes while the client stalled`,
  );
  const { hash, bytes } = await digest(client);
  assert.equal(bytes, GIB);
  assert.equal(hash, await served);
  assert.ok(residentBytes() - baseBytes < GROWTH_BYTES_MAX, "the worker grew in the course of the transfer");
  client.end();
  await eventually("the session's descriptors are closed", 3000, () => {
    // A pipe or two stay for the next transfer.
    return openDescriptors(workerPid()) <= baseDescriptors + 2 * 4;
  });
  await eventually("both legs of the session are counted", 3000, async () => {
    const metrics = await gateway.metrics();
    return metrics.sum("holdfast_closes_total", { cause: "session-server-fin" }) >= 2;
  });
});

test("both directions at once, in pieces of every size: what arrives is what was sent", async () => {
  let seed = 1;
  /** Mostly small, now and then huge: the directions change between copying and splicing. */
  const pieces = (): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return seed % 7 === 0 ? 700_001 : 1 + (seed % 9001);
  };
  const atOrigin = new Promise<{ sent: string; got: { hash: string; bytes: number } }>((resolve) => {
    serve = (socket) =>
      void Promise.all([feed(socket, 64 << 20, pieces), digest(socket)]).then(([sent, got]) =>
        resolve({ sent, got }),
      );
  });
  const client = await connect();
  const [sent, got] = await Promise.all([feed(client, 48 << 20, pieces), digest(client)]);
  const other = await atOrigin;
  assert.equal(got.hash, other.sent);
  assert.equal(other.got.hash, sent);
  assert.equal(other.got.bytes, 48 << 20);
});

test("a bulk sender's FIN arrives behind its last byte though the reader was stalled", async () => {
  const served = new Promise<string>((resolve) => {
    serve = (socket) => resolve(feed(socket, 24 << 20, () => 1 << 20));
  });
  const client = await connect();
  client.pause();
  await new Promise((resolve) => setTimeout(resolve, 300));
  const { hash, bytes } = await digest(client);
  assert.equal(bytes, 24 << 20);
  assert.equal(hash, await served);
  client.end();
});

test("a reader that resets in the middle of a bulk transfer resets the sender, and its pipe is gone", async () => {
  const before = openDescriptors(workerPid());
  const ended = new Promise<string | undefined>((resolve) => {
    serve = (socket) => {
      socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code));
      void feed(socket, GIB, () => 1 << 20).catch(() => {});
    };
  });
  const client = await connect();
  client.pause();
  await new Promise((resolve) => setTimeout(resolve, 300));
  client.resetAndDestroy();
  assert.ok(["ECONNRESET", "EPIPE"].includes((await ended) ?? ""));
  await eventually("descriptors", 3000, () => openDescriptors(workerPid()) <= before);
});

test("an urgent byte in the middle of a bulk transfer does not stop it (splice(2) reads no further than it)", async () => {
  const sendUrgent = bindFunction("int send(int, uintptr_t, int, int)");
  const MSG_OOB = 1;
  const half = 16 << 20;
  serve = async (socket) => {
    socket.write(Buffer.alloc(half));
    // libuv has handed everything to the kernel, so the urgent byte comes behind it.
    await once(socket, "drain");
    // Everything else arrives with it: there will be one event, and no other one mends what that misses.
    process.kill(workerPid(), "SIGSTOP");
    setTimeout(() => process.kill(workerPid(), "SIGCONT"), 300);
    const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
    sendUrgent(fd, allocate(1).address, 1, MSG_OOB);
    socket.end(Buffer.alloc(half));
  };
  const client = await connect();
  client.setTimeout(5000, () => client.destroy(new Error("the transfer stalls")));
  const { bytes } = await digest(client);
  // The urgent byte itself is not relayed.
  assert.equal(bytes, 2 * half);
  client.end();
});
