/**
 * `holdfast predict` against reality: for every kind of box × every scenario × several ways to guard the ends, what simulatePath()
 * says each end will be told, and when, is compared with what the kernels of two hosts were told by a real box between them.
 * The time may differ by one second or 5 %, the errno may not. All cases run at the same time.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import type { Fate } from "../../src/doctor/fate.ts";
import { simulatePath } from "../../src/doctor/simulation.ts";
import {
  type BoxRow,
  createBoxRow,
  ESTABLISHED_MS,
  HALF_CLOSED_MS,
  type RelayKind,
  routeThrough,
} from "../harness/boxes.ts";
import { requirePeer } from "../harness/peers.ts";
import { eventually, type Program } from "../harness/program.ts";
import type { EndOrder, EndRecord } from "./doctor-ends-program.ts";
import {
  allCases,
  BOX_KINDS,
  type Case,
  observedAt,
  observedDelivery,
  optionsOf,
  playOf,
  predictedDelivery,
  predictedFor,
  type Told,
  type Who,
} from "./doctor-fate-cases.ts";
import { requireNamespaces } from "./three-nodes.ts";

const TOLERANCE_MS = 1000;
const TOLERANCE_SHARE = 0.05;
/** How long after the last predicted event to look for one that was not predicted. */
const AFTERMATH_MS = 3000;
const OBSERVED_AT_LEAST_MS = 14_000;

class Stage {
  readonly row: BoxRow;
  readonly programs: Readonly<Record<Who, Program>>;

  constructor(row: BoxRow, client: Program, server: Program) {
    this.row = row;
    this.programs = { client, server };
  }

  tell(who: Who, order: EndOrder): void {
    this.programs[who].child.stdin!.write(`${JSON.stringify(order)}\n`);
  }

  records(who: Who): Map<string, EndRecord[]> {
    const byId = new Map<string, EndRecord[]>();
    for (const line of this.programs[who].lines) {
      const record = JSON.parse(line) as EndRecord;
      byId.set(record.id, [...(byId.get(record.id) ?? []), record]);
    }
    return byId;
  }
}

function relayConfig(box: number, kind: RelayKind, cases: readonly Case[]): string {
  const listeners = cases.map(
    ({ port }) => `  l${port}:
    bind: 10.80.${box}.1:${port}
    so_keepalive: "${kind.soKeepalive}"
    tcp: { pool: p${port}, idle_timeout: ${ESTABLISHED_MS}ms, half_close_timeout: ${HALF_CLOSED_MS}ms, on_idle: ${kind.onIdle} }`,
  );
  const pools = cases.map(
    ({ port }) => `  p${port}: { so_keepalive: "${kind.soKeepalive}", servers: ["10.81.${box}.2:${port}"] }`,
  );
  return `workers: 1\nlisteners:\n${listeners.join("\n")}\npools:\n${pools.join("\n")}\n`;
}

async function setUp(row: BoxRow, cases: readonly Case[]): Promise<Stage> {
  const client = await row.start("client", "doctor-ends-program.js", []);
  const server = await row.start("server", "doctor-ends-program.js", []);
  const stage = new Stage(row, client, server);
  for (const it of cases) {
    const address = routeThrough(it.kind, it.box, it.port).listenOn;
    stage.tell("server", { do: "listen", id: it.id, address, port: it.port, ...optionsOf("server", it) });
  }
  await eventually("the server listens", 10_000, () => stage.records("server").size === cases.length);
  await Promise.all(
    BOX_KINDS.map(async (kind, box) => {
      const through = cases.filter((it) => it.box === box);
      if (kind.kind === "relay") await row.startRelay(box, relayConfig(box, kind, through));
    }),
  );
  return stage;
}

/** Connects all, lets each have its one exchange, and answers when that was, by case. */
async function exchange(stage: Stage, cases: readonly Case[]): Promise<Map<string, number>> {
  for (const it of cases) {
    const address = routeThrough(it.kind, it.box, it.port).connectTo;
    stage.tell("client", { do: "connect", id: it.id, address, port: it.port, ...optionsOf("client", it) });
  }
  const welcomes = (): Map<string, number> => {
    const starts = new Map<string, number>();
    for (const [id, records] of stage.records("client")) {
      const welcome = records.find((it) => it.text === "welcome");
      if (welcome !== undefined) starts.set(id, welcome.atMs);
    }
    return starts;
  };
  return eventually("all connections have had their exchange", 10_000, () => {
    const starts = welcomes();
    return starts.size === cases.length && starts;
  });
}

/** Plays every scenario; resolves when all has been done and observed. */
async function play(stage: Stage, cases: readonly Case[], starts: Map<string, number>, untilMs: number) {
  for (const who of ["client", "server"] as const) {
    const dying = cases.filter((it) => playOf(it).dies === who);
    stage.row.silence(
      who,
      dying.map((it) => it.port),
    );
  }
  const timers = cases.flatMap((it) =>
    playOf(it).orders.map(async ({ atMs, who, order }) => {
      await pauseUntil(starts.get(it.id)! + atMs);
      stage.tell(who, order);
    }),
  );
  await Promise.all(timers);
  await pauseUntil(Math.max(...starts.values()) + untilMs);
}

function pauseUntil(wallMs: number): Promise<void> {
  const leftMs = wallMs - (performance.timeOrigin + performance.now());
  return leftMs <= 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, leftMs));
}

function lastPredictionMs(fates: Iterable<Fate>): number {
  const times = [...fates].flatMap((fate) => [
    ...fate.ends.map((end) => end.learnsAtMs ?? 0),
    predictedDelivery(fate) ?? 0,
  ]);
  return Math.max(...times);
}

function describe({ what, atMs }: Told): string {
  return atMs === undefined ? what : `${what} at ${(atMs / 1000).toFixed(2)} s`;
}

function isAlike(predicted: Told, observed: Told): boolean {
  if (observed.atMs !== undefined && observed.atMs > (predicted.validUntilMs ?? Infinity)) return true;
  if (predicted.what !== observed.what) return false;
  if (predicted.atMs === undefined || observed.atMs === undefined) return predicted.atMs === observed.atMs;
  const tolerance = Math.max(TOLERANCE_MS, predicted.atMs * TOLERANCE_SHARE);
  return Math.abs(predicted.atMs - observed.atMs) <= tolerance;
}

const told = (what: string, atMs: number | undefined): Told => ({
  what: atMs === undefined ? "nothing" : what,
  atMs,
});

function compare(it: Case, fate: Fate, records: Record<Who, readonly EndRecord[]>, startMs: number): void {
  const differences: string[] = [];
  const check = (of: string, predicted: Told, observed: Told): void => {
    if (!isAlike(predicted, observed)) {
      differences.push(`${of}: predicted ${describe(predicted)}, really ${describe(observed)}`);
    }
  };
  for (const who of ["client", "server"] as const) {
    const predicted = predictedFor(who, fate, it.path.hops.length - 1);
    if (predicted !== undefined) check(who, predicted, observedAt(records[who], startMs));
  }
  const delivered = observedDelivery(records, it.scenario, startMs);
  check("what was said", told("delivered", predictedDelivery(fate)), told("delivered", delivered));
  const story = fate.events.map((event) => `${event.atMs / 1000} ${event.what} ${event.hop}: ${event.text}`);
  assert.ok(differences.length === 0, `${differences.join("\n")}\n\npredicted:\n${story.join("\n")}`);
}

async function compareAll(t: TestContext): Promise<void> {
  const cases = allCases();
  const fates = new Map(cases.map((it) => [it.id, simulatePath(it.path, it.scenario)]));
  await using row = await createBoxRow(BOX_KINDS);
  const stage = await setUp(row, cases);
  const starts = await exchange(stage, cases);
  const untilMs = Math.max(OBSERVED_AT_LEAST_MS, lastPredictionMs(fates.values()) + AFTERMATH_MS);
  assert.ok(untilMs < 30_000, `a case takes ${untilMs} ms: too long for this test`);
  await play(stage, cases, starts, untilMs);
  const client = stage.records("client");
  const server = stage.records("server");
  for (const it of cases) {
    await t.test(it.name, () => {
      const records = { client: client.get(it.id)!, server: server.get(it.id)! };
      compare(it, fates.get(it.id)!, records, starts.get(it.id)!);
    });
  }
}

test("a prediction is what happens: every kind of box × every scenario × several guards, on real kernels", async (t) => {
  if (!requirePeer(t, "tcpdump") || !requireNamespaces(t)) return;
  await compareAll(t);
});
