/**
 * `holdfast demo` as a user meets it: the three things it prints work, Ctrl-C ends it and leaves nothing behind.
 * Runs the real command with the real worker; 127.0.0.1 only.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { Agent, request } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

interface Demo {
  readonly child: ChildProcess;
  readonly port: number;
  readonly victimPid: number;
  readonly adminPath: string;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function startDemo(): Promise<Demo> {
  const port = await freePort();
  const child = spawn(process.execPath, [MAIN, "demo", "--port", String(port)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout!.setEncoding("utf8");
  while (!text.includes("Ctrl-C ends it.")) {
    const [chunk] = await Promise.race([once(child.stdout!, "data"), once(child, "exit")]);
    assert.equal(typeof chunk, "string", `the demo ended before it had started:\n${text}`);
    text += chunk;
  }
  child.stdout!.resume();
  return {
    child,
    port,
    victimPid: Number(/kill -9 (\d+)/.exec(text)![1]),
    adminPath: /--admin unix:(\S+)/.exec(text)![1]!,
  };
}

/** Status and the X-Origin header: origin, its connection, request number on it. */
function get(port: number, agent: Agent): Promise<{ status: number; origin: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, agent }, (response) => {
      response
        .resume()
        .on("end", () =>
          resolve({ status: response.statusCode ?? 0, origin: String(response.headers["x-origin"]) }),
        );
    });
    outgoing.on("error", reject).end();
  });
}

test("holdfast demo reuses connections, survives a dead origin, ends on SIGINT without a trace", async () => {
  const demo = await startDemo();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    const origins: string[] = [];
    for (let turn = 0; turn < 6; turn++) {
      origins.push((await get(demo.port, agent)).origin);
    }
    assert.deepEqual(origins.toSorted(), ["A 1 1", "A 1 2", "A 1 3", "B 1 1", "B 1 2", "B 1 3"]);

    process.kill(demo.victimPid, "SIGKILL");
    for (let turn = 0; turn < 6; turn++) {
      assert.equal((await get(demo.port, agent)).status, 200);
    }

    const status = spawnSync(
      process.execPath,
      [MAIN, "status", "--json", "--admin", `unix:${demo.adminPath}`],
      {
        encoding: "utf8",
      },
    );
    assert.equal(status.status, 0, status.stderr);
    assert.equal(JSON.parse(status.stdout).listeners[0].requests, 12);
    assert.equal(JSON.parse(status.stdout).listeners[0].requestsReused, 11);

    const second = spawnSync(process.execPath, [MAIN, "demo", "--port", String(demo.port)], {
      encoding: "utf8",
    });
    assert.equal(second.status, 1);
    assert.match(
      second.stderr,
      /the address is in use by .* \(pid \d+\)\n(.*\n)*hint: another port: holdfast demo --port/,
    );
  } finally {
    agent.destroy();
    const startedAt = process.hrtime.bigint();
    demo.child.kill("SIGINT");
    const [exitStatus] = await once(demo.child, "exit");
    const elapsedMs = Number(process.hrtime.bigint() - startedAt) / 1e6;
    assert.equal(exitStatus, 0);
    assert.ok(elapsedMs < 3_000, `took ${elapsedMs} ms`);
    assert.equal(existsSync(demo.adminPath), false);
  }
});
