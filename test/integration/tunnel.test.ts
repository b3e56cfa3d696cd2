/**
 * Upgrade and the tunnel after it, CONNECT (RFC 9110 §7.8, §9.3.6): bytes both ways, early bytes, half-close, the two timeouts.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { eventually } from "../harness/program.ts";
import { get, response, type Scene, Stage } from "../harness/stage.ts";
import type { WireConnection } from "../harness/wire.ts";

const stage = new Stage();

const UPGRADE = get("/chat", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x");
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

interface Tunnel {
  readonly client: WireConnection;
  readonly server: WireConnection;
}

async function openTunnel(scene: Scene, early = { client: "", server: "" }): Promise<Tunnel> {
  scene.origin.script = async (connection) => {
    const head = await connection.readHead();
    assert.match(head, /\r\nConnection: upgrade\r\nUpgrade: websocket\r\n/i);
    await connection.write(SWITCH + early.server);
  };
  const client = await scene.send(UPGRADE + early.client);
  const head = await client.readHead();
  assert.match(head, /^HTTP\/1\.1 101 /);
  assert.match(head, /\r\nConnection: upgrade\r\nUpgrade: websocket\r\n/i);
  return { client, server: await scene.origin.connection(0) };
}

stage.test("101 makes a tunnel: bytes pass both ways untouched (RFC 9110 §7.8)", {}, async (scene) => {
  const { client, server } = await openTunnel(scene);
  const bytes = randomBytes(300_000);
  await Promise.all([client.write(bytes), server.write(bytes)]);
  assert.ok((await server.readBytes(bytes.length)).equals(bytes));
  assert.ok((await client.readBytes(bytes.length)).equals(bytes));
});

stage.test(
  "bytes that both sides send at once with their heads are not lost (RFC 9110 §7.8)",
  {},
  async (scene) => {
    const { client, server } = await openTunnel(scene, {
      client: "from the client",
      server: "from the server",
    });
    assert.equal((await server.readBytes(15)).toString(), "from the client");
    assert.equal((await client.readBytes(15)).toString(), "from the server");
  },
);

stage.test("the client's end is passed on as a half-close; the server may go on", {}, async (scene) => {
  const { client, server } = await openTunnel(scene);
  await client.write("last words");
  client.finish();
  assert.equal((await server.readBytes(10)).toString(), "last words");
  assert.equal((await server.ended).how, "fin");
  await server.write("still here");
  assert.equal((await client.readBytes(10)).toString(), "still here");
  server.finish();
  assert.equal((await client.ended).how, "fin");
  await scene.closesAre({ "tunnel-finished": 1 });
  await scene.metricIs("holdfast_server_connections_active", 0);
});

stage.test("the server's end is passed on as a half-close; the client may go on", {}, async (scene) => {
  const { client, server } = await openTunnel(scene);
  server.finish();
  assert.equal((await client.ended).how, "fin");
  await client.write("still here");
  assert.equal((await server.readBytes(10)).toString(), "still here");
  client.finish();
  await server.ended;
  await scene.closesAre({ "tunnel-finished": 1 });
});

stage.test(
  "a client that half-closed before the 101 came gets the tunnel nevertheless",
  {},
  async (scene) => {
    let release: () => void = () => {};
    scene.origin.script = async (connection) => {
      await connection.readHead();
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      await connection.write(`${SWITCH}hello`);
    };
    const client = await scene.send(UPGRADE);
    const server = await scene.origin.connection(0);
    await eventually("the head arrives", 2000, () => server.text.length > 0);
    client.finish();
    release();
    await client.readUntil("hello");
    assert.equal((await server.ended).how, "fin");
    server.finish();
    assert.equal((await client.ended).how, "fin");
  },
);

stage.test("a reset of one side ends the other", {}, async (scene) => {
  const first = await openTunnel(scene);
  first.client.reset();
  await first.server.ended;
  await scene.closesAre({ "peer-reset": 1 });
});

stage.test("a reset of the server's side resets the client's", {}, async (scene) => {
  const { client, server } = await openTunnel(scene);
  server.reset();
  assert.equal((await client.ended).how, "reset");
});

stage.test(
  "tunnel_timeout ends a silent tunnel, and only a silent one",
  { http: { tunnel_timeout: "200ms" } },
  async (scene) => {
    const { client, server } = await openTunnel(scene);
    const openedMs = performance.now();
    let isOver = false;
    void client.ended.then(() => {
      isOver = true;
    });
    for (let n = 0; n < 8; n++) {
      const from = n % 2 === 0 ? client : server;
      const to = n % 2 === 0 ? server : client;
      await from.write("x");
      await to.readBytes(1);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(isOver, false, "either direction keeps it open");
    await client.ended;
    assert.ok(performance.now() - openedMs >= 500);
    await scene.closesAre({ "tunnel-timeout": 1 });
  },
);

stage.test(
  "a refused upgrade is an ordinary response, and both connections persist (RFC 9110 §7.8)",
  {},
  async (scene) => {
    const { client, status } = await scene.ask(UPGRADE);
    assert.equal(status, 200);
    await client.write(get("/"));
    assert.equal((await client.readResponse()).status, 200);
    assert.deepEqual(
      scene.origin.requests.map((request) => request.connection),
      [0, 0],
    );
  },
);

stage.test("what a client sends behind a refused upgrade is its next request", {}, async (scene) => {
  scene.origin.answer = (request) => response("200 OK", request.line);
  const client = await scene.send(UPGRADE + get("/next"));
  await client.readResponse();
  assert.equal((await client.readResponse()).body.toString(), "GET /next HTTP/1.1");
});

stage.test("CONNECT is refused with 405 and Allow (RFC 9110 §9.3.6, §15.5.6)", {}, async (scene) => {
  const { status, headers } = await scene.ask(
    "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
  );
  assert.equal(status, 405);
  assert.ok(headers.has("allow"));
  assert.equal(scene.origin.connections.length, 0);
});
