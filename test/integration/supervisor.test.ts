/**
 * The supervisor with real worker processes and real sockets, on 127.0.0.1 only. The workers are
 * src/testing/fake-worker.ts: what is tested is who lives, who accepts and which descriptors stay.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { GatewayConfig } from "../../src/config/types.ts";
import { FIRST_INHERITED_FD } from "../../src/daemon/messages.ts";
import { type LoadedConfig, StartError, Supervisor } from "../../src/daemon/supervisor.ts";
import type { Logger } from "../../src/observe/log.ts";
import { gatewayConfig, listenerConfig } from "../../src/testing/gateway-config.ts";

const FAKE_WORKER = fileURLToPath(new URL("../../src/testing/fake-worker.js", import.meta.url));

interface Harness {
  readonly supervisor: Supervisor;
  readonly events: string[];
  /** Resolves when the event is logged (now or later). */
  logged(event: string): Promise<void>;
  load: () => LoadedConfig;
}

const running: Supervisor[] = [];

afterEach(async () => {
  delete process.env.HOLDFAST_FAKE_WORKER;
  for (const supervisor of running.splice(0)) {
    supervisor.stop();
    await supervisor.stopped;
  }
});

function harness(config: GatewayConfig): Harness {
  const events: string[] = [];
  const waiting = new Map<string, () => void>();
  const logger: Logger = {
    log: (_level, event) => {
      events.push(event);
      waiting.get(event)?.();
    },
  };
  const self: Harness = {
    supervisor: new Supervisor({
      version: "0.0.0-test",
      configFile: "gateway.yaml",
      load: async () => self.load(),
      logger,
      workerModule: FAKE_WORKER,
      readyTimeoutMs: 8_000,
    }),
    events,
    logged: (event) =>
      events.includes(event) ? Promise.resolve() : new Promise((resolve) => waiting.set(event, resolve)),
    load: () => ({ ok: true, config, warnings: [] }),
  };
  running.push(self.supervisor);
  return self;
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingMessage["headers"];
}

function ask(
  target: { port?: number; socketPath?: string },
  path = "/",
  method = "GET",
  headers = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: "127.0.0.1", ...target, path, method, headers, agent: false },
      (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (text) => {
          body += text;
        });
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, body, headers: response.headers }),
        );
      },
    );
    outgoing.on("error", reject).end();
  });
}

function portOf(supervisor: Supervisor, listener = 0): number {
  return Number(supervisor.status().listeners[listener]!.addresses[0]!.split(":").at(-1));
}

function listeningInode(pid: number): string {
  return readlinkSync(`/proc/${pid}/fd/${FIRST_INHERITED_FD}`);
}

test("start() serves with every worker, and drain() ends them all", async () => {
  const { supervisor } = harness(gatewayConfig({ workers: 2 }));
  await supervisor.start();
  assert.equal(supervisor.phase, "running");
  const port = portOf(supervisor);
  assert.match((await ask({ port }, "/a")).body, /^\d+ 1 \/a\n$/);
  const { workers } = supervisor.status();
  assert.deepEqual(
    workers.map((worker) => worker.state),
    ["running", "running"],
  );
  supervisor.drain();
  await supervisor.stopped;
  assert.equal(supervisor.phase, "stopped");
  await assert.rejects(ask({ port }), { code: "ECONNREFUSED" });
  for (const { pid } of workers) {
    assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
  }
});

test("reload() keeps the listening socket and its queue, replaces the workers, keeps the counters", async () => {
  const { supervisor } = harness(gatewayConfig());
  await supervisor.start();
  const port = portOf(supervisor);
  const [before] = supervisor.status().workers;
  const inode = listeningInode(before!.pid);
  await ask({ port });
  let failures = 0;
  let isReloading = true;
  const load = (async () => {
    while (isReloading) {
      await ask({ port }).catch(() => failures++);
    }
  })();
  const outcome = await supervisor.reload();
  isReloading = false;
  await load;
  assert.deepEqual(outcome, { ok: true, lines: ["new workers, same configuration"] });
  assert.equal(failures, 0);
  const after = supervisor.status().workers.find((worker) => worker.state === "running")!;
  assert.notEqual(after.pid, before!.pid);
  assert.equal(listeningInode(after.pid), inode);
  assert.equal(supervisor.status().generation, 2);
  const requests = supervisor.status().listeners[0]!.requests;
  assert.match((await ask({ port })).body, / 2 \/\n$/);
  assert.equal(supervisor.status().listeners[0]!.requests, requests + 1);
});

test("reload() changes nothing when the new configuration is bad", async () => {
  const gateway = harness(gatewayConfig());
  await gateway.supervisor.start();
  const pid = gateway.supervisor.status().workers[0]!.pid;
  gateway.load = () => ({ ok: false, problems: ["gateway.yaml:1:1: nonsense"] });
  assert.deepEqual(await gateway.supervisor.reload(), { ok: false, lines: ["gateway.yaml:1:1: nonsense"] });
  const status = gateway.supervisor.status();
  assert.deepEqual(
    status.workers.map((worker) => worker.pid),
    [pid],
  );
  assert.equal(status.phase, "running");
  assert.equal(status.reloads.failed, 1);
  assert.deepEqual(status.reloads.last?.lines, ["gateway.yaml:1:1: nonsense"]);
  assert.equal((await ask({ port: portOf(gateway.supervisor) })).status, 200);
});

test("reload() keeps the old workers when the new ones cannot start", async () => {
  const gateway = harness(gatewayConfig());
  await gateway.supervisor.start();
  const pid = gateway.supervisor.status().workers[0]!.pid;
  process.env.HOLDFAST_FAKE_WORKER = "crash-at-start";
  const withSecond = gatewayConfig({ listeners: [listenerConfig(), listenerConfig({ name: "second" })] });
  gateway.load = () => ({ ok: true, config: withSecond, warnings: [] });
  const descriptors = descriptorCount();
  const outcome = await gateway.supervisor.reload();
  assert.deepEqual(outcome, { ok: false, lines: ["worker 0 could not start: told to crash"] });
  assert.equal(gateway.supervisor.status().listeners.length, 1);
  while (gateway.supervisor.status().workers.length > 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(descriptorCount(), descriptors, "sockets, counters and mailboxes of the attempt are closed");
  assert.equal((await ask({ port: portOf(gateway.supervisor) })).body, `${pid} 1 /\n`);
});

test("reload() opens added listeners and closes removed ones", async () => {
  const second = listenerConfig({ name: "second" });
  const gateway = harness(gatewayConfig());
  await gateway.supervisor.start();
  const firstPort = portOf(gateway.supervisor);
  const both = gatewayConfig({ listeners: [second, listenerConfig()] });
  gateway.load = () => ({ ok: true, config: both, warnings: [] });
  assert.equal((await gateway.supervisor.reload()).ok, true);
  assert.equal(portOf(gateway.supervisor, 1), firstPort);
  assert.equal((await ask({ port: portOf(gateway.supervisor, 0) })).status, 200);
  gateway.load = () => ({ ok: true, config: gatewayConfig({ listeners: [second] }), warnings: [] });
  assert.equal((await gateway.supervisor.reload()).ok, true);
  assert.equal((await ask({ port: portOf(gateway.supervisor) })).status, 200);
  assert.equal(gateway.supervisor.status().listeners.length, 1);
});

test("a worker that is killed is started again, on the same socket, with its counts kept", async () => {
  const gateway = harness(gatewayConfig());
  await gateway.supervisor.start();
  const port = portOf(gateway.supervisor);
  await ask({ port });
  const { pid } = gateway.supervisor.status().workers[0]!;
  process.kill(pid, "SIGKILL");
  await gateway.logged("worker-respawned");
  const answer = await ask({ port }); // waits in the kernel's queue until the new worker accepts
  assert.notEqual(answer.body.split(" ")[0], String(pid));
  const status = gateway.supervisor.status();
  assert.equal(status.respawns, 1);
  assert.equal(status.listeners[0]!.requests, 2);
  assert.equal(status.listeners[0]!.connectionsActive, 1, "gauges of the dead are not kept");
  assert.match(gateway.supervisor.metrics(), /^holdfast_listener_requests_total\{listener="web"\} 2$/m);
});

test("drain() kills a worker that does not end by drain_timeout", async () => {
  process.env.HOLDFAST_FAKE_WORKER = "hang-on-drain";
  const gateway = harness(gatewayConfig({ drainTimeoutMs: 1 }));
  await gateway.supervisor.start();
  gateway.supervisor.drain();
  await gateway.supervisor.stopped;
  assert.ok(gateway.events.includes("worker-killed"));
});

test("start() names the address and the process that holds it when the port is taken", async () => {
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, "127.0.0.1", resolve));
  const { port } = blocker.address() as { port: number };
  const bind = [{ family: "inet", host: "127.0.0.1", port } as const];
  const { supervisor } = harness(gatewayConfig({ listeners: [listenerConfig({ bind })] }));
  await assert.rejects(supervisor.start(), (error: unknown) => {
    assert.ok(error instanceof StartError);
    assert.match(
      error.lines[0]!,
      new RegExp(
        `^listener "web" cannot listen on 127.0.0.1:${port}: the address is in use by .* \\(pid ${process.pid}\\)$`,
      ),
    );
    assert.match(error.lines[1]!, /ss -tlnp/);
    return true;
  });
  await supervisor.stopped;
  blocker.close();
});

test("the admin API answers on its socket, keeps its file private, removes it at the end", async () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-test-"));
  const socketPath = join(directory, "admin.sock");
  const unixPath = join(directory, "web.sock");
  const config = gatewayConfig({
    admin: { family: "unix", path: socketPath },
    listeners: [listenerConfig({ bind: [{ family: "unix", path: unixPath }] })],
  });
  const { supervisor } = harness(config);
  await supervisor.start();
  assert.equal(statSync(socketPath).mode & 0o777, 0o660);
  assert.equal((await ask({ socketPath: unixPath })).status, 200);
  const status = JSON.parse((await ask({ socketPath }, "/status")).body);
  assert.equal(status.phase, "running");
  assert.deepEqual(status.listeners[0].addresses, [`unix:${unixPath}`]);
  const metrics = await ask({ socketPath }, "/metrics");
  assert.equal(metrics.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
  assert.equal((await ask({ socketPath }, "/nothing")).status, 404);
  const wrongMethod = await ask({ socketPath }, "/reload");
  assert.equal(wrongMethod.status, 405);
  assert.equal(wrongMethod.headers.allow, "POST");
  assert.equal((await ask({ socketPath }, "/drain", "POST", { Origin: "http://evil.example" })).status, 403);
  assert.deepEqual(JSON.parse((await ask({ socketPath }, "/reload", "POST")).body).ok, true);
  assert.equal((await ask({ socketPath }, "/drain", "POST")).status, 202);
  await supervisor.stopped;
  assert.deepEqual(readdirSync(directory), []);
  rmSync(directory, { recursive: true });
});

test("workers inherit no descriptor but theirs", async () => {
  const { supervisor } = harness(gatewayConfig({ workers: 2 }));
  await supervisor.start();
  for (const { pid } of supervisor.status().workers) {
    const memfds = readdirSync(`/proc/${pid}/fd`)
      .map((fd) => readlinkOrEmpty(`/proc/${pid}/fd/${fd}`))
      .filter((target) => target.includes("holdfast-counters"));
    assert.equal(memfds.length, 1);
    assert.match(readFileSync(`/proc/${pid}/cmdline`, "utf8"), /fake-worker/);
  }
});

function descriptorCount(): number {
  return readdirSync("/proc/self/fd").length;
}

function readlinkOrEmpty(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
