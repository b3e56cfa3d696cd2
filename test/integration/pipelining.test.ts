/**
 * Several requests on one connection without waiting, and messages that overlap: pipelining (RFC 9112 §9.3.2), Expect: 100-continue
 * (RFC 9110 §10.1.1), final responses before the request is complete, half-close, and the end of a connection that is
 * still being sent to (RFC 9112 §9.6).
 */
import assert from "node:assert/strict";
import { eventually } from "../harness/program.ts";
import { get, post, response, type Scene, Stage } from "../harness/stage.ts";
import type { WireConnection } from "../harness/wire.ts";

const stage = new Stage();

/** The origin answers each request with its target and its body. */
function echo(scene: Scene): void {
  scene.origin.answer = (request) => response("200 OK", `${request.line.split(" ")[1]}:${request.body}`);
}

async function bodies(client: WireConnection, count: number): Promise<string[]> {
  const found: string[] = [];
  for (let n = 0; n < count; n++) found.push((await client.readResponse()).body.toString());
  return found;
}

stage.test("requests in one packet are answered in order (RFC 9112 §9.3.2)", {}, async (scene) => {
  echo(scene);
  const chunked =
    "POST /3 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: 1\r\n\r\n";
  const client = await scene.send(
    get("/1") + post("/2", "two") + chunked + get("/4") + post("/5", "") + get("/6"),
  );
  assert.deepEqual(await bodies(client, 6), ["/1:", "/2:two", "/3:abc", "/4:", "/5:", "/6:"]);
  assert.equal(scene.origin.connections.length, 1);
});

stage.test("a slow first response holds the others back (RFC 9112 §9.3.2)", {}, async (scene) => {
  let release: () => void = () => {};
  scene.origin.answer = async (request) => {
    if (request.line.includes("/slow"))
      await new Promise<void>((resolve) => {
        release = resolve;
      });
    return response("200 OK", request.line.split(" ")[1]!);
  };
  const client = await scene.send(get("/slow"));
  await eventually("the first request arrives", 2000, () => scene.origin.requests.length === 1);
  await client.write(get("/2"));
  await scene.metricIs("holdfast_listener_received_bytes_total", get("/slow").length + get("/2").length);
  await client.write(get("/3"));
  assert.equal(scene.origin.requests.length, 1, "one request at a time per client connection");
  release();
  assert.deepEqual(await bodies(client, 3), ["/slow", "/2", "/3"]);
});

stage.test(
  "requests behind an answer of the gateway's own are answered, too (RFC 9112 §9.3.2)",
  {
    routes: [{ path: "/ok" }],
  },
  async (scene) => {
    const client = await scene.send(
      get("/none") + post("/none", "") + get("/ok") + get("/none") + get("/ok"),
    );
    for (const status of [404, 404, 200, 404, 200])
      assert.equal((await client.readResponse()).status, status);
    await client.write(get("/ok"));
    assert.equal((await client.readResponse()).status, 200);
  },
);

stage.test(
  "the connection is read on after a pipelined request that was answered at once",
  {
    routes: [{ path: "/ok" }],
  },
  async (scene) => {
    let release: () => void = () => {};
    scene.origin.answer = async () => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return response("200 OK", "ok");
    };
    const client = await scene.send(get("/ok"));
    await eventually("the first request arrives", 2000, () => scene.origin.requests.length === 1);
    await client.write(get("/none"));
    await scene.metricIs("holdfast_listener_received_bytes_total", get("/ok").length + get("/none").length);
    release();
    assert.equal((await client.readResponse()).status, 200);
    assert.equal((await client.readResponse()).status, 404);
    scene.origin.answer = () => response("200 OK", "on");
    await client.write(get("/ok"));
    assert.equal((await client.readResponse({ timeoutMs: 3000 })).body.toString(), "on");
  },
);

stage.test(
  "an error in the second request ends the connection after the first response (RFC 9112 §9.3.2)",
  {},
  async (scene) => {
    const client = await scene.send(`${get("/1")}BAD\r\n\r\n${get("/3")}`);
    assert.equal((await client.readResponse()).status, 200);
    const { status, headers } = await client.readResponse();
    assert.equal(status, 400);
    assert.equal(headers.get("connection"), "close");
    assert.equal((await client.ended).how, "fin");
    assert.deepEqual(
      scene.origin.requests.map((request) => request.line),
      ["GET /1 HTTP/1.1"],
    );
  },
);

stage.test("what is pipelined behind a close is never served (RFC 9112 §9.6)", {}, async (scene) => {
  const client = await scene.send(get("/1") + get("/2", "Connection: close") + post("/3", "evil"));
  assert.equal((await client.readResponse()).status, 200);
  assert.equal((await client.readResponse()).headers.get("connection"), "close");
  await client.ended;
  assert.equal(client.unread, "");
  assert.equal(scene.origin.requests.length, 2);
});

stage.test(
  "what is pipelined behind the last of keepalive_requests is never served (RFC 9112 §9.6)",
  {
    http: { keepalive_requests: 2 },
  },
  async (scene) => {
    const client = await scene.send(get("/1") + get("/2") + get("/3"));
    assert.deepEqual(
      [(await client.readResponse()).status, (await client.readResponse()).status],
      [200, 200],
    );
    assert.equal((await client.ended).how, "fin", "pipelined bytes must not turn the end into a reset");
    assert.equal(scene.origin.requests.length, 2);
  },
);

stage.test("a client that half-closes after sending is still answered (RFC 9112 §9.6)", {}, async (scene) => {
  echo(scene);
  for (const bytes of [get("/1"), post("/2", "x"), get("/3") + get("/4")]) {
    const client = await scene.send(bytes);
    client.finish();
    for (const body of await bodies(client, bytes.split("HTTP/1.1").length - 1)) assert.match(body, /^\/\d:/);
    assert.equal((await client.ended).how, "fin");
  }
  await scene.closesAre({ "peer-fin": 3 });
});

stage.test(
  "a client that half-closes while it waits for a slow response is still answered",
  {},
  async (scene) => {
    let release: () => void = () => {};
    scene.origin.answer = async () => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return response("200 OK", "late");
    };
    const client = await scene.send(get("/"));
    await eventually("the request arrives", 2000, () => scene.origin.requests.length === 1);
    client.finish();
    release();
    assert.equal((await client.readResponse()).body.toString(), "late");
    await client.ended;
    await scene.closesAre({ "peer-fin": 1 });
  },
);

stage.test(
  "a client that half-closes with pipelined requests waiting gets them all answered",
  {},
  async (scene) => {
    let release: () => void = () => {};
    scene.origin.answer = async (request) => {
      if (request.line.includes("/1 "))
        await new Promise<void>((resolve) => {
          release = resolve;
        });
      return response("200 OK", request.line.split(" ")[1]!);
    };
    const client = await scene.send(get("/1"));
    await eventually("the request arrives", 2000, () => scene.origin.requests.length === 1);
    await client.write(get("/2"));
    client.finish();
    await scene.metricIs("holdfast_listener_received_bytes_total", get("/1").length + get("/2").length);
    release();
    assert.deepEqual(await bodies(client, 2), ["/1", "/2"]);
    assert.equal((await client.ended).how, "fin");
    await scene.closesAre({ "peer-fin": 1 });
  },
);

stage.test(
  "1 MiB of pipelined requests behind a slow one is not read ahead without bound",
  {},
  async (scene) => {
    let release: () => void = () => {};
    scene.origin.answer = async (request) => {
      if (request.line.includes("/slow"))
        await new Promise<void>((resolve) => {
          release = resolve;
        });
      return response("200 OK", "ok");
    };
    const client = await scene.send(get("/slow"));
    await eventually("the request arrives", 2000, () => scene.origin.requests.length === 1);
    const one = get("/x", `X-Pad: ${"p".repeat(4000)}`);
    const count = Math.ceil((1 << 20) / one.length);
    const sent = client.write(one.repeat(count));
    await eventually(
      "the gateway has read some",
      2000,
      async () => (await scene.metric("holdfast_listener_received_bytes_total")) > 100,
    );
    assert.ok((await scene.metric("holdfast_listener_received_bytes_total")) <= 64 * 1024 + 200);
    release();
    await bodies(client, count + 1);
    await sent;
  },
);

// ── Expect: 100-continue ───────────────────────────────────────────────────────────────────────────────────────

stage.test(
  "Expect: 100-continue goes to the server, its 100 to the client, then the body (RFC 9110 §10.1.1)",
  {},
  async (scene) => {
    scene.origin.script = async (connection) => {
      const head = await connection.readHead();
      assert.match(head, /\r\nExpect: 100-continue\r\n/i);
      assert.equal(connection.unread, "");
      await connection.write("HTTP/1.1 100 Continue\r\n\r\n");
      assert.equal((await connection.readBytes(5)).toString(), "hello");
      await connection.write(response("201 Created", ""));
    };
    const client = await scene.send(post("/", "hello", "Expect: 100-Continue").slice(0, -5));
    assert.equal((await client.readResponse()).status, 100);
    await client.write("hello");
    assert.equal((await client.readResponse()).status, 201);
  },
);

stage.test(
  "a final response in place of 100 ends the exchange: the body is not waited for (RFC 9110 §10.1.1)",
  {},
  async (scene) => {
    scene.origin.script = async (connection) => {
      await connection.readHead();
      await connection.write(response("417 Expectation Failed", "no"));
      await connection.ended;
    };
    const client = await scene.send(post("/", "hello", "Expect: 100-continue").slice(0, -5));
    const { status, headers } = await client.readResponse();
    assert.equal(status, 417);
    assert.equal(
      headers.get("connection"),
      "close",
      "the body may or may not follow: the connection cannot go on",
    );
    await client.ended;
  },
);

stage.test("Expect of an HTTP/1.0 request is ignored (RFC 9110 §10.1.1)", {}, async (scene) => {
  const { status } = await scene.ask(
    "POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi",
  );
  assert.equal(status, 200);
  assert.equal(scene.origin.requests[0]!.headers.get("expect"), undefined);
});

// ── early responses, lingering close, limits ───────────────────────────────────────────────────────────────────

stage.test(
  "a client that is still sending reads the server's early 413: no RST erases it (RFC 9112 §9.6)",
  {},
  async (scene) => {
    scene.origin.script = async (connection) => {
      await connection.readHead();
      await connection.write(response("413 Content Too Large", "too large", "Connection: close"));
      connection.finish();
    };
    const size = 8 << 20;
    const client = await scene.send(`POST / HTTP/1.1\r\nHost: test\r\nContent-Length: ${size}\r\n\r\n`);
    // All of it is written before anything is read.
    await client.write(Buffer.alloc(size, "x"));
    client.finish();
    const { status, body } = await client.readResponse();
    assert.equal(status, 413);
    assert.equal(body.toString(), "too large");
    assert.equal((await client.ended).how, "fin");
  },
);

stage.test(
  "an early response is passed on while the body still comes, and both end (RFC 9112 §9.3)",
  {},
  async (scene) => {
    scene.origin.script = async (connection) => {
      await connection.readHead();
      await connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n");
      assert.equal((await connection.readBytes(10)).toString(), "0123456789");
      await connection.write("4\r\nlate\r\n0\r\n\r\n");
      await connection.ended;
    };
    const client = await scene.send(post("/", "0123456789").slice(0, -10));
    await client.readUntil("early\r\n");
    await client.write("0123456789");
    await client.readUntil("late\r\n0\r\n\r\n");
    assert.match(client.text, /\r\nConnection: close\r\n/);
    await client.ended;
  },
);

for (const [name, bytes] of [
  ["Content-Length", `POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1001\r\n\r\n${"x".repeat(1001)}`],
  [
    "Content-Length with Expect",
    "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n",
  ],
  [
    "chunked",
    `POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n${"x".repeat(1001)}\r\n0\r\n\r\n`,
  ],
] as const) {
  stage.test(
    `max_body_size: a larger body (${name}) is answered 413 (RFC 9110 §15.5.14)`,
    { http: { max_body_size: 1000 } },
    async (scene) => {
      const { status, headers, client, body } = await scene.ask(bytes);
      assert.equal(status, 413);
      assert.match(body.toString(), /max_body_size/);
      if (name !== "chunked") assert.equal(headers.get("connection"), "close");
      assert.equal(scene.origin.requests.length, 0);
      client.finish();
      await client.ended;
    },
  );
}

stage.test(
  "max_body_size: a body of exactly that size passes",
  { http: { max_body_size: 1000 } },
  async (scene) => {
    assert.equal((await scene.ask(post("/", "x".repeat(1000)))).status, 200);
    const chunked = `POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n${"x".repeat(1000)}\r\n0\r\n\r\n`;
    assert.equal((await scene.ask(chunked)).status, 200);
  },
);

stage.test(
  "max_body_size: a chunked body that grows too large while it passes is cut off with 413",
  { http: { max_body_size: 1000 } },
  async (scene) => {
    const client = await scene.send(
      "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n384\r\n",
    );
    await client.write(`${"x".repeat(900)}\r\n`);
    const upstream = await scene.origin.connection(0);
    await upstream.readUntil("xx\r\n");
    await client.write(`384\r\n${"x".repeat(900)}\r\n`);
    assert.equal((await client.readResponse()).status, 413);
    await upstream.ended;
    assert.doesNotMatch(upstream.text, /0\r\n\r\n/);
  },
);

stage.test(
  "lingering_timeout ends the wait for a client that neither sends nor closes",
  {
    http: { lingering_timeout: "100ms", max_body_size: 10 },
  },
  async (scene) => {
    const { client } = await scene.ask(post("/", "x".repeat(100)).slice(0, -50));
    assert.equal((await client.ended).how, "fin");
    await scene.closesAre({ "request-rejected": 1 });
  },
);

stage.test(
  "lingering_time ends the wait for a client that never stops sending",
  {
    http: { lingering_time: "200ms", lingering_timeout: "1s", max_body_size: 10 },
  },
  async (scene) => {
    const client = await scene.send(`POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000000\r\n\r\n`);
    assert.equal((await client.readResponse()).status, 413);
    const sinceMs = performance.now();
    let isOpen = true;
    client.socket.once("close", () => {
      isOpen = false;
    });
    await eventually("the gateway stops reading", 3000, async () => {
      await client.write("x".repeat(100)).catch(() => {});
      return !isOpen;
    });
    assert.ok(performance.now() - sinceMs < 2000);
    await scene.closesAre({ "request-rejected": 1 });
  },
);
