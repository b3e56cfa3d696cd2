/**
 * How long an address is away when its active router dies or is stopped, as a client sees it: Holdfast beside keepalived in the same
 * topology (two routers, a client, one bridge, namespaces), and how often they fail over for no reason while every processor is busy.
 *
 * A round: wait for an advertisement of the active router, then a chosen part of the interval, the same parts for both subjects; then
 * SIGKILL of the router and of the service beside it, or SIGTERM of the router alone. The client sends a datagram every millisecond.
 * Both routers have priority 100 and do not preempt, so that the roles change with every round and the bound is one:
 * the active-down interval after the last advertisement that was on the wire. What comes on top of it ("over the bound") is the subject's own.
 */
import { execFileSync } from "node:child_process";
import os from "node:os";
import path from "node:path";
import { activeDownIntervalMs } from "../src/vrrp/timers.ts";
import { startHoldfastRouter } from "../test/harness/holdfast-router.ts";
import { startKeepalived } from "../test/harness/keepalived.ts";
import {
  type RouterDaemon,
  type RouterLan,
  type RouterParameters,
  startRouterLan,
} from "../test/harness/lan.ts";
import { compiledRoot } from "../test/harness/paths.ts";
import { peerPath } from "../test/harness/peers.ts";
import { eventually, type Program, startProgram } from "../test/harness/program.ts";
import type { ProbeEvent } from "./failover-program.ts";
import { round } from "./statistics.ts";

export const FAILOVER_SUBJECTS = ["holdfast", "keepalived"] as const;
export type FailoverSubject = (typeof FAILOVER_SUBJECTS)[number];
export type FailoverKind = "kill" | "stop";

type BenchNode = "a" | "b";

const PRIORITY = 100;
const ADDRESS = "10.90.0.100";
const VERSION = 3;
export const FAILOVER_INTERVALS_MS = [1000, 100, 10] as const;

export interface Spread {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface FailoverRow {
  readonly subject: FailoverSubject;
  readonly intervalMs: number;
  readonly kind: FailoverKind;
  readonly rounds: number;
  readonly gapMs: Spread;
  /** Kill: from the active-down interval after the last advertisement until a probe was answered again. */
  readonly overBoundMs: Spread | undefined;
  /** Rounds in which the address came and went more than once. */
  readonly flaps: number;
}

export interface FalseFailoverRow {
  /** A subject, with what it was told. */
  readonly subject: string;
  readonly intervalMs: number;
  readonly minutes: number;
  readonly falseFailovers: number;
}

export interface FailoverReport {
  readonly versions: readonly string[];
  readonly rows: readonly FailoverRow[];
  readonly underLoad: readonly FalseFailoverRow[];
}

export interface FailoverOptions {
  readonly rounds: number;
  readonly loadMinutes: number;
  readonly intervalsMs: readonly number[];
  readonly subjects: readonly FailoverSubject[];
  readonly progress: (line: string) => void;
}

type Start = (lan: RouterLan, node: BenchNode, intervalMs: number) => Promise<RouterDaemon>;

/** Holdfast asks for SCHED_RR by itself; keepalived does when it is told, and dies by SIGXCPU when its limit of 10 ms is left as it is. */
const REAL_TIME = { globals: ["vrrp_rt_priority 10", "vrrp_rlimit_rttime 1000000"] };
const START: Readonly<Record<FailoverSubject, Start>> = {
  holdfast: (lan, node, intervalMs) => startHoldfastRouter(lan, node, parameters(intervalMs)),
  keepalived: (lan, node, intervalMs) => startKeepalived(lan, node, parameters(intervalMs), REAL_TIME),
};
const AS_INSTALLED: Start = (lan, node, intervalMs) => startKeepalived(lan, node, parameters(intervalMs));

export async function measureFailover(options: FailoverOptions): Promise<FailoverReport> {
  const rows: FailoverRow[] = [];
  for (const intervalMs of options.intervalsMs) {
    for (const kind of ["kill", "stop"] as const) {
      for (const subject of options.subjects) {
        const row = await measureOne(subject, intervalMs, kind, options.rounds);
        rows.push(row);
        options.progress(describeRow(row));
      }
    }
  }
  return {
    versions: [`holdfast (this tree)`, keepalivedVersion()],
    rows,
    underLoad: options.loadMinutes > 0 ? await measureUnderLoad(options) : [],
  };
}

function describeRow({ subject, intervalMs, kind, gapMs, overBoundMs, flaps }: FailoverRow): string {
  const over =
    overBoundMs === undefined ? "" : `, over the bound p50 ${overBoundMs.p50} max ${overBoundMs.max}`;
  return `failover: ${subject.padEnd(10)} ${intervalMs} ms ${kind}: gap p50 ${gapMs.p50} p99 ${gapMs.p99} max ${gapMs.max} ms${over}${flaps > 0 ? `, ${flaps} flaps` : ""}`;
}

async function measureOne(
  subject: FailoverSubject,
  intervalMs: number,
  kind: FailoverKind,
  rounds: number,
): Promise<FailoverRow> {
  await using scene = await FailoverScene.start(subject, intervalMs);
  const outcomes: Outcome[] = [];
  for (let index = 0; index < rounds; index++) {
    // A different part of the interval in each round, spread evenly, in an order that does not follow the rounds.
    const phase = (((index * 7) % rounds) + 0.5) / rounds;
    outcomes.push(await scene.failOver(kind, phase));
  }
  const over = outcomes.flatMap(({ overBoundMs }) => (overBoundMs === undefined ? [] : [overBoundMs]));
  return {
    subject,
    intervalMs,
    kind,
    rounds,
    gapMs: spreadOf(outcomes.map(({ gapMs }) => gapMs)),
    overBoundMs: kind === "kill" && over.length > 0 ? spreadOf(over) : undefined,
    flaps: outcomes.filter(({ changes }) => changes > 1).length,
  };
}

interface Outcome {
  readonly gapMs: number;
  readonly overBoundMs: number | undefined;
  /** How often another node answered; 1 is what a failover is. */
  readonly changes: number;
}

class FailoverScene implements AsyncDisposable {
  readonly #lan: RouterLan;
  readonly #subject: FailoverSubject;
  readonly #intervalMs: number;
  readonly #routers = new Map<BenchNode, RouterDaemon>();
  readonly #responders = new Map<BenchNode, Program>();
  #prober: Program | undefined;
  readonly #advertisedAtMs = new Map<BenchNode, number>();
  #unfinishedLine = "";

  private constructor(lan: RouterLan, subject: FailoverSubject, intervalMs: number) {
    this.#lan = lan;
    this.#subject = subject;
    this.#intervalMs = intervalMs;
  }

  static async start(subject: FailoverSubject, intervalMs: number): Promise<FailoverScene> {
    const lan = await startRouterLan(["a", "b"]);
    const scene = new FailoverScene(lan, subject, intervalMs);
    try {
      await scene.#build();
      return scene;
    } catch (error) {
      await lan[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Kills or stops the active router and reports what the client saw; then starts it again, as backup. */
  async failOver(kind: FailoverKind, phase: number): Promise<Outcome> {
    const active = this.#active();
    const backup = active === "a" ? "b" : "a";
    const prober = this.#prober!;
    await this.#untilPhase(active, phase);
    const from = prober.lines.length;
    const killed = kind === "kill" ? this.#kill(active) : this.#routers.get(active)!.stop();
    await prober.line((line) => asEvent(line)?.to === backup, 20_000 + 10 * this.#intervalMs, from);
    // Whether it stays there: the others' patience, and whatever the stop still has to do.
    await killed;
    const lastAdvertisementMs = this.#lastAdvertisementMs(active);
    await pause(4 * this.#intervalMs + 50);
    const events = prober.lines.slice(from).flatMap((line) => asEvent(line) ?? []);
    await this.#startNode(active);
    // It listens for as long as a backup waits, and is then known not to take over.
    await pause(4 * this.#intervalMs + 100);
    const back = events.find((event) => event.to === backup)!;
    const boundMs = lastAdvertisementMs + activeDownIntervalMs(VERSION, PRIORITY, this.#intervalMs);
    return {
      gapMs: events.reduce((sum, event) => sum + event.gapMs, 0),
      overBoundMs: kind === "kill" ? back.answeredAtUnixMs - boundMs : undefined,
      changes: events.filter((event) => event.from !== event.to).length,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lan[Symbol.asyncDispose]();
  }

  async #build(): Promise<void> {
    const tcpdump = await startProgram({
      name: "tcpdump",
      command: peerPath("tcpdump"),
      args: [..."-i lan -l -n -tt --immediate-mode".split(" "), "proto 112"],
      prefix: this.#lan.topology.inside("switch"),
    });
    this.#lan.own(tcpdump);
    tcpdump.child.stdout!.on("data", (text: string) => this.#noteAdvertisements(text));
    for (const node of ["a", "b"] as const) await this.#startNode(node);
    this.#prober = await this.#program("client", "prober", ADDRESS);
    await this.#prober.line((line) => asEvent(line) !== undefined, 20_000);
    // The first answers are for probes that waited for ARP, with a hole after them.
    await pause(500);
  }

  async #startNode(node: BenchNode): Promise<void> {
    if (this.#responders.get(node)?.hasExited !== false)
      this.#responders.set(node, await this.#program(node, "responder", node));
    this.#routers.set(node, await START[this.#subject](this.#lan, node, this.#intervalMs));
  }

  async #program(node: BenchNode | "client", role: string, argument: string): Promise<Program> {
    const program = await startProgram({
      name: `${role} in ${node}`,
      command: process.execPath,
      args: [path.join(compiledRoot, "bench/failover-program.js"), role, argument],
      prefix: this.#lan.topology.inside(node),
      readyLine: "ready",
    });
    this.#lan.own(program);
    return program;
  }

  async #kill(node: BenchNode): Promise<void> {
    const responder = this.#responders.get(node)!;
    responder.child.kill("SIGKILL");
    await this.#routers.get(node)!.kill();
    await responder.exited(5000);
  }

  /** The node that answers now. */
  #active(): BenchNode {
    const last = this.#prober!.lines.flatMap((line) => asEvent(line) ?? []).at(-1);
    if (last === undefined) throw new Error("nobody has answered the client yet");
    return last.to as BenchNode;
  }

  async #untilPhase(node: BenchNode, phase: number): Promise<void> {
    const before = this.#lastAdvertisementMs(node);
    const deadlineMs = performance.now() + 5 * this.#intervalMs + 2000;
    while (this.#lastAdvertisementMs(node) === before) {
      if (performance.now() > deadlineMs) throw new Error(`${node} does not advertise`);
      await pause(1);
    }
    const waitMs = this.#lastAdvertisementMs(node) + phase * this.#intervalMs - unixMs();
    if (waitMs > 0) await pause(waitMs);
  }

  /** 0: none yet. A goodbye is none. */
  #lastAdvertisementMs(node: BenchNode): number {
    return this.#advertisedAtMs.get(node) ?? 0;
  }

  /** `1795306748.916477 IP 10.90.0.1 > 224.0.0.18: VRRPv3, Advertisement, vrid 51, prio 100, …` */
  #noteAdvertisements(text: string): void {
    const lines = (this.#unfinishedLine + text).split("\n");
    this.#unfinishedLine = lines.pop()!;
    for (const line of lines) {
      const found = line.match(/^([\d.]+) IP 10\.90\.0\.([12]) > .* prio (\d+)/);
      if (found === null || found[3] === "0") continue;
      this.#advertisedAtMs.set(found[2] === "1" ? "a" : "b", Number(found[1]) * 1000);
    }
  }
}

function parameters(intervalMs: number): RouterParameters {
  return {
    id: 51,
    version: VERSION,
    priority: PRIORITY,
    intervalMs,
    preempt: false,
    addresses: [`${ADDRESS}/24`],
  };
}

/** Every subject at every short interval on a LAN of its own, all at once, beside one busy loop per processor. */
async function measureUnderLoad(options: FailoverOptions): Promise<FalseFailoverRow[]> {
  const intervals = options.intervalsMs.filter((intervalMs) => intervalMs < 1000);
  const watched: { subject: string; intervalMs: number; lan: RouterLan }[] = [];
  const processors = os.cpus().length;
  const loads: Program[] = [];
  try {
    for (const intervalMs of intervals) {
      for (const [subject, start] of startsUnderLoad(options.subjects)) {
        const lan = await startRouterLan(["a", "b"]);
        watched.push({ subject, intervalMs, lan });
        for (const node of ["a", "b"] as const) await start(lan, node, intervalMs);
        await eventually("one is active", 20_000, () => lan.holders(ADDRESS).length === 1);
      }
    }
    await pause(2000);
    const before = watched.map(({ lan }) => lan.arrivals(ADDRESS));
    for (let index = 0; index < processors; index++)
      loads.push(
        await startProgram({ name: "load", command: process.execPath, args: ["-e", "for (;;) {}"] }),
      );
    options.progress(`failover: ${processors} busy loops for ${options.loadMinutes} minutes`);
    await pause(options.loadMinutes * 60_000);
    return watched.map(({ subject, intervalMs, lan }, index) => ({
      subject,
      intervalMs,
      minutes: options.loadMinutes,
      falseFailovers: lan.arrivals(ADDRESS) - before[index]!,
    }));
  } finally {
    for (const load of loads) await load.stop("SIGKILL");
    await Promise.all(watched.map(({ lan }) => lan[Symbol.asyncDispose]()));
  }
}

function startsUnderLoad(subjects: readonly FailoverSubject[]): [string, Start][] {
  const starts = subjects.map((subject): [string, Start] => [subject, START[subject]]);
  if (!subjects.includes("keepalived")) return starts;
  return [
    ...starts.map(([name, start]): [string, Start] => [
      name === "keepalived" ? "keepalived, vrrp_rt_priority 10" : name,
      start,
    ]),
    ["keepalived, as installed", AS_INSTALLED],
  ];
}

function keepalivedVersion(): string {
  // It prints its version to stderr.
  const text = execFileSync("sh", ["-c", `${peerPath("keepalived")} --version 2>&1`], { encoding: "utf8" });
  return text.split("\n")[0]!;
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  // Nearest rank: of 50 values the 99th percentile is the largest.
  const rank = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
  return { p50: round(rank(0.5), 1), p99: round(rank(0.99), 1), max: round(sorted.at(-1)!, 1) };
}

function asEvent(line: string): ProbeEvent | undefined {
  return line.startsWith("{") ? (JSON.parse(line) as ProbeEvent) : undefined;
}

function unixMs(): number {
  return performance.timeOrigin + performance.now();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
