/**
 * What the tests of health checks share: origins that are processes (health-origin-main.ts), a gateway in front of them, a client that
 * asks without pause and remembers every failure, and the status document.
 */
import { Agent, get } from "node:http";
import { fileURLToPath } from "node:url";
import type { ServerStatus, StatusDocument } from "../../src/observe/status.ts";
import { holdfastMain } from "./paths.ts";
import { eventually, freePort, Program, startProgram } from "./program.ts";
import { type HoldfastServer, startHoldfast } from "./servers.ts";

const ORIGIN = fileURLToPath(new URL("./health-origin-main.js", import.meta.url));

export class HealthOrigin {
  readonly port: number;
  #program: Program | undefined;

  constructor(port: number) {
    this.port = port;
  }

  get name(): string {
    return `127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#program!.pid;
  }

  async start(): Promise<void> {
    this.#program = await startProgram({
      name: `origin ${this.port}`,
      command: process.execPath,
      args: [ORIGIN, String(this.port)],
      readyLine: "ready",
    });
  }

  /** Sends a signal; for USR1 and USR2 waits until it has taken effect. */
  async signal(signal: NodeJS.Signals): Promise<void> {
    const program = this.#program!;
    const { length } = program.lines;
    process.kill(program.pid, signal);
    if (signal === "SIGUSR1" || signal === "SIGUSR2") await program.line(() => true, 5000, length);
  }

  async counts(): Promise<{ checks: number; requests: number }> {
    return JSON.parse((await ask(this.port, "/counts")).body);
  }

  async stop(): Promise<void> {
    await this.#program?.stop("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

export async function startOrigin(): Promise<HealthOrigin> {
  const origin = new HealthOrigin(await freePort());
  await origin.start();
  return origin;
}

export interface HealthGateway {
  readonly port: number;
  readonly server: HoldfastServer;
  status(): Promise<StatusDocument>;
  serverStatus(origin: HealthOrigin, pool?: string): Promise<ServerStatus>;
  /** Waits until the server is in this state. */
  stateIs(origin: HealthOrigin, state: ServerStatus["state"], timeoutMs?: number): Promise<ServerStatus>;
  /** Runs `holdfast WORDS`. */
  command(...words: string[]): Promise<{ status: number; output: string }>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** `pools`: directives by pool; a listener leads to the pool `web`, or where `routes` say. */
export async function startHealthGateway(
  pools: Readonly<Record<string, object>>,
  settings: object = {},
  routes: readonly object[] = [{ pool: "web" }],
): Promise<HealthGateway> {
  const port = await freePort();
  const config = {
    workers: 2,
    drain_timeout: "500ms",
    listeners: { web: { bind: `127.0.0.1:${port}`, http: { routes } } },
    pools,
    ...settings,
  };
  const server = await startHoldfast({
    config: Object.entries(config)
      .map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
      .join("\n"),
  });
  const status = async () => JSON.parse((await server.admin("GET", "/status")).body) as StatusDocument;
  const serverStatus = async (origin: HealthOrigin, pool = "web") => {
    const found = (await status()).pools.find(({ name }) => name === pool);
    return found!.servers.find(({ name }) => name === origin.name)!;
  };
  return {
    port,
    server,
    status,
    serverStatus,
    stateIs: (origin, state, timeoutMs = 8000) =>
      eventually(`${origin.name} is ${state}`, timeoutMs, async () => {
        const now = await serverStatus(origin);
        return now.state === state && now;
      }),
    command: async (...words) => {
      const program = new Program({
        name: `holdfast ${words.join(" ")}`,
        command: process.execPath,
        args: [holdfastMain, ...words, "--admin", `unix:${server.adminPath}`],
      });
      const exitStatus = await program.exited(10_000);
      return { status: exitStatus, output: program.stdout + program.stderr };
    },
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

export function ask(port: number, path = "/", agent?: Agent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    get(
      { host: "127.0.0.1", port, path, ...(agent === undefined ? { agent: false } : { agent }) },
      (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (text: string) => {
          body += text;
        });
        response.on("end", () => resolve({ status: response.statusCode!, body }));
        response.on("error", reject);
      },
    ).on("error", reject);
  });
}

/** Asks and asks, on connections that persist; counts who answered, and keeps every failure. */
export class Traffic {
  readonly failures: string[] = [];
  #answers = new Map<string, number>();
  #isOver = false;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 4 });
  readonly #clients: Promise<void>[];

  constructor(port: number, path = "/", clients = 4) {
    this.#clients = Array.from({ length: clients }, () => this.#run(port, path));
  }

  /** Answers by pid since the last call. */
  take(): Map<string, number> {
    const answers = this.#answers;
    this.#answers = new Map();
    return answers;
  }

  /** Waits until so many more answers have come. */
  async answers(count: number): Promise<Map<string, number>> {
    this.take();
    const sum = () => [...this.#answers.values()].reduce((total, one) => total + one, 0);
    await eventually(`${count} answers`, 10_000, () => sum() >= count);
    return this.take();
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#clients);
    this.#agent.destroy();
  }

  async #run(port: number, path: string): Promise<void> {
    while (!this.#isOver) {
      try {
        const { status, body } = await ask(port, path, this.#agent);
        if (status === 200) this.#answers.set(body, (this.#answers.get(body) ?? 0) + 1);
        else this.failures.push(`${status} ${body}`);
      } catch (error) {
        this.failures.push(String(error));
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
}
