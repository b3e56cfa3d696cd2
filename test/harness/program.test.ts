/** Starting and stopping programs: readiness, failures that explain themselves, no process left behind. */
import assert from "node:assert/strict";
import test from "node:test";
import { cpuNanoseconds, isAlive, memoryUsage, openDescriptors } from "./process-usage.ts";
import { canConnect, freePorts, runProgram, startProgram } from "./program.ts";

const SERVER = (port: number): string => `require("node:net").createServer().listen(${port}, "127.0.0.1")`;

test("startProgram() resolves when the program accepts and stop() leaves nothing behind", async () => {
  const [port] = await freePorts(1);
  const ready = { host: "127.0.0.1", port: port! };
  const program = await startProgram({
    name: "server",
    command: process.execPath,
    args: ["-e", SERVER(port!)],
    ready: [ready],
  });
  assert.ok(isAlive(program.pid));
  assert.ok(cpuNanoseconds(program.pid) > 1e6);
  assert.ok(memoryUsage(program.pid).rssBytes > 2 ** 20);
  assert.ok(openDescriptors(program.pid) > 3);
  await program.stop();
  assert.ok(!isAlive(program.pid));
  assert.ok(!(await canConnect(ready)));
});

test("startProgram() fails with what the program printed when it exits", async () => {
  const [port] = await freePorts(1);
  const failing = startProgram({
    name: "failing",
    command: process.execPath,
    args: ["-e", 'console.error("no such thing"); process.exit(3)'],
    ready: [{ host: "127.0.0.1", port: port! }],
  });
  await assert.rejects(failing, /failing did not become ready[\s\S]*no such thing/);
});

test("stop() kills a program that ignores SIGTERM, stopped ones too", async () => {
  const program = await startProgram({
    name: "stubborn",
    command: process.execPath,
    args: ["-e", 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000); console.log("ready")'],
    readyLine: "ready",
    stopTimeoutMs: 200,
  });
  process.kill(program.pid, "SIGSTOP");
  await program.stop();
  assert.ok(!isAlive(program.pid));
});

test("runProgram() returns stdout and rejects on a non-zero exit", async () => {
  assert.equal(await runProgram({ name: "echo", command: "echo", args: ["hello"] }), "hello\n");
  await assert.rejects(runProgram({ name: "false", command: "false", args: [] }), /false exited with 1/);
});

test("freePorts() returns distinct ports", async () => {
  const ports = await freePorts(5);
  assert.equal(new Set(ports).size, 5);
});
