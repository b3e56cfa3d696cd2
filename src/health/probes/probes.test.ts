/** Tests of the probes against real servers on 127.0.0.1: what is good, what is not, and the reason each gives. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { createServer as createTlsServer, TLSSocket } from "node:tls";
import type { HttpCheckConfig, SocketAddress } from "../../config/types.ts";
import { encodeOwnProxyHeader } from "../../proxy-protocol/proxy-header.ts";
import type { Probe, ProbeResult } from "../probe.ts";
import { createProbe } from "./create.ts";
import { ExecProbe } from "./exec.ts";
import { HttpProbe } from "./http.ts";
import { RedisProbe } from "./redis.ts";
import { TcpProbe } from "./tcp.ts";
import { TEST_CERTIFICATE, TEST_CERTIFICATE_END, TEST_KEY } from "./tls-fixtures.ts";

const servers: Server[] = [];
const sockets = new Set<Socket>();

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers.splice(0)) server.close();
});

async function listen(server: Server): Promise<SocketAddress> {
  servers.push(server);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { family: "inet", host: "127.0.0.1", port: (server.address() as { port: number }).port };
}

/** A server that answers every request (a line with a line end) in these pieces, and then ends, unless it is to stay. */
function answering(pieces: readonly string[], options: { stays?: boolean } = {}): Promise<SocketAddress> {
  return listen(
    createServer((socket) => {
      socket.once("data", async () => {
        for (const piece of pieces) {
          socket.write(piece, "latin1");
          await new Promise((resolve) => setImmediate(resolve));
        }
        if (options.stays !== true) socket.end();
      });
    }),
  );
}

function ask(probe: Probe): Promise<ProbeResult> {
  return new Promise((resolve) => probe.start(resolve));
}

async function refusingAddress(): Promise<SocketAddress> {
  const server = createServer();
  const address = await listen(server);
  server.close();
  await once(server, "close");
  return address;
}

const HTTP: HttpCheckConfig = {
  kind: "http",
  tls: false,
  verify: true,
  method: "GET",
  path: "/healthz",
  host: undefined,
  headers: [],
  status: [[200, 399]],
  bodyContains: undefined,
  bodyMatches: undefined,
};

test("TcpProbe succeeds when the server accepts, and says why it does not", async () => {
  const address = await answering([]);
  assert.deepEqual(await ask(new TcpProbe(address, undefined, undefined)), {
    ok: true,
    reason: "accepts connections",
  });
  const refused = { ok: false, reason: "connection refused" };
  assert.deepEqual(await ask(new TcpProbe(await refusingAddress(), undefined, undefined)), refused);
  const missing = { ok: false, reason: "there is no such UNIX socket" };
  assert.deepEqual(
    await ask(new TcpProbe({ family: "unix", path: "/nowhere/x" }, undefined, undefined)),
    missing,
  );
});

test("TcpProbe sends and waits for what is expected, in whatever pieces it comes, again with every check", async () => {
  const probe = new TcpProbe(await answering(["22", "0 rea", "dy\r\n"]), "HELO\r\n", "220 ready");
  const good = { ok: true, reason: 'answered "220 ready"' };
  assert.deepEqual([await ask(probe), await ask(probe)], [good, good]);
  const other = new TcpProbe(await answering(["554 no\r\n"]), "HELO\r\n", "220");
  assert.deepEqual(await ask(other), { ok: false, reason: 'answered "554 no", not "220"' });
  const silent = new TcpProbe(await answering([]), "HELO\r\n", "220");
  assert.deepEqual(await ask(silent), {
    ok: false,
    reason: "the server closed the connection without an answer",
  });
});

test("a probe that is cancelled says nothing any more and leaves no connection", async () => {
  const address = await answering([], { stays: true });
  const accepted = once(servers.at(-1)!, "connection") as Promise<[Socket]>;
  const probe = new HttpProbe(address, HTTP);
  probe.start(() => assert.fail("it was cancelled"));
  const [socket] = await accepted;
  const closed = once(socket.resume(), "close");
  probe.cancel();
  await closed;
  probe.cancel();
});

const httpCases: readonly (readonly [
  what: string,
  pieces: readonly string[],
  check: Partial<HttpCheckConfig>,
  ProbeResult,
])[] = [
  ["a status that is wanted", ["HTTP/1.1 204 No Content\r\n\r\n"], {}, { ok: true, reason: "answered 204" }],
  [
    "a head in pieces, and interim answers before it",
    ["HTTP/1.1 100 Continue\r\n", "\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTT", "P/1.1 200 OK\r\n\r", "\n"],
    {},
    { ok: true, reason: "answered 200" },
  ],
  ["a status that is not wanted", ["HTTP/1.1 500 Oops\r\n\r\n"], {}, { ok: false, reason: "answered 500" }],
  [
    "a status out of a list",
    ["HTTP/1.1 301 Moved\r\n\r\n"],
    {
      status: [
        [200, 200],
        [301, 302],
      ],
    },
    { ok: true, reason: "answered 301" },
  ],
  [
    "what is no HTTP",
    ["SSH-2.0-OpenSSH_9.2\r\n"],
    {},
    { ok: false, reason: "The server's answer does not begin with HTTP/." },
  ],
  ["nothing", [], {}, { ok: false, reason: "the server closed the connection without an answer" }],
  [
    "a body with Content-Length that contains the text",
    ["HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall", " good"],
    { bodyContains: "all good" },
    { ok: true, reason: "answered 200 with the body that was expected" },
  ],
  [
    "a chunked body, the text across two chunks",
    ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nall \r\n", "4\r\ngood\r\n0\r\n\r\n"],
    { bodyContains: "all good" },
    { ok: true, reason: "answered 200 with the body that was expected" },
  ],
  [
    "a body that ends with the connection",
    ["HTTP/1.0 200 OK\r\n\r\nstatus: ", "42"],
    { bodyMatches: "status: \\d+$" },
    { ok: true, reason: "answered 200 with the body that was expected" },
  ],
  [
    "a body without the text",
    ["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsick"],
    { bodyContains: "good" },
    { ok: false, reason: 'answered 200, but the body "sick" does not contain "good"' },
  ],
  [
    "a body that does not match",
    ["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsick"],
    { bodyMatches: "^ok$" },
    { ok: false, reason: 'answered 200, but the body "sick" does not match /^ok$/' },
  ],
  [
    "a body that is cut short",
    ["HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nall good"],
    { bodyContains: "missing" },
    { ok: false, reason: "answered 200, but the body was cut short" },
  ],
];

for (const [what, pieces, check, expected] of httpCases) {
  test(`HttpProbe judges ${what}`, async () => {
    const probe = new HttpProbe(await answering(pieces), { ...HTTP, ...check });
    assert.deepEqual([await ask(probe), await ask(probe)], [expected, expected]);
  });
}

test("HttpProbe asks with method, path, Host and headers, and does not keep the connection", async () => {
  let request = "";
  const address = await listen(
    createServer((socket) => {
      socket.once("data", (bytes) => {
        request = bytes.toString("latin1");
        socket.end("HTTP/1.1 200 OK\r\n\r\n");
      });
    }),
  );
  const check = { ...HTTP, method: "HEAD", host: "www.example.org", headers: [["X-Probe", "1"]] as const };
  assert.deepEqual(await ask(new HttpProbe(address, check)), { ok: true, reason: "answered 200" });
  assert.equal(
    request,
    "HEAD /healthz HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: holdfast-health\r\nX-Probe: 1\r\nConnection: close\r\n\r\n",
  );
  await ask(new HttpProbe(address, HTTP));
  assert.match(request, /^GET .*\r\nHost: 127\.0\.0\.1:\d+\r\n/);
});

test("HttpProbe verifies the certificate unless told otherwise, and reports when it ends", async () => {
  const server = createTlsServer({ key: TEST_KEY, cert: TEST_CERTIFICATE }, (socket) => {
    socket.on("error", () => {}).once("data", () => socket.end("HTTP/1.1 200 OK\r\n\r\n"));
  });
  const address = await listen(server);
  const trusting = await ask(new HttpProbe(address, { ...HTTP, tls: true, verify: false }));
  assert.deepEqual(trusting, {
    ok: true,
    reason: "answered 200",
    certificateExpiresAtMs: TEST_CERTIFICATE_END,
  });
  const strict = await ask(new HttpProbe(address, { ...HTTP, tls: true }));
  assert.equal(strict.ok, false);
  assert.match(strict.reason, /self-signed certificate/);
});

test("RedisProbe takes PONG alone, after AUTH where there is a password", async () => {
  const received: string[] = [];
  const redis = (answer: string) =>
    listen(
      createServer((socket) => {
        socket.once("data", (bytes) => {
          received.push(bytes.toString());
          socket.write(answer);
        });
      }),
    );
  const outcome = async (answer: string, user?: string, password?: string) =>
    (await ask(new RedisProbe(await redis(answer), user, password))).reason;
  assert.equal(await outcome("+PONG\r\n"), "answered PONG");
  assert.equal(received.at(-1), "*1\r\n$4\r\nPING\r\n");
  assert.equal(await outcome("+OK\r\n+PONG\r\n", "me", "ä"), "answered PONG");
  assert.equal(received.at(-1), "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$2\r\nä\r\n*1\r\n$4\r\nPING\r\n");
  assert.equal(await outcome("-LOADING Redis is loading\r\n"), 'answered "LOADING Redis is loading"');
  assert.equal(await outcome("-WRONGPASS no\r\n-NOAUTH no\r\n", undefined, "x"), 'answered "WRONGPASS no"');
  assert.equal(await outcome("HTTP/1.1 400 Bad Request\r\n"), 'answered "HTTP/1.1 400 Bad Request" to PING');
});

test("RedisProbe waits for the answer to PING when the one to AUTH comes alone", async () => {
  const address = await listen(
    createServer((socket) => {
      socket.setNoDelay(true);
      socket.once("data", async () => {
        for (const part of ["+O", "K\r\n", "+PO", "NG\r\n"]) {
          socket.write(part);
          await new Promise((resolve) => setImmediate(resolve));
        }
      });
    }),
  );
  assert.deepEqual(await ask(new RedisProbe(address, undefined, "secret")), {
    ok: true,
    reason: "answered PONG",
  });
});

test("HttpProbe tells what TLS says of a server that does not speak it, in words that stay the same", async () => {
  const address = await listen(createServer((socket) => socket.write("220 mail.example.org\r\n")));
  const result = await ask(new HttpProbe(address, { ...HTTP, tls: true }));
  assert.deepEqual(result, { ok: false, reason: "TLS: wrong version number" });
});

const TARGET = {
  address: { family: "inet", host: "10.0.0.1", port: 80 } as const,
  name: "ten:80",
  pool: "web",
  sendProxy: "off" as const,
};

test("ExecProbe succeeds with exit status 0, gives what was printed, and tells the program the server", async () => {
  const run = (script: string) => ask(new ExecProbe(TARGET, ["/bin/sh", "-c", script], undefined));
  assert.deepEqual(await run("exit 0"), { ok: true, reason: "exit status 0" });
  assert.deepEqual(await run("echo bad >&2; exit 3"), { ok: false, reason: "exit status 3: bad" });
  assert.deepEqual(await run('echo "$HOLDFAST_POOL $HOLDFAST_SERVER $HOLDFAST_ADDRESS $HOLDFAST_PORT"'), {
    ok: true,
    reason: "exit status 0: web ten:80 10.0.0.1 80",
  });
  assert.deepEqual(await run("kill -9 $$"), { ok: false, reason: "killed by SIGKILL" });
  const much = await run("head -c 100000 /dev/zero | tr '\\0' x");
  assert.equal(much.reason.length, "exit status 0: ".length + 4096);
  const missing = await ask(new ExecProbe(TARGET, ["/nowhere/check"], undefined));
  assert.equal(missing.ok, false);
  assert.match(missing.reason, /^cannot be run: .*\/nowhere\/check ENOENT/);
});

for (const [what, command, reason] of [
  ["lies below a file", ["/bin/sh/check"], /^cannot be run: spawn ENOTDIR$/],
  ["has arguments that are too long", ["/bin/true", "x".repeat(200_000)], /^cannot be run: spawn E2BIG$/],
] as const) {
  test(`ExecProbe fails, and throws nothing, when the program ${what}`, async () => {
    const result = await ask(new ExecProbe(TARGET, command, undefined));
    assert.equal(result.ok, false);
    assert.match(result.reason, reason);
  });
}

test("ExecProbe does not wait for a process that the program left behind with its output open", async () => {
  const probe = new ExecProbe(TARGET, ["/bin/sh", "-c", "sleep 30 & echo $!; exit 4"], undefined);
  const { ok, reason } = await ask(probe);
  const [, pid] = /^exit status 4: (\d+)$/.exec(reason) ?? [];
  assert.ok(pid !== undefined, reason);
  process.kill(Number(pid), "SIGKILL");
  assert.equal(ok, false);
});

test("ExecProbe kills the program with its children when the check is given up", async () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-exec-"));
  try {
    const script = join(directory, "check.sh");
    const pipe = join(directory, "pipe");
    writeFileSync(script, `mkfifo ${pipe}\nsleep 1000 &\necho $! > ${pipe}\nwait\n`);
    const probe = new ExecProbe(TARGET, ["/bin/sh", script], undefined);
    probe.start(() => assert.fail("it was cancelled"));
    const childPid = Number(await readWhenThere(pipe));
    probe.cancel();
    while (isAlive(childPid)) await new Promise((resolve) => setImmediate(resolve));
  } finally {
    rmSync(directory, { recursive: true });
  }
});

/** Reading a FIFO blocks until somebody writes: in a process of its own. */
async function readWhenThere(pipe: string): Promise<string> {
  const reader = new ExecProbe(
    TARGET,
    ["/bin/sh", "-c", `until test -p ${pipe}; do :; done; cat ${pipe}`],
    undefined,
  );
  return (await ask(reader)).reason.split(": ")[1]!;
}

/** A zombie is dead, whoever will wait for it. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
}

for (const tls of [false, true]) {
  test(`createProbe() begins with a PROXY header where servers expect one${tls ? ", before TLS" : ""}`, async () => {
    const opening = encodeOwnProxyHeader("v2");
    const answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    const seen: Buffer[] = [];
    const address = await listen(
      createServer((socket) => {
        socket.once("readable", () => {
          seen.push(socket.read(opening.length));
          const secure = tls
            ? new TLSSocket(socket, { isServer: true, key: TEST_KEY, cert: TEST_CERTIFICATE })
            : socket;
          secure.on("error", () => {});
          secure.once("data", () => secure.end(answer));
        });
      }),
    );
    const target = { ...TARGET, address, sendProxy: "v2" as const };
    const environment = { execIdentity: undefined };
    const probe = createProbe({ ...HTTP, tls, verify: false }, target, environment)!;
    assert.equal((await ask(probe)).reason, "answered 200");
    assert.deepEqual(seen, [Buffer.from(opening)]);
    const refused = { ...target, address: await refusingAddress() };
    const failing = createProbe({ ...HTTP, tls, verify: false }, refused, environment)!;
    assert.equal((await ask(failing)).reason, "connection refused");
  });
}

test("createProbe() has a probe for every kind but the heartbeat that is told", () => {
  const environment = { execIdentity: undefined };
  const kindOf = (check: Parameters<typeof createProbe>[0]) =>
    createProbe(check, TARGET, environment)?.constructor.name;
  assert.equal(kindOf({ kind: "tcp", send: undefined, expect: undefined }), "TcpProbe");
  assert.equal(kindOf(HTTP), "HttpProbe");
  assert.equal(kindOf({ kind: "redis", user: undefined, password: undefined }), "RedisProbe");
  assert.equal(kindOf({ kind: "exec", command: ["true"] }), "ExecProbe");
  assert.equal(
    kindOf({ kind: "heartbeat", mode: "asked", path: "/", progressDeadlineMs: 0 }),
    "HeartbeatProbe",
  );
  assert.equal(kindOf({ kind: "heartbeat", mode: "told", deadlineMs: 1, progressDeadlineMs: 0 }), undefined);
});
