/**
 * The TCP relays under measurement: Holdfast's `tcp` listener, HAProxy's `mode tcp` with splicing allowed, nginx's `stream`, each with ONE worker pinned to the proxy core and time-outs that never fire. Called by bench/relay.ts.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { freePort } from "../test/harness/program.ts";
import { startHaproxy, startHoldfast, startNginx } from "../test/harness/servers.ts";
import {
  holdfastVersion,
  onlyWorker,
  PROXY_PROCESSOR,
  programVersion,
  type Subject,
  type SubjectName,
} from "./subjects.ts";

export const RELAY_NAMES = ["holdfast", "haproxy", "nginx"] as const satisfies readonly SubjectName[];
export type RelayName = (typeof RELAY_NAMES)[number];

/** Where Debian, Alpine and the packages of nginx.org put it. */
const STREAM_MODULES = [
  "/usr/lib/nginx/modules/ngx_stream_module.so",
  "/usr/lib64/nginx/modules/ngx_stream_module.so",
  "/etc/nginx/modules/ngx_stream_module.so",
];

/** Two descriptors a session. Where the limit is 20,000 and may not be raised (CAP_SYS_RESOURCE), a few sessions less. */
const DESCRIPTORS = 22_000;
const RAISE_DESCRIPTORS = ["prlimit", `--nofile=${DESCRIPTORS}:${DESCRIPTORS}`] as const;
const canRaise = spawnSync(RAISE_DESCRIPTORS[0], [RAISE_DESCRIPTORS[1], "true"]).status === 0;
const PREFIX: readonly string[] = canRaise ? RAISE_DESCRIPTORS : [];
export const IDLE_SESSIONS = canRaise ? 10_000 : 9_000;
/** 64 bulk sessions in both directions; by default HAProxy reserves descriptors for many more. */
const HAPROXY_PIPES = 2 * 64 + 16;

/**
 * HAProxy's `option splice-auto` guesses when splice(2) pays. On a loopback it guesses wrong for bulk (strace shows recv and send
 * only, at three times the CPU), so for bulk it is told to splice; for requests, where that would cost it more, it may guess.
 */
export type Purpose = "requests" | "bulk";
const HAPROXY_SPLICE: Readonly<Record<Purpose, string>> = {
  requests: "option splice-auto",
  bulk: "option splice-request\n  option splice-response",
};

export async function startRelaySubject(
  name: RelayName,
  upstreamPort: number,
  purpose: Purpose,
): Promise<Subject> {
  if (name === "holdfast") return startHoldfastRelay(upstreamPort);
  if (name === "haproxy") return startHaproxyRelay(upstreamPort, purpose);
  return startNginxRelay(upstreamPort);
}

async function startHoldfastRelay(upstreamPort: number): Promise<Subject> {
  const port = await freePort();
  const server = await startHoldfast({
    processor: PROXY_PROCESSOR,
    prefix: PREFIX,
    ready: [{ host: "127.0.0.1", port }],
    config: `workers: 1
listeners:
  relay:
    bind: 127.0.0.1:${port}
    tcp: { pool: relay, idle_timeout: 1h }
pools:
  relay:
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

async function startHaproxyRelay(upstreamPort: number, purpose: Purpose): Promise<Subject> {
  const port = await freePort();
  const server = await startHaproxy({
    processor: PROXY_PROCESSOR,
    prefix: PREFIX,
    connections: IDLE_SESSIONS + 300,
    ready: [{ host: "127.0.0.1", port }],
    sections: `global
  maxpipes ${HAPROXY_PIPES}
defaults
  mode tcp
  ${HAPROXY_SPLICE[purpose]}
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend relay
  bind 127.0.0.1:${port} backlog 4096
  default_backend origin
backend origin
  server origin 127.0.0.1:${upstreamPort}`,
  });
  return {
    name: "haproxy",
    version: programVersion("haproxy", ["-v"], /HAProxy version \S+/),
    port,
    workerPid: server.pid,
    stop: () => server.stop(),
  };
}

async function startNginxRelay(upstreamPort: number): Promise<Subject> {
  const port = await freePort();
  const module = STREAM_MODULES.find((file) => existsSync(file));
  if (module === undefined)
    throw new Error("nginx has no stream module: apt-get install libnginx-mod-stream");
  const server = await startNginx({
    processor: PROXY_PROCESSOR,
    prefix: PREFIX,
    connections: 2 * IDLE_SESSIONS + 1_000,
    ready: [{ host: "127.0.0.1", port }],
    main: `load_module ${module};
stream {
  server { listen 127.0.0.1:${port} backlog=4096; proxy_pass 127.0.0.1:${upstreamPort}; proxy_timeout 1h; }
}`,
    http: "",
  });
  return {
    name: "nginx",
    version: programVersion("nginx", ["-v"], /nginx\/\S+/),
    port,
    workerPid: onlyWorker(server.workerPids(), "nginx"),
    stop: () => server.stop(),
  };
}
