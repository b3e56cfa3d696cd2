/**
 * so_keepalive and tcp_user_timeout as the kernel has them: getsockopt(2) on the gateway's own client and server connections.
 * What an omitted part means is the system's default (tcp(7), net.ipv4.tcp_keepalive_*).
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { foreignConnections } from "../harness/foreign-sockets.ts";
import { eventually, freePort } from "../harness/program.ts";
import { startHoldfast } from "../harness/servers.ts";
import { connectWire, startScriptedOrigin } from "../harness/wire.ts";

const systemDefault = (name: string): number =>
  Number(readFileSync(`/proc/sys/net/ipv4/tcp_keepalive_${name}`, "utf8"));
const IDLE = systemDefault("time");
const INTERVAL = systemDefault("intvl");
const COUNT = systemDefault("probes");

const CASES = [
  { value: "30m::10", enabled: true, idleSeconds: 1800, intervalSeconds: INTERVAL, probeCount: 10 },
  { value: ":10s:", enabled: true, idleSeconds: IDLE, intervalSeconds: 10, probeCount: COUNT },
  { value: "::3", enabled: true, idleSeconds: IDLE, intervalSeconds: INTERVAL, probeCount: 3 },
  { value: "1h:30s:5", enabled: true, idleSeconds: 3600, intervalSeconds: 30, probeCount: 5 },
  { value: "on", enabled: true, idleSeconds: IDLE, intervalSeconds: INTERVAL, probeCount: COUNT },
  { value: "off", enabled: false, idleSeconds: IDLE, intervalSeconds: INTERVAL, probeCount: COUNT },
] as const;

for (const [index, { value, ...expected }] of CASES.entries()) {
  test(`so_keepalive ${value} is what getsockopt() reads on both legs`, async () => {
    await using origin = await startScriptedOrigin(async (connection) => {
      await connection.readRequest();
      await connection.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    const port = await freePort();
    // The two legs get different user timeouts, so that one cannot pass for the other.
    await using gateway = await startHoldfast({
      ready: [{ host: "127.0.0.1", port }],
      config: `workers: 1
listeners:
  web:
    bind: 127.0.0.1:${port}
    so_keepalive: "${value}"
    tcp_user_timeout: ${10 + index}h
    http: { routes: [{ pool: web }] }
pools:
  web:
    so_keepalive: "${value}"
    tcp_user_timeout: ${50 + index}h
    servers: ["127.0.0.1:${origin.port}"]
`,
    });
    const client = await connectWire(port);
    await client.write("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert.equal((await client.readResponse()).status, 200);

    const hourMs = 3_600_000;
    const connections = await eventually("both connections are there", 2000, () => {
      const found = foreignConnections(gateway.workerPids()[0]!);
      return found.length === 2 && found;
    });
    const downstream = connections.find((it) => it.localPort === port);
    assert.deepEqual(downstream?.tcpKeepalive, expected, "client leg");
    assert.equal(downstream?.tcpUserTimeoutMs, (10 + index) * hourMs, "client leg");
    const upstream = connections.find((it) => it.peerPort === origin.port);
    assert.deepEqual(upstream?.tcpKeepalive, expected, "server leg");
    assert.equal(upstream?.tcpUserTimeoutMs, (50 + index) * hourMs, "server leg");
    client.destroy();
  });
}
