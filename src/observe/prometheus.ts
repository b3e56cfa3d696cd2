/**
 * Writes the Prometheus text exposition format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats) from the
 * added-up counters. Pure. Called for `GET /metrics`. A hand-written 150 lines instead of a client library because
 * the numbers live in shared memory of other processes, not in a library's objects.
 */
import { CLOSE_CAUSES } from "./close-cause.ts";
import { LATENCY_BUCKET_COUNT, LATENCY_BUCKETS_MS, ListenerSlot, ServerSlot } from "./counter-layout.ts";
import type { GatewayCounters } from "./counter-ledger.ts";
import type { GatewayFacts } from "./gateway-facts.ts";
import { METRIC_FAMILIES, type MetricFamily, type MetricScope } from "./metric-registry.ts";

export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export type MetricLabels = Readonly<Record<string, string>>;

/** One block of counters with the labels that name it. */
interface LabelledBlock {
  readonly labels: MetricLabels;
  readonly block: Float64Array;
}

export function formatPrometheus(facts: GatewayFacts, counters: GatewayCounters): string {
  const lines: string[] = [];
  const blocks = labelBlocks(counters);
  for (const family of METRIC_FAMILIES) {
    lines.push(`# HELP ${family.name} ${escapeHelp(family.help)}`, `# TYPE ${family.name} ${family.type}`);
    writeFamily(lines, family, facts, blocks);
  }
  lines.push("");
  return lines.join("\n");
}

type BlocksByScope = Readonly<Record<MetricScope, readonly LabelledBlock[]>>;

function labelBlocks(counters: GatewayCounters): BlocksByScope {
  const servers: LabelledBlock[] = [];
  for (const [pool, blocks] of counters.servers) {
    for (const [server, block] of blocks) {
      servers.push({ labels: { pool, server }, block });
    }
  }
  return {
    gateway: [],
    worker: [...counters.workers].map(([index, block]) => ({ labels: { worker: String(index) }, block })),
    listener: [...counters.listeners].map(([listener, block]) => ({ labels: { listener }, block })),
    pool: [...counters.pools].map(([pool, block]) => ({ labels: { pool }, block })),
    server: servers,
    router: [],
  };
}

function writeFamily(
  lines: string[],
  family: MetricFamily,
  facts: GatewayFacts,
  blocks: BlocksByScope,
): void {
  const { name, source } = family;
  switch (source.kind) {
    case "facts":
      for (const sample of source.read(facts)) {
        lines.push(formatSample(name, sample.labels ?? {}, sample.value));
      }
      return;
    case "slot":
      for (const { labels, block } of blocks[family.scope]) {
        lines.push(formatSample(name, labels, block[source.slot]! * source.scale));
      }
      return;
    case "slots":
      for (const { labels, block } of blocks[family.scope]) {
        for (const [value, slot] of source.slots) {
          lines.push(formatSample(name, { ...labels, [source.label]: value }, block[slot]!));
        }
      }
      return;
    case "latency":
      for (const { labels, block } of blocks[family.scope]) {
        writeHistogram(lines, name, labels, block, source.firstBucketSlot, source.sumSlot);
      }
      return;
    case "closes":
      for (const { labels, block } of blocks.listener) {
        writeCloses(lines, name, labels, block, ListenerSlot.closes, false);
      }
      for (const { labels, block } of blocks.server) {
        writeCloses(lines, name, labels, block, ServerSlot.closes, true);
      }
      return;
  }
}

function writeHistogram(
  lines: string[],
  name: string,
  labels: MetricLabels,
  block: Float64Array,
  firstBucketSlot: number,
  sumSlot: number,
): void {
  let count = 0;
  for (let bucket = 0; bucket < LATENCY_BUCKET_COUNT; bucket++) {
    count += block[firstBucketSlot + bucket]!;
    const boundMs = LATENCY_BUCKETS_MS[bucket];
    const le = boundMs === undefined ? "+Inf" : String(boundMs / 1000);
    lines.push(formatSample(`${name}_bucket`, { ...labels, le }, count));
  }
  lines.push(formatSample(`${name}_sum`, labels, block[sumSlot]! / 1000));
  lines.push(formatSample(`${name}_count`, labels, count));
}

/** Causes of the leg are written even at 0: a counter that appears at 1 has lost its first increase to rate(). */
function writeCloses(
  lines: string[],
  name: string,
  labels: MetricLabels,
  block: Float64Array,
  firstSlot: number,
  isUpstreamLeg: boolean,
): void {
  CLOSE_CAUSES.forEach(({ side, name: cause }, index) => {
    const value = block[firstSlot + index]!;
    if (value > 0 || isCauseOfLeg(cause, isUpstreamLeg)) {
      lines.push(formatSample(name, { ...labels, side, cause }, value));
    }
  });
}

/** Two causes of the client's leg speak of the upstream in their name. */
const CLIENT_LEG_EXCEPTIONS: readonly string[] = ["upstream-asked-close", "upstream-truncated"];

export function isCauseOfLeg(cause: string, isUpstreamLeg: boolean): boolean {
  const namesUpstream = cause.startsWith("upstream-") && !CLIENT_LEG_EXCEPTIONS.includes(cause);
  return (namesUpstream || cause === "client-gone") === isUpstreamLeg;
}

export function formatSample(name: string, labels: MetricLabels, value: number): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`);
  const written = roundOff(value);
  return pairs.length === 0 ? `${name} ${written}` : `${name}{${pairs.join(",")}} ${written}`;
}

/** 0.1 + 0.2 ms times 0.001 need not be written with 17 digits. */
function roundOff(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(12)));
}

export function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
