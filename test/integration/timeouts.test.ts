/**
 * Every time-out of a listener and a pool with small values on real sockets: what the client gets, what is counted, and that it does
 * not fire early (RFC 9110 §15.5.9, §15.6.5; docs/reference/config.md).
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after } from "node:test";
import { encodeSocketAddress } from "../../src/sys/sockaddr.ts";
import { bind, close, getsockname, listen, streamSocket } from "../../src/sys/socket.ts";
import { eventually } from "../harness/program.ts";
import { get, post, response, Stage } from "../harness/stage.ts";

const stage = new Stage();
const AF_INET = 2;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

// ── the client's leg ───────────────────────────────────────────────────────────────────────────────────────────

stage.test(
  "client_body_timeout ends with the body, also when its last piece met a broken connection and the request is sent again",
  { http: { client_body_timeout: "100ms" } },
  async (scene) => {
    scene.origin.script = async (connection, index) => {
      await connection.readHead();
      if (index === 0) {
        await connection.write(response("200 OK", "first"));
        return;
      }
      await connection.readUntil("0123456789");
      await pause(300);
      await connection.write(response("200 OK", "again"));
    };
    const { client } = await scene.ask(get("/"));
    await client.write(post("/", "0123456789").replace("POST", "PUT").slice(0, -5));
    const origin = await scene.origin.connection(0);
    await origin.readUntil("01234");
    // Both events in one turn of the loop, the client's first: the write finds the connection broken.
    const [pid] = stage.gateway.workerPids();
    process.kill(pid!, "SIGSTOP");
    await client.write("56789");
    origin.reset();
    await pause(20);
    process.kill(pid!, "SIGCONT");
    assert.equal((await client.readResponse()).body.toString(), "again");
  },
);

stage.test(
  "client_header_timeout: a head that is not complete is answered 408 (RFC 9110 §15.5.9)",
  {
    http: { client_header_timeout: "150ms" },
  },
  async (scene) => {
    const client = await scene.send("GET / HTTP/1.1\r\nHost:");
    const startMs = performance.now();
    const { status, headers, body } = await client.readResponse();
    assert.equal(status, 408);
    assert.equal(headers.get("connection"), "close");
    assert.match(body.toString(), /client_header_timeout/);
    assert.ok(performance.now() - startMs >= 120);
    await client.ended;
    client.finish();
    await scene.closesAre({ "header-timeout": 1 });
  },
);

stage.test(
  "client_header_timeout is for the whole head: bytes that trickle in do not renew it",
  {
    http: { client_header_timeout: "200ms" },
  },
  async (scene) => {
    const client = await scene.send("G");
    const startMs = performance.now();
    while (client.received.length === 0 && performance.now() - startMs < 2000) {
      await client.write("E").catch(() => undefined);
      await pause(20);
    }
    assert.equal((await client.readResponse()).status, 408);
    assert.ok(performance.now() - startMs < 1000);
  },
);

stage.test(
  "client_header_timeout: a connection that sends nothing is closed without a word",
  {
    http: { client_header_timeout: "100ms" },
  },
  async (scene) => {
    const client = await scene.connect();
    assert.equal((await client.ended).how, "fin");
    assert.equal(client.text, "");
    await scene.closesAre({ "header-timeout": 1 });
  },
);

stage.test(
  "client_body_timeout: a body that stops is answered 408, one that trickles is not (RFC 9110 §15.5.9)",
  {
    http: { client_body_timeout: "250ms" },
  },
  async (scene) => {
    const client = await scene.send(post("/", "x".repeat(8)).slice(0, -8));
    for (let n = 0; n < 7; n++) {
      await client.write("x");
      await pause(60);
    }
    assert.equal(client.text, "", "each byte renews it");
    const { status, headers, body } = await client.readResponse();
    assert.equal(status, 408);
    assert.equal(headers.get("connection"), "close");
    assert.match(body.toString(), /client_body_timeout/);
    client.finish();
    await scene.closesAre({ "body-timeout": 1 });
    await scene.upstreamClosesAre({ "upstream-request-unfinished": 1 });
  },
);

stage.test(
  "send_timeout: a client that reads nothing is reset",
  { http: { send_timeout: "200ms" } },
  async (scene) => {
    scene.origin.script = async (connection) => {
      await connection.readHead();
      await connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${64 << 20}\r\n\r\n`);
      await connection.write(Buffer.alloc(64 << 20)).catch(() => undefined);
    };
    const client = await scene.connect();
    client.socket.pause();
    await client.write(get("/"));
    await scene.closesAre({ "send-timeout": 1 });
    await scene.upstreamClosesAre({ "client-gone": 1 });
    client.socket.resume();
    await client.ended;
    assert.ok(Buffer.byteLength(client.text, "latin1") < 64 << 20);
  },
);

stage.test(
  "send_timeout counts though the request body of the client arrives meanwhile",
  { http: { send_timeout: "300ms" } },
  async (scene) => {
    scene.origin.script = async (connection) => {
      await connection.readHead();
      await connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${64 << 20}\r\n\r\n`);
      await connection.write(Buffer.alloc(64 << 20)).catch(() => undefined);
    };
    const client = await scene.connect();
    client.socket.pause();
    await client.write(post("/", "0123456789").slice(0, -5));
    await eventually(
      "the gateway has much to send",
      3000,
      async () => (await scene.metric("holdfast_server_received_bytes_total")) > 1 << 20,
    );
    await client.write("56789");
    await scene.closesAre({ "send-timeout": 1 });
  },
);

stage.test(
  "send_timeout is renewed by every byte the client takes",
  { http: { send_timeout: "300ms" } },
  async (scene) => {
    const size = 24 << 20;
    scene.origin.script = async (connection) => {
      await connection.readHead();
      await connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
      await connection.write(Buffer.alloc(size)).catch(() => undefined);
    };
    const client = net.connect(scene.port, "127.0.0.1");
    let taken = 0;
    client.on("data", (bytes) => {
      taken += bytes.length;
      // As slow as to need several times send_timeout in all.
      client.pause();
      setTimeout(() => client.resume(), 1);
    });
    client.write(get("/"));
    await eventually("all of it", 20_000, () => taken > size);
    client.destroy();
    await scene.closesAre({ "peer-fin": 1 });
  },
);

// ── the server's leg ───────────────────────────────────────────────────────────────────────────────────────────

/** A listening socket whose queue is full and that never accepts: further SYNs are dropped. */
const blackhole = streamSocket(AF_INET);
bind(blackhole, encodeSocketAddress({ family: "inet", host: "127.0.0.1", port: 0 }));
listen(blackhole, 0);
const blackholeAddress = getsockname(blackhole) as { host: string; port: number };
const fillers = Array.from({ length: 4 }, () =>
  net.connect(blackholeAddress.port, "127.0.0.1").on("error", () => {}),
);
after(() => {
  for (const filler of fillers) filler.destroy();
  close(blackhole);
});

const BLACKHOLE = { address: `127.0.0.1:${blackholeAddress.port}` };

stage.test(
  "connect_timeout: 504 that says so (RFC 9110 §15.6.5)",
  {
    servers: [BLACKHOLE],
    pool: { connect_timeout: "150ms" },
  },
  async (scene) => {
    if (fillers[0]!.connecting) await once(fillers[0]!, "connect");
    const startMs = performance.now();
    const { status, body } = await scene.ask(get("/"));
    assert.equal(status, 504);
    assert.match(body.toString(), /connect_timeout/);
    assert.ok(performance.now() - startMs >= 120);
    await scene.upstreamClosesAre({ "upstream-connect-timeout": 1 });
    assert.equal(await scene.metric("holdfast_server_connect_failures_total"), 1);
  },
);

stage.test(
  "connect_timeout: the next server gets the request, whatever its method (RFC 9110 §9.2.2: nothing was sent)",
  {
    servers: [BLACKHOLE, {}],
    pool: { connect_timeout: "100ms" },
  },
  async (scene) => {
    for (let n = 0; n < 2; n++) assert.equal((await scene.ask(post("/", "body"))).status, 200);
    assert.deepEqual(
      scene.origins[1]!.requests.map((request) => request.body),
      ["body", "body"],
    );
    assert.equal(
      await scene.metric("holdfast_pool_retries_total", { reason: "any" }),
      1,
      "max_fails keeps the second away",
    );
  },
);

stage.test(
  "read_timeout before the response: 504 that says so (RFC 9110 §15.6.5)",
  { pool: { read_timeout: "150ms" } },
  async (scene) => {
    scene.origin.answer = () => "";
    const startMs = performance.now();
    const { client, status, body } = await scene.ask(post("/", "x"));
    assert.equal(status, 504);
    assert.match(body.toString(), /read_timeout/);
    assert.ok(performance.now() - startMs >= 120);
    await scene.upstreamClosesAre({ "upstream-read-timeout": 1 });
    scene.origin.answer = () => response("200 OK", "ok");
    await client.write(get("/"));
    assert.equal((await client.readResponse()).status, 200, "the client's connection persists");
  },
);

stage.test(
  "read_timeout counts from the request, however long the worker had slept before it",
  { pool: { read_timeout: "300ms" } },
  async (scene) => {
    const { client } = await scene.ask(get("/"));
    scene.origin.answer = () => "";
    // One turn of the loop, after a long sleep, reads the request, sends it on and arms the timer.
    await pause(700);
    const startMs = performance.now();
    await client.write(post("/", "x"));
    assert.equal((await client.readResponse()).status, 504);
    assert.ok(performance.now() - startMs >= 280, `after ${performance.now() - startMs} ms`);
  },
);

stage.test(
  "read_timeout within a body: cut short, the client's connection ends (RFC 9112 §8)",
  { pool: { read_timeout: "150ms" } },
  async (scene) => {
    scene.origin.answer = () => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    const client = await scene.send(get("/"));
    await client.ended;
    assert.match(client.text, /hello\r\n$/);
    await scene.closesAre({ "upstream-truncated": 1 });
    await scene.upstreamClosesAre({ "upstream-read-timeout": 1 });
  },
);

stage.test(
  "read_timeout counts pauses, not the whole body",
  { pool: { read_timeout: "250ms" } },
  async (scene) => {
    scene.origin.script = async (connection) => {
      await connection.readHead();
      await connection.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
      for (let n = 0; n < 10; n++) {
        await pause(60);
        await connection.write("x");
      }
    };
    assert.equal((await scene.ask(get("/"))).body.length, 10);
  },
);

stage.test(
  "read_timeout does not count while the request body is still coming",
  {
    pool: { read_timeout: "150ms" },
  },
  async (scene) => {
    const client = await scene.send(post("/", "x".repeat(5)).slice(0, -5));
    for (let n = 0; n < 5; n++) {
      await pause(70);
      await client.write("x");
    }
    assert.equal((await client.readResponse()).status, 200);
  },
);

stage.test(
  "read_timeout does not count while the client is the slow one",
  {
    http: { send_timeout: "10s" },
    pool: { read_timeout: "150ms" },
  },
  async (scene) => {
    const size = 32 << 20;
    scene.origin.script = async (connection) => {
      await connection.readHead();
      await connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
      await connection.write(Buffer.alloc(size, "x")).catch(() => undefined);
    };
    const client = await scene.connect();
    client.socket.pause();
    await client.write(get("/"));
    await eventually("the server is stopped", 3000, async () => {
      const before = await scene.metric("holdfast_server_received_bytes_total");
      await pause(200);
      return before > 0 && (await scene.metric("holdfast_server_received_bytes_total")) === before;
    });
    client.socket.resume();
    assert.equal((await client.readResponse()).body.length, size);
  },
);

stage.test(
  "send_timeout of a pool: a server that reads nothing is given up with 504",
  { pool: { send_timeout: "200ms" } },
  async (scene) => {
    scene.origin.script = async (connection) => {
      connection.socket.pause();
      await connection.ended;
    };
    const client = await scene.send(`POST / HTTP/1.1\r\nHost: test\r\nContent-Length: ${64 << 20}\r\n\r\n`);
    void client.write(Buffer.alloc(64 << 20)).catch(() => undefined);
    const { status, body } = await client.readResponse();
    assert.equal(status, 504);
    assert.match(body.toString(), /send_timeout/);
    await scene.upstreamClosesAre({ "upstream-send-timeout": 1 });
  },
);
