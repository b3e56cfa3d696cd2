/**
 * Health checks with real processes: a server that is killed, frozen, ill, or condemned by a program leaves rotation, requests go
 * elsewhere and none fails, and it comes back by itself.
 */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { ask, HealthOrigin, startHealthGateway, startOrigin, Traffic } from "../harness/health-scene.ts";
import { makeScratchDirectory } from "../harness/paths.ts";
import { requirePeer } from "../harness/peers.ts";
import { eventually, freePort, startProgram } from "../harness/program.ts";

const HTTP_CHECK = {
  http: "/healthz",
  interval: "200ms",
  fast_interval: "100ms",
  timeout: "150ms",
  rise: 2,
  fall: 3,
};

const options = { timeout: 40_000 };

test(
  "a server that is killed leaves, no request fails, and it comes back when it is started again",
  options,
  async () => {
    await using a = await startOrigin();
    await using b = await startOrigin();
    await using gateway = await startHealthGateway({
      web: { health: HTTP_CHECK, servers: [a.name, b.name] },
    });
    const traffic = new Traffic(gateway.port);
    try {
      await gateway.stateIs(b, "up");
      const pidBefore = String(b.pid);
      assert.ok((await traffic.answers(200)).has(pidBefore));
      await b.stop();
      const down = await gateway.stateIs(b, "down");
      assert.match(down.reason!, /connection refused|upstream-/);
      assert.ok(down.health!.checks > 0);
      assert.deepEqual([...(await traffic.answers(100)).keys()], [String(a.pid)]);
      await b.start();
      const up = await gateway.stateIs(b, "up");
      assert.equal(up.reason, "answered 200 (2 checks in a row)");
      assert.deepEqual([up.health!.timesDown, up.health!.timesUp], [1, 1]);
      await gateway.stateIs(b, "up");
      await eventually("b is asked again", 5000, async () => (await traffic.answers(50)).has(String(b.pid)));
    } finally {
      await traffic.stop();
    }
    assert.deepEqual(traffic.failures, []);
    assert.match(gateway.server.program.stderr, /server-down.*server 127\.0\.0\.1:\d+ of pool web is down/);
    assert.match(gateway.server.program.stderr, /server-up/);
  },
);

test(
  "a frozen process (SIGSTOP) still accepts connections, but leaves within fall checks and returns after SIGCONT",
  options,
  async () => {
    await using a = await startOrigin();
    await using b = await startOrigin();
    await using gateway = await startHealthGateway({
      web: { health: HTTP_CHECK, read_timeout: "500ms", servers: [a.name, b.name] },
    });
    const traffic = new Traffic(gateway.port);
    try {
      await traffic.answers(100);
      await b.signal("SIGSTOP");
      const down = await gateway.stateIs(b, "down");
      assert.match(down.reason!, /no answer within 150 ms|upstream-read-timeout/);
      await traffic.answers(100); // what was inside the frozen process is sent again elsewhere (GET)
      assert.deepEqual([...(await traffic.answers(100)).keys()], [String(a.pid)]);
      await b.signal("SIGCONT");
      await gateway.stateIs(b, "up");
      await eventually("b is asked again", 5000, async () => (await traffic.answers(50)).has(String(b.pid)));
    } finally {
      await traffic.stop();
    }
    assert.deepEqual(traffic.failures, []);
  },
);

test(
  "a server whose check answers 500 gets nothing, neither from new workers nor from respawned ones",
  options,
  async () => {
    await using a = await startOrigin();
    await using b = await startOrigin();
    await using gateway = await startHealthGateway({
      web: { health: HTTP_CHECK, servers: [a.name, b.name] },
      // The same question about the same server: asked once.
      twin: { health: HTTP_CHECK, servers: [b.name] },
    });
    await gateway.stateIs(b, "up");
    await b.signal("SIGUSR2");
    const down = await gateway.stateIs(b, "down");
    assert.equal(down.reason, "answered 500 (3 failed checks in a row)");
    assert.equal((await gateway.serverStatus(b, "twin")).state, "down");
    const requests = async () => (await b.counts()).requests;
    const before = await requests();
    const askMany = async () => {
      for (let n = 0; n < 20; n++)
        assert.deepEqual(await ask(gateway.port), { status: 200, body: String(a.pid) });
    };
    await askMany();
    assert.equal((await gateway.server.admin("POST", "/reload")).status, 200);
    await askMany();
    assert.equal((await gateway.serverStatus(b)).state, "down", "a reload does not forget");
    const [pid] = gateway.server.workerPids();
    process.kill(pid!, "SIGKILL");
    await eventually("the worker is started again", 8000, async () => {
      const { workers, respawns } = await gateway.status();
      return respawns > 0 && workers.filter(({ state }) => state === "running").length === 2;
    });
    await askMany();
    assert.equal(await requests(), before);
    const { checks } = (await gateway.serverStatus(b)).health!;
    const asked = (await b.counts()).checks;
    assert.ok(
      Math.abs(asked - checks) <= 2,
      `${asked} checks arrived, ${checks} were counted: asked once for both pools`,
    );
    await b.signal("SIGUSR2");
    await gateway.stateIs(b, "up");
    await eventually("b is asked again", 5000, async () => (await ask(gateway.port)).body === String(b.pid));
    const metrics = await gateway.server.metrics();
    assert.equal(metrics.sum("holdfast_server_up", { pool: "web", server: b.name }), 1);
    assert.equal(
      metrics.sum("holdfast_server_health_changes_total", { pool: "web", server: b.name, to: "down" }),
      1,
    );
  },
);

test("live traffic takes a dead server out long before the checks would", options, async () => {
  await using a = await startOrigin();
  await using b = await startOrigin();
  const health = { http: "/healthz", interval: "10s", fast_interval: "10s", timeout: "1s", rise: 1, fall: 3 };
  const servers = [a, b].map(({ name }) => ({ address: name, max_fails: 0 }));
  await using gateway = await startHealthGateway({ web: { health, servers } });
  const traffic = new Traffic(gateway.port);
  try {
    await traffic.answers(100);
    await b.stop();
    const stoppedAtMs = Date.now();
    const down = await gateway.stateIs(b, "down", 5000);
    assert.ok(Date.now() - stoppedAtMs < 3000, "fall × interval would be 30 s");
    assert.match(down.reason!, /failures of live traffic in a row/);
    assert.deepEqual([...(await traffic.answers(100)).keys()], [String(a.pid)]);
  } finally {
    await traffic.stop();
  }
  assert.deepEqual(traffic.failures, []);
});

test(
  "answers of class 5xx in live traffic take a server out although its check is green, and only the check brings it back",
  options,
  async () => {
    await using a = await startOrigin();
    await using b = await startOrigin();
    const health = { http: "/healthz", interval: "2s", fast_interval: "2s", timeout: "1s", rise: 1, fall: 3 };
    await using gateway = await startHealthGateway({ web: { health, servers: [a.name, b.name] } });
    await gateway.stateIs(b, "up");
    await b.signal("SIGUSR1");
    const traffic = new Traffic(gateway.port);
    try {
      const down = await gateway.stateIs(b, "down");
      assert.match(down.reason!, /\d+ failures of live traffic in a row, last: response-5xx/);
      await b.signal("SIGUSR1");
      assert.equal((await gateway.stateIs(b, "up")).reason, "answered 200");
    } finally {
      await traffic.stop();
    }
  },
);

test("exec: the exit status decides, and what the program prints is the reason", options, async () => {
  await using a = await startOrigin();
  await using b = await startOrigin();
  const scratch = makeScratchDirectory("exec-check");
  const veto = path.join(scratch.directory, String(b.port));
  try {
    const script = `test ! -e ${scratch.directory}/$HOLDFAST_PORT || { echo "disk full on $HOLDFAST_SERVER"; exit 1; }`;
    const health = { exec: ["/bin/sh", "-c", script], interval: "200ms", timeout: "2s", rise: 1, fall: 2 };
    await using gateway = await startHealthGateway({ web: { health, servers: [a.name, b.name] } });
    await gateway.stateIs(b, "up");
    writeFileSync(veto, "");
    const down = await gateway.stateIs(b, "down");
    assert.equal(down.reason, `exit status 1: disk full on ${b.name} (2 failed checks in a row)`);
    assert.equal((await ask(gateway.port)).body, String(a.pid));
    rmSync(veto);
    await gateway.stateIs(b, "up");
    assert.equal((await gateway.serverStatus(a)).health!.timesDown, 0);
  } finally {
    scratch.remove();
  }
});

test("redis: PONG is up, a wrong password and a frozen server are not", options, async (t) => {
  if (!requirePeer(t, "redis-server")) return;
  const port = await freePort();
  const redis = new HealthOrigin(port);
  await using program = await startProgram({
    name: "redis-server",
    command: "redis-server",
    args: ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", "secret"],
    ready: [{ host: "127.0.0.1", port }],
  });
  const rhythm = { interval: "200ms", timeout: "200ms", rise: 1, fall: 2 };
  await using gateway = await startHealthGateway({
    web: { health: { redis: { password: "secret" }, ...rhythm }, servers: [redis.name] },
    wrong: { health: { redis: { password: "guess" }, ...rhythm }, servers: [redis.name] },
    none: { health: { redis: {}, ...rhythm }, servers: [redis.name] },
  });
  await eventually(
    "redis is checked",
    5000,
    async () => (await gateway.serverStatus(redis)).health!.checks > 2,
  );
  assert.equal((await gateway.serverStatus(redis)).health!.lastCheck!.reason, "answered PONG");
  for (const [pool, reason] of [
    ["wrong", /WRONGPASS/],
    ["none", /NOAUTH/],
  ] as const) {
    const status = await eventually(`pool ${pool} is down`, 5000, async () => {
      const now = await gateway.serverStatus(redis, pool);
      return now.state === "down" && now;
    });
    assert.match(status.reason!, reason);
  }
  program.child.kill("SIGSTOP");
  assert.match((await gateway.stateIs(redis, "down")).reason!, /no answer within 200 ms/);
  program.child.kill("SIGCONT");
  await gateway.stateIs(redis, "up");
});

test("initial: down keeps a server out until it has proved itself", options, async () => {
  await using a = await startOrigin();
  const health = { ...HTTP_CHECK, interval: "1s", fast_interval: "500ms", rise: 2, initial: "down" };
  await using gateway = await startHealthGateway({ web: { health, servers: [a.name] } });
  assert.equal((await ask(gateway.port)).status, 503);
  await gateway.stateIs(a, "up");
  await eventually("it is asked", 2000, async () => (await ask(gateway.port)).status === 200);
});
