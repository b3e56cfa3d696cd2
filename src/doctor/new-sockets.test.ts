/** The eBPF program for the new connections of a cgroup, on this kernel: in a cgroup of its own, with a process of its own. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, rmdirSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { assemble, attachSockOps, detachSockOps, loadSockOps } from "../sys/bpf.ts";
import { Errno, SyscallError } from "../sys/errno.ts";
import {
  attachNewSockets,
  cgroupThatBearsNoOther,
  detachNewSockets,
  isAttached,
  newSocketsProblem,
  sockOpsProgram,
  whyNoCgroup,
} from "./new-sockets.ts";

const CHANGES = [
  { option: "TCP_KEEPIDLE", value: 77 },
  { option: "TCP_USER_TIMEOUT", value: 90_000 },
  { option: "SO_KEEPALIVE", value: 1 },
] as const;

test("sockOpsProgram() jumps over every option when the event is no establishment (RFC 9669: offsets count from the next instruction)", () => {
  const program = sockOpsProgram(CHANGES);
  const jump = program[3]!;
  assert.equal(program[3 + 1 + jump.offset!]!.code, 0xb7, "r0 = 1");
  assert.equal(program.length, 4 + CHANGES.length * 8 + 2);
  assert.equal(
    assemble([{ code: 0x61, target: 2, source: 6, offset: -4, immediate: 0x01020304 }]).toString("hex"),
    "6162fcff04030201",
  );
});

test("whyNoCgroup() says what to name instead", () => {
  assert.match(whyNoCgroup("/proc") ?? "", /is no cgroup of version 2; /);
  assert.match(whyNoCgroup("/does/not/exist") ?? "", /cannot be read \(ENOENT\): name a directory/);
});

const BPF_CAPABILITIES = new Set(["CAP_BPF", "CAP_NET_ADMIN"]);

test("newSocketsProblem() asks for capabilities only when they are missing", () => {
  const loading = new SyscallError("bpf", Errno.EPERM, "BPF_PROG_LOAD");
  assert.match(newSocketsProblem(loading, "/x", new Set()), /need CAP_BPF and CAP_NET_ADMIN.*sudo/);
  const attaching = new SyscallError("bpf", Errno.EPERM, "BPF_PROG_ATTACH");
  const text = newSocketsProblem(attaching, "/x", BPF_CAPABILITIES);
  assert.match(
    text,
    /this cgroup or one above it has an eBPF program that bears no other.*BPF_F_ALLOW_MULTI/,
  );
  const finding = new SyscallError("bpf", Errno.EPERM, "BPF_PROG_GET_FD_BY_ID");
  assert.match(newSocketsProblem(finding, "/x", BPF_CAPABILITIES), /needs CAP_SYS_ADMIN/);
  assert.match(newSocketsProblem(loading, "/x", new Set(["CAP_SYS_ADMIN"])), /seccomp/);
});

/** undefined: skipped, which has been said. */
function madeCgroup(t: TestContext, name: string): string | undefined {
  const mounts = readFileSync("/proc/self/mounts", "utf8").split("\n");
  const mount = mounts.map((line) => line.split(" ")).find((fields) => fields[2] === "cgroup2")?.[1];
  if (mount === undefined) {
    t.skip("cgroup v2 is not mounted here");
    return undefined;
  }
  const cgroup = `${mount}/holdfast-${name}-${process.pid}`;
  try {
    mkdirSync(cgroup);
  } catch (error) {
    t.skip(`no cgroup can be made here: ${(error as Error).message}`);
    return undefined;
  }
  t.after(() => rmdirSync(cgroup));
  return cgroup;
}

test("EPERM at a cgroup below one with a program that bears no other names that cgroup (kernel/bpf/cgroup.c)", (t) => {
  const parent = madeCgroup(t, "exclusive");
  if (parent === undefined) return;
  let program: number;
  const cgroupFd = openSync(parent, "r");
  t.after(() => closeSync(cgroupFd));
  try {
    program = loadSockOps(sockOpsProgram(CHANGES), "exclusive", "MIT");
  } catch (error) {
    return t.skip(`no eBPF here: ${(error as Error).message}`);
  }
  attachSockOps(cgroupFd, program, 0);
  const child = `${parent}/child`;
  mkdirSync(child);
  try {
    assert.equal(cgroupThatBearsNoOther(child), parent);
    let problem = "";
    try {
      attachNewSockets(child, CHANGES, () => {});
    } catch (error) {
      problem = newSocketsProblem(error as SyscallError, child);
    }
    assert.ok(problem.startsWith(`${parent} has an eBPF program that bears no other`), problem);
  } finally {
    rmdirSync(child);
    detachSockOps(cgroupFd, program);
    closeSync(program);
  }
});

const CHILD = `
const fs = require("node:fs"), net = require("node:net");
fs.writeFileSync(process.argv[1] + "/cgroup.procs", String(process.pid));
const server = net.createServer().listen(0, "127.0.0.1", () => {
  const near = net.connect(server.address().port, "127.0.0.1");
  server.on("connection", async (far) => {
    const { getSocketOptions } = await import(process.argv[2]);
    console.log(JSON.stringify([near, far].map((it) => getSocketOptions(it._handle.fd))));
    process.exit();
  });
});`;

function optionsInside(
  cgroup: string,
): { isKeepaliveOn: boolean; idleSeconds: number; userTimeoutMs: number }[] {
  const module = fileURLToPath(new URL("../sys/socket-options.js", import.meta.url));
  const text = execFileSync(process.execPath, ["-e", CHILD, cgroup, module], {
    encoding: "utf8",
    timeout: 10_000,
  });
  return JSON.parse(text) as ReturnType<typeof optionsInside>;
}

test("both ends of every new connection of the cgroup get the options, until the program is detached", (t) => {
  const cgroup = madeCgroup(t, "test");
  if (cgroup === undefined) return;
  let id: number;
  const journalled: number[] = [];
  try {
    id = attachNewSockets(cgroup, CHANGES, (loaded) => journalled.push(loaded));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (!(error instanceof SyscallError) && code !== "EACCES" && code !== "EPERM" && code !== "EROFS")
      throw error;
    return t.skip(`no eBPF at cgroups here: ${(error as Error).message}`);
  }
  assert.deepEqual(journalled, [id], "the journal had its turn");
  assert.equal(isAttached(cgroup, id), true);
  for (const { isKeepaliveOn, idleSeconds, userTimeoutMs } of optionsInside(cgroup))
    assert.deepEqual([isKeepaliveOn, idleSeconds, userTimeoutMs], [true, 77, 90_000]);
  assert.equal(detachNewSockets(cgroup, id), true);
  assert.equal(detachNewSockets(cgroup, id), false, "twice is no error");
  for (const { isKeepaliveOn } of optionsInside(cgroup)) assert.equal(isKeepaliveOn, false);
});
