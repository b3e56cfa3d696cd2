/**
 * What happens to a request whose server fails: when it is sent again, to whom, and when it must not be (RFC 9110 §9.2.2,
 * RFC 9112 §9.3.1; the table is src/proxy/retry-policy.ts). The proof by TCP_INFO needs lost packets: test/netns/stale-post.test.ts.
 */
import assert from "node:assert/strict";
import { eventually } from "../harness/program.ts";
import { get, post, readOriginRequest, response, type Scene, Stage } from "../harness/stage.ts";

const stage = new Stage();

/** One FIN after milliseconds teaches `auto` not to reuse for a while. */
const NOT_LEARNING = { keepalive_timeout: "60s" };

const put = (target: string, body: string): string => post(target, body).replace("POST", "PUT");

async function assertRetries(
  scene: Scene,
  expected: { any: number; stale?: number; provable?: number },
): Promise<void> {
  const found = {
    any: await scene.metric("holdfast_pool_retries_total", { reason: "any" }),
    stale: await scene.metric("holdfast_pool_retries_total", { reason: "stale" }),
    provable: await scene.metric("holdfast_pool_retries_total", { reason: "provable" }),
  };
  assert.deepEqual(found, { stale: 0, provable: 0, ...expected });
}

// ── connecting ─────────────────────────────────────────────────────────────────────────────────────────────────

stage.test(
  "a refused connection sends any method to the next server (RFC 9110 §9.2.2: nothing was sent)",
  {
    servers: [{}, {}],
  },
  async (scene) => {
    await scene.origins[0]!.refuse();
    for (let n = 0; n < 4; n++) assert.equal((await scene.ask(post("/", `body ${n}`))).status, 200);
    assert.equal(scene.origins[1]!.requests.length, 4);
    await assertRetries(scene, { any: 1 });
    assert.equal(await scene.metric("holdfast_server_connect_failures_total"), 1, "max_fails passes it over");
    assert.equal(await scene.metric("holdfast_server_failures_total"), 1);
    await scene.metricIs("holdfast_server_passed_over", 1);
  },
);

stage.test(
  "a body that was not sent yet goes to the next server even with replay_buffer_size 0",
  {
    servers: [{}, {}],
    pool: { replay_buffer_size: 0 },
  },
  async (scene) => {
    await scene.origins[0]!.refuse();
    for (let n = 0; n < 2; n++) assert.equal((await scene.ask(post("/", "body"))).status, 200);
    assert.deepEqual(
      scene.origins[1]!.requests.map((request) => request.body),
      ["body", "body"],
    );
  },
);

stage.test(
  "the only server refusing: 502 that says so, and the client's connection persists (RFC 9110 §15.6.3)",
  {},
  async (scene) => {
    await scene.origin.refuse();
    const { client, status, headers, body } = await scene.ask(get("/"));
    assert.equal(status, 502);
    assert.equal(headers.get("connection"), undefined);
    assert.equal(
      body.toString(),
      "502 Bad Gateway\nThe server refused the connection (RST to SYN). No other server is available.\n",
    );
    await client.write(get("/"));
    assert.equal((await client.readResponse()).status, 502, "the only server is never passed over");
    await assertRetries(scene, { any: 0 });
    assert.equal(await scene.metric("holdfast_pool_no_server_total"), 0, "that counts 503s");
  },
);

stage.test(
  "every server refusing: 502, then 503 while all are passed over (RFC 9110 §15.6.4)",
  { servers: [{}, {}] },
  async (scene) => {
    for (const origin of scene.origins) await origin.refuse();
    assert.equal((await scene.ask(get("/"))).status, 502);
    const { status, body } = await scene.ask(get("/"));
    assert.equal(status, 503);
    assert.match(body.toString(), new RegExp(`No server of pool "${scene.name}" is available`));
    assert.equal(await scene.metric("holdfast_pool_no_server_total"), 1);
    await assertRetries(scene, { any: 1 });
  },
);

stage.test(
  "next_upstream.tries 1 tries one server only",
  { servers: [{}, {}], pool: { next_upstream: { tries: 1 } } },
  async (scene) => {
    await scene.origins[0]!.refuse();
    const statuses = [(await scene.ask(get("/"))).status, (await scene.ask(get("/"))).status];
    assert.deepEqual(statuses.sort(), [200, 502]);
    await assertRetries(scene, { any: 0 });
  },
);

stage.test(
  "fail_timeout: a server that was passed over is tried again after it",
  {
    servers: [{ max_fails: 1, fail_timeout: "200ms" }, {}],
  },
  async (scene) => {
    let refuses = true;
    scene.origins[0]!.script = async (connection, index) => {
      if (refuses) connection.reset();
      else
        for (
          let request = await readOriginRequest(connection, index);
          request !== undefined;
          request = await readOriginRequest(connection, index)
        )
          await connection.write(response("200 OK", "first"));
    };
    for (let n = 0; n < 4; n++) assert.equal((await scene.ask(get("/"))).status, 200);
    assert.equal(scene.origins[0]!.connections.length, 1);
    refuses = false;
    await eventually(
      "the first server answers again",
      2000,
      async () => (await scene.ask(get("/"))).body.toString() === "first",
    );
  },
);

stage.test(
  "max_fails 0 never passes a server over",
  { servers: [{ max_fails: 0 }, { max_fails: 0 }] },
  async (scene) => {
    await scene.origins[0]!.refuse();
    for (let n = 0; n < 6; n++) assert.equal((await scene.ask(get("/"))).status, 200);
    assert.equal(await scene.metric("holdfast_server_connect_failures_total"), 3);
  },
);

stage.test(
  "a backup serves only while every other server is unavailable",
  {
    servers: [{}, { backup: true }],
  },
  async (scene) => {
    for (let n = 0; n < 3; n++) await scene.ask(get("/"));
    assert.equal(scene.origins[1]!.requests.length, 0);
    await scene.origins[0]!.refuse();
    for (let n = 0; n < 3; n++) assert.equal((await scene.ask(get("/"))).status, 200);
    assert.equal(scene.origins[1]!.requests.length, 3);
  },
);

stage.test(
  "max_conns: what does not fit goes to another server, or is answered 503",
  {
    servers: [{ max_conns: 1 }, { max_conns: 1 }],
  },
  async (scene) => {
    const waiting: (() => void)[] = [];
    for (const origin of scene.origins) {
      origin.answer = () => new Promise((resolve) => waiting.push(() => resolve(response("200 OK", "ok"))));
    }
    const clients = [await scene.send(get("/")), await scene.send(get("/"))];
    await eventually("both servers are busy", 2000, () => waiting.length === 2);
    assert.deepEqual(
      scene.origins.map((origin) => origin.requests.length),
      [1, 1],
    );
    const { status, body } = await scene.ask(get("/"));
    assert.equal(status, 503);
    assert.match(body.toString(), /No server of pool/);
    for (const release of waiting) release();
    for (const client of clients) assert.equal((await client.readResponse()).status, 200);
    for (const origin of scene.origins) origin.answer = () => response("200 OK", "ok");
    assert.equal((await scene.ask(get("/"))).status, 200);
  },
);

// ── stale connections ──────────────────────────────────────────────────────────────────────────────────────────

/** The first connection answers one request and then ends as told when the second arrives; later connections answer. */
function endFirstConnection(scene: Scene, end: "fin" | "reset"): void {
  scene.origin.answer = (request, connection) => {
    if (request.connection > 0 || request.line.includes("/first"))
      return response("200 OK", `${request.body}!`);
    if (end === "fin") connection.finish();
    else connection.reset();
    return "";
  };
}

for (const end of ["fin", "reset"] as const) {
  stage.test(
    `a GET that meets a stale connection (${end}) is sent again, and the client sees nothing of it (RFC 9112 §9.3.1)`,
    { pool: NOT_LEARNING },
    async (scene) => {
      endFirstConnection(scene, end);
      const { client } = await scene.ask(get("/first"));
      await client.write(get("/second"));
      assert.equal((await client.readResponse()).status, 200);
      assert.deepEqual(
        scene.origin.requests.map((request) => request.connection),
        [0, 0, 1],
      );
      await assertRetries(scene, { any: 1, stale: 1 });
      await scene.upstreamClosesAre({ [end === "fin" ? "upstream-fin-stale" : "upstream-reset"]: 1 });
      assert.equal(
        await scene.metric("holdfast_server_failures_total"),
        0,
        "a stale connection is nobody's fault",
      );
    },
  );

  stage.test(
    `a POST that the server received before it closed (${end}) is answered 502, once (RFC 9110 §9.2.2)`,
    { pool: NOT_LEARNING },
    async (scene) => {
      endFirstConnection(scene, end);
      const { client } = await scene.ask(get("/first"));
      await client.write(post("/second", "pay"));
      const { status, body } = await client.readResponse();
      assert.equal(status, 502);
      assert.match(body.toString(), /may have acted on the request/);
      assert.equal(scene.origin.requests.filter((request) => request.body === "pay").length, 1);
      await assertRetries(scene, { any: 0 });
    },
  );
}

stage.test(
  "a PUT is sent again with its whole body, as far as replay_buffer_size holds it (RFC 9110 §9.2.2)",
  {
    pool: { replay_buffer_size: "8k" },
  },
  async (scene) => {
    endFirstConnection(scene, "reset");
    const { client } = await scene.ask(get("/first"));
    const body = "0123456789".repeat(800);
    // In two pieces, so that the second is appended to what is kept of the first.
    await client.write(put("/second", body).slice(0, -4000));
    await eventually("the first piece is with the server", 2000, () =>
      scene.origin.connections[0]!.text.includes("/second"),
    );
    await client.write(body.slice(-4000));
    const answer = await client.readResponse();
    assert.equal(answer.status, 200);
    assert.equal(answer.body.toString(), `${body}!`);
    await assertRetries(scene, { any: 1, stale: 1 });
  },
);

stage.test("a chunked PUT is sent again as it was, trailers and all (RFC 9110 §9.2.2)", {}, async (scene) => {
  endFirstConnection(scene, "reset");
  const { client } = await scene.ask(get("/first"));
  await client.write(
    "PUT /second HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n",
  );
  assert.equal((await client.readResponse()).body.toString(), "abcde!");
  assert.match(scene.origin.connections[1]!.text, /\r\n0\r\nT: 1\r\n\r\n$/);
});

stage.test(
  "a PUT larger than replay_buffer_size is sent once (RFC 9112 §9.3.1)",
  {
    pool: { replay_buffer_size: "1k" },
  },
  async (scene) => {
    endFirstConnection(scene, "reset");
    const { client } = await scene.ask(get("/first"));
    await client.write(
      put("/second", "x".repeat(4)).slice(0, -4).replace("Content-Length: 4", "Content-Length: 5000"),
    );
    await eventually("the head is with the server", 2000, () =>
      scene.origin.connections[0]!.text.includes("/second"),
    );
    await client.write("x".repeat(5000));
    const { status, body } = await client.readResponse();
    assert.equal(status, 502);
    assert.match(body.toString(), /too large to be kept/);
    assert.equal(scene.origin.connections.length, 1);
  },
);

for (const order of ["FIN first", "request first"] as const) {
  stage.test(
    `a POST is not sent on a connection whose FIN has arrived, though the loop has not seen it (${order})`,
    { pool: NOT_LEARNING },
    async (scene) => {
      scene.origin.answer = (request) => response("200 OK", `${request.connection}`);
      const { client } = await scene.ask(post("/1", "x"));
      const [worker] = stage.gateway.workerPids();
      const request = post("/2", "pay");
      process.kill(worker!, "SIGSTOP");
      // Both lie in the sockets of a process that does not run: it will find them in one turn of its loop.
      try {
        const upstream = await scene.origin.connection(0);
        if (order === "FIN first") upstream.finish();
        await client.write(request);
        if (order === "request first") upstream.finish();
        await kernelHas(scene.origin.port);
      } finally {
        process.kill(worker!, "SIGCONT");
      }
      assert.equal((await client.readResponse()).body.toString(), "1", "on a fresh connection");
      assert.equal(scene.origin.requests.filter((it) => it.body === "pay").length, 1);
      await scene.upstreamClosesAre({ "upstream-fin-idle": 1 });
      await assertRetries(scene, { any: 0 });
    },
  );
}

/** The gateway's connection to the port is in CLOSE-WAIT: the FIN has arrived. */
async function kernelHas(port: number): Promise<void> {
  const { readFileSync } = await import("node:fs");
  const remote = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  await eventually("the FIN has arrived", 2000, () =>
    readFileSync("/proc/net/tcp", "utf8")
      .split("\n")
      .some((line) => line.trim().split(/\s+/)[2] === remote && line.trim().split(/\s+/)[3] === "08"),
  );
}

// ── fresh connections ──────────────────────────────────────────────────────────────────────────────────────────

for (const end of ["fin", "reset"] as const) {
  stage.test(
    `a GET whose fresh connection ends without an answer (${end}) goes to the next server (RFC 9110 §9.2.2)`,
    {
      servers: [{}, {}],
    },
    async (scene) => {
      scene.origins[0]!.answer = (_request, connection) => {
        if (end === "fin") connection.finish();
        else connection.reset();
        return "";
      };
      for (let n = 0; n < 3; n++) assert.equal((await scene.ask(get("/"))).status, 200);
      assert.equal(scene.origins[0]!.requests.length, 1, "and that speaks against the first");
      await assertRetries(scene, { any: 1 });
    },
  );

  stage.test(
    `a POST whose fresh connection ends without an answer (${end}) is answered 502, once (RFC 9110 §9.2.2)`,
    {
      servers: [{}, {}],
    },
    async (scene) => {
      for (const origin of scene.origins) {
        origin.answer = (_request, connection) => {
          if (end === "fin") connection.finish();
          else connection.reset();
          return "";
        };
      }
      assert.equal((await scene.ask(post("/", "pay"))).status, 502);
      assert.equal(scene.origins[0]!.requests.length + scene.origins[1]!.requests.length, 1);
    },
  );
}

stage.test(
  "read_timeout: a GET goes to the next server, a POST does not (RFC 9110 §9.2.2)",
  {
    servers: [{ max_fails: 0 }, { max_fails: 0 }],
    pool: { read_timeout: "150ms", balance: { hash: "uri" } },
  },
  async (scene) => {
    const both = { first: 0, second: 0 };
    for (const origin of scene.origins)
      origin.answer = (request) =>
        request.line.includes("/slow") && ++both.first === 1 ? "" : response("200 OK", "ok");
    assert.equal((await scene.ask(get("/slow"))).status, 200);
    await assertRetries(scene, { any: 1 });
    both.first = 0;
    assert.equal((await scene.ask(post("/slow", "x"))).status, 504);
    await assertRetries(scene, { any: 1 });
  },
);

stage.test(
  "next_upstream.timeout: no further try begins after it",
  {
    servers: [{}, {}],
    pool: { read_timeout: "200ms", next_upstream: { tries: 5, timeout: "100ms" } },
  },
  async (scene) => {
    for (const origin of scene.origins) origin.answer = () => "";
    const { status, body } = await scene.ask(get("/"));
    assert.equal(status, 504);
    assert.match(body.toString(), /next_upstream/);
    assert.equal(scene.origins[0]!.requests.length + scene.origins[1]!.requests.length, 1);
  },
);
