/** The harness itself: a raw client and a scripted origin see each other's bytes, framing and ends exactly. */
import assert from "node:assert/strict";
import test from "node:test";
import { Metrics } from "./servers.ts";
import { connectWire, parseFields, startScriptedOrigin } from "./wire.ts";

test("ScriptedOrigin and WireConnection exchange exact bytes and see a FIN", async () => {
  await using origin = await startScriptedOrigin(async (connection) => {
    const request = await connection.readRequest();
    await connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${request.body.length}\r\n\r\n`);
    await connection.write(request.body);
    connection.finish();
  });
  const client = await connectWire(origin.port);
  await client.write("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
  const response = await client.readResponse();
  assert.equal(response.status, 200);
  assert.equal(response.body.toString(), "abc");
  assert.equal((await client.ended).how, "fin");
  assert.equal(client.text, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
  assert.deepEqual(origin.failures, []);
  client.destroy();
});

test("WireConnection tells a reset from a FIN", async () => {
  await using origin = await startScriptedOrigin(async (connection) => {
    await connection.readHead();
    connection.reset();
  });
  const client = await connectWire(origin.port);
  await client.write("GET / HTTP/1.1\r\n\r\n");
  const end = await client.ended;
  assert.deepEqual([end.how, end.code], ["reset", "ECONNRESET"]);
});

test("readResponse() reads chunked and close-delimited bodies (RFC 9112 §6.3)", async () => {
  await using origin = await startScriptedOrigin(async (connection) => {
    await connection.write(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n",
    );
    await connection.write("HTTP/1.1 200 OK\r\n\r\nthe rest");
    connection.finish();
  });
  const client = await connectWire(origin.port);
  assert.equal((await client.readResponse()).body.toString(), "abcde");
  assert.equal((await client.readResponse()).body.toString(), "the rest");
  client.destroy();
});

test("readUntil() names what it waited for when the connection ends first", async () => {
  await using origin = await startScriptedOrigin(async (connection) => connection.finish());
  const client = await connectWire(origin.port);
  await assert.rejects(client.readUntil("never"), /marker "never": the connection ended first \(fin/);
  client.destroy();
});

test("parseFields() joins repeated fields", () => {
  const fields = parseFields("HTTP/1.1 200 OK\r\nVia: a\r\nvia: b\r\nX: 1:2\r\n\r\n");
  assert.deepEqual(
    [...fields],
    [
      ["via", "a, b"],
      ["x", "1:2"],
    ],
  );
});

test("Metrics.sum() adds the samples that carry all labels", () => {
  const metrics = new Metrics(
    [
      "# TYPE c counter",
      'c{side="client",cause="a"} 2',
      'c{side="client",cause="b"} 3',
      'c{side="upstream",cause="a"} 5',
      "d 7",
    ].join("\n"),
  );
  assert.equal(metrics.sum("c"), 10);
  assert.equal(metrics.sum("c", { side: "client" }), 5);
  assert.equal(metrics.sum("c", { cause: "a" }), 7);
  assert.equal(metrics.sum("c", { side: "client", cause: "a" }), 2);
  assert.equal(metrics.sum("d"), 7);
  assert.equal(metrics.sum("e"), 0);
});
