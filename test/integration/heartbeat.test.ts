/**
 * The deadlocked process, with a real one: an origin stopped by SIGSTOP, whose kernel goes on completing handshakes and answering
 * TCP keepalive probes. The TCP check of one pool stays green, the heartbeat of the other turns red within its deadline,
 * requests go elsewhere and none fails, and after SIGCONT the server is back by itself. Then what a heartbeat sees beyond that:
 * a blocked event loop, an application that says no, a counter that stands still.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { encodeSocketAddress } from "../../src/sys/sockaddr.ts";
import { AF_INET, close, connect, streamSocket } from "../../src/sys/socket.ts";
import { setTcpKeepalive } from "../../src/sys/socket-options.ts";
import { getTcpInfo, TcpState } from "../../src/sys/tcp-info.ts";
import {
  ask,
  type HealthGateway,
  HealthOrigin,
  startHealthGateway,
  Traffic,
} from "../harness/health-scene.ts";
import { compiledRoot, projectRoot } from "../harness/paths.ts";
import { canConnect, eventually, freePort, Program, startProgram } from "../harness/program.ts";
import { startScriptedOrigin } from "../harness/wire.ts";

const ORIGIN = fileURLToPath(new URL("../harness/heartbeat-origin-main.js", import.meta.url));
const options = { timeout: 60_000 };
const DEADLINE_MS = 600;
const INTERVAL_MS = 100;
/** What a loaded machine may add to a time that is waited for. */
const SLACK_MS = 500;

interface Scene {
  readonly gateway: HealthGateway;
  /** The first is the patient. */
  readonly origins: readonly HealthOrigin[];
  readonly programs: readonly Program[];
}

/** Two origins that tell the pool `web`; the pool `plain` looks at the same two with TCP checks. */
async function withScene(
  heartbeat: object,
  beats: (port: number) => string,
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  const beatsPort = await freePort();
  const origins = [new HealthOrigin(await freePort()), new HealthOrigin(await freePort())];
  const servers = origins.map(({ name }) => ({ address: name, max_fails: 0 }));
  const programs: Program[] = [];
  try {
    for (const { port } of origins) {
      programs.push(
        await startProgram({
          name: `origin ${port}`,
          command: process.execPath,
          args: [ORIGIN, String(port), beats(beatsPort), "web", String(INTERVAL_MS)],
          readyLine: "ready",
        }),
      );
    }
    await using gateway = await startHealthGateway(
      {
        web: {
          health: { heartbeat, initial: "down", rise: 2, fall: 3, interval: "100ms" },
          read_timeout: "2s",
          servers,
        },
        plain: { health: { tcp: {}, interval: "100ms", timeout: "80ms" }, servers },
      },
      { heartbeats: { bind: `127.0.0.1:${beatsPort}` } },
    );
    for (const origin of origins) await gateway.stateIs(origin, "up");
    await body({ gateway, origins, programs });
  } finally {
    for (const program of programs) await program.stop("SIGKILL");
  }
}

const TOLD = { told: true, deadline: `${DEADLINE_MS}ms` };
const byHttp = (port: number) => `http://127.0.0.1:${port}`;
const byDatagram = (port: number) => `127.0.0.1:${port}`;

for (const [name, beats] of [
  ["HTTP", byHttp],
  ["datagrams", byDatagram],
] as const) {
  test(
    `a process stopped by SIGSTOP: TCP is content, the heartbeat (${name}) is not, no request fails`,
    options,
    () =>
      withScene(TOLD, beats, async ({ gateway, origins, programs }) => {
        const [patient, healthy] = [origins[0]!, origins[1]!];
        const traffic = new Traffic(gateway.port);
        const fd = openProbedSocket(patient.port);
        try {
          assert.equal((await traffic.answers(100)).size, 2, "both origins answer");
          const checksBefore = (await gateway.serverStatus(patient, "plain")).health!.checks;

          process.kill(programs[0]!.pid, "SIGSTOP");
          const stoppedAtMs = performance.now();
          const down = await gateway.stateIs(patient, "down");
          const redAfterMs = performance.now() - stoppedAtMs;
          assert.match(down.reason!, /^no beat for [6-9]\d\dms$/);
          assert.ok(redAfterMs < DEADLINE_MS + SLACK_MS, `red after ${redAfterMs} ms`);

          // Requests that had gone into the frozen process are sent again (read_timeout, GET); then all go to the other one.
          await traffic.answers(50);
          assert.deepEqual([...(await traffic.answers(100)).keys()], [String(programs[1]!.pid)]);

          // What TCP says meanwhile. 1:1:2 would have let go after three seconds.
          const info = await eventually("the probed socket is older than its probes allow", 10_000, () => {
            const info = getTcpInfo(fd)!;
            return (info.lastDataReceivedMs > 4000 || info.state !== TcpState.ESTABLISHED) && info;
          });
          assert.equal(info.state, TcpState.ESTABLISHED);
          assert.ok(info.lastAckReceivedMs < 1500, `a probe was answered ${info.lastAckReceivedMs} ms ago`);
          assert.equal(await canConnect({ host: "127.0.0.1", port: patient.port }), true);
          const plain = await gateway.serverStatus(patient, "plain");
          assert.equal(plain.state, "up");
          assert.equal(plain.health!.checksFailed, 0);
          assert.ok(plain.health!.checks >= checksBefore + 10, "the TCP check went on, and stayed green");

          process.kill(programs[0]!.pid, "SIGCONT");
          const up = await gateway.stateIs(patient, "up");
          assert.match(up.reason!, /^a beat came, progress \d+ \(2 checks in a row\)$/);
          await eventually(
            "the server is asked again",
            5000,
            async () => (await traffic.answers(50)).size === 2,
          );
          assert.equal((await gateway.serverStatus(healthy)).health!.timesDown, 0);
        } finally {
          process.kill(programs[0]!.pid, "SIGCONT");
          close(fd);
          await traffic.stop();
        }
        assert.deepEqual(traffic.failures, []);
      }),
  );
}

/** A connection with TCP keepalive 1:1:2 that nobody writes to. */
function openProbedSocket(port: number): number {
  const fd = streamSocket(AF_INET);
  setTcpKeepalive(fd, { enabled: true, idleSeconds: 1, intervalSeconds: 1, probeCount: 2 });
  connect(fd, encodeSocketAddress({ family: "inet", host: "127.0.0.1", port }));
  return fd;
}

test(
  "a blocked event loop turns the heartbeat red, and it comes back when the loop turns again",
  options,
  () =>
    withScene(TOLD, byDatagram, async ({ gateway, origins, programs }) => {
      await ask(origins[0]!.port, "/block");
      assert.match((await gateway.stateIs(origins[0]!, "down")).reason!, /^no beat for/);
      await gateway.stateIs(origins[0]!, "up");
      assert.match(programs[0]!.stderr, /the event loop was blocked for (1[3-9]|2\d)\d\d ms/);
    }),
);

test("an application whose own check says no is taken out, and back in", options, () =>
  withScene(TOLD, byHttp, async ({ gateway, origins }) => {
    await ask(origins[0]!.port, "/sick");
    await gateway.stateIs(origins[0]!, "down");
    await ask(origins[0]!.port, "/sick");
    await gateway.stateIs(origins[0]!, "up");
  }),
);

test("a counter that stands still is a failure although beats come (told)", options, () =>
  withScene({ ...TOLD, progress_deadline: "500ms" }, byDatagram, async ({ gateway, origins }) => {
    await ask(origins[0]!.port, "/stall");
    const down = await gateway.stateIs(origins[0]!, "down");
    assert.match(down.reason!, /makes no progress: its counter has stood at \d+ for [5-9]\d\dms/);
    await ask(origins[0]!.port, "/stall");
    await gateway.stateIs(origins[0]!, "up");
  }),
);

test("a counter that stands still is a failure although the end point answers (asked)", options, () =>
  withScene({ path: "/alive", progress_deadline: "500ms" }, byDatagram, async ({ gateway, origins }) => {
    await ask(origins[0]!.port, "/stall");
    const down = await gateway.stateIs(origins[0]!, "down");
    assert.match(
      down.reason!,
      /answered 204, but the application makes no progress.*\(3 failed checks in a row\)/,
    );
    await ask(origins[0]!.port, "/stall");
    const up = await gateway.stateIs(origins[0]!, "up");
    assert.match(up.reason!, /^answered 204, progress \d+/);
  }),
);

test(
  "holdfast/heartbeat is what the package exports, and does not keep a program alive",
  options,
  async () => {
    const manifest = JSON.parse(readFileSync(path.join(projectRoot, "package.json"), "utf8"));
    const library = path.join(
      compiledRoot,
      manifest.exports["./heartbeat"].default.replace(/^\.\/dist\//, ""),
    );
    const beats = await startScriptedOrigin(async (connection) => {
      await connection.readHead();
      await connection.write("HTTP/1.1 204 No Content\r\n\r\n");
    });
    try {
      const program = new Program({
        name: "a program with a heartbeat",
        command: process.execPath,
        args: [
          "--input-type=module",
          "-e",
          `
        const { startHeartbeat } = await import(${JSON.stringify(library)});
        const heartbeat = startHeartbeat({ url: "http://127.0.0.1:${beats.port}", pool: "p", server: "s", intervalMs: 20 });
        while (heartbeat.statistics().sent < 2) await new Promise((resolve) => setTimeout(resolve, 5));`,
        ],
      });
      assert.equal(await program.exited(10_000), 0, program.stderr);
    } finally {
      await beats.stop();
    }
  },
);
