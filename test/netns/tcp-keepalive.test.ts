/**
 * TCP keepalive proven on a network that loses packets: a dead client and a dead server are released at
 * idle + interval × count after their last sign of life, with their own cause; and the kernel's timers carry what the
 * configuration says. reference: tcp(7); net/ipv4/tcp_timer.c tcp_keepalive_timer().
 */
import assert from "node:assert/strict";
import test from "node:test";
import { eventually, type Program } from "../harness/program.ts";
import {
  CLIENT_ADDRESS,
  GATEWAY_ADDRESS,
  ORIGIN_ADDRESS,
  PORT,
  requireNamespaces,
  SECOND_ORIGIN_ADDRESS,
  startThreeNodes,
  type ThreeNodes,
} from "./three-nodes.ts";

/** 1 s idle, then 3 probes 1 s apart: 4 s; the tolerance is one interval. */
const PROBES = "1s:1s:3";
const DETECTION_MS = 4000;
const TOLERANCE_MS = 1000;

interface ConfigParts {
  readonly listenerKeepalive?: string;
  readonly poolKeepalive?: string;
  readonly listenerUserTimeout?: string;
  readonly poolUserTimeout?: string;
  readonly servers?: readonly string[];
}

function gatewayConfig(parts: ConfigParts): string {
  return `workers: 1
listeners:
  web:
    bind: ${GATEWAY_ADDRESS}:${PORT}
    so_keepalive: "${parts.listenerKeepalive ?? "off"}"
    tcp_user_timeout: ${parts.listenerUserTimeout ?? "0"}
    http:
      routes: [{ pool: web }]
pools:
  web:
    so_keepalive: "${parts.poolKeepalive ?? "off"}"
    tcp_user_timeout: ${parts.poolUserTimeout ?? "0"}
    keepalive_timeout: 1h
    servers: ${JSON.stringify(parts.servers ?? [`${ORIGIN_ADDRESS}:${PORT}`])}
`;
}

/** Starts the origin(s) and one client, and has one request answered. */
async function withOneAnswer(nodes: ThreeNodes, origins: readonly string[] = [ORIGIN_ADDRESS]) {
  const running: Program[] = [];
  for (const address of origins) {
    const origin = await nodes.start("origin", "origin-program.js", address, String(PORT));
    await origin.line((line) => line.includes("listening"), 5000);
    running.push(origin);
  }
  const client = await nodes.start("client", "client-program.js", GATEWAY_ADDRESS, String(PORT));
  client.child.stdin!.write("/\n");
  await client.line((line) => line.includes('"status":200'), 5000);
  return { client, origins: running };
}

/** Milliseconds from `sinceMs` until the metric counts one close; polled, bounded. */
async function closedAfter(
  nodes: ThreeNodes,
  sinceMs: number,
  labels: Record<string, string>,
): Promise<number> {
  await eventually(
    `a close counted with ${JSON.stringify(labels)}`,
    DETECTION_MS + 4 * TOLERANCE_MS,
    async () => {
      const metrics = await nodes.gateway.metrics();
      return metrics.sum("holdfast_closes_total", labels) >= 1;
    },
  );
  return performance.now() - sinceMs;
}

function assertDetectedInTime(elapsedMs: number): void {
  assert.ok(
    Math.abs(elapsedMs - DETECTION_MS) <= TOLERANCE_MS,
    `released after ${Math.round(elapsedMs)} ms, expected ${DETECTION_MS} ± ${TOLERANCE_MS} ms`,
  );
}

test("so_keepalive of a listener releases a client that vanished at idle + interval × count", async (t) => {
  if (!requireNamespaces(t)) return;
  await using nodes = await startThreeNodes(gatewayConfig({ listenerKeepalive: PROBES }));
  await withOneAnswer(nodes);
  const lastSignOfLifeMs = performance.now();
  nodes.topology.dropPackets("client", "input", `ip saddr ${GATEWAY_ADDRESS}`);
  assertDetectedInTime(
    await closedAfter(nodes, lastSignOfLifeMs, { side: "client", cause: "tcp-keepalive" }),
  );
  const metrics = await nodes.gateway.metrics();
  assert.equal(metrics.sum("holdfast_closes_total", { side: "client", cause: "tcp-keepalive" }), 1);
  assert.equal(
    nodes.sockets(`( sport = :${PORT} )`),
    "",
    "the gateway holds no connection to the dead client",
  );
});

test("so_keepalive leaves what it omits to the sysctls of the gateway's namespace", async (t) => {
  if (!requireNamespaces(t)) return;
  const sysctls = {
    "net.ipv4.tcp_keepalive_time": "1",
    "net.ipv4.tcp_keepalive_intvl": "1",
    "net.ipv4.tcp_keepalive_probes": "60",
  };
  await using nodes = await startThreeNodes(gatewayConfig({ listenerKeepalive: "::3" }), sysctls);
  await withOneAnswer(nodes);
  const lastSignOfLifeMs = performance.now();
  nodes.topology.dropPackets("client", "input", `ip saddr ${GATEWAY_ADDRESS}`);
  assertDetectedInTime(
    await closedAfter(nodes, lastSignOfLifeMs, { side: "client", cause: "tcp-keepalive" }),
  );
});

test("so_keepalive of a pool releases an idle connection to a server that vanished", async (t) => {
  if (!requireNamespaces(t)) return;
  await using nodes = await startThreeNodes(gatewayConfig({ poolKeepalive: PROBES }));
  await withOneAnswer(nodes);
  const lastSignOfLifeMs = performance.now();
  nodes.topology.dropPackets("origin", "input", `ip saddr 10.72.0.1`);
  assertDetectedInTime(await closedAfter(nodes, lastSignOfLifeMs, { cause: "upstream-tcp-keepalive" }));
  assert.equal(
    nodes.sockets(`( dport = :${PORT} )`),
    "",
    "the gateway holds no connection to the dead server",
  );
});

test("so_keepalive of a pool ends the wait for a server that vanished while it computes: the client gets an answer", async (t) => {
  if (!requireNamespaces(t)) return;
  await using nodes = await startThreeNodes(gatewayConfig({ poolKeepalive: PROBES }));
  const { client, origins } = await withOneAnswer(nodes);
  const linesBefore = client.lines.length;
  client.child.stdin!.write("/?delay=60000\n");
  await requestHasArrived(nodes, origins);
  const lastSignOfLifeMs = performance.now();
  nodes.topology.dropPackets("origin", "input", `ip saddr 10.72.0.1`);
  assertDetectedInTime(await closedAfter(nodes, lastSignOfLifeMs, { cause: "upstream-tcp-keepalive" }));
  const answer = await client.line((line) => line.includes('"response"'), 10_000, linesBefore);
  assert.match(answer, /"status":50[24]/);
});

test("so_keepalive of a pool moves an idempotent request from a server that vanished to the next one", async (t) => {
  if (!requireNamespaces(t)) return;
  const servers = [`${ORIGIN_ADDRESS}:${PORT}`, `${SECOND_ORIGIN_ADDRESS}:${PORT}`];
  await using nodes = await startThreeNodes(gatewayConfig({ poolKeepalive: PROBES, servers }));
  const { client, origins } = await withOneAnswer(nodes, [ORIGIN_ADDRESS, SECOND_ORIGIN_ADDRESS]);
  const first = JSON.parse(client.lines.find((line) => line.includes('"status":200'))!) as { body: string };
  // Round robin: the next request goes to the server that did not answer the first one; that one dies.
  const dying = first.body.includes(ORIGIN_ADDRESS) ? SECOND_ORIGIN_ADDRESS : ORIGIN_ADDRESS;
  const living = dying === ORIGIN_ADDRESS ? SECOND_ORIGIN_ADDRESS : ORIGIN_ADDRESS;
  const linesBefore = client.lines.length;
  client.child.stdin!.write(`/?delay-${dying}=60000\n`);
  await requestHasArrived(nodes, origins, dying);
  nodes.topology.dropPackets("origin", "input", `ip daddr ${dying}`);
  const answer = await client.line((line) => line.includes('"response"'), 10_000, linesBefore);
  assert.match(answer, new RegExp(`"status":200,"body":"from ${living.replaceAll(".", "\\.")}`));
});

/** With data in flight keepalive is silent; TCP_USER_TIMEOUT bounds the wait, checked when a retransmission is due. */
const USER_TIMEOUT_MS = 2000;

function assertUserTimeoutHeld(elapsedMs: number): void {
  assert.ok(
    elapsedMs > USER_TIMEOUT_MS - 200 && elapsedMs < USER_TIMEOUT_MS + 2 * TOLERANCE_MS,
    `released after ${Math.round(elapsedMs)} ms, expected about ${USER_TIMEOUT_MS} ms`,
  );
}

test("tcp_user_timeout of a listener releases a client that vanished with an answer on its way", async (t) => {
  if (!requireNamespaces(t)) return;
  await using nodes = await startThreeNodes(gatewayConfig({ listenerUserTimeout: "2s" }));
  const { client, origins } = await withOneAnswer(nodes);
  client.child.stdin!.write("/?delay=300\n");
  await requestHasArrived(nodes, origins);
  nodes.topology.dropPackets("client", "input", `ip saddr ${GATEWAY_ADDRESS}`);
  const droppedMs = performance.now() + 300;
  assertUserTimeoutHeld(await closedAfter(nodes, droppedMs, { side: "client", cause: "tcp-user-timeout" }));
});

test("tcp_user_timeout of a pool gives up a request that the server never acknowledged", async (t) => {
  if (!requireNamespaces(t)) return;
  await using nodes = await startThreeNodes(gatewayConfig({ poolUserTimeout: "2s" }));
  const { client } = await withOneAnswer(nodes);
  const linesBefore = client.lines.length;
  nodes.topology.dropPackets("origin", "input", "ip saddr 10.72.0.1");
  const sentMs = performance.now();
  client.child.stdin!.write("/\n");
  assertUserTimeoutHeld(await closedAfter(nodes, sentMs, { cause: "upstream-tcp-user-timeout" }));
  const answer = await client.line((line) => line.includes('"response"'), 15_000, linesBefore);
  assert.match(answer, /"status":50[24]/);
});

/** The server computes, and nothing is in flight: the keepalive timer, not retransmission, is in charge from here on. */
async function requestHasArrived(
  nodes: ThreeNodes,
  origins: readonly Program[],
  address = ORIGIN_ADDRESS,
): Promise<void> {
  await Promise.any(origins.map((origin) => origin.line((line) => line.includes("delay"), 5000)));
  await eventually("the request was acknowledged", 5000, () => {
    const lines = nodes.sockets(`( dst ${address} )`).trim().split("\n");
    return lines.length > 0 && lines.every((line) => /^0\s+0\s/.test(line) && !line.includes("timer:(on"));
  });
}

/** What `ss -tno` must show: the timer's first number is at most the idle time, and close to it just after a request. */
const TIMER_CASES = [
  { value: "30m::10", expected: /timer:\(keepalive,(?:29min|30min)/ },
  { value: "10s::", expected: /timer:\(keepalive,(?:10sec|9\.\d+ms|9sec)/ },
  { value: ":10s:", expected: /timer:\(keepalive,(?:119min|120min)/ },
  { value: "::3", expected: /timer:\(keepalive,(?:119min|120min)/ },
  { value: "on", expected: /timer:\(keepalive,(?:119min|120min)/ },
  { value: "off", expected: undefined },
] as const;

for (const { value, expected } of TIMER_CASES) {
  test(`so_keepalive ${value} arms the kernel's timer on both legs accordingly`, async (t) => {
    if (!requireNamespaces(t)) return;
    await using nodes = await startThreeNodes(
      gatewayConfig({ listenerKeepalive: value, poolKeepalive: value }),
    );
    await withOneAnswer(nodes);
    const legs = { client: `( dst ${CLIENT_ADDRESS} )`, upstream: `( dst ${ORIGIN_ADDRESS} )` };
    for (const [leg, filter] of Object.entries(legs)) {
      const line = await eventually(`one ${leg} connection at rest`, 3000, () => {
        const text = nodes.sockets(filter).trim();
        return text !== "" && !text.includes("timer:(on") && text;
      });
      if (expected === undefined) assert.doesNotMatch(line, /timer:/, leg);
      else assert.match(line, expected, leg);
    }
  });
}
