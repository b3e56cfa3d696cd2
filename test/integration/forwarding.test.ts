/**
 * What passes a hop and what ends at it (RFC 9110 §7.6, RFC 9112 §3.2): fields as the origin and the client see them on the wire.
 */
import assert from "node:assert/strict";
import { get, type OriginRequest, response, type Scene, Stage } from "../harness/stage.ts";

const stage = new Stage();

async function forwarded(scene: Scene, bytes: string): Promise<OriginRequest> {
  const { status } = await scene.ask(bytes);
  assert.equal(status, 200);
  return scene.origin.requests.at(-1)!;
}

stage.test(
  "fields that Connection nominates end here, on every line and in any case (RFC 9110 §7.6.1)",
  {},
  async (scene) => {
    const { headers } = await forwarded(
      scene,
      get(
        "/",
        "X-One: 1",
        "Connection: x-ONE, keep-alive",
        "X-Two: 2",
        "connection: X-Two",
        "X-Three: 3",
        "X-One: 1b",
      ),
    );
    assert.equal(headers.get("connection"), undefined);
    assert.equal(headers.get("x-one"), undefined);
    assert.equal(headers.get("x-two"), undefined);
    assert.equal(headers.get("x-three"), "3");
  },
);

stage.test("end-to-end fields cannot be nominated away (RFC 9110 §7.6.1)", {}, async (scene) => {
  const names = "Host, Cookie, Authorization, Content-Length, X-Forwarded-For, Cache-Control, Via";
  const { headers } = await forwarded(
    scene,
    get(
      "/",
      `Connection: ${names}`,
      "Cookie: a=b",
      "Authorization: Basic x",
      "X-Forwarded-For: 9.9.9.9",
      "Cache-Control: no-store",
      "Via: 1.1 first",
    ),
  );
  assert.equal(headers.get("host"), "test");
  assert.equal(headers.get("cookie"), "a=b");
  assert.equal(headers.get("authorization"), "Basic x");
  assert.equal(headers.get("x-forwarded-for"), "9.9.9.9, 127.0.0.1");
  assert.equal(headers.get("cache-control"), "no-store");
  assert.equal(headers.get("via"), "1.1 first, 1.1 holdfast");
});

stage.test("a nomination does not outlive its message", {}, async (scene) => {
  const fields = ["A: 1", "B: 2", "C: 3", "D: 4", "E: 5", "F: 6"];
  await forwarded(scene, get("/", "Connection: A, B, C, D, E, F", ...fields));
  const { headers } = await forwarded(scene, get("/", "Connection: nothing", ...fields));
  assert.deepEqual(
    ["a", "b", "c", "d", "e", "f"].map((name) => headers.get(name)),
    ["1", "2", "3", "4", "5", "6"],
  );
});

stage.test(
  "known hop-by-hop fields end here though nobody nominates them (RFC 9110 §7.6.1)",
  {},
  async (scene) => {
    scene.origin.answer = () =>
      response(
        "200 OK",
        "ok",
        "Keep-Alive: timeout=50",
        "Proxy-Connection: keep-alive",
        "Upgrade: h2c",
        "Connection: X-Hop",
        "X-Hop: 1",
        "X-End: 1",
      );
    const { headers: answer } = await scene.ask(
      get(
        "/",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "TE: gzip",
        "Upgrade: websocket",
        "HTTP2-Settings: x",
      ),
    );
    const { headers } = scene.origin.requests[0]!;
    for (const name of ["keep-alive", "proxy-connection", "te", "upgrade", "http2-settings", "connection"]) {
      assert.equal(headers.get(name), undefined, `request: ${name}`);
    }
    for (const name of ["keep-alive", "proxy-connection", "upgrade", "connection", "x-hop"]) {
      assert.equal(answer.get(name), undefined, `response: ${name}`);
    }
    assert.equal(answer.get("x-end"), "1");
  },
);

stage.test("TE: trailers is passed on as our own option (RFC 9110 §10.1.4)", {}, async (scene) => {
  const { headers } = await forwarded(scene, get("/", "TE: trailers, gzip", "Connection: TE"));
  assert.equal(headers.get("te"), "trailers");
  assert.equal(headers.get("connection")?.toLowerCase(), "te");
});

stage.test(
  "trailers of a response pass, nominated and forbidden ones do not (RFC 9110 §6.5.1)",
  {},
  async (scene) => {
    scene.origin.answer = () =>
      "HTTP/1.1 200 OK\r\nConnection: X-Nominated\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\nX-Nominated: 1\r\nSet-Cookie: a=b\r\nContent-Length: 9\r\n\r\n";
    const { client } = await scene.ask(get("/"));
    assert.match(client.text, /\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n$/);
  },
);

stage.test("h2c is never passed on (RFC 9110 §7.8)", {}, async (scene) => {
  const { headers } = await forwarded(
    scene,
    get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
  );
  assert.equal(headers.get("upgrade"), undefined);
  assert.equal(headers.get("http2-settings"), undefined);
});

stage.test("Upgrade in an HTTP/1.0 request is ignored (RFC 9110 §7.8)", {}, async (scene) => {
  const { headers } = await forwarded(
    scene,
    "GET / HTTP/1.0\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
  );
  assert.equal(headers.get("upgrade"), undefined);
});

stage.test(
  "the server is spoken to in HTTP/1.1 whatever the client speaks; Via tells (RFC 9110 §6.2, §7.6.3)",
  {},
  async (scene) => {
    const old = await forwarded(scene, "GET /old HTTP/1.0\r\nHost: test\r\n\r\n");
    assert.equal(old.line, "GET /old HTTP/1.1");
    assert.equal(old.headers.get("via"), "1.0 holdfast");
    const recent = await forwarded(scene, get("/new"));
    assert.equal(recent.line, "GET /new HTTP/1.1");
    assert.equal(recent.headers.get("via"), "1.1 holdfast");
  },
);

stage.test("via: false sends no Via of our own", { http: { via: false } }, async (scene) => {
  const { headers } = await forwarded(scene, get("/"));
  assert.equal(headers.get("via"), undefined);
});

stage.test(
  "X-Forwarded-For is continued, -Proto and -Host are ours alone for a peer that is not trusted",
  {},
  async (scene) => {
    const { headers } = await forwarded(
      scene,
      get(
        "/",
        "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-For: 5.6.7.8",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil",
      ),
    );
    assert.equal(headers.get("x-forwarded-for"), "1.2.3.4, 5.6.7.8, 127.0.0.1");
    assert.equal(headers.get("x-forwarded-proto"), "http");
    assert.equal(headers.get("x-forwarded-host"), "test");
  },
);

stage.test(
  "trusted_proxies: their X-Forwarded-Proto and -Host are passed on",
  { http: { trusted_proxies: ["127.0.0.0/8"] } },
  async (scene) => {
    const { headers } = await forwarded(
      scene,
      get("/", "X-Forwarded-Proto: https", "X-Forwarded-Host: outside"),
    );
    assert.equal(headers.get("x-forwarded-proto"), "https");
    assert.equal(headers.get("x-forwarded-host"), "outside");
    assert.equal(headers.get("x-forwarded-for"), "127.0.0.1");
  },
);

stage.test(
  "trusted_proxies: others are still not believed",
  { http: { trusted_proxies: ["10.0.0.0/8"] } },
  async (scene) => {
    const { headers } = await forwarded(scene, get("/", "X-Forwarded-Proto: https"));
    assert.equal(headers.get("x-forwarded-proto"), "http");
  },
);

for (const method of ["OPTIONS", "TRACE"]) {
  stage.test(`Max-Forwards: 0 on ${method} is answered here (RFC 9110 §7.6.2)`, {}, async (scene) => {
    const { status, head, headers } = await scene.ask(
      `${method} / HTTP/1.1\r\nHost: test\r\nMax-Forwards: 0\r\n\r\n`,
    );
    assert.equal(status, method === "OPTIONS" ? 200 : 405);
    if (method === "OPTIONS") assert.match(head, /^HTTP\/1\.1 200 OK\r\n/);
    else assert.ok(headers.has("allow"), "a 405 carries Allow (RFC 9110 §15.5.6)");
    assert.equal(scene.origin.requests.length, 0);
  });
  stage.test(`Max-Forwards of ${method} is counted down (RFC 9110 §7.6.2)`, {}, async (scene) => {
    const { headers } = await forwarded(
      scene,
      `${method} / HTTP/1.1\r\nHost: test\r\nMax-Forwards: 5\r\n\r\n`,
    );
    assert.equal(headers.get("max-forwards"), "4");
  });
}

stage.test("Max-Forwards means nothing on GET (RFC 9110 §7.6.2)", {}, async (scene) => {
  const { headers } = await forwarded(scene, get("/", "Max-Forwards: 0"));
  assert.equal(headers.get("max-forwards"), "0");
});

stage.test(
  "an absolute-form target becomes origin-form, its authority the Host (RFC 9112 §3.2.2)",
  {},
  async (scene) => {
    const request = await forwarded(
      scene,
      "GET http://Real.example:8080/p?q=1 HTTP/1.1\r\nHost: other\r\nX: 1\r\n\r\n",
    );
    assert.equal(request.line, "GET /p?q=1 HTTP/1.1");
    assert.equal(request.headers.get("host"), "Real.example:8080");
    assert.equal(request.headers.get("x-forwarded-host"), "Real.example:8080");
  },
);

stage.test(
  "an absolute-form target without a path asks for /, OPTIONS for * (RFC 9112 §3.2.4)",
  {},
  async (scene) => {
    assert.equal(
      (await forwarded(scene, "GET http://a.example HTTP/1.1\r\nHost: x\r\n\r\n")).line,
      "GET / HTTP/1.1",
    );
    assert.equal(
      (await forwarded(scene, "GET http://a.example?q HTTP/1.1\r\nHost: x\r\n\r\n")).line,
      "GET /?q HTTP/1.1",
    );
    assert.equal(
      (await forwarded(scene, "OPTIONS http://a.example HTTP/1.1\r\nHost: x\r\n\r\n")).line,
      "OPTIONS * HTTP/1.1",
    );
    assert.equal(
      (await forwarded(scene, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")).line,
      "OPTIONS * HTTP/1.1",
    );
  },
);

stage.test(
  "an HTTP/1.0 request without Host gets one, since HTTP/1.1 demands it (RFC 9112 §3.2)",
  {},
  async (scene) => {
    const { headers } = await forwarded(scene, "GET / HTTP/1.0\r\n\r\n");
    assert.equal(headers.get("host"), scene.name);
  },
);

stage.test(
  "everything else passes as it came: order, case, repetition, obs-text (RFC 9110 §5.3, §5.5)",
  {},
  async (scene) => {
    const lines = [
      "x-lower: a",
      "X-Multi: 1",
      "X-Multi: 2",
      "X-Bytes: \xe9\x80\xff",
      "X-Empty:",
      "X-Space:\t a b \t",
      "Trailer: T",
    ];
    const { head } = await forwarded(scene, get("/a%2Fb;c?d=%20", ...lines));
    assert.ok(
      head.startsWith(
        "GET /a%2Fb;c?d=%20 HTTP/1.1\r\nHost: test\r\nx-lower: a\r\nX-Multi: 1\r\nX-Multi: 2\r\nX-Bytes: \xe9\x80\xff\r\nX-Empty:",
      ),
    );
    assert.match(head, /\r\nX-Space:\s*a b\s*\r\n/);
  },
);

stage.test(
  "a response gets a Date when it has none, and keeps its own (RFC 9110 §6.6.1)",
  {},
  async (scene) => {
    const { client, headers } = await scene.ask(get("/"));
    assert.ok(Math.abs(Date.parse(headers.get("date")!) - Date.now()) < 5000);
    const own = "Tue, 15 Nov 1994 08:12:31 GMT";
    scene.origin.answer = () => response("200 OK", "ok", `Date: ${own}`);
    await client.write(get("/"));
    assert.equal((await client.readResponse()).headers.get("date"), own);
  },
);

stage.test("a status without a reason, an unknown one and a long reason pass", {}, async (scene) => {
  const client = await scene.connect();
  for (const line of ["HTTP/1.1 200 ", "HTTP/1.1 299 Quite \xfc good", `HTTP/1.1 599 ${"x".repeat(500)}`]) {
    scene.origin.answer = () => `${line}\r\nContent-Length: 0\r\n\r\n`;
    await client.write(get("/"));
    assert.ok((await client.readResponse()).head.startsWith(`${line}\r\n`));
  }
  scene.origin.answer = () => "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n";
  await client.write(get("/"));
  assert.ok((await client.readResponse()).head.startsWith("HTTP/1.1 200 \r\n"));
});
