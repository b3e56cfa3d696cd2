/**
 * The PROXY protocol with the programs that are found beside the gateway: HAProxy before it (`send-proxy`, `send-proxy-v2`) and
 * behind it (`accept-proxy`), nginx behind it (`listen … proxy_protocol`). What the last in the row believes the client to
 * be must be the address of the first one's socket.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { requirePeer } from "../harness/peers.ts";
import { freePorts } from "../harness/program.ts";
import { startHaproxy, startHoldfast, startNginx } from "../harness/servers.ts";
import { get, response } from "../harness/stage.ts";
import { connectWire, startScriptedOrigin } from "../harness/wire.ts";

const TIMEOUTS = "timeout client 5s\n  timeout server 5s\n  timeout connect 5s";

/** One request from a port of our own; what the answer says. */
async function ask(port: number): Promise<{ body: string; localPort: number }> {
  const client = await connectWire(port);
  const localPort = client.socket.localPort!;
  await client.write(get("/"));
  const { status, body } = await client.readResponse();
  client.destroy();
  assert.equal(status, 200);
  return { body: body.toString(), localPort };
}

function gateway(port: number, serverPort: number, listener: object, pool: object) {
  return {
    ready: [],
    config: [
      "workers: 1",
      `listeners: ${JSON.stringify({ web: { bind: `127.0.0.1:${port}`, ...listener, http: { routes: [{ pool: "web" }] } } })}`,
      `pools: ${JSON.stringify({ web: { ...pool, servers: [`127.0.0.1:${serverPort}`] } })}`,
    ].join("\n"),
  };
}

for (const version of ["v1", "v2"]) {
  test(`nginx behind the gateway believes send_proxy: ${version}`, { timeout: 30_000 }, async (t) => {
    if (!requirePeer(t, "nginx")) return;
    const [port, behind] = await freePorts(2);
    await using _nginx = await startNginx({
      http: `server { listen 127.0.0.1:${behind} proxy_protocol; location / {
        return 200 "$proxy_protocol_addr $proxy_protocol_port to $proxy_protocol_server_port"; } }`,
      ready: [{ host: "127.0.0.1", port: behind! }],
    });
    await using _holdfast = await startHoldfast(gateway(port!, behind!, {}, { send_proxy: version }));
    for (let count = 0; count < 3; count++) {
      const { body, localPort } = await ask(port!);
      assert.equal(body, `127.0.0.1 ${localPort} to ${port}`);
    }
  });

  test(`HAProxy behind the gateway believes send_proxy: ${version}`, { timeout: 30_000 }, async (t) => {
    if (!requirePeer(t, "haproxy")) return;
    const [port, behind] = await freePorts(2);
    await using _haproxy = await startHaproxy({
      sections: `frontend front
  mode http
  ${TIMEOUTS}
  bind 127.0.0.1:${behind} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] to %[dst_port]"`,
      ready: [{ host: "127.0.0.1", port: behind! }],
    });
    await using _holdfast = await startHoldfast(gateway(port!, behind!, {}, { send_proxy: version }));
    for (let count = 0; count < 3; count++) {
      const { body, localPort } = await ask(port!);
      assert.equal(body, `127.0.0.1 ${localPort} to ${port}`);
    }
  });

  test(`the gateway behind HAProxy believes send-proxy of version ${version}`, {
    timeout: 30_000,
  }, async (t) => {
    if (!requirePeer(t, "haproxy")) return;
    const [front, port] = await freePorts(2);
    await using origin = await startScriptedOrigin(async (connection) => {
      const { headers } = await connection.readRequest();
      await connection.write(response("200 OK", headers.get("x-forwarded-for") ?? "nobody"));
    });
    await using _holdfast = await startHoldfast(
      gateway(port!, origin.port, { proxy_protocol: "accept" }, { keepalive: 0 }),
    );
    // A checksum is part of the header where HAProxy can add one.
    const options = version === "v1" ? "send-proxy" : "send-proxy-v2 proxy-v2-options crc32c,unique-id";
    await using _haproxy = await startHaproxy({
      sections: `listen front
  mode tcp
  ${TIMEOUTS}
  unique-id-format %pid-%ts
  bind 127.0.0.1:${front}
  source 127.0.0.9
  server gateway 127.0.0.1:${port} ${options}`,
      ready: [{ host: "127.0.0.1", port: front! }],
    });
    const { body } = await ask(front!);
    assert.equal(body, "127.0.0.1", "the client, and not 127.0.0.9, HAProxy's own address");
  });
}
