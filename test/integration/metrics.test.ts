/**
 * The counters and gauges of /metrics and /status beside what really happened (names: docs/reference/metrics.md).
 */
import assert from "node:assert/strict";
import { eventually } from "../harness/program.ts";
import { get, post, response, Stage } from "../harness/stage.ts";

const stage = new Stage();

stage.test("requests, responses by class, bytes and durations of a listener", {}, async (scene) => {
  scene.origin.answer = (request) => response(`${request.line.split("/")[1]!.slice(0, 3)} X`, "body");
  const client = await scene.connect();
  let sent = 0;
  for (const status of ["200", "204", "302", "404", "500", "503"]) {
    scene.origin.answer = () =>
      status === "204" ? "HTTP/1.1 204 X\r\n\r\n" : response(`${status} X`, "body");
    sent += get("/").length;
    await client.write(get("/"));
    assert.equal((await client.readResponse()).status, Number(status));
  }
  await client.write("BAD\r\n\r\n");
  assert.equal((await client.readResponse()).status, 400);
  assert.equal(await scene.metric("holdfast_listener_requests_total"), 6);
  assert.equal(await scene.metric("holdfast_listener_requests_reused_total"), 5);
  assert.equal(await scene.metric("holdfast_listener_requests_rejected_total"), 1);
  const byClass: Record<string, number> = {};
  for (const code of ["1xx", "2xx", "3xx", "4xx", "5xx"])
    byClass[code] = await scene.metric("holdfast_listener_responses_total", { code });
  assert.deepEqual(byClass, { "1xx": 0, "2xx": 2, "3xx": 1, "4xx": 2, "5xx": 2 });
  assert.equal(await scene.metric("holdfast_listener_received_bytes_total"), sent + 7);
  assert.equal(await scene.metric("holdfast_listener_sent_bytes_total"), client.text.length);
  assert.equal(await scene.metric("holdfast_listener_request_duration_seconds_count"), 6);
  assert.equal(await scene.metric("holdfast_server_responses_5xx_total"), 2);
  assert.equal(await scene.metric("holdfast_server_requests_total"), 6);
  assert.equal(await scene.metric("holdfast_server_response_duration_seconds_count"), 6);
});

stage.test(
  "gauges follow connections as they become active, idle and closed, on both legs",
  {},
  async (scene) => {
    let release: () => void = () => {};
    scene.origin.answer = async () => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return response("200 OK", "ok");
    };
    const client = await scene.connect();
    await scene.metricIs("holdfast_listener_connections_idle", 1);
    await client.write(get("/"));
    await eventually("the request arrives", 2000, () => scene.origin.requests.length === 1);
    await scene.metricIs("holdfast_listener_connections_active", 1);
    await scene.metricIs("holdfast_listener_connections_idle", 0);
    await scene.metricIs("holdfast_server_connections_active", 1);
    release();
    await client.readResponse();
    await scene.metricIs("holdfast_listener_connections_active", 0);
    await scene.metricIs("holdfast_listener_connections_idle", 1);
    await scene.metricIs("holdfast_server_connections_active", 0);
    await scene.metricIs("holdfast_server_connections_idle", 1);
    await scene.metricIs("holdfast_pool_connections_idle", 1);
    client.finish();
    (await scene.origin.connection(0)).finish();
    await scene.metricIs("holdfast_listener_connections_idle", 0);
    await scene.metricIs("holdfast_server_connections_idle", 0);
    assert.equal(await scene.metric("holdfast_listener_connections_accepted_total"), 1);
  },
);

stage.test(
  "every connection that was opened is closed and counted once, whatever became of it",
  { pool: { keepalive: 1 } },
  async (scene) => {
    scene.origin.answer = (request, connection) => {
      if (request.line.includes("/reset")) connection.reset();
      if (request.line.includes("/cut"))
        connection.socket.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx");
      if (request.line.includes("/bad")) return "nonsense\r\n\r\n";
      if (request.line.includes("/close")) return response("200 OK", "ok", "Connection: close");
      return /reset|cut/.test(request.line) ? "" : response("200 OK", "ok");
    };
    const requests = [
      get("/"),
      get("/close"),
      get("/reset"),
      get("/cut"),
      get("/bad"),
      post("/", "x"),
      "BAD\r\n\r\n",
      get("/", "Connection: close"),
    ];
    for (const request of requests) {
      const client = await scene.send(request);
      await client.readHead();
      client.finish();
      await client.ended;
    }
    const sum = (closes: Record<string, number>): number =>
      Object.values(closes).reduce((total, count) => total + count, 0);
    await eventually(
      "every client's connection is counted",
      2000,
      async () => sum(await scene.closes()) === requests.length,
    );
    const opened = await scene.metric("holdfast_server_connections_opened_total");
    await eventually("every server's connection is counted, or idle", 2000, async () => {
      const idle = await scene.metric("holdfast_server_connections_idle");
      return sum(await scene.upstreamCloses()) + idle === opened;
    });
    assert.equal(scene.origin.connections.length, opened);
    await scene.metricIs("holdfast_server_connections_active", 0);
    await scene.metricIs("holdfast_listener_connections_active", 0);
  },
);

stage.test("/status tells of the same listener, pool and server", {}, async (scene) => {
  await scene.ask(get("/"));
  const { status, body } = await stage.gateway.admin("GET", "/status");
  assert.equal(status, 200);
  assert.ok(body.includes(`"${scene.name}"`));
  assert.ok(body.includes(`127.0.0.1:${scene.origin.port}`));
});
