/** Tests of sender.ts: when a beat goes out, when it is withheld, and what is said about it. The gateway is a socket of the test. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { type HeartbeatHandle, type HeartbeatOptions, startHeartbeat } from "./sender.ts";

const NAMES = { pool: "web", server: "a:1" };

/** Beats to a socket that remembers them; `body` gets what the program was told of problems, too. */
async function withBeats(
  options: Partial<HeartbeatOptions>,
  body: (heartbeat: HeartbeatHandle, beats: string[], nextProblem: () => Promise<unknown>) => Promise<void>,
): Promise<void> {
  const gateway = createSocket("udp4");
  const beats: string[] = [];
  gateway.on("message", (bytes) => beats.push(String(bytes)));
  gateway.bind(0, "127.0.0.1");
  await once(gateway, "listening");
  let tell: (problem: unknown) => void = () => {};
  const nextProblem = () =>
    new Promise((resolve) => {
      tell = resolve;
    });
  const heartbeat = startHeartbeat({
    ...NAMES,
    address: `127.0.0.1:${gateway.address().port}`,
    intervalMs: 10,
    loopDelayMsMax: 60_000,
    onProblem: (problem) => tell(problem),
    ...options,
  });
  try {
    await body(heartbeat, beats, nextProblem);
  } finally {
    heartbeat.stop();
    gateway.close();
  }
}

test("startHeartbeat() refuses options that cannot be, in plain JavaScript too", () => {
  const url = "http://127.0.0.1:1";
  const refused = [
    [{ ...NAMES, intervalMs: 100 }, /one of url and address/],
    [{ ...NAMES, intervalMs: 100, url, address: "127.0.0.1:1" }, /one of url and address/],
    [{ ...NAMES, intervalMs: 100, url: "https://a" }, /is not an http: URL/],
    [{ ...NAMES, intervalMs: 100, address: "127.0.0.1" }, /is not HOST:PORT/],
    [{ ...NAMES, intervalMs: 9, url }, /intervalMs/],
    [{ ...NAMES, url }, /intervalMs/],
    [{ intervalMs: 100, pool: "web", url }, /pool and server/],
    [{ intervalMs: 100, pool: "", server: "a:1", url }, /pool and server/],
  ] as const;
  for (const [options, message] of refused)
    assert.throws(() => startHeartbeat(options as unknown as HeartbeatOptions), {
      name: "TypeError",
      message,
    });
});

for (const [what, options, problem] of [
  ["says no", { isHealthy: () => false }, "isHealthy() says no"],
  [
    "rejects",
    { isHealthy: () => Promise.reject(new Error("no database")) },
    "isHealthy() failed: no database",
  ],
  [
    "does not answer",
    { isHealthy: () => new Promise<boolean>(() => {}) },
    "isHealthy() has not answered yet",
  ],
  ["counts nonsense", { progress: () => Number.NaN }, "progress() gave NaN"],
] as const) {
  test(`startHeartbeat() withholds the beat when the program's own check ${what}`, () =>
    withBeats(options, async (heartbeat, beats, nextProblem) => {
      assert.equal(await nextProblem(), problem);
      const { sent, withheld } = heartbeat.statistics();
      assert.deepEqual([sent, beats.length], [0, 0]);
      assert.ok(withheld >= 1);
    }));
}

test("startHeartbeat() withholds a beat that comes too late, and goes on when the loop turns again", () =>
  withBeats({ loopDelayMsMax: 40 }, async (heartbeat, _beats, nextProblem) => {
    const late = nextProblem();
    const untilMs = performance.now() + 150;
    while (performance.now() < untilMs);
    assert.match(String(await late), /^the event loop was blocked for \d+ ms$/);
    assert.ok(heartbeat.statistics().loopDelayMsWorst > 40);
    // A busy machine may make it late once more.
    while ((await nextProblem()) !== undefined);
    assert.ok(heartbeat.statistics().sent >= 1);
  }));
