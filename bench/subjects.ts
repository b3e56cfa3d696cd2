/**
 * The proxies under measurement, each with ONE worker pinned to the proxy core and doing the same work: persistent
 * connections on both legs without a request limit, X-Forwarded-For, Host passed on, no access log; Holdfast with its metrics.
 * bench/main.ts starts them all at once and lets them take turns.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { projectRoot } from "../test/harness/paths.ts";
import { peerPath } from "../test/harness/peers.ts";
import { freePort, startProgram } from "../test/harness/program.ts";
import { startHaproxy, startHoldfast, startNginx } from "../test/harness/servers.ts";

export const PROXY_PROCESSOR = 0;
export const LOAD_PROCESSOR = 1;

/** Idle upstream connections every proxy may keep: above the largest number of clients. */
const UPSTREAM_CONNECTIONS_MAX = 2048;
const UNLIMITED_REQUESTS = 1_000_000_000;

export const SUBJECT_NAMES = ["holdfast", "nginx", "haproxy", "http-proxy-3", "httpxy", "fastify"] as const;
export type SubjectName = (typeof SUBJECT_NAMES)[number];
export const NODE_PROXIES: readonly SubjectName[] = ["http-proxy-3", "httpxy", "fastify"];

export interface Subject {
  readonly name: SubjectName;
  readonly version: string;
  readonly port: number;
  /** The process that carries the traffic; its CPU time and memory are what is compared. */
  readonly workerPid: number;
  stop(): Promise<void>;
}

export async function startSubject(name: SubjectName, upstreamPort: number): Promise<Subject> {
  if (name === "holdfast") return startHoldfastSubject(upstreamPort);
  if (name === "nginx") return startNginxSubject(upstreamPort);
  if (name === "haproxy") return startHaproxySubject(upstreamPort);
  return startNodeProxy(name, upstreamPort);
}

async function startHoldfastSubject(upstreamPort: number): Promise<Subject> {
  const port = await freePort();
  const server = await startHoldfast({
    processor: PROXY_PROCESSOR,
    ready: [{ host: "127.0.0.1", port }],
    config: `workers: 1
listeners:
  web:
    bind: 127.0.0.1:${port}
    http:
      keepalive_timeout: 1h
      keepalive_requests: 0
      routes: [{ pool: web }]
pools:
  web:
    keepalive: ${UPSTREAM_CONNECTIONS_MAX}
    keepalive_requests: 0
    servers: ["127.0.0.1:${upstreamPort}"]
`,
  });
  return {
    name: "holdfast",
    version: holdfastVersion(),
    port,
    workerPid: onlyWorker(server.workerPids(), "holdfast"),
    stop: () => server.stop(),
  };
}

async function startNginxSubject(upstreamPort: number): Promise<Subject> {
  const port = await freePort();
  const server = await startNginx({
    processor: PROXY_PROCESSOR,
    connections: 20_000,
    ready: [{ host: "127.0.0.1", port }],
    http: `keepalive_timeout 1h;
  keepalive_requests ${UNLIMITED_REQUESTS};
  upstream origin {
    server 127.0.0.1:${upstreamPort};
    keepalive ${UPSTREAM_CONNECTIONS_MAX};
    keepalive_requests ${UNLIMITED_REQUESTS};
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
  }`,
  });
  return {
    name: "nginx",
    version: programVersion("nginx", ["-v"], /nginx\/\S+/),
    port,
    workerPid: onlyWorker(server.workerPids(), "nginx"),
    stop: () => server.stop(),
  };
}

async function startHaproxySubject(upstreamPort: number): Promise<Subject> {
  const port = await freePort();
  const server = await startHaproxy({
    processor: PROXY_PROCESSOR,
    connections: 9_900,
    ready: [{ host: "127.0.0.1", port }],
    sections: `defaults
  mode http
  option forwardfor
  http-reuse always
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
frontend web
  bind 127.0.0.1:${port} backlog 4096
  default_backend origin
backend origin
  server origin 127.0.0.1:${upstreamPort} pool-max-conn -1 pool-purge-delay 1h`,
  });
  return {
    name: "haproxy",
    version: programVersion("haproxy", ["-v"], /HAProxy version \S+/),
    port,
    workerPid: server.pid,
    stop: () => server.stop(),
  };
}

async function startNodeProxy(name: SubjectName, upstreamPort: number): Promise<Subject> {
  const port = await freePort();
  const program = await startProgram({
    name,
    command: process.execPath,
    args: [path.join(peersDirectory, "server.mjs"), name, String(port), String(upstreamPort)],
    processor: PROXY_PROCESSOR,
    readyLine: "ready",
    ready: [{ host: "127.0.0.1", port }],
  });
  return {
    name,
    version: program.lines[0]!.slice("ready ".length),
    port,
    workerPid: program.pid,
    stop: () => program.stop(),
  };
}

const peersDirectory = path.join(projectRoot, "bench/peers");

/** Installs the Node proxies from their own lock file, once. */
export function installNodeProxies(): void {
  if (existsSync(path.join(peersDirectory, "node_modules/.package-lock.json"))) return;
  process.stderr.write("bench: installing the Node proxies (npm ci in bench/peers)\n");
  execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--ignore-scripts"], {
    cwd: peersDirectory,
    stdio: ["ignore", "ignore", "inherit"],
  });
}

/** The origin every proxy forwards to: nginx serving files from memory, on the load core. */
export async function startOrigin(): Promise<{ port: number; version: string; stop: () => Promise<void> }> {
  const port = await freePort();
  const server = await startNginx({
    processor: LOAD_PROCESSOR,
    connections: 20_000,
    ready: [{ host: "127.0.0.1", port }],
    http: `keepalive_timeout 1h;
  keepalive_requests ${UNLIMITED_REQUESTS};
  open_file_cache max=10 inactive=1h;
  open_file_cache_valid 1h;
  default_type text/plain;
  server { listen 127.0.0.1:${port} backlog=4096; root ${originDocuments()}; }`,
  });
  return { port, version: programVersion("nginx", ["-v"], /nginx\/\S+/), stop: () => server.stop() };
}

export const BODIES = {
  "110 B": { path: "/110", bytes: 110 },
  "16 KiB": { path: "/16k", bytes: 16_384 },
} as const;
export type BodyName = keyof typeof BODIES;

function originDocuments(): string {
  return path.join(projectRoot, "bench/documents");
}

export function onlyWorker(pids: readonly number[], name: string): number {
  if (pids.length !== 1) throw new Error(`${name}: expected one worker process, found ${pids.length}`);
  return pids[0]!;
}

export function holdfastVersion(): string {
  const manifest = JSON.parse(readFileSync(path.join(projectRoot, "package.json"), "utf8")) as {
    version: string;
  };
  return `Holdfast ${manifest.version} on Node ${process.version}`;
}

export function programVersion(program: "nginx" | "haproxy", args: string[], pattern: RegExp): string {
  const output = execFileSync("sh", ["-c", `"$0" "$@" 2>&1`, peerPath(program), ...args], {
    encoding: "utf8",
  });
  return output.match(pattern)?.[0] ?? `${program} (unknown version)`;
}
