/**
 * TCP sessions when something leaves: the server (`on_down`), the gateway (drain), the listener's memory of a session in a worker without
 * CAP_NET_ADMIN (`on_idle: silent`). Each test has a gateway of its own.
 */
import assert from "node:assert/strict";
import { request } from "node:http";
import test from "node:test";
import { openDescriptors } from "../harness/process-usage.ts";
import { eventually, freePort } from "../harness/program.ts";
import { type HoldfastServer, startHoldfast } from "../harness/servers.ts";
import {
  connectWire,
  type ScriptedOrigin,
  startScriptedOrigin,
  type WireConnection,
} from "../harness/wire.ts";

interface Relay {
  readonly gateway: HoldfastServer;
  readonly port: number;
}

async function startRelay(
  origins: readonly ScriptedOrigin[],
  settings: { tcp?: object; pool?: object; server?: object; top?: readonly string[] },
): Promise<Relay> {
  const port = await freePort();
  const servers = origins.map((origin) => ({ address: `127.0.0.1:${origin.port}`, ...settings.server }));
  const listener = { bind: `127.0.0.1:${port}`, tcp: { pool: "p", ...settings.tcp } };
  const gateway = await startHoldfast({
    ready: [{ host: "127.0.0.1", port }],
    config: [
      "workers: 1",
      ...(settings.top ?? ["drain_timeout: 200ms"]),
      `listeners: { t: ${JSON.stringify(listener)} }`,
      `pools: { p: ${JSON.stringify({ ...settings.pool, servers })} }`,
    ].join("\n"),
  });
  return { gateway, port };
}

const startGreeter = (): Promise<ScriptedOrigin> =>
  startScriptedOrigin((connection) => connection.write("hi"));

async function openSession(port: number): Promise<WireConnection> {
  const client = await connectWire(port);
  await client.readUntil("hi");
  return client;
}

/** The connection that saw that the gateway accepts is a session, too; its end comes a moment later. */
async function descriptorsAtRest(worker: number, origin: ScriptedOrigin): Promise<number> {
  let count = -1;
  await eventually("the session of the start is over", 2000, () => {
    const { connections } = origin;
    const wasSame = count === openDescriptors(worker);
    count = openDescriptors(worker);
    return wasSame && connections.length > 0 && connections.every(({ end }) => end !== undefined);
  });
  return count;
}

function order(gateway: HoldfastServer, body: object): Promise<number> {
  return new Promise((resolve, reject) => {
    request({ socketPath: gateway.adminPath, method: "POST", path: "/server", agent: false }, (response) => {
      response.resume().on("end", () => resolve(response.statusCode!));
    })
      .on("error", reject)
      .end(JSON.stringify(body));
  });
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test("on_down: reset ends the sessions of the server that left, at both ends, and no other", async () => {
  await using first = await startGreeter();
  await using second = await startGreeter();
  const { gateway, port } = await startRelay([first, second], { pool: { on_down: "reset" } });
  await using _ = gateway;
  const clients = [await openSession(port), await openSession(port)];
  const action = { pool: "p", server: `127.0.0.1:${first.port}`, action: "maint" };
  assert.equal(await order(gateway, action), 200);
  await eventually("the server's end is reset", 3000, () =>
    first.connections.some((it) => it.end?.code === "ECONNRESET"),
  );
  await eventually("one client is reset", 3000, () => clients.some((it) => it.end?.code === "ECONNRESET"));
  await pause(100);
  assert.equal(clients.filter((it) => it.end === undefined).length, 1);
  const metrics = await gateway.metrics();
  assert.equal(metrics.sum("holdfast_closes_total", { listener: "t", cause: "server-down" }), 1);
});

test("on_down: keep, and drain of a server, let its sessions go on", async () => {
  await using first = await startGreeter();
  const { gateway, port } = await startRelay([first], {});
  await using _ = gateway;
  const client = await openSession(port);
  const server = first.connections.at(-1)!;
  for (const action of ["drain", "maint"]) {
    assert.equal(await order(gateway, { pool: "p", server: `127.0.0.1:${first.port}`, action }), 200);
    await pause(100);
    await client.write(action);
    await server.readUntil(action);
  }
  client.destroy();
});

test("a drain lets sessions go on, accepts no others, and ends with FIN at drain_timeout", async () => {
  await using origin = await startGreeter();
  const { gateway, port } = await startRelay([origin], { top: ["drain_timeout: 700ms"] });
  const client = await openSession(port);
  const server = origin.connections.at(-1)!;
  const startedAtMs = performance.now();
  process.kill(gateway.pid, "SIGTERM");
  await eventually("nobody accepts", 2000, () =>
    connectWire(port).then(
      () => false,
      () => true,
    ),
  );
  await client.write("still");
  await server.readUntil("still");
  const end = await client.ended;
  assert.equal(end.how, "fin");
  assert.equal((await server.ended).how, "fin");
  const afterMs = end.atMs - startedAtMs;
  assert.ok(afterMs > 600 && afterMs < 1500, `${afterMs} ms`);
  await gateway.stop();
});

test("on_idle: silent without CAP_NET_ADMIN: both sockets are kept, no packet is sent, whoever speaks next gets RST", {
  skip: process.getuid?.() !== 0 && "needs root, to give it up",
}, async () => {
  await using origin = await startGreeter();
  const tcp = { idle_timeout: "300ms", on_idle: "silent" };
  const { gateway, port } = await startRelay([origin], {
    tcp,
    top: ["user: nobody", "drain_timeout: 200ms"],
  });
  await using _ = gateway;
  const worker = gateway.workerPids()[0]!;
  const before = await descriptorsAtRest(worker, origin);
  const clients = [await openSession(port), await openSession(port)];
  const [first, second] = origin.connections.slice(-2) as [WireConnection, WireConnection];
  await eventually("both have expired", 3000, async () => {
    const closes = (await gateway.metrics()).sum("holdfast_closes_total", {
      listener: "t",
      cause: "session-idle",
    });
    return closes >= 2;
  });
  await pause(100);
  for (const wire of [...clients, first, second]) assert.equal(wire.end, undefined);
  assert.equal(openDescriptors(worker), before + 4);
  await clients[0]!.write("anybody there?");
  assert.equal((await clients[0]!.ended).code, "ECONNRESET");
  await pause(100);
  assert.equal(first.end, undefined);
  await first.write("hello?");
  assert.equal((await first.ended).code, "ECONNRESET");
  // The end of a forgotten session is a segment like any other.
  second.finish();
  assert.equal((await second.ended).code, "ECONNRESET");
  await eventually("descriptors", 2000, () => openDescriptors(worker) === before + 1);
});

test("a server that accepts sessions only to reset them goes down by that, though its TCP checks are good", async () => {
  await using bad = await startScriptedOrigin(async (connection) => {
    await connection.readBytes(1);
    connection.reset();
  });
  await using good = await startScriptedOrigin(async (connection) => {
    await connection.readBytes(1);
    await connection.write("hi");
  });
  const health = { tcp: {}, interval: "10s", fall: 3 };
  const { gateway, port } = await startRelay([bad, good], { pool: { health }, server: { max_fails: 0 } });
  await using _ = gateway;
  await eventually("the server is down", 5000, async () => {
    const client = await connectWire(port);
    await client.write("?").catch(() => undefined);
    await client.readUntil("hi").catch(() => undefined);
    client.destroy();
    const server = `127.0.0.1:${bad.port}`;
    return (await gateway.metrics()).sum("holdfast_server_up", { pool: "p", server }) === 0;
  });
});
