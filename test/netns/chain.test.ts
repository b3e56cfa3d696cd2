/**
 * The whole chain: a client, two gateways with one address, two web servers, each in a namespace of its own. Under steady load, a new connection
 * every 20 ms, the active gateway is killed and comes back, a web server is killed and comes back, and the active gateway loses its
 * way to one of the servers, which its tracker notices. Prints a timeline.
 */
import assert from "node:assert/strict";
import path from "node:path";
import test from "node:test";
import { activeDownIntervalMs } from "../../src/vrrp/timers.ts";
import { type HoldfastRouter, startHoldfastRouter } from "../harness/holdfast-router.ts";
import {
  addressOf,
  type RouterLan,
  type RouterNode,
  requireLan,
  type ServerNode,
  startRouterLan,
} from "../harness/lan.ts";
import { compiledRoot } from "../harness/paths.ts";
import { eventually, type Program, startProgram } from "../harness/program.ts";
import type { ChainRequest } from "./chain-client-program.ts";

const ADDRESS = "10.90.0.100";
const PORT = 8080;
const SERVER_PORT = 8000;
const INTERVAL_MS = 100;
const REQUEST_INTERVAL_MS = 20;
const PRIORITY = { a: 200, b: 100, c: 50 } as const;
/** Two gateways, two servers and a client on two processors. */
const TOLERANCE_MS = 1500;

class Chain implements AsyncDisposable {
  readonly lan: RouterLan;
  readonly #say: (line: string) => void;
  readonly #startedAtMs = unixMs();
  #client: Program | undefined;

  constructor(lan: RouterLan, say: (line: string) => void) {
    this.lan = lan;
    this.#say = say;
  }

  tell(line: string): void {
    const seconds = (unixMs() - this.#startedAtMs) / 1000;
    this.#say(`${seconds.toFixed(3).padStart(8)} s  ${line}`);
  }

  startGateway(node: RouterNode): Promise<HoldfastRouter> {
    const parameters = {
      id: 51,
      version: 3,
      priority: PRIORITY[node],
      intervalMs: INTERVAL_MS,
      preempt: true,
      addresses: [`${ADDRESS}/24`],
    } as const;
    const servers = (["web1", "web2"] as const).map((server) => `${addressOf(server)}:${SERVER_PORT}`);
    return startHoldfastRouter(this.lan, node, parameters, {
      // With one server less, a is worse than b.
      router: { track: { pools: { web: { below: 2, weight: -150 } } } },
      sections: {
        workers: 1,
        drain_timeout: "2s",
        listeners: { web: { bind: `0.0.0.0:${PORT}`, http: { routes: [{ pool: "web" }] } } },
        pools: {
          web: {
            servers,
            connect_timeout: "200ms",
            health: { http: "/", interval: "200ms", timeout: "150ms", rise: 2, fall: 2 },
          },
        },
      },
    });
  }

  startServer(node: ServerNode): Promise<Program> {
    return this.#start(node, "origin-program.js", [addressOf(node), String(SERVER_PORT)], "{");
  }

  async startClient(): Promise<void> {
    const args = [ADDRESS, String(PORT), String(REQUEST_INTERVAL_MS)];
    this.#client = await this.#start("client", "chain-client-program.js", args, "running");
  }

  async #start(
    node: "client" | ServerNode,
    script: string,
    args: readonly string[],
    readyLine: string,
  ): Promise<Program> {
    const program = await startProgram({
      name: `${script} in ${node}`,
      command: process.execPath,
      args: [path.join(compiledRoot, "test/netns", script), ...args],
      prefix: this.lan.topology.inside(node),
      readyLine,
    });
    this.lan.own(program);
    return program;
  }

  /** Requests that began at or after `fromMs` and have ended, in the order of their beginnings. */
  requests(fromMs: number): ChainRequest[] {
    return this.#client!.lines.filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as ChainRequest)
      .filter((request) => request.startedAtMs >= fromMs)
      .sort((a, b) => a.startedAtMs - b.startedAtMs);
  }

  /** Waits for ten successes in a row and resolves with the time from `fromMs` to the beginning of the first. */
  async untilServed(fromMs: number, timeoutMs: number): Promise<number> {
    return eventually("new connections succeed", timeoutMs, () => {
      const requests = this.requests(fromMs);
      const lastFailed = requests.findLastIndex((request) => request.status !== 200);
      const since = requests.slice(lastFailed + 1);
      // Not 0, which would mean "not yet".
      return since.length >= 10 ? Math.max(1, since[0]!.startedAtMs - fromMs) : false;
    });
  }

  /** Requests since then: how many, how many failed, and how. */
  account(fromMs: number): { total: number; failed: number; text: string } {
    const requests = this.requests(fromMs);
    const failures = requests.filter((request) => request.status !== 200);
    const kinds = new Set(failures.map((request) => request.error ?? `status ${request.status}`));
    const text = `${requests.length} requests, ${failures.length} failed${failures.length > 0 ? ` (${[...kinds].join(", ")})` : ""}`;
    return { total: requests.length, failed: failures.length, text };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lan[Symbol.asyncDispose]();
  }
}

function unixMs(): number {
  return performance.timeOrigin + performance.now();
}

async function untilState(chain: Chain, node: RouterNode, timeoutMs = 10_000): Promise<void> {
  await chain.lan.untilHeldBy(node, ADDRESS, timeoutMs);
}

async function usableServers(gateway: HoldfastRouter): Promise<number> {
  const { routers } = await gateway.routers();
  const tracker = routers[0]!.trackers.find(({ key }) => key.startsWith("pool:web"));
  return Number(tracker?.detail.match(/^(\d+) of/)?.[1] ?? -1);
}

test("two gateways, one address, two servers: whatever dies, new connections succeed within the bound", async (t) => {
  if (!requireLan(t)) return;
  const lan = await startRouterLan(["a", "b"], ["web1", "web2"]);
  await using chain = new Chain(lan, (line) => t.diagnostic(line));
  const web1 = await chain.startServer("web1");
  await chain.startServer("web2");
  const a = await chain.startGateway("a");
  const b = await chain.startGateway("b");
  await untilState(chain, "a");
  await chain.startClient();
  let fromMs = unixMs();
  await chain.untilServed(fromMs, 5000);
  chain.tell(`a is active; ${chain.account(fromMs).text}`);

  fromMs = unixMs();
  await a.kill();
  chain.tell("every process of the active gateway is killed (kill -9)");
  const boundMs = activeDownIntervalMs(3, PRIORITY.b, INTERVAL_MS);
  const gapMs = await chain.untilServed(fromMs, boundMs + TOLERANCE_MS);
  chain.tell(
    `b is active; new connections succeed after ${gapMs.toFixed(0)} ms (bound ${boundMs} ms); ${chain.account(fromMs).text}`,
  );

  fromMs = unixMs();
  const returned = await chain.startGateway("a");
  await untilState(chain, "a");
  await chain.untilServed(unixMs(), 5000);
  chain.tell(`a is back and active; ${chain.account(fromMs).text}`);

  fromMs = unixMs();
  await web1.stop("SIGKILL");
  chain.tell("web1 is killed");
  await eventually("both notice", 5000, async () =>
    (await Promise.all([usableServers(returned), usableServers(b)])).every((count) => count === 1),
  );
  await chain.untilServed(unixMs(), 5000);
  assert.deepEqual(lan.holders(ADDRESS), ["a"], "both gateways lost the same server: no reason to move");
  const withoutServer = chain.account(fromMs);
  chain.tell(`both gateways see one server, the address stays on a; ${withoutServer.text}`);
  assert.equal(withoutServer.failed, 0, "a server that dies costs no client a request: another one is tried");
  await chain.startServer("web1");
  await eventually("both notice", 5000, async () =>
    (await Promise.all([usableServers(returned), usableServers(b)])).every((count) => count === 2),
  );
  chain.tell("web1 is back");

  fromMs = unixMs();
  lan.topology.dropPackets("a", "output", `ip daddr ${addressOf("web2")}`);
  chain.tell("a can no longer reach web2");
  await untilState(chain, "b");
  await chain.untilServed(unixMs(), 5000);
  chain.tell(`its tracker lowered a's priority, b is active; ${chain.account(fromMs).text}`);
  fromMs = unixMs();
  lan.topology.dropNothing("a");
  await untilState(chain, "a");
  await chain.untilServed(unixMs(), 5000);
  chain.tell(`a can reach it again and is active; ${chain.account(fromMs).text}`);

  fromMs = unixMs();
  await eventually("a quiet second", 5000, () => chain.requests(fromMs).length >= 1000 / REQUEST_INTERVAL_MS);
  const quiet = chain.account(fromMs);
  chain.tell(`everything is as it was; ${quiet.text}`);
  assert.equal(quiet.failed, 0);
  const bodies = new Set(chain.requests(fromMs).map((request) => request.body));
  assert.equal(bodies.size, 2, "both servers answer");
});
