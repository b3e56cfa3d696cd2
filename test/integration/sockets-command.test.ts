/** `holdfast sockets` and `holdfast watch` as commands: what they print and how they end. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import test, { type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { createTopology, whyNoNamespaces } from "../../src/testing/netns.ts";
import { requirePeer, skipOrFail } from "../harness/peers.ts";
import { startProgram } from "../harness/program.ts";

const holdfast = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

function run(...words: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [holdfast, ...words], { encoding: "utf8", maxBuffer: 1 << 26 });
}

async function connectedPort(t: TestContext): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  const accepted = once(server, "connection");
  const client = net.connect({ port, host: "127.0.0.1", keepAlive: true, keepAliveInitialDelay: 45_000 });
  await once(client, "connect");
  const [served] = (await accepted) as [net.Socket];
  t.after(() => {
    client.destroy();
    served.destroy();
    server.close();
  });
  return port;
}

test("sockets --json lists both ends of a connection with the options of each", async (t) => {
  const port = await connectedPort(t);
  const { status, stdout, stderr } = run(
    "sockets",
    "--json",
    "--port",
    String(port),
    "--state",
    "established",
  );
  assert.equal(status, 0, stderr);
  const { sockets, matching } = JSON.parse(stdout);
  assert.equal(matching, 2);
  const client = sockets.find((it: { remotePort: number }) => it.remotePort === port);
  const server = sockets.find((it: { localPort: number }) => it.localPort === port);
  assert.deepEqual(
    [client.keepalive, client.options.idleMs, client.options.intervalMs, client.options.probeCount],
    ["on", 45_000, 1000, 10],
  );
  assert.equal(client.detectIdleMs, 55_000);
  assert.deepEqual([server.keepalive, server.detectIdleMs], ["off", null]);
  assert.equal(client.processes[0].pid, process.pid);
});

test("sockets for humans: selectors, --unguarded and --summary", async (t) => {
  const port = await connectedPort(t);
  const table = run("sockets", `port:${port}`, `pid:${process.pid}`, "--unguarded");
  assert.equal(table.status, 0, table.stderr);
  const rows = table.stdout.split("\n").filter((line) => line.includes(`:${port} `));
  assert.equal(rows.length, 1, table.stdout);
  assert.match(rows[0]!, new RegExp(`^127\\.0\\.0\\.1:${port} .* ESTABLISHED +off .* never `));
  const summary = run("sockets", `port:${port}`, "--summary");
  assert.match(summary.stdout, new RegExp(`/${process.pid} +3 +2 +1 `));
});

test("a question that cannot be answered: exit status 2 and one sentence with the fix", () => {
  for (const [words, pattern] of [
    [["--netns", "no-such-namespace"], /there is no network namespace no-such-namespace: see ip netns list/],
    [["--pid", "4000000"], /there is no (process|network namespace)/],
    [["--state", "sleeping"], /none of open, /],
    [["--peer", "10.0.0.0/99"], /prefix length/],
    [["bogus:1"], /is no selector/],
  ] as const) {
    const { status, stderr } = run("sockets", ...words);
    assert.equal(status, 2, `${words.join(" ")}: ${stderr}`);
    assert.match(stderr, pattern);
  }
});

test("--netns NAME and --pid look into another network namespace", async (t) => {
  if (!requirePeer(t, "ip", "nsenter")) return;
  const reason = process.getuid?.() === 0 ? whyNoNamespaces() : "setns(2) needs root";
  if (reason !== undefined) return void skipOrFail(t, reason);
  await using topology = await createTopology({ nodes: ["blue"], links: [] });
  const inside = topology.inside("blue");
  const name = inside
    .find((word) => word.startsWith("--net="))!
    .split("/")
    .at(-1)!;
  const script = 'require("net").createServer().listen(7777, "127.0.0.1", () => console.log("ready"))';
  await using program = await startProgram({
    name: "listener",
    command: process.execPath,
    args: ["-e", script],
    prefix: inside,
    readyLine: "ready",
  });
  for (const words of [
    ["--netns", name],
    ["--pid", String(program.pid)],
    ["--netns", String(program.pid)],
  ]) {
    const { status, stdout, stderr } = run("sockets", "--json", ...words);
    assert.equal(status, 0, stderr);
    const { sockets } = JSON.parse(stdout);
    assert.deepEqual(
      sockets.map((it: { localPort: number; state: string; processes: { pid: number }[] }) => [
        it.localPort,
        it.state,
        it.processes[0]?.pid,
      ]),
      [[7777, "LISTEN", program.pid]],
    );
  }
});

test("watch --json records an end and closes with the summary", async (t) => {
  const server = net.createServer((socket) => socket.resume()).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as net.AddressInfo;
  const client = net.connect({ port, host: "127.0.0.1" });
  await once(client, "connect");
  await using program = await startProgram({
    name: "watch",
    command: process.execPath,
    args: [holdfast, "watch", `port:${port}`, "--interval", "200ms", "--json"],
  });
  // Its first sample must have seen the connection: it is then one that ends, not one that came and went.
  const probe = net.connect({ port, host: "127.0.0.1" });
  await once(probe, "connect");
  const seen = setInterval(() => {
    const again = net.connect({ port, host: "127.0.0.1" });
    again.on("connect", () => again.destroy());
  }, 100);
  await program.line((line) => line.includes('"event":"end"'), 10_000);
  clearInterval(seen);
  const { localPort } = client;
  client.destroy();
  probe.destroy();
  const end = JSON.parse(
    await program.line(
      (line) => line.includes(`"local":"127.0.0.1:${localPort}"`) && line.includes("closed-by-us"),
      10_000,
    ),
  );
  assert.equal(end.remote, `127.0.0.1:${port}`);
  program.child.kill("SIGINT");
  assert.equal(await program.exited(5000), 0);
  const summary = JSON.parse(program.lines.at(-1)!);
  assert.equal(summary.event, "summary");
  assert.ok(summary.ended >= 2);
});
