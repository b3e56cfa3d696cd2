/** Tests of listening-sockets.ts and unix-path.ts on real sockets of 127.0.0.1 and a temporary directory. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import type { ListenerConfig } from "../config/types.ts";
import { AF_UNIX, encodeSocketAddress } from "../sys/sockaddr.ts";
import { bind, close, streamSocket } from "../sys/socket.ts";
import { getTcpKeepalive, getTcpUserTimeout } from "../sys/socket-options.ts";
import { listenerConfig } from "../testing/gateway-config.ts";
import { ListeningSockets } from "./listening-sockets.ts";

const opened: ListeningSockets[] = [];

afterEach(() => {
  for (const sockets of opened.splice(0)) {
    sockets.closeAll();
  }
});

function open(listeners: readonly ListenerConfig[]): ListeningSockets {
  const sockets = new ListeningSockets();
  opened.push(sockets);
  sockets.prepare(listeners).commit();
  return sockets;
}

const CHANGED = { enabled: true, idleSeconds: 7, intervalSeconds: 2, probeCount: 4 } as const;

test("prepare() keeps the descriptor of an address that stays; commit() sets its options anew (tcp(7))", () => {
  const sockets = open([listenerConfig()]);
  const [before] = sockets.all;
  assert.equal(getTcpKeepalive(before!.fd).idleSeconds, 60);
  const prepared = sockets.prepare([listenerConfig({ tcpKeepalive: CHANGED, tcpUserTimeoutMs: 9_000 })]);
  assert.equal(prepared.sockets[0]!.fd, before!.fd);
  assert.equal(getTcpKeepalive(before!.fd).idleSeconds, 60, "nothing changes before the commit");
  prepared.commit();
  assert.deepEqual(getTcpKeepalive(before!.fd), CHANGED);
  assert.equal(getTcpUserTimeout(before!.fd), 9_000);
});

test("prepare() closes what it had opened when a later address fails, and names the gateway as the holder", () => {
  const sockets = open([listenerConfig()]);
  const { address } = sockets.all[0]!;
  assert.ok(address.family === "inet");
  const descriptors = descriptorCount();
  const overlapping = listenerConfig({ name: "all", bind: [{ ...address, host: "0.0.0.0" }] });
  assert.throws(() => sockets.prepare([listenerConfig({ name: "fresh" }), overlapping]), {
    name: "BindError",
    message: `listener "all" cannot listen on 0.0.0.0:${address.port}: the address is in use by this gateway itself (listener "web", 127.0.0.1:${address.port})`,
  });
  assert.equal(sockets.all.length, 1);
  assert.equal(descriptorCount(), descriptors);
});

test("rollback() closes new sockets and leaves the old ones alone", () => {
  const sockets = open([listenerConfig()]);
  const fresh = sockets.prepare([listenerConfig(), listenerConfig({ name: "fresh" })]);
  const { fd } = fresh.sockets[1]!;
  fresh.rollback();
  assert.throws(() => getTcpKeepalive(fd), { code: /EBADF|ENOTSOCK/ });
  assert.equal(getTcpKeepalive(sockets.all[0]!.fd).enabled, true);
});

test("a socket file that nobody answers on is replaced; one that is answered on is not, nor is a plain file", async () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-test-"));
  const path = join(directory, "x.sock");
  const listener = listenerConfig({ bind: [{ family: "unix", path }] });
  try {
    const dead = new ListeningSockets();
    dead.prepare([listener]).commit();
    const server = createServer();
    dead.closeAll();
    assert.equal(existsSync(path), false);
    await new Promise<void>((resolve) => server.listen(path, resolve));
    assert.throws(() => open([listener]), {
      name: "BindError",
      message: /in use by a process that answers on it$/,
    });
    await new Promise((resolve) => server.close(resolve));
    leaveStaleSocketFile(path);
    assert.equal(existsSync(path), true);
    open([listener]);
    opened.pop()!.closeAll();
    writeFileSync(path, "precious");
    assert.throws(() => open([listener]), { name: "BindError" });
    assert.equal(existsSync(path), true);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a socket file takes clients of every user, as a port does", () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-test-"));
  try {
    const path = join(directory, "x.sock");
    open([listenerConfig({ bind: [{ family: "unix", path }] })]);
    assert.equal(statSync(path).mode & 0o777, 0o666);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

function descriptorCount(): number {
  return readdirSync("/proc/self/fd").length;
}

/** What a killed gateway leaves behind: bound, then closed without unlink(2). */
function leaveStaleSocketFile(path: string): void {
  const fd = streamSocket(AF_UNIX);
  bind(fd, encodeSocketAddress({ family: "unix", path }));
  close(fd);
}

test("a low port without the privilege is explained with its remedy", { skip: lowPortsAreOpen() }, () => {
  const isRoot = process.geteuid!() === 0;
  if (isRoot) process.seteuid!(65_534); // without its capabilities, until it is root again: capabilities(7)
  try {
    assert.throws(() => open([listenerConfig({ bind: [{ family: "inet", host: "127.0.0.1", port: 80 }] })]), {
      name: "BindError",
      hint: /ip_unprivileged_port_start=80.*setcap/,
    });
  } finally {
    if (isRoot) process.seteuid!(0);
  }
});

/** Container runtimes often lower the sysctl to 0. */
function lowPortsAreOpen(): string | false {
  const firstOpenPort = Number(readFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "utf8"));
  return firstOpenPort <= 80 ? `every user may bind ports from ${firstOpenPort} here` : false;
}
