/**
 * `holdfast predict` reads the configuration of a proxy that runs, and the proxy then does what was predicted: nginx, HAProxy and
 * Holdfast itself, in HTTP and in TCP, with an idle connection and with an answer that takes too long. Who is told what may differ in
 * nothing, the time by one second. The kernels' part, on paths that lose packets, is in test/netns/doctor-fate.test.ts.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import test from "node:test";
import { holdfastMain } from "../harness/paths.ts";
import { requirePeer } from "../harness/peers.ts";
import { eventually, freePorts, Program } from "../harness/program.ts";
import { type Server, startHaproxy, startHoldfast, startNginx } from "../harness/servers.ts";

const TIMEOUT_S = 2;
const TOLERANCE_MS = 1000;

interface Ports {
  readonly front: number;
  readonly back: number;
}

interface ProxyKind {
  readonly name: string;
  readonly peer: "nginx" | "haproxy" | undefined;
  readonly start: (ports: Ports) => Promise<Server>;
  /** The proxy as a word of a path. */
  readonly word: (directory: string, ports: Ports) => string;
}

const haproxyDefaults = (mode: string, client: number): string =>
  `defaults\n  mode ${mode}\n  timeout connect 5s\n  timeout client ${client}s\n  timeout server ${TIMEOUT_S}s\n  timeout http-keep-alive ${TIMEOUT_S}s\n`;
const haproxySections = (mode: string, client: number, { front, back }: Ports): string =>
  `${haproxyDefaults(mode, client)}frontend web\n  bind 127.0.0.1:${front}\n  default_backend app\nbackend app\n  server app 127.0.0.1:${back}\n`;

const KINDS: readonly ProxyKind[] = [
  {
    name: "nginx, http",
    peer: "nginx",
    start: ({ front, back }) =>
      startNginx({
        ready: [{ host: "127.0.0.1", port: front }],
        http: `server { listen 127.0.0.1:${front}; keepalive_timeout ${TIMEOUT_S}s; location / { proxy_pass http://127.0.0.1:${back}; proxy_read_timeout ${TIMEOUT_S}s; } }`,
      }),
    word: (directory, { front }) => `nginx:${directory}/nginx.conf:${front}`,
  },
  {
    name: "HAProxy, http",
    peer: "haproxy",
    start: (ports) =>
      startHaproxy({
        ready: [{ host: "127.0.0.1", port: ports.front }],
        sections: haproxySections("http", 30, ports),
      }),
    word: (directory) => `haproxy:${directory}/haproxy.cfg:web`,
  },
  {
    name: "HAProxy, tcp",
    peer: "haproxy",
    start: (ports) =>
      startHaproxy({
        ready: [{ host: "127.0.0.1", port: ports.front }],
        sections: haproxySections("tcp", TIMEOUT_S, ports),
      }),
    word: (directory) => `haproxy:${directory}/haproxy.cfg:web`,
  },
  {
    name: "Holdfast, http",
    peer: undefined,
    start: ({ front, back }) =>
      startHoldfast({
        config: `workers: 1\nlisteners:\n  web:\n    bind: 127.0.0.1:${front}\n    http: { keepalive_timeout: ${TIMEOUT_S}s, routes: [{ pool: app }] }\npools:\n  app: { read_timeout: ${TIMEOUT_S}s, servers: ["127.0.0.1:${back}"] }\n`,
      }),
    word: (directory) => `holdfast:${directory}/gateway.yaml:web`,
  },
  {
    name: "Holdfast, tcp, on_idle: reset",
    peer: undefined,
    start: ({ front, back }) =>
      startHoldfast({
        config: `workers: 1\nlisteners:\n  web:\n    bind: 127.0.0.1:${front}\n    tcp: { pool: app, idle_timeout: ${TIMEOUT_S}s, on_idle: reset }\npools:\n  app: { servers: ["127.0.0.1:${back}"] }\n`,
      }),
    word: (directory) => `holdfast:${directory}/gateway.yaml:web`,
  },
];

const SCENARIOS = [
  { name: "an idle connection", word: "idle=4s,client", target: "/" },
  { name: "an answer that takes 5 s", word: "slow-response=5s", target: "/slow" },
] as const;
const ANSWER_TAKES_MS = 5000;
const OBSERVED_MS = 4000;

interface Ending {
  readonly how: string;
  readonly atMs: number | undefined;
}

/** What became of the client's end: an error response counts, as it does for whoever waits for an answer. */
async function endingOfClient(port: number, target: string): Promise<Ending> {
  const socket = net.connect(port, "127.0.0.1");
  await once(socket, "connect");
  let text = "";
  let ending: Ending | undefined;
  let startMs = performance.now();
  const end = (how: string): void => {
    ending ??= { how, atMs: performance.now() - startMs };
  };
  socket.on("data", (bytes) => {
    text += bytes.toString("latin1");
    if (text.includes(" 504 ")) end("error-response");
    else startMs = performance.now();
  });
  socket.on("end", () => end("fin"));
  socket.on("error", (error: NodeJS.ErrnoException) => end(error.code!));
  socket.write(`GET ${target} HTTP/1.1\r\nHost: test\r\n\r\n`);
  await eventually("the connection ends", OBSERVED_MS, () => ending !== undefined).catch(() => {});
  socket.destroy();
  return ending ?? { how: "still-alive", atMs: undefined };
}

async function startOrigin(port: number): Promise<net.Server> {
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      const answer = (): void => {
        if (socket.writable) socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      };
      if (bytes.toString("latin1").startsWith("GET /slow")) setTimeout(answer, ANSWER_TAKES_MS).unref();
      else answer();
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return server;
}

async function predictedForClient(proxyWord: string, scenarioWord: string): Promise<Ending> {
  const program = new Program({
    name: "predict",
    command: process.execPath,
    args: [holdfastMain, "predict", "client", proxyWord, "server", "--scenario", scenarioWord, "--json"],
  });
  const status = await program.exited(20_000);
  assert.ok(status === 0 || status === 1, `holdfast predict: ${status}\n${program.stderr}`);
  await eventually("all of its output", 2000, () => program.stdout.trimEnd().endsWith("}"));
  const [prediction] = JSON.parse(program.stdout).predictions;
  const end = prediction.ends.find((it: { hop: number }) => it.hop === 0);
  return { how: end.errno ?? end.how, atMs: end.learnsAtMs ?? undefined };
}

for (const kind of KINDS) {
  test(`predict reads the configuration of ${kind.name}, and it does what was predicted`, async (t) => {
    if (kind.peer !== undefined && !requirePeer(t, kind.peer)) return;
    const [front, back] = (await freePorts(2)) as [number, number];
    const origin = await startOrigin(back);
    const proxy = await kind.start({ front, back });
    try {
      await Promise.all(
        SCENARIOS.map(async (scenario) => {
          const word = kind.word(proxy.directory, { front, back });
          const observed = await endingOfClient(front, scenario.target);
          const predicted = await predictedForClient(word, scenario.word);
          const story = `${scenario.name}: predicted ${JSON.stringify(predicted)}, really ${JSON.stringify(observed)}`;
          assert.equal(observed.how, predicted.how, story);
          assert.ok(Math.abs(observed.atMs! - predicted.atMs!) <= TOLERANCE_MS, story);
        }),
      );
    } finally {
      await proxy.stop();
      origin.close();
    }
  });
}
