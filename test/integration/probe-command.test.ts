/** `holdfast probe` and `holdfast enable` as commands where the undo journal cannot be written: nothing is changed unasked. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import test from "node:test";
import { findLiveSockets } from "../../src/doctor/live-sockets.ts";
import { holdfastMain } from "../harness/paths.ts";
import { skipOrFail } from "../harness/peers.ts";
import { eventually, startProgram } from "../harness/program.ts";

/** Both ends of one quiet connection. */
const VICTIM = `const net=require("node:net");const server=net.createServer(()=>console.log("ready"));
server.listen(0,"127.0.0.1",()=>net.connect(server.address().port,"127.0.0.1"));`;

/** No directory can be made below it, not even by root. */
const NOWHERE = "/dev/null/state";

test("probe and enable change nothing where the undo journal cannot be written; probe goes on --without-journal", async (t) => {
  const command = { name: "victim", command: process.execPath, args: ["-e", VICTIM], readyLine: "ready" };
  const victim = await startProgram(command);
  t.after(() => victim.stop("SIGKILL"));
  const selector = `pid:${victim.pid}`;
  const found = findLiveSockets([{ kind: "pid", pid: victim.pid }]);
  if (found.sockets.length === 0) return void skipOrFail(t, found.problems.join());
  const run = (...words: string[]) =>
    spawnSync(process.execPath, [holdfastMain, ...words], {
      encoding: "utf8",
      env: { ...process.env, XDG_STATE_HOME: NOWHERE },
    });
  const refused = run("probe", selector);
  assert.equal(refused.status, 2, refused.stdout);
  assert.match(refused.stderr, /^nothing was probed: the undo journal .*ENOTDIR.*--without-journal/);
  const enabled = run("enable", selector, "--so-keepalive", "60s:10s:3");
  assert.equal(enabled.status, 2, enabled.stdout);
  assert.match(enabled.stderr, /^nothing was changed: the undo journal/);
  await eventually("a verdict about both ends", 5000, () => {
    const asked = run("probe", selector, "--without-journal", "--json");
    assert.equal(asked.status, 0, asked.stderr);
    const { sockets, problems } = JSON.parse(asked.stdout);
    assert.deepEqual(problems, []);
    return sockets.filter(({ verdict }: { verdict: string }) => verdict === "alive").length === 2;
  });
});
