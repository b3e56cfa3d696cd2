import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { request } from "node:http";
import test from "node:test";
import type { PoolConfig } from "../config/types.ts";
import type { CheckedServer, CheckResult } from "../health/check-result.ts";
import { type HeartbeatHandle, type HeartbeatOptions, startHeartbeat } from "../heartbeat/index.ts";
import { healthConfig, poolConfig, serverConfig } from "../testing/gateway-config.ts";
import { HeartbeatReceiver } from "./heartbeat-receiver.ts";

interface Seen {
  readonly server: CheckedServer;
  readonly result: CheckResult;
}

/** A receiver on free ports, and what it says, as something to wait for. */
class Bench {
  readonly receiver: HeartbeatReceiver;
  readonly port: number;
  readonly seen: Seen[] = [];
  #waiting: { holds: (seen: Seen) => boolean; resolve: (seen: Seen) => void } | undefined;

  private constructor(receiver: HeartbeatReceiver, pools: readonly PoolConfig[]) {
    this.receiver = receiver;
    this.port = receiver.address.family === "unix" ? 0 : receiver.address.port;
    receiver.configure(pools);
    receiver.start((server, result) => this.#take({ server, result }));
  }

  static async start(pools: readonly PoolConfig[]): Promise<Bench> {
    return new Bench(await HeartbeatReceiver.listen({ family: "inet", host: "127.0.0.1", port: 0 }), pools);
  }

  #take(seen: Seen): void {
    this.seen.push(seen);
    if (this.#waiting?.holds(seen) !== true) return;
    this.#waiting.resolve(seen);
    this.#waiting = undefined;
  }

  /** The next result for which it holds. */
  next(holds: (seen: Seen) => boolean): Promise<Seen> {
    return new Promise((resolve) => {
      this.#waiting = { holds, resolve };
    });
  }

  async put(
    path: string,
    body = "",
    method = "PUT",
    headers = {},
  ): Promise<{ status: number; text: string }> {
    const put = request({ host: "127.0.0.1", port: this.port, path, method, headers, agent: false });
    put.end(body);
    const [response] = await once(put, "response");
    let text = "";
    for await (const part of response.setEncoding("utf8")) text += part;
    return { status: response.statusCode, text };
  }
}

function toldPool(
  name: string,
  servers: readonly string[],
  deadlineMs: number,
  progressDeadlineMs = 0,
): PoolConfig {
  return poolConfig({
    name,
    health: healthConfig({ check: { kind: "heartbeat", mode: "told", deadlineMs, progressDeadlineMs } }),
    servers: servers.map((server) => serverConfig({ name: server })),
  });
}

async function withBench(pools: readonly PoolConfig[], body: (bench: Bench) => Promise<void>): Promise<void> {
  const bench = await Bench.start(pools);
  try {
    await body(bench);
  } finally {
    bench.receiver.close();
  }
}

test("HeartbeatReceiver takes a PUT for a server that is told, with its counter", () =>
  withBench([toldPool("web", ["10.0.0.1:80"], 60_000)], async (bench) => {
    assert.equal((await bench.put("/heartbeat/web/10.0.0.1:80", '{"progress":4}')).status, 204);
    assert.deepEqual(bench.seen[0]!.result, { ok: true, reason: "a beat came, progress 4", durationMs: 0 });
    assert.equal(bench.seen[0]!.server.server, "10.0.0.1:80");
  }));

test("HeartbeatReceiver answers unknown names with the list, and counts nothing for them", () =>
  withBench([toldPool("web", ["a:1", "b:2"], 60_000), poolConfig({ name: "plain" })], async (bench) => {
    const { status, text } = await bench.put("/heartbeat/web/c:3");
    assert.equal(status, 404);
    assert.match(text, /server "c:3" of pool "web".*\nweb a:1\nweb b:2\n/s);
    assert.doesNotMatch(text, /plain/);
    assert.equal(bench.seen.length, 0);
  }));

test("HeartbeatReceiver refuses other methods, other paths, broken bodies and web pages", () =>
  withBench([toldPool("web", ["a:1"], 60_000)], async (bench) => {
    const status = async (...args: Parameters<Bench["put"]>) => (await bench.put(...args)).status;
    assert.equal(await status("/heartbeat/web/a:1", "", "GET"), 405);
    assert.equal(await status("/"), 404);
    assert.equal(await status("/heartbeat/web/a:1", "{"), 400);
    assert.equal(await status("/heartbeat/web/a:1", " ".repeat(5000)), 400);
    assert.equal(await status("/heartbeat/web/a:1", "", "PUT", { Origin: "http://evil.example" }), 403);
    assert.equal(bench.seen.length, 0);
  }));

test("HeartbeatReceiver takes datagrams, and says to the sender what is wrong with one", () =>
  withBench([toldPool("web", ["a:1"], 60_000)], async (bench) => {
    const socket = createSocket("udp4");
    try {
      const beat = bench.next(({ result }) => result.ok);
      socket.send("holdfast-beat 1 web a:1 9\n", bench.port, "127.0.0.1");
      assert.equal((await beat).result.reason, "a beat came, progress 9");
      const answer = once(socket, "message");
      socket.send("holdfast-beat 1 web nobody", bench.port, "127.0.0.1");
      assert.match(String((await answer)[0]), /^holdfast-beat-refused .*server "nobody".*web a:1\n$/s);
    } finally {
      socket.close();
    }
  }));

test("HeartbeatReceiver answers few of many wrong datagrams: their sender may be forged", () =>
  withBench([toldPool("web", ["a:1"], 60_000)], async (bench) => {
    const socket = createSocket("udp4");
    let answers = 0;
    socket.on("message", () => answers++);
    try {
      for (let n = 0; n < 60; n++) socket.send("nonsense", bench.port, "127.0.0.1");
      // A beat behind them: when it has been taken, they have been read.
      const beat = bench.next(({ result }) => result.ok);
      socket.send("holdfast-beat 1 web a:1", bench.port, "127.0.0.1");
      await beat;
      const first = once(socket, "message");
      if (answers === 0) await first;
      // Ten in a second, and the second may have changed meanwhile.
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
      assert.ok(answers >= 1 && answers <= 20, `${answers} answers`);
    } finally {
      socket.close();
    }
  }));

test("HeartbeatReceiver reports silence at the deadline, and not before", () =>
  withBench([toldPool("web", ["a:1"], 150)], async (bench) => {
    const startedMs = performance.now();
    const { result } = await bench.next(() => true);
    const elapsedMs = performance.now() - startedMs;
    assert.equal(result.ok, false);
    assert.match(result.reason, /^no beat has come yet, in [1-9]\d\dms$/);
    assert.ok(elapsedMs >= 145, `after ${elapsedMs} ms`);
  }));

test("HeartbeatReceiver takes the beats that waited while it was blocked itself, before it speaks of silence", () =>
  withBench([toldPool("web", ["a:1"], 200)], async (bench) => {
    const socket = createSocket("udp4");
    try {
      socket.connect(bench.port, "127.0.0.1");
      await once(socket, "connect");
      // From setImmediate(), so that of a blocked loop's duties the timers come first and the socket after them.
      await new Promise<void>((resolve) => setImmediate(resolve));
      const first = bench.next(() => true);
      socket.send("holdfast-beat 1 web a:1");
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400); // the supervisor's loop does not turn
      assert.equal((await first).result.ok, true);
    } finally {
      socket.close();
    }
  }));

test("HeartbeatReceiver keeps servers that stay through configure(), and forgets the others", () =>
  withBench([toldPool("web", ["a:1", "b:2"], 60_000, 60_000)], async (bench) => {
    await bench.put("/heartbeat/web/a:1", '{"progress":1}');
    bench.receiver.configure([toldPool("web", ["a:1"], 60_000, 60_000)]);
    assert.equal((await bench.put("/heartbeat/web/b:2")).status, 404);
    // Without a counter the beat still knows the one from before.
    assert.equal((await bench.put("/heartbeat/web/a:1")).status, 204);
    assert.equal(bench.seen.at(-1)!.result.reason, "a beat came, progress 1");
  }));

test("HeartbeatReceiver.listen() says who holds the port", async () => {
  const { receiver } = await Bench.start([]);
  try {
    await assert.rejects(
      HeartbeatReceiver.listen(receiver.address),
      /heartbeats cannot be received .* in use/,
    );
  } finally {
    receiver.close();
  }
});

// ── the library against the receiver ─────────────────────────────────────────────────────────────────────────

const LOOP_BLOCKED = /^the event loop was blocked/;

/** The first problem that is not `ignored`. */
function problemsOf(
  options: Omit<HeartbeatOptions, "pool" | "server" | "onProblem">,
  ignored?: RegExp,
): {
  heartbeat: HeartbeatHandle;
  problem: Promise<string | undefined>;
} {
  let settle: (problem: string | undefined) => void;
  const problem = new Promise<string | undefined>((resolve) => {
    settle = resolve;
  });
  const onProblem = (it: string | undefined) => {
    if (it === undefined || ignored?.test(it) !== true) settle(it);
  };
  const heartbeat = startHeartbeat({ ...options, pool: "web", server: "a:1", onProblem });
  return { heartbeat, problem };
}

/** Beats do not keep a program alive; this does, where nothing else would. */
async function awake<T>(promise: Promise<T>): Promise<T> {
  const timer = setInterval(() => {}, 1000);
  try {
    return await promise;
  } finally {
    clearInterval(timer);
  }
}

for (const kind of ["url", "address"] as const) {
  const target = (port: number) =>
    kind === "url" ? { url: `http://127.0.0.1:${port}` } : { address: `127.0.0.1:${port}` };

  test(`startHeartbeat() beats with its counter (${kind})`, () =>
    withBench([toldPool("web", ["a:1"], 60_000)], async (bench) => {
      let counter = 0;
      const heartbeat = startHeartbeat({
        ...target(bench.port),
        pool: "web",
        server: "a:1",
        intervalMs: 30,
        progress: () => ++counter,
      });
      try {
        await bench.next(({ result }) => result.reason === "a beat came, progress 4");
        assert.ok(bench.seen.every(({ result }) => result.ok));
        assert.ok(heartbeat.statistics().sent >= 1);
        assert.equal(heartbeat.statistics().problem, undefined);
      } finally {
        heartbeat.stop();
      }
    }));

  test(`startHeartbeat() tells what the gateway says about a name it does not know (${kind})`, () =>
    withBench([toldPool("web", ["other:1"], 60_000)], async (bench) => {
      const { heartbeat, problem } = problemsOf({ ...target(bench.port), intervalMs: 20 }, LOOP_BLOCKED); // busy machine
      try {
        assert.match((await problem)!, /server "a:1" of pool "web"[\s\S]*web other:1/);
      } finally {
        heartbeat.stop();
      }
    }));

  test(`startHeartbeat() says that no gateway listens, and throws nothing (${kind})`, async () => {
    const bench = await Bench.start([]);
    bench.receiver.close();
    const { heartbeat, problem } = problemsOf({ ...target(bench.port), intervalMs: 20 }, LOOP_BLOCKED); // busy machine
    try {
      assert.match((await awake(problem))!, /ECONNREFUSED/);
      assert.ok(heartbeat.statistics().failed > 0);
    } finally {
      heartbeat.stop();
    }
  });
}

test("startHeartbeat() withholds beats while isHealthy() says no, rejects, or does not answer", () =>
  withBench([toldPool("web", ["a:1"], 60_000)], async (bench) => {
    const answers: (() => boolean | Promise<boolean>)[] = [
      () => false,
      () => Promise.reject(new Error("database gone")),
      () => true,
    ];
    const problems: (string | undefined)[] = [];
    const heartbeat = startHeartbeat({
      address: `127.0.0.1:${bench.port}`,
      pool: "web",
      server: "a:1",
      intervalMs: 10,
      isHealthy: () => (answers.shift() ?? (() => new Promise<boolean>(() => {})))(),
      onProblem: (problem) => problems.push(problem),
    });
    try {
      await bench.next(({ result }) => result.ok);
      while (problems.length < 4) await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(problems, [
        "isHealthy() says no",
        "isHealthy() failed: database gone",
        undefined,
        "isHealthy() has not answered yet",
      ]);
      assert.equal(bench.seen.length, 1);
    } finally {
      heartbeat.stop();
    }
  }));

test("startHeartbeat() sends nothing while the event loop is blocked, withholds the late beat, and measures it", () =>
  withBench([toldPool("web", ["a:1"], 60_000)], async (bench) => {
    const { heartbeat, problem } = problemsOf({ address: `127.0.0.1:${bench.port}`, intervalMs: 20 });
    try {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 150);
      const beat = bench.next(() => true).then(({ result }) => result.reason);
      assert.match((await Promise.race([problem, beat]))!, /^the event loop was blocked for \d{3} ms/);
      assert.equal(bench.seen.length, 0);
      assert.equal(heartbeat.statistics().withheld, 1);
      assert.ok(heartbeat.statistics().loopDelayMsWorst >= 120);
      await bench.next(({ result }) => result.ok);
    } finally {
      heartbeat.stop();
    }
  }));

test("startHeartbeat() refuses options that cannot be", () => {
  const good = { pool: "web", server: "a:1", intervalMs: 1000 };
  const bad: HeartbeatOptions[] = [
    good,
    { ...good, url: "http://a", address: "a:1" },
    { ...good, url: "https://a" },
    { ...good, address: "a" },
    { ...good, address: "a:1", intervalMs: 0 },
    { ...good, address: "a:1", pool: "" },
  ];
  for (const options of bad) assert.throws(() => startHeartbeat(options), TypeError);
});
