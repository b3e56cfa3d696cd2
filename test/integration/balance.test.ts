/**
 * Which pool and which server get a request, with real servers: routes by host and path, and the balancing algorithms.
 */
import assert from "node:assert/strict";
import { eventually } from "../harness/program.ts";
import { get, response, type Scene, Stage } from "../harness/stage.ts";

const stage = new Stage();

/** Lets every origin of the scene answer with its own number. */
function number(scene: Scene): void {
  for (const [index, origin] of scene.origins.entries())
    origin.answer = () => response("200 OK", String(index));
}

async function servedBy(scene: Scene, requests: readonly string[]): Promise<string> {
  let found = "";
  for (const request of requests) found += (await scene.ask(request)).body.toString();
  return found;
}

const repeat = (count: number, request: (n: number) => string): string[] =>
  Array.from({ length: count }, (_, n) => request(n));

// ── routes ─────────────────────────────────────────────────────────────────────────────────────────────────────

const ROUTES = {
  pools: { api: {}, sub: {}, v1: {}, deep: {} },
  routes: [
    { host: "api.example.org", pool: "api" },
    { host: "api.example.org", path: "/v1/", pool: "v1" },
    { host: "api.example.org", path: "/v1/deep", pool: "deep" },
    { host: "*.example.org", pool: "sub" },
    { path: "/public", pool: "main" },
  ],
};

const ROUTED: readonly (readonly [request: string, pool: string])[] = [
  ["GET / HTTP/1.1\r\nHost: api.example.org\r\n\r\n", "api"],
  ["GET / HTTP/1.1\r\nHost: API.Example.ORG:8080\r\n\r\n", "api"],
  ["GET /v1/x HTTP/1.1\r\nHost: api.example.org\r\n\r\n", "v1"],
  ["GET /v1/deep HTTP/1.1\r\nHost: api.example.org\r\n\r\n", "deep"],
  ["GET /v1/deep/er?q HTTP/1.1\r\nHost: api.example.org\r\n\r\n", "deep"],
  ["GET /v1/deeper HTTP/1.1\r\nHost: api.example.org\r\n\r\n", "v1"],
  ["GET /v10 HTTP/1.1\r\nHost: api.example.org\r\n\r\n", "api"],
  ["GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n", "sub"],
  ["GET / HTTP/1.1\r\nHost: a.b.example.org\r\n\r\n", "sub"],
  ["GET http://api.example.org/v1/ HTTP/1.1\r\nHost: www.example.org\r\n\r\n", "v1"],
  ["GET /public HTTP/1.1\r\nHost: elsewhere\r\n\r\n", "main"],
  ["GET /public?x HTTP/1.1\r\nHost: elsewhere\r\n\r\n", "main"],
  ["GET /public HTTP/1.0\r\n\r\n", "main"],
];
stage.test(
  "host and path choose the pool, the longest path of the host winning (RFC 9112 §3.2.2 for the host)",
  ROUTES,
  async (scene) => {
    scene.origin.answer = () => response("200 OK", "main");
    for (const [name, origin] of Object.entries(scene.pools)) origin.answer = () => response("200 OK", name);
    for (const [request, pool] of ROUTED) {
      assert.equal(
        (await scene.ask(request)).body.toString(),
        pool,
        request.slice(0, request.indexOf("\r\n\r\n")),
      );
    }
  },
);

stage.test(
  "no route: 404 that says so, and the connection persists (RFC 9110 §15.5.5)",
  ROUTES,
  async (scene) => {
    const client = await scene.connect();
    for (const request of [get("/"), get("/publicity"), "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"]) {
      await client.write(request);
      const { status, body } = await client.readResponse();
      assert.equal(status, 404);
      assert.match(body.toString(), /No route of this listener/);
    }
  },
);

stage.test(
  "a HEAD without a route gets the head of that 404 only (RFC 9110 §9.3.2)",
  ROUTES,
  async (scene) => {
    const client = await scene.send(`HEAD / HTTP/1.1\r\nHost: test\r\n\r\n${get("/public")}`);
    const { status, headers } = await client.readResponse({ isHead: true });
    assert.equal(status, 404);
    assert.ok(Number(headers.get("content-length")) > 0);
    assert.equal((await client.readResponse()).status, 200);
  },
);

// ── balance ────────────────────────────────────────────────────────────────────────────────────────────────────

stage.test("round_robin takes turns", { servers: [{}, {}, {}] }, async (scene) => {
  number(scene);
  assert.equal(
    await servedBy(
      scene,
      repeat(9, () => get("/")),
    ),
    "012012012",
  );
});

stage.test(
  "round_robin spreads weights smoothly",
  { servers: [{ weight: 5 }, { weight: 1 }, { weight: 1 }] },
  async (scene) => {
    number(scene);
    assert.equal(
      await servedBy(
        scene,
        repeat(14, () => get("/")),
      ),
      "00102000010200",
    );
  },
);

stage.test(
  "least_conn takes the server with the fewest requests in progress",
  {
    servers: [{}, {}],
    pool: { balance: "least_conn" },
  },
  async (scene) => {
    number(scene);
    const release: (() => void)[] = [];
    for (const origin of scene.origins) {
      const { answer } = origin;
      origin.answer = (request, connection) =>
        request.line.includes("/slow")
          ? new Promise((resolve) => release.push(() => resolve(response("200 OK", "slow"))))
          : answer(request, connection);
    }
    const slow = await scene.send(get("/slow"));
    await eventually("the slow request arrives", 2000, () => release.length === 1);
    const busy = scene.origins[0]!.requests.length === 1 ? "0" : "1";
    assert.equal(
      await servedBy(
        scene,
        repeat(5, () => get("/")),
      ),
      (busy === "0" ? "1" : "0").repeat(5),
    );
    release[0]!();
    await slow.readResponse();
  },
);

stage.test("random uses every server", { servers: [{}, {}], pool: { balance: "random" } }, async (scene) => {
  number(scene);
  assert.deepEqual(
    [
      ...new Set(
        await servedBy(
          scene,
          repeat(40, () => get("/")),
        ),
      ),
    ].sort(),
    ["0", "1"],
  );
});

stage.test(
  "hash: uri keeps a path on its server and spreads the paths",
  { servers: [{}, {}, {}], pool: { balance: { hash: "uri" } } },
  async (scene) => {
    number(scene);
    const paths = repeat(30, (n) => get(`/path/${n}`));
    const first = await servedBy(scene, paths);
    assert.equal(await servedBy(scene, paths), first);
    assert.deepEqual([...new Set(first)].sort(), ["0", "1", "2"]);
  },
);

stage.test(
  "hash: header keeps a value on its server, whatever the path",
  { servers: [{}, {}, {}], pool: { balance: { hash: "header:X-User" } } },
  async (scene) => {
    number(scene);
    const first = await servedBy(
      scene,
      repeat(30, (n) => get("/", `x-USER: u${n}`)),
    );
    assert.equal(
      await servedBy(
        scene,
        repeat(30, (n) => get(`/other/${n}`, `X-User: u${n}`)),
      ),
      first,
    );
    assert.deepEqual([...new Set(first)].sort(), ["0", "1", "2"]);
  },
);

stage.test(
  "hash: source keeps a client on its server",
  { servers: [{}, {}, {}], pool: { balance: { hash: "source" } } },
  async (scene) => {
    number(scene);
    assert.equal(
      new Set(
        await servedBy(
          scene,
          repeat(6, (n) => get(`/${n}`)),
        ),
      ).size,
      1,
    );
  },
);

stage.test(
  "hash: when a server is gone its share moves, and only its share",
  { servers: [{}, {}, {}], pool: { balance: { hash: "uri" } } },
  async (scene) => {
    number(scene);
    const paths = repeat(30, (n) => get(`/path/${n}`));
    const before = await servedBy(scene, paths);
    await scene.origins[1]!.refuse();
    const afterwards = await servedBy(scene, paths);
    for (const [n, server] of [...before].entries()) {
      if (server === "1") assert.notEqual(afterwards[n], "1");
      else assert.equal(afterwards[n], server, `path ${n} stays`);
    }
  },
);
