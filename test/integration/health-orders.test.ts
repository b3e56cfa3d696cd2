/** The operator's orders at run time: `holdfast server POOL SERVER drain|maint|up|weight N`. Real processes. */
import assert from "node:assert/strict";
import test from "node:test";
import {
  ask,
  type HealthGateway,
  startHealthGateway,
  startOrigin,
  Traffic,
} from "../harness/health-scene.ts";
import { eventually } from "../harness/program.ts";

const options = { timeout: 40_000 };

/** Who answers so many requests; a path that ends in / gets a number behind it. */
async function answerers(gateway: HealthGateway, count: number, path = ""): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (let n = 0; n < count; n++) {
    const { status, body } = await ask(gateway.port, `${path}${path.endsWith("/") ? n : "/"}`);
    assert.equal(status, 200);
    counts.set(body, (counts.get(body) ?? 0) + 1);
  }
  return counts;
}

test(
  "drain sends nothing new to a server, finishes what is there, survives a reload; up takes it back",
  options,
  async () => {
    await using a = await startOrigin();
    await using b = await startOrigin();
    await using gateway = await startHealthGateway({ web: { servers: [a.name, b.name] } }, { workers: 1 });
    const slow = [ask(gateway.port, "/slow"), ask(gateway.port, "/slow")];
    await eventually(
      "both are busy",
      3000,
      async () => (await gateway.serverStatus(b)).connectionsActive === 1,
    );
    const drained = await gateway.command("server", "web", b.name, "drain");
    assert.deepEqual(drained, { status: 0, output: `server ${b.name} of pool web: drain, weight 1\n` });
    await gateway.stateIs(b, "drain");
    await eventually("only a answers", 3000, async () => (await answerers(gateway, 10)).size === 1);
    const answers = await Promise.all(slow);
    assert.deepEqual(
      new Set(answers.map(({ status, body }) => `${status} ${body}`)),
      new Set([`200 ${a.pid}`, `200 ${b.pid}`]),
    );
    await eventually("no idle connection is kept for b", 3000, async () => {
      const { connectionsActive, connectionsIdle } = await gateway.serverStatus(b);
      return connectionsActive === 0 && connectionsIdle === 0;
    });
    assert.equal((await gateway.server.admin("POST", "/reload")).status, 200);
    assert.equal((await gateway.serverStatus(b)).state, "drain");
    assert.deepEqual([...(await answerers(gateway, 10)).keys()], [String(a.pid)]);
    const table = await gateway.command("status");
    assert.match(table.output, new RegExp(`web ${b.name}: drain since .*the operator's order`));
    assert.equal((await gateway.command("server", "web", b.name, "up")).status, 0);
    await eventually("b answers", 3000, async () => (await answerers(gateway, 4)).size === 2);
  },
);

test(
  "maint of the only server answers 503, and no request fails when another one is there",
  options,
  async () => {
    await using a = await startOrigin();
    await using b = await startOrigin();
    await using gateway = await startHealthGateway({ web: { servers: [a.name, b.name] } });
    const traffic = new Traffic(gateway.port);
    try {
      await traffic.answers(50);
      await gateway.command("server", "web", b.name, "maint");
      await gateway.stateIs(b, "maint");
      await eventually("what is kept for b is closed", 2000, async () => {
        const { connectionsIdle, closes } = await gateway.serverStatus(b);
        return connectionsIdle === 0 && closes.some(({ cause }) => cause === "upstream-out-of-rotation");
      });
      await traffic.answers(50);
      assert.deepEqual([...(await traffic.answers(100)).keys()], [String(a.pid)]);
      await gateway.command("server", "web", b.name, "up");
      await eventually("b is asked again", 5000, async () => (await traffic.answers(50)).has(String(b.pid)));
    } finally {
      await traffic.stop();
    }
    assert.deepEqual(traffic.failures, []);
    await gateway.command("server", "web", a.name, "maint");
    await gateway.command("server", "web", b.name, "maint");
    await eventually("nobody is left", 3000, async () => (await ask(gateway.port)).status === 503);
    const metrics = await gateway.server.metrics();
    assert.equal(metrics.sum("holdfast_server_admin_state", { pool: "web", state: "maint" }), 2);
  },
);

test(
  "weight changes the shares at run time, also of consistent hashing, and `configured` takes it back",
  options,
  async () => {
    await using a = await startOrigin();
    await using b = await startOrigin();
    await using gateway = await startHealthGateway(
      {
        web: { servers: [a.name, b.name] },
        hashed: { balance: { hash: "uri" }, servers: [a.name, b.name] },
      },
      { workers: 1 },
      [{ path: "/hashed/", pool: "hashed" }, { pool: "web" }],
    );
    const share = async (count: number, path?: string) =>
      ((await answerers(gateway, count, path)).get(String(b.pid)) ?? 0) / count;
    assert.equal(await share(20), 0.5);
    const heavier = await gateway.command("server", "web", b.name, "weight", "4");
    assert.deepEqual(heavier, { status: 0, output: `server ${b.name} of pool web: up, weight 4\n` });
    await eventually("the weight is in force", 3000, async () => Math.abs((await share(20)) - 0.8) < 0.01);
    assert.equal((await gateway.serverStatus(b)).weight, 4);
    const hashed = await share(200, "/hashed/");
    assert.ok(Math.abs(hashed - 0.5) < 0.15, `${hashed} of the keys before`);
    await gateway.command("server", "hashed", b.name, "weight", "9");
    await eventually(
      "keys have moved",
      3000,
      async () => Math.abs((await share(200, "/hashed/")) - 0.9) < 0.07,
    );
    await gateway.command("server", "web", b.name, "weight", "configured");
    await eventually("the configured weight is back", 3000, async () => (await share(20)) === 0.5);
  },
);

test("wrong names and orders are answered with what there is, and exit status 2", options, async () => {
  await using a = await startOrigin();
  await using gateway = await startHealthGateway({ web: { servers: [a.name] } });
  const outcome = async (...words: string[]) => {
    const { status, output } = await gateway.command("server", ...words);
    assert.equal(status, 2, output);
    return output;
  };
  assert.match(await outcome("wbe", a.name, "drain"), /there is no pool "wbe"\n.*pools: web/);
  assert.match(
    await outcome("web", "10.9.9.9:80", "drain"),
    new RegExp(`has no server "10.9.9.9:80"\n.*its servers: ${a.name}`),
  );
  assert.match(await outcome("web", a.name, "stop"), /Allowed choices are drain, maint, up, weight/);
  assert.match(await outcome("web", a.name, "weight", "0"), /is no weight: a whole number from 1 to 65535/);
  assert.match(await outcome("web", a.name, "weight"), /weight needs a number/);
});
