/** The namespace topology itself: packets pass, are dropped, links go down, and nothing is left behind. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import test from "node:test";
import { createTopology } from "../../src/testing/netns.ts";
import { requireNamespaces } from "./three-nodes.ts";

test("createTopology() builds namespaces that reach each other and removes them", async (t) => {
  if (!requireNamespaces(t)) return;
  const topology = await createTopology({
    nodes: ["a", "b"],
    links: [
      [
        { node: "a", interface: "eth0", address: "10.99.0.1/24" },
        { node: "b", interface: "eth0", address: "10.99.0.2/24" },
      ],
    ],
  });
  try {
    assert.match(topology.run("a", "ip", "-o", "-4", "address", "show", "eth0"), /10\.99\.0\.1\/24/);
    assert.ok(canReach(topology.inside("a")), "a reaches b");
    topology.dropPackets("b", "output", "ip daddr 10.99.0.1");
    assert.ok(!canReach(topology.inside("a")), "answers are dropped");
    topology.dropNothing("b");
    assert.ok(canReach(topology.inside("a")), "answers come again");
    topology.setLink("b", "eth0", "down");
    assert.ok(!canReach(topology.inside("a")), "the link is down");
    assert.throws(() => topology.run("c", "true"), /no such node: c/);
  } finally {
    await topology[Symbol.asyncDispose]();
  }
  assert.doesNotMatch(
    spawnSync("ip", ["netns", "list"], { encoding: "utf8" }).stdout ?? "",
    new RegExp(`hf${process.pid}-`),
  );
});

function canReach(inside: readonly string[]): boolean {
  // A TCP connect to a closed port answers with a reset at once; silence means that packets are lost. (No ping: it may not be installed.)
  const script = `const s = require("node:net").connect(9, "10.99.0.2");
    s.on("error", (e) => process.exit(e.code === "ECONNREFUSED" ? 0 : 1));
    setTimeout(() => process.exit(1), 400);`;
  return spawnSync(inside[0]!, [...inside.slice(1), process.execPath, "-e", script]).status === 0;
}
