/** holdfast/tcp on real sockets: what getsockopt(2) reads after Node has done to them what it does. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import tls from "node:tls";
import { TEST_CERTIFICATE, TEST_KEY } from "../health/probes/tls-fixtures.ts";
import { getSocketOptions, setRepairMode } from "../sys/socket-options.ts";
import { probe, setTcpKeepalive, tcpInfo } from "./index.ts";
import { descriptorOf } from "./socket-fd.ts";

const WANTED = {
  isKeepaliveOn: true,
  idleSeconds: 61,
  intervalSeconds: 11,
  probeCount: 7,
  userTimeoutMs: 120_000,
};
const SETTING = "61s:11s:7";
const OPTIONS = { userTimeoutMs: 120_000 };
const TLS = { key: TEST_KEY, cert: TEST_CERTIFICATE };

function optionsOf(socket: net.Socket | net.Server) {
  const fd = descriptorOf(socket);
  assert.ok(fd !== undefined, "the socket is open");
  return getSocketOptions(fd);
}

async function listening<T extends net.Server | http2.Http2SecureServer>(
  t: TestContext,
  server: T,
): Promise<number> {
  const sockets = new Set<net.Socket>();
  server.on("connection", (socket: net.Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as net.AddressInfo).port;
}

async function pair(t: TestContext): Promise<{ near: net.Socket; far: net.Socket }> {
  const server = net.createServer();
  const port = await listening(t, server);
  const near = net.connect(port, "127.0.0.1");
  t.after(() => near.destroy());
  const [far] = (await once(server, "connection")) as [net.Socket];
  return { near, far };
}

test("setTcpKeepalive() of a socket holds before and after the connection is there, and after Node's own setKeepAlive()", async (t) => {
  const server = net.createServer();
  const port = await listening(t, server);
  const socket = net.connect({ port, host: "localhost", keepAlive: true, keepAliveInitialDelay: 5000 });
  t.after(() => socket.destroy());
  setTcpKeepalive(socket, SETTING, OPTIONS);
  await once(socket, "connect");
  assert.deepEqual(optionsOf(socket), WANTED);
  assert.equal(socket.setKeepAlive(true, 1000), socket);
  assert.deepEqual(optionsOf(socket), WANTED);
  setTcpKeepalive(socket, { idleSeconds: 99 });
  assert.equal(optionsOf(socket).idleSeconds, 99);
  socket.setKeepAlive(true, 1000);
  assert.equal(optionsOf(socket).idleSeconds, 99, "the last value counts");
  setTcpKeepalive(socket, "off");
  assert.equal(optionsOf(socket).isKeepaliveOn, false);
});

test("setTcpKeepalive() of a server is inherited by what it accepts", async (t) => {
  const server = net.createServer();
  setTcpKeepalive(server, SETTING, OPTIONS);
  const port = await listening(t, server);
  assert.deepEqual(optionsOf(server), WANTED);
  const socket = net.connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  const [accepted] = (await once(server, "connection")) as [net.Socket];
  assert.deepEqual(optionsOf(accepted), WANTED);
});

test("setTcpKeepalive() of a server wins over the server's own keepAlive: true", async (t) => {
  const server = net.createServer({ keepAlive: true, keepAliveInitialDelay: 3000 });
  const port = await listening(t, server);
  setTcpKeepalive(server, SETTING, OPTIONS);
  const socket = net.connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  const [accepted] = (await once(server, "connection")) as [net.Socket];
  assert.deepEqual(optionsOf(accepted), WANTED);
});

test("setTcpKeepalive() of a TLS socket and of an https server", async (t) => {
  const server = https.createServer(TLS);
  const port = await listening(t, server);
  setTcpKeepalive(server, SETTING, OPTIONS);
  const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
  t.after(() => socket.destroy());
  setTcpKeepalive(socket, SETTING, OPTIONS);
  const [[accepted]] = (await Promise.all([
    once(server, "secureConnection"),
    once(socket, "secureConnect"),
  ])) as [[tls.TLSSocket], unknown];
  assert.deepEqual(optionsOf(socket), WANTED);
  assert.deepEqual(optionsOf(accepted), WANTED);
  assert.equal(tcpInfo(socket)?.state, "ESTABLISHED");
});

for (const scheme of ["http", "https"] as const) {
  test(`setTcpKeepalive() of an ${scheme}.Agent holds in flight, when the socket becomes free, and when it is used again`, async (t) => {
    const module = scheme === "http" ? http : https;
    const asked: http.ServerResponse[] = [];
    const handler: http.RequestListener = (_request, response) => void asked.push(response);
    const server = scheme === "http" ? http.createServer(handler) : https.createServer(TLS, handler);
    const port = await listening(t, server);
    const agent = new module.Agent({ keepAlive: true, keepAliveMsecs: 1000, maxSockets: 1 });
    t.after(() => agent.destroy());
    setTcpKeepalive(agent, SETTING, OPTIONS);
    for (let round = 0; round < 2; round++) {
      const request = module.get({ agent, port, host: "127.0.0.1", rejectUnauthorized: false });
      await once(server, "request");
      assert.deepEqual(optionsOf(request.socket!), WANTED, `in flight, round ${round}`);
      const free = once(agent, "free") as Promise<[net.Socket]>;
      request.on("response", (response) => response.resume());
      asked.pop()!.end("ok");
      const [socket] = await free;
      assert.deepEqual(optionsOf(socket), WANTED, `free, round ${round}`);
    }
  });
}

test("http2: the socket made by createConnection keeps what was set, and the server's sockets inherit", async (t) => {
  const server = http2.createSecureServer(TLS);
  const port = await listening(t, server);
  setTcpKeepalive(server, SETTING, OPTIONS);
  const accepted = once(server, "secureConnection") as Promise<[tls.TLSSocket]>;
  const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] });
  const session = http2.connect(`https://127.0.0.1:${port}`, { createConnection: () => socket });
  t.after(() => session.destroy());
  setTcpKeepalive(socket, SETTING, OPTIONS);
  await once(session, "connect");
  assert.deepEqual(optionsOf(socket), WANTED);
  assert.deepEqual(optionsOf((await accepted)[0]), WANTED);
});

test("setTcpKeepalive() refuses what the kernel would refuse, in words", async () => {
  const socket = new net.Socket();
  assert.throws(() => setTcpKeepalive(socket, "60s"), {
    name: "TypeError",
    message: /write 60s:: with both colons/,
  });
  assert.throws(() => setTcpKeepalive(socket, { idleSeconds: 32_768 }), {
    message: /idleSeconds is 32768; .*32767/,
  });
  assert.throws(() => setTcpKeepalive(socket, { probeCount: 1.5 }), RangeError);
  assert.throws(() => setTcpKeepalive(socket, "on", { userTimeoutMs: -1 }), RangeError);
  assert.throws(() => setTcpKeepalive({} as net.Socket, "on"), TypeError);
});

test("tcpInfo() is undefined for a socket without a connection", async (t) => {
  assert.equal(tcpInfo(new net.Socket()), undefined);
  const { near } = await pair(t);
  assert.equal(typeof tcpInfo(near)?.roundTripMs, "number");
  near.destroy();
  assert.equal(tcpInfo(near), undefined);
});

/** A probe is sent only after a second without a packet. */
function quiet(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1100));
}

test("probe(): alive, dead after the peer has lost power, closed; no payload is sent and the options are as before", async (t) => {
  const { near, far } = await pair(t);
  near.on("error", () => {});
  setTcpKeepalive(near, SETTING, OPTIONS);
  await quiet();
  const before = tcpInfo(near)!;
  const [first, second] = await Promise.all([probe(near), probe(near)]);
  assert.equal(first.verdict === "alive" && first.how, "answered");
  assert.equal(second, first, "one probe answers both");
  assert.deepEqual(optionsOf(near), WANTED);
  const after = tcpInfo(near)!;
  assert.deepEqual([after.bytesAcked, after.bytesReceived], [before.bytesAcked, before.bytesReceived]);
  assert.deepEqual(await probe(new net.Socket()), { verdict: "closed" });
  const connecting = net.connect(near.remotePort!, "127.0.0.1");
  assert.deepEqual(await probe(connecting), { verdict: "no-peer", state: 2 });
  connecting.destroy();
  if (!setRepairMode(descriptorOf(far)!))
    return t.diagnostic("no CAP_NET_ADMIN: the crash of a peer is not tested");
  far.destroy();
  await quiet();
  assert.deepEqual(await probe(near), { verdict: "dead", how: "reset" });
});

test("UNIX sockets have no keepalive: an agent with socketPath works as before, probe() says what it takes", async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), "holdfast-unix-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const socketPath = path.join(directory, "http.sock");
  const server = http.createServer((_request, response) => response.end("good"));
  setTcpKeepalive(server, SETTING, OPTIONS);
  server.listen(socketPath);
  t.after(() => server.close());
  await once(server, "listening");
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  setTcpKeepalive(agent, SETTING, OPTIONS);
  const [response] = (await once(http.get({ socketPath, agent }), "response")) as [http.IncomingMessage];
  assert.equal(response.statusCode, 200);
  assert.equal(tcpInfo(response.socket), undefined);
  await assert.rejects(probe(response.socket), { name: "TypeError", message: /takes a TCP connection/ });
});
