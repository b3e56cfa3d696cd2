/**
 * Starts nginx, HAProxy and Holdfast from a configuration text on loopback ports, each with a scratch directory of its own.
 * Used by the integration, soak and namespace tests and by bench/. Stop with `await using` or stop().
 */
import { mkdirSync, writeFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { holdfastMain, makeScratchDirectory } from "./paths.ts";
import { childPids } from "./process-usage.ts";
import { eventually, type Program, type ReadyAddress, startProgram } from "./program.ts";

export interface ServerOptions {
  readonly ready?: readonly ReadyAddress[];
  readonly processor?: number;
  /** `["nsenter", "--net=…"]`: runs the program in a namespace. */
  readonly prefix?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly readyTimeoutMs?: number;
  /** How long stop() waits before SIGKILL. */
  readonly stopTimeoutMs?: number;
}

/** A running server and the directory its configuration, pid file and sockets live in. */
export class Server {
  readonly program: Program;
  readonly directory: string;
  readonly #removeDirectory: () => void;

  constructor(started: Started) {
    this.program = started.program;
    this.directory = started.directory;
    this.#removeDirectory = started.removeDirectory;
  }

  get pid(): number {
    return this.program.pid;
  }

  /** The processes that do the work: nginx's workers, Holdfast's workers, HAProxy itself. */
  workerPids(): number[] {
    return childPids(this.pid);
  }

  async stop(signal?: NodeJS.Signals): Promise<void> {
    await this.program.stop(signal);
    this.#removeDirectory();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

interface StartPlan {
  readonly name: string;
  readonly label: string;
  readonly configFile: string;
  readonly config: string | ((directory: string) => string);
  readonly command: (configPath: string, directory: string) => { command: string; args: string[] };
  readonly environment?: Readonly<Record<string, string>>;
}

interface Started {
  readonly program: Program;
  readonly directory: string;
  readonly removeDirectory: () => void;
}

async function start(plan: StartPlan, options: ServerOptions): Promise<Started> {
  const scratch = makeScratchDirectory(plan.label);
  const configPath = path.join(scratch.directory, plan.configFile);
  writeFileSync(configPath, typeof plan.config === "string" ? plan.config : plan.config(scratch.directory));
  try {
    const program = await startProgram({
      ...options,
      name: plan.name,
      ...plan.command(configPath, scratch.directory),
      env: { ...plan.environment, ...options.env },
    });
    return { program, directory: scratch.directory, removeDirectory: scratch.remove };
  } catch (error) {
    scratch.remove();
    throw error;
  }
}

export interface NginxOptions extends ServerOptions {
  /** What stands inside `http { … }`. */
  readonly http: string;
  readonly workers?: number;
  readonly connections?: number;
  /** Directives of the main context. */
  readonly main?: string;
}

export async function startNginx(options: NginxOptions): Promise<Server> {
  const started = await start(
    {
      name: "nginx",
      label: "nginx",
      configFile: "nginx.conf",
      config: (directory) => {
        mkdirSync(path.join(directory, "temp"));
        return nginxConfig(options, directory);
      },
      command: (configPath, directory) => ({
        command: "nginx",
        args: ["-c", configPath, "-p", directory, "-e", "stderr"],
      }),
    },
    options,
  );
  return new Server(started);
}

function nginxConfig(options: NginxOptions, directory: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${directory}/temp/${name};`)
    .join("\n  ");
  return `daemon off;
${process.getuid?.() === 0 ? "user root;" : ""}
worker_processes ${options.workers ?? 1};
worker_rlimit_nofile ${Math.max(20_000, (options.connections ?? 0) + 1_000)};
pid ${directory}/nginx.pid;
error_log stderr crit;
${options.main ?? ""}
events { worker_connections ${options.connections ?? 1024}; }
http {
  ${temporary}
  access_log off;
  ${options.http}
}
`;
}

export interface HaproxyOptions extends ServerOptions {
  /** The sections after `global`: defaults, frontend, backend. */
  readonly sections: string;
  readonly connections?: number;
}

export async function startHaproxy(options: HaproxyOptions): Promise<Server> {
  const started = await start(
    {
      name: "haproxy",
      label: "haproxy",
      configFile: "haproxy.cfg",
      config: `global\n  nbthread 1\n  maxconn ${options.connections ?? 1024}\n\n${options.sections}\n`,
      command: (configPath) => ({ command: "haproxy", args: ["-db", "-q", "-f", configPath] }),
    },
    options,
  );
  return new Server(started);
}

export interface HoldfastOptions extends ServerOptions {
  /** The YAML file, or a function of the scratch directory that makes it; `admin:` is added by this function. */
  readonly config: string | ((directory: string) => string);
  /** Words for node before the entry point. */
  readonly nodeFlags?: readonly string[];
}

/** A running gateway; `admin` speaks to its admin socket. */
export class HoldfastServer extends Server {
  get adminPath(): string {
    return path.join(this.directory, "admin.sock");
  }

  get configPath(): string {
    return path.join(this.directory, "gateway.yaml");
  }

  async admin(method: string, target: string, body?: string): Promise<{ status: number; body: string }> {
    return requestUnix(this.adminPath, method, target, body);
  }

  async metrics(): Promise<Metrics> {
    const { status, body } = await this.admin("GET", "/metrics");
    if (status !== 200) throw new Error(`GET /metrics: ${status} ${body}`);
    return new Metrics(body);
  }
}

export async function startHoldfast(options: HoldfastOptions): Promise<HoldfastServer> {
  const started = await start(
    {
      name: "holdfast",
      label: "gateway",
      configFile: "gateway.yaml",
      config: (directory) =>
        withAdmin(typeof options.config === "string" ? options.config : options.config(directory), directory),
      command: (configPath) => ({
        command: process.execPath,
        args: [...(options.nodeFlags ?? []), holdfastMain, "run", configPath],
      }),
    },
    options,
  );
  const holdfast = new HoldfastServer(started);
  try {
    await eventually("every worker accepts", options.readyTimeoutMs ?? 10_000, () => {
      if (started.program.hasExited) throw new Error("holdfast exited before every worker accepted");
      return holdfast.admin("GET", "/status").then(
        // It answers while workers are still starting, when the end of one ends the start.
        (answer) => answer.status === 200 && JSON.parse(answer.body).phase === "running",
        () => false,
      );
    });
  } catch (error) {
    await holdfast.stop("SIGKILL");
    throw new Error(`holdfast did not become ready\n${started.program.stderr}`, { cause: error });
  }
  return holdfast;
}

/** Puts the admin socket into the scratch directory, so that runs never meet. */
export function withAdmin(config: string, directory: string): string {
  return `admin: unix:${path.join(directory, "admin.sock")}\n${config}`;
}

/** One HTTP request over a UNIX socket. */
export function requestUnix(
  socketPath: string,
  method: string,
  target: string,
  content?: string,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = http.request(
      { socketPath, method, path: target, agent: false, timeout: 5000 },
      (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (text: string) => {
          body += text;
        });
        response.on("end", () => resolve({ status: response.statusCode!, body }));
        response.on("error", reject);
      },
    );
    request.on("timeout", () => request.destroy(new Error(`${method} ${target}: no answer in 5 s`)));
    request.on("error", reject);
    request.end(content);
  });
}

/** Prometheus text, just enough of it to ask for the sum of a family's samples that carry the given labels. */
export class Metrics {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  sum(family: string, labels: Readonly<Record<string, string>> = {}): number {
    let total = 0;
    for (const line of this.text.split("\n")) {
      const match = line.match(/^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/);
      if (match === null || match[1] !== family) continue;
      const found = match[2] ?? "";
      const matches = Object.entries(labels).every(([name, value]) =>
        `,${found}`.includes(`,${name}="${value}"`),
      );
      if (matches) total += Number(match[3]);
    }
    return total;
  }
}
