/**
 * The queue of a pool with real sockets: requests wait while every server is at max_conns, in order, bounded in number and in
 * time, and who goes away waits no longer.
 */
import assert from "node:assert/strict";
import { eventually } from "../harness/program.ts";
import { get, post, response, type Scene, Stage } from "../harness/stage.ts";

const stage = new Stage();

const ONE_AT_A_TIME = { servers: [{ max_conns: 1 }] };

/** Every request waits until the test answers it, first in, first out. */
function holdAnswers(scene: Scene): () => void {
  const held: (() => void)[] = [];
  scene.origin.answer = (request) =>
    new Promise((resolve) =>
      held.push(() => resolve(response("200 OK", request.line.split(" ")[1]! + request.body))),
    );
  return () => held.shift()!();
}

const arrived = (scene: Scene, count: number) =>
  eventually(`${count} requests at the server`, 3000, () => scene.origin.requests.length === count);

const waiting = (scene: Scene, count: number) => scene.metricIs("holdfast_pool_waiting", count);

stage.test(
  "queue: requests wait while the server is at max_conns, and are served in order",
  { ...ONE_AT_A_TIME, pool: { queue: 2, queue_timeout: "10s" } },
  async (scene) => {
    const answerNext = holdAnswers(scene);
    const clients = [];
    for (const [n, target] of ["/a", "/b", "/c"].entries()) {
      clients.push(await scene.send(get(target)));
      if (n === 0) await arrived(scene, 1);
      else await waiting(scene, n);
    }
    const refused = await scene.ask(get("/d"));
    assert.equal(refused.status, 503);
    assert.match(refused.body.toString(), /at max_conns, and the queue is full \(queue: 2\)/);
    for (const [n, target] of ["/a", "/b", "/c"].entries()) {
      answerNext();
      const { status, body } = await clients[n]!.readResponse();
      assert.deepEqual([status, body.toString()], [200, target]);
      if (n < 2) await arrived(scene, n + 2);
    }
    assert.deepEqual(
      scene.origin.requests.map((request) => request.line.split(" ")[1]),
      ["/a", "/b", "/c"],
    );
    assert.equal(scene.origin.connections.length, 1, "the released connection carries the next request");
    await waiting(scene, 0);
    assert.equal(await scene.metric("holdfast_pool_queued_total"), 2);
    assert.equal(await scene.metric("holdfast_pool_queue_refusals_total"), 1);
    assert.equal(await scene.metric("holdfast_pool_no_server_total"), 1);
  },
);

stage.test(
  "queue: a pipelined request does not overtake those who wait, though the server is free the moment it is read",
  { ...ONE_AT_A_TIME, pool: { queue: 10, queue_timeout: "10s" } },
  async (scene) => {
    const answerNext = holdAnswers(scene);
    const pipelining = await scene.send(get("/a") + get("/a2"));
    await arrived(scene, 1);
    await scene.send(get("/b"));
    await waiting(scene, 1);
    answerNext();
    await arrived(scene, 2);
    answerNext();
    await arrived(scene, 3);
    answerNext();
    assert.deepEqual(
      scene.origin.requests.map((request) => request.line.split(" ")[1]),
      ["/a", "/b", "/a2"],
    );
    await pipelining.readResponse();
    assert.equal((await pipelining.readResponse()).body.toString(), "/a2");
  },
);

stage.test(
  "queue_timeout: who has waited so long gets a 503 that says so, and its connection goes on",
  { ...ONE_AT_A_TIME, pool: { queue: 10, queue_timeout: "300ms" } },
  async (scene) => {
    const answerNext = holdAnswers(scene);
    const first = await scene.send(get("/a"));
    await arrived(scene, 1);
    const sentAtMs = performance.now();
    const { status, body, client } = await scene.ask(get("/b"));
    const waitedMs = performance.now() - sentAtMs;
    assert.equal(status, 503);
    assert.match(body.toString(), /became available within queue_timeout \(300 ms\)/);
    assert.ok(waitedMs >= 300 && waitedMs < 600, `${waitedMs} ms`);
    assert.equal(await scene.metric("holdfast_pool_queue_timeouts_total"), 1);
    answerNext();
    assert.equal((await first.readResponse()).status, 200);
    await client.write(get("/c"));
    await arrived(scene, 2);
    answerNext();
    assert.equal((await client.readResponse()).body.toString(), "/c");
  },
);

for (const end of ["FIN", "RST"] as const) {
  stage.test(
    `queue: a client that goes away (${end}) waits no longer, and its request reaches no server`,
    { ...ONE_AT_A_TIME, pool: { queue: 10, queue_timeout: "10s" } },
    async (scene) => {
      const answerNext = holdAnswers(scene);
      const first = await scene.send(get("/a"));
      await arrived(scene, 1);
      const impatient = await scene.send(get("/impatient"));
      await waiting(scene, 1);
      const patient = await scene.send(get("/patient"));
      await waiting(scene, 2);
      if (end === "FIN") impatient.finish();
      else impatient.reset();
      await waiting(scene, 1);
      answerNext();
      await first.readResponse();
      await arrived(scene, 2);
      answerNext();
      assert.equal((await patient.readResponse()).body.toString(), "/patient");
      const cause = end === "FIN" ? "peer-fin-in-queue" : "peer-reset";
      assert.equal((await scene.closes())[cause], 1);
    },
  );
}

for (const [what, bytes] of [
  ["in the middle of its body", "POST /impatient HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhalf"],
  ["behind a pipelined request", `${get("/impatient")}${get("/behind")}`],
] as const) {
  stage.test(
    `queue: the request of a client that went away ${what} reaches no server, though the client is not read`,
    { ...ONE_AT_A_TIME, pool: { queue: 10, queue_timeout: "10s" } },
    async (scene) => {
      const answerNext = holdAnswers(scene);
      const first = await scene.send(get("/first"));
      await arrived(scene, 1);
      const impatient = await scene.send(bytes);
      await waiting(scene, 1);
      const patient = await scene.send(get("/patient"));
      await waiting(scene, 2);
      await impatient.finish();
      answerNext();
      await first.readResponse();
      await arrived(scene, 2);
      answerNext();
      assert.equal((await patient.readResponse()).body.toString(), "/patient");
      await scene.closesAre({ "peer-fin-in-queue": 1 });
    },
  );
}

stage.test(
  "queue: a request waits with its body unread, which follows when its turn comes",
  { ...ONE_AT_A_TIME, pool: { queue: 10, queue_timeout: "10s" } },
  async (scene) => {
    const answerNext = holdAnswers(scene);
    const first = await scene.send(get("/a"));
    await arrived(scene, 1);
    const body = "x".repeat(2_000_000);
    const bytes = post("/b", body);
    const second = await scene.send(bytes.slice(0, 300));
    await waiting(scene, 1);
    const rest = second.write(bytes.slice(300));
    for (let look = 0; look < 5; look++) {
      const received = await scene.metric("holdfast_listener_received_bytes_total");
      assert.ok(received < 1000, `${received} bytes were read while nobody can take them`);
    }
    answerNext();
    await first.readResponse();
    await rest;
    await arrived(scene, 2);
    answerNext();
    assert.equal((await second.readResponse()).body.length, body.length + "/b".length);
  },
);

stage.test(
  "queue: those who wait move on at once when the server is gone, not after queue_timeout",
  { ...ONE_AT_A_TIME, pool: { queue: 10, queue_timeout: "20s" } },
  async (scene) => {
    holdAnswers(scene);
    const first = await scene.send(get("/a"));
    await arrived(scene, 1);
    const second = await scene.send(get("/b"));
    await waiting(scene, 1);
    await scene.origin.refuse();
    assert.equal((await first.readResponse()).status, 502);
    assert.equal((await second.readResponse()).status, 502);
  },
);

stage.test("without a queue the 503 names max_conns", ONE_AT_A_TIME, async (scene) => {
  const answerNext = holdAnswers(scene);
  const first = await scene.send(get("/a"));
  await arrived(scene, 1);
  const { status, body } = await scene.ask(get("/b"));
  assert.equal(status, 503);
  assert.match(body.toString(), /every server that is up is at max_conns/);
  answerNext();
  await first.readResponse();
});
