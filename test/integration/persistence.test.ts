/**
 * Persistence on both legs, judged from outside: who keeps a connection, who closes it, when, and what it is counted under
 * (RFC 9112 §9.3, §9.6; the directives are those of docs/reference/config.md).
 */
import assert from "node:assert/strict";
import { eventually } from "../harness/program.ts";
import { get, post, response, type Scene, Stage } from "../harness/stage.ts";
import type { WireConnection } from "../harness/wire.ts";

const stage = new Stage();

/** The connection is still good: another request on it is answered. */
async function assertPersists(client: WireConnection): Promise<void> {
  await client.write(get("/again"));
  assert.equal((await client.readResponse()).status, 200);
}

async function assertEnds(client: WireConnection, how: "fin" | "reset" = "fin"): Promise<void> {
  assert.equal((await client.ended).how, how);
  assert.equal(client.unread, "");
}

// ── the client's leg ───────────────────────────────────────────────────────────────────────────────────────────

stage.test("HTTP/1.1 persists without any Connection field (RFC 9112 §9.3)", {}, async (scene) => {
  const { client, headers } = await scene.ask(get("/"));
  assert.equal(headers.get("connection"), undefined);
  assert.equal(headers.get("keep-alive"), undefined);
  await assertPersists(client);
  assert.equal(await scene.metric("holdfast_listener_requests_reused_total"), 1);
});

const CLOSING_FIELDS: readonly (readonly string[])[] = [
  ["Connection: close"],
  ["Connection: CLOSE"],
  ["connection:close"],
  ["Connection: foo, close"],
  ["Connection: ,, close ,"],
  ["Connection: keep-alive, close"],
  ["Connection: foo", "Connection: bar,Close"],
];
for (const fields of CLOSING_FIELDS) {
  stage.test(
    `"${fields.join(" | ")}" ends the connection after the response (RFC 9112 §9.6)`,
    {},
    async (scene) => {
      const { client, status, headers } = await scene.ask(get("/", ...fields));
      assert.equal(status, 200);
      assert.equal(headers.get("connection"), "close");
      await assertEnds(client);
      await scene.closesAre({ "client-asked-close": 1 });
    },
  );
}

const PERSISTENT_FIELDS = [
  "Connection: closed",
  "Connection: xclose",
  "Connection: keep-alive",
  'Connection: "close"',
];
for (const field of PERSISTENT_FIELDS) {
  stage.test(`"${field}" does not end it: options are whole tokens (RFC 9110 §7.6.1)`, {}, async (scene) => {
    const { client, headers } = await scene.ask(get("/", field));
    assert.equal(headers.get("connection"), undefined);
    await assertPersists(client);
  });
}

stage.test(
  "HTTP/1.0 without keep-alive is answered with close and ended (RFC 9112 §9.3)",
  {},
  async (scene) => {
    const { client, head } = await scene.ask("GET / HTTP/1.0\r\n\r\n");
    assert.match(head, /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(head, /\r\nConnection: close\r\n/);
    await assertEnds(client);
    await scene.closesAre({ "client-asked-close": 1 });
  },
);

stage.test("HTTP/1.0 with keep-alive is told so and persists (RFC 9112 §9.3)", {}, async (scene) => {
  const request = "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
  const { client, headers } = await scene.ask(request);
  assert.equal(headers.get("connection"), "keep-alive");
  await client.write(request);
  assert.equal((await client.readResponse()).status, 200);
});

stage.test(
  "HTTP/1.0 with keep-alive persists after an answer of the gateway's own (RFC 9112 §9.3)",
  {
    routes: [{ path: "/only" }],
  },
  async (scene) => {
    const request = "GET /elsewhere HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    const { client, status, headers } = await scene.ask(request);
    assert.equal(status, 404);
    assert.equal(headers.get("connection"), "keep-alive");
    await client.write(request);
    assert.equal((await client.readResponse()).status, 404);
  },
);

stage.test(
  "HTTP/1.0 with keep-alive is ended when only the close shows the length (RFC 9112 §6.3)",
  {},
  async (scene) => {
    scene.origin.answer = () =>
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    const { client, headers, body } = await scene.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert.equal(headers.get("connection"), "close");
    assert.equal(headers.get("transfer-encoding"), undefined);
    assert.equal(body.toString(), "hello");
    await assertEnds(client);
    client.finish();
    await scene.closesAre({ "upstream-asked-close": 1 });
  },
);

stage.test(
  "keepalive_requests announces close on the last response (RFC 9112 §9.6)",
  {
    http: { keepalive_requests: 3 },
  },
  async (scene) => {
    const client = await scene.connect();
    for (const expected of [undefined, undefined, "close"]) {
      await client.write(get("/"));
      assert.equal((await client.readResponse()).headers.get("connection"), expected);
    }
    await client.ended;
    client.finish();
    await scene.closesAre({ "request-limit": 1 });
  },
);

stage.test(
  "keepalive_time announces close on the first response after it",
  {
    http: { keepalive_time: "100ms" },
  },
  async (scene) => {
    const client = await scene.connect();
    let responses = 0;
    await eventually("a response that announces close", 3000, async () => {
      await client.write(get("/"));
      responses++;
      return (await client.readResponse()).headers.get("connection") === "close";
    });
    assert.ok(responses > 1, "the first response was within keepalive_time");
    await client.ended;
    client.finish();
    await scene.closesAre({ "age-limit": 1 });
  },
);

stage.test(
  "keepalive_timeout closes an idle connection with FIN, not before its time",
  {
    http: { keepalive_timeout: "150ms" },
  },
  async (scene) => {
    const { client } = await scene.ask(get("/"));
    const sinceMs = client.received.at(-1)!.atMs;
    const end = await client.ended;
    assert.equal(end.how, "fin");
    assert.ok(end.atMs - sinceMs >= 140, `closed after ${end.atMs - sinceMs} ms`);
    await scene.closesAre({ "idle-timeout": 1 });
  },
);

stage.test(
  "keepalive_timeout 0 ends every connection after one response",
  {
    http: { keepalive_timeout: 0 },
  },
  async (scene) => {
    const { client, headers } = await scene.ask(get("/"));
    assert.equal(headers.get("connection"), "close");
    await client.ended;
    client.finish();
    await scene.closesAre({ "idle-timeout": 1 });
  },
);

stage.test(
  "keepalive_header sends Keep-Alive: timeout=N while the connection persists (RFC 2068 §19.7.1.1)",
  {
    http: { keepalive_header: "60s", keepalive_requests: 2 },
  },
  async (scene) => {
    const { client, headers } = await scene.ask(get("/"));
    assert.equal(headers.get("keep-alive"), "timeout=60");
    assert.equal(headers.get("connection"), "keep-alive");
    await client.write(get("/"));
    const last = await client.readResponse();
    assert.equal(last.headers.get("keep-alive"), undefined);
    assert.equal(last.headers.get("connection"), "close");
  },
);

stage.test("a client's FIN on an idle connection is counted as peer-fin", {}, async (scene) => {
  const { client } = await scene.ask(get("/"));
  client.finish();
  await client.ended;
  await scene.closesAre({ "peer-fin": 1 });
});

stage.test("a client's RST on an idle connection is counted as peer-reset", {}, async (scene) => {
  const { client } = await scene.ask(get("/"));
  client.reset();
  await scene.closesAre({ "peer-reset": 1 });
});

stage.test(
  "a client that goes away while it waits takes the server's connection with it",
  {},
  async (scene) => {
    scene.origin.answer = () => "";
    const client = await scene.send(get("/"));
    const upstream = await scene.origin.connection(0);
    await eventually("the request arrives", 2000, () => scene.origin.requests.length === 1);
    client.reset();
    await upstream.ended;
    await scene.closesAre({ "peer-reset": 1 });
    await scene.upstreamClosesAre({ "client-gone": 1 });
  },
);

// ── the server's leg ───────────────────────────────────────────────────────────────────────────────────────────

stage.test(
  "the server's connection is reused for the next request, of another client too (RFC 9112 §9.3)",
  {},
  async (scene) => {
    for (let count = 0; count < 3; count++) {
      const { client } = await scene.ask(get("/"));
      client.destroy();
    }
    assert.deepEqual(
      scene.origin.requests.map((request) => request.connection),
      [0, 0, 0],
    );
    assert.equal(await scene.metric("holdfast_server_connections_opened_total"), 1);
    assert.equal(await scene.metric("holdfast_server_connections_reused_total"), 2);
  },
);

stage.test(
  "Connection of the client does not reach the server, nor the server's the client (RFC 9110 §7.6.1)",
  {},
  async (scene) => {
    scene.origin.answer = (request) =>
      response("200 OK", "ok", request.line.includes("/close") ? "Connection: close" : "X-Any: 1");
    const first = await scene.ask(get("/", "Connection: close"));
    assert.equal(first.headers.get("connection"), "close");
    assert.equal(scene.origin.requests[0]!.headers.get("connection"), undefined);
    const second = await scene.ask(get("/close"));
    assert.equal(
      second.headers.get("connection"),
      undefined,
      "the server's close is the server's leg's business",
    );
    await assertPersists(second.client);
    assert.deepEqual(
      scene.origin.requests.map((request) => request.connection),
      [0, 0, 1],
    );
    await scene.upstreamClosesAre({ "upstream-said-close": 1 });
  },
);

const SERVER_ENDS: readonly (readonly [string, string, Record<string, number>])[] = [
  ["Connection: close", response("200 OK", "ok", "Connection: close"), { "upstream-said-close": 1 }],
  [
    "Connection: Foo, CLOSE",
    response("200 OK", "ok", "Connection: Foo, CLOSE"),
    { "upstream-said-close": 1 },
  ],
  ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", { "upstream-said-close": 1 }],
  [
    "HTTP/1.0 with chunked (RFC 9112 §6.1)",
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    { "upstream-bad-response": 1 },
  ],
  [
    "Content-Length beside chunked (RFC 9112 §6.3)",
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    { "upstream-bad-response": 1 },
  ],
  [
    "bytes behind the response (RFC 9112 §9.2)",
    `${response("200 OK", "ok")}HTTP/1.1 200 OK\r\n\r\n`,
    { "upstream-stray-bytes": 1 },
  ],
];
for (const [what, bytes, closes] of SERVER_ENDS) {
  stage.test(
    `a response with ${what} is not followed by another request on that connection`,
    {},
    async (scene) => {
      scene.origin.answer = () => bytes;
      const first = await scene.ask(get("/"));
      assert.equal(first.body.toString(), "ok");
      assert.equal(first.headers.get("connection"), undefined);
      await assertPersists(first.client);
      assert.deepEqual(
        scene.origin.requests.map((request) => request.connection),
        [0, 1],
      );
      await scene.upstreamClosesAre(Object.fromEntries(Object.keys(closes).map((cause) => [cause, 2])));
    },
  );
}

stage.test("HTTP/1.0 with keep-alive and a length is reused (RFC 9112 §9.3)", {}, async (scene) => {
  scene.origin.answer = () => "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok";
  const { client, head } = await scene.ask(get("/"));
  assert.match(head, /^HTTP\/1\.1 200/, "intermediaries send their own version (RFC 9110 §6.2)");
  await assertPersists(client);
  assert.deepEqual(
    scene.origin.requests.map((request) => request.connection),
    [0, 0],
  );
});

/** Sends `count` requests that are all in progress at once, then lets the origin answer them in order. */
async function occupy(scene: Scene, count: number): Promise<void> {
  const waiting: (() => void)[] = [];
  scene.origin.answer = () => new Promise((resolve) => waiting.push(() => resolve(response("200 OK", "ok"))));
  for (let n = 0; n < count; n++) {
    const client = await scene.send(get(`/${n}`));
    await eventually("the request arrives", 2000, () => waiting.length === n + 1);
    void client.readResponse().then(() => client.destroy());
  }
  for (const [n, release] of waiting.entries()) {
    release();
    await scene.metricIs("holdfast_server_connections_active", count - n - 1);
  }
  scene.origin.answer = () => response("200 OK", "ok");
}

stage.test("the connection used last is used next", {}, async (scene) => {
  await occupy(scene, 3);
  for (let n = 0; n < 3; n++) (await scene.ask(get("/lifo"))).client.destroy();
  const used = scene.origin.requests.filter((request) => request.line.includes("/lifo"));
  assert.deepEqual(
    used.map((request) => request.connection),
    [2, 2, 2],
  );
});

stage.test(
  "keepalive caps the idle connections; the longest idle one is closed",
  { pool: { keepalive: 2 } },
  async (scene) => {
    await occupy(scene, 4);
    await scene.metricIs("holdfast_pool_connections_idle", 2);
    await scene.upstreamClosesAre({ "upstream-pool-full": 2 });
    assert.equal((await (await scene.origin.connection(0)).ended).how, "fin");
    assert.equal((await (await scene.origin.connection(1)).ended).how, "fin");
  },
);

stage.test(
  "keepalive 0 says close to the server and keeps nothing (RFC 9112 §9.6)",
  { pool: { keepalive: 0 } },
  async (scene) => {
    const { client } = await scene.ask(get("/"));
    await assertPersists(client);
    assert.deepEqual(
      scene.origin.requests.map((request) => request.connection),
      [0, 1],
    );
    assert.equal(scene.origin.requests[0]!.headers.get("connection"), "close");
  },
);

stage.test(
  "keepalive_requests of a pool retires the connection",
  { pool: { keepalive_requests: 2 } },
  async (scene) => {
    const client = await scene.connect();
    for (let count = 0; count < 5; count++) await assertPersists(client);
    assert.deepEqual(
      scene.origin.requests.map((request) => request.connection),
      [0, 0, 1, 1, 2],
    );
    await scene.upstreamClosesAre({ "upstream-request-limit": 2 });
  },
);

stage.test(
  "keepalive_time of a pool retires an idle connection",
  { pool: { keepalive_time: "150ms" } },
  async (scene) => {
    await scene.ask(get("/"));
    assert.equal((await (await scene.origin.connection(0)).ended).how, "fin");
    await scene.upstreamClosesAre({ "upstream-age-limit": 1 });
  },
);

stage.test(
  "keepalive_timeout of a pool retires an idle connection",
  { pool: { keepalive_timeout: "150ms" } },
  async (scene) => {
    await scene.ask(get("/"));
    const upstream = await scene.origin.connection(0);
    const end = await upstream.ended;
    assert.ok(end.atMs - upstream.received.at(-1)!.atMs >= 140);
    await scene.upstreamClosesAre({ "upstream-idle-timeout": 1 });
  },
);

stage.test(
  "keepalive_timeout auto lets go before the N of Keep-Alive: timeout=N has passed",
  {},
  async (scene) => {
    scene.origin.answer = () => response("200 OK", "ok", "Keep-Alive: timeout=2, max=100");
    const { headers } = await scene.ask(get("/"));
    assert.equal(headers.get("keep-alive"), undefined, "Keep-Alive is hop-by-hop");
    const upstream = await scene.origin.connection(0);
    const end = await upstream.ended;
    const idleMs = end.atMs - upstream.received.at(-1)!.atMs;
    assert.ok(idleMs >= 900 && idleMs < 1800, `let go after ${idleMs} ms`);
    await scene.upstreamClosesAre({ "upstream-idle-timeout": 1 });
  },
);

stage.test("keepalive_timeout auto does not reuse where the server says timeout=1", {}, async (scene) => {
  scene.origin.answer = () => response("200 OK", "ok", "Keep-Alive: timeout=1");
  const { client } = await scene.ask(get("/"));
  await assertPersists(client);
  assert.deepEqual(
    scene.origin.requests.map((request) => request.connection),
    [0, 1],
  );
});

stage.test("keepalive_timeout auto learns from a FIN it saw and then lets go first", {}, async (scene) => {
  scene.origin.answer = (_request, connection) => {
    setTimeout(() => connection.finish(), 400);
    return response("200 OK", "ok");
  };
  await scene.ask(get("/"));
  await scene.upstreamClosesAre({ "upstream-fin-idle": 1 });
  await eventually("a learned limit between 0.2 and 0.4 s", 3000, async () => {
    const limit = await scene.metric("holdfast_server_idle_limit_seconds");
    return limit > 0.2 && limit < 0.4;
  });
  await scene.ask(get("/"));
  await scene.upstreamClosesAre({ "upstream-fin-idle": 1, "upstream-idle-timeout": 1 });
});

stage.test("a FIN on an idle connection takes it out of the pool at once", {}, async (scene) => {
  const { client } = await scene.ask(get("/"));
  (await scene.origin.connection(0)).finish();
  await scene.upstreamClosesAre({ "upstream-fin-idle": 1 });
  await scene.metricIs("holdfast_pool_connections_idle", 0);
  await assertPersists(client);
  assert.equal(await scene.metric("holdfast_pool_retries_total", { reason: "any" }), 0);
});

stage.test("an RST on an idle connection takes it out of the pool at once", {}, async (scene) => {
  const { client } = await scene.ask(get("/"));
  (await scene.origin.connection(0)).reset();
  await scene.upstreamClosesAre({ "upstream-reset": 1 });
  await assertPersists(client);
});

stage.test("bytes on an idle connection are nobody's response (RFC 9112 §9.2)", {}, async (scene) => {
  const { client } = await scene.ask(get("/"));
  await (await scene.origin.connection(0)).write(response("200 OK", "poison"));
  await scene.upstreamClosesAre({ "upstream-stray-bytes": 1 });
  await client.write(get("/"));
  assert.equal((await client.readResponse()).body.toString(), "ok");
});

stage.test(
  "a request whose body the server did not read to its end ends that connection (RFC 9112 §9.3)",
  {},
  async (scene) => {
    scene.origin.script = async (connection) => {
      await connection.readHead();
      await connection.write(response("200 OK", "early"));
      await connection.ended;
    };
    const client = await scene.send(post("/", "x".repeat(100)).slice(0, -50));
    const { headers, body } = await client.readResponse();
    assert.equal(body.toString(), "early");
    assert.equal(headers.get("connection"), "close");
    await scene.upstreamClosesAre({ "upstream-request-unfinished": 1 });
  },
);
