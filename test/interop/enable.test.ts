/**
 * `holdfast enable` and `undo` on real servers that know nothing of it: nginx, HAProxy, Redis, PostgreSQL. The listener's new options are
 * inherited by the connections it accepts from then on; live connections get theirs; undo puts all back.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, readdirSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import test, { type TestContext } from "node:test";
import { findLiveSockets } from "../../src/doctor/live-sockets.ts";
import { borrowDescriptor } from "../../src/sys/pidfd.ts";
import { close } from "../../src/sys/socket.ts";
import { getSocketOptions } from "../../src/sys/socket-options.ts";
import { getTcpInfo } from "../../src/sys/tcp-info.ts";
import { foreignConnections } from "../harness/foreign-sockets.ts";
import { holdfastMain, makeScratchDirectory } from "../harness/paths.ts";
import { type PeerName, peerPath, requirePeer, skipOrFail } from "../harness/peers.ts";
import {
  eventually,
  freePort,
  type Program,
  Program as ProgramClass,
  startProgram,
} from "../harness/program.ts";

interface Server {
  readonly peer: PeerName;
  readonly start: (directory: string, port: number) => { args: string[] };
  /** Redis sets SO_KEEPALIVE itself on what it accepts (tcp-keepalive 300), unless it is told not to. */
}

const SERVERS: readonly Server[] = [
  {
    peer: "nginx",
    start: (directory, port) => {
      const file = path.join(directory, "nginx.conf");
      const text = `daemon off; master_process off; pid ${directory}/nginx.pid; error_log stderr;
events {} http { access_log off; keepalive_timeout 1h; client_header_timeout 1h;
server { listen 127.0.0.1:${port}; location / { return 204; } } }`;
      writeFileSync(file, text);
      return { args: ["-p", directory, "-c", file] };
    },
  },
  {
    peer: "haproxy",
    start: (directory, port) => {
      const file = path.join(directory, "haproxy.cfg");
      const text = `defaults
  mode http
  timeout client 1h
  timeout server 1h
  timeout connect 5s
frontend web
  bind 127.0.0.1:${port}
  http-request return status 204
`;
      writeFileSync(file, text);
      return { args: ["-db", "-f", file] };
    },
  },
  {
    peer: "redis-server",
    start: (directory, port) => ({
      args: [
        "--port",
        String(port),
        "--bind",
        "127.0.0.1",
        "--tcp-keepalive",
        "0",
        "--save",
        "",
        "--dir",
        directory,
      ],
    }),
  },
];

async function connected(t: TestContext, port: number): Promise<net.Socket> {
  const socket = net.connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

for (const { peer, start } of SERVERS) {
  test(`enable and undo on a running ${peer}: live connections, and new ones through its listener`, async (t) => {
    if (!requirePeer(t, peer)) return;
    const scratch = makeScratchDirectory("enable");
    t.after(scratch.remove);
    chmodSync(scratch.directory, 0o755);
    const port = await freePort();
    const server = await startProgram({
      name: peer,
      command: peerPath(peer),
      ...start(scratch.directory, port),
      ready: [{ host: "127.0.0.1", port }],
    });
    t.after(() => server.stop("SIGKILL"));
    const holdfast = async (...words: string[]): Promise<string> => {
      const program: Program = new ProgramClass({
        name: `holdfast ${words[0]}`,
        command: process.execPath,
        args: [holdfastMain, ...words],
        env: { XDG_STATE_HOME: scratch.directory },
      });
      t.after(() => program.stop("SIGKILL"));
      await program.exited(10_000);
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(program.child.exitCode, 0, program.stderr + program.stdout);
      return program.stdout;
    };
    const optionsFor = (socket: net.Socket) =>
      eventually("the server has accepted", 3000, () => {
        const found = foreignConnections(server.pid).find((it) => it.peerPort === socket.localPort);
        return found && { ...found.tcpKeepalive, userTimeoutMs: found.tcpUserTimeoutMs };
      });
    const wanted = {
      enabled: true,
      idleSeconds: 61,
      intervalSeconds: 11,
      probeCount: 4,
      userTimeoutMs: 100_000,
    };
    const words = ["enable", `pid:${server.pid}`, `port:${port}`, "--so-keepalive", "61s:11s:4"];
    words.push("--tcp-user-timeout", "100s");

    const first = await connected(t, port);
    const before = await optionsFor(first);
    assert.equal(before.enabled, false);
    await holdfast(...words, "--dry-run");
    assert.deepEqual(await optionsFor(first), before, "a dry run changes nothing");
    const said = await holdfast(...words);
    assert.match(said, /\(1 listening\): 2 set/);
    assert.deepEqual(await optionsFor(first), wanted, "the live connection");
    const second = await connected(t, port);
    assert.deepEqual(await optionsFor(second), wanted, "inherited from the listener");
    assert.match(await holdfast(...words), /: 3 already so/);

    assert.match(await holdfast("undo"), /put back: SO_KEEPALIVE off/);
    assert.deepEqual(await optionsFor(first), before);
    const third = await connected(t, port);
    assert.deepEqual(await optionsFor(third), before, "the listener is as before");
    assert.deepEqual(await optionsFor(second), wanted, "what was inherited meanwhile stays");
  });
}

test("undo says so when the process has ended, and forgets the run", async (t) => {
  const scratch = makeScratchDirectory("undo");
  t.after(scratch.remove);
  const script = `const net=require("net");const s=net.createServer().listen(0,"127.0.0.1",()=>console.log("ready "+s.address().port))`;
  const start = () =>
    startProgram({ name: "victim", command: process.execPath, args: ["-e", script], readyLine: "ready" });
  const victim = await start();
  t.after(() => victim.stop("SIGKILL"));
  const run = async (...words: string[]): Promise<string> => {
    const program = new ProgramClass({
      name: "holdfast",
      command: process.execPath,
      args: [holdfastMain, ...words],
      env: { XDG_STATE_HOME: scratch.directory },
    });
    await program.exited(10_000);
    await new Promise((resolve) => setImmediate(resolve));
    return program.stdout + program.stderr;
  };
  await run("enable", `pid:${victim.pid}`, "--so-keepalive", "on");
  assert.match(await run("undo", "--list"), /holdfast enable pid:/);
  await victim.stop("SIGKILL");
  assert.match(await run("undo", "last"), /the process has ended/);
  assert.match(await run("undo"), /nothing to undo/);
});

/** A listener that a child shares, as nginx's workers and HAProxy's next worker do. */
const SHARED_LISTENER = `
const { spawn } = require("node:child_process");
const code = "process.on('message', (_, server) => { globalThis.kept = server; process.send('have'); })";
const child = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
const server = require("node:net").createServer().listen(0, "127.0.0.1", () => child.send("take", server));
child.on("message", () => console.log("ready", child.pid));
child.on("exit", () => console.log("child ended"));`;

test("undo finds a listener again in the process that shares it, when the one it was changed through has ended (reload)", async (t) => {
  const scratch = makeScratchDirectory("undo-shared");
  t.after(scratch.remove);
  const owner = await startProgram({
    name: "owner",
    command: process.execPath,
    args: ["-e", SHARED_LISTENER],
    readyLine: "ready",
  });
  t.after(() => owner.stop("SIGKILL"));
  const child = Number(/ready (\d+)/.exec(owner.stdout)?.[1]);
  const run = async (...words: string[]): Promise<string> => {
    const program = new ProgramClass({
      name: "holdfast",
      command: process.execPath,
      args: [holdfastMain, ...words],
      env: { XDG_STATE_HOME: scratch.directory },
    });
    await program.exited(10_000);
    await new Promise((resolve) => setImmediate(resolve));
    return program.stdout + program.stderr;
  };
  const optionsOfOwner = () => {
    const [listener] = findLiveSockets([{ kind: "pid", pid: owner.pid }]).sockets;
    return optionsOf(owner.pid, listener!.holder.fd);
  };
  const before = optionsOfOwner();
  assert.match(await run("enable", `pid:${child}`, "--so-keepalive", "61s:11s:4"), /1 set/);
  assert.equal(optionsOfOwner().idleSeconds, 61);
  process.kill(child, "SIGKILL");
  await eventually("the child has ended", 3000, () => owner.stdout.includes("child ended"));
  assert.match(await run("undo"), /put back: SO_KEEPALIVE off/);
  assert.deepEqual(optionsOfOwner(), before);
});

test("a full disk: probe and enable leave alone what they cannot write down, put back what they could, and undo still works", async (t) => {
  if (process.geteuid?.() !== 0) return t.skip("mounting a small file system needs root");
  if (!requirePeer(t, "unshare")) return;
  const script = `const net=require("node:net");const s=net.createServer(c=>c.on("error",()=>{})).listen(0,"127.0.0.1",()=>{
let n=0;for(let i=0;i<30;i++)net.connect(s.address().port,"127.0.0.1",()=>{if(++n===30)console.log("ready")})})`;
  const command = { name: "victim", command: process.execPath, args: ["-e", script], readyLine: "ready" };
  const victim = await startProgram(command);
  t.after(() => victim.stop("SIGKILL"));
  const scratch = makeScratchDirectory("full");
  t.after(scratch.remove);
  const holdfast = `"${process.execPath}" "${holdfastMain}"`;
  const steps = [
    `mount -t tmpfs -o size=8k none "${scratch.directory}"`,
    `${holdfast} probe pid:${victim.pid} --json`,
    `echo "probe $?"`,
    `${holdfast} enable pid:${victim.pid} --so-keepalive 61s:11s:4`,
    `echo "enable $?"`,
    `${holdfast} undo`,
    `echo "undo $?"; ls "${scratch.directory}/holdfast/undo"`,
  ];
  // What was heard within a second is not probed, and not written down.
  await eventually("a second of quiet", 5000, () => quietMs(victim.pid) > 1200);
  const program = new ProgramClass({
    name: "full",
    command: peerPath("unshare"),
    args: ["-m", "sh", "-c", steps.join("\n")],
    env: { XDG_STATE_HOME: scratch.directory },
  });
  assert.equal(await program.exited(20_000).then(() => program.child.exitCode), 0, program.stderr);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(program.stderr, "");
  assert.match(program.stdout, /"verdict": "refused"/);
  assert.match(program.stdout, /\nprobe 1\n/);
  assert.match(
    program.stdout,
    /FAILED: left as it was: the undo journal cannot be written, the disk is full/,
  );
  assert.match(program.stdout, /\nenable 1\n/);
  assert.match(program.stdout, /\nundo 0\n$/, "the journal is gone, too");
  const left = foreignConnections(victim.pid).filter(({ tcpKeepalive }) => tcpKeepalive.idleSeconds !== 7200);
  assert.deepEqual(left, [], "everything is as it was");
});

/** How long the quietest-for-the-shortest-time connection of a process has heard nothing. */
function quietMs(pid: number): number {
  const looks = findLiveSockets([{ kind: "pid", pid }]).sockets.map(({ holder }) => {
    const fd = borrowDescriptor(pid, holder.fd);
    try {
      return getTcpInfo(fd)?.lastAckReceivedMs ?? 0;
    } finally {
      close(fd);
    }
  });
  return Math.min(...looks.filter((ms) => ms > 0));
}

test("undo leaves a descriptor alone that is another socket by now, and a value that somebody else has changed since", async (t) => {
  const scratch = makeScratchDirectory("undo-reused");
  t.after(scratch.remove);
  // On a line of input it closes its first listener and opens another, which gets the number.
  const script = `const net=require("node:net");const open=()=>net.createServer().listen(0,"127.0.0.1");
const kept=open();const first=open();first.on("listening",()=>console.log("ready "+first._handle.fd+" "+kept._handle.fd));
process.stdin.once("data",()=>first.close(()=>{const second=open();second.on("listening",()=>console.log("second "+second._handle.fd))}))`;
  const command = { name: "victim", command: process.execPath, args: ["-e", script], readyLine: "ready" };
  const victim = await startProgram(command);
  t.after(() => victim.stop("SIGKILL"));
  const [, first, kept] = /ready (\d+) (\d+)/.exec(victim.stdout) ?? [];
  const run = async (state: string, ...words: string[]): Promise<string> => {
    const program = new ProgramClass({
      name: "holdfast",
      command: process.execPath,
      args: [holdfastMain, ...words],
      env: { XDG_STATE_HOME: path.join(scratch.directory, state) },
    });
    await program.exited(10_000);
    await new Promise((resolve) => setImmediate(resolve));
    return program.stdout + program.stderr;
  };
  await run("a", "enable", `pid:${victim.pid}`, "--so-keepalive", "61s:11s:4");
  victim.child.stdin?.write("\n");
  const second = await eventually("another socket", 3000, () => /second (\d+)/.exec(victim.stdout)?.[1]);
  assert.equal(second, first, "the number is used again");
  // The same values by another hand: only the inode tells that these are not ours.
  await run("b", "enable", `fd:${victim.pid}/${second}`, "--so-keepalive", "61s:11s:4");
  await run("b", "enable", `fd:${victim.pid}/${kept}`, "--so-keepalive", "99s::");
  const said = await run("a", "undo");
  assert.match(said, /the socket is closed/);
  assert.match(said, /put back: SO_KEEPALIVE off, .*; left TCP_KEEPIDLE, which was changed since/);
  assert.equal(optionsOf(victim.pid, Number(second)).idleSeconds, 61);
  assert.equal(optionsOf(victim.pid, Number(second)).isKeepaliveOn, true);
  const { isKeepaliveOn, idleSeconds, probeCount } = optionsOf(victim.pid, Number(kept));
  assert.deepEqual([isKeepaliveOn, idleSeconds, probeCount], [false, 99, 9]);
});

function optionsOf(pid: number, number: number) {
  const fd = borrowDescriptor(pid, number);
  try {
    return getSocketOptions(fd);
  } finally {
    close(fd);
  }
}

test("enable and undo on a running PostgreSQL: the postmaster's listener and a backend, a process of its own", async (t) => {
  const programs = findPostgres();
  if (programs === undefined || process.geteuid?.() !== 0) {
    skipOrFail(
      t,
      "needs root, and PostgreSQL's server below /usr/lib/postgresql: apt-get install postgresql",
    );
    return;
  }
  const scratch = makeScratchDirectory("postgres");
  t.after(scratch.remove);
  const data = path.join(scratch.directory, "data");
  chmodSync(scratch.directory, 0o777);
  const asPostgres = ["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"];
  const made = ["initdb", "-D", data, "-A", "trust", "-N"];
  execFileSync("setpriv", [...asPostgres, path.join(programs, made[0]!), ...made.slice(1)], {
    stdio: "ignore",
  });
  const port = await freePort();
  const words = ["-D", data, "-p", String(port), "-k", scratch.directory, "-h", "127.0.0.1"];
  const server = await startProgram({
    name: "postgres",
    prefix: ["setpriv", ...asPostgres],
    command: path.join(programs, "postgres"),
    args: words,
    ready: [{ host: "127.0.0.1", port }],
  });
  t.after(() => server.stop("SIGINT"));
  const socket = await eventually("PostgreSQL has started", 10_000, () => loggedIn(t, port));
  const run = (...rest: string[]): string =>
    execFileSync(process.execPath, [holdfastMain, ...rest], {
      encoding: "utf8",
      env: { ...process.env, XDG_STATE_HOME: scratch.directory },
    });
  const selector = ["process:postgres", `port:${port}`];
  const options = ["--so-keepalive", "61s:11s:4", "--tcp-user-timeout", "100s"];
  const backend = () =>
    findLiveSockets([
      { kind: "process", name: "postgres" },
      { kind: "port", port },
    ]).sockets.filter(({ subject }) => subject.remotePort === socket.localPort)[0]!.holder;
  const before = optionsOf(backend().pid, backend().fd);
  assert.match(run("enable", ...selector, ...options), /2 sockets \(1 listening\): 2 set/);
  assert.notEqual(backend().pid, server.pid);
  assert.deepEqual(optionsOf(backend().pid, backend().fd), {
    isKeepaliveOn: true,
    idleSeconds: 61,
    intervalSeconds: 11,
    probeCount: 4,
    userTimeoutMs: 100_000,
  });
  run("undo");
  assert.deepEqual(optionsOf(backend().pid, backend().fd), before);
});

/** PostgreSQL, "Message Flow": StartupMessage 3.0, answered with R (authentication) when it is ready, else with E. */
async function loggedIn(t: TestContext, port: number): Promise<net.Socket | undefined> {
  const socket = await connected(t, port);
  socket.write(Buffer.concat([Buffer.from([0, 0, 0, 23, 0, 3, 0, 0]), Buffer.from("user\0postgres\0\0")]));
  const [data] = await Promise.race([once(socket, "data"), once(socket, "close")]);
  return Buffer.isBuffer(data) && data[0] === 0x52 ? socket : undefined;
}

function findPostgres(): string | undefined {
  try {
    const [version] = readdirSync("/usr/lib/postgresql").sort().reverse();
    return version === undefined ? undefined : `/usr/lib/postgresql/${version}/bin`;
  } catch {
    return undefined;
  }
}
