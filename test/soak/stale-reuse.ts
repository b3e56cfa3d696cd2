/**
 * The stale-connection race, provoked: a Node origin whose keep-alive timeout equals the period of the clients' requests, so that
 * the proxy picks a pooled connection just when the origin closes it. GET and POST, each with an id of its own, through
 * Holdfast, nginx and HAProxy side by side. Counts requests that failed at the client and ids the origin processed twice.
 *
 * The clients send in waves: all of them at once, then all wait one period. Staggered clients would keep a few pooled connections busy
 * and let the rest expire unnoticed; a wave needs them all, and all of them have been idle for the same time.
 */
import http from "node:http";
import path from "node:path";
import { compiledRoot } from "../harness/paths.ts";
import { freePort, type Program, startProgram } from "../harness/program.ts";
import { type Server, startHaproxy, startHoldfast, startNginx } from "../harness/servers.ts";

export type ProxyName = "holdfast" | "nginx" | "haproxy";

export interface StaleReusePlan {
  readonly proxies: readonly ProxyName[];
  readonly idleTimeoutMs: number;
  /** The origin announces its timeout (`Keep-Alive: timeout=N`, as Node does) or keeps it to itself. */
  readonly isAdvertised: boolean;
  readonly clients: number;
  readonly durationMs: number;
  /** Waves begin one period apart, give or take this much, in turn. */
  readonly jitterMs: number;
}

export interface StaleReuseResult {
  readonly proxy: ProxyName;
  readonly requests: number;
  readonly failedGet: number;
  readonly failedPost: number;
  readonly duplicates: number;
  /** Up to five, to show what the clients saw. */
  readonly failures: readonly string[];
}

export async function runStaleReuse(plan: StaleReusePlan): Promise<StaleReuseResult[]> {
  return Promise.all(plan.proxies.map((proxy) => soakOne(proxy, plan)));
}

async function soakOne(proxy: ProxyName, plan: StaleReusePlan): Promise<StaleReuseResult> {
  const origin = await startOrigin(plan);
  try {
    const originPort = Number(origin.lines[0]!.split(" ")[1]);
    const port = await freePort();
    const server = await startProxy(proxy, port, originPort);
    try {
      const load = await sendWaves(port, plan);
      const statistics = await getJson<{ duplicates: number }>(originPort, "/statistics");
      return { proxy, ...load, duplicates: statistics.duplicates };
    } finally {
      await server.stop();
    }
  } finally {
    await origin.stop();
  }
}

function startOrigin(plan: StaleReusePlan): Promise<Program> {
  return startProgram({
    name: "stale-origin",
    command: process.execPath,
    args: [
      path.join(compiledRoot, "test/soak/stale-origin.js"),
      String(plan.idleTimeoutMs),
      plan.isAdvertised ? "advertise" : "hide",
    ],
    readyLine: "ready",
  });
}

/** Each proxy as its manual recommends for persistent connections to one server; retries are its own defaults. */
function startProxy(proxy: ProxyName, port: number, originPort: number): Promise<Server> {
  const ready = [{ host: "127.0.0.1", port }];
  if (proxy === "holdfast") {
    return startHoldfast({
      ready,
      config: `workers: 1
listeners: { web: { bind: "127.0.0.1:${port}", http: { routes: [{ pool: web }] } } }
pools: { web: { servers: ["127.0.0.1:${originPort}"] } }
`,
    });
  }
  if (proxy === "nginx") {
    return startNginx({
      ready,
      http: `upstream origin { server 127.0.0.1:${originPort}; keepalive 64; }
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }`,
    });
  }
  return startHaproxy({
    ready,
    sections: `defaults
  mode http
  timeout connect 5s
  timeout client 75s
  timeout server 60s
frontend web
  bind 127.0.0.1:${port}
  default_backend origin
backend origin
  server origin 127.0.0.1:${originPort}`,
  });
}

type LoadResult = Pick<StaleReuseResult, "requests" | "failedGet" | "failedPost" | "failures">;

async function sendWaves(port: number, plan: StaleReusePlan): Promise<LoadResult> {
  const agents = Array.from(
    { length: plan.clients },
    () => new http.Agent({ keepAlive: true, maxSockets: 1 }),
  );
  const failures: string[] = [];
  let requests = 0;
  let failedGet = 0;
  let failedPost = 0;
  const endMs = performance.now() + plan.durationMs;
  for (let wave = 0; performance.now() < endMs; wave++) {
    await Promise.all(
      agents.map(async (agent, client) => {
        const method = (client + wave) % 2 === 0 ? "GET" : "POST";
        const failure = await send(agent, port, method, `${client}-${wave}`);
        requests++;
        if (failure === undefined) return;
        if (method === "GET") failedGet++;
        else failedPost++;
        if (failures.length < 5) failures.push(`${method}: ${failure}`);
      }),
    );
    // A sweep from period - jitter to period + jitter, a little at a time: some wave meets the close exactly.
    const offsetMs = ((wave * 7) % (2 * plan.jitterMs * 10 + 1)) / 10 - plan.jitterMs;
    await new Promise((resolve) => setTimeout(resolve, plan.idleTimeoutMs + offsetMs));
  }
  for (const agent of agents) agent.destroy();
  return { requests, failedGet, failedPost, failures };
}

/** undefined when the answer is 200. */
function send(
  agent: http.Agent,
  port: number,
  method: "GET" | "POST",
  id: string,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const headers = { "X-Request-Id": id, ...(method === "POST" ? { "Content-Length": "4" } : {}) };
    const request = http.request(
      { host: "127.0.0.1", port, agent, method, path: `/${id}`, headers },
      (response) => {
        response.resume();
        response.on("end", () =>
          resolve(response.statusCode === 200 ? undefined : `status ${response.statusCode}`),
        );
        response.on("error", (error) => resolve(error.message));
      },
    );
    request.on("error", (error) => resolve(error.message));
    request.end(method === "POST" ? "body" : undefined);
  });
}

function getJson<T>(port: number, target: string): Promise<T> {
  return fetch(`http://127.0.0.1:${port}${target}`).then((response) => response.json() as Promise<T>);
}

export function formatStaleReuse(plan: StaleReusePlan, results: readonly StaleReuseResult[]): string {
  const timeout = `${plan.idleTimeoutMs} ms, ${plan.isAdvertised ? "announced" : "not announced"}`;
  const lines = [
    `origin's keep-alive timeout = period of the requests = ${timeout}; ${plan.clients} clients, ${plan.durationMs / 1000} s`,
    "proxy      requests  failed GET  failed POST  duplicates",
    ...results.map(
      (it) =>
        `${it.proxy.padEnd(9)} ${String(it.requests).padStart(9)} ${String(it.failedGet).padStart(11)} ` +
        `${String(it.failedPost).padStart(12)} ${String(it.duplicates).padStart(11)}`,
    ),
    ...results.flatMap((it) => it.failures.map((failure) => `  ${it.proxy}: ${failure}`)),
  ];
  return lines.join("\n");
}
