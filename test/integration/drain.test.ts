/**
 * A worker that drains because of a reload, seen by its clients and servers: what is in progress is finished, every response says
 * close, silent clients are let go without a reset, and what is left at drain_timeout is cut (RFC 9112 §9.6).
 */
import assert from "node:assert/strict";
import { eventually } from "../harness/program.ts";
import { get, response, type Scene, Stage } from "../harness/stage.ts";

const DRAIN_MS = 1500;
const stage = new Stage({ drainTimeout: `${DRAIN_MS}ms`, replacesWorkers: true });

async function reload(): Promise<void> {
  const [before] = stage.gateway.workerPids();
  const { status, body } = await stage.gateway.admin("POST", "/reload");
  assert.equal(status, 200, body);
  await eventually("the new worker runs", 5000, () =>
    stage.gateway.workerPids().some((pid) => pid !== before),
  );
  // The old one has been told by now: it no longer has the listening sockets.
  await eventually("the old worker drains", 5000, async () =>
    (await stage.gateway.admin("GET", "/status")).body.includes('"draining"'),
  );
}

/** Requests to `/slow` wait until released. */
function holdSlow(scene: Scene): { release: () => void; isWaiting: () => boolean } {
  let release: (() => void) | undefined;
  scene.origin.answer = async (request) => {
    if (request.line.includes("/slow")) {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
    }
    return response("200 OK", "ok");
  };
  return { release: () => release!(), isWaiting: () => release !== undefined };
}

async function oldWorkerIsGone(): Promise<void> {
  await eventually(
    "the old worker has ended",
    DRAIN_MS + 3000,
    () => stage.gateway.workerPids().length === 1,
  );
}

stage.test(
  "draining: finished, told to close, let go with FIN; new connections go to the new worker (RFC 9112 §9.6)",
  {},
  async (scene) => {
    const slow = holdSlow(scene);
    const { client: speaking } = await scene.ask(get("/"));
    const { client: silent } = await scene.ask(get("/"));
    const busy = await scene.send(get("/slow"));
    await eventually("the slow request arrives", 2000, slow.isWaiting);
    await reload();

    await speaking.write(get("/"));
    const last = await speaking.readResponse();
    assert.equal(last.status, 200, "an idle client's next request is answered, not reset");
    assert.equal(last.headers.get("connection"), "close");
    assert.equal((await speaking.ended).how, "fin");
    speaking.finish();

    const { headers } = await scene.ask(get("/new"));
    assert.equal(headers.get("connection"), undefined, "the new worker's connections persist");

    assert.equal((await silent.ended).how, "fin");
    silent.finish();
    slow.release();
    const finished = await busy.readResponse();
    assert.equal(finished.status, 200);
    assert.equal(finished.headers.get("connection"), "close");
    assert.equal((await busy.ended).how, "fin");
    busy.finish();
    await oldWorkerIsGone();
    await scene.closesAre({ drain: 3 });
    assert.ok(((await scene.upstreamCloses())["upstream-drain"] ?? 0) >= 1);
  },
);

stage.test(
  "drain_timeout: an exchange that is still unfinished is cut, and counted as shutdown",
  {},
  async (scene) => {
    const slow = holdSlow(scene);
    const busy = await scene.send(get("/slow"));
    await eventually("the slow request arrives", 2000, slow.isWaiting);
    await reload();
    const startMs = performance.now();
    await busy.ended;
    assert.ok(performance.now() - startMs < DRAIN_MS + 1000);
    assert.equal(busy.text, "");
    await oldWorkerIsGone();
    await scene.closesAre({ shutdown: 1 });
  },
);

stage.test("drain_timeout: a tunnel lives until then", {}, async (scene) => {
  scene.origin.script = async (connection) => {
    await connection.readHead();
    await connection.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
  };
  const client = await scene.send(get("/", "Connection: upgrade", "Upgrade: x"));
  await client.readHead();
  await reload();
  await client.write("still");
  assert.equal((await (await scene.origin.connection(0)).readUntil("still")).slice(-5), "still");
  await client.ended;
  await oldWorkerIsGone();
  await scene.closesAre({ shutdown: 1 });
});

stage.test(
  "a response that ends late in the drain: its client is let go at once, not at the deadline",
  {},
  async (scene) => {
    let finish: (() => Promise<void>) | undefined;
    scene.origin.script = async (connection) => {
      await connection.readHead();
      await connection.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
      finish = () => connection.write("cd");
    };
    const busy = await scene.send(get("/"));
    await busy.readUntil("ab");
    const silent = await scene.send("");
    await reload();
    // Silent clients are closed at half-time.
    await silent.ended;
    silent.finish();
    await finish!();
    assert.equal((await busy.ended).how, "fin");
    busy.finish();
    await oldWorkerIsGone();
    await scene.closesAre({ drain: 2 });
  },
);

stage.test(
  "drain_timeout: a body whose end is shown by closing is cut with RST, not ended (RFC 9112 §8)",
  {},
  async (scene) => {
    scene.origin.script = async (connection) => {
      await connection.readHead();
      await connection.write("HTTP/1.1 200 OK\r\n\r\nab");
    };
    const client = await scene.send("GET / HTTP/1.0\r\n\r\n");
    await client.readUntil("ab");
    await reload();
    assert.equal((await client.ended).how, "reset");
    await oldWorkerIsGone();
    await scene.closesAre({ shutdown: 1 });
  },
);
