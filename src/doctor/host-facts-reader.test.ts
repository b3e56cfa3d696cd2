/** What the doctor reads where /proc is missing: in a mount namespace with an empty one. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { peerPath, requirePeer, skipOrFail } from "../../test/harness/peers.ts";
import { heldCapabilities } from "../sys/capabilities.ts";

const PROGRAM = `
const { readHostFacts } = await import(process.argv[1]);
const { capabilities, gaps } = readHostFacts();
console.log(JSON.stringify({ capabilities: [...capabilities], gaps }));`;

test("readHostFacts() knows its capabilities without /proc (capget(2)), and says what else is missing", (t) => {
  if (!requirePeer(t, "unshare")) return;
  if (process.getuid!() !== 0) return void skipOrFail(t, "only root can mount an empty /proc");
  const module = new URL("host-facts-reader.js", import.meta.url).href;
  const node = [process.execPath, "--input-type=module", "-e", PROGRAM, module];
  const steps = ["-m", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh", ...node];
  const { stdout, stderr, status } = spawnSync(peerPath("unshare"), steps, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  const { capabilities, gaps } = JSON.parse(stdout) as { capabilities: string[]; gaps: string[] };
  assert.deepEqual(new Set(capabilities), heldCapabilities());
  assert.match(gaps.join(), /\/proc does not show/);
});
