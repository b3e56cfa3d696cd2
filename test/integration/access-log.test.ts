/**
 * The access log as json tells the truth about every exchange, and no byte of a client can forge a line of it.
 */
import assert from "node:assert/strict";
import { eventually } from "../harness/program.ts";
import { get, post, response, type Scene, Stage } from "../harness/stage.ts";

const stage = new Stage({ accessLog: "json" });

interface Entry {
  readonly [key: string]: unknown;
}

async function entries(scene: Scene, count: number): Promise<Entry[]> {
  return (await scene.logLines(count)).map((line) => JSON.parse(line));
}

function assertEntry(entry: Entry | undefined, expected: Entry): void {
  const found = Object.fromEntries(Object.keys(expected).map((key) => [key, entry?.[key]]));
  assert.deepEqual(found, expected);
}

stage.test(
  "an exchange: who, what, where to, how long, and which request of the connection",
  {},
  async (scene) => {
    scene.origin.answer = () => response("201 Created", "hello");
    const { client } = await scene.ask(
      post("/path?q=1", "body!", "User-Agent: tester/1.0", "Referer: http://a/"),
    );
    await client.write(get("/second", "Connection: close"));
    await client.readResponse();
    const [first, second] = await entries(scene, 2);
    assertEntry(first, {
      listener: scene.name,
      client: "127.0.0.1",
      connectionRequest: 1,
      method: "POST",
      target: "/path?q=1",
      protocol: "HTTP/1.1",
      host: "test",
      userAgent: "tester/1.0",
      referer: "http://a/",
      status: 201,
      requestBodyBytes: 5,
      pool: scene.name,
      upstream: `127.0.0.1:${scene.origin.port}`,
      upstreamReused: false,
      tries: 1,
      closeCause: undefined,
    });
    assertEntry(second, {
      connection: first!.connection,
      connectionRequest: 2,
      upstreamReused: true,
      closeCause: "client-asked-close",
    });
    assert.equal(first!.bytesSent as number, client.text.indexOf("HTTP/1.1", 10));
    assert.ok((first!.durationMs as number) >= 0 && (first!.durationMs as number) < 1000);
    assert.ok(Math.abs(Date.parse(first!.time as string) - Date.now()) < 10_000);
  },
);

stage.test("an HTTP/1.0 exchange is logged as such, with the target as it came", {}, async (scene) => {
  await scene.ask("GET /old HTTP/1.0\r\n\r\n");
  assertEntry((await entries(scene, 1))[0], { protocol: "HTTP/1.0", target: "/old", method: "GET" });
});

stage.test(
  "an answer of the gateway's own: the request is there, a pool only if one was chosen",
  {
    routes: [{ path: "/ok" }],
  },
  async (scene) => {
    // The exchange's object is used again: nothing of the one before may show.
    const { client } = await scene.ask(get("/ok"));
    await client.write(get("/nowhere", "User-Agent: lost"));
    await client.readResponse();
    await scene.origin.refuse();
    await client.write(get("/ok/refused"));
    await client.readResponse();
    const [, nowhere, refused] = await entries(scene, 3);
    assertEntry(nowhere, {
      method: "GET",
      target: "/nowhere",
      userAgent: "lost",
      status: 404,
      pool: undefined,
      upstream: undefined,
      tries: 0,
    });
    assertEntry(refused, { target: "/ok/refused", status: 502, pool: scene.name, tries: 1 });
  },
);

stage.test("a refusal: its reason, and nothing of the bytes", {}, async (scene) => {
  await scene.ask("GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n");
  assertEntry((await entries(scene, 1))[0], {
    status: 400,
    rejection: "space-before-colon",
    closeCause: "bad-request",
    method: undefined,
    target: undefined,
  });
});

stage.test("a retried exchange counts its tries", { servers: [{}, {}] }, async (scene) => {
  await scene.origins[0]!.refuse();
  await scene.ask(get("/"));
  await scene.ask(get("/"));
  const tries = (await entries(scene, 2)).map((entry) => entry.tries);
  assert.deepEqual(tries.sort(), [1, 2]);
});

stage.test("a response cut short: the status it had, and why it ended", {}, async (scene) => {
  scene.origin.answer = (_request, connection) => {
    connection.socket.end("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    return "";
  };
  const client = await scene.send(get("/"));
  await client.ended;
  assertEntry((await entries(scene, 1))[0], { status: 200, closeCause: "upstream-truncated" });
});

stage.test("a client that goes away before its response", {}, async (scene) => {
  scene.origin.answer = () => "";
  const client = await scene.send(get("/gone"));
  await eventually("the request arrives", 2000, () => scene.origin.requests.length === 1);
  client.reset();
  assertEntry((await entries(scene, 1))[0], { target: "/gone", status: 0, closeCause: "peer-reset" });
});

stage.test("a tunnel: one line when it ends", {}, async (scene) => {
  scene.origin.script = async (connection) => {
    await connection.readHead();
    await connection.write(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n12345",
    );
    connection.finish();
  };
  const client = await scene.send(get("/", "Connection: upgrade", "Upgrade: x"));
  await client.readUntil("12345");
  client.finish();
  await client.ended;
  assertEntry((await entries(scene, 1))[0], {
    status: 101,
    closeCause: "tunnel-finished",
    bytesSent: client.text.length,
  });
});

stage.test("hostile bytes cannot forge a line: quotes, backslashes, escapes, obs-text", {}, async (scene) => {
  const target = '/"},{"status":200,"x":"\\u000a\\';
  const agent = '\\" \xff\xe9 <script> %0a\t"}';
  await scene.ask(get(target, `User-Agent: ${agent}`, 'Referer: "\\n'));
  const [entry] = await entries(scene, 1);
  assertEntry(entry, { target, userAgent: agent, referer: '"\\n', status: 200 });
  assert.equal((await scene.logLines(1)).length, 1);
});
