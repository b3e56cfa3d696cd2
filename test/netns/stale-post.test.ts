/**
 * The proof that a server never got a request (RFC 9110 §9.2.2: a proxy may send a POST again only when it knows). The server closes
 * an idle connection while our POST is on its way: its FIN arrives, and the kernel's count of acknowledged bytes has not moved
 * (src/proxy/retry-policy.ts). Made on a network that loses exactly the packets of that connection towards the server.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { eventually } from "../harness/program.ts";
import {
  GATEWAY_ADDRESS,
  ORIGIN_ADDRESS,
  PORT,
  requireNamespaces,
  startThreeNodes,
  type ThreeNodes,
} from "./three-nodes.ts";

function gatewayConfig(nonIdempotent: string): string {
  return `workers: 1
listeners:
  web:
    bind: ${GATEWAY_ADDRESS}:${PORT}
    http:
      routes: [{ pool: web }]
pools:
  web:
    keepalive_timeout: 1h
    next_upstream: { non_idempotent: ${nonIdempotent} }
    servers: ["${ORIGIN_ADDRESS}:${PORT}"]
`;
}

/** One idle connection to the server, whose packets towards the server are lost from now on; a POST sent on it; then the server's FIN. */
async function crossPostAndFin(nodes: ThreeNodes) {
  const origin = await nodes.start("origin", "origin-program.js", ORIGIN_ADDRESS, String(PORT));
  await origin.line((line) => line.includes("listening"), 5000);
  const client = await nodes.start("client", "client-program.js", GATEWAY_ADDRESS, String(PORT));
  client.child.stdin!.write("/first\n");
  await client.line((line) => line.includes('"status":200'), 5000);

  const [local] = nodes.sockets(`( dport = :${PORT} )`).match(/10\.72\.0\.1:(\d+)/g) ?? [];
  const sourcePort = local!.split(":")[1]!;
  nodes.topology.dropPackets("origin", "input", `tcp sport ${sourcePort}`);
  const sentBefore = (await nodes.gateway.metrics()).sum("holdfast_server_sent_bytes_total");
  client.child.stdin!.write("POST /pay\n");
  await eventually("the POST has been written", 3000, async () => {
    return (await nodes.gateway.metrics()).sum("holdfast_server_sent_bytes_total") > sentBefore;
  });
  origin.child.stdin!.write("close\n");
  const answers = () => client.lines.filter((line) => line.includes('"event":"response"'));
  await eventually("the POST is answered", 5000, () => answers().length === 2);
  return {
    status: JSON.parse(answers()[1]!).status as number,
    posts: origin.lines.filter((line) => line.includes('"method":"POST"')).length,
    metrics: await nodes.gateway.metrics(),
  };
}

test("a POST that crosses the server's FIN is sent again, because the kernel proves it never arrived (RFC 9110 §9.2.2)", async (t) => {
  if (!requireNamespaces(t)) return;
  await using nodes = await startThreeNodes(gatewayConfig("provable"));
  const { status, posts, metrics } = await crossPostAndFin(nodes);
  assert.equal(status, 200);
  assert.equal(posts, 1, "the server saw it once");
  assert.equal(metrics.sum("holdfast_pool_retries_total", { reason: "provable" }), 1);
  assert.equal(metrics.sum("holdfast_pool_retries_total", { reason: "stale" }), 1);
  assert.equal(metrics.sum("holdfast_closes_total", { side: "upstream", cause: "upstream-fin-stale" }), 1);
});

test("non_idempotent: never answers the same POST with 502 (RFC 9110 §9.2.2)", async (t) => {
  if (!requireNamespaces(t)) return;
  await using nodes = await startThreeNodes(gatewayConfig("never"));
  const { status, posts, metrics } = await crossPostAndFin(nodes);
  assert.equal(status, 502);
  assert.equal(posts, 0);
  assert.equal(metrics.sum("holdfast_pool_retries_total"), 0);
});
