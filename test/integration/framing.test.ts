/**
 * How long messages are, on real sockets and in both directions (RFC 9112 §6, §7, §8): every framing, split at every byte,
 * large, empty, cut short and malformed.
 */
import assert from "node:assert/strict";
import { eventually } from "../harness/program.ts";
import { get, post, response, type Scene, Stage } from "../harness/stage.ts";
import type { WireConnection } from "../harness/wire.ts";

const stage = new Stage();

const CHUNKED_HELLO = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";

async function assertPersists(client: WireConnection, scene: Scene): Promise<void> {
  scene.origin.script = undefined;
  scene.origin.answer = () => response("200 OK", "ok");
  await client.write(get("/again"));
  assert.equal((await client.readResponse()).body.toString(), "ok");
}

// ── responses ──────────────────────────────────────────────────────────────────────────────────────────────────

const RESPONSES: readonly (readonly [
  name: string,
  bytes: string,
  body: string,
  fields: Record<string, string | undefined>,
])[] = [
  ["Content-Length", response("200 OK", "hello"), "hello", { "content-length": "5" }],
  ["Content-Length 0", response("200 OK", ""), "", { "content-length": "0" }],
  [
    "Content-Length: 5, 5 (RFC 9112 §6.3 item 5)",
    "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
    "hello",
    { "content-length": "5" },
  ],
  ["chunked", CHUNKED_HELLO, "hello", { "transfer-encoding": "chunked", "content-length": undefined }],
  [
    "chunked in several chunks with extensions (RFC 9112 §7.1.1)",
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;a=b;c="d\\"e"\r\nhe\r\n0003\r\nllo\r\n00;last\r\n\r\n',
    "hello",
    { "transfer-encoding": "chunked" },
  ],
  [
    "chunked and empty",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "",
    { "transfer-encoding": "chunked" },
  ],
  [
    "Transfer-Encoding beside Content-Length (RFC 9112 §6.3 item 3)",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "hello",
    { "transfer-encoding": "chunked", "content-length": undefined },
  ],
];
for (const [name, bytes, body, fields] of RESPONSES) {
  stage.test(`a response framed by ${name} arrives whole and the connection persists`, {}, async (scene) => {
    scene.origin.answer = () => bytes;
    const answer = await scene.ask(get("/"));
    assert.equal(answer.body.toString(), body);
    for (const [field, value] of Object.entries(fields))
      assert.equal(answer.headers.get(field), value, field);
    await assertPersists(answer.client, scene);
  });
}

stage.test("a response that arrives split at every byte is the same (RFC 9112 §2.2)", {}, async (scene) => {
  const bytes =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n4;x=y\r\nwhat\r\n2\r\nso\r\n0\r\nX-T: end\r\n\r\n";
  scene.origin.answer = async (_request, connection) => {
    for (let n = 0; n < bytes.length; n++) await connection.write(bytes[n]!);
    return "";
  };
  const { client, body } = await scene.ask(get("/"));
  assert.equal(body.toString(), "whatso");
  assert.match(client.text, /0\r\nX-T: end\r\n\r\n$/);
  await assertPersists(client, scene);
});

stage.test("a response cut in two at any place is the same", {}, async (scene) => {
  const bytes = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a="b"\r\nabc\r\n0\r\nT: 1\r\n\r\n';
  let cut = 0;
  scene.origin.answer = async (_request, connection) => {
    await connection.write(bytes.slice(0, cut));
    // The first part must be read before the second is sent.
    await scene.metricIs("holdfast_server_received_bytes_total", total + cut);
    total += bytes.length;
    return bytes.slice(cut);
  };
  let total = 0;
  const client = await scene.connect();
  for (cut = 1; cut < bytes.length; cut += 3) {
    await client.write(get("/"));
    assert.equal((await client.readResponse()).body.toString(), "abc", `cut at ${cut}`);
  }
});

stage.test(
  "a body that ends with the connection is chunked for HTTP/1.1, which persists (RFC 9112 §6.3 item 8)",
  {},
  async (scene) => {
    scene.origin.answer = async (_request, connection) => {
      await connection.write("HTTP/1.1 200 OK\r\n\r\nuntil");
      await connection.write(" the end");
      connection.finish();
      return "";
    };
    const { client, headers, body } = await scene.ask(get("/"));
    assert.equal(headers.get("transfer-encoding"), "chunked");
    assert.equal(headers.get("connection"), undefined);
    assert.equal(body.toString(), "until the end");
    await assertPersists(client, scene);
    await scene.upstreamClosesAre({ "upstream-fin": 1 });
  },
);

stage.test(
  "a body that ends with the connection ends with the connection for HTTP/1.0, too (RFC 9112 §6.1)",
  {},
  async (scene) => {
    scene.origin.answer = async (_request, connection) => {
      await connection.write("HTTP/1.1 200 OK\r\n\r\nuntil the end");
      connection.finish();
      return "";
    };
    const { headers, body } = await scene.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert.equal(headers.get("transfer-encoding"), undefined);
    assert.equal(headers.get("connection"), "close");
    assert.equal(body.toString(), "until the end");
  },
);

stage.test(
  "a chunked body goes to HTTP/1.0 without chunks or trailers (RFC 9112 §6.1)",
  {},
  async (scene) => {
    scene.origin.answer = () =>
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n";
    const { client, headers, body } = await scene.ask("GET / HTTP/1.0\r\n\r\n");
    assert.equal(headers.get("transfer-encoding"), undefined);
    assert.equal(body.toString(), "hello");
    assert.ok(!client.text.includes("X-T"));
  },
);

const BODILESS: readonly (readonly [
  name: string,
  request: string,
  bytes: string,
  length: string | undefined,
])[] = [
  [
    "HEAD with Content-Length",
    "HEAD / HTTP/1.1\r\nHost: test\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
    "1000",
  ],
  [
    "HEAD with chunked",
    "HEAD / HTTP/1.1\r\nHost: test\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    undefined,
  ],
  ["HEAD without a length", "HEAD / HTTP/1.1\r\nHost: test\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", undefined],
  ["304 with Content-Length", get("/"), "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n", "1000"],
  ["204", get("/"), "HTTP/1.1 204 No Content\r\n\r\n", undefined],
  [
    "204 with Content-Length (RFC 9110 §8.6: not forwarded)",
    get("/"),
    "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    undefined,
  ],
  [
    "204 with chunked (RFC 9112 §6.1: not forwarded)",
    get("/"),
    "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
    undefined,
  ],
];
for (const [name, request, bytes, length] of BODILESS) {
  stage.test(
    `a response to ${name} ends with its head, and both connections persist (RFC 9112 §6.3 item 1)`,
    {},
    async (scene) => {
      scene.origin.answer = () => bytes;
      const { client, headers } = await scene.ask(request, { isHead: true });
      assert.equal(headers.get("content-length"), length);
      assert.equal(headers.get("transfer-encoding"), undefined);
      await assertPersists(client, scene);
      assert.deepEqual(
        scene.origin.requests.map((it) => it.connection),
        [0, 0],
      );
    },
  );
}

stage.test(
  "every 1xx is forwarded to HTTP/1.1 before the final response (RFC 9110 §15.2)",
  {},
  async (scene) => {
    scene.origin.answer = () =>
      `HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n${response("200 OK", "ok")}`;
    const client = await scene.send(get("/"));
    assert.equal((await client.readResponse()).status, 102);
    const hints = await client.readResponse();
    assert.equal(hints.status, 103);
    assert.equal(hints.headers.get("link"), "</a>");
    assert.equal(hints.headers.get("x-hop"), undefined);
    assert.equal((await client.readResponse()).body.toString(), "ok");
    await assertPersists(client, scene);
  },
);

stage.test("no 1xx is sent to HTTP/1.0 (RFC 9110 §15.2)", {}, async (scene) => {
  scene.origin.answer = () => `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${response("200 OK", "ok")}`;
  const { client, status } = await scene.ask("GET / HTTP/1.0\r\n\r\n");
  assert.equal(status, 200);
  assert.ok(!client.text.includes("103"));
});

stage.test("1 MiB passes both ways, by length and chunked, byte for byte", {}, async (scene) => {
  const body = Buffer.alloc(1 << 20);
  for (let n = 0; n < body.length; n++) body[n] = (n * 2654435761) >>> 24;
  const text = body.toString("latin1");
  scene.origin.answer = (request) => {
    const echo = request.body;
    if (request.line.includes("/length")) return response("200 OK", echo);
    const half = echo.length / 2;
    const chunk = (part: string): string => `${part.length.toString(16)}\r\n${part}\r\n`;
    return `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk(echo.slice(0, half))}${chunk(echo.slice(half))}0\r\n\r\n`;
  };
  for (const target of ["/length", "/chunked"]) {
    const byLength = await scene.ask(post(target, text));
    assert.ok(byLength.body.equals(body), `${target}: Content-Length`);
    const head = `POST ${target} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n`;
    await byLength.client.write(`${head}${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`);
    assert.ok((await byLength.client.readResponse()).body.equals(body), `${target}: chunked`);
  }
});

// ── requests ───────────────────────────────────────────────────────────────────────────────────────────────────

stage.test("a POST with Content-Length: 0 is forwarded with it and answered at once", {}, async (scene) => {
  const { client } = await scene.ask(post("/", ""));
  assert.equal(scene.origin.requests[0]!.headers.get("content-length"), "0");
  await assertPersists(client, scene);
});

stage.test("a request without a length has no body (RFC 9112 §6.3 item 7)", {}, async (scene) => {
  const { client } = await scene.ask("POST / HTTP/1.1\r\nHost: test\r\n\r\n");
  assert.equal(scene.origin.requests[0]!.body, "");
  assert.equal(scene.origin.requests[0]!.headers.get("transfer-encoding"), undefined);
  await assertPersists(client, scene);
});

stage.test(
  "a chunked request arrives chunked anew, extensions dropped, trailers kept but for the forbidden ones (RFC 9110 §6.5.1)",
  {},
  async (scene) => {
    const trailers = new Promise<string>((resolve) => {
      scene.origin.script = async (connection) => {
        const head = await connection.readHead();
        assert.match(head, /\r\nTransfer-Encoding: chunked\r\n/);
        assert.doesNotMatch(head, /content-length/i);
        resolve(await connection.readUntil("\r\n\r\n"));
        await connection.write(response("200 OK", "ok"));
      };
    });
    const client = await scene.send(
      "POST / HTTP/1.1\r\nHost: test\r\nConnection: X-Nominated\r\nTransfer-Encoding: CHUNKED\r\n\r\n3;ext=1\r\nabc\r\n0\r\nX-Kept: 1\r\nX-Nominated: 1\r\nContent-Length: 7\r\nHost: evil\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    assert.equal((await client.readResponse()).status, 200);
    assert.equal(await trailers, "3\r\nabc\r\n0\r\nX-Kept: 1\r\n\r\n");
  },
);

stage.test("a request that arrives split at every byte is the same (RFC 9112 §2.2)", {}, async (scene) => {
  scene.origin.answer = (request) => response("200 OK", request.body);
  const client = await scene.connect();
  for (const bytes of [
    post("/", "hello"),
    "\r\nPOST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\n0\r\nT: 1\r\n\r\n",
  ]) {
    for (const byte of bytes) await client.write(byte);
    assert.equal((await client.readResponse()).body.toString(), "hello");
  }
  assert.equal(scene.origin.requests.length, 2);
});

stage.test("a request cut in two at any place is the same", {}, async (scene) => {
  scene.origin.answer = (request) => response("200 OK", request.body);
  const bytes =
    "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n2;a\r\nhe\r\n3\r\nllo\r\n0\r\nT: 1\r\n\r\n";
  const client = await scene.connect();
  let total = 0;
  for (let cut = 1; cut < bytes.length; cut += 4) {
    await client.write(bytes.slice(0, cut));
    await scene.metricIs("holdfast_listener_received_bytes_total", total + cut);
    total += bytes.length;
    await client.write(bytes.slice(cut));
    assert.equal((await client.readResponse()).body.toString(), "hello", `cut at ${cut}`);
  }
});

// ── responses that are cut short or broken ─────────────────────────────────────────────────────────────────────

const TRUNCATED: readonly (readonly [name: string, bytes: string, seen: string])[] = [
  ["Content-Length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "hello"],
  [
    "chunked, between two chunks",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "5\r\nhello\r\n",
  ],
  [
    "chunked, within a chunk",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nhello",
    "5\r\nhello\r\n",
  ],
  [
    "chunked, within the trailers",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\n",
    "5\r\nhello\r\n",
  ],
];
for (const [name, bytes, seen] of TRUNCATED) {
  for (const how of ["fin", "reset"] as const) {
    stage.test(
      `a body cut short (${name}, ${how}) is never completed; the client's connection ends (RFC 9112 §8)`,
      {},
      async (scene) => {
        scene.origin.script = async (connection) => {
          await connection.readHead();
          await connection.write(bytes);
          await scene.metricIs("holdfast_server_received_bytes_total", bytes.length);
          if (how === "fin") connection.finish();
          else connection.reset();
        };
        const client = await scene.send(get("/"));
        await client.readHead();
        await client.ended;
        assert.equal(client.unread, seen);
        await scene.closesAre({ "upstream-truncated": 1 });
        await scene.upstreamClosesAre({ [how === "fin" ? "upstream-fin-early" : "upstream-reset"]: 1 });
        assert.equal(scene.origin.connections.length, 1, "a response that has begun is not asked for again");
      },
    );
  }
}

stage.test(
  "a body that should end with the connection and is reset ends in a reset for HTTP/1.0 (RFC 9112 §8)",
  {},
  async (scene) => {
    scene.origin.script = async (connection) => {
      await connection.readHead();
      await connection.write("HTTP/1.1 200 OK\r\n\r\nhalf");
      await scene.metricIs("holdfast_server_received_bytes_total", 23);
      connection.reset();
    };
    const client = await scene.send("GET / HTTP/1.0\r\n\r\n");
    assert.equal((await client.ended).how, "reset");
    await scene.closesAre({ "upstream-truncated": 1 });
  },
);

stage.test(
  "a body that should end with the connection and is reset gets no last chunk (RFC 9112 §8)",
  {},
  async (scene) => {
    scene.origin.script = async (connection) => {
      await connection.readHead();
      await connection.write("HTTP/1.1 200 OK\r\n\r\nhalf");
      await scene.metricIs("holdfast_server_received_bytes_total", 23);
      connection.reset();
    };
    const client = await scene.send(get("/"));
    await client.readHead();
    await client.ended;
    assert.equal(client.unread, "4\r\nhalf\r\n");
  },
);

for (const [name, chunk] of [
  ["no hexadecimal size", "xyz\r\n"],
  ["a bare LF", "3\nabc\r\n"],
  ["a size that does not fit", "3\r\nabcdef\r\n"],
  ["a size beyond 2^53", "fffffffffffffffff\r\n"],
] as const) {
  stage.test(
    `a malformed chunk from the server (${name}) ends the response unfinished (RFC 9112 §7.1)`,
    {},
    async (scene) => {
      scene.origin.answer = () =>
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n${chunk}`;
      const client = await scene.send(get("/"));
      await client.readHead();
      await client.ended;
      assert.match(client.unread, /hello/);
      assert.doesNotMatch(client.unread, /\r\n0\r\n/);
      await scene.closesAre({ "upstream-truncated": 1 });
      await scene.upstreamClosesAre({ "upstream-bad-response": 1 });
    },
  );
}

const BAD_HEADS: readonly (readonly [name: string, bytes: string])[] = [
  ["garbage", "\x00\x01\x02garbage\r\n\r\n"],
  ["another protocol", "SSH-2.0-OpenSSH_9.2\r\n"],
  ["HTTP/2", "HTTP/2 200 OK\r\n\r\n"],
  ["HTTP/0.9", "<html>hello</html>"],
  ["a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"],
  ["whitespace before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"],
  ["obs-fold", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"],
  ["a bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"],
  ["a negative Content-Length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"],
  ["two Content-Lengths that differ", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"],
  ["an unknown transfer coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
  ["chunked twice", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"],
  ["a NUL in a value", "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n"],
  ["a 101 nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"],
  ["a head of 40 KiB", `HTTP/1.1 200 OK\r\n${`X: ${"y".repeat(4000)}\r\n`.repeat(10)}\r\n`],
];
for (const [name, bytes] of BAD_HEADS) {
  stage.test(
    `a response head with ${name} is answered 502, and the client's connection persists (RFC 9110 §15.6.3)`,
    {},
    async (scene) => {
      scene.origin.answer = () => bytes;
      const { client, status, body } = await scene.ask(get("/"));
      assert.equal(status, 502);
      assert.match(body.toString(), /^502 Bad Gateway\nThe server's response cannot be understood: /);
      await scene.upstreamClosesAre({ "upstream-bad-response": 1 });
      await assertPersists(client, scene);
    },
  );
}

for (const how of ["fin", "reset"] as const) {
  stage.test(
    `a head cut short (${how}) is answered 502 and not asked for again (RFC 9112 §8)`,
    { servers: [{}, {}] },
    async (scene) => {
      for (const origin of scene.origins) {
        origin.script = async (connection) => {
          await connection.readHead();
          await connection.write("HTTP/1.1 200 OK\r\nContent-");
          await scene.metricIs("holdfast_server_received_bytes_total", 25);
          if (how === "fin") connection.finish();
          else connection.reset();
        };
      }
      const { status, body } = await scene.ask(get("/"));
      assert.equal(status, 502);
      assert.match(body.toString(), /The response had begun/);
      assert.equal(scene.origins[0]!.connections.length + scene.origins[1]!.connections.length, 1);
    },
  );
}

stage.test(
  "a request body that is not chunked as it should be is answered 400 in the middle (RFC 9112 §7.1)",
  {},
  async (scene) => {
    const client = await scene.send(
      "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    );
    await (await scene.origin.connection(0)).readUntil("abc\r\n");
    await client.write("zzz\r\n");
    const { status, headers } = await client.readResponse();
    assert.equal(status, 400);
    assert.equal(headers.get("connection"), "close");
    const upstream = await scene.origin.connection(0);
    await upstream.ended;
    assert.doesNotMatch(upstream.text, /0\r\n\r\n/);
    client.finish();
    await scene.closesAre({ "bad-request": 1 });
  },
);

stage.test(
  "a client that ends within its request body ends the exchange; the server gets no complete body (RFC 9112 §8)",
  {},
  async (scene) => {
    const client = await scene.send(post("/", "x".repeat(100)).slice(0, -50));
    await eventually("the head arrives", 2000, () => scene.origin.connections.length === 1);
    client.finish();
    await (await scene.origin.connection(0)).ended;
    await scene.closesAre({ "peer-fin-in-request": 1 });
    await scene.upstreamClosesAre({ "client-gone": 1 });
  },
);
