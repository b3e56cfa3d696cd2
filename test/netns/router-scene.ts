/**
 * Router processes on a test LAN, each spoken to as a supervisor does: what the tests of virtual-router.test.ts share.
 */
import path from "node:path";
import type { VirtualRouterConfig } from "../../src/config/types.ts";
import type { RouterFacts, RouterReport, RouterRequest } from "../../src/daemon/router-messages.ts";
import { virtualRouterConfig } from "../../src/testing/gateway-config.ts";
import type { TransitionRecord } from "../../src/vrrp/state.ts";
import { INTERFACE, type RouterLan, type RouterNode } from "../harness/lan.ts";
import { compiledRoot } from "../harness/paths.ts";
import { eventually, type Program, startProgram } from "../harness/program.ts";

export const VIRTUAL = "10.90.0.100";

export function routerConfig(changes: Partial<VirtualRouterConfig> = {}): VirtualRouterConfig {
  return virtualRouterConfig({
    interface: INTERFACE,
    addresses: [{ family: "inet", host: VIRTUAL, prefixLength: 24 }],
    announce: { repeat: 2, repeatIntervalMs: 20, delayMs: 0, refreshMs: 0 },
    ...changes,
  });
}

type ReportOf<Type extends RouterReport["type"]> = Extract<RouterReport, { type: Type }>;

export class RouterUnderTest {
  readonly program: Program;
  readonly pid: number;

  constructor(program: Program, pid: number) {
    this.program = program;
    this.pid = pid;
  }

  request(request: RouterRequest): void {
    this.program.child.stdin!.write(`${JSON.stringify(request)}\n`);
  }

  configure(...routers: readonly VirtualRouterConfig[]): void {
    this.request({ type: "configure-routers", routers, maintenance: [] });
  }

  reports<Type extends RouterReport["type"]>(type: Type): ReportOf<Type>[] {
    return this.program.lines
      .map((line) => JSON.parse(line) as RouterReport)
      .filter((report) => report.type === type) as ReportOf<Type>[];
  }

  get transitions(): TransitionRecord[] {
    return this.reports("transition").map(({ record }) => record);
  }

  /** "initialize→backup startup", … */
  get story(): string[] {
    return this.transitions.map(({ from, to, cause }) => `${from}→${to} ${cause}`);
  }

  get facts(): RouterFacts | undefined {
    return this.reports("routers").at(-1)?.routers[0];
  }

  /** The facts as of a report that comes after this call. */
  async freshFacts(): Promise<RouterFacts> {
    const count = this.reports("routers").length;
    return eventually("a fresh report", 3000, () => {
      const reports = this.reports("routers");
      return reports.length > count ? reports.at(-1)!.routers[0] : undefined;
    });
  }

  async untilState(state: RouterFacts["state"], timeoutMs: number): Promise<void> {
    await eventually(`${this.program.name} is ${state}: ${this.story.join(", ")}`, timeoutMs, () => {
      return this.transitions.at(-1)?.to === state;
    });
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }
}

/** Starts a router process in a node, without configuration. */
export async function startRouter(
  lan: RouterLan,
  node: RouterNode,
  prefix: readonly string[] = [],
): Promise<RouterUnderTest> {
  const program = await startProgram({
    name: `router in ${node}`,
    command: process.execPath,
    args: [path.join(compiledRoot, "test/netns/router-parent.js")],
    prefix: [...lan.topology.inside(node), ...prefix],
    readyLine: '{"pid"',
  });
  lan.own(program);
  const { pid } = JSON.parse(program.lines[0]!) as { pid: number };
  lan.own({
    [Symbol.asyncDispose]: async () => {
      // Its parent is gone by then, and so is it; unless the test had stopped it.
      try {
        process.kill(pid, "SIGKILL");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
    },
  });
  return new RouterUnderTest(program, pid);
}
