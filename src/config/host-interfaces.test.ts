/** Tests of host-interfaces.ts: an interface that is not there is named where the file names it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { findMissingInterfaces } from "./host-interfaces.ts";
import { loaded } from "./load-fixtures.ts";

const { config } = loaded(
  'virtual_routers: { edge: { interface: eht0, id: 1, addresses: "192.0.2.1/24", track: { interfaces: [lo, eth7] } } }',
);

test("findMissingInterfaces() names what is missing, and what was perhaps meant", () => {
  const found = findMissingInterfaces(config, (name) => name === "lo" || name === "eth0", ["lo", "eth0"]);
  assert.deepEqual(found, [
    {
      path: ["virtual_routers", "edge", "interface"],
      message: "this host has no interface eht0: the router would be in fault until it appears",
      hint: "did you mean eth0?",
    },
    {
      path: ["virtual_routers", "edge", "track", "interfaces", 1],
      message: "this host has no interface eth7: it would count as down until it appears",
      hint: "did you mean eth0?",
    },
  ]);
});

test("findMissingInterfaces() asks the kernel, which knows the loopback interface", () => {
  const paths = findMissingInterfaces(config).map(({ path }) => path.join("."));
  assert.ok(paths.includes("virtual_routers.edge.interface"));
  assert.ok(!paths.includes("virtual_routers.edge.track.interfaces.0"));
});
