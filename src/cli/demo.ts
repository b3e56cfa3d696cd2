/**
 * `holdfast demo`: the gateway on a built-in configuration with two small origins of its own (demo-origin.ts), and three
 * things to try. No root, 127.0.0.1 only, nothing left behind. Called by `npm start`.
 */
import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Command, InvalidArgumentError, Option } from "commander";
import { attachSignals } from "../daemon/signals.ts";
import { Supervisor } from "../daemon/supervisor.ts";
import { createLogger, type Logger } from "../observe/log.ts";
import { loadGatewayText } from "./gateway-file.ts";
import { startOrFail } from "./run.ts";
import { readVersion } from "./version.ts";

const ORIGIN_MODULE = fileURLToPath(new URL("./demo-origin.js", import.meta.url));
const ORIGINS = [
  { name: "A", keepAliveTimeoutMs: 5_000 },
  { name: "B", keepAliveTimeoutMs: 65_000 },
] as const;
/** Long enough to see the requests go on without it. */
const ORIGIN_RESTART_MS = 10_000;

const EXAMPLES = `
Examples:
  holdfast demo
  holdfast demo --port 8090`;

export function demoCommand(): Command {
  return new Command("demo")
    .description("run the gateway before two small origins of its own, and print what to try")
    .addOption(new Option("--port <port>", "port on 127.0.0.1").default(8080).argParser(parsePort))
    .addHelpText("after", EXAMPLES)
    .action(runDemo);
}

export function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535) {
    throw new InvalidArgumentError("a port is a number from 1 to 65535.");
  }
  return port;
}

async function runDemo(options: { port: number }): Promise<void> {
  const origins = ORIGINS.map((origin) => new DemoOrigin(origin.name, origin.keepAliveTimeoutMs));
  try {
    await Promise.all(origins.map((origin) => origin.start()));
    const adminPath = join(tmpdir(), `holdfast-demo-${randomBytes(4).toString("hex")}.sock`);
    const text = demoConfig(options.port, adminPath, origins);
    process.title = "holdfast"; // what ps and "address in use by" show
    const supervisor = new Supervisor({
      version: readVersion(),
      configFile: undefined,
      load: () => loadGatewayText(text, "demo"),
      logger: quietLogger(),
    });
    attachSignals(supervisor, "stop");
    if (await startOrFail(supervisor, portHint(options.port))) {
      process.stdout.write(demoText(options.port, adminPath, origins));
      await supervisor.stopped;
      process.stdout.write("\nThe demo has ended; nothing is left behind.\n");
    }
    await supervisor.stopped;
  } finally {
    for (const origin of origins) {
      origin.stop();
    }
  }
}

/** `npm start` cannot pass options without `--`. */
function portHint(port: number): string {
  const command = process.env.npm_lifecycle_event === "start" ? "npm start --" : "holdfast demo";
  return `hint: another port: ${command} --port ${port === 8090 ? 8091 : 8090}`;
}

/** Starts and stops are told by the demo itself. */
function quietLogger(): Logger {
  const logger = createLogger(process.stderr, Date.now);
  return {
    log(level, event, message, fields) {
      if (level !== "info" || event === "worker-respawned" || event === "reloaded") {
        logger.log(level, event, message, fields);
      }
    },
  };
}

export function demoConfig(port: number, adminPath: string, origins: readonly { port: number }[]): string {
  const servers = origins.map(
    (origin) => `      - { address: "127.0.0.1:${origin.port}", max_fails: 1, fail_timeout: 3s }`,
  );
  return `workers: 1
admin: unix:${adminPath}
drain_timeout: 500ms
listeners:
  demo:
    bind: 127.0.0.1:${port}
    so_keepalive: 30s:5s:3
    http:
      routes:
        - { pool: origins }
pools:
  origins:
    so_keepalive: 20s:5s:3
    connect_timeout: 1s
    servers:
${servers.join("\n")}
`;
}

export function demoText(
  port: number,
  adminPath: string,
  origins: readonly { name: string; pid: number; port: number }[],
): string {
  const url = `http://127.0.0.1:${port}`;
  const victim = origins[0]!;
  const list = origins.map((origin) => `${origin.name} (127.0.0.1:${origin.port}, pid ${origin.pid})`);
  const upstreamPorts = origins.map((origin) => `dport = :${origin.port}`).join(" or ");
  const scripts = fileURLToPath(new URL("./main.js", import.meta.url));
  return `Holdfast ${readVersion()} listens on ${url}. Behind it are two small origins:
${list.join(" and ")}.
Three things to try in another terminal:

1. Reused connections. One client connection, and behind it one to each origin: the number of the
   origin's connection stays while its requests count up, also when you run it again.

     curl -sv '${url}/?[1-4]' 2>&1 | grep -E 'Re-using|origin'

2. A dead origin. Kill one: every request is answered (200), by the other. It is started again
   ${ORIGIN_RESTART_MS / 1000} s later and taken back by itself.

     kill -9 ${victim.pid}; for i in 1 2 3 4 5 6; do curl -s -w '%{http_code} ' ${url}/; done

3. TCP keepalive, in the kernel. While a slow answer (5 s) is awaited, both legs are quiet: ss shows the
   timer of each socket, 30 s towards the client (port ${port}), 20 s towards the origins.

     curl -s ${url}/slow & sleep 1; ss -tno state established '( sport = :${port} or ${upstreamPorts} )'; wait

What the gateway counted:

     node ${scripts} status --admin unix:${adminPath}

The doctor needs no gateway: every connection of this port, which of them nobody guards, and when a dead
peer would be found; then what cuts a two-minute answer on a path, and the smallest change that mends it.

     node ${scripts} sockets --port ${port}
     node ${scripts} predict client lvs=90s nginx node-http --response-time 2m

Ctrl-C ends it.
`;
}

/** An origin in a process of its own; when it is killed it comes back on the same port. */
class DemoOrigin {
  readonly name: string;
  readonly #keepAliveTimeoutMs: number;
  #child: ChildProcess | undefined;
  #port = 0;
  #isStopping = false;
  readonly #stopped = new AbortController();

  constructor(name: string, keepAliveTimeoutMs: number) {
    this.name = name;
    this.#keepAliveTimeoutMs = keepAliveTimeoutMs;
  }

  get port(): number {
    return this.#port;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async start(): Promise<void> {
    const child = fork(ORIGIN_MODULE, [this.name, String(this.#port), String(this.#keepAliveTimeoutMs)]);
    this.#child = child;
    child.once("exit", () => void this.#restart());
    const [message] = (await once(child, "message")) as [{ port?: number; error?: string }];
    if (message.port === undefined) {
      child.kill("SIGKILL");
      throw new Error(`origin ${this.name} could not start: ${message.error}`);
    }
    this.#port = message.port;
  }

  stop(): void {
    this.#isStopping = true;
    this.#stopped.abort();
    this.#child?.kill("SIGKILL");
  }

  async #restart(): Promise<void> {
    if (this.#isStopping) {
      return;
    }
    process.stdout.write(
      `origin ${this.name} is dead; it will be started again in ${ORIGIN_RESTART_MS / 1000} s\n`,
    );
    try {
      await delay(ORIGIN_RESTART_MS, undefined, { signal: this.#stopped.signal });
      await this.start();
      process.stdout.write(`origin ${this.name} is back, pid ${this.pid}\n`);
    } catch {
      // The demo has ended, or somebody took the port: the other origin goes on alone.
    }
  }
}
