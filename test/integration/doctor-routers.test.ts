/** `holdfast doctor` beside a gateway with virtual routers: the real command line against an admin API that counts on. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createServer } from "node:http";
import path from "node:path";
import test, { type TestContext } from "node:test";
import { holdfastMain, makeScratchDirectory } from "../harness/paths.ts";

const PROCESS = {
  pid: 77,
  state: "running",
  heartbeatAgeMs: 200,
  restarts: 0,
  loopLagMsMax: 3,
  scheduling: { isRealtime: true, isMemoryLocked: true },
};

/** GET /status as of a gateway whose router has thrown away so many advertisements. */
function statusDocument(discarded: number): object {
  const counters = {
    advertisementsDiscarded: { "interval-mismatch": discarded },
    conflictsSeen: 0,
    duplicateAddressesSeen: 0,
  };
  const router = { name: "edge", interface: "eth0", id: 51, state: "backup", reason: null, addresses: [] };
  return {
    version: "0.1.0",
    pid: 1,
    phase: "running",
    configFile: null,
    respawns: 0,
    pools: [],
    reloads: { ok: 0, failed: 0, last: null },
    routers: [{ ...router, isInMaintenance: false, counters }],
    routerProcess: PROCESS,
  };
}

interface Page {
  readonly findings: readonly { readonly id: string; readonly severity: string; readonly mend: string }[];
}

/** What the doctor says of routers, and how often it asked. */
async function doctorOf(t: TestContext, discarded: (look: number) => number) {
  const scratch = makeScratchDirectory("doctor-routers");
  let looks = 0;
  const server = createServer((request, response) => {
    const answer = request.url === "/status" ? statusDocument(discarded(++looks)) : { sessions: [] };
    response.writeHead(200, { "Content-Type": "application/json", Connection: "close" });
    response.end(JSON.stringify(answer));
  });
  t.after(() => {
    server.close();
    scratch.remove();
  });
  const socket = path.join(scratch.directory, "admin.sock");
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const stdout = await new Promise<string>((resolve) => {
    const args = [holdfastMain, "doctor", "--json", "--admin", `unix:${socket}`];
    execFile(process.execPath, args, { maxBuffer: 1 << 26 }, (_, text) => resolve(text));
  });
  const { findings } = JSON.parse(stdout) as Page;
  return { looks, routers: findings.filter(({ id }) => id.startsWith("router-")) };
}

test("doctor looks twice at a router that threw advertisements away: a problem only when it still does", async (t) => {
  const rising = await doctorOf(t, (look) => 5 + look);
  assert.equal(rising.looks, 2);
  assert.deepEqual(
    rising.routers.map(({ id, severity }) => [id, severity]),
    [["router-discards", "problem"]],
  );
  assert.match(rising.routers[0]!.mend, /^holdfast routers --history/);
  const past = await doctorOf(t, () => 5);
  assert.deepEqual(
    past.routers.map(({ id, severity }) => [id, severity]),
    [["router-discards", "note"]],
  );
  const never = await doctorOf(t, () => 0);
  assert.deepEqual([never.looks, never.routers], [1, []], "nobody waits for nothing");
});
