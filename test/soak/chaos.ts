/**
 * What goes wrong in production, done on purpose to a running gateway: a worker killed, an origin that freezes, garbage for requests,
 * no descriptors left, half-closed connections, readers that do not read. Each scenario starts its own gateway, asserts that the
 * damage stays where it was done, and that the gateway works as before afterwards. chaos.test.ts runs each once, chaos-main.ts for long.
 */
import assert from "node:assert/strict";
import path from "node:path";
import { compiledRoot } from "../harness/paths.ts";
import { cpuNanoseconds, isAlive, memoryUsage, openDescriptors } from "../harness/process-usage.ts";
import { eventually, freePort, type Program, startProgram, withTimeout } from "../harness/program.ts";
import { type HoldfastServer, startHoldfast } from "../harness/servers.ts";
import { connectWire, startScriptedOrigin, type WireConnection } from "../harness/wire.ts";

const GET = "GET / HTTP/1.1\r\nHost: chaos\r\n\r\n";
const MEBIBYTE = 2 ** 20;
const GIBIBYTE = 2 ** 30;
/** What a worker may grow by while a stalled peer holds a transfer up: buffers are bounded, V8 keeps a little garbage. */
const MEMORY_GROWTH_BYTES_MAX = 24 * MEBIBYTE;

interface Rig extends AsyncDisposable {
  readonly gateway: HoldfastServer;
  readonly origin: Program;
  readonly port: number;
}

interface RigOptions {
  readonly workers?: number;
  readonly pool?: string;
  readonly listener?: string;
  readonly prefix?: readonly string[];
  readonly originPort?: number;
}

async function startRig(options: RigOptions = {}): Promise<Rig> {
  const port = await freePort();
  const origin = await startProgram({
    name: "chaos-origin",
    command: process.execPath,
    args: [path.join(compiledRoot, "test/soak/chaos-origin.js")],
    readyLine: "ready",
  });
  const originPort = options.originPort ?? Number(origin.lines[0]!.split(" ")[1]);
  const gateway = await startHoldfast({
    ready: [{ host: "127.0.0.1", port }],
    ...(options.prefix === undefined ? {} : { prefix: options.prefix }),
    config: `workers: ${options.workers ?? 1}
drain_timeout: 2s
listeners:
  web:
    bind: 127.0.0.1:${port}
    http:
      ${options.listener ?? ""}
      routes: [{ pool: web }]
pools:
  web:
    ${options.pool ?? ""}
    servers: ["127.0.0.1:${originPort}"]
`,
  });
  return {
    gateway,
    origin,
    port,
    [Symbol.asyncDispose]: async () => {
      await gateway.stop();
      await origin.stop();
    },
  };
}

async function ask(connection: WireConnection, request = GET): Promise<number> {
  await connection.write(request);
  return (await connection.readResponse()).status;
}

async function assertWorks(port: number): Promise<void> {
  const connection = await connectWire(port);
  assert.equal(await ask(connection), 200, "the gateway answers as before");
  connection.destroy();
}

/** kill -9 of one worker costs its own connections only; another takes its place. */
export async function killedWorker(): Promise<void> {
  await using rig = await startRig({ workers: 2 });
  const [victim, survivor] = rig.gateway.workerPids();
  const clients = await Promise.all(Array.from({ length: 40 }, () => connectWire(rig.port)));
  for (const client of clients) assert.equal(await ask(client), 200);
  process.kill(victim!, "SIGKILL");
  await eventually("the dead worker is replaced", 5000, () => {
    const pids = rig.gateway.workerPids().filter(isAlive);
    return pids.length === 2 && !pids.includes(victim!);
  });
  assert.ok(isAlive(survivor!), "the other worker lives");
  const left = clients.filter((client) => client.end === undefined);
  for (const client of left) assert.equal(await ask(client), 200, "connections of the other worker go on");
  for (const client of clients) client.destroy();
  await assertWorks(rig.port);
}

/** A frozen origin still ACKs; the gateway answers 504 at read_timeout and recovers with it. */
export async function frozenOrigin(): Promise<void> {
  await using rig = await startRig({ pool: "read_timeout: 500ms\n    next_upstream: { tries: 1 }" });
  await assertWorks(rig.port);
  process.kill(rig.origin.pid, "SIGSTOP");
  const client = await connectWire(rig.port);
  const startedMs = performance.now();
  assert.equal(await ask(client), 504);
  assert.ok(performance.now() - startedMs < 3000, "504 came at read_timeout");
  client.destroy();
  process.kill(rig.origin.pid, "SIGCONT");
  await eventually("the gateway uses the origin again", 15_000, async () => {
    const probe = await connectWire(rig.port);
    const status = await ask(probe);
    probe.destroy();
    return status === 200;
  });
}

/** Bytes that are no HTTP: refused or cut, never a crash, nothing left open. */
export async function garbage(rounds = 200): Promise<void> {
  // A change may leave a request good, or make it wait for a body: every kind of waiting ends within a second.
  const timeouts = [
    "keepalive_timeout",
    "client_header_timeout",
    "client_body_timeout",
    "lingering_time",
    "lingering_timeout",
  ];
  await using rig = await startRig({ listener: timeouts.map((name) => `${name}: 1s`).join("\n      ") });
  const worker = rig.gateway.workerPids()[0]!;
  await assertWorks(rig.port);
  const descriptors = openDescriptors(worker);
  let seed = 0x5eed;
  const random = (): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 2 ** 32;
  };
  const clients: WireConnection[] = [];
  for (let round = 0; round < rounds; round++) {
    const client = await connectWire(rig.port);
    clients.push(client);
    client.write(garbageBytes(round, random)).catch(() => {});
    // Half of them hang up at once, one way or the other; the rest wait to be thrown out.
    if (round % 4 === 0) client.reset();
    if (round % 4 === 1) client.finish();
  }
  await withTimeout(
    Promise.all(clients.map((client) => client.ended)),
    15_000,
    "some garbage connections stay open",
  );
  for (const client of clients) client.destroy();
  assert.deepEqual(rig.gateway.workerPids(), [worker], "the worker is the same");
  await eventually("descriptors are given back", 5000, () => openDescriptors(worker) <= descriptors + 1);
  await assertWorks(rig.port);
}

function garbageBytes(round: number, random: () => number): Uint8Array {
  const seeds = [
    GET,
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    `GET /${"a".repeat(70_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    `GET / HTTP/1.1\r\n${"X: y\r\n".repeat(5000)}\r\n`,
  ];
  const bytes = Buffer.from(seeds[round % seeds.length]!, "latin1");
  const changes = 1 + Math.floor(random() * 8);
  for (let change = 0; change < changes; change++) {
    bytes[Math.floor(random() * Math.min(bytes.length, 200))] = Math.floor(random() * 256);
  }
  return bytes;
}

/** No descriptor left: the gateway neither dies nor spins, and accepts again when some are free. */
export async function noDescriptors(): Promise<void> {
  await using rig = await startRig({ prefix: ["prlimit", "--nofile=100:100"] });
  const worker = rig.gateway.workerPids()[0]!;
  await assertWorks(rig.port);
  const clients: WireConnection[] = [];
  for (let count = 0; count < 200; count++) {
    const client = await connectWire(rig.port);
    // Half a request: idle connections could be closed to make room, these cannot.
    client.write(GET.slice(0, 10)).catch(() => {});
    clients.push(client);
  }
  await eventually("the table is full", 5000, () => openDescriptors(worker) >= 95);
  const before = cpuNanoseconds(worker);
  const startedMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const share = (cpuNanoseconds(worker) - before) / 1e6 / (performance.now() - startedMs);
  assert.ok(share < 0.3, `the worker spins: ${Math.round(share * 100)} % of a processor`);
  for (const client of clients) client.destroy();
  await eventually("requests are answered again", 10_000, async () => {
    const probe = await connectWire(rig.port);
    const status = await withTimeout(ask(probe), 1000, "no answer yet").catch(() => 0);
    probe.destroy();
    return status === 200;
  });
  assert.deepEqual(rig.gateway.workerPids(), [worker], "the worker is the same");
}

/** A client that has sent FIN still gets its answer; a truncated response is never completed. */
export async function halfClose(): Promise<void> {
  const answers = [
    "HTTP/1.1 200 OK\r\n\r\nuntil the end",
    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
  ];
  let served = 0;
  await using origin = await startScriptedOrigin(async (connection) => {
    await connection.readRequest();
    await connection.write(answers[served++ % 2]!);
    connection.finish();
  });
  await using rig = await startRig({ originPort: origin.port, pool: "keepalive: 0" });
  const whole = await connectWire(rig.port);
  await whole.write(GET);
  whole.finish();
  const response = await whole.readResponse();
  assert.equal(response.body.toString(), "until the end");
  whole.destroy();

  const truncated = await connectWire(rig.port);
  await truncated.write(GET);
  await truncated.readHead();
  const end = await withTimeout(truncated.ended, 5000, "a truncated response must end the connection");
  assert.equal(truncated.unread, "only this", `ended by ${end.how}`);
  truncated.destroy();
}

/** A client that does not read stops the origin, not the gateway: memory stays bounded, and every byte comes in the end. */
export async function slowReader(stallMs = 1500): Promise<void> {
  await using rig = await startRig();
  const worker = rig.gateway.workerPids()[0]!;
  await assertWorks(rig.port);
  const before = memoryUsage(worker).rssBytes;
  const client = await connectWire(rig.port);
  client.socket.pause();
  await client.write(`GET /stream?bytes=${GIBIBYTE} HTTP/1.1\r\nHost: chaos\r\nConnection: close\r\n\r\n`);
  await new Promise((resolve) => setTimeout(resolve, stallMs));
  assert.ok(client.text.length < MEBIBYTE, "the client really does not read");
  assertGrowth(worker, before, "while a client does not read");

  // Now it reads, counting only; the recording listener would keep the whole gibibyte.
  client.socket.removeAllListeners("data");
  let received = 0;
  client.socket.on("data", (bytes: Buffer) => {
    received += bytes.length;
  });
  client.socket.resume();
  await withTimeout(client.ended, 25_000, "the rest of the response did not come");
  assert.ok(received > GIBIBYTE && received < GIBIBYTE + 1000, `${received} bytes came`);
  assertGrowth(worker, before, "after a gibibyte went through");
  client.destroy();
}

/** An origin that does not read stops the client, not the gateway. */
export async function slowOrigin(stallMs = 1500): Promise<void> {
  await using rig = await startRig();
  const worker = rig.gateway.workerPids()[0]!;
  await assertWorks(rig.port);
  const before = memoryUsage(worker).rssBytes;
  const client = await connectWire(rig.port);
  await client.write(`POST /stall HTTP/1.1\r\nHost: chaos\r\nContent-Length: ${GIBIBYTE}\r\n\r\n`);
  const chunk = Buffer.alloc(MEBIBYTE);
  let taken = 0;
  const push = (): void => {
    while (taken < GIBIBYTE && client.socket.write(chunk)) taken += chunk.length;
  };
  client.socket.on("drain", push);
  push();
  await new Promise((resolve) => setTimeout(resolve, stallMs));
  assert.ok(taken < 64 * MEBIBYTE, `the gateway took ${taken} bytes that nobody reads`);
  assertGrowth(worker, before, "while an origin does not read");
  client.destroy();
  await assertWorks(rig.port);
}

function assertGrowth(pid: number, beforeBytes: number, when: string): void {
  const growthBytes = memoryUsage(pid).rssBytes - beforeBytes;
  assert.ok(
    growthBytes < MEMORY_GROWTH_BYTES_MAX,
    `the worker grew by ${Math.round(growthBytes / MEBIBYTE)} MiB ${when}`,
  );
}

/** What chaos.test.ts and chaos-main.ts run. */
export const SCENARIOS: readonly {
  readonly name: string;
  readonly run: (isLong: boolean) => Promise<void>;
}[] = [
  {
    name: "kill -9 of a worker costs its own connections only, and it is replaced",
    run: () => killedWorker(),
  },
  {
    name: "a frozen origin is answered for with 504 and used again when it thaws",
    run: () => frozenOrigin(),
  },
  {
    name: "garbage is refused, costs no worker and leaves nothing open",
    run: (isLong) => garbage(isLong ? 5000 : 200),
  },
  { name: "a full descriptor table neither kills nor spins the worker", run: () => noDescriptors() },
  {
    name: "half-closed clients get their answer, truncated responses stay truncated",
    run: () => halfClose(),
  },
  {
    name: "a client that does not read a gibibyte costs bounded memory",
    run: (isLong) => slowReader(isLong ? 30_000 : 1500),
  },
  {
    name: "an origin that does not read a gibibyte costs bounded memory",
    run: (isLong) => slowOrigin(isLong ? 30_000 : 1500),
  },
];
