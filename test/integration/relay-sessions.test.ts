/**
 * TCP sessions on real sockets: how one end's FIN, RST or failure reaches the other, what each end sees at idle_timeout for every
 * on_idle, retries, limits, and the listing of live sessions.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import type { SessionsDocument } from "../../src/daemon/session-collector.ts";
import { holdfastMain } from "../harness/paths.ts";
import { eventually, startProgram } from "../harness/program.ts";
import { type Scene, Stage } from "../harness/stage.ts";
import type { WireConnection } from "../harness/wire.ts";

const stage = new Stage();

interface Pair {
  readonly client: WireConnection;
  readonly server: WireConnection;
}

/** A session through which a byte has gone in each direction; its origin does what the test says. */
async function openSession(scene: Scene, index = 0): Promise<Pair> {
  scene.origin.script = async () => {};
  const client = await scene.connect();
  const server = await scene.origin.connection(index);
  await client.write("?");
  await server.readBytes(1);
  await server.write("!");
  await client.readBytes(1);
  return { client, server };
}

async function sessionsOf(scene: Scene): Promise<SessionsDocument["sessions"]> {
  const { body } = await stage.gateway.admin("GET", "/sessions");
  const document = JSON.parse(body) as SessionsDocument;
  return document.sessions.filter((session) => session.listener === scene.name);
}

async function endOf(wire: WireConnection, withinMs = 3000): Promise<string> {
  await eventually("the connection ends", withinMs, () => wire.end !== undefined);
  return wire.end!.code ?? wire.end!.how;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

// ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────

stage.test("bytes pass both ways untouched, whoever speaks first", { tcp: {} }, async (scene) => {
  scene.origin.script = (connection) => connection.write("220 ready\r\n");
  const client = await scene.connect();
  await client.readUntil("220 ready\r\n");
  const server = await scene.origin.connection(0);
  const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index & 255));
  await client.write(bytes);
  assert.ok((await server.readBytes(bytes.length)).equals(bytes));
  await scene.metricIs("holdfast_listener_received_bytes_total", bytes.length);
  await scene.metricIs("holdfast_server_sent_bytes_total", bytes.length);
  await scene.metricIs("holdfast_listener_sent_bytes_total", 11);
});

stage.test(
  "the client's FIN is passed on as a half-close; the server may go on",
  { tcp: {} },
  async (scene) => {
    const { client, server } = await openSession(scene);
    await client.write("last words");
    client.finish();
    assert.equal((await server.readBytes(10)).toString(), "last words");
    assert.equal(await endOf(server), "fin");
    await server.write("still here");
    assert.equal((await client.readBytes(10)).toString(), "still here");
    assert.equal((await sessionsOf(scene))[0]!.state, "client-ended");
    server.finish();
    assert.equal(await endOf(client), "fin");
    await scene.closesAre({ "session-client-fin": 1 });
    await scene.upstreamClosesAre({ "session-client-fin": 1 });
  },
);

stage.test(
  "the server's FIN is passed on as a half-close; the client may go on",
  { tcp: {} },
  async (scene) => {
    const { client, server } = await openSession(scene);
    server.finish();
    assert.equal(await endOf(client), "fin");
    await client.write("still here");
    assert.equal((await server.readBytes(10)).toString(), "still here");
    assert.equal((await sessionsOf(scene))[0]!.state, "server-ended");
    client.finish();
    assert.equal(await endOf(server), "fin");
    await scene.closesAre({ "session-server-fin": 1 });
  },
);

stage.test("a client that says all and ends at once gets its answer", { tcp: {} }, async (scene) => {
  scene.origin.script = async (connection) => {
    await connection.readUntil("\n");
    await connection.ended;
    await connection.write("answer");
    connection.finish();
  };
  const client = await scene.connect();
  await client.write("question\n");
  client.finish();
  await client.readUntil("answer");
  assert.equal(await endOf(client), "fin");
});

stage.test("RST from the client becomes RST to the server", { tcp: {} }, async (scene) => {
  const { client, server } = await openSession(scene);
  client.reset();
  assert.equal(await endOf(server), "ECONNRESET");
  await scene.closesAre({ "peer-reset": 1 });
  await scene.upstreamClosesAre({ "peer-reset": 1 });
});

stage.test("RST from the server becomes RST to the client", { tcp: {} }, async (scene) => {
  const { client, server } = await openSession(scene);
  server.reset();
  assert.equal(await endOf(client), "ECONNRESET");
  await scene.closesAre({ "upstream-reset": 1 });
});

stage.test("RST after a half-close is passed on, too", { tcp: {} }, async (scene) => {
  const { client, server } = await openSession(scene);
  client.finish();
  assert.equal(await endOf(server), "fin");
  // Its own end has come; only an error can still be news, and writing finds it.
  client.reset();
  await scene.closesAre({ "peer-reset": 1 });
});

stage.test("what a server said before its RST reaches the client", { tcp: {} }, async (scene) => {
  scene.origin.script = async (connection) => {
    await connection.readBytes(5);
    await connection.write("refused: too many connections");
    connection.reset();
  };
  const client = await scene.send("hello");
  await client.readUntil("too many connections");
  // Not looked at: how it ended. libuv reports an RST behind data that it has just read as the end of the stream.
  await endOf(client);
  await scene.closesAre({ "upstream-reset": 1 });
});

// ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

const IDLE_MS = 400;

for (const [action, seen] of [
  ["reset", "ECONNRESET"],
  ["close", "fin"],
] as const) {
  stage.test(
    `on_idle: ${action} at idle_timeout: both ends see ${seen}, within 100 ms of the deadline`,
    { tcp: { idle_timeout: `${IDLE_MS}ms`, on_idle: action } },
    async (scene) => {
      const { client, server } = await openSession(scene);
      const spokenAtMs = performance.now();
      assert.equal(await endOf(client), seen);
      assert.equal(await endOf(server), seen);
      for (const end of [client, server]) {
        const afterMs = end.end!.atMs - spokenAtMs;
        assert.ok(afterMs > IDLE_MS - 50 && afterMs < IDLE_MS + 100, `ended after ${afterMs} ms`);
      }
      await scene.closesAre({ "session-idle": 1 });
      await scene.upstreamClosesAre({ "session-idle": 1 });
    },
  );
}

for (const speaker of ["client", "server"] as const) {
  stage.test(
    `on_idle: silent: nobody is told; the ${speaker} that speaks next gets RST, the other end learns nothing`,
    { tcp: { idle_timeout: `${IDLE_MS}ms`, on_idle: "silent" } },
    async (scene) => {
      const pair = await openSession(scene);
      const other = speaker === "client" ? pair.server : pair.client;
      await scene.closesAre({ "session-idle": 1 });
      await pause(100);
      assert.equal(pair.client.end, undefined);
      assert.equal(pair.server.end, undefined);
      await pair[speaker].write("anybody there?");
      assert.equal(await endOf(pair[speaker]), "ECONNRESET");
      await pause(150);
      assert.equal(other.end, undefined);
      assert.equal(other.text.includes("anybody"), false);
      // When the other end speaks at last, it meets the same fate.
      await other.write("hello?");
      assert.equal(await endOf(other), "ECONNRESET");
    },
  );
}

stage.test(
  "payload in either direction keeps a session beyond idle_timeout",
  { tcp: { idle_timeout: `${IDLE_MS}ms`, on_idle: "reset" } },
  async (scene) => {
    const { client, server } = await openSession(scene);
    const openedAtMs = performance.now();
    for (let n = 0; n < 8; n++) {
      await pause(IDLE_MS / 3);
      const [from, to] = n % 4 < 2 ? [client, server] : [server, client];
      await from.write("x");
      await to.readBytes(1);
    }
    assert.ok(performance.now() - openedAtMs > 2 * IDLE_MS);
    assert.equal(await endOf(client), "ECONNRESET");
  },
);

stage.test(
  "half_close_timeout ends a session of which one side has ended",
  { tcp: { idle_timeout: "60s", half_close_timeout: "300ms", on_idle: "reset" } },
  async (scene) => {
    const { client, server } = await openSession(scene);
    server.finish();
    assert.equal(await endOf(client), "fin");
    const endedAtMs = performance.now();
    await scene.closesAre({ "session-half-close-timeout": 1 });
    const afterMs = performance.now() - endedAtMs;
    assert.ok(afterMs > 200 && afterMs < 700, `${afterMs} ms`);
  },
);

// ── choosing a server ────────────────────────────────────────────────────────────────────────────────────────

stage.test(
  "a server that refuses costs a try, and the next one gets the session with every byte",
  { tcp: {}, servers: [{}, {}], pool: { next_upstream: { tries: 2 } } },
  async (scene) => {
    const [dead, live] = scene.origins;
    await dead!.refuse();
    live!.script = async (connection) => {
      await connection.write(await connection.readBytes(4));
    };
    for (let n = 0; n < 3; n++) {
      const client = await scene.send("ping");
      await client.readUntil("ping");
    }
    await scene.metricIs("holdfast_pool_retries_total", 1);
    await scene.metricIs("holdfast_server_connect_failures_total", 1);
    await scene.upstreamClosesAre({ "upstream-refused": 1 });
  },
);

for (const tries of [1, 3])
  stage.test(
    `when no server can be reached in ${tries} tries the client is reset`,
    { tcp: {}, pool: { next_upstream: { tries } } },
    async (scene) => {
      await scene.origin.refuse();
      // The RST may be there before the client has looked at its new connection.
      const seen = await scene.connect().then(endOf, (error: NodeJS.ErrnoException) => error.code);
      assert.equal(seen, "ECONNRESET");
      await scene.closesAre({ "upstream-refused": 1 });
    },
  );

stage.test(
  "max_connections: the next client waits in the kernel's queue until a session has ended",
  { tcp: { max_connections: 2 } },
  async (scene) => {
    scene.origin.script = async (connection) => {
      await connection.write("hello");
    };
    const [first, second] = [await scene.connect(), await scene.connect()];
    await first.readUntil("hello");
    await second.readUntil("hello");
    const third = await scene.connect();
    await pause(150);
    assert.equal(third.text, "");
    assert.equal(scene.origin.connections.length, 2);
    await scene.metricIs("holdfast_listener_connections_active", 2);
    first.reset();
    await third.readUntil("hello");
    await scene.metricIs("holdfast_listener_connections_active", 2);
  },
);

stage.test(
  "a session waits in the pool's queue while the server is at max_conns, and is then served",
  { tcp: {}, servers: [{ max_conns: 1 }], pool: { queue: 10, queue_timeout: "10s" } },
  async (scene) => {
    scene.origin.script = async (connection) => {
      await connection.write(await connection.readBytes(4));
    };
    const first = await scene.send("one.");
    await first.readUntil("one.");
    const second = await scene.send("two.");
    await scene.metricIs("holdfast_pool_waiting", 1);
    first.reset();
    await second.readUntil("two.");
    await scene.metricIs("holdfast_pool_waiting", 0);
  },
);

stage.test(
  "a session that waits in vain for queue_timeout is reset; a client that leaves frees its place",
  { tcp: {}, servers: [{ max_conns: 1 }], pool: { queue: 10, queue_timeout: "300ms" } },
  async (scene) => {
    await openSession(scene);
    const waiting = await scene.send("x");
    assert.equal(await endOf(waiting), "ECONNRESET");
    const impatient = await scene.connect();
    await scene.metricIs("holdfast_pool_waiting", 1);
    impatient.finish();
    await scene.metricIs("holdfast_pool_waiting", 0);
    await scene.closesAre({ "session-no-server": 1, "peer-fin-in-queue": 1 });
  },
);

stage.test(
  "hash: source sends every session of one address to one server",
  { tcp: {}, servers: [{}, {}, {}], pool: { balance: { hash: "source" } } },
  async (scene) => {
    for (const origin of scene.origins) origin.script = (connection) => connection.write("hi");
    for (let n = 0; n < 6; n++) await (await scene.connect()).readUntil("hi");
    const counts = scene.origins.map((origin) => origin.connections.length).sort();
    assert.deepEqual(counts, [0, 0, 6]);
  },
);

// ── PROXY protocol ───────────────────────────────────────────────────────────────────────────────────────────

stage.test(
  "proxy_protocol: accept with send_proxy: v1 passes the client's address on, and the payload behind it",
  { tcp: {}, listener: { proxy_protocol: "accept" }, pool: { send_proxy: "v1" } },
  async (scene) => {
    scene.origin.script = async () => {};
    const client = await scene.connect();
    // In pieces, the last with payload.
    await client.write("PROXY TCP4 192.0.2.7 198.5");
    await pause(50);
    await client.write("1.100.1 56324 443\r\npayload");
    const server = await scene.origin.connection(0);
    await server.readUntil("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n");
    assert.equal((await server.readBytes(7)).toString(), "payload");
    assert.equal((await sessionsOf(scene))[0]!.client, "192.0.2.7:56324");
  },
);

stage.test(
  "proxy_protocol: accept: a connection without the header is reset and counted",
  { tcp: {}, listener: { proxy_protocol: "accept" } },
  async (scene) => {
    const client = await scene.send("SSH-2.0-OpenSSH_9.9\r\n");
    assert.equal(await endOf(client), "ECONNRESET");
    await scene.closesAre({ "bad-proxy-header": 1 });
    assert.equal(scene.origin.connections.length, 0);
  },
);

// ── what operators see ───────────────────────────────────────────────────────────────────────────────────────

stage.test(
  "GET /sessions tells both ends, the server, times and bytes of a live session",
  { tcp: { idle_timeout: "60s" }, listener: { so_keepalive: "30s:5s:3" }, pool: { so_keepalive: "off" } },
  async (scene) => {
    const { client, server } = await openSession(scene);
    const [session, ...more] = await sessionsOf(scene);
    assert.equal(more.length, 0);
    assert.equal(session!.client, `127.0.0.1:${client.socket.localPort}`);
    assert.equal(session!.local, `127.0.0.1:${scene.port}`);
    assert.equal(session!.upstreamLocal, `127.0.0.1:${server.socket.remotePort}`);
    assert.equal(session!.server, `127.0.0.1:${scene.origin.port}`);
    assert.equal(session!.state, "established");
    assert.equal(session!.bytesFromClient, 1);
    assert.equal(session!.bytesFromServer, 1);
    assert.equal(session!.clientKeepalive, "30s:5s:3");
    assert.equal(session!.serverKeepalive, "off");
    assert.equal(session!.leftMs, 60_000 - session!.idleMs);
    assert.ok(session!.ageMs >= session!.idleMs);
  },
);

stage.test(
  "holdfast sessions prints a table, says that keepalive does not keep a session, and honours --limit",
  { tcp: { idle_timeout: "60s" } },
  async (scene) => {
    for (let index = 0; index < 3; index++) await openSession(scene, index);
    const run = async (...args: string[]): Promise<string> => {
      const program = await startProgram({
        name: "holdfast sessions",
        command: process.execPath,
        args: [holdfastMain, "sessions", "--admin", stage.gateway.adminPath, ...args],
      });
      await eventually("it ends", 10_000, () => program.hasExited);
      return program.stdout;
    };
    const text = await run();
    assert.match(text, /CLIENT .*SERVER .*AGE +IDLE +LEFT/);
    assert.match(text, /No: only payload refreshes idle_timeout/);
    const { total, sessions } = JSON.parse(await run("--json", "--limit", "2")) as SessionsDocument;
    assert.ok(total >= 3);
    assert.equal(sessions.length, 2);
  },
);

stage.test("nothing of a session is left when its client goes without a word", { tcp: {} }, async (scene) => {
  // A plain client that never reads or writes: nothing of the session may be left behind when it goes.
  const socket = net.connect({ port: scene.port, host: "127.0.0.1" });
  await once(socket, "connect");
  await scene.metricIs("holdfast_server_connections_active", 1);
  socket.resetAndDestroy();
  await scene.metricIs("holdfast_server_connections_active", 0);
  assert.equal((await sessionsOf(scene)).length, 0);
});
