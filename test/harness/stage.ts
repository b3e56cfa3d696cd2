/**
 * One gateway process for a whole test file, judged from outside. Every test gets a scene of its own: a listener, a pool and
 * scripted origins that nobody else uses, so that tests share a process but no connection and no counter. After every
 * test the worker must still be the same process.
 *
 *     const stage = new Stage();
 *     stage.test("keepalive_timeout 0 closes after one response", { http: { keepalive_timeout: 0 } }, async (scene) => { … });
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import test, { after, before, type TestContext } from "node:test";
import { makeScratchDirectory } from "./paths.ts";
import { eventually, freePorts } from "./program.ts";
import { type HoldfastServer, startHoldfast } from "./servers.ts";
import {
  connectWire,
  parseFields,
  type ScriptedOrigin,
  startScriptedOrigin,
  type WireConnection,
  type WireResponse,
} from "./wire.ts";

type Yaml = Readonly<Record<string, unknown>>;

export interface SceneOptions {
  /** Directives of `listeners.NAME.http` and of `listeners.NAME`. */
  readonly http?: Yaml;
  readonly listener?: Yaml;
  /** Directives of `listeners.NAME.tcp`: the scene's listener relays TCP in place of speaking HTTP. */
  readonly tcp?: Yaml;
  /** Directives of `pools.NAME`. */
  readonly pool?: Yaml;
  /** One entry per origin, with the server's directives; one origin by default. */
  readonly servers?: readonly Yaml[];
  /** More pools, each with one origin: `{ api: { … } }` makes `scene.pools.api`. */
  readonly pools?: Readonly<Record<string, Yaml>>;
  /** Routes in place of the one that leads everything to the scene's pool; `pool` is "main" or a key of `pools`. */
  readonly routes?: readonly Yaml[];
}

export interface OriginRequest {
  readonly head: string;
  readonly line: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  /** Which connection of this origin it came on, counted from 0. */
  readonly connection: number;
}

export type Answer = (request: OriginRequest, connection: WireConnection) => string | Promise<string>;
export type Script = (connection: WireConnection, index: number) => Promise<void>;

/** A response with Content-Length. `fields` are whole lines without CRLF. */
export function response(status: string, body: string, ...fields: string[]): string {
  const lines = [`HTTP/1.1 ${status}`, `Content-Length: ${Buffer.byteLength(body, "latin1")}`, ...fields];
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}

/** A GET without a body. `fields` are whole lines without CRLF. */
export function get(target: string, ...fields: string[]): string {
  return [`GET ${target} HTTP/1.1`, "Host: test", ...fields, "", ""].join("\r\n");
}

/** A POST with Content-Length. */
export function post(target: string, body: string, ...fields: string[]): string {
  const lines = [`POST ${target} HTTP/1.1`, "Host: test", `Content-Length: ${body.length}`, ...fields];
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}

/** A server of a scene. It answers "ok" to everything until the test says otherwise. */
export class SceneOrigin {
  readonly requests: OriginRequest[] = [];
  /** What to send back for a request. */
  answer: Answer = () => response("200 OK", "ok");
  /** Takes a connection over completely. */
  script: Script | undefined = undefined;
  #server: ScriptedOrigin | undefined = undefined;

  async start(): Promise<void> {
    this.#server = await startScriptedOrigin((connection, index) => this.#serve(connection, index));
  }

  get port(): number {
    return this.#server!.port;
  }

  get connections(): readonly WireConnection[] {
    return this.#server!.connections;
  }

  connection(index: number): Promise<WireConnection> {
    return this.#server!.connection(index);
  }

  /** From now on connections are refused, and those that exist are gone. */
  refuse(): Promise<void> {
    return this.#server!.refuse();
  }

  stop(): Promise<void> {
    return this.#server!.stop();
  }

  assertScriptsWentWell(): void {
    const [failure] = this.#server!.failures;
    if (failure !== undefined) throw failure;
  }

  async #serve(connection: WireConnection, index: number): Promise<void> {
    if (this.script !== undefined) return this.script(connection, index);
    for (;;) {
      const request = await readOriginRequest(connection, index);
      if (request === undefined) return;
      this.requests.push(request);
      const answer = await this.answer(request, connection);
      if (answer !== "") await connection.write(answer).catch(() => undefined);
    }
  }
}

/** The next request of a connection; undefined when the connection ended instead. */
export async function readOriginRequest(
  connection: WireConnection,
  index = 0,
): Promise<OriginRequest | undefined> {
  try {
    const head = await connection.readHead(60_000);
    const headers = parseFields(head);
    const body = await connection.readBody(headers, 60_000, false);
    const line = head.slice(0, head.indexOf("\r\n"));
    return { head, line, headers, body: body.toString("latin1"), connection: index };
  } catch (error) {
    if (connection.end === undefined) throw error;
    return undefined;
  }
}

/** What a test works with. */
export class Scene {
  readonly name: string;
  readonly origins: readonly SceneOrigin[];
  readonly pools: Readonly<Record<string, SceneOrigin>>;
  readonly options: SceneOptions;
  port = 0;
  stage: Stage;
  readonly #clients: WireConnection[] = [];

  constructor(name: string, stage: Stage, options: SceneOptions) {
    this.name = name;
    this.stage = stage;
    this.options = options;
    this.origins = (options.servers ?? [{}]).map(() => new SceneOrigin());
    this.pools = Object.fromEntries(
      Object.keys(options.pools ?? {}).map((pool) => [pool, new SceneOrigin()]),
    );
  }

  get origin(): SceneOrigin {
    return this.origins[0]!;
  }

  async connect(): Promise<WireConnection> {
    const client = await connectWire(this.port);
    this.#clients.push(client);
    return client;
  }

  /** A new connection with these bytes sent. */
  async send(bytes: string | Uint8Array): Promise<WireConnection> {
    const client = await this.connect();
    await client.write(bytes).catch(() => undefined);
    return client;
  }

  /** One request on a connection of its own, and its response. */
  async ask(
    bytes: string,
    options: { isHead?: boolean } = {},
  ): Promise<WireResponse & { client: WireConnection }> {
    const client = await this.send(bytes);
    return { ...(await client.readResponse(options)), client };
  }

  /** Closed client connections by cause; causes that never happened are left out. */
  async closes(): Promise<Record<string, number>> {
    return closesIn((await this.stage.gateway.metrics()).text, `listener="${this.name}"`);
  }

  async upstreamCloses(): Promise<Record<string, number>> {
    return closesIn((await this.stage.gateway.metrics()).text, `pool="${this.name}"`);
  }

  /** Waits until exactly these closes are counted on the client leg. */
  async closesAre(expected: Record<string, number>): Promise<void> {
    await settlesAt(() => this.closes(), expected);
  }

  async upstreamClosesAre(expected: Record<string, number>): Promise<void> {
    await settlesAt(() => this.upstreamCloses(), expected);
  }

  /** A metric of this scene's listener (`holdfast_listener_…`), pool or servers. */
  async metric(family: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const scope = family.startsWith("holdfast_listener_") ? { listener: this.name } : { pool: this.name };
    return (await this.stage.gateway.metrics()).sum(family, { ...scope, ...labels });
  }

  async metricIs(
    family: string,
    expected: number,
    labels: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    await settlesAt(() => this.metric(family, labels), expected);
  }

  /** Lines of the access log about this scene, waiting until there are so many. */
  async logLines(count: number): Promise<string[]> {
    const file = this.stage.accessLogPath;
    return eventually(`${count} lines in the access log`, 5000, () => {
      if (!existsSync(file)) return false;
      const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
      const own = this.stage.options.accessLog === "json" ? lines.filter((line) => this.#isOwn(line)) : lines;
      return own.length >= count && own;
    });
  }

  #isOwn(line: string): boolean {
    return JSON.parse(line).listener === this.name;
  }

  async open(): Promise<void> {
    for (const origin of [...this.origins, ...Object.values(this.pools)]) await origin.start();
  }

  disconnectClients(): void {
    // RST: a FIN would be a half-close, and what is still unanswered would be waited for.
    for (const client of this.#clients.splice(0)) {
      // libuv refuses to reset a socket whose shutdown is under way, and then polls it for ever.
      if (client.socket.writableEnded) client.destroy();
      else client.reset();
    }
  }

  async close(): Promise<void> {
    for (const origin of [...this.origins, ...Object.values(this.pools)]) await origin.stop();
  }

  /** This scene's part of the configuration file. */
  describe(): { listener: Yaml; pools: Record<string, Yaml> } {
    const { options, name } = this;
    const poolName = (pool: unknown): string =>
      pool === "main" || pool === undefined ? name : `${name}-${pool}`;
    const routes = (options.routes ?? [{}]).map((route) => ({ ...route, pool: poolName(route.pool) }));
    const servers = (options.servers ?? [{}]).map((server, index) => ({
      address: `127.0.0.1:${this.origins[index]!.port}`,
      ...server,
    }));
    const pools: Record<string, Yaml> = { [name]: { ...options.pool, servers } };
    for (const [pool, directives] of Object.entries(options.pools ?? {})) {
      pools[poolName(pool)] = { ...directives, servers: [`127.0.0.1:${this.pools[pool]!.port}`] };
    }
    const listener = {
      bind: `127.0.0.1:${this.port}`,
      ...options.listener,
      ...(options.tcp === undefined
        ? { http: { ...options.http, routes } }
        : { tcp: { pool: name, ...options.tcp } }),
    };
    return { listener, pools };
  }
}

export interface StageOptions {
  readonly accessLog?: "json" | "combined";
  readonly workers?: number;
  readonly drainTimeout?: string;
  /** The tests replace the workers (reload): that they stay the same is not checked. */
  readonly replacesWorkers?: boolean;
}

export class Stage {
  readonly options: StageOptions;
  readonly #scenes: Scene[] = [];
  readonly #scratch = makeScratchDirectory("stage");
  #gateway: HoldfastServer | undefined;
  #workerPids: readonly number[] = [];

  constructor(options: StageOptions = {}) {
    this.options = options;
    before(() => this.#open());
    after(() => this.#close());
  }

  get gateway(): HoldfastServer {
    return this.#gateway!;
  }

  get accessLogPath(): string {
    return path.join(this.#scratch.directory, "access.log");
  }

  test(name: string, options: SceneOptions, body: (scene: Scene, t: TestContext) => Promise<void>): void {
    const scene = this.scene(options);
    test(name, { timeout: 30_000 }, async (t) => {
      try {
        await body(scene, t);
        for (const origin of scene.origins) origin.assertScriptsWentWell();
        if (this.options.replacesWorkers !== true) this.#assertWorkersLive();
      } finally {
        scene.disconnectClients();
      }
    });
  }

  #assertWorkersLive(): void {
    const message = `a worker died: ${this.gateway.program.stderr}`;
    assert.deepEqual(this.gateway.workerPids(), this.#workerPids, message);
  }

  /** A scene for several tests. */
  scene(options: SceneOptions): Scene {
    const scene = new Scene(`s${this.#scenes.length}`, this, options);
    this.#scenes.push(scene);
    return scene;
  }

  async #open(): Promise<void> {
    // The runner opens the stage with the first test, before the file has named the others.
    await new Promise((resolve) => setImmediate(resolve));
    const ports = await freePorts(this.#scenes.length);
    for (const [index, scene] of this.#scenes.entries()) {
      scene.port = ports[index]!;
      await scene.open();
    }
    const parts = this.#scenes.map((scene) => ({ name: scene.name, ...scene.describe() }));
    const listeners = Object.fromEntries(parts.map((part) => [part.name, part.listener]));
    const pools = Object.assign({}, ...parts.map((part) => part.pools));
    const { accessLog, workers } = this.options;
    const settings = {
      workers: workers ?? 1,
      drain_timeout: this.options.drainTimeout ?? "200ms",
      listeners,
      pools,
    };
    const log = accessLog && { access_log: { path: this.accessLogPath, format: accessLog } };
    // No polling of the listeners' ports: the supervisor has bound them, and a poll would stand in the counters.
    this.#gateway = await startHoldfast({
      config: Object.entries({ ...settings, ...log })
        .map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
        .join("\n"),
    });
    this.#workerPids = this.#gateway.workerPids();
  }

  async #close(): Promise<void> {
    try {
      if (this.#gateway !== undefined) await this.#assertNothingIsLeft();
    } finally {
      await this.#gateway?.stop();
      for (const scene of this.#scenes) await scene.close();
      this.#scratch.remove();
    }
  }

  /** All clients are gone: so must be every exchange and every connection but idle ones to servers, and the loop sleeps. */
  async #assertNothingIsLeft(): Promise<void> {
    const gauges = [
      "holdfast_worker_active_exchanges",
      "holdfast_listener_connections_active",
      "holdfast_listener_connections_idle",
      "holdfast_server_connections_active",
    ];
    await settlesAt(
      async () => {
        const metrics = await this.gateway.metrics();
        return Object.fromEntries(gauges.map((family) => [family, metrics.sum(family)]));
      },
      Object.fromEntries(gauges.map((family) => [family, 0])),
    );
    const turns = async () => (await this.gateway.metrics()).sum("holdfast_worker_loop_iterations_total");
    const before = await turns();
    await new Promise((resolve) => setTimeout(resolve, 250));
    const spun = (await turns()) - before;
    assert.ok(spun < 1000, `the loop turned ${spun} times in 250 ms without anything to do`);
  }
}

function closesIn(text: string, label: string): Record<string, number> {
  const closes: Record<string, number> = {};
  for (const line of text.split("\n")) {
    const match = line.match(/^holdfast_closes_total\{(.*)\} (\d+)$/);
    if (match === null || !`,${match[1]},`.includes(`,${label},`)) continue;
    const cause = match[1]!.match(/cause="([^"]*)"/)![1]!;
    const count = Number(match[2]);
    if (count !== 0) closes[cause] = (closes[cause] ?? 0) + count;
  }
  return closes;
}

/** Polls a value until it is the expected one; bounded. Fails with the difference. */
async function settlesAt<T>(read: () => Promise<T>, expected: T): Promise<void> {
  let last: T | undefined;
  try {
    await eventually("the counters settle", 3000, async () => {
      last = await read();
      return isEqual(last, expected);
    });
  } catch {
    assert.deepEqual(last, expected);
  }
}

function isEqual(a: unknown, b: unknown): boolean {
  try {
    assert.deepEqual(a, b);
    return true;
  } catch {
    return false;
  }
}
